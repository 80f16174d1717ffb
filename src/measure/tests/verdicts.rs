//! A pass must be earned: no sequence of samples makes one without proof.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::measure::{Ending, Judged, Observation, STALL, judge, prove};
use crate::model::{
    Blindness, Calendar, Connection, ControlProof, CutOrder, HttpExpect, HttpProbe, Judgement,
    Mode, PathCounters, Plan, ProbeId, ProbeKind, ProbeSpec, Promises, Sampled, ServedBySource,
    ServedByValues, Service, Text, Timing, VantageId, Verdict, Why,
};

pub(super) const EVERY: u64 = 20;
pub(super) const CUT_AT: u64 = 1000;
pub(super) const RESTORED_AT: u64 = 3000;
pub(super) const END: u64 = 4500;

pub(super) fn plan() -> Plan {
    let http = HttpProbe {
        url: Text::from("http://127.0.0.1/"),
        method: "GET".into(),
        headers: Vec::new(),
        body: None,
        ca: None,
        expect: HttpExpect { status: vec![(200, 200)], body: None, json: Vec::new() },
    };
    let served_by =
        ServedBySource::Header { name: "x-datacenter".into(), values: ServedByValues::default() };
    let probe = ProbeSpec {
        name: "get".into(),
        kind: ProbeKind::Http(http),
        every: span(EVERY),
        timeout: span(500),
        slower_than: None,
        connection: Connection::New,
        look_up: None,
        cohort: None,
        served_by: Some(served_by),
        may_stay: false,
        required: true,
        promises: Default::default(),
    };
    let promises = Promises {
        recover_within: Some(span(800)),
        failback_within: Some(span(800)),
        sustain: false,
        ..Promises::default()
    };
    Plan {
        name: "test".into(),
        about: None,
        datacenters: vec!["east".into(), "west".into()],
        lab: None,
        traffic: Vec::new(),
        services: vec![Service {
            name: "talk".into(),
            users: None,
            standby: false,
            home: None,
            depends_on: Vec::new(),
            probes: vec![probe],
            promises,
        }],
        control_plane: Vec::new(),
        networks: Default::default(),
        loads: Vec::new(),
        cut: CutOrder::of(CUT, Mode::Blackhole),
        steps: Vec::new(),
        timing: Timing {
            baseline: span(1000),
            stable_for: span(400),
            stable_share: 1.0,
            hold: span(0),
            at_most: span(10_000),
        },
        guardrails: Vec::new(),
        calendar: Calendar::default(),
        notify: Vec::new(),
    }
}

pub(super) fn marks() -> Marks {
    Marks {
        started: Offset::ZERO,
        cut_issued: Some(ms(CUT_AT)),
        cut_confirmed: Some(ms(CUT_AT + 2)),
        restore_issued: Some(ms(RESTORED_AT)),
        restore_confirmed: Some(ms(RESTORED_AT + 2)),
        ended: Some(ms(END)),
    }
}

/// A drill that passes: the standby takes over 200 ms after the cut, and gives back as long after
/// the restore.
pub(super) fn good_samples() -> Vec<Sample> {
    (0..END / EVERY)
        .map(|seq| {
            let sent = seq * EVERY;
            let (outcome, by) = match sent {
                CUT_AT..1200 => (BAD, CUT),
                1200..3200 => (Outcome::Good, SURVIVOR),
                _ => (Outcome::Good, CUT),
            };
            sample(seq, sent, 2, outcome, ServedBy::Datacenter(by))
        })
        .collect()
}

pub(super) fn held() -> ControlProof {
    let path = Some(PathCounters { connections: 9, bytes: 0 });
    ControlProof { control: "wan".into(), reads: 3, reads_cut: 3, path }
}

fn verdict(plan: Plan, marks: Marks, samples: &[Sample], control: ControlProof) -> Judged {
    let plan = Arc::new(plan);
    let mut observation = Observation::new(plan.clone(), Offset::ZERO);
    observation.marks = marks;
    for sample in samples {
        let probe = ProbeId::default();
        observation.push(Sampled { vantage: VantageId(0), probe, sample: *sample });
    }
    let proof = prove(&plan, &observation, vec![control]);
    judge(&plan, &observation, &proof, Ending::default())
}

fn codes(judged: &Judged) -> Vec<&str> {
    judged.reasons.iter().map(|why| why.code.as_str()).collect()
}

