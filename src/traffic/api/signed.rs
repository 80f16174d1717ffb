//! An API that wants a token with each request, where the token is asked for on the way.

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::{Answer, Api, Request};
use crate::model::Exchange;
use crate::traffic::ControlError;

/// Where tokens come from.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// A token; `None` where none is needed.
    ///
    /// # Errors
    /// When there is none to be had.
    async fn token(&self) -> Result<Option<String>, ControlError>;

    /// Whether it may give another one than the last time.
    fn are_renewed(&self) -> bool {
        true
    }

    /// What was asked for them since this was last called.
    fn exchanges(&self) -> Vec<Exchange> {
        Vec::new()
    }
}

/// An API, and the token that it took last. When it no longer takes that, it is asked for anew, so that no clock has to
/// tell when it expires.
pub struct Signed {
    api: Api,
    tokens: Box<dyn Tokens>,
    kept: Mutex<Option<String>>,
}

impl Signed {
    /// The API, to be asked with `tokens`.
    pub fn new(api: Api, tokens: Box<dyn Tokens>) -> Signed {
        Signed { api, tokens, kept: Mutex::default() }
    }

    /// What was asked since this was last called, for tokens too.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let mut exchanges = self.tokens.exchanges();
        exchanges.extend(self.api.exchanges());
        exchanges
    }

    /// As [`Api::ask`].
    ///
    /// # Errors
    /// As there, and when there is no token.
    pub async fn ask(&self, request: &Request) -> Result<Answer, ControlError> {
        let Some(token) = self.token(None).await? else { return self.api.ask(request).await };
        let answer = self.api.ask(&request.clone().bearer(&token)).await?;
        if answer.status() != 401 || !self.tokens.are_renewed() {
            return Ok(answer);
        }
        let Some(token) = self.token(Some(&token)).await? else { return Ok(answer) };
        self.api.ask(&request.clone().bearer(&token)).await
    }

    /// As [`Api::good`].
    ///
    /// # Errors
    /// As there, and when there is no token.
    pub async fn good(&self, request: &Request) -> Result<Answer, ControlError> {
        let answer = self.ask(request).await?;
        match answer.is_good() {
            true => Ok(answer),
            false => Err(self.api.refused(request, &answer)),
        }
    }

    /// As [`Api::json`].
    ///
    /// # Errors
    /// As there, and when there is no token.
    pub async fn json<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ControlError> {
        let answer = self.good(request).await?;
        answer.json().map_err(|why| self.api.senseless(request, &why))
    }

    /// As [`Signed::json`]; `None` where the provider says that there is no such thing.
    ///
    /// # Errors
    /// As there.
    pub async fn json_if_there<T: DeserializeOwned>(
        &self,
        request: &Request,
    ) -> Result<Option<T>, ControlError> {
        let answer = self.ask(request).await?;
        match (answer.is_good(), answer.is_absent()) {
            (true, _) => answer.json().map(Some).map_err(|why| self.api.senseless(request, &why)),
            (false, true) => Ok(None),
            (false, false) => Err(self.api.refused(request, &answer)),
        }
    }

    /// As [`Api::refused`].
    pub fn refused(&self, request: &Request, answer: &Answer) -> ControlError {
        self.api.refused(request, answer)
    }

    /// As [`Api::senseless`].
    pub fn senseless(&self, request: &Request, why: &str) -> ControlError {
        self.api.senseless(request, why)
    }

    /// The token; one other than `refused`, which the API no longer takes.
    async fn token(&self, refused: Option<&str>) -> Result<Option<String>, ControlError> {
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_deref().filter(|token| Some(*token) != refused) {
            return Ok(Some(token.to_owned()));
        }
        let token = self.tokens.token().await?;
        kept.clone_from(&token);
        Ok(token)
    }
}
