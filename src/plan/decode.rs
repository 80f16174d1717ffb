//! The top of a plan: what it is about, its datacenters, lab, cut and timing.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{DatacenterId, Degrade, Mode, ModeKind, Name, Timing};

use super::draft::{ControlDraft, CutDraft, Datacenters, Draft, TimingDraft};
use super::finding::{is_hostile, quote};
use super::guardrail::{self, Services};
use super::load;
use super::read::{At, Fields, Label, Reader, Value};
use super::suggest::instead;
use super::tree::{Node, Span};
use super::{calendar, dns, kill_switch, lab, notify, service, topology, traffic};

const TOP: &[&str] = &[
    "version",
    "name",
    "about",
    "datacenters",
    "lab",
    "networks",
    "traffic",
    "control_plane",
    "services",
    "load",
    "cut",
    "timing",
    "guardrails",
    "kill_switch",
    "allowed",
    "blocked",
    "notify",
];

/// Reads everything that can be read.
pub(super) fn draft(reader: &mut Reader, root: &Node) -> Option<Draft> {
    let whole = Value { key: "plan", at: root.span, node: root };
    let top = reader.fields(whole, Label("the plan", ""), TOP)?;
    // References need what they refer to, whatever the order in the file.
    version(reader, &top);
    let name = top.need(reader, "name", "a-name").and_then(|value| reader.name(value));
    let about = top.get("about").and_then(|value| about(reader, value));
    let datacenters = datacenters(reader, &top);
    let lab = top.get("lab").and_then(|value| lab::read(reader, value, &datacenters));
    let timing = timing(reader, &top);
    let mut traffic = top
        .need(reader, "traffic", "{ wan: { lab: {} } }")
        .map(|value| traffic::controls(reader, value, &datacenters))
        .unwrap_or_default();
    traffic::mind_the_length(&mut traffic, timing.timing.at_most);
    let before = reader.findings.errors();
    let services_value = top.need(reader, "services", "{ NAME: { probes: …, promises: … } }");
    let (mut services, all_named) = match services_value {
        Some(value) => service::services(reader, value, &datacenters),
        None => (Vec::new(), false),
    };
    let networks = topology::networks(reader, &top, &datacenters);
    let (parts, all_parts) = topology::control_plane(reader, &top, &datacenters);
    let known = topology::Known::new(reader, &services, &parts, all_named && all_parts);
    for draft in &mut services {
        draft.service.depends_on = known.dependencies(reader, &draft.depends_on);
    }
    let control_plane = known.control_plane(reader, &parts);
    let services_complete = reader.findings.errors() == before;
    let loads = top.get("load").map(|value| load::loads(reader, value)).unwrap_or_default();
    let cut = top
        .need(reader, "cut", "{ datacenter: …, mode: blackhole, through: […] }")
        .and_then(|value| cut(reader, value, &datacenters, &traffic));
    if let Some(lost) = cut.as_ref().and_then(|cut| cut.datacenters.as_ref()) {
        services.iter_mut().for_each(|draft| service::mind_the_home(draft, lost));
        services.iter_mut().for_each(|draft| dns::mind_the_cut(draft, lost));
    }
    let known = Services { drafts: &services, complete: services_complete };
    let mut guardrails = match top.get("guardrails") {
        Some(value) => guardrail::guardrails(reader, value, known, timing.timing.at_most),
        None => Vec::new(),
    };
    guardrails.extend(top.get("kill_switch").and_then(|value| kill_switch::read(reader, value)));
    Some(Draft {
        name: name.map(|name| name.value),
        about,
        datacenters,
        lab,
        traffic,
        services,
        services_at: services_value.map_or(top.at, |value| value.at),
        services_complete,
        control_plane_at: parts.iter().map(|part| part.at).collect(),
        control_plane,
        networks,
        loads,
        cut,
        timing,
        guardrails,
        calendar: calendar::calendar(reader, &top),
        notify: top
            .get("notify")
            .map(|value| notify::notifications(reader, value))
            .unwrap_or_default(),
    })
}

fn version(reader: &mut Reader, top: &Fields) {
    let Some(value) = top.need(reader, "version", "1") else { return };
    let Some(version) = reader.shown(value, "the number 1") else { return };
    if version != "1" {
        let what = format!("this firedrill reads plans of version 1, not {}", quote(&version));
        reader.findings.error("bad-value", value.span(), what, "write `version: 1`");
    }
}

fn about(reader: &mut Reader, value: Value) -> Option<String> {
    const LONGEST: usize = 2_000;
    let text = reader.public(value, "text")?;
    let text = text.trim();
    if text.len() > LONGEST || text.chars().any(|c| is_hostile(c) && c != '\n' && c != '\t') {
        let what = "`about` is longer than 2000 bytes or holds control characters";
        reader.findings.error("bad-value", value.span(), what, "say in a sentence what is drilled");
        return None;
    }
    Some(text.to_owned())
}

