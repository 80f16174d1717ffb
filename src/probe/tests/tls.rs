//! HTTPS with an authority of one's own.

use std::io::Write;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate authority and the PEM file with its certificate.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(super) file: tempfile::NamedTempFile,
}

pub(super) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(issuer.pem().as_bytes()).unwrap();
    Authority { issuer, file }
}

/// An HTTPS server for `name`, with a certificate by `authority`.
async fn https(authority: &Authority, name: &str) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            read_request(&mut stream).await;
            let _ = stream.write_all(OK).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

async fn outcome(address: SocketAddr, host: &str, ca: &Authority) -> Outcome {
    let mut spec = http_spec(&format!("https://{host}:{}/", address.port()));
    spec.timeout = Duration::from_secs(2);
    http_of(&mut spec).ca = Some(ca.file.path().to_owned());
    take_one(&spec).await.outcome
}

#[tokio::test]
async fn a_server_with_a_trusted_certificate_is_good_by_name_and_by_address() {
    let authority = authority();
    let by_name = https(&authority, "localhost").await;
    assert_eq!(outcome(by_name, "localhost", &authority).await, Outcome::Good);
    let by_address = https(&authority, "127.0.0.1").await;
    assert_eq!(outcome(by_address, "127.0.0.1", &authority).await, Outcome::Good);
}

#[tokio::test]
async fn another_authority_another_name_and_no_tls_at_all_are_tls_failures() {
    let (ours, theirs) = (authority(), authority());
    let address = https(&theirs, "localhost").await;
    let failed = Outcome::Bad(Reason::Tls);
    assert_eq!(outcome(address, "localhost", &ours).await, failed, "authority");
    assert_eq!(outcome(address, "127.0.0.1", &theirs).await, failed, "name");
    let plain = server(|mut stream| async move {
        let _ = stream.write_all(OK).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    assert_eq!(outcome(plain.await, "localhost", &ours).await, failed, "plain text");
}

#[tokio::test]
async fn a_handshake_that_is_broken_off_is_a_reset_and_not_a_tls_failure() {
    let authority = authority();
    let closes = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let reset = Outcome::Bad(Reason::Reset);
    assert_eq!(outcome(closes.await, "localhost", &authority).await, reset);
}

#[test]
fn where_the_authorities_lie_is_not_shown_since_it_may_be_a_secret() {
    let path = std::path::Path::new("/nowhere/s3cr3t.pem");
    let error = crate::probe::tls::Tls::prepare("localhost", Some(path)).err().unwrap();
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
}
