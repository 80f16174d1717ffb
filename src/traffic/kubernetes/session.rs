//! The way to a cluster's API: where it is, whom to trust, and who we are.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use super::kubeconfig::{self, Chosen, Exec, Place, Source};
use crate::model::{KubernetesAccess, KubernetesSettings, Shown, Text};
use crate::traffic::ControlError;
use crate::traffic::api::{Api, Reach, Request, Signed, Tokens};
use crate::wire::tls::Pem;

/// Where a pod finds what its service account may use.
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// So many things are asked for at once in a list.
const PAGE: usize = 250;

/// An API that can be asked.
pub(super) struct Session(Signed);

/// The tokens of a kubeconfig's user, or of a pod.
struct Bearers {
    source: Source,
    limit: Duration,
}

impl Session {
    /// Finds the way; nothing is connected yet.
    pub(super) async fn open(settings: &KubernetesSettings) -> Result<Session, ControlError> {
        let chosen = match &settings.access {
            KubernetesAccess::InCluster => in_cluster()?,
            KubernetesAccess::Context { name, kubeconfig } => {
                let files = match kubeconfig {
                    Some(file) => vec![PathBuf::from(file.reveal_plain())],
                    None => kubeconfigs()?,
                };
                let mut read = Vec::new();
                for file in files {
                    let text = text_of(&file).await?;
                    let folder = file.parent().unwrap_or(Path::new(""));
                    let parsed = kubeconfig::parse(&text, folder);
                    read.push(parsed.map_err(|why| unread(&file, &why))?);
                }
                kubeconfig::choose(read, name)?
            }
        };
        let Chosen { server, authorities, client, source } = chosen;
        let server = settings.server.clone().unwrap_or_else(|| Text::from(&*server));
        let authorities = match authorities {
            Some(place) => Some(bytes_of(place).await?),
            None => None,
        };
        let client = match client {
            Some((chain, key)) => Some((bytes_of(chain).await?, bytes_of(key).await?)),
            None => None,
        };
        let pem = Pem {
            authorities: authorities.as_deref(),
            client: client.as_ref().map(|(chain, key)| (&**chain, &**key)),
        };
        let reach = Reach { pem, limit: settings.timeout, ..Reach::default() };
        let api = Api::new(&server, &reach)?;
        let tokens = Bearers { source, limit: settings.timeout };
        Ok(Session(Signed::new(api, Box::new(tokens))))
    }

    /// Everything in a list, page after page. `query` begins with `?`, or is empty.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &str,
    ) -> Result<Vec<T>, ControlError> {
        let begin = if query.is_empty() { "?" } else { "&" };
        let first = format!("{path}{query}{begin}limit={PAGE}");
        let (mut all, mut next) = (Vec::new(), first.clone());
        loop {
            let page: Page<T> = self.json(&Request::get(next)).await?;
            all.extend(page.items);
            match page.metadata.and_then(|it| it.next) {
                Some(more) if !more.is_empty() => {
                    next = format!("{first}&continue={}", crate::model::query_value(&more));
                }
                _ => return Ok(all),
            }
        }
    }
}

impl std::ops::Deref for Session {
    type Target = Signed;

    fn deref(&self) -> &Signed {
        &self.0
    }
}

#[async_trait]
impl Tokens for Bearers {
    async fn token(&self) -> Result<Option<String>, ControlError> {
        Ok(Some(match &self.source {
            Source::None => return Ok(None),
            Source::Given(token) => token.clone(),
            Source::File(path) => text_of(path).await?.trim().to_owned(),
            Source::Exec(exec) => token_by(exec, self.limit).await?,
        }))
    }

    fn are_renewed(&self) -> bool {
        !matches!(self.source, Source::Given(_))
    }
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    metadata: Option<PageMetadata>,
}

#[derive(Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

fn in_cluster() -> Result<Chosen, ControlError> {
    let variable = |name: &str| {
        std::env::var(name).map_err(|_| ControlError {
            what: format!("this is no pod of a cluster: {name} is not in the environment"),
            hint: "name a `context` of a kubeconfig in the plan instead of `in_cluster`".into(),
        })
    };
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(Chosen {
        server: format!("https://{host}:{port}"),
        authorities: Some(Place::File(Path::new(POD).join("ca.crt"))),
        client: None,
        source: Source::File(Path::new(POD).join("token")),
    })
}

/// The files that kubectl reads.
fn kubeconfigs() -> Result<Vec<PathBuf>, ControlError> {
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        let files = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty());
        return Ok(files.collect());
    }
    let home = std::env::var_os("HOME").ok_or_else(|| ControlError {
        what: "no kubeconfig is named, and there is no HOME to look for one in".into(),
        hint: "set KUBECONFIG, or write `kubeconfig: PATH` in the plan".into(),
    })?;
    Ok(vec![Path::new(&home).join(".kube/config")])
}

fn unread(path: &Path, why: &str) -> ControlError {
    ControlError {
        what: format!("{} cannot be read: {why}", path.display()),
        hint: "see the path, and whether firedrill may read it".into(),
    }
}

async fn text_of(path: &Path) -> Result<String, ControlError> {
    tokio::fs::read_to_string(path).await.map_err(|error| unread(path, &error.to_string()))
}

async fn bytes_of(place: Place) -> Result<Vec<u8>, ControlError> {
    match place {
        Place::Here(bytes) => Ok(bytes),
        Place::File(path) => {
            tokio::fs::read(&path).await.map_err(|error| unread(&path, &error.to_string()))
        }
    }
}

/// Asks a program of the kubeconfig for a token.
async fn token_by(exec: &Exec, limit: Duration) -> Result<String, ControlError> {
    let program = exec.command.display();
    let failed = |why: String| ControlError {
        what: format!("`{program}`, which the kubeconfig has credentials from, {why}"),
        hint: "run it by hand; it may want somebody to log in".into(),
    };
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": exec.api_version,
        "spec": { "interactive": false },
    });
    let mut command = Command::new(&exec.command);
    command
        .args(exec.args.iter().flatten())
        .envs(exec.env.iter().flatten().map(|it| (&it.name, &it.value)))
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ran = timeout(limit, command.output()).await;
    let ran = ran.map_err(|_| failed(format!("did not end within {}", Shown(limit))))?;
    let output = ran.map_err(|error| failed(format!("cannot be run: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)));
    }
    let said: Option<Credential> = serde_json::from_slice(&output.stdout).ok();
    let token = said.and_then(|it| it.status).and_then(|it| it.token);
    token.ok_or_else(|| failed("gave no token; certificates are not taken from it".to_owned()))
}

#[derive(Deserialize)]
struct Credential {
    status: Option<CredentialStatus>,
}

#[derive(Deserialize)]
struct CredentialStatus {
    token: Option<String>,
}
