//! One outage of `drills/incidents/`, run by the real binary, with what the lab knows to be true.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use firedrill::model::{
    LabServiceTruth, LabTruth, Part, Plan, ProbeKind, ProbeRecord, ProbeSpec, RunRecord,
    ServiceRecord, Verdict,
};
use firedrill::plan::{Inputs, parse};

/// Each plan with the verdict that history gave, or that its cure earns.
pub const ALL: [(&str, Verdict); 17] = [
    ("aws-2025-us-east-1", Verdict::Fail),
    ("daum-2021-portal", Verdict::Fail),
    ("daum-2021-portal-fixed", Verdict::Pass),
    ("google-2023-paris", Verdict::Fail),
    ("kakao-2020-network-gear", Verdict::Fail),
    ("kakao-2020-network-gear-fixed", Verdict::Pass),
    ("kakao-2020-new-year-surge", Verdict::Fail),
    ("kakao-2020-new-year-surge-fixed", Verdict::Pass),
    ("kakao-2020-short-outages", Verdict::Fail),
    ("kakao-2020-wallet-launch", Verdict::Fail),
    ("kakao-2020-wallet-launch-fixed", Verdict::Pass),
    ("kakao-2021-messaging", Verdict::Fail),
    ("kakao-2021-messaging-fixed", Verdict::Pass),
    ("kakao-2022-pangyo-fire", Verdict::Fail),
    ("kakao-2022-pangyo-fire-fixed", Verdict::Pass),
    ("naver-2022-pangyo-fire", Verdict::Pass),
    ("ovh-2021-strasbourg", Verdict::Fail),
];

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("drills/incidents")
}

/// Runs the plan `name` and gives the record, with what was said if there is none.
pub fn run(name: &str) -> (Plan, RunRecord) {
    let file = folder().join(format!("{name}.yaml"));
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("record.json");
    let ended = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .arg("run")
        .arg(&file)
        .arg("--quiet")
        .arg(format!("--report=json={}", out.display()))
        .env("XDG_STATE_HOME", home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    let record = std::fs::read(&out).unwrap_or_else(|error| panic!("{name}: {error}: {said}"));
    let text = std::fs::read(&file).unwrap();
    let inputs = Inputs { vars: &BTreeMap::new(), env: &|_| None };
    let plan = parse(name, &text, &inputs).plan.unwrap();
    (plan, serde_json::from_slice(&record).unwrap())
}

/// How many recovery times the lab knows and which of the measured bounds they are outside of.
pub fn held_to_the_truth(plan: &Plan, record: &RunRecord) -> (usize, Vec<String>) {
    let (mut known, mut wrong) = (0, Vec::new());
    let truth = record.lab.as_ref().expect("a lab was drilled");
    for service in &plan.services {
        let Some(found) = record.services.iter().find(|it| it.name == service.name) else {
            continue;
        };
        for probe in &service.probes {
            let Some(seen) = found.probes.iter().find(|it| it.name == probe.name) else { continue };
            let Some((true_time, measured)) = recovery(truth, probe).zip(seen.recovery) else {
                continue;
            };
            known += 1;
            if !measured.bounds.contains(true_time) {
                let bounds = measured.bounds;
                wrong.push(format!(
                    "{}/{}: {true_time:?} not in {bounds}",
                    service.name, probe.name
                ));
            }
        }
    }
    (known, wrong)
}

/// The true recovery time of what `probe` asks.
fn recovery(truth: &LabTruth, probe: &ProbeSpec) -> Option<std::time::Duration> {
    let ProbeKind::Http(http) = &probe.kind else { return None };
    let [Part::Lab(service), rest @ ..] = http.url.parts() else { return None };
    let path = match rest {
        [Part::Plain(path)] => path.as_str(),
        _ => "",
    };
    let LabServiceTruth { recovery, paths, .. } = truth.services.get(&service.as_str().into())?;
    paths.get(path).map_or(*recovery, |path| path.recovery)
}

/// The feature that took longest to come back.
pub fn slowest(record: &RunRecord) -> Option<(&ServiceRecord, &ProbeRecord)> {
    let probes = record.services.iter().flat_map(|it| it.probes.iter().map(move |p| (it, p)));
    probes.max_by_key(|(_, probe)| {
        let bounds = probe.recovery.map(|recovery| recovery.bounds);
        bounds.map(|it| (it.high.unwrap_or(std::time::Duration::MAX), it.low))
    })
}
