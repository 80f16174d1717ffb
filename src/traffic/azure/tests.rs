//! Tokens of clients, pods, machines and apps.

use serde_json::json;

use super::token::by;
use super::*;
use crate::traffic::api::double::{Provider as Double, Reply, good, say};

const LIMIT: Duration = Duration::from_secs(5);

/// What is heard when a token is asked for in an environment of these variables.
async fn asked(variables: &[(&str, &str)], double: &Double) -> String {
    let at = format!("http://{}", double.at);
    let variable = |name: &str| {
        let mut known = variables.iter();
        known.find(|(key, _)| *key == name).map(|(_, value)| value.replace("AT", &at))
    };
    let source = by(&variable, LIMIT).unwrap();
    assert_eq!(source.token().await.unwrap().as_deref(), Some("eyJ.secret"));
    let shown = format!("{:?}", source.exchanges());
    assert!(!shown.contains("secret") && !shown.contains("hunter"), "{shown}");
    double.heard().pop().unwrap()
}

#[tokio::test]
async fn tokens_come_from_where_azures_tools_have_them() {
    let given = || good(&json!({ "access_token": "eyJ.secret", "token_type": "Bearer" }));
    let double = Double::new([given(), given(), given(), given()]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter.jwt\n").unwrap();
    let client = [
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_AUTHORITY_HOST", "AT/"),
    ];
    let form = "grant_type=client_credentials&client_id=client&scope=https%3A%2F%2Fmanagement.azure.com%2F.default";

    let heard =
        asked(&[&client[..], &[("AZURE_CLIENT_SECRET", "hunter/2")]].concat(), &double).await;
    assert!(heard.starts_with("POST /tenant/oauth2/v2.0/token HTTP/1.1"), "{heard}");
    assert!(heard.ends_with(&format!("{form}&client_secret=hunter%2F2")), "{heard}");

    let federated = [("AZURE_FEDERATED_TOKEN_FILE", file.path().to_str().unwrap())];
    let heard = asked(&[&client[..], &federated].concat(), &double).await;
    assert!(heard.ends_with("jwt-bearer&client_assertion=hunter.jwt"), "{heard}");

    let app = [("IDENTITY_ENDPOINT", "AT/msi/token"), ("IDENTITY_HEADER", "hunter")];
    let heard = asked(&app, &double).await;
    let path =
        "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com%2F ";
    assert!(heard.starts_with(path) && heard.contains("x-identity-header: hunter"), "{heard}");

    let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", "AT"), ("AZURE_CLIENT_ID", "mine")];
    let heard = asked(&machine, &double).await;
    assert!(
        heard.starts_with("GET /metadata/identity/oauth2/token?api-version=2018-02-01"),
        "{heard}"
    );
    assert!(heard.contains("&client_id=mine ") && heard.contains("metadata: true"), "{heard}");
}

#[tokio::test]
async fn a_token_that_is_not_given_is_told_and_nothing_secret_is_shown() {
    let refused = r#"{"error":"invalid_client","error_description":"AADSTS7000215: hunter/2"}"#;
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"access_token\": \"eyJ.secret";
    let cases = [
        (say("401 Unauthorized", "", refused), "401 Unauthorized to `", "have not expired"),
        (
            say("500 Internal Server Error", "", "hunter/2"),
            "500 Internal Server Error to `",
            "not well",
        ),
        (Reply::Say(half.to_owned()), "the answer broke off", ""),
        (
            good(&json!({ "token_type": "Bearer", "refresh_token": "eyJ.secret" })),
            "with what is not the JSON that was due (application/json; line 1 column",
            "the address is that of the provider's API",
        ),
    ];
    for (reply, what, hint) in cases {
        let client = [
            ("AZURE_CLIENT_ID", "client"),
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_AUTHORITY_HOST", "AT"),
            ("AZURE_CLIENT_SECRET", "hunter/2"),
        ];
        let app = [("IDENTITY_ENDPOINT", "AT/msi/token"), ("IDENTITY_HEADER", "hunter/2")];
        for variables in [&client[..], &app] {
            // What may pass is asked for again.
            let double = Double::new(vec![reply.clone(); 5]).await;
            let at = format!("http://{}", double.at);
            let variable = |name: &str| {
                let mut known = variables.iter();
                known.find(|(key, _)| *key == name).map(|(_, value)| value.replace("AT", &at))
            };
            let source = by(&variable, LIMIT).unwrap();
            let error = source.token().await.unwrap_err();
            assert!(error.what.contains(what), "{what}: {error}");
            let (begin, hint) = match variables.len() {
                2 => ("no credentials for Azure were found; ", "set AZURE_CLIENT_ID"),
                _ => ("", hint),
            };
            assert!(error.what.starts_with(begin) && error.hint.contains(hint), "{error}");
            let shown = format!("{error} {:?}", source.exchanges());
            let is_shown = |it: &&&str| shown.contains(**it);
            let secrets = ["hunter", "eyJ", "AADSTS"];
            assert_eq!(secrets.iter().find(is_shown), None, "{shown}");
        }
    }
}
