//! Tokens of service accounts, people and machines.

use std::path::Path;
use std::process::Command;

use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::token::{Source, by_file};
use super::*;
use crate::traffic::api::double::{Provider as Double, good, say};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(5);

/// A key as service accounts have them.
fn key() -> String {
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .expect("openssl is installed: apt-get install openssl");
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap()
}

fn given() -> crate::traffic::api::double::Reply {
    good(&json!({ "access_token": "ya29.secret", "expires_in": 3599, "token_type": "Bearer" }))
}

async fn by(content: &Value) -> Result<Source, ControlError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content.to_string()).unwrap();
    by_file(file.path(), LIMIT).await
}

#[tokio::test]
async fn a_service_account_signs_what_it_asks_for_and_nothing_of_it_is_shown() {
    let (key, double) = (key(), Double::new([given()]).await);
    let uri = format!("http://{}/v4/token", double.at);
    let file = json!({
        "type": "service_account",
        "client_email": "drill@shop-1.iam.gserviceaccount.com",
        "private_key": key,
        "private_key_id": "key-7",
        "token_uri": uri,
        "project_id": "shop-1",
    });
    let source = by(&file).await.unwrap();
    assert_eq!(source.token().await.unwrap().as_deref(), Some("ya29.secret"));
    let heard = double.heard().remove(0);
    assert!(heard.starts_with("POST /v4/token HTTP/1.1\r\n"), "{heard}");
    let (_, assertion) = heard.split_once("&assertion=").unwrap();
    assert!(heard.contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"));

    let (message, signature) = assertion.rsplit_once('.').unwrap();
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key());
    public.verify(message.as_bytes(), &decoded(signature)).expect("it is signed by the key");
    let (head, claims) = message.split_once('.').unwrap();
    let head: Value = serde_json::from_slice(&decoded(head)).unwrap();
    assert_eq!(head, json!({ "alg": "RS256", "typ": "JWT", "kid": "key-7" }));
    let claims: Value = serde_json::from_slice(&decoded(claims)).unwrap();
    assert_eq!(claims["iss"], "drill@shop-1.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], uri.as_str());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);

    let shown = format!("{:?}", source.exchanges());
    assert!(shown.contains("POST /v4/token") && !shown.contains("ya29"), "{shown}");
    assert!(!shown.contains("assertion"), "{shown}");
}

#[tokio::test]
async fn a_persons_log_in_is_refreshed_and_a_machine_is_asked() {
    let double = Double::new([given(), given()]).await;
    let file = json!({
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "se/cret",
        "refresh_token": "1//re",
        "token_uri": format!("http://{}/token", double.at),
    });
    assert!(by(&file).await.unwrap().token().await.unwrap().is_some());
    let base = Text::from(&*format!("http://{}/computeMetadata/v1", double.at));
    let machine =
        Source::Machine(Api::new(&base, &Reach { limit: LIMIT, ..Reach::default() }).unwrap());
    assert!(machine.token().await.unwrap().is_some());
    let heard = double.heard();
    let form =
        "grant_type=refresh_token&client_id=id&client_secret=se%2Fcret&refresh_token=1%2F%2Fre";
    assert!(heard[0].ends_with(form), "{}", heard[0]);
    let path = "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1";
    assert!(heard[1].starts_with(path), "{}", heard[1]);
}

#[tokio::test]
async fn credentials_that_cannot_be_used_are_told_without_what_is_in_them() {
    let account = |key: &str| {
        json!({ "type": "service_account", "client_email": "a", "private_key": key,
                "private_key_id": "k", "token_uri": "https://oauth2.googleapis.com/token" })
    };
    for (content, what) in [
        (json!({ "type": "external_account", "audience": "x" }), "does not know their type"),
        (json!("hunter2"), "not the JSON that Google makes"),
        (account("hunter2"), "their key is no RSA key"),
    ] {
        let error = by(&content).await.err().unwrap();
        assert!(error.what.contains(what) && !error.what.contains("hunter2"), "{error}");
    }
    let error = by_file(Path::new("/nonexistent/key.json"), LIMIT).await.err().unwrap();
    assert!(error.what.contains("/nonexistent/key.json"), "{error}");

    // The key was taken away.
    let refused = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    let double = Double::new([say("400 Bad Request", "", refused)]).await;
    let mut file = account(&key());
    file["token_uri"] = json!(format!("http://{}/token", double.at));
    let error = by(&file).await.unwrap().token().await.unwrap_err();
    assert!(error.what.contains("400 Bad Request"), "{error}");
}

#[test]
fn groups_are_known_by_their_urls() {
    let at = |rest: &str| {
        backends::group(&format!("https://www.googleapis.com/compute/v1/projects/p/{rest}"))
            .map(|(location, kind, name)| format!("{location} {kind} {name}"))
    };
    assert_eq!(at("zones/z/instanceGroups/g").as_deref(), Some("z instanceGroups g"));
    assert_eq!(
        at("regions/r/networkEndpointGroups/g").as_deref(),
        Some("r networkEndpointGroups g")
    );
    assert_eq!(
        at("global/networkEndpointGroups/g").as_deref(),
        Some("global networkEndpointGroups g")
    );
    assert_eq!(at("zones/z"), None);
    assert_eq!(backends::group(""), None);
}
