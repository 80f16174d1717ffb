//! The exit codes.

use crate::model::Verdict;

/// How the process ends. The numbers are an interface: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// PASS, or nothing to complain about.
    Pass = 0,
    /// FAIL: a promise was broken.
    Fail = 1,
    /// Usage or plan invalid: nothing was touched.
    Usage = 2,
    /// NOT STARTED: preflight or steady state refused; nothing was cut.
    NotStarted = 3,
    /// INCONCLUSIVE: not proven either way; traffic is restored.
    Inconclusive = 4,
    /// STOPPED by a guardrail, the deadline or a person; traffic is restored.
    Stopped = 5,
    /// NOT RESTORED: traffic may still be cut.
    NotRestored = 6,
}

impl Exit {
    /// This one; if it is a success, only if `printed` is one too.
    pub(super) fn if_printed(self, printed: Exit) -> Exit {
        if self == Exit::Pass { printed } else { self }
    }
}

/// The table for `--help`.
pub(super) const HELP: &str = "\
Exit codes:
  0  PASS
  1  FAIL: a promise was broken
  2  usage or plan invalid: nothing was touched
  3  NOT STARTED: preflight or steady state refused; nothing was cut
  4  INCONCLUSIVE: not proven either way; traffic is restored
  5  STOPPED by a guardrail, the deadline or a person; traffic is restored
  6  NOT RESTORED: traffic may still be cut; outranks all others";

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Exit::Pass,
            Verdict::Fail => Exit::Fail,
            Verdict::NotStarted => Exit::NotStarted,
            Verdict::Inconclusive => Exit::Inconclusive,
            Verdict::Stopped => Exit::Stopped,
            Verdict::NotRestored => Exit::NotRestored,
        }
    }
}
