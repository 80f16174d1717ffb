//! Requests to Cloudflare's API, whose answers come in an envelope that says by itself whether they are good.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::model::{CloudflareSettings, Exchange, Part, Text};
use crate::traffic::ControlError;
use crate::traffic::api::{Answer, Api, Reach, Request};

const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";

/// Where Cloudflare's own tools have the token.
pub(super) const TOKEN: &str = "CLOUDFLARE_API_TOKEN";

/// The way to the API. The token is looked for when the first request needs it, so that what is done by hand can be told
/// without one.
pub(super) struct Door {
    token: Option<Text>,
    endpoint: Text,
    limit: Duration,
    api: OnceCell<Api>,
}

#[derive(Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Option<Vec<Fault>>,
    result: Option<Value>,
    result_info: Option<Info>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

/// What is said beside a list: how much of it there is.
#[derive(Deserialize, Default)]
pub(super) struct Info {
    pub(super) total_pages: Option<f64>,
    pub(super) per_page: Option<f64>,
    pub(super) total_count: Option<f64>,
}

/// What is known of a token.
#[derive(Deserialize)]
pub(super) struct Token {
    pub(super) status: String,
    pub(super) expires_on: Option<String>,
    /// What time it is, by Cloudflare's own clock.
    #[serde(skip)]
    pub(super) now: Option<Timestamp>,
}

impl Door {
    pub(super) fn new(settings: &CloudflareSettings) -> Door {
        let endpoint = settings.endpoint.clone();
        Door {
            token: settings.token.clone(),
            endpoint: endpoint.unwrap_or_else(|| Text::from(CLOUDFLARE)),
            limit: settings.timeout,
            api: OnceCell::new(),
        }
    }

    /// The URL of the API as it may be shown.
    pub(super) fn url(&self) -> String {
        self.endpoint.to_string().trim_end_matches('/').to_owned()
    }

    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.api.get().map(Api::exchanges).unwrap_or_default()
    }

    async fn api(&self) -> Result<&Api, ControlError> {
        let open = async || {
            let token = match &self.token {
                Some(token) => token.reveal_plain(),
                None => std::env::var(TOKEN).unwrap_or_default(),
            };
            let token = token.trim();
            if token.is_empty() {
                return Err(ControlError {
                    what: format!("there is no API token for Cloudflare: {TOKEN} is not set"),
                    hint: "set it, or give `token` in the plan".to_owned(),
                });
            }
            let value = Part::Secret { name: TOKEN.to_owned(), value: token.to_owned() };
            let bearer = Text::new(vec![Part::Plain("Bearer ".to_owned()), value]);
            let headers = vec![("authorization", bearer)];
            Api::new(&self.endpoint, &Reach { headers, limit: self.limit, ..Reach::default() })
        };
        self.api.get_or_try_init(open).await
    }

    /// Asks, and gives whatever answer there is.
    pub(super) async fn ask(&self, request: &Request) -> Result<Answer, ControlError> {
        self.api().await?.ask(request).await
    }

    /// Asks, and gives the result of a good answer, and what is said beside it.
    pub(super) async fn result<T: DeserializeOwned>(
        &self,
        request: &Request,
    ) -> Result<(T, Info), ControlError> {
        let answer = self.ask(request).await?;
        self.opened(request, &answer).await
    }

    /// The result in an answer to `request`, if it is a good one.
    pub(super) async fn opened<T: DeserializeOwned>(
        &self,
        request: &Request,
        answer: &Answer,
    ) -> Result<(T, Info), ControlError> {
        let api = self.api().await?;
        if !answer.is_good() {
            return Err(api.refused(request, answer));
        }
        let senseless = |why: &str| api.senseless(request, why);
        let envelope: Envelope = answer.json().map_err(|why| senseless(&why))?;
        if !envelope.success {
            let fault = |it: &Fault| format!("{} {}", it.code, it.message);
            let faults: Vec<String> = envelope.errors.iter().flatten().map(fault).collect();
            let said = senseless(&format!("errors: {}", faults.join("; ")));
            let hint = "see Cloudflare's documentation for the number".to_owned();
            return Err(ControlError { what: said.what, hint });
        }
        let result = envelope.result.ok_or_else(|| senseless("no result"))?;
        let result = serde_json::from_value(result).map_err(|error| {
            senseless(&format!("what is not the result that was due ({error})"))
        })?;
        Ok((result, envelope.result_info.unwrap_or_default()))
    }

    /// What is known of our token: tokens of people are known at one place, those of accounts at another. `None` where
    /// neither place knows it, so that its first use tells.
    pub(super) async fn token(&self, account: Option<&str>) -> Result<Option<Token>, ControlError> {
        let places = [
            Some("/user/tokens/verify".to_owned()),
            account.map(|account| format!("/accounts/{account}/tokens/verify")),
        ];
        for path in places.into_iter().flatten() {
            let request = Request::get(path);
            let answer = self.ask(&request).await?;
            match answer.status() {
                429 | 500.. => return Err(self.api().await?.refused(&request, &answer)),
                _ if answer.is_good() => {
                    let (token, _): (Token, _) = self.opened(&request, &answer).await?;
                    let date = answer.header("date");
                    let now = date.and_then(|it| DateTimeParser::new().parse_timestamp(it).ok());
                    return Ok(Some(Token { now, ..token }));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
