//! Answers to a few questions -> the text of a plan, with each choice explained in comments.
//!
//! Whether the answers make a plan is not judged here: the parser does that.

mod text;

use std::collections::BTreeMap;
use std::time::Duration;

/// What is drilled: one for each provider that `check` accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// The built-in world: nothing else is needed.
    Lab,
    /// Servers behind a HAProxy.
    Haproxy,
    /// Anything on TCP, behind proxies that firedrill runs for the length of the drill.
    Proxy,
    /// Load balancers of AWS, by zonal shifts.
    Aws,
}

/// What is asked. The order is that of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// The plan's name.
    Name,
    /// All datacenters, with commas between them.
    Datacenters,
    /// The one to cut.
    Lost,
    /// The service's name.
    Service,
    /// What users ask of it.
    Url,
    /// The header field that tells who answered.
    Header,
    /// The recovery time objective.
    Within,
    /// How the cut looks to a client.
    Mode,
    /// HAProxy's runtime API.
    Socket,
    /// The backend of the service's servers.
    Backend,
    /// Where the proxy listens.
    Listen,
    /// Where the proxy leads to.
    To,
    /// What AWS shifts away from a zone.
    Resource,
    /// The ids of the zones, in the order of the datacenters.
    Zones,
}

impl Question {
    /// What to ask a person.
    pub fn words(self) -> &'static str {
        match self {
            Question::Name => "Name of the drill",
            Question::Datacenters => "Datacenters, all that serve, with commas between them",
            Question::Lost => "The datacenter to lose",
            Question::Service => "The service that users see",
            Question::Url => "A URL that its users ask",
            Question::Header => "The header field of an answer that names its datacenter",
            Question::Within => "Recovery time objective, such as 30s",
            Question::Mode => "How it is lost: blackhole, reset or drain",
            Question::Socket => "HAProxy's stats socket, with level admin",
            Question::Backend => "HAProxy's backend of the service",
            Question::Listen => "Where the proxy listens, and clients will connect",
            Question::To => "The servers of that datacenter, HOST:PORT",
            Question::Resource => "The ARN of the load balancer",
            Question::Zones => "The ids of its zones, in the order of the datacenters",
        }
    }
}

impl System {
    /// What has to be known to write a plan for it.
    pub fn questions(self) -> &'static [Question] {
        use Question::{
            Backend, Datacenters, Header, Listen, Lost, Mode, Name, Resource, Service, Socket, To,
            Url, Within, Zones,
        };
        match self {
            System::Lab => &[Name, Datacenters, Lost, Service, Within, Mode],
            System::Haproxy => {
                &[Name, Datacenters, Lost, Service, Url, Header, Within, Mode, Socket, Backend]
            }
            System::Proxy => {
                &[Name, Datacenters, Lost, Service, Url, Header, Within, Mode, Listen, To]
            }
            System::Aws => {
                &[Name, Datacenters, Zones, Lost, Service, Url, Header, Within, Mode, Resource]
            }
        }
    }
}

/// What was answered; the rest has defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// What is drilled.
    pub system: System,
    /// What was answered to some of its questions.
    pub given: BTreeMap<Question, String>,
}

impl Answers {
    /// The answer, or its default.
    pub fn get(&self, question: Question) -> String {
        self.given.get(&question).cloned().unwrap_or_else(|| self.default(question))
    }

