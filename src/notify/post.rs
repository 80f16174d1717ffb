//! One message to one place: tried until it is taken, its time is over, or trying is of no use.

use std::sync::Arc;
use std::time::Duration;

use super::{News, Request, request};
use crate::clock::Clock;
use crate::model::{
    Delivery, HttpExpect, HttpProbe, Notification, Offset, Outcome, Part, Phase, Reason, Text,
};
use crate::probe::{Answer, Connector, Fetcher};

/// Nobody is waited for longer at a time.
pub(super) const ATTEMPT: Duration = Duration::from_secs(5);

/// The first pause between two tries; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(250);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How long and how often a message is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effort {
    /// No try begins or goes on after this.
    pub until: Offset,
    /// Tries, at most.
    pub attempts: u32,
    /// Also where it may have arrived: told twice is better than not at all.
    pub twice: bool,
}

/// What came of the tries.
pub(super) struct Posted {
    pub outcome: Delivery,
    pub why: Option<String>,
    /// The answer's body, of one that was taken.
    pub answer: Vec<u8>,
}

/// Tells `to` the `news`; `tried` is told of each try as it begins.
pub(super) async fn post(
    to: &Notification,
    news: &News,
    region: Option<u64>,
    effort: Effort,
    clock: Clock,
    connector: &Arc<dyn Connector>,
    mut tried: impl FnMut(u32),
) -> Posted {
    let request = request(to, news, region);
    let mut pause = PAUSE;
    let mut why = "no time was left for it".to_owned();
    for attempt in 1..=effort.attempts {
        let left = effort.until.since(clock.now());
        if left.is_zero() {
            break;
        }
        tried(attempt);
        match once(to, &request, left.min(ATTEMPT), connector).await {
            Ok(answer) => {
                return Posted { outcome: Delivery::Delivered, why: None, answer: answer.body };
            }
            Err(refused) => {
                why = refused.why;
                if !(refused.again || refused.perhaps && effort.twice) {
                    break;
                }
            }
        }
        if attempt < effort.attempts {
            clock.sleep_until(clock.now().plus(pause).min(effort.until)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
    Posted { outcome: Delivery::Failed, why: Some(why), answer: Vec::new() }
}

/// Why it was not taken.
struct Refused {
    why: String,
    /// It did not arrive, and may do so the next time.
    again: bool,
    /// It may have arrived.
    perhaps: bool,
}

async fn once(
    to: &Notification,
    request: &Request,
    within: Duration,
    connector: &Arc<dyn Connector>,
) -> Result<Answer, Refused> {
    let http = http(to, request);
    let fetcher = Fetcher::prepare(&http, within, &|_| None, connector.clone());
    let fetcher = fetcher.map_err(|error| Refused {
        why: error.to_string(),
        again: false,
        perhaps: false,
    })?;
    let answer = fetcher.fetch().await.map_err(unanswered)?;
    match answer.status {
        200..=299 => Ok(answer),
        300..=399 => Err(Refused {
            why: format!("status {}: redirects are not followed", answer.status),
            again: false,
            perhaps: false,
        }),
        status => {
            let again = status == 429 || status >= 500;
            Err(Refused { why: format!("status {status}"), again, perhaps: false })
        }
    }
}

fn unanswered(outcome: Outcome) -> Refused {
    let (why, again, perhaps) = match outcome {
        Outcome::Good => ("no answer".to_owned(), false, false),
        Outcome::Unknown(blindness) => (format!("it could not be sent: {blindness}"), true, false),
        // It may lie in somebody's inbox already.
        Outcome::Bad(Reason::TimeOut(Phase::Answer | Phase::Body)) => {
            ("no whole answer in time".to_owned(), false, true)
        }
        // Neither a certificate nor a protocol gets better within seconds; an alarm is tried all the same.
        Outcome::Bad(reason @ (Reason::Tls | Reason::Protocol)) => {
            (format!("no answer: {reason}"), false, true)
        }
        Outcome::Bad(Reason::Body) => ("the answer is too long".to_owned(), false, false),
        Outcome::Bad(reason) => (format!("no answer: {reason}"), true, false),
    };
    Refused { why, again, perhaps }
}

/// All that is revealed here is marked as secret: no error text shows it.
fn http(to: &Notification, request: &Request) -> HttpProbe {
    let hidden =
        |name: &str, value: String| Text::new(vec![Part::Secret { name: name.to_owned(), value }]);
    let mut url = to.url.reveal_plain();
    if !request.path.is_empty() {
        url.truncate(url.trim_end_matches('/').len());
        url.push_str(&request.path);
    }
    let own =
        to.headers.iter().map(|(name, value)| (name.clone(), hidden(name, value.reveal_plain())));
    let mut headers: Vec<(String, Text)> = own.collect();
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), request.content_type.into()));
    }
    HttpProbe {
        url: hidden("url", url),
        method: request.method.clone(),
        headers,
        body: Some(Text::from(request.body.as_str())),
        ca: to.ca.clone(),
        expect: HttpExpect { status: vec![(100, 599)], body: None, json: Vec::new() },
    }
}
