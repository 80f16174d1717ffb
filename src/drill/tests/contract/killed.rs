//! Killed at any moment: all of it is put back from the journal, whatever line of that is damaged.

use super::*;
use crate::journal::{Hand, Run, Unusable, Unwritten, line};
use crate::restore::{Limits, restore_run};

const LIMITS: Limits = Limits { total: Duration::from_secs(60), call: Duration::from_secs(15) };

/// Two controls, and the test of them killed at its `moment`th step. `None`: it had ended before that.
async fn killed_at(moment: usize) -> Option<Site> {
    let providers = vec![("a", Fault::None), ("b", Fault::None)];
    let (site, test) = Site::new(&Setup { providers, killed_at: Some(moment), ..Setup::default() });
    let moments = site.moments.clone();
    tokio::select! {
        biased;
        () = moments.killed.notified() => Some(site),
        record = test => {
            assert_eq!(record.verdict, Verdict::Pass);
            None
        }
    }
}

impl Site {
    /// The journal, in which the line at `damaged` is not what was written.
    fn journal(&self, damaged: Option<usize>) -> Vec<Vec<u8>> {
        let records = self.paper.records.lock().unwrap();
        let lines = records.iter().map(|record| line(record).unwrap().into_bytes());
        let mut lines: Vec<Vec<u8>> = lines.collect();
        if let Some(place) = damaged {
            let middle = lines[place].len() / 2;
            lines[place][middle] = b'~';
        }
        lines
    }

    /// Puts back what the journal says, as the watchdog does. The controls that are given up, since their snapshots are lost.
    async fn put_back(&self, damaged: Option<usize>) -> Vec<Name> {
        let run = match Run::read(&self.journal(damaged).concat()) {
            Ok(run) => run,
            Err(error) => {
                assert_eq!(error, Unusable::Empty);
                return Vec::new();
            }
        };
        let controls = self.controls(true);
        let reach = |spec: &ControlSpec| {
            Ok(controls.iter().find(|control| control.spec() == spec).cloned())
        };
        let hurry = channel::channel(false).1;
        let clock = Clock::start();
        let journal = &mut Unwritten;
        let outcomes =
            restore_run(&run, &reach, Hand::Watchdog, journal, clock, LIMITS, hurry).await;
        assert!(outcomes.iter().all(crate::restore::Outcome::is_good), "{outcomes:?}");
        run.lost().cloned().collect()
    }
}

/// Holds that whoever comes after the crash leaves both as they were, or names the one that nobody can put back.
async fn comes_back(site: &Site, damaged: Option<usize>, about: &dyn std::fmt::Debug) {
    let lost = site.put_back(damaged).await;
    // Whatever was under way has landed by then.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for provider in &site.providers {
        let is_lost = lost.iter().any(|name| name.as_str() == provider.name);
        let journal: Vec<String> = site.paper.records.lock().unwrap().iter().map(words).collect();
        assert!(is_lost || provider.parts() == Provider::whole(), "{about:?}: {journal:?}");
    }
    assert!(damaged.is_some() || lost.is_empty(), "{about:?}: {lost:?}");
}

#[tokio::test(start_paused = true)]
async fn at_any_moment_all_of_it_is_put_back_whatever_line_is_damaged() {
    let (mut moments, mut readings) = (0, 0);
    for moment in 1.. {
        let Some(site) = killed_at(moment).await else { break };
        comes_back(&site, None, &moment).await;
        let lines = site.journal(None).len();
        moments += 1;
        // The first line says what the rest means: without it nothing is believed, and a person is asked.
        for damaged in 1..lines {
            let site = killed_at(moment).await.unwrap();
            comes_back(&site, Some(damaged), &(moment, damaged)).await;
            readings += 1;
        }
    }
    assert!(moments > 60 && readings > 500, "{moments} moments, {readings} readings");
}
