//! Tokens of Google Cloud, from where its own tools have them: a token in the environment, the file of
//! `GOOGLE_APPLICATION_CREDENTIALS` or of `gcloud auth application-default login`, or the machine's metadata server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;

use crate::model::{Exchange, Text, query_value};
use crate::traffic::ControlError;
use crate::traffic::api::{Api, Method, Reach, Request, Tokens};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// What stands in a file of credentials.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum File {
    /// The key of a service account.
    ServiceAccount {
        client_email: String,
        private_key: String,
        private_key_id: String,
        token_uri: String,
    },
    /// What a person's log-in left.
    AuthorizedUser {
        client_id: String,
        client_secret: String,
        refresh_token: String,
        token_uri: Option<String>,
    },
    /// What we do not do.
    #[serde(other)]
    Other,
}

/// A way to tokens.
pub(super) enum Source {
    /// This one.
    Given(String),
    /// By what stands in a file, from the API that it names, at this path.
    File(Box<File>, Api, String),
    /// From the machine that we run on.
    Machine(Api),
}

/// Finds the way that this environment has.
pub(super) async fn find(limit: Duration) -> Result<Source, ControlError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    for name in ["CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN"] {
        if let Some(token) = variable(name) {
            return Ok(Source::Given(token));
        }
    }
    if let Some(path) = variable("GOOGLE_APPLICATION_CREDENTIALS") {
        return by_file(Path::new(&path), limit).await;
    }
    let settings = variable("CLOUDSDK_CONFIG").map(PathBuf::from);
    let settings = settings.or_else(|| Some(Path::new(&variable("HOME")?).join(".config/gcloud")));
    let file = settings.map(|folder| folder.join("application_default_credentials.json"));
    match file {
        Some(file) if tokio::fs::try_exists(&file).await.unwrap_or_default() => {
            by_file(&file, limit).await
        }
        _ => {
            let host = variable("GCE_METADATA_HOST");
            let host = host.unwrap_or_else(|| "metadata.google.internal".to_owned());
            let flavor = ("metadata-flavor", Text::from("Google"));
            let reach = Reach { headers: vec![flavor], limit, ..Reach::default() };
            let api = Api::new(&Text::from(&*format!("http://{host}/computeMetadata/v1")), &reach)?;
            Ok(Source::Machine(api))
        }
    }
}

/// The way by a file.
pub(super) async fn by_file(path: &Path, limit: Duration) -> Result<Source, ControlError> {
    let unusable = |why: &str, hint: &str| ControlError {
        what: format!("Google's credentials in {} cannot be used: {why}", path.display()),
        hint: hint.to_owned(),
    };
    let again =
        "see GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`";
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| unusable(&error.to_string(), again))?;
    // The library would quote what it read.
    let file: File = serde_json::from_str(&text)
        .map_err(|_| unusable("they are not the JSON that Google makes", again))?;
    let uri = match &file {
        File::ServiceAccount { token_uri, private_key, .. } => {
            key(private_key).ok_or_else(|| unusable("their key is no RSA key", again))?;
            token_uri.clone()
        }
        File::AuthorizedUser { token_uri, .. } => {
            token_uri.clone().unwrap_or_else(|| "https://oauth2.googleapis.com/token".to_owned())
        }
        File::Other => {
            let hint =
                "set CLOUDSDK_AUTH_ACCESS_TOKEN=\"$(gcloud auth print-access-token)\" instead";
            return Err(unusable("firedrill does not know their type", hint));
        }
    };
    let host = uri.find("://").map_or(0, |at| at + 3);
    let (origin, path) = uri.split_at(uri[host..].find('/').map_or(uri.len(), |at| host + at));
    let api = Api::new(&Text::from(origin), &Reach { limit, ..Reach::default() })?;
    Ok(Source::File(Box::new(file), api, path.to_owned()))
}

fn key(pem: &str) -> Option<RsaKeyPair> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()
}

/// What a token is asked for with (RFC 7523; RFC 6749, 6).
fn asked(file: &File, now: Timestamp) -> Option<String> {
    match file {
        File::ServiceAccount { client_email, private_key, private_key_id, token_uri } => {
            let now = now.as_second();
            let head = json!({ "alg": "RS256", "typ": "JWT", "kid": private_key_id });
            let claims = json!({
                "iss": client_email, "scope": SCOPE, "aud": token_uri, "iat": now, "exp": now + 3600,
            });
            let coded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
            let (head, claims) = (head.to_string(), claims.to_string());
            let message = format!("{}.{}", coded(head.as_bytes()), coded(claims.as_bytes()));
            let key = key(private_key)?;
            let mut signature = vec![0; key.public().modulus_len()];
            let random = SystemRandom::new();
            key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).ok()?;
            let kind = query_value("urn:ietf:params:oauth:grant-type:jwt-bearer");
            Some(format!("grant_type={kind}&assertion={message}.{}", coded(&signature)))
        }
        File::AuthorizedUser { client_id, client_secret, refresh_token, .. } => Some(format!(
            "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
            query_value(client_id),
            query_value(client_secret),
            query_value(refresh_token),
        )),
        File::Other => None,
    }
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
}

#[async_trait]
impl Tokens for Source {
    async fn token(&self) -> Result<Option<String>, ControlError> {
        let given: Given = match self {
            Source::Given(token) => return Ok(Some(token.clone())),
            Source::File(file, api, path) => {
                let body = asked(file, Timestamp::now()).ok_or_else(|| ControlError {
                    what: "the key of Google's credentials cannot sign".to_owned(),
                    hint: "make a new key for the service account".to_owned(),
                })?;
                let kind = "application/x-www-form-urlencoded";
                let request = Request::repeatable(Method::POST, &**path).body(kind, body).private();
                api.json(&request).await?
            }
            Source::Machine(api) => {
                let path = "/instance/service-accounts/default/token";
                api.json(&Request::get(path).private()).await.map_err(|error| ControlError {
                    what: format!("no credentials for Google Cloud were found; {}", error.what),
                    hint: "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`"
                        .to_owned(),
                })?
            }
        };
        Ok(Some(given.access_token))
    }

    fn are_renewed(&self) -> bool {
        !matches!(self, Source::Given(_))
    }

    fn exchanges(&self) -> Vec<Exchange> {
        match self {
            Source::Given(_) => Vec::new(),
            Source::File(_, api, _) | Source::Machine(api) => api.exchanges(),
        }
    }
}
