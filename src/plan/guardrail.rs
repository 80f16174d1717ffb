//! Guardrails: conditions that are checked all along, and stop the drill.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::{
    AlertQuery, Guardrail, GuardrailCheck, Name, PrometheusQuery, QueryLimit, Service, Text,
};

use super::draft::ServiceDraft;
use super::finding::quote;
use super::probe;
use super::read::{At, Fields, Label, Reader, Value};
use super::suggest::instead;
use super::tree::Span;
use super::units::{self, written};

/// How long a guardrail may be unreadable, if the plan says nothing else.
pub(super) const GRACE: Duration = Duration::from_secs(15);

/// Faster readings from outside than this would be a load of their own.
pub(super) const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

/// How long one reading may take, if the plan says nothing else.
const LONGEST_READING: Duration = Duration::from_secs(5);

/// The kinds, by the key that names them.
const CHECKS: &[&str] =
    &["good_share_below", "latency_above", "prometheus", "alertmanager", "http"];

/// The services that guardrails may name.
#[derive(Clone, Copy)]
pub(super) struct Services<'a> {
    pub drafts: &'a [ServiceDraft],
    /// Whether all of them could be read, so that references can be judged.
    pub complete: bool,
}

/// Reads all guardrails.
pub(super) fn guardrails(
    reader: &mut Reader,
    value: Value,
    services: Services,
    at_most: Duration,
) -> Vec<Guardrail> {
    let mut taken = HashSet::new();
    let items = reader.list(value, "a list of guardrails");
    let found =
        items.into_iter().filter_map(|item| guardrail(reader, item, services, at_most, &mut taken));
    let mut found: Vec<(Guardrail, bool)> = found.collect();
    // Names of the plan's own come first; the others must not clash with them.
    for (guardrail, named) in &mut found {
        if !*named {
            guardrail.name = free_name(&guardrail.name, &mut taken);
        }
    }
    found.into_iter().map(|(guardrail, _)| guardrail).collect()
}

fn free_name(wanted: &Name, taken: &mut HashSet<Name>) -> Name {
    let numbered = (2..).map(|number: u64| Name::from(format!("{wanted}-{number}").as_str()));
    let mut names = std::iter::once(wanted.clone()).chain(numbered);
    // As many names as there are numbers: one is free.
    let free = names.find(|name| !taken.contains(name)).unwrap_or_else(|| wanted.clone());
    taken.insert(free.clone());
    free
}

/// A guardrail, and whether the plan gives it its name.
fn guardrail(
    reader: &mut Reader,
    item: Value,
    services: Services,
    at_most: Duration,
    taken: &mut HashSet<Name>,
) -> Option<(Guardrail, bool)> {
    const KEYS: &[&str] = &[
        "name",
        "service",
        "good_share_below",
        "latency_above",
        "prometheus",
        "alertmanager",
        "http",
        "every",
        "timeout",
        "for",
        "grace",
    ];
    let fields = reader.fields(item, Label("a guardrail", ""), KEYS)?;
    let given = fields.get("name");
    let name = given.and_then(|value| reader.name(value));
    if let Some(name) = &name
        && !taken.insert(name.value.clone())
    {
        let what = format!("the name {} is taken", quote(name.value.as_str()));
        let hint = "give one of the two another name";
        reader.findings.error("duplicate-key", name.span, what, hint);
    }
    let chosen = fields.one_of(reader, CHECKS);
    let lasting = fields.get("for").and_then(|value| reader.duration(value, true));
    let grace = fields.get("grace").and_then(|value| reader.duration(value, true));
    let chosen = chosen?;
    let on_samples = matches!(chosen.key, "good_share_below" | "latency_above");
    let (mut guardrail, by_itself) = match on_samples {
        true => on_samples_of(reader, &fields, chosen, services, lasting, grace)?,
        false => from_outside(reader, &fields, chosen, lasting, grace)?,
    };
    if let Some(lasting) = lasting
        && lasting.value > at_most
    {
        let what =
            "`for` is longer than `at_most`: this guardrail cannot break while traffic is cut";
        let hint = format!("write less than {}", written(at_most));
        reader.findings.warning("late-guardrail", lasting.span, what, hint);
    }
    let named = name.is_some();
    guardrail.name = name.map_or(by_itself, |name| name.value);
    // A name that could not be read is reported, and there will be no plan.
    Some((guardrail, named))
}

