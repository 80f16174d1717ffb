//! TLS by rustls with ring, once per probe.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::connector::Stream;
use super::{PrepareError, failure};
use crate::model::{Outcome, Phase};
use crate::wire::tls;
pub(super) use crate::wire::tls::in_words;

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
        let mut config = match trust {
            Trust::Named(ca) => tls::trusting(*ca)?,
            Trust::Anybody => {
                let unasked = Arc::new(Unasked(tls::provider()));
                let config = tls::config()?.dangerous();
                config.with_custom_certificate_verifier(unasked).with_no_client_auth()
            }
        };
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
