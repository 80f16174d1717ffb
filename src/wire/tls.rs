//! TLS by rustls with ring: whom we trust, and why a handshake failed.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use super::Unusable;
use crate::model::printable;

/// What encrypts.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The beginning of a client's settings.
///
/// # Errors
/// When TLS cannot be set up at all.
pub fn config() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, Unusable> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(
        |error| Unusable::new(format!("TLS cannot be set up: {error}"), "report this as a bug"),
    )
}

/// A client's settings that trust the authorities in the file `ca`, or else the system's.
///
/// # Errors
/// When there are none.
pub fn trusting(ca: Option<&Path>) -> Result<ClientConfig, Unusable> {
    let roots = match ca {
        Some(path) => Arc::new(roots_from(path)?),
        None => system_roots()?,
    };
    Ok(config()?.with_root_certificates(roots).with_no_client_auth())
}

/// Certificates and a key that stand in memory, as PEM.
#[derive(Clone, Copy, Default)]
pub struct Pem<'a> {
    /// The authorities whose servers are trusted; without them the system's.
    pub authorities: Option<&'a [u8]>,
    /// Who the client is: its certificate with those that lead to an authority, and the key.
    pub client: Option<(&'a [u8], &'a [u8])>,
}

impl fmt::Debug for Pem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is secret.
        f.write_str("Pem")
    }
}

/// A client's settings made of `pem`.
///
/// # Errors
/// When it cannot be used.
pub fn identified(pem: Pem<'_>) -> Result<ClientConfig, Unusable> {
    let refuse = |what: &str, why: String| {
        let hint = "see the certificates and keys that the credentials name";
        Unusable::new(format!("{what} cannot be used: {}", printable(&why)), hint)
    };
    let roots = match pem.authorities {
        None => system_roots()?,
        Some(text) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(text) {
                let added = certificate
                    .map_err(|error| error.to_string())
                    .and_then(|it| roots.add(it).map_err(|error| error.to_string()));
                added.map_err(|why| refuse("the certificate authority", why))?;
            }
            if roots.is_empty() {
                return Err(refuse("the certificate authority", "there is none in it".to_owned()));
            }
            Arc::new(roots)
        }
    };
    let config = config()?.with_root_certificates(roots);
    let Some((chain, key)) = pem.client else { return Ok(config.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|error| refuse("the client's certificate", error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(key);
    let key = key.map_err(|error| refuse("the client's key", error.to_string()))?;
    let config = config.with_client_auth_cert(chain, key);
    config.map_err(|error| refuse("the client's certificate", error.to_string()))
}

/// Why a handshake failed, and what to do.
pub fn in_words(error: &io::Error) -> String {
    use rustls::CertificateError as Bad;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let why = match inner {
        Some(rustls::Error::InvalidCertificate(bad)) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => {
                "no authority that is trusted vouches for the server's certificate: name its authority's PEM file as `ca`, or where the plan has no place for it a file with that one and the system's as SSL_CERT_FILE"
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

fn roots_from(path: &Path) -> Result<RootCertStore, Unusable> {
    let refuse = |why: String| {
        Unusable::new(
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
fn system_roots() -> Result<Arc<RootCertStore>, Unusable> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return Err(Unusable::new(
            "the system trusts no certificate authority",
            "install the ca-certificates package, or name a PEM file as `ca`",
        ));
    }
    Ok(Arc::clone(roots))
}
