//! Every prediction with its chain, and the check against a slow one that is plainly right.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::Placement;
use crate::model::{
    ControlPlane, DatacenterId, Dependency, Forecast, Home, Loss, Outlook, Plan, Service, Stand,
};
use crate::plan::{Inputs, parse};

/// A plan of one measured service, `front`, beside whatever else is written.
fn plan(lab: &str, control_plane: &str, services: &str) -> Plan {
    let text = format!(
        "version: 1\nname: test\ndatacenters: [pangyo, anyang, gasan]\n{lab}\
         traffic: {{ edge: {{ haproxy: {{ socket: /x, servers: {{ pangyo: a/p, anyang: a/a, gasan: a/g }} }} }} }}\n\
         control_plane:\n  observer: {{ in: [pangyo, anyang], for: [front] }}\n{control_plane}\
         services:\n  front:\n    in: [pangyo, anyang, gasan]\n    probes: {{ p: {{ http: \"http://x/\", every: 100ms, \
         served_by: {{ header: x }} }} }}\n    promises: {{ recover_within: 5s }}\n{services}\
         cut: {{ datacenter: pangyo, mode: reset, through: edge }}\n"
    );
    let inputs = Inputs { vars: &BTreeMap::new(), env: &|_| None };
    let outcome = parse("test.yaml", text.as_bytes(), &inputs);
    outcome.plan.unwrap_or_else(|| panic!("{:#?}\n{text}", outcome.findings))
}

/// The loss of Pangyo, without what is as on any other day, a line each.
fn told(plan: &Plan) -> Vec<String> {
    lines(Placement::of(plan, &[]).loss(&[DatacenterId(0)]))
}

fn lines(loss: Loss) -> Vec<String> {
    let loss = loss.news();
    let line = |it: &Forecast| format!("{}: {}", it.predicted, it.why());
    loss.control_plane.iter().chain(&loss.services).map(line).collect()
}

#[test]
fn what_stood_only_in_the_lost_datacenter_is_down_with_all_that_depends_on_it() {
    let control_plane = "  key-store: { in: [pangyo] }\n";
    let services = "  pay: { in: [pangyo, anyang], depends_on: [login] }\n  \
                    login: { in: [anyang], depends_on: [key-store] }\n  mail: { in: anyang }\n";
    let expected = [
        "down: key-store: only in pangyo",
        "down: pay -> login -> key-store: only in pangyo",
        "down: login -> key-store: only in pangyo",
    ];
    assert_eq!(told(&plan("", control_plane, services)), expected);
}

#[test]
fn a_standby_needs_everything_that_brings_it_up() {
    let login = "  login: { in: { active: [pangyo], standby: [gasan] } }\n  \
                 pay: { in: [anyang], depends_on: [login] }\n";
    let fine = "  switch-over: { in: [anyang] }\n";
    let waits = [
        "needs failover: login: standby in gasan",
        "needs failover: pay -> login: standby in gasan",
    ];
    assert_eq!(told(&plan("", fine, login)), waits);
    let gone = "  switch-over: { in: [pangyo] }\n";
    let lost = [
        "down: switch-over: only in pangyo",
        "down: login -> switch-over: only in pangyo",
        "down: pay -> login -> switch-over: only in pangyo",
    ];
    assert_eq!(told(&plan("", gone, login)), lost);
    let for_another = "  switch-over: { in: [pangyo], for: [pay] }\n";
    let expected = [&["down: switch-over: only in pangyo"][..], &waits[..]].concat();
    assert_eq!(told(&plan("", for_another, login)), expected, "pay itself needs no failover");
    let behind = "  switch-over: { in: [anyang], depends_on: [dns] }\n  dns: { in: [pangyo] }\n";
    let chain = told(&plan("", behind, login));
    assert!(
        chain.contains(&"down: login -> switch-over -> dns: only in pangyo".to_owned())
            || chain.contains(&"down: login -> dns: only in pangyo".to_owned()),
        "{chain:?}"
    );
}

