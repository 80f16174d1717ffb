//! JUnit XML, for what reads test results: a suite for each service, a case for each promise, and one for the drill.

use quick_junit::{
    NonSuccessKind, Property, Report, SerializeError, TestCase, TestCaseStatus, TestSuite,
    XmlString,
};

use super::ledgers::{self, Written};
use super::promises::{budget, decided_by, measured};
use super::words::{bounds, mode, plain, time};
use super::{TableStyle, probes, split};
use crate::model::{
    Judgement, ProbeCounts, ProbeRecord, Promise, PromiseResult, RunRecord, ServiceRecord, Verdict,
};

/// The suite and the case that are there in every report, whatever was promised.
const DRILL: &str = "drill";

/// The report as JUnit XML.
///
/// A promise that was broken is a failure. One that is undecided is an error, and so is a drill that ended as
/// anything but PASS and FAIL: neither says that the promises are kept.
///
/// # Errors
/// None are known; the writer's type leaves room for them.
pub fn junit(record: &RunRecord) -> Result<Vec<u8>, SerializeError> {
    let mut report = Report::new(plain(record.plan.name.as_str()));
    report.add_test_suite(drill(record));
    report.add_test_suites(record.services.iter().map(|service| suite(record, service)));
    if let Some(ended) = record.marks.ended {
        report.set_time(ended.since(record.marks.started));
    }
    // The strictest of the common schemas knows this count in suites only, and we never skip. In a name the quotes
    // would be escaped, so the first is the root's.
    Ok(report.to_string()?.replacen(" skipped=\"0\"", "", 1).into_bytes())
}

/// The drill as a whole: without it a drill that was not started, or that promises nothing, would be green.
fn drill(record: &RunRecord) -> TestSuite {
    let mut suite = TestSuite::new(DRILL);
    let started = record.started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    suite.extra.insert(XmlString::new("timestamp"), XmlString::new(started));
    let plan = &record.plan;
    let property = |name: &str, value: &str| Property::new(name, plain(value));
    suite.add_properties([
        property("run", &record.run),
        property("plan", plan.name.as_str()),
        property("file", &plan.file),
        property("verdict", &record.verdict.to_string()),
        property("cut", &plan.lost()),
        property("mode", &mode(&plan.cut.mode)),
        property("firedrill", &record.firedrill),
    ]);
    let mut case = TestCase::new(DRILL, verdict(record));
    case.set_classname(plain(plan.name.as_str()));
    if let Some(ended) = record.marks.ended {
        let took = ended.since(record.marks.started);
        case.set_time(took);
        suite.set_time(took);
    }
    case.set_system_out(super::table(record, TableStyle::FILE));
    suite.add_test_case(case);
    suite
}

fn verdict(record: &RunRecord) -> TestCaseStatus {
    let kind = match record.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail => NonSuccessKind::Failure,
        _ => NonSuccessKind::Error,
    };
    let whys: Vec<String> = record.reasons.iter().map(|why| plain(&why.text)).collect();
    let verdict = record.verdict.to_string();
    let first = whys.first().map_or(verdict.clone(), |why| format!("{verdict}: {why}"));
    told(kind, &verdict, first, whys.join("\n"))
}

fn told(kind: NonSuccessKind, word: &str, message: String, text: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word).set_message(message).set_description(text);
    status
}

fn suite(record: &RunRecord, service: &ServiceRecord) -> TestSuite {
    let mut suite = TestSuite::new(plain(service.name.as_str()));
    if let Some(users) = service.users {
        suite.add_property(Property::new("users", users.to_string()));
    }
    suite.add_test_cases(service.promises.iter().map(|promise| case(record, service, promise)));
    suite
}

/// Named by what was promised, and not by the probe that decided: a name must be the same in the next run.
fn case(record: &RunRecord, service: &ServiceRecord, promise: &PromiseResult) -> TestCase {
    let name = match &promise.feature {
        Some(feature) => format!("{feature}/{}", promise.promise),
        None => promise.promise.to_string(),
    };
    let message = format!(
        "measured {}, budget {}{}",
        measured(promise, bounds),
        budget(promise),
        decided_by(service, promise)
    );
    let (message, why) = (plain(&message), plain(&promise.why));
    let evidence = evidence(record, service, promise, &message, &why);
    let status = match promise.judgement {
        Judgement::Kept => TestCaseStatus::success(),
        Judgement::Undecided => told(NonSuccessKind::Error, "undecided", message, why),
        Judgement::Broken => told(NonSuccessKind::Failure, "broken", message, why),
    };
    let mut case = TestCase::new(plain(&name), status);
    case.set_classname(plain(&format!("{}.{}", record.plan.name, service.name)));
    if let Some(took) = promise.measured {
        case.set_time(took.high.unwrap_or(took.low));
    }
    case.set_system_out(evidence);
    case
}

/// What the judgement rests on, a line each.
fn evidence(
    record: &RunRecord,
    service: &ServiceRecord,
    promise: &PromiseResult,
    message: &str,
    why: &str,
) -> String {
    let mut lines = vec![message.to_owned(), why.to_owned()];
    let split = service.recovery.and_then(|recovery| recovery.split);
    if let (Promise::RecoverWithin, None, Some(split)) = (promise.promise, &promise.feature, split)
    {
        let parts = split::parts(&split).map(|(what, took)| format!("{what} {}", time(took)));
        lines.push(plain(&format!("where the time went: {}", parts.join(", "))));
    }
    if matches!(promise.promise, Promise::LoseAtMost | Promise::DuplicateAtMost) {
        lines.extend(written(record, service, promise).map(|line| plain(&line)));
    }
    lines.extend(
        promise_probes(service, promise).map(|probe| {
            let ProbeCounts { due, sent, good, bad, stalled, unknown, late, .. } = probe.counts;
            let rest = probes::told(probe, &record.marks);
            let rest = if rest.is_empty() { rest } else { format!("; {rest}") };
            plain(&format!(
                "probe {}: {due} due, {sent} sent, {good} good, {bad} bad, {stalled} stalled, {unknown} unknown, \
                 {late} late{rest}",
                probe.name
            ))
        }),
    );
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// What became of the records of the ledger that decided, or of all of the service.
fn written<'a>(
    record: &'a RunRecord,
    service: &'a ServiceRecord,
    promise: &'a PromiseResult,
) -> impl Iterator<Item = String> {
    let of = move |it: &Written<'_>| {
        it.service.name == service.name && super::promises::decided(it.probe, promise)
    };
    let told = move |it: Written<'_>| {
        let text: String = ledgers::summary(it.ledger).into_iter().map(|(_, text)| text).collect();
        format!("ledger {}: {text}", it.probe.name)
    };
    ledgers::ledgers(record).into_iter().filter(of).map(told)
}

/// The probe that decided, or all that the service waits for.
fn promise_probes<'a>(
    service: &'a ServiceRecord,
    promise: &'a PromiseResult,
) -> impl Iterator<Item = &'a ProbeRecord> {
    service.probes.iter().filter(|probe| super::promises::decided(probe, promise))
}
