//! What is sent to whom, and what becomes of it: payloads by value, and real servers on real sockets.

#[path = "../../tests/cli/inbox.rs"]
mod inbox;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::model::{
    Act, Board, ControlCall, Delivery, DrillEvent, Hook, NotificationRecord, NotifyEvent, Offset,
    Part, Stage, Text, Why,
};
use inbox::{Answer, Heard, Inbox};

const NOW: Timestamp = Timestamp::constant(1_665_815_599, 0);

/// What a name or an answer of others may hold: a call to everyone, markup, an end of the string, a megabyte.
fn hostile() -> String {
    let signs = "<!channel> @here <https://evil.example|click> **b** [x](https://evil.example) # h \
                 \"}]}\\ <at>all</at> {{run}} &amp; <script>alert(1)</script>\r\n\u{202e}\u{1b}[2J";
    format!("{signs}{}", "x".repeat(1 << 20))
}

fn news(event: NotifyEvent) -> News {
    let why = hostile();
    let mut story = Story::new(&hostile(), "run-1", "east", "host-1");
    let told = match event {
        NotifyEvent::NotRestored => {
            story.not_restored("the drill died", &why, "firedrill restore run-1", NOW)
        }
        NotifyEvent::TakenOver => story.taken_over("the drill died", &why, NOW),
        NotifyEvent::Stopping => {
            let event = DrillEvent::Stopping { at: at(5_000), why: Why::new("guardrail", why) };
            story.hear(&event, NOW).unwrap()
        }
        event => return story.sample(event, NOW),
    };
    assert_eq!(told.event, event);
    told
}

fn at(millis: u64) -> Offset {
    Offset::from_millis(millis)
}

fn to(kind: NotifyKind, url: &str) -> Notification {
    let secret = Part::Secret { name: "HOOK".into(), value: url.to_owned() };
    let on = kind.usual().to_vec();
    let url = Text::new(vec![secret]);
    Notification { name: "it".into(), kind, url, headers: Vec::new(), ca: None, on }
}

fn hook(body: Option<&str>) -> NotifyKind {
    NotifyKind::Webhook(Hook { method: "POST".to_owned(), body: body.map(Text::from) })
}

fn board() -> NotifyKind {
    let (dashboard, tags) = (Some("jcIIG-07z".to_owned()), vec!["drill".to_owned()]);
    NotifyKind::Grafana(Board { dashboard, panel: Some(2), tags })
}

fn body(kind: NotifyKind, news: &News, region: Option<u64>) -> (String, String, Value) {
    let request = request(&to(kind, "https://hooks.example/x"), news, region);
    assert!(request.body.len() < 20_000, "{} bytes", request.body.len());
    (request.method, request.path, serde_json::from_str(&request.body).unwrap())
}

/// Every text in `value`, with the key that it stands under.
fn texts(value: &Value, key: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((key.to_owned(), text.clone())),
        Value::Array(all) => all.iter().for_each(|it| texts(it, key, found)),
        Value::Object(all) => all.iter().for_each(|(key, it)| texts(it, key, found)),
        _ => {}
    }
}

/// The values of the key `type` in `value`.
fn types(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    texts(value, "", &mut found);
    found.into_iter().filter(|(key, _)| key == "type").map(|(_, kind)| kind).collect()
}

#[test]
fn slack_is_sent_blocks_that_call_nobody() {
    for event in NotifyEvent::ALL {
        let (method, path, body) = body(NotifyKind::Slack, &news(event), None);
        assert_eq!((&*method, &*path), ("POST", ""));
        let text = body["text"].as_str().unwrap();
        assert!(!text.contains(['<', '>', '\n']) && !text.is_empty(), "{text}");
        let kinds = types(&body["blocks"]);
        assert!(!kinds.iter().any(|kind| kind == "mrkdwn"), "{kinds:?}");
        assert_eq!(body["blocks"][0]["type"], "rich_text");
    }
    let story = Story::new("autumn", "run-1", "east", "host-1");
    let news = story.not_restored("the drill died", "gone", "firedrill restore run-1", NOW);
    let (_, _, body) = body(NotifyKind::Slack, &news, None);
    let section = |text: &str, bold| {
        let text = json!({ "type": "text", "text": text, "style": { "bold": bold } });
        json!({ "type": "rich_text_section", "elements": [text] })
    };
    let title = "NOT RESTORED: autumn: the traffic to east may be cut";
    let command = json!({ "type": "text", "text": "firedrill restore run-1" });
    let wanted = json!({
        "text": title,
        "blocks": [
            { "type": "rich_text", "elements": [
                section(&format!("{title}\n"), true),
                section("Do this now:\n", false),
                { "type": "rich_text_preformatted", "elements": [command] },
                section("the drill died\n", false),
                section("gone\n", false),
            ] },
            { "type": "context", "elements": [
                { "type": "plain_text", "text": "run run-1 on host-1", "emoji": false }
            ] },
        ]
    });
    assert_eq!(body, wanted);
}