fn datacenters(reader: &mut Reader, top: &Fields) -> Datacenters {
    const MOST: usize = 1_000;
    let mut known = Datacenters::default();
    let Some(value) = top.need(reader, "datacenters", "[east, west]") else {
        known.broken = true;
        return known;
    };
    let before = reader.findings.errors();
    let items = reader.list(value, "a list of names such as `[east, west]`");
    known.broken = reader.findings.errors() > before;
    let count = items.len();
    for item in items.into_iter().take(MOST) {
        let Some(name) = reader.name(item) else {
            known.broken = true;
            continue;
        };
        if !known.add(name.value.clone()) {
            let what = format!("the datacenter {} stands here twice", quote(name.value.as_str()));
            reader.findings.error("duplicate-key", name.span, what, "keep one of the two");
        }
    }
    if count > MOST {
        known.broken = true;
        let what = format!("there are {count} datacenters, at most {MOST} are possible");
        reader.findings.error("bad-value", value.at, what, None);
    } else if !known.broken && known.names.len() < 2 {
        let what = "with fewer than two datacenters nothing can take over";
        let hint = "name the datacenter to cut and those that should take over";
        reader.findings.error("impossible", value.at, what, hint);
    }
    known
}

fn cut(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
    traffic: &[ControlDraft],
) -> Option<CutDraft> {
    let before = reader.findings.errors();
    let keys = &["datacenter", "datacenters", "services", "mode", "degrade", "through", "then"];
    let fields = reader.fields(value, Label("", "cut"), keys)?;
    let places = fields.one_of(reader, &["datacenter", "datacenters"]);
    let datacenters = places.and_then(|value| lost(reader, value, datacenters));
    let services = fields.get("services").map(|value| lost_services(reader, value));
    let mode = mode(reader, &fields);
    let through = fields.need(reader, "through", "[wan]");
    let mut steps = Steps::default();
    if let Some(value) = through {
        steps.read(reader, value, traffic);
    }
    if let Some(value) = fields.get("then") {
        let then = reader.one_or_more(value);
        if then.is_empty() {
            let hint = "name the controls to cut after those of `through`, or take it out";
            reader.findings.error("impossible", value.at, "`then` has no step", hint);
        }
        then.into_iter().for_each(|step| steps.read(reader, step, traffic));
    }
    let complete = reader.findings.errors() == before;
    let through_at = through.map_or(value.at, |value| value.at);
    let services = services.unwrap_or_default();
    let steps = steps.0;
    Some(CutDraft { datacenters, services, mode, steps, through_at, complete })
}

/// The datacenters to lose at once, each once. `None` if one of them could not be read.
fn lost(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<Vec<At<DatacenterId>>> {
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let what = "the cut names no datacenter";
        reader.findings.error("missing-key", value.at, what, "write `datacenter: east`");
        return None;
    }
    let read = |reader: &mut Reader, item: Value| {
        Some(At { value: datacenters.refer(reader, item)?, span: item.span() })
    };
    let found: Vec<Option<At<DatacenterId>>> =
        items.into_iter().map(|item| read(reader, item)).collect();
    let found = found.into_iter().collect::<Option<Vec<_>>>()?;
    for (place, at) in found.iter().enumerate() {
        if found[..place].iter().any(|other| other.value == at.value) {
            let what = "this datacenter stands here twice";
            reader.findings.error("duplicate-key", at.span, what, "keep one of the two");
        }
    }
    Some(found)
}

/// The services of the lab that alone are lost.
fn lost_services(reader: &mut Reader, value: Value) -> Vec<At<Name>> {
    let items = reader.one_or_more(value);
    if items.is_empty() {
        let what = "`services` names no service";
        let hint = "name services of the lab, or take it out to cut all of them";
        reader.findings.error("missing-key", value.at, what, hint);
    }
    topology::names(reader, value)
}

/// The steps of a cut: its controls, each once.
#[derive(Default)]
struct Steps(Vec<Vec<At<usize>>>);

impl Steps {
    /// Reads one more step: a control, or some.
    fn read(&mut self, reader: &mut Reader, value: Value, traffic: &[ControlDraft]) {
        let ids: HashMap<&Name, usize> = traffic
            .iter()
            .enumerate()
            .map(|(index, control)| (&control.spec.name, index))
            .collect();
        let items = reader.one_or_more(value);
        let known = || traffic.iter().map(|control| control.spec.name.as_str());
        if items.is_empty() {
            let hint = instead("", "traffic", known());
            reader.findings.error("impossible", value.at, "the cut goes through no control", hint);
        }
        let mut step = Vec::new();
        for item in items {
            let Some(name) = reader.name(item) else { continue };
            let text = name.value.as_str();
            match ids.get(&name.value) {
                Some(&index)
                    if self.0.iter().flatten().chain(&step).any(|at| at.value == index) =>
                {
                    let what = format!("{} stands here twice", quote(text));
                    reader.findings.error("duplicate-key", name.span, what, "keep one of the two");
                }
                Some(&index) => step.push(At { value: index, span: name.span }),
                None => {
                    let what = format!("there is no traffic control {}", quote(text));
                    let hint = instead(text, "traffic", known());
                    reader.findings.error("reference", name.span, what, hint);
                }
            }
        }
        self.0.push(step);
    }
}

