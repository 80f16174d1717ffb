//! The plans for a real HAProxy in front of real nginx servers, run as a person would.

use std::path::Path;
use std::process::Command;

use super::world::alone;

/// The servers, for as long as it lives. Their ports are those of the plans, so one at a time.
struct Servers {
    fixture: &'static str,
}

impl Servers {
    fn up(fixture: &'static str) -> Servers {
        script(fixture, "up.sh");
        Servers { fixture }
    }

    /// What HAProxy says of its servers, without what health checks change.
    fn admin_states(&self) -> Vec<(String, String, String)> {
        use std::io::{Read, Write};
        let mut socket =
            std::os::unix::net::UnixStream::connect(root().join("target/haproxy-lab/admin.sock"))
                .unwrap();
        socket.write_all(b"show servers state app\n").unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let rows = text.lines().filter(|line| line.contains(" app "));
        rows.map(|row| {
            let column = |place: usize| row.split(' ').nth(place).unwrap().to_owned();
            (column(3), column(6), column(7))
        })
        .collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        script(self.fixture, "down.sh");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn script(fixture: &str, name: &str) {
    let path = root().join("tests/fixtures").join(fixture).join(name);
    let output = Command::new("sh").arg(&path).output().unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
}

/// Runs `drills/providers/NAME.yaml` from the root, and gives its exit code, report and progress.
fn run(name: &str) -> (Option<i32>, String, String) {
    let state = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .current_dir(root())
        .args(["run", "--yes", "--state-dir"])
        .arg(state.path())
        .arg(format!("drills/providers/{name}.yaml"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Holds that dc-a gave about half of the answers before its cut, and none of them while it was cut.
#[track_caller]
fn gave_half(report: &str) {
    let (_, said) = report.split_once("dc-a gave ").unwrap_or_else(|| panic!("{report}"));
    let share: u32 = said.split(' ').next().unwrap().parse().unwrap();
    // Each worker process of a balancer goes round on its own.
    assert!((35..=65).contains(&share) && said.contains(" before, 0 % of "), "{report}");
}

#[test]
fn a_datacenter_taken_out_of_haproxy_passes_and_everything_is_as_before() {
    let _alone = alone();
    let servers = Servers::up("haproxy");
    let before = servers.admin_states();
    assert_eq!(before.len(), 4, "{before:?}");
    // By its runtime API, and by a tool of ten lines.
    for name in ["haproxy", "exec"] {
        let (code, report, progress) = run(name);
        assert_eq!(code, Some(0), "{report}\n{progress}");
        assert!(report.starts_with("PASS"), "{report}");
        gave_half(&report);
        assert_eq!(servers.admin_states(), before);
    }
}

#[test]
fn a_datacenter_that_burns_behind_haproxy_is_found_by_its_health_checks() {
    let _alone = alone();
    let _servers = Servers::up("haproxy");
    let (code, report, progress) = run("proxy");
    assert_eq!(code, Some(0), "{report}\n{progress}");
    assert!(report.starts_with("PASS"), "{report}");
    assert!(report.contains("0 bytes passed"), "{report}");
    assert!(report.contains("time-out"), "half of the users waited in vain: {report}");
}

#[test]
fn a_datacenter_taken_out_of_a_file_of_nginx_passes_and_the_file_is_as_before() {
    let _alone = alone();
    let _servers = Servers::up("file");
    let file = || std::fs::read(root().join("target/file-lab/front/app.upstream")).unwrap();
    let before = file();
    let (code, report, progress) = run("file");
    assert_eq!(code, Some(0), "{report}\n{progress}");
    assert!(report.starts_with("PASS"), "{report}");
    gave_half(&report);
    assert_eq!(file(), before);
}