#[test]
fn survivors_that_are_too_few_are_degraded_and_so_is_what_depends_on_them() {
    let services = "  login: { in: { active: { pangyo: 10, anyang: 6 }, standby: [gasan], needs: 7 } }\n  \
                    pay: { in: [anyang], depends_on: [login] }\n";
    let expected = [
        "degraded: login: 6 servers left, and it needs 7",
        "degraded: pay -> login: 6 servers left, and it needs 7",
    ];
    assert_eq!(told(&plan("", "", services)), expected);
    let enough = services.replace("needs: 7", "needs: 6");
    assert!(told(&plan("", "", &enough)).is_empty());
}

#[test]
fn a_standby_that_is_too_small_is_degraded_and_one_that_suffices_must_fail_over() {
    let small = "  spare: { in: { active: { pangyo: 10 }, standby: { gasan: 2 }, needs: 10 } }\n  \
                 pay: { in: [anyang], depends_on: [spare] }\n";
    let why = "spare: 2 servers in the standby in gasan, and it needs 10";
    let expected = [format!("degraded: {why}"), format!("degraded: pay -> {why}")];
    assert_eq!(told(&plan("", "", small)), expected);
    let gone = "  switch-over: { in: [pangyo], for: [spare] }\n";
    assert_eq!(told(&plan("", gone, small))[1], "down: spare -> switch-over: only in pangyo");
    let enough = small.replace("gasan: 2", "gasan: 10");
    assert_eq!(told(&plan("", "", &enough))[0], "needs failover: spare: standby in gasan");

    let few = "  spare: { in: { active: { pangyo: 10, anyang: 2 }, standby: { gasan: 8 }, needs: 10 } }\n";
    let why = "spare: 2 servers left without the standby in gasan, and it needs 10";
    assert_eq!(told(&plan("", "", few)), [format!("needs failover: {why}")]);
    let lost = told(&plan("", gone, few));
    assert_eq!(
        lost[1], "degraded: spare -> switch-over: only in pangyo",
        "two servers still serve"
    );
    let fewer = told(&plan("", gone, &few.replace("gasan: 8", "gasan: 7")));
    assert_eq!(fewer[1], "degraded: spare: 2 servers left and 7 in standby, and it needs 10");
    let uncounted = told(&plan("", "", &few.replace("{ gasan: 8 }", "[gasan]")));
    assert_eq!(uncounted, ["degraded: spare: 2 servers left, and it needs 10"]);
}

#[test]
fn what_is_for_one_service_is_named_before_what_is_for_all_and_the_others_after_it() {
    let parts = "  monitoring: { in: [pangyo] }\n  tools: { in: [pangyo] }\n  \
                 switch-over: { in: [pangyo], for: [login] }\n";
    let services = "  login: { in: { active: [pangyo], standby: [gasan] }, depends_on: [keys] }\n  \
                    keys: { in: [pangyo] }\n  mail: { in: [anyang], depends_on: [login] }\n";
    let plan = plan("", parts, services);
    let loss = Placement::of(&plan, &[]).loss(&[DatacenterId(0)]);
    let mail = loss.services.iter().find(|it| it.name == "mail".into()).unwrap();
    assert_eq!(mail.also, ["keys".into(), "monitoring".into(), "tools".into()]);
    assert_eq!(
        mail.why(),
        "mail -> login -> switch-over: only in pangyo; and keys, monitoring, tools"
    );
    assert_eq!(loss.services[2].also, []);
    let more = Forecast { also: vec!["a".into(); 5], ..mail.clone() };
    assert_eq!(more.reason(), "only in pangyo; and a, a, a and 2 more");
}