/// A guardrail on the samples of a service, with the name that it has by itself.
fn on_samples_of(
    reader: &mut Reader,
    fields: &Fields,
    chosen: Value,
    services: Services,
    lasting: Option<At<Duration>>,
    grace: Option<At<Duration>>,
) -> Option<(Guardrail, Name)> {
    for key in ["every", "timeout"] {
        if let Some(value) = fields.get(key) {
            let what = format!("`{key}` has no meaning beside `{}`", chosen.key);
            let hint = "take it out: samples come as often as their probes say";
            reader.findings.error("impossible", value.at, what, hint);
        }
    }
    let service = fields.need(reader, "service", "NAME");
    let service = service.and_then(|value| refer(reader, value, services));
    if fields.get("for").is_none() {
        fields.need(reader, "for", "10s");
    }
    let (limit, suffix) = match chosen.key {
        "good_share_below" => (share(reader, chosen).map(Limit::Share), "good-share"),
        _ => (reader.duration(chosen, false).map(Limit::Latency), "latency"),
    };
    let (number, draft) = service?;
    let spans = Spans { limit: chosen.span(), lasting, grace };
    let longest = hold_to_probes(reader, &draft.service, &limit, &spans);
    let check = match limit? {
        Limit::Share(limit) => GuardrailCheck::GoodShareBelow { service: number, limit },
        Limit::Latency(limit) => {
            GuardrailCheck::LatencyAbove { service: number, limit: limit.value }
        }
    };
    let name = Name::from(format!("{}-{suffix}", draft.service.name).as_str());
    let guardrail = Guardrail {
        name: name.clone(),
        check,
        every: SHORTEST_PERIOD,
        timeout: SHORTEST_PERIOD,
        lasting: lasting?.value,
        // When everything hangs, the first sample says so after its time-out.
        grace: grace.map_or(GRACE + longest, |grace| grace.value),
    };
    Some((guardrail, name))
}

enum Limit {
    Share(f64),
    Latency(At<Duration>),
}

struct Spans {
    limit: Span,
    lasting: Option<At<Duration>>,
    grace: Option<At<Duration>>,
}

/// Reports what the probes of the service could never tell; gives the longest of their time-outs.
fn hold_to_probes(
    reader: &mut Reader,
    service: &Service,
    limit: &Option<Limit>,
    spans: &Spans,
) -> Duration {
    let required = || service.probes.iter().filter(|probe| probe.required);
    let longest = required().map(|probe| probe.timeout).max().unwrap_or_default();
    if required().count() == 0 {
        if !service.probes.is_empty() {
            let name = quote(service.name.as_str());
            let what =
                format!("service {name} has no required probe, and only those are looked at");
            let hint = "take `required: false` from one of its probes";
            reader.findings.error("impossible", spans.limit, what, hint);
        }
        return longest;
    }
    if let Some(Limit::Latency(above)) = limit
        && above.value >= longest
    {
        let what = format!(
            "`latency_above` ({}) is not shorter than the probes' `timeout` ({}), so that nothing can \
             break it",
            written(above.value),
            written(longest)
        );
        let hint = "lower it, or raise `timeout`";
        reader.findings.error("impossible", above.span, what, hint);
    }
    let slowest = required().map(|probe| probe.every).max().unwrap_or_default();
    let shortest = Guardrail::shortest(slowest);
    if let Some(lasting) = spans.lasting
        && lasting.value < shortest
    {
        let what = format!(
            "`for` ({}) is too short for a sample every {}",
            written(lasting.value),
            written(slowest)
        );
        let hint =
            format!("write {} or more: one sample alone must not stop a drill", written(shortest));
        reader.findings.error("impossible", lasting.span, what, hint);
    }
    if let Some(grace) = spans.grace
        && grace.value <= longest
    {
        let what = "`grace` is not longer than the probes' `timeout`";
        let hint = format!(
            "write more than {}: when everything hangs, nothing is known for that long",
            written(longest)
        );
        reader.findings.error("impossible", grace.span, what, hint);
    }
    longest
}

fn refer<'s>(
    reader: &mut Reader,
    value: Value,
    services: Services<'s>,
) -> Option<(u32, &'s ServiceDraft)> {
    let name = reader.name(value)?;
    let found = services.drafts.iter().zip(0..).find(|(draft, _)| draft.service.name == name.value);
    if found.is_none() && services.complete {
        let known = services.drafts.iter().map(|draft| draft.service.name.as_str());
        let what = format!("there is no service {}", quote(name.value.as_str()));
        let hint = instead(name.value.as_str(), "services", known);
        reader.findings.error("reference", name.span, what, hint);
    }
    found.map(|(draft, number)| (number, draft))
}