#[test]
fn teams_is_sent_a_card_that_reads_no_markdown() {
    for event in NotifyEvent::ALL {
        let (_, _, body) = body(NotifyKind::Teams, &news(event), None);
        // As the vendor publishes it: a message with one adaptive card.
        assert_eq!(body["type"], "message");
        let card = &body["attachments"][0];
        assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
        assert_eq!(card["contentUrl"], Value::Null);
        assert_eq!(card["content"]["type"], "AdaptiveCard");
        assert_eq!(card["content"]["version"], "1.2");
        // Markdown is read in text blocks and facts only.
        let kinds = types(&card["content"]["body"]);
        assert!(kinds.iter().all(|kind| kind == "RichTextBlock" || kind == "TextRun"), "{kinds:?}");
    }
}

#[test]
fn grafana_is_sent_a_region_that_ends_at_the_restore_and_gets_the_verdict() {
    let cut = News { event: NotifyEvent::Cut, ..news(NotifyEvent::Stopping) };
    let (method, path, made) = body(board(), &cut, None);
    assert_eq!((&*method, &*path), ("POST", "/api/annotations"));
    assert_eq!(made["time"], 1_665_815_599_000_i64);
    assert_eq!((&made["dashboardUID"], &made["panelId"]), (&json!("jcIIG-07z"), &json!(2)));
    let text = made["text"].as_str().unwrap();
    assert!(text.contains("&lt;!channel&gt;") && !text.contains('<'), "{text}");
    assert_eq!(made["tags"][0], "firedrill");
    assert_eq!(made["tags"][2], "drill");

    let restored = News { since: Some(NOW), ..news(NotifyEvent::Restored) };
    let (method, path, change) = body(board(), &restored, Some(1124));
    assert_eq!((&*method, &*path), ("PATCH", "/api/annotations/1124"));
    assert_eq!(change, json!({ "timeEnd": 1_665_815_599_000_i64 }));
    // Nobody knows the region: it is made whole.
    let (method, _, whole) = body(board(), &restored, None);
    assert_eq!(method, "POST");
    assert!(whole["time"].is_i64() && whole["timeEnd"].is_i64(), "{whole}");

    let (method, _, verdict) = body(board(), &news(NotifyEvent::Verdict), Some(1124));
    assert_eq!(method, "PATCH");
    assert!(verdict.get("time").is_none() && verdict["text"].is_string(), "{verdict}");
    let (method, ..) = body(board(), &news(NotifyEvent::NotRestored), Some(1124));
    assert_eq!(method, "POST", "an alarm is one of its own");
}

#[test]
fn a_hook_is_sent_our_json_or_its_template() {
    let alarm = news(NotifyEvent::NotRestored);
    let (_, _, ours) = body(hook(None), &alarm, None);
    assert_eq!(ours["event"], "not-restored");
    assert_eq!(ours["verdict"], "NOT RESTORED");
    assert_eq!(ours["restore"], "firedrill restore run-1");
    assert_eq!(ours["time"], "2022-10-15T06:33:19Z");
    let template =
        r#"{"t": {{title}}, "all": "drill {{plan}}!", "v": {{verdict}}, "r": {{reason}}}"#;
    let (_, _, filled) = body(hook(Some(template)), &alarm, None);
    assert_eq!(filled["t"], alarm.title);
    assert_eq!(filled["all"], format!("drill {}!", alarm.plan));
    assert_eq!((&filled["v"], &filled["r"]), (&json!("NOT RESTORED"), &json!("the drill died")));
    assert_eq!(filled.as_object().unwrap().len(), 4);
    // Every name that a template may use is known here.
    for name in crate::model::TEMPLATE_VALUES {
        let template = format!("{{\"x\": {{{{{name}}}}}}}");
        let (_, _, filled) = body(hook(Some(&template)), &alarm, None);
        assert!(filled["x"].is_string(), "{name}: {filled}");
    }
}

