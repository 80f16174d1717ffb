//! What the name servers say that users ask: they follow the authority when their answers have expired.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Message, ResponseCode};

use super::line::{Line, answers};
use super::{address, kind, listed, name, question};
use crate::model::{DnsRecord, PartState, Passage, Shown, Text};
use crate::traffic::ControlError;
use crate::traffic::log::Log;

/// Before the key of a setting: whether a resolver gives an address to who asks it.
const GIVEN: &str = "given by ";

/// Beyond the TTL, resolvers take up to a second, since they count whole ones; and there is our own asking.
const SLACK: Duration = Duration::from_secs(2);

/// The resolvers of a control.
#[derive(Debug)]
pub(in crate::traffic) struct Resolvers {
    at: Vec<Text>,
    follow: Duration,
    limit: Duration,
}

/// What each resolver gives for each set; `None` where it does not answer.
#[derive(Debug, Default)]
pub(in crate::traffic) struct Views(BTreeMap<String, BTreeMap<String, Option<BTreeSet<IpAddr>>>>);

impl Resolvers {
    /// Those at `at`, which take up to `follow` to follow and up to `limit` to answer.
    pub(in crate::traffic) fn new(at: &[Text], follow: Duration, limit: Duration) -> Resolvers {
        Resolvers { at: at.to_vec(), follow, limit }
    }

    pub(in crate::traffic) fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Asks each of them for the sets of `records`. That one does not answer is an answer too: the way back must not
    /// hang on it.
    pub(in crate::traffic) async fn ask(
        &self,
        records: impl Iterator<Item = &DnsRecord>,
        log: &Log,
    ) -> Views {
        let sets: BTreeMap<String, &DnsRecord> = records.map(|it| (it.set(), it)).collect();
        let asked = self.at.iter().map(|at| {
            let sets = &sets;
            async move { (at.to_string(), self.ask_one(at, sets, log).await) }
        });
        Views(join_all(asked).await.into_iter().collect())
    }

    async fn ask_one(
        &self,
        at: &Text,
        sets: &BTreeMap<String, &DnsRecord>,
        log: &Log,
    ) -> BTreeMap<String, Option<BTreeSet<IpAddr>>> {
        let asked = sets.iter().map(|(set, record)| async move {
            let asked = log.ask();
            let given = self.given(&at.reveal_plain(), record).await;
            let words = match &given {
                Ok(given) => listed(given),
                Err(why) => why.clone(),
            };
            log.answer(asked, &format!("{at}: {set}?"), &words);
            (set.clone(), given.ok())
        });
        join_all(asked).await.into_iter().collect()
    }