fn mode(reader: &mut Reader, fields: &Fields) -> Option<At<Mode>> {
    let value = fields.need(reader, "mode", "blackhole")?;
    let words = ModeKind::ALL.map(|kind| (kind.to_string(), kind));
    let choices: Vec<(&str, ModeKind)> =
        words.iter().map(|(word, kind)| (&**word, *kind)).collect();
    let kind = reader.choice(value, &choices)?;
    let numbers = fields.get("degrade");
    let mode = match (kind, numbers) {
        (ModeKind::Degrade, Some(numbers)) => Mode::Degrade(degrade(reader, numbers)?),
        (ModeKind::Degrade, None) => {
            let what = "the mode `degrade` needs its numbers";
            let hint = "add `degrade: { latency: 200ms, loss: 1% }`";
            reader.findings.error("missing-key", value.span(), what, hint);
            return None;
        }
        (_, Some(numbers)) => {
            let what = format!("`degrade` has no meaning in the mode `{kind}`");
            let hint = "take it out, or write `mode: degrade`";
            reader.findings.error("impossible", numbers.at, what, hint);
            reader.findings.relate(value.span(), "the mode");
            return None;
        }
        (ModeKind::Blackhole, None) => Mode::Blackhole,
        (ModeKind::Reset, None) => Mode::Reset,
        (ModeKind::Drain, None) => Mode::Drain,
    };
    Some(At { value: mode, span: value.span() })
}

fn degrade(reader: &mut Reader, value: Value) -> Option<Degrade> {
    let before = reader.findings.errors();
    let keys = &["latency", "jitter", "loss", "bandwidth"];
    let fields = reader.fields(value, Label("", "degrade"), keys)?;
    let latency = fields.get("latency").and_then(|value| reader.duration(value, true));
    let jitter = fields.get("jitter").and_then(|value| reader.duration(value, true));
    let loss = fields.get("loss").and_then(|value| reader.share(value));
    let bandwidth = fields.get("bandwidth").and_then(|value| reader.rate(value));
    if reader.findings.errors() > before {
        return None;
    }
    let read = Degrade {
        latency: latency.map_or(Duration::ZERO, |at| at.value),
        jitter: jitter.map_or(Duration::ZERO, |at| at.value),
        loss: loss.map_or(0.0, |at| at.value),
        bandwidth,
    };
    if read == Degrade::default() {
        let what = "`degrade` changes nothing";
        let hint = "give `latency`, `loss` or `bandwidth` a number above zero";
        reader.findings.error("impossible", value.at, what, hint);
        return None;
    }
    if let Some(jitter) = jitter
        && read.jitter > read.latency
    {
        let what = "`jitter` is larger than `latency`, and no data can arrive before it is sent";
        let hint = "`latency` varies by up to `jitter` either way: raise it, or lower `jitter`";
        reader.findings.error("impossible", jitter.span, what, hint);
        return None;
    }
    Some(read)
}

fn timing(reader: &mut Reader, top: &Fields) -> TimingDraft {
    const KEYS: &[&str] = &["baseline", "stable_for", "stable_share", "hold", "at_most"];
    let value = top.get("timing");
    let fields = value.and_then(|value| reader.fields(value, Label("", "timing"), KEYS));
    let mut duration = |key, default, zero| -> (Duration, Option<Span>) {
        let value = fields.and_then(|fields| fields.get(key));
        match value.and_then(|value| reader.duration(value, zero)) {
            Some(read) => (read.value, Some(read.span)),
            None => (Duration::from_secs(default), None),
        }
    };
    let (baseline, baseline_at) = duration("baseline", 10, false);
    let (stable_for, stable_for_at) = duration("stable_for", 5, false);
    let (hold, hold_at) = duration("hold", 10, true);
    let (at_most, at_most_at) = duration("at_most", 300, false);
    let share = fields.and_then(|fields| fields.get("stable_share"));
    let stable_share = share.and_then(|value| {
        let share = reader.share(value)?;
        if share.value <= 0.0 {
            let what = "`stable_share` of zero would call an outage stable";
            reader.findings.error("impossible", share.span, what, "write `99%`, or leave it out");
        }
        Some(share.value)
    });
    let stable_share = stable_share.unwrap_or(1.0);
    let timing = Timing { baseline, stable_for, stable_share, hold, at_most };
    let at = value.map_or(top.at, |value| value.at);
    TimingDraft { timing, at, baseline_at, stable_for_at, hold_at, at_most_at }
}