#[test]
fn a_story_tells_each_thing_once_and_when_it_was() {
    let call = |act, issued, done| {
        let (issued, done, error) = (at(issued), at(done), None);
        DrillEvent::Called(ControlCall {
            control: "wan".into(),
            act,
            issued,
            done,
            error,
            exchanges: vec![],
        })
    };
    let failback = DrillEvent::Entered { stage: Stage::Failback, at: at(9_000), at_most: None };
    let mut story = Story::new("autumn", "run-1", "east", "host-1");
    let told: Vec<News> = [
        call(Act::Inspect, 0, 100),
        call(Act::Cut, 3_000, 4_000),
        call(Act::Cut, 4_000, 4_500),
        call(Act::Restore, 8_000, 8_900),
        failback,
    ]
    .iter()
    .filter_map(|event| story.hear(event, NOW))
    .collect();
    let events: Vec<(NotifyEvent, Offset)> = told.iter().map(|it| (it.event, it.at)).collect();
    assert_eq!(events, [(NotifyEvent::Cut, at(3_000)), (NotifyEvent::Restored, at(9_000))]);
    let second = Duration::from_secs(1);
    assert_eq!(told[0].time, NOW - second, "when it was issued, not when it was answered");
    assert_eq!(told[1].since, Some(told[0].time));
}

#[test]
fn the_watchdog_gets_what_the_plan_says_with_its_secrets() {
    let secret = || Text::new(vec![Part::Secret { name: "T".into(), value: "hunter2\n".into() }]);
    let hook = Hook { method: "PUT".to_owned(), body: Some(secret()) };
    let mut all: Vec<Notification> = [NotifyKind::Slack, board(), NotifyKind::Webhook(hook)]
        .map(|kind| to(kind, "https://hooks.example/x"))
        .into();
    all[2].headers = vec![("authorization".to_owned(), secret())];
    all[2].ca = Some("/etc/ca.pem".into());
    let line = sealed(&all);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    assert_eq!(received(&line).unwrap(), all);
    assert_eq!(received(&line).unwrap()[0].url.to_string(), "${env:HOOK}");
    for torn in [&line[..line.len() / 2], b"", b"q", b"{}"] {
        assert_eq!(received(torn), Err(Damaged));
    }
}

/// What becomes of `events` at `inbox`, the last of them a last word.
fn tell(all: &[Notification], events: &[NotifyEvent]) -> Vec<NotificationRecord> {
    let mut teller = Teller::start(all);
    let story = Story::new("autumn", "run-1", "east", "host-1");
    events.iter().for_each(|event| teller.tell(story.sample(*event, NOW)));
    teller.end()
}

fn outcome(record: &NotificationRecord) -> (Delivery, u32, Option<&str>) {
    (record.outcome, record.attempts, record.why.as_deref())
}

#[test]
fn messages_arrive_in_order_and_what_failed_for_a_while_is_tried_again() {
    let inbox = Inbox::answering(|number, _| match number {
        0 => Answer::With(500, "not now"),
        1 => Answer::With(429, "slow down"),
        2 => Answer::Close,
        _ => Answer::With(202, ""),
    });
    let all = [to(hook(None), &inbox.url("/x?key=1"))];
    let mut teller = Teller::start(&all);
    let story = Story::new("autumn", "run-1", "east", "host-1");
    teller.tell(story.sample(NotifyEvent::Started, NOW));
    inbox.until(|heard| heard.len() == 4);
    teller.tell(story.sample(NotifyEvent::Cut, NOW));
    teller.tell(story.sample(NotifyEvent::Verdict, NOW));
    let told = teller.end();
    let heard = inbox.heard();
    let events: Vec<Value> = heard.iter().map(|it| it.json()["event"].clone()).collect();
    assert_eq!(events, ["started", "started", "started", "started", "cut", "verdict"]);
    assert!(heard.iter().all(|it| it.path == "/x?key=1" && it.method == "POST"));
    assert_eq!(heard[0].header("content-type"), Some("application/json"));
    let outcomes: Vec<_> = told.iter().map(outcome).collect();
    let good = |attempts| (Delivery::Delivered, attempts, None);
    assert_eq!(outcomes, [good(4), good(1), good(1)]);
}

