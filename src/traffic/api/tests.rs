//! Requests against real servers on real sockets that answer well, badly, late or not at all.

use std::io::Write;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use super::double::{Provider, Reply, TOKEN, good, said, say, secret};
use super::line::ANSWER_BYTES_MAX;
use super::*;

#[tokio::test]
async fn what_is_asked_arrives_as_it_was_meant() {
    let provider = Provider::new([good(&json!({ "name": "web" }))]).await;
    let api = provider.api("/v1/");
    let request = Request::repeatable(Method::PUT, "/web?a=b").json(&json!({ "weight": 0 }));
    let read: Value = api.json(&request.header("if-match", "7")).await.unwrap();
    assert_eq!(read, json!({ "name": "web" }));
    let heard = provider.heard();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].starts_with("PUT /v1/web?a=b HTTP/1.1\r\n"), "{}", heard[0]);
    for line in [
        &format!("host: {}", provider.at),
        &format!("authorization: Bearer {TOKEN}"),
        "content-type: application/json",
        "if-match: 7",
    ] {
        assert!(heard[0].contains(&format!("\r\n{line}\r\n")), "{line}: {}", heard[0]);
    }
    assert!(heard[0].ends_with("\r\n\r\n{\"weight\":0}"), "{}", heard[0]);
    let exchanges = api.exchanges();
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0].asked, "PUT /web?a=b {\"weight\":0}");
    assert_eq!(exchanges[0].answered, "200 OK: {\"name\":\"web\"}");
}

#[tokio::test]
async fn what_may_be_asked_twice_is_asked_until_it_is_answered() {
    let replies = [
        say("503 Service Unavailable", "", "busy"),
        say("429 Too Many Requests", "retry-after: 0\r\n", ""),
        Reply::Say(String::new()),
        good(&json!([1])),
    ];
    let provider = Provider::new(replies).await;
    let api = provider.api("");
    assert_eq!(api.json::<Vec<u32>>(&Request::get("/a")).await, Ok(vec![1]));
    assert_eq!(provider.heard().len(), 4);
    let answered: Vec<String> = api.exchanges().into_iter().map(|it| it.answered).collect();
    assert_eq!(answered[..2], ["503 Service Unavailable: busy", "429 Too Many Requests"]);
    assert_eq!(answered[2], "the connection was closed before the answer was whole");
}

