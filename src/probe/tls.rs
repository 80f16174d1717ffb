//! TLS by rustls with ring, once per probe.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::connector::Stream;
use super::{PrepareError, failure};
use crate::model::{Outcome, Phase, printable};

/// How to speak TLS with one server name.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Whose certificate is taken.
pub(super) enum Trust<'a> {
    /// The server's, if one of these authorities says that it is; the system's if none are named.
    Named(Option<&'a Path>),
    /// Anybody's: the connection is encrypted, and who is at the other end is not known.
    Anybody,
}

impl Tls {
    /// TLS for HTTP with `host`, trusting the authorities in `ca` or else the system's.
    pub(super) fn prepare(host: &str, ca: Option<&Path>) -> Result<Self, PrepareError> {
        Tls::speaking("http/1.1", host, &Trust::Named(ca))
    }

    /// TLS for `protocol` (an ALPN name) with `host`.
    pub(super) fn speaking(
        protocol: &str,
        host: &str,
        trust: &Trust<'_>,
    ) -> Result<Self, PrepareError> {
        let bare = host.trim_matches(['[', ']']);
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| {
            PrepareError::new("the URL's host cannot be a server name in TLS", "mend `url`")
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| {
                PrepareError::new(format!("TLS cannot be set up: {error}"), "report this as a bug")
            })?;
        let config = match trust {
            Trust::Named(Some(path)) => config.with_root_certificates(roots_from(path)?),
            Trust::Named(None) => config.with_root_certificates(system_roots()?),
            Trust::Anybody => {
                config.dangerous().with_custom_certificate_verifier(Arc::new(Unasked(provider)))
            }
        };
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        // A resumed session skips the certificate: a new user would not be so lucky.
        config.resumption = Resumption::disabled();
        Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// The handshake.
    pub(super) async fn wrap(&self, plain: Box<dyn Stream>) -> Result<Box<dyn Stream>, Outcome> {
        self.handshake(plain).await.map_err(|error| failure::of_stream(&error, Phase::Tls))
    }

    /// The same, with what went wrong: [`in_words`] says it to people.
    pub(super) async fn handshake(&self, plain: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.connector.connect(self.name.clone(), plain).await?))
    }
}

/// Why a handshake failed, and what to do.
pub(super) fn in_words(error: &io::Error) -> String {
    use rustls::CertificateError as Bad;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let why = match inner {
        Some(rustls::Error::InvalidCertificate(bad)) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => {
                "no authority that is trusted vouches for the server's certificate: name its authority's PEM file as `ca`"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "the server's certificate is for another name: address it by one that the certificate has"
            }
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "the server's certificate has expired: renew it"
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: look at the clocks"
            }
            // Only its text has a name for this one.
            _ if error.to_string().contains("CaUsedAsEndEntity") => {
                "the server shows an authority's own certificate (CA:TRUE): let that one sign another for it"
            }
            _ => return printable(&format!("the server's certificate cannot be taken: {error}")),
        },
        Some(_) => return printable(&format!("TLS failed: {error}")),
        None => return printable(&format!("the connection broke while TLS began: {error}")),
    };
    why.to_owned()
}

/// Takes any certificate, as libpq does under `sslmode=require`; only the signatures must be right.
#[derive(Debug)]
struct Unasked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unasked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn roots_from(path: &Path) -> Result<RootCertStore, PrepareError> {
    let refuse = |why: String| {
        PrepareError::new(
            format!("the certificate authorities of `ca` cannot be used: {why}"),
            "`ca` must name a PEM file with at least one certificate",
        )
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| refuse(e.to_string()))? {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refuse("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// The system's authorities. Read once, since that takes some 10 ms and there may be many probes.
fn system_roots() -> Result<Arc<RootCertStore>, PrepareError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return Err(PrepareError::new(
            "the system trusts no certificate authority",
            "install the ca-certificates package, or name a PEM file as `ca`",
        ));
    }
    Ok(Arc::clone(roots))
}