    /// What `at` gives to who asks it for the set of `record`.
    async fn given(&self, at: &str, record: &DnsRecord) -> Result<BTreeSet<IpAddr>, String> {
        let name = name(&record.name).map_err(|error| error.what)?;
        let asked = question(&name, kind(record), true);
        let bytes = asked.to_vec().map_err(|error| error.to_string())?;
        let mut line = Line::open(at, self.limit).await.map_err(|lost| lost.why)?;
        let answer = line.ask(&bytes).await.map_err(|lost| lost.why)?;
        let answer = Message::from_vec(&answer).map_err(|error| error.to_string())?;
        answers(&answer, &asked)?;
        match answer.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => {
                Ok(answer.answers.iter().filter_map(address).collect())
            }
            code => Err(code.to_string()),
        }
    }

    /// Holds that resolvers answer as the authority does, and will have followed within the time that the plan gives them.
    ///
    /// # Errors
    /// Which does not, and what to do.
    pub(in crate::traffic) fn agree(
        &self,
        views: &Views,
        record: &DnsRecord,
        open: bool,
        ttl: Option<u32>,
    ) -> Result<(), ControlError> {
        let (address, set) = (record.address, record.set());
        for (at, given) in &views.0 {
            let Some(Some(given)) = given.get(&set) else {
                return Err(ControlError {
                    what: format!("the resolver {at} does not answer for {set}"),
                    hint: "see that it takes questions over TCP from here, or take it out of `resolvers`"
                        .to_owned(),
                });
            };
            if given.contains(&address) != open {
                let is = if open { "is" } else { "is not" };
                return Err(ControlError {
                    what: format!(
                        "the resolver {at} gives {} for {set}, where {address} {is} in force at the authority",
                        listed(given)
                    ),
                    hint: "wait until its answers have expired, or see what it answers from"
                        .to_owned(),
                });
            }
        }
        let ttl = Duration::from_secs(ttl.unwrap_or_default().into());
        if !self.is_empty() && ttl + SLACK > self.follow {
            return Err(ControlError {
                what: format!(
                    "resolvers may keep {set} for {} (its TTL), and have to follow within {}",
                    Shown(ttl),
                    Shown(self.follow)
                ),
                hint: "lower the TTL a TTL before the drill, or give them longer: `follow_within`"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

impl Views {
    /// Puts into `part`, which is that of `record` at the authority, what resolvers say of it: a cut is in force when none
    /// of them gives the address any more.
    ///
    /// One that does not answer proves nothing: it keeps a cut from being confirmed, and no restore.
    pub(in crate::traffic) fn mark(&self, record: &DnsRecord, part: &mut PartState) {
        let is_open = part.passage == Passage::Open;
        for (at, given) in &self.0 {
            let given = given.get(&record.set()).and_then(Option::as_ref);
            let given = given.map(|given| given.contains(&record.address));
            if given.unwrap_or(true) {
                part.passage = Passage::Open;
            }
            if let Some(given) = given.or(is_open.then_some(true)) {
                part.settings.insert(format!("{GIVEN}{at}"), yes(given).to_owned());
            }
        }
    }
}

/// Makes `part`, which is open, say what resolvers will say of it once it is cut.
pub(in crate::traffic) fn cut_at_resolvers(part: &mut PartState) {
    for (key, value) in &mut part.settings {
        if key.starts_with(GIVEN) {
            *value = yes(false).to_owned();
        }
    }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DatacenterId;

    const EAST: &str = "192.0.2.1";

    fn record() -> DnsRecord {
        DnsRecord { name: "app.example".to_owned(), address: EAST.parse().unwrap() }
    }

    fn marked(passage: Passage, given: &[Option<&[&str]>]) -> (Passage, Vec<String>) {
        let set = |given: &[&str]| given.iter().map(|it| it.parse().unwrap()).collect();
        let views = given.iter().enumerate().map(|(place, given)| {
            let given = given.map(set);
            (format!("r{place}"), [("app.example A".to_owned(), given)].into())
        });
        let settings = BTreeMap::new();
        let mut part = PartState { datacenter: DatacenterId(0), passage, settings };
        Views(views.collect()).mark(&record(), &mut part);
        let settings = part.settings.iter().map(|(key, value)| format!("{key}: {value}"));
        (part.passage, settings.collect())
    }

    #[test]
    fn a_cut_is_in_force_when_no_resolver_gives_the_address_any_more() {
        use Passage::{Closed, Open};
        let (old, new): (&[&str], &[&str]) = (&[EAST, "192.0.2.9"], &["192.0.2.9"]);
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let both = words(&["given by r0: yes", "given by r1: no"]);
        assert_eq!(marked(Closed, &[]), (Closed, Vec::new()));
        assert_eq!(marked(Closed, &[Some(old), Some(new)]), (Open, both.clone()));
        let none = words(&["given by r0: no", "given by r1: no"]);
        assert_eq!(marked(Closed, &[Some(new), Some(&[])]), (Closed, none));
        let silent = words(&["given by r1: no"]);
        assert_eq!(marked(Closed, &[None, Some(new)]), (Open, silent), "it proves nothing");
        assert_eq!(marked(Open, &[Some(old), Some(new)]), (Open, both));
        let back = words(&["given by r0: yes", "given by r1: yes"]);
        assert_eq!(marked(Open, &[None, Some(old)]), (Open, back), "and holds up no restore");
    }
}