/// Talk in the lab of two datacenters, asked for `path`; `check` is what its health checks look at.
fn asked(path: &str, check: &str, extra: &str) -> Vec<String> {
    let text = format!(
        "version: 1\nname: test\ndatacenters: [pangyo, anyang]\nlab:\n  services:\n    \
         talk: {{ replicas: {{ pangyo: 1, anyang: 1 }}, check: {check}, calls: [old], paths: {{ /text: [], /all: [mid] }}{extra} }}\n    \
         mid: {{ replicas: {{ pangyo: 1, anyang: 1 }}, calls: [deep], paths: {{ /all/text: [] }} }}\n    \
         old: {{ pangyo: 1 }}\n    deep: {{ pangyo: 1 }}\n  controllers: {{ switch: {{ in: [pangyo] }} }}\n\
         traffic: {{ site: {{ lab: {{}} }} }}\ncontrol_plane: {{ monitoring: {{ in: [pangyo] }} }}\n\
         services:\n  front:\n    probes: {{ p: {{ http: \"${{lab:talk}}{path}\", every: 100ms, \
         served_by: {{ header: x }} }} }}\n    promises: {{ recover_within: 5s }}\n\
         cut: {{ datacenter: pangyo, mode: reset, through: site }}\n"
    );
    let inputs = Inputs { vars: &BTreeMap::new(), env: &|_| None };
    let outcome = parse("test.yaml", text.as_bytes(), &inputs);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:#?}\n{text}", outcome.findings));
    let told = told(&plan).into_iter();
    told.filter(|line| !line.starts_with("down: switch:") && !line.starts_with("down: monit"))
        .collect()
}

#[test]
fn a_probe_needs_what_the_path_that_it_asks_calls() {
    let none: [&str; 0] = [];
    assert_eq!(asked("/text", "up", ""), none);
    assert_eq!(asked("/text/1?all", "up", ""), none);
    assert_eq!(asked("", "up", ""), ["down: front -> talk -> old: only in pangyo"]);
    assert_eq!(asked("/textual", "up", ""), ["down: front -> talk -> old: only in pangyo"]);
    assert_eq!(asked("/all", "up", ""), ["down: front -> talk -> mid -> deep: only in pangyo"]);
    // What is called is asked for the same path.
    assert_eq!(asked("/all/text", "up", ""), none);
    // A health check that looks deeper takes all replicas out, whatever is asked.
    assert_eq!(asked("/text", "deep", ""), ["down: front -> talk -> old: only in pangyo"]);
    // The controller is for talk, and monitoring is for all.
    let first = "down: front -> talk -> switch: only in pangyo; and ";
    assert_eq!(asked("", "up", ", switched_by: switch"), [format!("{first}old, monitoring")]);
    assert_eq!(asked("/text", "up", ", switched_by: switch"), [format!("{first}monitoring")]);
}

#[test]
fn who_depends_on_something_of_unknown_place_is_unknown_unless_it_says_where_it_runs() {
    let probe = "probes: { p: { http: \"http://x/\", every: 100ms } }";
    let services = format!(
        "  b: {{ {probe} }}\n  a: {{ {probe}, depends_on: [b] }}\n  c: {{ in: [anyang], depends_on: [b] }}\n  \
         d: {{ {probe}, depends_on: [c] }}\n  e: {{ {probe}, depends_on: [c, b] }}\n"
    );
    let plan = plan("", "", &services);
    let loss = Placement::of(&plan, &[]).loss(&[DatacenterId(0)]);
    let predicted: Vec<Outlook> = loss.services.iter().map(|it| it.predicted).skip(1).collect();
    use Outlook::{Unknown, Up};
    assert_eq!(predicted, [Unknown, Unknown, Up, Up, Unknown]);
}

#[test]
fn several_datacenters_are_lost_at_once() {
    let plan = plan("", "", "  mail: { in: [pangyo, anyang] }\n");
    let placement = Placement::of(&plan, &[]);
    let both = placement.loss(&[DatacenterId(1), DatacenterId(0), DatacenterId(1)]);
    assert_eq!(both.datacenters, ["pangyo".into(), "anyang".into()]);
    let expected =
        ["down: observer: only in pangyo and anyang", "down: mail: only in pangyo and anyang"];
    assert_eq!(lines(both), expected);
    assert!(lines(placement.loss(&[])).is_empty());
    let all = placement.losses();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|loss| !loss.is_any()), "one alone loses nothing");
}

