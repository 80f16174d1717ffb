//! What the providers of AWS share: whose credentials, which address, how long.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_loopback;
use crate::model::{Text, millis};

/// How a service of AWS is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AwsReach {
    /// The profile of AWS's own files that the credentials are from; else AWS's usual chain decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The file of credentials that the profile stands in, where it is not `~/.aws/credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Text>,
    /// The URL of the service, where it is not AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Text>,
    /// How long one call may take, with everything that is asked again for it.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
}

impl AwsReach {
    /// Its texts, each of which may hold a secret.
    pub(super) fn texts_mut(&mut self) -> Vec<&mut Text> {
        [&mut self.credentials, &mut self.endpoint].into_iter().flatten().collect()
    }

    /// Its paths.
    pub(super) fn paths_mut(&mut self) -> Vec<&mut Text> {
        self.credentials.iter_mut().collect()
    }

    /// Whether its address is of this machine alone.
    pub(super) fn is_of_one_host(&self) -> bool {
        self.endpoint.as_ref().is_some_and(is_loopback)
    }

    /// What tells an account from another's double, in a name of [`super::Settings::places`]. Names of AWS's own are alike
    /// all over the world.
    pub(super) fn world(&self) -> String {
        self.endpoint.as_ref().map_or_else(|| "aws".to_owned(), Text::reveal_plain)
    }

    /// `NAME at http://…`, or only the name where it is AWS's own.
    pub(super) fn place(&self, name: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{name} at {endpoint}"),
            None => name.to_owned(),
        }
    }
}