#[test]
fn a_drill_with_all_its_proof_passes() {
    let judged = verdict(plan(), marks(), &good_samples(), held());
    assert_eq!((judged.verdict, codes(&judged)), (Verdict::Pass, vec![]), "{:?}", judged.reasons);
}

/// Takes one piece of proof away and expects the verdict that follows.
fn without(what: &str, expected: Verdict, code: &str, change: impl Fn(&mut Case)) {
    let mut case = Case { plan: plan(), marks: marks(), samples: good_samples(), control: held() };
    change(&mut case);
    let judged = verdict(case.plan, case.marks, &case.samples, case.control);
    assert_eq!(judged.verdict, expected, "{what}: {:?}", judged.reasons);
    assert!(codes(&judged).contains(&code), "{what}: {:?}", judged.reasons);
}

struct Case {
    plan: Plan,
    marks: Marks,
    samples: Vec<Sample>,
    control: ControlProof,
}

impl Case {
    fn each(&mut self, from: u64, to: u64, change: impl Fn(&mut Sample)) {
        let within = |sample: &&mut Sample| (ms(from)..ms(to)).contains(&sample.sent);
        self.samples.iter_mut().filter(within).for_each(change);
    }
}

#[test]
fn each_piece_of_proof_is_needed() {
    use Verdict::{Fail, Inconclusive};
    without("control lost its cut", Inconclusive, "cut-did-not-hold", |case| {
        case.control.reads_cut = 2;
    });
    without("control never read", Inconclusive, "control-not-read", |case| {
        (case.control.reads, case.control.reads_cut) = (0, 0);
    });
    without("bytes passed", Inconclusive, "leak", |case| {
        case.control.path = Some(PathCounters { connections: 9, bytes: 1 });
    });
    without("the cut datacenter answered", Inconclusive, "leak", |case| {
        case.each(2000, 2020, |sample| sample.served_by = ServedBy::Datacenter(CUT));
    });
    without("an error page of the cut datacenter", Fail, "leak", |case| {
        case.each(2500, 2520, |sample| {
            sample.outcome = Outcome::Bad(Reason::Status(500));
            sample.served_by = ServedBy::Datacenter(CUT);
        });
        case.plan.services[0].promises.sustain = true;
    });
    without("nobody saw it", Inconclusive, "not-seen-by-users", |case| {
        case.control.path = None;
        case.each(0, END, |sample| sample.served_by = ServedBy::Unnamed);
    });
    without("the cut was not confirmed", Inconclusive, "cut-not-confirmed", |case| {
        case.marks.cut_confirmed = None;
    });
    without("the observer was blind", Inconclusive, "promise-undecided", |case| {
        case.each(1300, 2000, |sample| sample.outcome = Outcome::Unknown(Blindness::NoMemory));
    });
    without("the cut datacenter never came back", Inconclusive, "promise-undecided", |case| {
        case.each(3000, END, |sample| sample.served_by = ServedBy::Datacenter(SURVIVOR));
        case.plan.services[0].promises.failback_within = Some(span(9000));
    });
    without("failback was late", Fail, "promise-broken", |case| {
        case.each(3200, 3900, |sample| sample.outcome = BAD);
    });
    without("recovery was late", Fail, "promise-broken", |case| {
        case.each(1200, 1900, |sample| sample.outcome = BAD);
    });
    without("the budget lies within the bounds", Inconclusive, "promise-undecided", |case| {
        case.plan.services[0].promises.recover_within = Some(span(190));
    });
    without("it failed again while cut", Inconclusive, "promise-undecided", |case| {
        case.each(2500, 2600, |sample| sample.outcome = BAD);
    });
    without("a part could not be asked", Inconclusive, "promise-undecided", |case| {
        // Not blind for long, but who knows what every other request would have met.
        case.each(1200, 3000, |sample| {
            if sample.seq % 2 == 0 {
                sample.outcome = Outcome::Unknown(Blindness::NoNetwork);
            }
        });
    });
    without("no promise", Inconclusive, "nothing-promised", |case| {
        case.plan.services[0].promises = Promises::default();
    });
    without("no samples at all", Inconclusive, "promise-undecided", |case| case.samples.clear());
    without("nothing after the cut", Inconclusive, "promise-undecided", |case| {
        case.samples.retain(|sample| sample.sent < ms(CUT_AT));
    });
}

