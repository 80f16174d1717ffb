//! Keys that are shared with a name server.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;

use crate::model::{DnsKey, DnsKeyAlgorithm, Text};
use crate::traffic::ControlError;
use crate::traffic::dns::name;

/// How far our clock and the server's may be apart, in seconds: what RFC 8945 recommends.
const FUDGE: u16 = 300;

/// The key that `key` says, read from its file if it is in one.
pub(super) async fn signer(key: &DnsKey) -> Result<TSigner, ControlError> {
    match key {
        DnsKey::Given { name, algorithm, secret } => made(name, *algorithm, &secret.reveal_plain())
            .map_err(|why| ControlError {
                what: format!("the key {name} cannot be used: {why}"),
                hint: "see where the plan has its secret from: base64, as the name server has it"
                    .to_owned(),
            }),
        DnsKey::File(path) => in_file(path).await,
    }
}

async fn in_file(path: &Text) -> Result<TSigner, ControlError> {
    let unusable = |why: &str| {
        ControlError {
        what: format!("the key in {path} cannot be used: {why}"),
        hint: "see that the file is there, can be read, and is as `tsig-keygen` or `keymgr -t` made it"
            .to_owned(),
    }
    };
    let text = tokio::fs::read_to_string(path.reveal_plain()).await;
    let text = text.map_err(|error| unusable(&error.to_string()))?;
    let (name, algorithm, secret) = parse(&text).map_err(unusable)?;
    made(&name, algorithm, &secret).map_err(|why| unusable(&why))
}

fn made(key: &str, algorithm: DnsKeyAlgorithm, secret: &str) -> Result<TSigner, String> {
    let secret = BASE64_STANDARD.decode(secret.trim());
    let secret = secret.map_err(|_| "its secret is no base64".to_owned())?;
    if secret.is_empty() {
        return Err("its secret is empty".to_owned());
    }
    let algorithm = match algorithm {
        DnsKeyAlgorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
        DnsKeyAlgorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
        DnsKeyAlgorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
    };
    let name = name(key).map_err(|error| error.what)?;
    TSigner::new(secret, algorithm, name, FUDGE).map_err(|error| error.to_string())
}

/// Name, algorithm and secret of the one key in a file of BIND's form (`key "a" { algorithm b; secret "c"; };`) or of
/// Knot's (`key:`, `- id: a`, `algorithm: b`, `secret: c`).
fn parse(text: &str) -> Result<(String, DnsKeyAlgorithm, String), &'static str> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with('#') && !line.starts_with("//"));
    let words: Vec<&str> = lines
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || "{};:\"".contains(c)))
        .filter(|word| !word.is_empty() && *word != "-")
        .collect();
    let behind = |key: &str| {
        let places = words.iter().enumerate().filter(move |(_, word)| **word == key);
        places.filter_map(|(place, _)| words.get(place + 1).copied()).collect::<Vec<_>>()
    };
    let [secret] = behind("secret")[..] else { return Err("it does not hold one secret") };
    let [algorithm] = behind("algorithm")[..] else { return Err("it does not name one algorithm") };
    let mut names = behind("id");
    if names.is_empty() {
        names = behind("key");
    }
    let Some(name) = names.first() else { return Err("it does not name its key") };
    let known =
        DnsKeyAlgorithm::ALL.into_iter().find(|it| it.name() == algorithm.trim_end_matches('.'));
    let algorithm = known.ok_or("its algorithm is not hmac-sha256, hmac-sha384 or hmac-sha512")?;
    Ok(((*name).to_owned(), algorithm, secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIND: &str =
        "// ours\nkey \"firedrill.\" {\n\talgorithm hmac-sha256;\n\tsecret \"q+/1//==\";\n};\n";
    const KNOT: &str = "# hmac-sha512:drills:aGk=\nkey:\n  - id: drills\n    algorithm: hmac-sha512\n    secret: aGk=\n";

    #[test]
    fn the_files_of_both_makers_of_keys_are_read() {
        let key = |name: &str, algorithm, secret: &str| {
            Ok((name.to_owned(), algorithm, secret.to_owned()))
        };
        assert_eq!(parse(BIND), key("firedrill.", DnsKeyAlgorithm::HmacSha256, "q+/1//=="));
        assert_eq!(parse(KNOT), key("drills", DnsKeyAlgorithm::HmacSha512, "aGk="));
    }

    #[test]
    fn what_is_no_key_is_named_without_its_secret() {
        for (text, why) in [
            ("", "one secret"),
            ("key a { secret b; }; key c { secret d; };", "one secret"),
            ("key a { secret b; };", "one algorithm"),
            ("key a { algorithm hmac-md5; secret hushhush; };", "its algorithm is not"),
            ("{ algorithm hmac-sha256; secret hushhush; };", "name its key"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why) && !error.contains("hush"), "{text}: {error}");
        }
        let error = made("a", DnsKeyAlgorithm::HmacSha256, "no!base64").err().unwrap();
        assert_eq!(error, "its secret is no base64");
    }
}
