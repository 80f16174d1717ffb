//! What happened, in words: from the drill's events, and from its record at the end.

use jiff::Timestamp;

use crate::model::{
    Act, ControlCall, DrillEvent, NotifyEvent, Offset, RunRecord, Stage, Verdict, printable,
};

/// A title is one line.
const LONGEST_TITLE: usize = 150;
/// A sentence of others, in characters.
const LONGEST_LINE: usize = 300;
/// Reasons that are told one by one.
const MOST_LINES: usize = 8;

/// Something to tell. Its texts are safe to print and bounded; for where they are sent they are escaped there.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// What happened.
    pub event: NotifyEvent,
    /// The drill's name.
    pub plan: String,
    /// The run's id.
    pub run: String,
    /// What is lost in it, in words.
    pub lost: String,
    /// The machine that it runs on.
    pub host: String,
    /// When it happened, by the wall clock.
    pub time: Timestamp,
    /// The same on the drill's clock.
    pub at: Offset,
    /// When the cut was, for what ends it.
    pub since: Option<Timestamp>,
    /// How the drill ended, if it has.
    pub verdict: Option<Verdict>,
    /// In a few words.
    pub title: String,
    /// What there is to say beside that.
    pub lines: Vec<String>,
    /// What to type now, if traffic may still be cut.
    pub restore: Option<String>,
}

impl News {
    /// Title and lines as one text.
    pub fn text(&self) -> String {
        let restore = self.restore.as_ref().map(|command| format!("Do this now: {command}"));
        let lines = std::iter::once(&self.title).chain(&self.lines).chain(&restore);
        lines.map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The same, but seen to be no drill.
    pub fn as_a_test(mut self) -> News {
        self.title = short(&format!("TEST, no drill: {}", self.title), LONGEST_TITLE);
        self.lines.insert(0, "This is a test of the notification; nothing was cut.".to_owned());
        self.restore = None;
        self
    }
}

/// A drill as those who are told of it know it.
#[derive(Debug, Clone)]
pub struct Story {
    plan: String,
    run: String,
    lost: String,
    host: String,
    cut: Option<Timestamp>,
    is_back: bool,
}

impl Story {
    /// The story of a run that has not begun.
    pub fn new(plan: &str, run: &str, lost: &str, host: &str) -> Story {
        let [plan, run, lost, host] = [plan, run, lost, host].map(|it| short(it, LONGEST_TITLE));
        Story { plan, run, lost, host, cut: None, is_back: false }
    }

    /// What is to be told of an event that the drill told `now`, if anything is.
    pub fn hear(&mut self, event: &DrillEvent, now: Timestamp) -> Option<News> {
        let (plan, lost) = (&self.plan, &self.lost);
        match event {
            DrillEvent::Started { .. } => {
                let title = format!("Drill {plan} begins: it will cut {lost}");
                Some(self.news(NotifyEvent::Started, Offset::ZERO, now, &title))
            }
            DrillEvent::Called(call) if self.is_cut_by(call) => {
                // It is told when it has ended, and counts from when it was issued.
                let time = before(now, call.done, call.issued);
                let title = format!("Drill {plan}: {lost} is cut");
                let news = self.news(NotifyEvent::Cut, call.issued, time, &title);
                self.cut = Some(time);
                Some(news)
            }
            DrillEvent::Entered { stage: Stage::Failback, at, .. } => {
                self.is_back = true;
                Some(self.restored(*at, now))
            }
            DrillEvent::Stopping { at, why } => {
                let title = format!("Drill {plan} stops, and puts the traffic to {lost} back");
                let mut news = self.news(NotifyEvent::Stopping, *at, now, &title);
                news.lines = lines(std::iter::once(&*why.text));
                Some(news)
            }
            _ => None,
        }
    }