/// A drill after which the survivor goes on serving.
fn stayed(may_stay: bool, failback_within: Option<u64>) -> Case {
    let mut case = Case { plan: plan(), marks: marks(), samples: good_samples(), control: held() };
    case.each(3000, END, |sample| sample.served_by = ServedBy::Datacenter(SURVIVOR));
    case.plan.services[0].probes[0].may_stay = may_stay;
    case.plan.services[0].promises.failback_within = failback_within.map(span);
    case
}

fn judged(case: &Case) -> Judged {
    verdict(case.plan.clone(), case.marks, &case.samples, case.control.clone())
}

#[test]
fn a_primary_may_stay_where_it_went_if_the_plan_says_so() {
    assert_eq!(codes(&judged(&stayed(false, None))), ["not-back"]);
    let may = judged(&stayed(true, None));
    assert_eq!((may.verdict, codes(&may)), (Verdict::Pass, vec![]), "{:?}", may.reasons);
    assert!(may.services[0].probes[0].may_stay);
    // Who returns although it need not is as welcome.
    let returned = Case { samples: good_samples(), ..stayed(true, Some(800)) };
    assert_eq!(judged(&returned).verdict, Verdict::Pass);
}

#[test]
fn what_may_stay_must_be_well_all_the_same() {
    let mut dead = stayed(true, None);
    dead.each(3500, END, |sample| sample.outcome = BAD);
    assert_eq!(codes(&judged(&dead)), ["not-back"]);
    // Bad from 3.2 s to 3.9 s, with the restore at 3 s.
    let budget = |budget: u64| {
        let mut ill = stayed(true, Some(budget));
        ill.each(3200, 3900, |sample| sample.outcome = BAD);
        judged(&ill)
    };
    assert_eq!((budget(800).verdict, codes(&budget(800))), (Verdict::Fail, vec!["promise-broken"]));
    assert_eq!(budget(1_000).verdict, Verdict::Pass, "{:?}", budget(1_000).reasons);
    let failback = budget(1_000).services[0].failback.unwrap();
    assert!((span(860)..=span(900)).contains(&failback.bounds.low), "{failback:?}");
    let unwatched =
        Case { marks: Marks { restore_confirmed: None, ..marks() }, ..stayed(true, None) };
    assert_eq!(codes(&judged(&unwatched)), ["not-back"]);
}

#[test]
fn what_may_stay_proves_no_return_of_what_may_not() {
    let mut case = stayed(true, Some(800));
    let other = ProbeSpec { may_stay: false, ..case.plan.services[0].probes[0].clone() };
    case.plan.services[0].probes.push(ProbeSpec { name: "page".into(), ..other });
    let observe = |case: &Case, page: &dyn Fn(&Sample) -> Sample| {
        let plan = Arc::new(case.plan.clone());
        let mut observation = Observation::new(plan.clone(), Offset::ZERO);
        observation.marks = case.marks;
        for (probe, sample) in case.samples.iter().flat_map(|it| [(0, *it), (1, page(it))]) {
            let probe = ProbeId { service: 0, probe };
            observation.push(Sampled { vantage: VantageId(0), probe, sample });
        }
        let proof = prove(&plan, &observation, vec![case.control.clone()]);
        judge(&plan, &observation, &proof, Ending::default())
    };
    // A page that does not tell who serves, or is not served by the cut datacenter again, leaves it open.
    let unnamed = |it: &Sample| Sample { served_by: ServedBy::Unnamed, ..*it };
    assert_eq!(codes(&observe(&case, &unnamed)), ["promise-undecided"]);
    assert_ne!(observe(&case, &|it| *it).verdict, Verdict::Pass);
    let good = good_samples();
    let back = |it: &Sample| good[it.seq as usize];
    assert_eq!(observe(&case, &back).verdict, Verdict::Pass);
}

#[test]
fn old_connections_may_finish_in_a_drain_and_prove_it_once_they_have() {
    let drained = |by: DatacenterId| {
        let mut case =
            Case { plan: plan(), marks: marks(), samples: good_samples(), control: held() };
        case.plan.cut.mode = Mode::Drain;
        case.plan.services[0].probes[0].connection = Connection::KeepAlive;
        case.control.path = None;
        case.each(2000, 2020, |sample| sample.served_by = ServedBy::Datacenter(by));
        verdict(case.plan, case.marks, &case.samples, case.control)
    };
    assert_eq!(drained(SURVIVOR).verdict, Verdict::Pass);
    assert_eq!(codes(&drained(CUT)), ["not-seen-by-users"]);
}

