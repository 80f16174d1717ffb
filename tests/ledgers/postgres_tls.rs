//! TLS with a real PostgreSQL: who is trusted, and why the others are not.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::outage::handle;
use super::postgres::{LIMIT, refusal};
use super::postgres_server::{Link, Server, folder, own, settings};

/// Whoever signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// A file to name as `ca`.
    fn pem(&self, folder: &Path, name: &str) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, self.0.pem()).unwrap();
        file
    }

    /// A certificate of the server at 127.0.1.1, good until this year, with its key, where the server looks for them.
    fn certify(&self, folder: &Path, until: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.1.1".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        self.give(folder, &key, certificate.pem());
    }

    fn give(&self, folder: &Path, key: &KeyPair, certificate: String) {
        for (name, text) in [("key", key.serialize_pem()), ("certificate", certificate)] {
            let file = folder.join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            own(&file);
        }
    }
}

/// Asks until the server, which was told of new settings, goes by them.
async fn refused_in_the_end(server: &Server, ledger: &str, word: &str) {
    server.sql("SELECT pg_reload_conf()").unwrap();
    for _ in 0..500 {
        if handle(ledger).begin(LIMIT).await.is_err_and(|said| said.contains(word)) {
            return;
        }
    }
    panic!("never `{word}`: {:?}", handle(ledger).begin(LIMIT).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_server_that_its_authority_names_is_trusted_unless_the_plan_says_so() {
    let home = folder();
    let home = home.path();
    let authority = Authority::new();
    authority.certify(home, 2999);
    let file = |key: &str, name: &str| format!("{key}={}", home.join(name).display());
    let (key, certificate) = (file("ssl_key_file", "key"), file("ssl_cert_file", "certificate"));
    let server = Server::start("127.0.1.1", &["ssl=on", &key, &certificate]).await;
    let plain = settings(&[server.host()], "", ", create: true");
    let ca = |authority: &Authority, name: &str| {
        format!("ca: \"{}\", ", authority.pem(home, name).display())
    };
    let (ours, other) = (ca(&authority, "ours"), ca(&Authority::new(), "other"));
    let with = |more: &str| plain.replace("sslmode: disable, ", more);

    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name = 'firedrill'";
    let modes =
        ["sslmode: verify-full, ", "sslmode: require, "].map(|mode| format!("{ours}{mode}"));
    let good = [&ours, &modes[0], &modes[1], "sslmode: require, ", "sslmode: prefer, "];
    for more in good {
        let ledger = handle(&with(more));
        ledger.begin(LIMIT).await.unwrap_or_else(|said| panic!("{more}: {said}"));
        assert_eq!(server.sql(encrypted).as_deref(), Some("t"), "{more}");
    }
    let url =
        format!("url: \"postgres://postgres:${{env:PG}}@127.0.1.1:{}/postgres\"", server.port);
    let url = format!("{{ postgres: {{ {ours}{url} }} }}");
    handle(&url).begin(LIMIT).await.unwrap();

    let stranger = format!("{other}sslmode: require, ");
    for more in ["", "sslmode: verify-full, ", &other, &stranger] {
        let said = refusal(&with(more)).await;
        assert!(said.contains("no authority that is trusted") && said.contains("`ca`"), "{said}");
    }
    let link = Link::to(server.ip, server.port).await;
    let elsewhere = with(&ours).replace(&server.host(), &format!("\"127.0.0.1:{}\"", link.port));
    let said = refusal(&elsewhere).await;
    assert!(said.contains("for another name"), "{said}");

    authority.certify(home, 2001);
    refused_in_the_end(&server, &with(&ours), "has expired").await;
    authority.give(home, authority.0.key(), authority.0.pem());
    refused_in_the_end(&server, &with(&ours), "CA:TRUE").await;
    let rules =
        "COPY (VALUES ('local all all trust'), ('hostssl all all 127.0.0.0/8 scram-sha-256')) TO";
    let place = server.sql("SHOW hba_file").unwrap();
    server.sql(&format!("{rules} '{place}'")).unwrap();
    refused_in_the_end(&server, &plain, "may ask for TLS").await;
}