    /// What is to be told at the end: that traffic is back, if that was not told, and the verdict. `headline` is the
    /// record in a sentence, `restore` what to type if traffic is not back.
    pub fn end(
        &mut self,
        record: &RunRecord,
        headline: &str,
        restore: &str,
        now: Timestamp,
    ) -> Vec<News> {
        let (verdict, marks) = (record.verdict, &record.marks);
        let ended = marks.ended.unwrap_or_default();
        let mut told = Vec::new();
        if let (Some(at), Some(_), false) = (marks.restore_confirmed, self.cut, self.is_back) {
            self.is_back = true;
            told.push(self.restored(at, before(now, ended, at)));
        }
        let (event, title) = match verdict {
            Verdict::NotRestored => {
                let lost = &self.lost;
                let title =
                    format!("NOT RESTORED: {}: the traffic to {lost} may be cut", self.plan);
                (NotifyEvent::NotRestored, title)
            }
            _ => (NotifyEvent::Verdict, format!("{verdict}: {}: {headline}", self.plan)),
        };
        let mut news = self.news(event, ended, now, &title);
        news.verdict = Some(verdict);
        if verdict != Verdict::Pass {
            news.lines = lines(record.reasons.iter().map(|why| &*why.text));
        }
        news.restore = (verdict == Verdict::NotRestored).then(|| restore.to_owned());
        told.push(news);
        told
    }

    /// The watchdog took over because of `cause`; `what` says what became of the traffic.
    pub fn taken_over(&self, cause: &str, what: &str, now: Timestamp) -> News {
        let title = format!("Drill {}: {cause}; {what}", self.plan);
        self.news(NotifyEvent::TakenOver, Offset::ZERO, now, &title)
    }

    /// The watchdog took over because of `cause`, and traffic is not back.
    pub fn not_restored(&self, cause: &str, what: &str, restore: &str, now: Timestamp) -> News {
        let (plan, lost) = (&self.plan, &self.lost);
        let title = format!("NOT RESTORED: {plan}: the traffic to {lost} may be cut");
        let mut news = self.news(NotifyEvent::NotRestored, Offset::ZERO, now, &title);
        news.verdict = Some(Verdict::NotRestored);
        news.lines = lines([cause, what].into_iter());
        news.restore = Some(restore.to_owned());
        news
    }

    /// A message about nothing, to see how one of `event` looks.
    pub fn sample(&self, event: NotifyEvent, now: Timestamp) -> News {
        let (plan, lost) = (&self.plan, &self.lost);
        let title = match event {
            NotifyEvent::Started => format!("Drill {plan} begins: it will cut {lost}"),
            NotifyEvent::Cut => format!("Drill {plan}: {lost} is cut"),
            NotifyEvent::Restored => format!("Drill {plan}: the traffic to {lost} is back"),
            NotifyEvent::Stopping => format!("Drill {plan} stops"),
            NotifyEvent::Verdict => format!("PASS: {plan}"),
            NotifyEvent::TakenOver => format!("Drill {plan}: its watchdog put the traffic back"),
            NotifyEvent::NotRestored => format!("NOT RESTORED: {plan}"),
        };
        self.news(event, Offset::ZERO, now, &title).as_a_test()
    }

    /// Whether this is the first call that cut something.
    fn is_cut_by(&self, call: &ControlCall) -> bool {
        call.act == Act::Cut && call.error.is_none() && self.cut.is_none()
    }

    fn restored(&self, at: Offset, time: Timestamp) -> News {
        let title = format!("Drill {}: the traffic to {} is back", self.plan, self.lost);
        let news = self.news(NotifyEvent::Restored, at, time, &title);
        News { since: self.cut, ..news }
    }

    fn news(&self, event: NotifyEvent, at: Offset, time: Timestamp, title: &str) -> News {
        let Story { plan, run, lost, host, .. } = self.clone();
        let title = short(title, LONGEST_TITLE);
        let (since, verdict, lines, restore) = (None, None, Vec::new(), None);
        News { event, plan, run, lost, host, time, at, since, verdict, title, lines, restore }
    }
}

/// `now`, which is `late` on the drill's clock, moved back to `early`.
fn before(now: Timestamp, late: Offset, early: Offset) -> Timestamp {
    now.checked_sub(late.since(early)).unwrap_or(now)
}

fn lines<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.take(MOST_LINES).map(|text| short(text, LONGEST_LINE)).collect()
}

/// The first characters of `text`, safe to print.
fn short(text: &str, most: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
