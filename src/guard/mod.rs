//! Reading what guards a drill from outside: one file a kind.
//!
//! A reader looks once and says what it saw; when that breaks a guardrail is decided in `measure`.
//! Everything that connects goes through the probes' connector.

mod alertmanager;
mod http;
mod kill_switch;
mod prometheus;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::clock::Clock;
use crate::model::{
    Guardrail, GuardrailCheck, GuardrailReading, HttpExpect, HttpProbe, Outcome, Text, printable,
};
use crate::probe::{Answer, Connector, Fetcher, PrepareError};

/// The longest piece of an answer that is shown.
const SHOWN: usize = 200;

/// Reads one guardrail from outside.
#[derive(Debug)]
pub struct Reader {
    kind: Kind,
    timeout: std::time::Duration,
}

#[derive(Debug)]
enum Kind {
    Prometheus(prometheus::Prometheus),
    Alertmanager(alertmanager::Alertmanager),
    Http(Fetcher),
    KillSwitchFile(kill_switch::KillSwitchFile),
    KillSwitchUrl(Fetcher),
}

impl Reader {
    /// Makes a guardrail ready to be read: addresses, TLS, header values. `None` for one on samples, which is
    /// read from what the probes see. `lab` gives the address of a lab service.
    ///
    /// # Errors
    /// What is wrong and what to do, without secrets.
    pub fn prepare(
        guardrail: &Guardrail,
        lab: &dyn Fn(&str) -> Option<String>,
        connector: Arc<dyn Connector>,
    ) -> Result<Option<Self>, PrepareError> {
        let timeout = guardrail.timeout;
        let fetcher = |http: &HttpProbe| Fetcher::prepare(http, timeout, lab, connector.clone());
        let kind = match &guardrail.check {
            GuardrailCheck::GoodShareBelow { .. } | GuardrailCheck::LatencyAbove { .. } => {
                return Ok(None);
            }
            GuardrailCheck::Prometheus(query) => {
                Kind::Prometheus(prometheus::Prometheus::prepare(query, fetcher)?)
            }
            GuardrailCheck::Alertmanager(query) => {
                Kind::Alertmanager(alertmanager::Alertmanager::prepare(query, fetcher)?)
            }
            GuardrailCheck::Http(http) => Kind::Http(fetcher(http)?),
            GuardrailCheck::KillSwitchFile(path) => {
                Kind::KillSwitchFile(kill_switch::KillSwitchFile::new(path))
            }
            GuardrailCheck::KillSwitchUrl(http) => Kind::KillSwitchUrl(fetcher(http)?),
        };
        Ok(Some(Reader { kind, timeout }))
    }

    /// Looks once, within the guardrail's time-out.
    pub async fn read(&self, clock: &Clock) -> GuardrailReading {
        match &self.kind {
            Kind::Prometheus(prometheus) => prometheus.read().await,
            Kind::Alertmanager(alertmanager) => alertmanager.read().await,
            Kind::Http(fetcher) => http::read(fetcher, clock).await,
            Kind::KillSwitchFile(file) => file.read(self.timeout).await,
            Kind::KillSwitchUrl(fetcher) => kill_switch::read_url(fetcher).await,
        }
    }
}

/// A request to an API below `url`. Any status is an answer.
fn request(
    url: &Text,
    path: &str,
    headers: &[(String, Text)],
    ca: &Option<std::path::PathBuf>,
) -> HttpProbe {
    let mut parts = url.parts().to_vec();
    if let Some(crate::model::Part::Plain(last)) = parts.last_mut() {
        last.truncate(last.trim_end_matches('/').len());
    }
    parts.push(crate::model::Part::Plain(path.to_owned()));
    HttpProbe {
        url: Text::new(parts),
        method: "GET".to_owned(),
        headers: headers.to_vec(),
        body: None,
        ca: ca.clone(),
        expect: HttpExpect { status: vec![(100, 599)], body: None, json: Vec::new() },
    }
}

/// The body of a good answer as JSON.
///
/// # Errors
/// Why it is none, in words.
fn json(answer: Result<Answer, Outcome>, secrets: &Secrets) -> Result<serde_json::Value, String> {
    let answer = answer.map_err(no_answer)?;
    let parsed: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    if (200..300).contains(&answer.status) {
        return parsed.ok_or_else(|| "the answer is no JSON".to_owned());
    }
    let status = answer.status;
    // Prometheus puts it under `error`, Alertmanager under `message` or as a bare string.
    let said = parsed.as_ref().and_then(|json| {
        let fields = ["error", "message"].iter().find_map(|field| json.get(*field));
        fields.unwrap_or(json).as_str().map(|said| secrets.shown(said))
    });
    Err(match said {
        Some(said) => format!("status {status}: {said}"),
        None => format!("status {status}"),
    })
}

/// Why no answer came, in words.
fn no_answer(outcome: Outcome) -> String {
    match outcome {
        // Only a body beyond the limit ends like this: its content is not looked at.
        Outcome::Bad(crate::model::Reason::Body) => "the answer is longer than 1 MiB".to_owned(),
        Outcome::Bad(reason) => format!("no answer: {reason}"),
        Outcome::Unknown(blindness) => format!("it could not be asked: {blindness}"),
        Outcome::Good => "no answer".to_owned(),
    }
}

/// What was sent and must not be shown, should a server give it back.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    /// The secrets of a request.
    fn of(url: &Text, headers: &[(String, Text)]) -> Self {
        let texts = std::iter::once(url).chain(headers.iter().map(|(_, value)| value));
        let secrets = texts.flat_map(Text::secrets).filter(|secret| !secret.is_empty());
        Secrets(secrets.map(str::to_owned).collect())
    }

    /// A piece of an answer, made safe to show.
    fn shown(&self, text: &str) -> String {
        let hide = |text: String, secret: &String| text.replace(secret, "(secret)");
        let text = printable(&self.0.iter().fold(text.to_owned(), hide));
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// A number as people write it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            value if value == value.trunc() && value.abs() < 1e15 => write!(f, "{value}"),
            value if value.abs() >= 1e-3 && value.abs() < 1e15 => {
                let text = format!("{value:.6}");
                f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
            }
            value => write!(f, "{value:e}"),
        }
    }
}