#[test]
fn an_address_stands_for_a_place_once_it_is_located() {
    let plan = plan("", "  registry: { address: \"r.example:443\" }\n", "");
    let registry = |located: &[Vec<DatacenterId>]| {
        let loss = Placement::of(&plan, located).loss(&[DatacenterId(0)]);
        loss.control_plane[1].predicted
    };
    assert_eq!(registry(&[]), Outlook::Unknown);
    assert_eq!(registry(&[vec![], vec![DatacenterId(0)]]), Outlook::Down);
    assert_eq!(registry(&[vec![], vec![DatacenterId(0), DatacenterId(1)]]), Outlook::Up);
}

#[test]
fn a_very_long_chain_is_shortened_in_its_middle() {
    let links: String = (0..20_000)
        .map(|number| format!("  s{number}: {{ in: [anyang], depends_on: [s{}] }}\n", number + 1))
        .collect();
    let loss = told(&plan("", "", &format!("{links}  s20000: {{ in: [pangyo] }}\n")));
    assert_eq!(loss.len(), 20_001);
    let first = "down: s0 -> s1 -> s2 -> s3 -> s4 -> s5 -> s6 -> s7 -> s8 -> (19991 more) -> s20000: \
                 only in pangyo";
    assert_eq!(loss[0], first);
    assert_eq!(
        loss[19_992],
        "down: s19992 -> s19993 -> s19994 -> s19995 -> s19996 -> s19997 -> s19998 -> \
                s19999 -> s20000: only in pangyo"
    );
    assert!(!loss[19_991].contains("more"), "{}", loss[19_991]);
}

const DATACENTERS: usize = 3;

fn stands() -> impl Strategy<Value = Vec<Stand>> {
    let counts = prop::option::of(1..9_u32);
    prop::collection::btree_map(0..DATACENTERS as u16, counts, 0..3).prop_map(|map| {
        let stand = |(id, servers)| Stand { datacenter: DatacenterId(id), servers };
        map.into_iter().map(stand).collect()
    })
}

fn home() -> impl Strategy<Value = Option<Home>> {
    let home = (stands(), stands(), prop::option::of(1..12_u32));
    prop::option::weighted(
        0.9,
        home.prop_map(|(active, standby, needs)| Home { active, standby, needs }),
    )
}

/// Dependencies without any order, so that there are cycles too: nothing may hang or panic.
fn dependencies() -> impl Strategy<Value = Vec<Dependency>> {
    let one = prop_oneof![
        (0..6_usize).prop_map(Dependency::Service),
        (0..3_usize).prop_map(Dependency::ControlPlane)
    ];
    prop::collection::vec(one, 0..3)
}

prop_compose! {
    fn plans()(
        services in prop::collection::vec((home(), dependencies()), 6),
        parts in prop::collection::vec(
            (prop::collection::vec(0..DATACENTERS as u16, 0..3), prop::option::of(prop::collection::vec(0..6_usize, 1..3)), dependencies()),
            3,
        ),
    ) -> Plan {
        let mut plan = plan("", "", "");
        let named = |prefix: &str, number: usize| format!("{prefix}{number}").as_str().into();
        plan.services = services.into_iter().enumerate().map(|(number, (home, depends_on))| Service {
            name: named("s", number), users: None, standby: false, home, depends_on,
            probes: vec![], promises: Default::default(),
        }).collect();
        plan.control_plane = parts.into_iter().enumerate().map(|(number, (home, serves, depends_on))| ControlPlane {
            name: named("c", number), home: home.into_iter().map(DatacenterId).collect(), address: None,
            serves, depends_on,
        }).collect();
        plan
    }
}

