//! Servers that nobody should speak to: a place that a redirect leads to, and one that no known authority vouches for.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// A place that a redirect leads to. Nobody answers there: that somebody came is seen all the same.
pub struct Elsewhere(std::net::TcpListener);

impl Elsewhere {
    pub fn new() -> Elsewhere {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Elsewhere(listener)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// That nobody connected so far.
    pub fn heard_nothing(&self) {
        let came = self.0.accept().expect_err("somebody came");
        assert_eq!(came.kind(), std::io::ErrorKind::WouldBlock);
    }
}

/// A server of TLS at 127.0.0.1, by an authority that nobody knows.
pub struct Stranger {
    pub port: u16,
    heard: mpsc::UnboundedReceiver<(u16, String)>,
}

impl Stranger {
    pub async fn start() -> Stranger {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (says, heard) = mpsc::unbounded_channel();
        let acceptor = acceptor();
        tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                let mut request = Vec::new();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    stream.read_to_end(&mut request).await.ok();
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                says.send((from.port(), request)).ok();
            }
        });
        Stranger { port, heard }
    }

    /// What each of those who connected so far sent behind the handshake.
    pub async fn heard(&mut self) -> Vec<String> {
        // One connection is served after the other: whoever came before this one is through when it is.
        let last = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let port = last.local_addr().unwrap().port();
        drop(last);
        let mut heard = Vec::new();
        while let Some((from, request)) = self.heard.recv().await {
            if from == port {
                break;
            }
            heard.push(request);
        }
        heard
    }
}

/// An authority of its own.
pub fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor() -> TlsAcceptor {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap().der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}
