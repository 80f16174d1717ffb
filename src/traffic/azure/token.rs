//! Tokens of Azure, from where its own tools have them: a client's secret or a federated token in the environment, or the
//! identity of the machine or app that we run on.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use crate::model::{Exchange, Text, query_value};
use crate::traffic::ControlError;
use crate::traffic::api::{Api, Method, Reach, Request, Tokens};

const RESOURCE: &str = "https://management.azure.com/";

/// How a client proves who it is.
pub(super) enum Proof {
    /// By a secret.
    Secret(String),
    /// By a token that somebody else gave it, in a file that is renewed.
    Federated(PathBuf),
}

/// A way to tokens.
pub(super) enum Source {
    /// A client of a directory.
    Client { api: Api, tenant: String, client: String, proof: Proof },
    /// The identity that is asked for by this path.
    Identity { api: Api, path: String },
}

/// Finds the way that this environment has.
pub(super) fn find(limit: Duration) -> Result<Source, ControlError> {
    by(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()), limit)
}

/// The same by the variables that `variable` knows.
pub(super) fn by(
    variable: &dyn Fn(&str) -> Option<String>,
    limit: Duration,
) -> Result<Source, ControlError> {
    let client = variable("AZURE_CLIENT_ID");
    let secret = variable("AZURE_CLIENT_SECRET").map(Proof::Secret);
    let federated = || variable("AZURE_FEDERATED_TOKEN_FILE").map(|it| Proof::Federated(it.into()));
    let proof = secret.or_else(federated);
    if let (Some(client), Some(tenant), Some(proof)) =
        (client.clone(), variable("AZURE_TENANT_ID"), proof)
    {
        let host = variable("AZURE_AUTHORITY_HOST");
        let host = host.unwrap_or_else(|| "https://login.microsoftonline.com".to_owned());
        let api = Api::new(&Text::from(&*host), &Reach { limit, ..Reach::default() })?;
        return Ok(Source::Client { api, tenant, client, proof });
    }
    let client = client.map_or_else(String::new, |it| format!("&client_id={}", query_value(&it)));
    let resource = format!("resource={}{client}", query_value(RESOURCE));
    let (endpoint, header, version) = match variable("IDENTITY_ENDPOINT") {
        // An app's identity has an address and a word of its own.
        Some(endpoint) => {
            let word = variable("IDENTITY_HEADER").unwrap_or_default();
            (endpoint, ("x-identity-header", word), "2019-08-01")
        }
        None => {
            let host = variable("AZURE_POD_IDENTITY_AUTHORITY_HOST");
            let host = host.unwrap_or_else(|| "http://169.254.169.254".to_owned());
            let endpoint = format!("{host}/metadata/identity/oauth2/token");
            (endpoint, ("metadata", "true".to_owned()), "2018-02-01")
        }
    };
    let (origin, at) = split(&endpoint);
    let secrets = if header.0 == "metadata" { Vec::new() } else { vec![&*header.1] };
    let headers = vec![(header.0, Text::from(&*header.1))];
    let api =
        Api::new(&Text::from(origin), &Reach { headers, secrets, limit, ..Reach::default() })?;
    Ok(Source::Identity { api, path: format!("{at}?api-version={version}&{resource}") })
}

/// A URL's origin, and what stands behind that.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    url.split_at(url[host..].find('/').map_or(url.len(), |at| host + at))
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
}

#[async_trait]
impl Tokens for Source {
    async fn token(&self) -> Result<Option<String>, ControlError> {
        let given: Given = match self {
            Source::Client { api, tenant, client, proof } => {
                let proof = match proof {
                    Proof::Secret(secret) => format!("client_secret={}", query_value(secret)),
                    Proof::Federated(file) => {
                        let read = tokio::fs::read_to_string(file).await;
                        let token = read.map_err(|error| ControlError {
                            what: format!("{} cannot be read: {error}", file.display()),
                            hint: "see AZURE_FEDERATED_TOKEN_FILE".to_owned(),
                        })?;
                        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                        format!(
                            "client_assertion_type={}&client_assertion={}",
                            query_value(kind),
                            query_value(token.trim())
                        )
                    }
                };
                let body = format!(
                    "grant_type=client_credentials&client_id={}&scope={}&{proof}",
                    query_value(client),
                    query_value(&format!("{RESOURCE}.default")),
                );
                let path = format!("/{}/oauth2/v2.0/token", query_value(tenant));
                let kind = "application/x-www-form-urlencoded";
                let request = Request::repeatable(Method::POST, path).body(kind, body).private();
                api.json(&request).await?
            }
            Source::Identity { api, path } => {
                let request = Request::get(&**path).private();
                api.json(&request).await.map_err(|error| ControlError {
                    what: format!("no credentials for Azure were found; {}", error.what),
                    hint: "set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET".to_owned(),
                })?
            }
        };
        Ok(Some(given.access_token))
    }

    fn exchanges(&self) -> Vec<Exchange> {
        match self {
            Source::Client { api, .. } | Source::Identity { api, .. } => api.exchanges(),
        }
    }
}