fn share(reader: &mut Reader, value: Value) -> Option<f64> {
    let share = reader.share(value)?;
    if share.value <= 0.0 {
        let what = "no share is below zero";
        reader.findings.error("impossible", share.span, what, "write `20%`, for example");
        return None;
    }
    Some(share.value)
}

/// A guardrail that is read from outside, with the name that it has by itself.
fn from_outside(
    reader: &mut Reader,
    fields: &Fields,
    chosen: Value,
    lasting: Option<At<Duration>>,
    grace: Option<At<Duration>>,
) -> Option<(Guardrail, Name)> {
    if let Some(service) = fields.get("service") {
        let what = format!("`service` has no meaning beside `{}`", chosen.key);
        reader.findings.error("impossible", service.at, what, "take it out, or write `name`");
    }
    let pace = pace(reader, fields, Duration::from_secs(5), grace);
    let check = match chosen.key {
        "prometheus" => prometheus(reader, chosen).map(GuardrailCheck::Prometheus),
        "alertmanager" => alertmanager(reader, chosen).map(GuardrailCheck::Alertmanager),
        _ => probe::http(reader, chosen).map(GuardrailCheck::Http),
    };
    let name = Name::from(chosen.key);
    let (every, timeout, grace) = pace;
    let lasting = lasting.map_or(Duration::ZERO, |at| at.value);
    let guardrail = Guardrail { name: name.clone(), check: check?, every, timeout, lasting, grace };
    Some((guardrail, name))
}

/// Reads `every` and `timeout`, and holds them and `grace` together.
pub(super) fn pace(
    reader: &mut Reader,
    fields: &Fields,
    usual: Duration,
    grace: Option<At<Duration>>,
) -> (Duration, Duration, Duration) {
    let mut read = |key| fields.get(key).and_then(|value| reader.duration(value, false));
    let (every_at, timeout_at) = (read("every"), read("timeout"));
    let every = every_at.map_or(usual, |at| at.value);
    let timeout = timeout_at.map_or(every.min(LONGEST_READING), |at| at.value);
    let grace_is = grace.map_or(GRACE.max(every), |at| at.value);
    if let Some(at) = every_at
        && every < SHORTEST_PERIOD
    {
        let what = "`every` below 100ms would be a load of its own";
        reader.findings.error("impossible", at.span, what, "write `every: 1s`, for example");
    }
    if let Some(at) = timeout_at
        && timeout > every
    {
        let what = format!("`timeout` ({}) is longer than `every`", written(timeout));
        let hint = format!("write {} or less: one reading at a time", written(every));
        reader.findings.error("impossible", at.span, what, hint);
    }
    if let Some(at) = grace
        && !grace_is.is_zero()
        && grace_is < every
    {
        let what = format!("`grace` ({}) is shorter than `every`", written(grace_is));
        let hint = format!(
            "write {} or more, or `0s`: the first reading that fails stops the drill",
            written(every)
        );
        reader.findings.error("impossible", at.span, what, hint);
    }
    (every, timeout, grace_is)
}

fn prometheus(reader: &mut Reader, value: Value) -> Option<PrometheusQuery> {
    const KEYS: &[&str] = &["url", "query", "above", "below", "headers", "ca"];
    let fields = reader.fields(value, Label("", "prometheus"), KEYS)?;
    let url = fields.need(reader, "url", "\"http://prometheus.example:9090\"");
    let url = url.and_then(|value| base(reader, value));
    let query = fields.need(reader, "query", "\"job:errors:ratio_rate1m > 0.05\"");
    let query = query.and_then(|value| expression(reader, value));
    let mut number = |key| fields.get(key).map(|value| (value.at, decimal(reader, value)));
    let limit = match (number("above"), number("below")) {
        (None, None) => Some(QueryLimit::Any),
        (Some((_, above)), None) => above.map(QueryLimit::Above),
        (None, Some((_, below))) => below.map(QueryLimit::Below),
        (Some((above, _)), Some((below, _))) => {
            let what = "`prometheus` has `above` and `below`";
            let hint = "keep one of the two, and make the other a guardrail of its own";
            reader.findings.error("impossible", below, what, hint);
            reader.findings.relate(above, "the other one");
            None
        }
    };
    let headers = fields.get("headers").map(|value| probe::headers(reader, value));
    let ca = fields.get("ca").and_then(|value| probe::path(reader, value));
    let headers = headers.unwrap_or_default();
    Some(PrometheusQuery { url: url?, query: query?, limit: limit?, headers, ca })
}

