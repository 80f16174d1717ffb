//! The `redis` and `nats` ledgers over TLS, with an authority of one's own.

use std::path::{Path, PathBuf};

use firedrill::clock::Clock;
use firedrill::model::{Fate, ReadStage};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::nats::Nats;
use super::outage::{Written, handle, plan, plan_with, prober, write_while};
use super::ports::free_port;
use super::redis::{LIMIT, Redis};

const IP: &str = "127.0.1.1";

/// A server's certificate, its key, and who is to be trusted; and an authority that has nothing to do with it.
struct Papers {
    home: TempDir,
}

impl Papers {
    /// Those of a server whose name is `name`.
    fn of(name: &str) -> Papers {
        let home = tempfile::tempdir().unwrap();
        let write =
            |file: &str, text: String| std::fs::write(home.path().join(file), text).unwrap();
        let authority = || {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
        };
        let (ours, other) = (authority(), authority());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        write("cert.pem", params.signed_by(&key, &ours).unwrap().pem());
        write("key.pem", key.serialize_pem());
        write("ca.pem", ours.pem());
        write("other.pem", other.pem());
        Papers { home }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.home.path().join(file)
    }

    fn text(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }
}

/// Writes some records, and reads them back.
async fn works(settings: &str) {
    let plan = plan(&plan_with(settings));
    let (prober, written) = (prober(&plan), Written::default());
    let ledger = prober.ledger().unwrap();
    ledger.begin(LIMIT).await.unwrap();
    write_while(prober, &written, written.until_more(Fate::Acknowledged, 20)).await;
    let read = ledger.read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert_eq!(read.end, Ok(()));
    assert!(
        read.seen
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .is_superset(&written.with(Fate::Acknowledged))
    );
    ledger.clean(LIMIT).await.unwrap();
}

/// The drill does not begin, nothing is read, and no write is taken for acknowledged.
async fn fails(settings: &str, words: &str) {
    let said = handle(settings).begin(LIMIT).await.unwrap_err();
    assert!(said.contains(words), "{said}");
    let read = handle(settings).read(Clock::start(), ReadStage::AfterFailover, LIMIT).await;
    assert!(read.end.is_err(), "{settings}");
    let (plan, written) = (plan(&plan_with(settings)), Written::default());
    write_while(prober(&plan), &written, written.until_more(Fate::Refused, 2)).await;
    assert_eq!(written.with(Fate::Acknowledged).len(), 0, "{settings}");
}

async fn redis(papers: &Papers) -> (Redis, u16) {
    let port = free_port(IP);
    let (cert, key, ca) = (papers.text("cert.pem"), papers.text("key.pem"), papers.text("ca.pem"));
    let tls = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no"];
    let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    (Redis::start(IP, &[&tls[..], &files].concat()).await, port)
}

#[tokio::test]
async fn redis_over_tls_works_with_the_right_authority_and_name_only() {
    let papers = Papers::of(IP);
    let (plain, port) = redis(&papers).await;
    let at = |scheme: &str, port: u16, ca: &Path| {
        format!("{{ redis: {{ url: \"{scheme}://{IP}:{port}\", ca: {} }} }}", ca.display())
    };
    works(&at("rediss", port, &papers.path("ca.pem"))).await;
    fails(&at("rediss", port, &papers.path("other.pem")), "TLS").await;
    fails(&at("rediss", plain.port, &papers.path("ca.pem")), "TLS").await;
    let elsewhere = Papers::of("127.0.9.9");
    let (_server, port) = redis(&elsewhere).await;
    fails(&at("rediss", port, &elsewhere.path("ca.pem")), "TLS").await;
}

#[tokio::test]
async fn redis_without_tls_at_a_tls_port_is_no_empty_ledger() {
    let papers = Papers::of(IP);
    let (_server, port) = redis(&papers).await;
    let settings = format!("{{ redis: {{ url: \"redis://{IP}:{port}\" }} }}");
    let said = handle(&settings).begin(LIMIT).await.unwrap_err();
    assert!(said.contains("reached") || said.contains("protocol"), "{said}");
    let (plan, written) = (plan(&plan_with(&settings)), Written::default());
    write_while(prober(&plan), &written, written.until_more(Fate::Unknown, 2)).await;
    assert_eq!(written.with(Fate::Acknowledged).len(), 0);
}

#[tokio::test]
async fn nats_over_tls_works_with_the_right_authority_and_name_only() {
    let papers = Papers::of(IP);
    let (cert, key) = (papers.text("cert.pem"), papers.text("key.pem"));
    let tls = ["-js", "--tls", "--tlscert", &cert, "--tlskey", &key];
    let nats = Nats::start(IP, &tls).await;
    let plain = Nats::start(IP, &["-js"]).await;
    let at = |server: &Nats, ca: &Path| {
        let (url, ca) = (server.url().replace("nats://", "tls://"), ca.display());
        format!("{{ nats: {{ servers: [\"{url}\"], ca: {ca} }}, create: true }}")
    };
    works(&at(&nats, &papers.path("ca.pem"))).await;
    fails(&at(&nats, &papers.path("other.pem")), "TLS").await;
    fails(&at(&plain, &papers.path("ca.pem")), "TLS").await;
    let settings = format!("{{ nats: {{ servers: [\"{}\"] }}, create: true }}", nats.url());
    fails(&settings, "it wants TLS").await;
    let elsewhere = Papers::of("127.0.9.9");
    let (cert, key) = (elsewhere.text("cert.pem"), elsewhere.text("key.pem"));
    let tls = ["-js", "--tls", "--tlscert", &cert, "--tlskey", &key];
    fails(&at(&Nats::start(IP, &tls).await, &elsewhere.path("ca.pem")), "TLS").await;
}
