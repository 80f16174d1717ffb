//! Traffic controls: one trait, and for each provider a module, which is a folder where it is large.

pub mod api;
#[cfg(feature = "aws")]
pub mod aws;
pub mod azure;
pub mod caddy;
pub mod cloudflare;
mod dns;
pub mod dns_update;
pub mod exec;
pub mod file;
pub mod gates;
pub mod gcp;
pub mod haproxy;
pub mod http;
pub mod kubernetes;
mod log;
pub mod nftables;
pub mod powerdns;
pub mod toxiproxy;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, Exchange, PathCounters, Provider,
};

/// A place where traffic to a datacenter can be cut.
///
/// Calls are idempotent: cutting what is cut and restoring what is restored succeed and change
/// nothing. A call that fails may have taken effect all the same; only [`TrafficControl::inspect`] tells.
#[async_trait]
pub trait TrafficControl: Send + Sync {
    /// What the plan says of it.
    fn spec(&self) -> &ControlSpec;

    /// What answers, named alike by whichever address it is reached: no two drills may steer one at the same time.
    /// `None` where it has no name of its own.
    ///
    /// # Errors
    /// When the control does not answer, so that nobody knows.
    async fn identity(&self) -> Result<Option<String>, ControlError> {
        Ok(None)
    }

    /// Proves by reading that a cut and its way back can work: everything that the plan names is
    /// there, and what we are allowed to do suffices.
    ///
    /// # Errors
    /// When it would not work, or that cannot be told.
    async fn preflight(&self) -> Result<(), ControlError> {
        self.inspect().await.map(drop)
    }

    /// Reads the present state, changing nothing. Parts that are gone are not in it.
    ///
    /// # Errors
    /// When the control cannot be reached or gives no sense.
    async fn inspect(&self) -> Result<ControlState, ControlError>;

    /// `now` as a restore to `before` judges it: without what others added within a part, which is not ours to undo and
    /// must not keep ours cut. Most parts hold one thing, so that nothing can be added.
    fn but_for_others(&self, now: ControlState, _before: &ControlState) -> ControlState {
        now
    }

    /// Who serves on when `order` is in force, judged by what serves now: one for each group of parts that stand
    /// in for each other. Empty where the control cannot tell.
    ///
    /// # Errors
    /// When the control cannot be reached or gives no sense.
    async fn survivors(&self, _order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        Ok(Vec::new())
    }

    /// Cuts traffic as `order` says, and returns when the control accepted it; [`TrafficControl::inspect`] says when it
    /// is in force.
    ///
    /// Parts that are closed in `snapshot` are left alone: they were not ours to close.
    ///
    /// # Errors
    /// When the control cannot be reached or refuses. Some parts may be cut by then.
    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError>;

    /// The calls that [`TrafficControl::cut`] makes, in order. Empty where only its own process can make them.
    fn calls(&self, _order: &CutOrder, _snapshot: &ControlState) -> Vec<CutCall> {
        Vec::new()
    }

    /// What the parts that `order` changes will say once it is in force. Settings that are not known in
    /// advance are left out.
    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState;

    /// Puts every part that `snapshot` names back as it has it, and touches no other. What was not
    /// open then is not opened.
    ///
    /// # Errors
    /// When the control cannot be reached or refuses. Some parts may be restored by then.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError>;

    /// Whether a restore cannot touch what is another hand's, so that it may be called where nothing can be read.
    fn takes_back_only_ours(&self) -> bool {
        false
    }

    /// What [`TrafficControl::restore`] does, as a person would do it by hand: a command or a sentence each.
    fn by_hand(&self, snapshot: &ControlState) -> Vec<String>;

    /// How long to wait between two readings while what was accepted is not in force yet. Longer where readings are
    /// rationed.
    fn pause(&self) -> Duration {
        Duration::from_millis(20)
    }

    /// What was asked at the provider since this was last called, and what it answered. Nothing where no calls leave
    /// the process.
    fn exchanges(&self) -> Vec<Exchange> {
        Vec::new()
    }

    /// What passed towards the cut datacenter since the cut, if the control itself counts it.
    fn path(&self) -> Option<PathCounters> {
        None
    }
}

/// Who serves on in a group of parts that stand in for each other, when a datacenter is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivors {
    /// The group: a backend of HAProxy, a service of the lab.
    pub group: String,
    /// How many parts outside of the datacenter to be cut are open and up.
    pub left: usize,
}

/// Why a call at a control failed: what, where, and what to do next. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlError {
    /// What went wrong, and where.
    pub what: String,
    /// What to do next.
    pub hint: String,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

