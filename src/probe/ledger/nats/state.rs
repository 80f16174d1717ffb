//! What a stream's leader says of the stream, and whether it can be relied on.

use serde_json::Value;

/// No follower asks for another leader before it has heard nothing for four seconds (those of a stream wait for 4 to 9 s); so
/// a leader that heard most of them within this leads still. It hears each about once a second.
const HEARD_WITHIN: u64 = 3_000_000_000;

/// What is said of a server that is older than 2.7.
pub(super) const CANNOT_COUNT: &str =
    "it does not say how many records there are under a subject: a newer server does (2.7)";

/// Whether a stream with this configuration keeps what is written to it until somebody removes it.
pub(super) fn keeps(name: &str, config: &Value) -> Result<(), String> {
    if config["retention"] != "limits" {
        let hint = "name another stream";
        return Err(format!("the stream {name} drops what was read (its retention): {hint}"));
    }
    if config["max_msgs_per_subject"].as_i64() > Some(0) {
        return Err(format!(
            "the stream {name} keeps only so many messages of a subject (`max_msgs_per_subject`), and all records of a \
             drill have one: name another stream"
        ));
    }
    if config["no_ack"] == true {
        return Err(format!("the stream {name} acknowledges nothing (`no_ack`): name another"));
    }
    Ok(())
}

/// Whether a stream's limits took records away, of which the first was acknowledged at `first`: it is not known then which were
/// lost otherwise. What was before that is others', such as the trial of another ledger.
pub(super) fn has_dropped(name: &str, info: &Value, first: u64) -> Result<(), String> {
    let limits = ["max_msgs", "max_bytes", "max_age"];
    let limits = limits.into_iter().filter(|limit| info["config"][*limit].as_i64() > Some(0));
    let limits: Vec<String> = limits.map(|limit| format!("`{limit}`")).collect();
    let begins = info["state"]["first_seq"].as_u64().unwrap_or_default();
    if limits.is_empty() || begins <= first {
        return Ok(());
    }
    Err(format!(
        "the stream {name} has dropped messages that were written since the first record, and it is not known whose: raise its {}",
        limits.join(" and ")
    ))
}

/// Whether the leader that answers still leads: it heard most of the stream's servers lately. One that is cut off from them
/// does not know what was written meanwhile.
pub(super) fn leads(info: &Value) -> Result<(), String> {
    let followers = info["cluster"]["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_heard = |follower: &&Value| {
        follower["offline"] != true
            && follower["active"].as_u64().is_some_and(|ago| ago < HEARD_WITHIN)
    };
    let heard = followers.iter().filter(is_heard).count();
    if (heard + 1) * 2 > followers.len() + 1 {
        return Ok(());
    }
    Err(format!(
        "the stream's leader heard {heard} of its {} followers lately: another may lead by now",
        followers.len()
    ))
}

/// How many records are under `subject`. The server leaves the map out if it would be empty.
pub(super) fn count(info: &Value, subject: &str) -> u64 {
    info["state"]["subjects"][subject].as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_leader_leads_while_it_hears_most() {
        let info = |active: &[u64]| {
            let followers = active.iter().map(|ago| json!({ "active": ago * 1_000_000_000 }));
            json!({ "cluster": { "replicas": followers.collect::<Vec<_>>() } })
        };
        for good in [&[][..], &[0, 0], &[0, 9], &[9, 2], &[1], &[0, 0, 9, 9]] {
            assert_eq!(leads(&info(good)), Ok(()), "{good:?}");
        }
        for cut_off in [&[9, 9][..], &[3], &[0, 9, 9, 9]] {
            assert!(leads(&info(cut_off)).is_err(), "{cut_off:?}");
        }
        let offline = json!({ "cluster": { "replicas": [{ "active": 0, "offline": true }] } });
        assert!(leads(&offline).is_err());
        assert_eq!(leads(&json!({})), Ok(()), "it stands alone");
    }

    #[test]
    fn what_limits_take_away_is_told() {
        let info = |limit: &str, first: u64| json!({ "config": { "max_age": 0, limit: 9 }, "state": { "first_seq": first } });
        for limit in ["max_msgs", "max_bytes", "max_age"] {
            assert_eq!(has_dropped("S", &info(limit, 0), 8), Ok(()));
            assert_eq!(has_dropped("S", &info(limit, 8), 8), Ok(()));
            assert!(has_dropped("S", &info(limit, 9), 8).unwrap_err().contains(limit));
            assert_eq!(has_dropped("S", &info(limit, 9), u64::MAX), Ok(()), "nothing was written");
        }
        // Without limits somebody purged it: what was acknowledged is gone.
        assert_eq!(has_dropped("S", &info("other", 9), 8), Ok(()));
    }
}
