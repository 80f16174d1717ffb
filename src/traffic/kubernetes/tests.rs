//! Kubeconfigs, tokens, and programs that bring them.

use std::path::{Path, PathBuf};

use super::kubeconfig::{Chosen, Place, Source, choose, parse};
use super::*;
use crate::model::{KubernetesNodes, KubernetesZone, Name, Text};
use crate::traffic::api::double::{Provider as Double, good, say};

const CONFIG: &str = "
clusters:
- name: one
  cluster: { server: 'https://one.example:6443', certificate-authority-data: aGVsbG8= }
- name: two
  cluster: { server: 'https://two.example', certificate-authority: pki/ca.crt }
- name: blind
  cluster: { server: 'https://three.example', insecure-skip-tls-verify: true }
contexts:
- { name: by-token, context: { cluster: one, user: robot } }
- { name: by-file, context: { cluster: two, user: file } }
- { name: by-certificate, context: { cluster: two, user: cert } }
- { name: by-program, context: { cluster: two, user: program } }
- { name: nobody, context: { cluster: two, user: nobody } }
- { name: blind, context: { cluster: blind, user: robot } }
- { name: dangling, context: { cluster: gone, user: robot } }
- { name: broken, context: { cluster: two, user: broken } }
current-context: by-token
users:
- { name: robot, user: { token: hunter2 } }
- { name: file, user: { tokenFile: token } }
- { name: cert, user: { client-certificate-data: aGVsbG8=, client-key: /abs/key } }
- name: program
  user: { exec: { apiVersion: client.authentication.k8s.io/v1, command: bin/login, args: [a] } }
- { name: nobody, user: {} }
- { name: broken, user: { client-certificate-data: 'hunter2!', client-key-data: aGVsbG8= } }
";

fn chosen(name: &str) -> Result<Chosen, ControlError> {
    choose(vec![parse(CONFIG, Path::new("/home/me/.kube")).unwrap()], name)
}

#[test]
fn a_context_says_where_the_cluster_is_and_who_we_are() {
    let token = chosen("by-token").unwrap();
    assert_eq!(token.server, "https://one.example:6443");
    assert!(matches!(token.authorities, Some(Place::Here(bytes)) if bytes == b"hello"));
    assert!(matches!(token.source, Source::Given(token) if token == "hunter2"));
    let file = chosen("by-file").unwrap();
    let is = |place: Option<Place>, path: &str| matches!(place, Some(Place::File(at)) if at == Path::new(path));
    assert!(is(file.authorities, "/home/me/.kube/pki/ca.crt"));
    assert!(matches!(file.source, Source::File(at) if at == Path::new("/home/me/.kube/token")));
    let certificate = chosen("by-certificate").unwrap();
    assert!(matches!(certificate.source, Source::None));
    let (chain, key) = certificate.client.unwrap();
    assert!(matches!(chain, Place::Here(_)) && is(Some(key), "/abs/key"));
    let Source::Exec(exec) = chosen("by-program").unwrap().source else { panic!("no program") };
    assert_eq!(exec.command, PathBuf::from("/home/me/.kube/bin/login"));
}

#[test]
fn what_a_context_lacks_or_wants_beyond_us_is_told_without_secrets() {
    for (name, what) in [
        ("elsewhere", "no context `elsewhere`; its contexts: by-token, by-file"),
        ("dangling", "no cluster `gone`"),
        ("nobody", "says nothing of who we are"),
        ("blind", "skips the verification"),
        ("broken", "not base64"),
    ] {
        let error = chosen(name).err().unwrap();
        assert!(error.what.contains(what) && !error.what.contains("hunter"), "{error}");
    }
    let error = parse("users: [{ name: a, user: hunter2 }]", Path::new("")).err().unwrap();
    assert_eq!(error, "it is no kubeconfig");
}