    /// What holds where nothing is answered; it may follow from other answers.
    pub fn default(&self, question: Question) -> String {
        let text = match (question, self.system) {
            (Question::Name, _) => return format!("lose-{}", self.get(Question::Lost)),
            (Question::Lost, _) => {
                return self.datacenters().into_iter().next().unwrap_or_default();
            }
            (Question::Backend, _) => return self.get(Question::Service),
            (Question::Url, System::Proxy) => {
                return format!("http://{}/", self.get(Question::Listen));
            }
            (Question::To, _) => return format!("{}.example:80", self.get(Question::Lost)),
            (Question::Zones, _) => return self.zones_by_default(),
            (Question::Resource, _) => {
                "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/0123456789abcdef"
            }
            (Question::Datacenters, System::Aws) => "az1, az2, az3",
            (Question::Datacenters, _) => "east, west",
            (Question::Service, System::Lab) => "talk",
            (Question::Service, _) => "web",
            (Question::Url, _) => "https://www.example/",
            (Question::Header, _) => "x-datacenter",
            (Question::Within, System::Lab) => "3s",
            // A shift is a matter of minutes, as clients go on using names that they know.
            (Question::Within, System::Aws) => "5m",
            (Question::Within, _) => "30s",
            (Question::Mode, System::Haproxy) => "reset",
            (Question::Mode, System::Aws) => "drain",
            (Question::Mode, _) => "blackhole",
            (Question::Socket, _) => "/run/haproxy/admin.sock",
            (Question::Listen, _) => "127.0.0.1:8080",
        };
        text.to_owned()
    }

    /// The datacenters, each by its name.
    pub fn datacenters(&self) -> Vec<String> {
        self.list(Question::Datacenters)
    }

    /// An answer with commas in it, piece by piece.
    fn list(&self, question: Question) -> Vec<String> {
        let all = self.get(question);
        all.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    }

    /// As many ids as there are datacenters.
    fn zones_by_default(&self) -> String {
        let ids = (1..=self.datacenters().len()).map(|number| format!("euw1-az{number}"));
        ids.collect::<Vec<_>>().join(", ")
    }

    /// The text of the plan. `budget` is the objective if it could be read: periods and limits follow from it.
    pub fn plan(&self, budget: Option<Duration>) -> String {
        text::plan(self, &Pace::of(budget.unwrap_or(Duration::from_secs(30))))
    }
}

/// Numbers that follow from the budget, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    every: u64,
    at_most: u64,
}

impl Pace {
    /// What a plan can hold: 31 days.
    const LONGEST: u64 = 31 * 24 * 3_600_000;

    /// A twentieth of the budget decides it comfortably; more often than 20 ms or more seldom than 1 s helps nobody.
    fn of(budget: Duration) -> Pace {
        let budget = u64::try_from(budget.as_millis()).unwrap_or(u64::MAX).min(30 * 24 * 3_600_000);
        let every = (budget / 20).clamp(20, 1_000);
        let every = if every >= 100 { every / 100 * 100 } else { every / 10 * 10 };
        Pace { every, at_most: (2 * budget + 10_000).clamp(60_000, Pace::LONGEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_and_limits_follow_from_the_budget() {
        let pace = |seconds| Pace::of(Duration::from_secs(seconds));
        assert_eq!(pace(3), Pace { every: 100, at_most: 60_000 });
        assert_eq!(pace(600), Pace { every: 1_000, at_most: 1_210_000 });
        assert_eq!(Pace::of(Duration::ZERO).every, 20);
        assert!(pace(u64::MAX).at_most <= Pace::LONGEST, "a plan cannot hold more");
    }

    #[test]
    fn defaults_follow_from_other_answers() {
        let given = BTreeMap::from([(Question::Datacenters, " seoul ,busan,".to_owned())]);
        let answers = Answers { system: System::Proxy, given };
        assert_eq!(answers.datacenters(), ["seoul", "busan"]);
        assert_eq!(answers.get(Question::Name), "lose-seoul");
        assert_eq!(answers.get(Question::To), "seoul.example:80");
        assert_eq!(answers.get(Question::Url), "http://127.0.0.1:8080/");
    }

    #[test]
    fn what_is_answered_stays_text_whatever_it_holds() {
        let hostile = "a\"b\\c\n: {x}\u{202e}\u{1b}[2J";
        let given = BTreeMap::from([(Question::Url, hostile.to_owned())]);
        let plan = Answers { system: System::Haproxy, given }.plan(None);
        assert!(plan.contains(r#"http: "a\"b\\c\u000a: {x}\u202e\u001b[2J""#), "{plan}");
    }
}