#[test]
fn what_was_refused_is_not_tried_again_and_no_redirect_is_followed() {
    for (status, why) in
        [(404, "status 404"), (302, "status 302: redirects are not followed"), (400, "status 400")]
    {
        let inbox = Inbox::answering(move |_, _| Answer::With(status, "the secret: hunter2"));
        let told = tell(&[to(NotifyKind::Slack, &inbox.url("/hunter2"))], &[NotifyEvent::Verdict]);
        assert_eq!(outcome(&told[0]), (Delivery::Failed, 1, Some(why)));
        assert_eq!(inbox.heard().len(), 1);
        let shown = serde_json::to_string(&told).unwrap();
        assert!(!shown.contains("hunter2") && shown.contains("127.0.0.1:"), "{shown}");
    }
}

#[test]
fn who_hangs_or_drips_loses_messages_of_its_own_and_of_no_other() {
    let inbox = Inbox::new();
    let hangs = Inbox::answering(|_, _| Answer::Hang);
    let drips = Inbox::answering(|_, _| Answer::Drip);
    // Bound and not listening: it refuses, and nobody else can have the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = closed.local_addr().unwrap();
    let urls = [inbox.url("/"), hangs.url("/"), drips.url("/"), format!("http://{gone}/")];
    let all = urls.each_ref().map(|url| to(NotifyKind::Slack, url));
    let told = tell(&all, &[NotifyEvent::Started, NotifyEvent::Verdict]);
    assert_eq!(inbox.heard().len(), 2);
    let of = |place: usize| [outcome(&told[place]), outcome(&told[4 + place])];
    assert!(of(0).iter().all(|it| it.0 == Delivery::Delivered));
    for place in [1, 2] {
        let gave_way = (Delivery::Failed, 1, Some("it gave way to the end of the drill"));
        let late = (Delivery::Failed, 1, Some("no whole answer in time"));
        assert_eq!(of(place), [gave_way, late]);
    }
    let (outcome, attempts, why) = of(3)[1];
    assert_eq!((outcome, why), (Delivery::Failed, Some("no answer: refused")));
    assert!(attempts > 1, "{attempts}");
}

#[test]
fn an_alarm_is_told_to_everyone_at_once_and_again_until_it_arrives() {
    let busy =
        Inbox::answering(|number, heard: &Heard| match heard.body.contains("not-restored") {
            false => Answer::Hang,
            true if number < 3 => Answer::With(503, ""),
            true => Answer::With(200, ""),
        });
    let calm = Inbox::new();
    let [hangs, mut nobody] = [&busy, &calm].map(|inbox| to(hook(None), &inbox.url("/")));
    nobody.on = Vec::new();
    let mut teller = Teller::start(&[hangs, nobody]);
    let story = Story::new("autumn", "run-1", "east", "host-1");
    teller.tell(story.sample(NotifyEvent::Started, NOW));
    busy.until(|heard| !heard.is_empty());
    teller.tell(story.sample(NotifyEvent::NotRestored, NOW));
    let told = teller.end();
    let gave_way = Some("it gave way to the end of the drill");
    assert_eq!(told.len(), 3, "one of them wants to know of nothing else");
    assert_eq!(outcome(&told[0]), (Delivery::Failed, 1, gave_way));
    assert_eq!(outcome(&told[1]), (Delivery::Delivered, 3, None));
    assert_eq!(outcome(&told[2]), (Delivery::Delivered, 1, None));
}

#[test]
fn grafana_changes_the_annotation_that_it_made() {
    let made = "{\"message\":\"Annotation added\",\"id\":1124}";
    let inbox = Inbox::answering(move |_, _| Answer::With(200, made));
    let all = [to(board(), &inbox.url("/grafana/"))];
    tell(&all, &[NotifyEvent::Cut, NotifyEvent::Restored, NotifyEvent::Verdict]);
    let heard = inbox.heard();
    let asked: Vec<(&str, &str)> = heard.iter().map(|it| (&*it.method, &*it.path)).collect();
    let (api, one) = ("/grafana/api/annotations", "/grafana/api/annotations/1124");
    assert_eq!(asked, [("POST", api), ("PATCH", one), ("PATCH", one)]);
}