#[test]
fn answers_that_name_nobody_do_not_prove_that_the_cut_datacenter_is_silent() {
    without("unnamed while cut", Verdict::Inconclusive, "not-seen-by-users", |case| {
        case.control.path = None;
        case.each(CUT_AT, RESTORED_AT, |sample| sample.served_by = ServedBy::Unnamed);
    });
}

#[test]
fn a_failback_that_nobody_could_see_is_not_kept() {
    without("no probe tells who served", Verdict::Inconclusive, "promise-undecided", |case| {
        case.plan.services[0].probes[0].served_by = None;
        case.each(0, END, |sample| sample.served_by = ServedBy::Unnamed);
    });
}

#[test]
fn unknown_samples_after_the_restore_sustain_nothing() {
    let mut case = Case { plan: plan(), marks: marks(), samples: good_samples(), control: held() };
    case.plan.services[0].promises = Promises { sustain: true, ..Promises::default() };
    case.each(CUT_AT, 1200, |sample| sample.outcome = Outcome::Good);
    case.each(RESTORED_AT, END, |sample| sample.outcome = Outcome::Unknown(Blindness::NoMemory));
    let judged = verdict(case.plan, case.marks, &case.samples, case.control);
    assert_eq!(judged.services[0].promises[0].judgement, Judgement::Undecided);
}

#[test]
fn the_weightiest_verdict_wins() {
    let plan = Arc::new(plan());
    let mut observation = Observation::new(plan.clone(), Offset::ZERO);
    observation.marks = marks();
    let proof = prove(&plan, &observation, vec![held()]);
    let why = || Why::new("test", "for a test");
    let all = Ending {
        not_started: vec![why()],
        cut_failed: Some(why()),
        stopped: Some(why()),
        not_restored: vec![why()],
    };
    let end = |ending: Ending| judge(&plan, &observation, &proof, ending).verdict;
    assert_eq!(end(all.clone()), Verdict::NotRestored);
    let restored = Ending { not_restored: Vec::new(), ..all };
    assert_eq!(end(restored.clone()), Verdict::NotStarted);
    let started = Ending { not_started: Vec::new(), ..restored };
    assert_eq!(end(started.clone()), Verdict::Stopped);
    assert_eq!(end(Ending { stopped: None, ..started }), Verdict::Inconclusive);
}

