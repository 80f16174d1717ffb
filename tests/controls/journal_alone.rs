//! A run put back from its journal alone, as `firedrill restore` does it, while something else has happened to a control.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use firedrill::clock::Clock;
use firedrill::journal::{Append, Entry, FORMAT, Hand, Last, Opened, Record, Run, Tail};
use firedrill::model::{ControlSpec, ControlState, CutOrder, Verdict};
use firedrill::restore::{Limits, Reached, Restored, restore_run};
use firedrill::traffic::TrafficControl;
use jiff::Timestamp;
use tokio::sync::watch;

pub use firedrill::restore::End;

const LIMITS: Limits = Limits { total: Duration::from_secs(10), call: Duration::from_secs(10) };

/// What is written to it.
#[derive(Default)]
struct Paper(Vec<Record>);

impl Append for Paper {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        self.0.push(record.clone());
        Ok(())
    }
}

/// The journal of a drill that died while `order` was in force.
fn run(control: &dyn TrafficControl, order: &CutOrder, before: &ControlState) -> Run {
    let spec = control.spec().clone();
    let opened = Opened {
        format: FORMAT,
        firedrill: "0".to_owned(),
        run: "run-1".to_owned(),
        host: "here".to_owned(),
        pid: 1,
        at: Timestamp::UNIX_EPOCH,
        plan: "plan".into(),
        datacenters: vec!["a".into(), "b".into()],
        order: order.clone(),
        through: vec![spec.name.clone()],
        at_most: Duration::from_secs(60),
    };
    let entry = Entry {
        control: spec,
        before: before.cuttable(order),
        cut: control.cut_state(order, before),
        last: Last::CutConfirmed,
        by: None,
    };
    Run {
        opened,
        controls: vec![entry],
        closed: None,
        whole: 0,
        tail: Tail::Whole,
        damaged: Vec::new(),
        settled: Vec::new(),
    }
}

/// Cuts, lets `hand` do what it does, and restores; gives what came of that. Only what is back may be written down as such.
pub async fn restored(
    control: &Arc<dyn TrafficControl>,
    order: &CutOrder,
    hand: impl Future<Output = ()>,
) -> End {
    let before = control.inspect().await.unwrap();
    control.cut(order, &before).await.unwrap();
    hand.await;
    let (run, mut paper) = (run(&**control, order, &before), Paper::default());
    let reach = |_: &ControlSpec| -> Reached { Ok(Some(control.clone())) };
    let (clock, hurry) = (Clock::start(), watch::channel(false).1);
    let mut outcomes =
        restore_run(&run, &reach, Hand::Person, &mut paper, clock, LIMITS, hurry).await;
    let outcome = outcomes.remove(0);
    let is_good = outcome.is_good();
    let Restored::Done(done) = outcome.restored else { panic!("{outcome:?}") };
    assert_eq!(is_good, matches!(done.end, End::Restored { .. }), "{done:?}");
    let is_confirmed = |record: &Record| matches!(record, Record::RestoreConfirmed { .. });
    assert_eq!(paper.0.iter().any(is_confirmed), is_good, "{:?}", paper.0);
    let verdict = if is_good { Verdict::Stopped } else { Verdict::NotRestored };
    assert_eq!(paper.0.last(), Some(&Record::Closed { verdict }));
    done.end
}

/// While cut, `hand` takes the parts `gone` away. A reading leaves them out, so that all others come back; and these are told
/// by name and never confirmed.
pub async fn puts_back_what_is_left(
    control: Arc<dyn TrafficControl>,
    order: &CutOrder,
    gone: &[&str],
    hand: impl Future<Output = ()>,
) {
    let before = control.inspect().await.unwrap();
    let end = restored(&control, order, hand).await;
    let ours: Vec<String> = before.cuttable(order).parts.into_keys().collect();
    let due: Vec<&String> = ours.iter().filter(|it| gone.contains(&it.as_str())).collect();
    assert!(!due.is_empty() && due.len() < ours.len(), "some are gone and some are not: {ours:?}");
    assert!(matches!(&end, End::Foreign(parts) if parts.iter().eq(due.iter().copied())), "{end:?}");
    let after = control.inspect().await.unwrap();
    assert_eq!(after.differences(&before), gone, "all that is there is as it was");
    control.preflight().await.expect_err("a plan that names what is not there is refused");
}