/// The prediction by its definition.
fn oracle(plan: &Plan, cut: &[DatacenterId]) -> (Vec<Outlook>, Vec<Outlook>) {
    let left = |stands: &[Stand]| -> Vec<Stand> {
        stands.iter().filter(|stand| !cut.contains(&stand.datacenter)).copied().collect()
    };
    let few = |stands: &[Stand], home: &Home| {
        let known = stands.iter().all(|stand| stand.servers.is_some());
        let sum: u32 = stands.iter().filter_map(|stand| stand.servers).sum();
        home.needs.filter(|_| known).map(|needs| sum < needs)
    };
    // What becomes of it when its standby comes up, and when it does not.
    let own = |home: &Home| {
        let (active, standby) = (left(&home.active), left(&home.standby));
        let both = few(&[active.clone(), standby.clone()].concat(), home);
        let alone = few(&active, home) == Some(true);
        match (active.is_empty(), standby.is_empty()) {
            (true, true) => (Outlook::Down, Outlook::Down),
            (true, false) if both == Some(true) => (Outlook::Degraded, Outlook::Down),
            (true, false) => (Outlook::NeedsFailover, Outlook::Down),
            (false, _) if !alone => (Outlook::Up, Outlook::Up),
            (false, false) if both == Some(false) => (Outlook::NeedsFailover, Outlook::Degraded),
            (false, _) => (Outlook::Degraded, Outlook::Degraded),
        }
    };
    let lost = |home: &[DatacenterId]| !home.is_empty() && home.iter().all(|id| cut.contains(id));
    let part = |it: &ControlPlane| if lost(&it.home) { Outlook::Down } else { Outlook::Up };
    let parts: Vec<Outlook> = plan.control_plane.iter().map(part).collect();
    let homes = plan.services.iter();
    let homes = homes.map(|it| it.home.as_ref().map_or((Outlook::Up, Outlook::Up), own));
    let homes: Vec<(Outlook, Outlook)> = homes.collect();
    let is_stranded = |number: usize, parts: &[Outlook]| {
        plan.control_plane.iter().zip(parts).any(|(part, found)| {
            let serves = part.serves.as_ref();
            serves.is_none_or(|serves| serves.contains(&number)) && *found == Outlook::Down
        })
    };
    // Who is down comes first: on that it depends who is stranded, and on nothing else.
    let own = |number: usize, parts: &[Outlook]| match is_stranded(number, parts) {
        true => homes[number].1,
        false => homes[number].0,
    };
    let only_down = |it: Outlook| if it == Outlook::Down { it } else { Outlook::Up };
    let down = fixpoint(plan, parts.clone(), |number, parts| only_down(own(number, parts)));
    fixpoint(plan, parts, |number, _| own(number, &down.1))
}

/// Raises everything to what it is by itself and to what it depends on until nothing changes any more.
fn fixpoint(
    plan: &Plan,
    mut parts: Vec<Outlook>,
    own: impl Fn(usize, &[Outlook]) -> Outlook,
) -> (Vec<Outlook>, Vec<Outlook>) {
    let mut services = vec![Outlook::Up; plan.services.len()];
    loop {
        let before = (services.clone(), parts.clone());
        let of = |services: &[Outlook], parts: &[Outlook], it: &Dependency| match it {
            Dependency::Service(number) => services[*number],
            Dependency::ControlPlane(number) => parts[*number],
        };
        for (number, service) in plan.services.iter().enumerate() {
            services[number] = services[number].max(own(number, &parts));
            for it in &service.depends_on {
                services[number] = services[number].max(of(&services, &parts, it));
            }
        }
        for (number, part) in plan.control_plane.iter().enumerate() {
            for it in &part.depends_on {
                parts[number] = parts[number].max(of(&services, &parts, it));
            }
        }
        if before == (services.clone(), parts.clone()) {
            return (services, parts);
        }
    }
}

proptest! {
    #[test]
    fn the_check_says_what_its_definition_says(
        plan in plans(),
        cut in prop::collection::vec((0..DATACENTERS as u16).prop_map(DatacenterId), 0..3),
    ) {
        let loss = Placement::of(&plan, &[]).loss(&cut);
        let known = |forecasts: &[Forecast]| -> Vec<Outlook> {
            forecasts.iter().map(|it| it.predicted.max(Outlook::Up)).collect()
        };
        let (services, parts) = oracle(&plan, &cut);
        prop_assert_eq!(known(&loss.services), services);
        prop_assert_eq!(known(&loss.control_plane), parts);
        for it in loss.services.iter().chain(&loss.control_plane) {
            prop_assert_eq!(it.chain.is_empty(), it.predicted <= Outlook::Up);
            prop_assert_eq!(it.because.is_empty(), it.chain.is_empty());
            prop_assert!(it.chain.first().is_none_or(|first| *first == it.name));
        }
    }
}