#[test]
fn of_several_files_the_first_that_knows_a_name_is_right() {
    let other = CONFIG.replace("one.example", "other.example");
    let files = [&other, CONFIG].map(|text| parse(text, Path::new("")).unwrap());
    assert_eq!(choose(files.into(), "by-token").unwrap().server, "https://other.example:6443");
}

/// A control whose kubeconfig says `user`, at a double.
fn control(double: &Double, folder: &Path, user: &str) -> Kubernetes {
    let config = folder.join("config");
    let text = format!(
        "clusters: [{{ name: a, cluster: {{ server: 'http://{}' }} }}]\n\
         contexts: [{{ name: a, context: {{ cluster: a, user: a }} }}]\n\
         users: [{{ name: a, user: {user} }}]\n",
        double.at
    );
    std::fs::write(&config, text).unwrap();
    let nodes = KubernetesNodes {
        label: "zone".into(),
        zones: vec![KubernetesZone { datacenter: crate::model::DatacenterId(0), zone: "a".into() }],
        namespaces: vec!["shop".into()],
        evict_within: Duration::from_secs(1),
    };
    let settings = KubernetesSettings {
        access: KubernetesAccess::Context {
            name: "a".into(),
            kubeconfig: Some(Text::from(config.to_str().unwrap())),
        },
        server: None,
        by: KubernetesBy::Nodes(nodes),
        timeout: Duration::from_secs(5),
    };
    let provider = Provider::Kubernetes(settings);
    Kubernetes::new(&ControlSpec { name: Name::from("wan"), provider }).unwrap()
}

fn nobody() -> crate::traffic::api::double::Reply {
    let body = json!({ "kind": "Status", "message": "Unauthorized", "code": 401 });
    say("401 Unauthorized", "content-type: application/json\r\n", &body.to_string())
}

#[tokio::test]
async fn a_token_that_expired_is_asked_for_anew_once_and_never_shown() {
    let named = || good(&json!({ "metadata": { "name": "kube-system", "uid": "u-1" } }));
    let folder = tempfile::tempdir().unwrap();
    // Each run of the program brings another token.
    let script = "echo x >> $0.runs; n=$(wc -l < $0.runs); \
                  echo '{\"status\":{\"token\":\"hunter'$n'\"}}'";
    std::fs::write(folder.path().join("login"), script).unwrap();
    let login = folder.path().join("login");
    let user = format!(
        "{{ exec: {{ apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['{}'] }} }}",
        login.display()
    );
    let double = Double::new([named(), nobody(), named(), nobody(), nobody()]).await;
    let control = control(&double, folder.path(), &user);
    for _ in 0..2 {
        let identity = control.identity().await.unwrap();
        assert_eq!(identity.as_deref(), Some("kubernetes cluster u-1"));
    }
    let error = control.identity().await.unwrap_err();
    assert!(error.what.contains("401 Unauthorized: Unauthorized"), "{error}");
    let tokens = double.heard().into_iter().map(|heard| {
        let line = heard.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        line.unwrap().to_owned()
    });
    let tokens: Vec<String> = tokens.collect();
    assert_eq!(tokens, ["hunter1", "hunter1", "hunter2", "hunter2", "hunter3"]);
    let shown = format!("{error} {:?}", control.exchanges());
    assert!(!shown.contains("hunter"), "{shown}");
}

#[tokio::test]
async fn a_program_that_brings_no_token_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (program, what) in [
        ("command: /nonexistent/login", "cannot be run"),
        ("command: sh, args: [-c, 'exit 3']", "ended with exit status: 3"),
        ("command: echo, args: ['{\"status\":{}}']", "gave no token"),
        ("command: echo, args: [hunter2]", "gave no token"),
    ] {
        let user =
            format!("{{ exec: {{ apiVersion: client.authentication.k8s.io/v1, {program} }} }}");
        let double = Double::new([]).await;
        let error = control(&double, folder.path(), &user).inspect().await.unwrap_err();
        assert!(error.what.contains(what) && !error.what.contains("hunter"), "{error}");
        assert!(double.heard().is_empty());
    }
}