#[tokio::test]
async fn what_may_not_be_asked_twice_is_asked_once() {
    for (reply, what, hint) in [
        (say("503 Service Unavailable", "", ""), "503 Service Unavailable", "not well"),
        (say("429 Too Many Requests", "", ""), "429 Too Many Requests", "no more calls"),
        (Reply::Say(String::new()), "closed before the answer", "may have taken effect"),
    ] {
        let provider = Provider::new([reply]).await;
        let request = Request::once(Method::POST, "/a");
        let error = provider.api("").good(&request).await.unwrap_err();
        assert!(error.what.contains(what) && error.hint.contains(hint), "{error}");
        assert_eq!(provider.heard().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn what_was_never_sent_is_asked_again_whatever_it_is() {
    // Bound and not listening: it refuses, and nobody else can have the port.
    let gone = TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = Text::from(&*format!("http://{}", gone.local_addr().unwrap()));
    let reach = Reach { limit: Duration::from_secs(1), ..Reach::default() };
    let api = Api::new(&base, &reach).unwrap();
    let error = api.good(&Request::once(Method::POST, "/a")).await.unwrap_err();
    assert!(error.what.contains("Connection refused"), "{error}");
    assert!(error.hint.contains("can be reached"), "{error}");
    assert!(api.exchanges().len() > 1);
}

#[tokio::test]
async fn nobody_waits_for_longer_than_the_limit() {
    let reply = say("429 Too Many Requests", "retry-after: 3600\r\n", "slow down");
    let provider = Provider::new([reply]).await;
    let error = provider.api("").good(&Request::get("/a")).await.unwrap_err();
    assert_eq!(provider.heard().len(), 1);
    let what = "429 Too Many Requests: slow down to `GET /a`, and wants to be left alone for 1 h";
    assert!(error.what.contains(what), "{error}");
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = Provider::new([good(&json!({}))]).await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let to = format!("location: http://{}/a\r\n", elsewhere.at);
        let provider = Provider::new([say(status, &to, "")]).await;
        let error = provider.api("").ask(&Request::get("/a")).await.unwrap_err();
        let what = format!("sends `GET /a` on to http://{}/a, which is not followed", elsewhere.at);
        assert!(error.what.contains(&what), "{error}");
        assert_eq!(provider.heard().len(), 1);
    }
    assert_eq!(elsewhere.heard().len(), 0);
}

#[tokio::test]
async fn pages_are_asked_for_below_the_address_of_the_plan_alone() {
    let provider = Provider::new([good(&json!({}))]).await;
    let (api, at) = (provider.api("/v1"), provider.at);
    let whole = Request::get(format!("http://{at}/v1/next?page=2"));
    assert!(api.good(&whole).await.unwrap().is_good());
    assert!(provider.heard()[0].starts_with("GET /v1/next?page=2 "), "{:?}", provider.heard());
    for path in [
        "https://evil.example/v1/next".to_owned(),
        format!("https://{at}/v1/next"),
        format!("http://{at}0/v1/next"),
        format!("http://{at}@evil.example/v1/next"),
        format!("http://{at}/v1evil"),
        format!("http://{at}/v2"),
        "next".to_owned(),
        String::new(),
        "/a b".to_owned(),
        "/a\r\nx: y".to_owned(),
    ] {
        let error = api.good(&Request::get(&*path)).await.unwrap_err();
        assert!(error.what.contains("cannot be asked"), "{path}: {error}");
    }
    assert_eq!(provider.heard().len(), 1);
}

#[tokio::test]
async fn only_the_provider_itself_says_that_there_is_no_such_thing() {
    let gone = r#"{"error":{"code":404,"message":"it does not exist"}}"#;
    let page = "<html>nothing here</html>";
    let replies = [
        say("404 Not Found", "", gone),
        say("404 Not Found", "", page),
        say("403 Forbidden", "", gone),
        good(&json!(7)),
    ];
    let provider = Provider::new(replies).await;
    let api = Signed::new(provider.api(""), Box::new(NoToken));
    let mut found = Vec::new();
    for _ in 0..4 {
        found.push(api.json_if_there::<u32>(&Request::get("/a")).await);
    }
    assert_eq!((&found[0], &found[3]), (&Ok(None), &Ok(Some(7))));
    for (found, what) in found[1..3].iter().zip([page, "403 Forbidden: it does not exist"]) {
        assert!(found.as_ref().unwrap_err().what.contains(what), "{found:?}");
    }
}

struct NoToken;

#[async_trait::async_trait]
impl Tokens for NoToken {
    async fn token(&self) -> Result<Option<String>, ControlError> {
        Ok(None)
    }
}

#[tokio::test]
async fn answers_that_are_none_are_told_in_words() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":".to_owned();
    let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"hal".to_owned();
    let endless =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", " ".repeat(ANSWER_BYTES_MAX + 1));
    let headless = "HTTP/1.1 200 OK\r\ncontent-".to_owned();
    for (reply, what) in [
        (Reply::Say(cut), "the answer broke off"),
        (Reply::Say(chunk), "the answer broke off"),
        (Reply::Say(endless), "the answer is larger than 16 MiB"),
        (Reply::Say(headless), "closed before the answer was whole"),
        (Reply::Say("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned()), "what came back is not HTTP"),
        (
            say("200 OK", "content-type: text/html\r\n", "<html>"),
            "the JSON that was due (text/html;",
        ),
        (say("200 OK", "", "{\"half\":"), "the JSON that was due (no content type;"),
        (say("200 OK", "", "[]"), "the JSON that was due"),
        (say("200 OK", "", "{\"a\": \"\u{1b}[2J\"}"), "the JSON that was due"),
    ] {
        let provider = Provider::new([reply]).await;
        let request = Request::once(Method::GET, "/a");
        let api = provider.api("");
        let read = api.json::<std::collections::BTreeMap<String, u32>>(&request).await;
        let error = read.unwrap_err();
        assert!(error.what.contains(what), "{what}: {error}");
        assert!(error.what.contains("`GET /a`") && !error.what.contains('\u{1b}'), "{error}");
    }
}

#[tokio::test]
async fn a_provider_that_is_slow_is_told_apart_by_how_far_it_came() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":";
    for (reply, what) in [
        (Reply::Hang(String::new()), "no answer within 300 ms"),
        (Reply::Hang(half.to_owned()), "the answer began and was not whole within 300 ms"),
    ] {
        let provider = Provider::new([reply]).await;
        let api = provider.within("", Duration::from_millis(300));
        let error = api.good(&Request::get("/a")).await.unwrap_err();
        assert!(error.what.contains(what), "{error}");
        assert_eq!(provider.heard().len(), 1);
    }
    // It takes connections and says nothing, also not in TLS.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Text::from(&*format!("https://{}", mute.local_addr().unwrap()));
    let file = Authority::new();
    let limit = Duration::from_millis(300);
    let reach = Reach { ca: Some(file.pem.path()), limit, ..Reach::default() };
    let error = Api::new(&base, &reach).unwrap().good(&Request::get("/a")).await.unwrap_err();
    assert!(error.what.contains("TLS was not set up within 300 ms"), "{error}");
}

#[tokio::test]
async fn no_secret_comes_back_in_errors_or_in_the_log() {
    // As it is, in JSON, in a URL, and where the text is cut off.
    let forms = [TOKEN, r#"hun\"ter&2"#, "hun%22ter%262"];
    let long = format!("{}{TOKEN}{}", "x".repeat(195), "y".repeat(300));
    let bodies = forms.map(str::to_owned).into_iter().chain([long]);
    for body in bodies.collect::<Vec<_>>() {
        let provider = Provider::new([say("403 Forbidden", "", &body)]).await;
        let api = provider.api("");
        let request =
            Request::once(Method::POST, "/a?key=hun%22ter%262").body("text/plain", &*body);
        let error = api.good(&request).await.unwrap_err().to_string();
        let shown = format!("{error} {:?} {api:?} {request:?}", api.exchanges());
        assert!(!shown.contains("hun"), "{shown}");
        assert!(shown.contains("***") && shown.contains("403 Forbidden"), "{shown}");
    }
}

#[tokio::test]
async fn nothing_of_what_brings_credentials_is_shown() {
    let brought = good(&json!({ "access_token": "ya29.secret" }));
    let refused = say("400 Bad Request", "", "no such assertion: ey.secret");
    let echoed = say("403 Forbidden", "", "Bearer ya29.secret may not do that");
    let senseless = say("200 OK", "", "\"ya29.secret\"");
    let provider = Provider::new([brought, refused, echoed, senseless]).await;
    let api = provider.api("");
    let ask = || Request::once(Method::POST, "/token").body("text/plain", "ey.secret").private();
    let token: Value = api.json(&ask()).await.unwrap();
    let mut shown = api.good(&ask()).await.unwrap_err().to_string();
    let token = token["access_token"].as_str().unwrap();
    shown += &api.good(&Request::get("/a").bearer(token)).await.unwrap_err().to_string();
    shown += &api.json::<u32>(&ask()).await.unwrap_err().to_string();
    let heard = provider.heard();
    assert!(heard[2].contains("authorization: Bearer ya29.secret\r\n"), "{}", heard[2]);
    assert!(!heard[2].contains(TOKEN), "one credential at a time: {}", heard[2]);
    shown += &format!("{:?}", api.exchanges());
    assert!(shown.contains("403 Forbidden: Bearer *** may not"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn settings_that_cannot_be_used_are_told_without_their_secrets() {
    for (base, header, what) in [
        (Text::from("api.example.org"), "x", "has no scheme"),
        (Text::from("ftp://api.example.org"), "x", "is neither http nor https"),
        (Text::from("http://user:word@api.example.org"), "x", "holds credentials"),
        (Text::from("http://api.example.org/?a=b"), "x", "has a query"),
        (secret("http://", "hunter2:0"), "x", "`http://${env:TOKEN}` has a port"),
        (Text::from("http://api.example.org"), "hunter2\n", "the header `x-token`"),
    ] {
        let headers = vec![("x-token", secret("", header))];
        let error = Api::new(&base, &Reach { headers, ..Reach::default() }).unwrap_err();
        assert!(error.what.contains(what) && !error.what.contains("hunter"), "{error}");
    }
    let missing = Reach { ca: Some(Path::new("/nonexistent/ca.pem")), ..Reach::default() };
    let error = Api::new(&Text::from("https://api.example.org"), &missing).unwrap_err();
    assert!(error.what.contains("the certificate authorities of `ca` cannot be used"), "{error}");
}

/// An authority of one's own.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: tempfile::NamedTempFile,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut pem = tempfile::NamedTempFile::new().unwrap();
        pem.write_all(issuer.pem().as_bytes()).unwrap();
        Authority { issuer, pem }
    }

    /// A certificate for `name`, and its key, as PEM.
    fn identity(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// TLS for a server that wants to know who its clients are, by this authority.
    fn acceptor_of_the_known(&self) -> TlsAcceptor {
        let (chain, key) = self.identity("localhost");
        let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let known = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider());
        let config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(known.build().unwrap())
            .with_single_cert(vec![chain], PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap());
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }

    /// TLS for a server of the name `localhost`.
    fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}

#[tokio::test]
async fn tls_trusts_the_authority_of_the_plan_and_says_what_is_wrong() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let ask = async |host: &str, acceptor: Option<TlsAcceptor>| {
        let provider = Provider::speaking(acceptor, [good(&json!(1))]).await;
        let base = Text::from(&*format!("https://{host}:{}", provider.at.port()));
        let limit = Duration::from_secs(30);
        let reach = Reach { ca: Some(ours.pem.path()), limit, ..Reach::default() };
        let api = Api::new(&base, &reach).unwrap();
        let read = api.json::<u32>(&Request::get("/a")).await;
        (read.map_err(|error| error.to_string()), api.exchanges().len(), provider.heard().len())
    };
    assert_eq!(ask("localhost", Some(ours.acceptor())).await, (Ok(1), 1, 1));
    for (host, acceptor, what) in [
        ("localhost", Some(theirs.acceptor()), "no authority that is trusted vouches for"),
        ("127.0.0.1", Some(ours.acceptor()), "certificate is for another name"),
    ] {
        let (read, asked, heard) = ask(host, acceptor).await;
        let error = read.unwrap_err();
        assert!(error.contains(what), "{error}");
        assert_eq!((asked, heard), (1, 0), "a certificate does not get better: {error}");
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate_and_one_that_cannot_be_used_is_told() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let authorities = ours.issuer.pem();
    let ask = async |client: Option<(&str, &str)>| {
        let acceptor = Some(ours.acceptor_of_the_known());
        let provider = Provider::speaking(acceptor, [good(&json!(1))]).await;
        let base = Text::from(&*format!("https://localhost:{}", provider.at.port()));
        let client = client.map(|(chain, key)| (chain.as_bytes(), key.as_bytes()));
        let pem = tls::Pem { authorities: Some(authorities.as_bytes()), client };
        let reach = Reach { pem, limit: Duration::from_secs(2), ..Reach::default() };
        Api::new(&base, &reach)?.json::<u32>(&Request::get("/a")).await
    };
    let (chain, key) = ours.identity("drill");
    assert_eq!(ask(Some((&chain, &key))).await, Ok(1));
    let (unknown, its) = theirs.identity("drill");
    for (client, what) in [
        (None, "gave no answer"),
        (Some((&*unknown, &*its)), "gave no answer"),
        (Some((&*chain, &*its)), "the client's certificate cannot be used"),
        (Some((&*chain, "hunter2")), "the client's key cannot be used"),
        (Some(("hunter2", &*key)), "the client's certificate cannot be used"),
    ] {
        let error = ask(client).await.unwrap_err();
        assert!(error.what.contains(what) && !error.what.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = plain.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(said("400 Bad Request", "", "").as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let file = Authority::new();
    let limit = Duration::from_secs(30);
    let reach = Reach { ca: Some(file.pem.path()), limit, ..Reach::default() };
    let api = Api::new(&Text::from(&*format!("https://localhost:{}", at.port())), &reach).unwrap();
    let error = api.good(&Request::get("/a")).await.unwrap_err();
    assert!(error.what.contains("TLS failed"), "{error}");
}