mod compared {
    use std::time::Duration;

    use super::super::compare::record;
    use super::plan;
    use crate::model::{
        Bounds, Forecast, Latency, Loss, Marks, Offset, Outage, Outlook, ProbeCounts, ProbeRecord,
        Recovery, Seen, ServiceRecord, Stage,
    };

    fn at(millis: u64) -> Offset {
        Offset::from_millis(millis)
    }

    /// Cut at 1 s, restored at 5 s; outages from and to, in milliseconds, and good samples while cut.
    fn measured(
        predicted: Outlook,
        outages: &[(u64, Option<u64>)],
        good: u64,
    ) -> (Seen, Option<bool>) {
        let marks = Marks {
            cut_issued: Some(at(1000)),
            cut_confirmed: Some(at(1001)),
            restore_issued: Some(at(5000)),
            ..Marks::default()
        };
        let outage = |&(from, to): &(u64, Option<u64>)| Outage {
            began_after: at(from),
            began_by: at(from),
            ended_after: at(to.unwrap_or(5000)),
            ended_by: to.map(at),
            samples: 50,
        };
        let second = Duration::from_secs(1);
        let high = outages.iter().all(|outage| outage.1.is_some()).then_some(second);
        let recovery = Recovery {
            bounds: Bounds { low: Duration::ZERO, high },
            seamless: outages.is_empty(),
            relapses: 0,
            split: None,
        };
        let latency = Latency { count: good, p50: second, p99: second, max: second };
        let probe = ProbeRecord {
            name: "p".into(),
            asks: "GET ${lab:talk}/send".into(),
            may_stay: false,
            required: true,
            every: Duration::from_millis(20),
            keep_alive: false,
            cohort: None,
            counts: ProbeCounts::default(),
            latency: [(Stage::Observe, latency)].into(),
            served: Default::default(),
            outage_count: outages.len() as u64,
            outages: outages.iter().map(outage).collect(),
            recovery: Some(recovery),
            failback: None,
            ledger: None,
            course: Default::default(),
        };
        let service = ServiceRecord {
            name: "front".into(),
            users: None,
            recovery: None,
            failback: None,
            promises: vec![],
            impact: None,
            probes: vec![probe],
        };
        let forecast = Forecast {
            name: "front".into(),
            predicted,
            chain: vec![],
            left_out: 0,
            because: String::new(),
            also: vec![],
        };
        let loss = Loss { services: vec![forecast], ..Loss::default() };
        let compared = record(&plan("", "", ""), loss, &[service], &marks).services.remove(0);
        (compared.measured, compared.agrees)
    }

    #[test]
    fn what_was_seen_is_named_by_how_it_went_on() {
        use Outlook::{Degraded, Down, NeedsFailover, Unknown, Up};
        let back = &[(1100, Some(1900))][..];
        let again = &[(1100, Some(1900)), (3000, Some(3500))][..];
        let gone = &[(1100, None)][..];
        assert_eq!(measured(Up, &[], 100), (Seen::Up, Some(true)));
        assert_eq!(measured(Up, back, 100), (Seen::FailedOver, Some(true)));
        assert_eq!(measured(Up, again, 100), (Seen::Degraded, Some(false)));
        assert_eq!(measured(Up, gone, 100), (Seen::Degraded, Some(false)));
        assert_eq!(measured(Up, gone, 3), (Seen::Down, Some(false)));
        assert_eq!(measured(Down, gone, 0), (Seen::Down, Some(true)));
        assert_eq!(measured(Down, back, 100), (Seen::FailedOver, Some(false)));
        assert_eq!(measured(NeedsFailover, back, 100), (Seen::FailedOver, Some(true)));
        assert_eq!(measured(NeedsFailover, gone, 0), (Seen::Down, Some(false)));
        assert_eq!(measured(Degraded, &[], 100), (Seen::Up, Some(true)));
        assert_eq!(measured(Unknown, gone, 0), (Seen::Down, None));
    }
}