impl std::error::Error for ControlError {}

/// All that failed as one error, behind `problem` where that says anything; the hint is that of the first.
fn all_of(
    problem: &str,
    failures: impl IntoIterator<Item = ControlError>,
) -> Result<(), ControlError> {
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(()) };
    let begun = match problem {
        "" => first.what,
        problem => format!("{problem}: {}", first.what),
    };
    let what = failures.fold(begun, |all, next| format!("{all}; {}", next.what));
    Err(ControlError { what, hint: first.hint })
}

/// [`all_of`] what of several calls side by side failed.
fn all_done(problem: &str, results: Vec<Result<(), ControlError>>) -> Result<(), ControlError> {
    all_of(problem, results.into_iter().filter_map(Result::err))
}

/// A control made ready from its settings, as they stand in a plan or in a journal; `None` when it lives in the
/// drill's process and ends with that, so that from elsewhere there is nothing to read or to put back.
///
/// # Errors
/// When the settings make no sense.
pub fn reach(spec: &ControlSpec) -> Result<Option<Arc<dyn TrafficControl>>, ControlError> {
    Ok(match &spec.provider {
        #[cfg(feature = "aws")]
        Provider::AwsRoute53(settings) => Some(Arc::new(aws::Route53::new(spec, settings))),
        #[cfg(feature = "aws")]
        Provider::AwsZonalShift(settings) => Some(Arc::new(aws::ZonalShift::new(spec, settings))),
        #[cfg(feature = "aws-routing-control")]
        Provider::AwsRoutingControl(settings) => {
            Some(Arc::new(aws::RoutingControl::new(spec, settings)))
        }
        #[cfg(not(feature = "aws-routing-control"))]
        Provider::AwsRoutingControl(_) => return Err(left_out(spec, "aws-routing-control")),
        #[cfg(feature = "aws-elb")]
        Provider::AwsElb(settings) => Some(Arc::new(aws::Elb::new(spec, settings))),
        #[cfg(not(feature = "aws-elb"))]
        Provider::AwsElb(_) => return Err(left_out(spec, "aws-elb")),
        #[cfg(feature = "aws-fis")]
        Provider::AwsFis(settings) => Some(Arc::new(aws::Fis::new(spec, settings))),
        #[cfg(not(feature = "aws-fis"))]
        Provider::AwsFis(_) => return Err(left_out(spec, "aws-fis")),
        #[cfg(not(feature = "aws"))]
        Provider::AwsRoute53(_) | Provider::AwsZonalShift(_) => return Err(left_out(spec, "aws")),
        Provider::Lab | Provider::Proxy(_) => None,
        Provider::Toxiproxy(settings) => Some(Arc::new(toxiproxy::Toxiproxy::new(spec, settings)?)),
        Provider::Haproxy(_) => Some(Arc::new(haproxy::Haproxy::new(spec)?)),
        Provider::Http(settings) => Some(Arc::new(http::Http::new(spec, settings)?)),
        Provider::Exec(settings) => Some(Arc::new(exec::Exec::new(spec, settings)?)),
        Provider::File(settings) => Some(Arc::new(file::File::new(spec, settings)?)),
        Provider::Nftables(settings) => Some(Arc::new(nftables::Nftables::new(spec, settings))),
        Provider::Caddy(settings) => Some(Arc::new(caddy::Caddy::new(spec, settings)?)),
        Provider::Cloudflare(_) => Some(Arc::new(cloudflare::Cloudflare::new(spec)?)),
        Provider::Azure(_) => Some(Arc::new(azure::Azure::new(spec)?)),
        Provider::Gcp(_) => Some(Arc::new(gcp::Gcp::new(spec)?)),
        Provider::Powerdns(settings) => Some(Arc::new(powerdns::Powerdns::new(spec, settings))),
        Provider::DnsUpdate(settings) => Some(Arc::new(dns_update::DnsUpdate::new(spec, settings))),
        Provider::Kubernetes(_) => Some(Arc::new(kubernetes::Kubernetes::new(spec)?)),
    })
}

/// That this build leaves the provider of `spec` out.
#[cfg(not(all(
    feature = "aws",
    feature = "aws-elb",
    feature = "aws-fis",
    feature = "aws-routing-control"
)))]
fn left_out(spec: &ControlSpec, feature: &str) -> ControlError {
    ControlError {
        what: format!("this firedrill was built without `{}`", spec.provider.key()),
        hint: format!(
            "take a released one, or build it with `--features {feature}` (`all-providers` for all)"
        ),
    }
}
