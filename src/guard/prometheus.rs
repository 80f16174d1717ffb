//! The `prometheus` guardrail: an instant query (`/api/v1/query`).
//!
//! Two ways of asking. As in an alerting rule, any sample is beyond the limit: but an expression whose metrics
//! do not exist gives none either. So with `above` or `below` the query gives a value, and no value is not known.

use serde_json::Value;

use super::{Number, Secrets, json, request};
use crate::model::{GuardrailReading, HttpProbe, PrometheusQuery, QueryLimit, Text, query_value};
use crate::probe::{Fetcher, PrepareError};

/// A query made ready.
#[derive(Debug)]
pub(super) struct Prometheus {
    fetcher: Fetcher,
    limit: QueryLimit,
    secrets: Secrets,
}

impl Prometheus {
    pub(super) fn prepare(
        query: &PrometheusQuery,
        fetcher: impl Fn(&HttpProbe) -> Result<Fetcher, PrepareError>,
    ) -> Result<Self, PrepareError> {
        let mut http = request(&query.url, "/api/v1/query", &query.headers, &query.ca);
        // As a form: an expression may be longer than a URL can be.
        http.method = "POST".to_owned();
        http.headers.retain(|(name, _)| name != "content-type");
        let form: Text = "application/x-www-form-urlencoded".into();
        http.headers.push(("content-type".to_owned(), form));
        http.body = Some(Text::from(format!("query={}", query_value(&query.query)).as_str()));
        let secrets = Secrets::of(&query.url, &query.headers);
        Ok(Prometheus { fetcher: fetcher(&http)?, limit: query.limit, secrets })
    }

    pub(super) async fn read(&self) -> GuardrailReading {
        match json(self.fetcher.fetch().await, &self.secrets) {
            Ok(answer) => judge(&answer, self.limit, &self.secrets),
            Err(why) => GuardrailReading::Unreadable(why),
        }
    }
}

/// One sample of a result.
struct Found {
    value: f64,
    labels: String,
}

/// What the answer to a query says.
pub(super) fn judge(answer: &Value, limit: QueryLimit, secrets: &Secrets) -> GuardrailReading {
    let unreadable = |why: &str| GuardrailReading::Unreadable(why.to_owned());
    let kind = answer.pointer("/data/resultType").and_then(Value::as_str);
    let result = answer.pointer("/data/result");
    let found = match (kind, result) {
        (Some("scalar"), Some(pair)) => match value(pair) {
            // What `scalar()` gives where there is no single sample.
            Some(number) if number.is_nan() => {
                return unreadable("the query gives no number (NaN)");
            }
            // As an alert, a scalar fires when it is not zero.
            Some(0.0) if limit == QueryLimit::Any => Vec::new(),
            Some(value) => vec![Found { value, labels: String::new() }],
            None => return unreadable("the answer is not of Prometheus's form"),
        },
        (Some("vector"), Some(Value::Array(samples))) => {
            let samples: Option<Vec<Found>> =
                samples.iter().map(|found| sample(found, secrets)).collect();
            let Some(samples) = samples else {
                return unreadable("the answer is not of Prometheus's form");
            };
            samples
        }
        (Some("matrix" | "string"), _) => {
            return unreadable(
                "the query gives neither samples nor a number: it must be an instant query",
            );
        }
        _ => return unreadable("the answer is not of Prometheus's form"),
    };
    if limit != QueryLimit::Any {
        if found.is_empty() {
            return unreadable("the query gives no sample");
        }
        if found.iter().all(|found| found.value.is_nan()) {
            return unreadable("the query gives no number (NaN)");
        }
    }
    worst(found, limit)
}

fn worst(found: Vec<Found>, limit: QueryLimit) -> GuardrailReading {
    let count = found.len();
    let beyond = |value: f64| match limit {
        QueryLimit::Any => true,
        QueryLimit::Above(limit) => value > limit,
        QueryLimit::Below(limit) => value < limit,
    };
    let severity = |found: &Found| match limit {
        QueryLimit::Below(_) => -found.value,
        _ => found.value,
    };
    // A sample that is no number is the least of them.
    let rank = |found: &Found| (!found.value.is_nan(), severity(found));
    let worst = found.into_iter().reduce(|a, b| {
        if rank(&b).partial_cmp(&rank(&a)).is_some_and(std::cmp::Ordering::is_gt) { b } else { a }
    });
    let Some(worst) = worst else { return GuardrailReading::Within { value: None } };
    if !beyond(worst.value) {
        return GuardrailReading::Within { value: Some(worst.value) };
    }
    let more = match count {
        1 => String::new(),
        _ => format!(", the worst of {count} samples"),
    };
    let what = format!("the query gives {}{}{more}", Number(worst.value), worst.labels);
    GuardrailReading::Beyond { value: Some(worst.value), what }
}

fn sample(sample: &Value, secrets: &Secrets) -> Option<Found> {
    // Native histograms have no single value; they are samples all the same.
    let value = match sample.get("value") {
        Some(pair) => value(pair)?,
        None => sample.get("histogram").map(|_| f64::NAN)?,
    };
    let labels = sample.get("metric").and_then(Value::as_object);
    let labels: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some(format!("{name}=\"{}\"", value.as_str()?)))
        .collect();
    let labels = match labels.is_empty() {
        true => String::new(),
        false => format!(" for {{{}}}", secrets.shown(&labels.join(", "))),
    };
    Some(Found { value, labels })
}

/// The value of a `[time, "value"]`.
fn value(pair: &Value) -> Option<f64> {
    match pair.get(1)?.as_str()? {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        number => number.parse().ok(),
    }
}
