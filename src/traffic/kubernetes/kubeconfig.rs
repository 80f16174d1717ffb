//! What a kubeconfig says of one context.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::traffic::ControlError;

/// A kubeconfig, as far as it concerns us.
#[derive(Deserialize)]
pub(super) struct Kubeconfig {
    clusters: Option<Vec<NamedCluster>>,
    contexts: Option<Vec<NamedContext>>,
    users: Option<Vec<NamedUser>>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<User>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    // The only name in it that is written in this way.
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    exec: Option<Exec>,
    username: Option<String>,
    auth_provider: Option<serde_json::Value>,
}

/// A program that gives credentials.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exec {
    pub(super) api_version: String,
    pub(super) command: PathBuf,
    pub(super) args: Option<Vec<String>>,
    pub(super) env: Option<Vec<Variable>>,
}

/// A variable of its environment.
#[derive(Deserialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

/// Where something stands: in the kubeconfig itself, or in a file.
pub(super) enum Place {
    /// Here.
    Here(Vec<u8>),
    /// There.
    File(PathBuf),
}

/// How to get a token.
pub(super) enum Source {
    /// There is none: the client's certificate says who we are.
    None,
    /// This one.
    Given(String),
    /// Whatever stands in the file.
    File(PathBuf),
    /// Whatever the program says.
    Exec(Exec),
}

/// Everything that a context names.
pub(super) struct Chosen {
    pub(super) server: String,
    pub(super) authorities: Option<Place>,
    pub(super) client: Option<(Place, Place)>,
    pub(super) source: Source,
}

/// Reads one file. Its paths are made to begin at the folder that it is in.
///
/// # Errors
/// In words, without what stands in it.
pub(super) fn parse(text: &str, folder: &Path) -> Result<Kubeconfig, String> {
    let parsed: Result<Kubeconfig, _> = serde_yaml::from_str(text);
    // The library quotes what it read, which may be a token.
    let mut config = parsed.map_err(|_| "it is no kubeconfig".to_owned())?;
    let clusters = config.clusters.iter_mut().flatten();
    let authorities = clusters.filter_map(|it| it.cluster.certificate_authority.as_mut());
    let users = config.users.iter_mut().flatten().filter_map(|it| it.user.as_mut());
    let files = users.flat_map(|user| {
        // A bare name is looked up as a shell does.
        let command = user.exec.as_mut().map(|exec| &mut exec.command);
        let command = command.filter(|command| command.components().count() > 1);
        let files = [&mut user.token_file, &mut user.client_certificate, &mut user.client_key];
        files.into_iter().flatten().chain(command)
    });
    authorities.chain(files).for_each(|path| *path = folder.join(&*path));
    Ok(config)
}

/// What the context of this name says. Of several files the first that knows a name is right, as for kubectl.
///
/// # Errors
/// When it is not there, or asks for what we do not do.
pub(super) fn choose(files: Vec<Kubeconfig>, name: &str) -> Result<Chosen, ControlError> {
    let (mut clusters, mut contexts, mut users) = (Vec::new(), Vec::new(), Vec::new());
    for file in files {
        clusters.extend(file.clusters.into_iter().flatten());
        contexts.extend(file.contexts.into_iter().flatten());
        users.extend(file.users.into_iter().flatten());
    }
    let gone = |what: &str| {
        let known: Vec<&str> = contexts.iter().map(|it| it.name.as_str()).collect();
        ControlError {
            what: format!("the kubeconfig has no {what}; its contexts: {}", known.join(", ")),
            hint: "see `context` in the plan, and KUBECONFIG if `kubeconfig` is not in it".into(),
        }
    };
    let context = contexts.iter().find(|it| it.name == name);
    let context = &context.ok_or_else(|| gone(&format!("context `{name}`")))?.context;
    let cluster = clusters.into_iter().find(|it| it.name == context.cluster);
    let cluster = cluster.ok_or_else(|| gone(&format!("cluster `{}`", context.cluster)))?;
    let user = users.into_iter().find(|it| it.name == context.user);
    let user = user.ok_or_else(|| gone(&format!("user `{}`", context.user)))?;
    chosen(cluster.cluster, user.user.unwrap_or_default(), name)
}

fn chosen(cluster: Cluster, user: User, name: &str) -> Result<Chosen, ControlError> {
    let refuse = |what: &str, hint: &str| ControlError {
        what: format!("the context `{name}` {what}"),
        hint: hint.to_owned(),
    };
    let refused = [
        (cluster.insecure_skip_tls_verify, "skips the verification of the server"),
        (cluster.tls_server_name.is_some(), "has a `tls-server-name`"),
        (cluster.proxy_url.is_some(), "goes through a `proxy-url`"),
        (user.username.is_some(), "has a user name and password"),
        (user.auth_provider.is_some(), "has an `auth-provider`, which Kubernetes 1.26 took away"),
    ];
    if let Some((_, what)) = refused.iter().find(|(is_so, _)| *is_so) {
        let hint = "firedrill does not do that: give it a context without, by a token, a client certificate or an `exec`";
        return Err(refuse(what, hint));
    }
    let place = |data: Option<String>, file: Option<PathBuf>| match data {
        Some(data) => BASE64_STANDARD.decode(data.trim()).map(|it| Some(Place::Here(it))),
        None => Ok(file.map(Place::File)),
    };
    let unread = |_| refuse("has certificate data that is not base64", "mend the kubeconfig");
    let authorities = place(cluster.certificate_authority_data, cluster.certificate_authority);
    let certificate = place(user.client_certificate_data, user.client_certificate);
    let key = place(user.client_key_data, user.client_key);
    let client = certificate.map_err(unread)?.zip(key.map_err(unread)?);
    let source = match (user.token_file, user.token, user.exec) {
        (Some(file), ..) => Source::File(file),
        (_, Some(token), _) => Source::Given(token),
        (_, _, Some(exec)) => Source::Exec(exec),
        _ if client.is_some() => Source::None,
        _ => {
            let hint = "give its user a token, a client certificate or an `exec`";
            return Err(refuse("says nothing of who we are", hint));
        }
    };
    let authorities = authorities.map_err(unread)?;
    Ok(Chosen { server: cluster.server, authorities, client, source })
}