#[test]
fn a_baseline_that_is_not_steady_is_refused() {
    let unsteady = |change: &dyn Fn(&mut Sample), standby: bool| {
        let mut plan = plan();
        plan.services[0].standby = standby;
        let mut observation = Observation::new(Arc::new(plan), Offset::ZERO);
        for mut sample in good_samples().into_iter().take(45) {
            change(&mut sample);
            let probe = ProbeId::default();
            observation.push(Sampled { vantage: VantageId(0), probe, sample });
        }
        let found = observation.unsteady(ms(900));
        found.into_iter().map(|why| why.code).collect::<Vec<String>>()
    };
    assert!(unsteady(&|_| {}, false).is_empty());
    let one_bad = |sample: &mut Sample| {
        if sample.seq == 7 {
            sample.outcome = BAD;
        }
    };
    assert_eq!(unsteady(&one_bad, false), ["not-steady"]);
    let elsewhere = |sample: &mut Sample| sample.served_by = ServedBy::Datacenter(SURVIVOR);
    assert_eq!(unsteady(&elsewhere, false), ["served-nothing"]);
    assert!(unsteady(&elsewhere, true).is_empty(), "a standby serves nothing, and that is known");
    let blind = |sample: &mut Sample| sample.outcome = Outcome::Unknown(Blindness::NoMemory);
    assert!(unsteady(&blind, false).contains(&"too-few-samples".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Spoils a drill that passes in up to three places. If it still passes, the proof is looked
    /// for in the samples themselves.
    #[test]
    fn whatever_passes_has_its_proof_in_the_samples(
        spoils in proptest::collection::vec((0..END, 1..900u64, 0..6u8), 0..4),
        reads_cut in 2..=3u64, passed in 0..2u64, confirmed in any::<Option<bool>>(),
    ) {
        let mut case =
            Case { plan: plan(), marks: marks(), samples: good_samples(), control: held() };
        for (from, length, kind) in spoils {
            case.each(from, from + length, |sample| match kind {
                0 => sample.outcome = BAD,
                1 => sample.outcome = Outcome::Unknown(Blindness::NoLocalPort),
                2 => sample.served_by = ServedBy::Datacenter(CUT),
                3 => sample.served_by = ServedBy::Datacenter(SURVIVOR),
                4 => sample.done = sample.sent.plus(span(700)),
                _ => sample.outcome = Outcome::Good,
            });
        }
        case.control.reads_cut = reads_cut;
        case.control.path = Some(PathCounters { connections: 1, bytes: passed });
        case.marks.cut_confirmed = confirmed.map(|_| ms(CUT_AT + 2));
        let judged = verdict(case.plan.clone(), case.marks, &case.samples, case.control.clone());
        if judged.verdict != Verdict::Pass {
            return Ok(());
        }
        prop_assert!(case.marks.cut_confirmed.is_some());
        prop_assert_eq!((case.control.reads_cut, passed), (3, 0));
        let within = |from: u64, to: u64| {
            case.samples.iter().filter(move |s| (ms(from)..ms(to)).contains(&s.sent))
        };
        let by_cut = |s: &&Sample| {
            s.served_by == ServedBy::Datacenter(CUT) && s.done < ms(RESTORED_AT)
                && (s.outcome.is_good() || s.served_by != ServedBy::Unnamed)
        };
        prop_assert!(within(0, CUT_AT).any(|s| by_cut(&s)), "it served before");
        prop_assert_eq!(within(CUT_AT + 2, RESTORED_AT).filter(by_cut).count(), 0, "and not while cut");
        // One that was under way at the restore, and not for long, may have failed because of it.
        let may_be_the_restore =
            |s: &Sample| s.done >= ms(RESTORED_AT) && ms(RESTORED_AT).since(s.sent) <= STALL + span(2);
        let bad = |s: &&Sample| matches!(s.outcome, Outcome::Bad(_)) && !may_be_the_restore(s);
        let late = within(CUT_AT + 2 + 800 + 1, RESTORED_AT).filter(bad).count();
        prop_assert_eq!(late, 0, "nobody failed beyond the budget");
        let asked: Vec<Offset> = within(CUT_AT, END)
            .filter(|s| !matches!(s.outcome, Outcome::Unknown(_)))
            .map(|s| s.sent)
            .collect();
        let blind = asked.windows(2).any(|pair| pair[1].since(pair[0]) > span(EVERY + 500));
        prop_assert!(!blind, "the observer was not blind");
        let back = within(RESTORED_AT, RESTORED_AT + 900)
            .any(|s| s.outcome.is_good() && s.served_by == ServedBy::Datacenter(CUT));
        prop_assert!(back, "it served again");
        let mut promises = judged.services.iter().flat_map(|service| &service.promises);
        let all_kept = promises.all(|promise| promise.judgement == Judgement::Kept);
        prop_assert!(all_kept);
    }
}

#[test]
fn a_service_that_hangs_since_the_middle_of_the_baseline_is_not_cut() {
    let mut observation = Observation::new(Arc::new(plan()), Offset::ZERO);
    // What was sent since has not ended: it is good only as far as samples came back.
    for sample in good_samples().into_iter().take(15) {
        let probe = ProbeId::default();
        observation.push(Sampled { vantage: VantageId(0), probe, sample });
    }
    let found: Vec<String> =
        observation.unsteady(ms(CUT_AT)).into_iter().map(|why| why.code).collect();
    assert_eq!(found, ["not-steady"]);
}

#[test]
fn a_probe_that_is_not_required_does_not_show_that_the_required_one_was_served() {
    let mut plan = plan();
    let extra =
        ProbeSpec { name: "extra".into(), required: false, ..plan.services[0].probes[0].clone() };
    plan.services[0].probes.push(extra);
    let mut observation = Observation::new(Arc::new(plan), Offset::ZERO);
    for sample in good_samples().into_iter().take(45) {
        let elsewhere = Sample { served_by: ServedBy::Datacenter(SURVIVOR), ..sample };
        for (number, sample) in [(0, elsewhere), (1, sample)] {
            let probe = ProbeId { service: 0, probe: number };
            observation.push(Sampled { vantage: VantageId(0), probe, sample });
        }
    }
    let found = observation.unsteady(ms(900)).into_iter();
    let found: Vec<String> = found.map(|why| why.code).collect();
    assert_eq!(found, ["served-nothing"]);
}