fn alertmanager(reader: &mut Reader, value: Value) -> Option<AlertQuery> {
    const KEYS: &[&str] = &["url", "matchers", "headers", "ca"];
    let fields = reader.fields(value, Label("", "alertmanager"), KEYS)?;
    let url = fields.need(reader, "url", "\"http://alertmanager.example:9093\"");
    let url = url.and_then(|value| base(reader, value));
    let matchers = match fields.need(reader, "matchers", "['severity=\"critical\"']") {
        Some(value) => {
            let items = reader.one_or_more(value);
            if items.is_empty() {
                let what = "`matchers` names no alert, so that every one would stop the drill";
                let hint = "write `['severity=\"critical\"']`";
                reader.findings.error("bad-value", value.at, what, hint);
            }
            items.into_iter().map(|item| matcher(reader, item)).collect::<Option<Vec<_>>>()
        }
        None => None,
    };
    let headers = fields.get("headers").map(|value| probe::headers(reader, value));
    let ca = fields.get("ca").and_then(|value| probe::path(reader, value));
    Some(AlertQuery { url: url?, matchers: matchers?, headers: headers.unwrap_or_default(), ca })
}

/// The URL that an API stands below.
fn base(reader: &mut Reader, value: Value) -> Option<Text> {
    let url = probe::url(reader, value)?;
    if url.reveal(&|_| Some(String::new())).contains(['?', '#']) {
        let what = format!("{}: the API stands below this URL", quote(&url.to_string()));
        let hint = "take out what begins with `?` or `#`";
        reader.findings.error("bad-value", value.span(), what, hint);
        return None;
    }
    Some(url)
}

fn expression(reader: &mut Reader, value: Value) -> Option<String> {
    let query = reader.public(value, "a PromQL expression")?;
    if query.trim().is_empty() {
        let what = "`query` is empty";
        let hint = "write a PromQL expression, such as `up{job=\"talk\"} == 0`";
        reader.findings.error("bad-value", value.span(), what, hint);
        return None;
    }
    Some(query.into_owned())
}

fn decimal(reader: &mut Reader, value: Value) -> Option<f64> {
    let filled = reader.word(value, "a number")?;
    if let Ok(number) = units::decimal(filled.real.trim()) {
        return Some(number);
    }
    let what = format!("{} is {}, wanted a number", quote(value.key), quote(filled.raw));
    reader.findings.error("bad-value", value.span(), what, "write `0.05`, for example");
    None
}

fn matcher(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "a matcher such as `severity=\"critical\"`")?;
    let text = text.trim();
    if is_matcher(text) {
        return Some(text.to_owned());
    }
    let what = format!("{} is no matcher", quote(text));
    let hint = "write `NAME=\"VALUE\"`, or with `!=`, `=~` or `!~`";
    reader.findings.error("bad-value", value.span(), what, hint);
    None
}

/// A label's name, an operator and a value, in quotes or without any.
fn is_matcher(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let value = ["=~", "!~", "!=", "="].iter().find_map(|operator| rest.strip_prefix(operator));
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let Some(value) = value.map(str::trim).filter(|value| named && !value.is_empty()) else {
        return false;
    };
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').is_some_and(|inner| {
            // A quote within must be escaped, and the last one must not be.
            let mut escaped = false;
            inner.chars().all(|c| {
                let good = escaped || c != '"';
                escaped = c == '\\' && !escaped;
                good
            }) && !escaped
        }),
        None => !value.contains(['"', '{', '}', ',', '=', '~', ' ']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_have_a_name_an_operator_and_a_value() {
        for good in
            ["a=\"b\"", "a_1!=\"\"", "_x =~ \"a|b\"", "a!~\".*\"", "severity=critical", r#"a="\"""#]
        {
            assert!(is_matcher(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a=",
            "=b",
            "1a=\"b\"",
            "a==b",
            "a=\"b",
            r#"a="b\""#,
            "a=\"b\"c\"",
            "{a=\"b\"}",
        ] {
            assert!(!is_matcher(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut taken = HashSet::from([Name::from("http")]);
        let names = [(); 3].map(|()| free_name(&Name::from("http"), &mut taken).to_string());
        assert_eq!(names, ["http-2", "http-3", "http-4"]);
    }
}
