//! A record of traffic that did not come back.

use std::time::Duration;

use super::{at, failed, ms};
use crate::model::*;

/// What became of one notification.
fn told(name: &str, event: NotifyEvent, attempts: u32, why: Option<&str>) -> NotificationRecord {
    NotificationRecord {
        name: name.into(),
        kind: "slack".to_owned(),
        host: "hooks.slack.com".to_owned(),
        event,
        at: at(12_000),
        outcome: if why.is_none() { Delivery::Delivered } else { Delivery::Failed },
        attempts,
        after: ms(212),
        why: why.map(str::to_owned),
    }
}

/// The control could not be put back as it was.
pub fn not_restored() -> RunRecord {
    let mut record = failed();
    record.verdict = Verdict::NotRestored;
    let text = "lb could not be put back as it was: app/web1 differs";
    record.reasons.insert(0, Why::new("not-restored", text));
    record.marks.restore_confirmed = None;
    record.plan.through = vec!["lb".into()];
    let part = |passage, state: &str| PartState {
        datacenter: DatacenterId(0),
        passage,
        settings: [("state".to_owned(), state.to_owned()), ("weight".into(), "100".into())].into(),
    };
    let state = |passage, word| ControlState {
        parts: [
            ("app/web1".to_owned(), part(passage, word)),
            ("app/web2".to_owned(), part(Passage::Open, "ready")),
        ]
        .into(),
    };
    record.controls = vec![ControlRecord {
        name: "lb".into(),
        provider: Provider::Haproxy(HaproxySettings {
            socket: HaproxySocket::Unix("/run/haproxy/admin.sock".into()),
            servers: vec![],
            timeout: ms(2000),
        }),
        before: Some(state(Passage::Open, "ready")),
        cut: Some(state(Passage::Closed, "maint")),
        after: Some(state(Passage::Closed, "maint")),
        restored: Restored::No,
        by_hand: vec![
            "echo 'set server app/web1 state ready' | socat - UNIX-CONNECT:/run/haproxy/admin.sock"
                .into(),
        ],
    }];
    record.proof.controls[0].control = "lb".into();
    record.calls = vec![ControlCall {
        control: "lb".into(),
        act: Act::Restore,
        issued: at(9090),
        done: at(11_090),
        error: Some("no answer on /run/haproxy/admin.sock within 2 s".into()),
        exchanges: vec![Exchange {
            asked: "set server app/web1 state ready".into(),
            answered: "no answer on /run/haproxy/admin.sock within 2 s".into(),
            took: Duration::from_secs(2),
        }],
    }];
    record.services[0].failback = None;
    record.services[0].promises[1].measured = None;
    record.services[0].promises[1].judgement = Judgement::Undecided;
    record.services[0].promises[1].why = "traffic was not restored".into();
    record.lab = None;
    record.notifications = vec![
        told("oncall", NotifyEvent::Started, 1, None),
        told("board", NotifyEvent::Cut, 4, Some("status 502")),
        told("oncall", NotifyEvent::NotRestored, 2, None),
        told("board", NotifyEvent::NotRestored, 10, Some("no answer: refused")),
    ];
    record
}
