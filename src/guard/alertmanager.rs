//! The `alertmanager` guardrail: alerts that fire (`/api/v2/alerts`).

use serde_json::Value;

use super::{Secrets, json, request};
use crate::model::{AlertQuery, GuardrailReading, HttpProbe, query_value};
use crate::probe::{Fetcher, PrepareError};

/// Alerts of which so many are named.
const NAMED: usize = 3;

/// A request made ready.
#[derive(Debug)]
pub(super) struct Alertmanager {
    fetcher: Fetcher,
    secrets: Secrets,
}

impl Alertmanager {
    pub(super) fn prepare(
        query: &AlertQuery,
        fetcher: impl Fn(&HttpProbe) -> Result<Fetcher, PrepareError>,
    ) -> Result<Self, PrepareError> {
        // Somebody has seen to those that are silenced or inhibited.
        let mut path =
            "/api/v2/alerts?active=true&silenced=false&inhibited=false&unprocessed=false"
                .to_owned();
        for matcher in &query.matchers {
            path += &format!("&filter={}", query_value(matcher));
        }
        let http = request(&query.url, &path, &query.headers, &query.ca);
        let secrets = Secrets::of(&query.url, &query.headers);
        Ok(Alertmanager { fetcher: fetcher(&http)?, secrets })
    }

    pub(super) async fn read(&self) -> GuardrailReading {
        match json(self.fetcher.fetch().await, &self.secrets) {
            Ok(answer) => judge(&answer, &self.secrets),
            Err(why) => GuardrailReading::Unreadable(why),
        }
    }
}

/// What the list of alerts says.
pub(super) fn judge(answer: &Value, secrets: &Secrets) -> GuardrailReading {
    let Value::Array(alerts) = answer else {
        return GuardrailReading::Unreadable("the answer is not of Alertmanager's form".to_owned());
    };
    let value = Some(alerts.len() as f64);
    if alerts.is_empty() {
        return GuardrailReading::Within { value };
    }
    let name = |alert: &Value| {
        let name = alert.pointer("/labels/alertname").and_then(Value::as_str);
        secrets.shown(name.unwrap_or("an alert"))
    };
    let mut names: Vec<String> = alerts.iter().take(NAMED).map(name).collect();
    if alerts.len() > NAMED {
        names.push(format!("{} more", alerts.len() - NAMED));
    }
    let verb = if alerts.len() == 1 { "fires" } else { "fire" };
    GuardrailReading::Beyond { value, what: format!("{} {verb}", names.join(", ")) }
}
