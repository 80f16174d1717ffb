//! A virtual machine with a kernel that has netem, for a test that this machine's kernel cannot run: the same test in the same
//! program, with the host's own tools around it. `.ci/needs` puts kernel and QEMU below `target/needs/vm`.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::netns::done;

/// Set within the machine.
const INSIDE: &str = "FIREDRILL_TESTS_INSIDE";
/// What is run there beside the test: the shell, and what it and the controls run.
const PROGRAMS: &[&str] = &[
    "sh",
    "ip",
    "tc",
    "nft",
    "socat",
    "ss",
    "sysctl",
    "kill",
    "modprobe",
    "cat",
    "mount",
    "mkdir",
    "tr",
    "sed",
    "readlink",
    "sleep",
    "env",
    "ssh",
    "sshd",
    "ssh-keygen",
];
/// Whom `ssh` and `sshd` look up there, in `/etc/passwd`.
const USERS: &str = "root:x:0:0::/tmp:/bin/sh\nsshd:x:1:1::/run/sshd:/bin/false\n";
/// What the kernel's modules are needed of.
const MODULES: &[&str] = &["net", "lib", "crypto", "drivers/net/ifb.ko", "drivers/net/veth.ko"];
/// The first process there: it runs the test, says how that ended, and turns the machine off.
const INIT: &str = "#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp $INSIDE=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
ip link set lo up
/test --exact $TEST --nocapture --test-threads 1 2>&1
echo \"the test ended with $?\"
echo b >/proc/sysrq-trigger
sleep 1000
";

/// Whether this is the machine of which this file is about.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs the test of this name within the machine, and gives what it said.
pub fn run(test: &str) -> String {
    let vm = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/needs/vm");
    let kernel = only(&vm.join("boot"), "vmlinuz-");
    let home = tempfile::tempdir().unwrap();
    let image = home.path().join("initramfs");
    let mut archive = Archive::create(&image);
    fill(&mut archive, &vm, test);
    archive.finish();

    let mut machine = qemu(&vm);
    machine.args(["-m", "1024", "-nographic", "-no-reboot", "-cpu", "max", "-smp", "1"]);
    machine.args(["-nodefaults", "-serial", "stdio"]);
    machine.arg("-kernel").arg(kernel).arg("-initrd").arg(&image);
    machine.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"]);
    let output = machine.stdin(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.unwrap_or_else(|error| panic!("{machine:?}: {error}; run `make needs`"));
    let said = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("the test ended with 0") && said.contains("test result: ok. 1 passed"),
        "in the machine:\n{said}\n{complaint}"
    );
    said
}

/// The file in `folder` that begins so.
fn only(folder: &Path, begins: &str) -> PathBuf {
    let files = std::fs::read_dir(folder);
    let files = files.unwrap_or_else(|error| panic!("{folder:?}: {error}; run `make needs`"));
    let mut files = files.map(|it| it.unwrap().path());
    let fits = |it: &PathBuf| it.file_name().unwrap().to_string_lossy().starts_with(begins);
    files.find(fits).unwrap_or_else(|| panic!("no {begins} in {folder:?}; run `make needs`"))
}

/// QEMU as it is installed, or as it lies below `vm`.
fn qemu(vm: &Path) -> Command {
    const PROGRAM: &str = "qemu-system-x86_64";
    let own = vm.join("usr/bin").join(PROGRAM);
    // Before whoever runs the tests gives up and shows nothing of it.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "1140"]);
    if !own.exists() {
        command.arg(PROGRAM);
        return command;
    }
    let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|it| vm.join(it));
    command.arg(own);
    command.env("LD_LIBRARY_PATH", std::env::join_paths(&libraries).unwrap());
    command.env("QEMU_MODULE_DIR", libraries[0].join("qemu"));
    for folder in ["share/qemu", "share/seabios"] {
        command.arg("-L").arg(vm.join("usr").join(folder));
    }
    command
}

