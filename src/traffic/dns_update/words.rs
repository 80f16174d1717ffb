//! What a name server that says no means.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::{TSIG, TsigError};

use crate::model::Shown;
use crate::traffic::ControlError;

/// Who said no, to what, for whom.
pub(super) struct Asked<'a> {
    /// `HOST:PORT`, as the plan has it.
    pub server: &'a str,
    pub zone: &'a str,
    /// The key's name.
    pub key: &'a str,
    /// `the update of drill.test`.
    pub what: &'a str,
}

/// Why the server did not take our signature; `None` if it did.
pub(super) fn distrusted(asked: &Asked<'_>, tsig: &TSIG) -> Option<ControlError> {
    let Asked { server, key, what, .. } = asked;
    let error = tsig.error.as_ref()?;
    let (why, hint) = match error {
        TsigError::BadKey => (
            format!("does not know the key {key}, or does not let it do this (BADKEY)"),
            "see the key's name and algorithm at the name server, and what its access rules let it do",
        ),
        TsigError::BadSig => (
            format!("does not take the signature of the key {key} (BADSIG)"),
            "see that the secret is the one that the name server has",
        ),
        TsigError::BadTime => (
            format!("has another time than we do{} (BADTIME)", apart(tsig)),
            "set the clocks of both, by NTP",
        ),
        TsigError::BadTrunc => (
            "wants longer signatures (BADTRUNC)".to_owned(),
            "see the name server's settings of this key",
        ),
        TsigError::Unknown(0) => return None,
        TsigError::Unknown(code) => (
            format!("does not take the signature (TSIG error {code})"),
            "see the name server's log",
        ),
    };
    Some(ControlError { what: format!("{server} {why}, asked for {what}"), hint: hint.to_owned() })
}

/// How far the server's clock is from ours, if it says so.
fn apart(tsig: &TSIG) -> String {
    let [a, b, c, d, e, f] = tsig.other[..] else { return String::new() };
    let theirs = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let apart = std::time::Duration::from_secs(theirs.abs_diff(tsig.time));
    let than = if theirs > tsig.time { "later" } else { "earlier" };
    format!(": {} {than}", Shown(apart))
}

/// What `code` means that is not a yes.
pub(super) fn refused(asked: &Asked<'_>, code: ResponseCode, signed: bool) -> ControlError {
    let Asked { server, zone, key, what } = asked;
    let (name, hint) = match code {
        ResponseCode::NotAuth => (
            "NOTAUTH",
            format!("see that it is the primary of {zone}, and that {key} may update it"),
        ),
        ResponseCode::Refused => (
            "REFUSED",
            format!(
                "see that it has the zone {zone}, and that the key {key} may ask and update it"
            ),
        ),
        ResponseCode::ServFail => (
            "SERVFAIL",
            "the name server is not well, or cannot write its zone: see its log".to_owned(),
        ),
        ResponseCode::NotImp => (
            "NOTIMP",
            "it takes no dynamic updates: see its documentation, or steer it another way"
                .to_owned(),
        ),
        ResponseCode::NotZone => {
            ("NOTZONE", format!("see that the records are in the zone {zone}"))
        }
        ResponseCode::FormErr => {
            ("FORMERR", "see that it is a name server that takes dynamic updates".to_owned())
        }
        _ => ("", "see the name server's log".to_owned()),
    };
    let code = if name.is_empty() { code.to_string() } else { name.to_owned() };
    let unsigned = if signed { "" } else { ", unsigned" };
    ControlError { what: format!("{server} said {code} to {what}{unsigned}"), hint }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::tsig::TsigAlgorithm;

    use super::*;

    const ASKED: Asked<'_> = Asked {
        server: "ns:53",
        zone: "drill.test",
        key: "ours",
        what: "the update of drill.test",
    };

    fn tsig(error: u16, other: &[u8]) -> TSIG {
        let algorithm = TsigAlgorithm::HmacSha256;
        TSIG::new(algorithm, 1_000, 300, Vec::new(), 1, Some(error.into()), other.to_vec())
    }

    #[test]
    fn each_way_to_be_distrusted_says_what_to_do() {
        for (error, other, what, hint) in [
            (16, &[][..], "does not take the signature of the key ours (BADSIG)", "the secret"),
            (
                17,
                &[],
                "does not know the key ours, or does not let it do this (BADKEY)",
                "access rules",
            ),
            (
                18,
                &[0, 0, 0, 0, 0x17, 0x70],
                "another time than we do: 1 h 23 min later (BADTIME)",
                "NTP",
            ),
            (
                18,
                &[0, 0, 0, 0, 0, 0],
                "another time than we do: 16 min 40 s earlier (BADTIME)",
                "NTP",
            ),
            (18, &[], "another time than we do (BADTIME)", "NTP"),
            (22, &[], "longer signatures (BADTRUNC)", "settings of this key"),
            (99, &[], "TSIG error 99", "log"),
        ] {
            let error = distrusted(&ASKED, &tsig(error, other)).unwrap();
            assert!(error.what.contains(what), "{error}");
            assert!(error.what.ends_with("asked for the update of drill.test"), "{error}");
            assert!(error.hint.contains(hint), "{error}");
        }
        assert_eq!(distrusted(&ASKED, &tsig(0, &[])), None);
    }

    #[test]
    fn each_way_to_say_no_says_what_to_do() {
        for (code, what, hint) in [
            (
                ResponseCode::NotAuth,
                "ns:53 said NOTAUTH to the update of drill.test",
                "the primary",
            ),
            (
                ResponseCode::Refused,
                "said REFUSED",
                "has the zone drill.test, and that the key ours",
            ),
            (ResponseCode::ServFail, "said SERVFAIL", "cannot write its zone"),
            (ResponseCode::NotImp, "said NOTIMP", "takes no dynamic updates"),
            (ResponseCode::NotZone, "said NOTZONE", "in the zone"),
            (ResponseCode::FormErr, "said FORMERR", "takes dynamic updates"),
            (ResponseCode::YXDomain, "said ", "log"),
        ] {
            let error = refused(&ASKED, code, true);
            assert!(error.what.contains(what) && error.hint.contains(hint), "{error}");
        }
        assert!(refused(&ASKED, ResponseCode::Refused, false).what.ends_with(", unsigned"));
    }
}