/// Puts all into the machine that it runs with.
fn fill(archive: &mut Archive, vm: &Path, test: &str) {
    for folder in ["dev", "proc", "sys", "run", "tmp", "etc"] {
        archive.folder(folder);
    }
    archive.program("init", INIT.replace("$TEST", test).replace("$INSIDE", INSIDE).as_bytes());
    let test = std::env::current_exe().unwrap();
    let mut needed = BTreeSet::from([test.clone()]);
    for program in PROGRAMS {
        let which = format!("PATH=$PATH:/usr/sbin:/sbin which {program}");
        let found = done(Command::new("sh").args(["-c", &which]));
        let found = PathBuf::from(found.trim());
        archive.copy(&found, &format!("usr/bin/{program}"));
        needed.insert(found);
    }
    // What `tc` knows words by, wherever its version has it.
    for names in ["etc/iproute2", "usr/share/iproute2", "usr/lib/iproute2"] {
        let there = Path::new("/").join(names);
        if there.is_dir() {
            archive.tree(&there, names);
        }
    }
    // Of OpenSSH, what later versions have in programs of their own.
    archive.tree(Path::new("/usr/lib/openssh"), "usr/lib/openssh");
    archive.program("etc/passwd", USERS.as_bytes());
    archive.link("bin", "usr/bin");
    archive.link("sbin", "usr/bin");
    archive.link("usr/sbin", "bin");
    // Most of it is for a debugger.
    let small = tempfile::NamedTempFile::new().unwrap();
    done(Command::new("strip").arg("-o").arg(small.path()).arg(&test));
    archive.program("test", &std::fs::read(small.path()).unwrap());
    let libraries: BTreeSet<String> = needed.iter().flat_map(|it| libraries(it)).collect();
    for library in libraries {
        archive.copy(Path::new(&library), library.trim_start_matches('/'));
    }
    let modules = only(&vm.join("lib/modules"), "");
    let there = format!("lib/modules/{}", modules.file_name().unwrap().to_string_lossy());
    for index in std::fs::read_dir(&modules).unwrap().map(|it| it.unwrap().path()) {
        if index.is_file() {
            let name = index.file_name().unwrap().to_string_lossy();
            archive.copy(&index, &format!("{there}/{name}"));
        }
    }
    for wanted in MODULES {
        archive.tree(&modules.join("kernel").join(wanted), &format!("{there}/kernel/{wanted}"));
    }
}

/// The shared libraries of a program, and what loads them.
fn libraries(program: &Path) -> Vec<String> {
    let said = Command::new("ldd").arg(program).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    said.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

/// Files for a kernel to begin with (cpio, "newc").
struct Archive {
    file: std::io::BufWriter<std::fs::File>,
    folders: BTreeSet<String>,
    count: u32,
}

impl Archive {
    fn create(path: &Path) -> Archive {
        let file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        Archive { file, folders: BTreeSet::new(), count: 0 }
    }

    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) {
        self.count += 1;
        let size = u32::try_from(bytes.len()).unwrap();
        let length = u32::try_from(name.len() + 1).unwrap();
        let numbers = [self.count, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0];
        let numbers: String = numbers.iter().map(|it| format!("{it:08X}")).collect();
        let head = format!("070701{numbers}{name}\0");
        self.padded(head.as_bytes());
        self.padded(bytes);
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).unwrap();
        self.file.write_all(&[0; 3][..(4 - bytes.len() % 4) % 4]).unwrap();
    }

    /// A folder, and all above it.
    fn folder(&mut self, name: &str) {
        if name.is_empty() || !self.folders.insert(name.to_owned()) {
            return;
        }
        self.above(name);
        self.entry(name, 0o40_755, b"");
    }

    fn above(&mut self, name: &str) {
        self.folder(name.rsplit_once('/').map_or("", |(folder, _)| folder));
    }

    fn program(&mut self, name: &str, bytes: &[u8]) {
        self.above(name);
        self.entry(name, 0o100_755, bytes);
    }

    fn link(&mut self, name: &str, to: &str) {
        self.above(name);
        self.folders.insert(name.to_owned());
        self.entry(name, 0o120_777, to.as_bytes());
    }

    fn copy(&mut self, from: &Path, name: &str) {
        let bytes = std::fs::read(from).unwrap_or_else(|error| panic!("{from:?}: {error}"));
        let mode = std::fs::metadata(from).unwrap().permissions().mode();
        self.above(name);
        self.entry(name, mode, &bytes);
    }

    fn tree(&mut self, from: &Path, name: &str) {
        if !from.is_dir() {
            return self.copy(from, name);
        }
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let inside = format!("{name}/{}", path.file_name().unwrap().to_string_lossy());
            self.tree(&path, &inside);
        }
    }

    fn finish(mut self) {
        self.entry("TRAILER!!!", 0, b"");
        self.file.flush().unwrap();
    }
}
