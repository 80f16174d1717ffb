//! From a plan to a drill that is ready to run: the lab, the controls and the probes it names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::addresses::located;
use super::guards::kill_switch;
use super::path::through_the_cut;
use super::{Drill, Guardian, Guards, Probes};
use crate::clock::Clock;
use crate::journal::Append;
use crate::lab::Lab;
use crate::measure::closed;
use crate::model::{
    ControlSpec, CutOrder, DatacenterId, DrillEvent, LabSpec, Name, Plan, PlanFile, PlanSummary,
    ProbeId, ProbeKind, Proof, Provider, RunRecord, Sampled, Shown, Verdict, Why,
};
use crate::probe::{Connector, PrepareError, Prober, SystemConnector, Writer};
use crate::traffic::gates::Gates;
use crate::traffic::{ControlError, Survivors, TrafficControl, reach};
use crate::watchdog::Phase;

/// Who a drill is, and whom it tells.
pub struct Charge {
    /// What to do.
    pub plan: Arc<Plan>,
    /// The file that the plan came from.
    pub file: PlanFile,
    /// The run's id.
    pub run: String,
    /// The machine that it runs on, for the journal.
    pub host: String,
    /// Where intents are written down before the acts.
    pub journal: Box<dyn Append>,
    /// Set to a reason when the drill has to stop and restore.
    pub stop: watch::Receiver<Option<Why>>,
    /// Set when the restore should wait for nothing that it can do without.
    pub hurry: tokio::sync::watch::Receiver<bool>,
    /// Why it is not known whether another drill has the controls, if it is not: this one must not cut then.
    pub unsure: Option<Why>,
    /// Told that the drill lives.
    pub guardian: Box<dyn Guardian>,
    /// Told of everything as it happens.
    pub listener: Box<dyn FnMut(&DrillEvent) + Send>,
    /// Given every sample that is taken in, to be kept. It must never wait.
    pub sampled: Box<dyn FnMut(&Sampled) + Send>,
}

/// Builds what the plan names, runs the drill, and takes it down again.
///
/// What cannot be built ends in a record with the verdict NOT STARTED.
pub async fn conduct(mut charge: Charge) -> RunRecord {
    let clock = Clock::start();
    let (plan, file, run) = (charge.plan.clone(), charge.file.clone(), charge.run.clone());
    if let Some(why) = may_not_begin(&plan, clock).await {
        charge.guardian.beat(Phase::Ended);
        return not_started(&plan, file, run, why);
    }
    let lab = match &plan.lab {
        None => None,
        Some(spec) => match start_lab(spec, &plan, clock, charge.stop.clone()).await {
            Ok(lab) => Some(lab),
            Err(why) => {
                charge.guardian.beat(Phase::Ended);
                return not_started(&plan, file, run, why);
            }
        },
    };
    let unsure = charge.unsure.take();
    let ready = async {
        if let Some(why) = through_the_cut(&plan).await.into_iter().next().or(unsure) {
            return Err(why);
        }
        let connector = connector()?;
        let probes = probes(&plan, &run, lab.as_ref(), &connector)?;
        let address = |service: &str| lab.as_ref().and_then(|lab| lab.address(service));
        let guards = Guards::prepare(&plan, &address, connector)?;
        let located = located(&plan).await;
        Ok((controls(&plan, lab.as_ref()).await?, probes, guards, located))
    };
    let record = match unless_stopped(charge.stop.clone(), ready).await {
        Err(why) => {
            charge.guardian.beat(Phase::Ended);
            not_started(&plan, file, run, why)
        }
        Ok((controls, probes, guards, located)) => {
            let drill = Drill {
                plan: charge.plan,
                file: charge.file,
                run: charge.run,
                host: charge.host,
                located,
                controls,
                probing: Box::new(probes),
                guards,
                journal: charge.journal,
                clock,
                stop: charge.stop,
                hurry: charge.hurry,
                guardian: charge.guardian,
                listener: charge.listener,
                sampled: charge.sampled,
            };
            let mut record = drill.run().await;
            record.lab = lab.as_ref().map(|lab| lab.truth(&plan.cut.datacenters, &record.marks));
            record
        }
    };
    if let Some(lab) = lab {
        lab.stop().await;
    }
    record
}

/// A lab that takes longer than this to start would be too busy to be measured.
const LAB_LIMIT: Duration = Duration::from_secs(20);

async fn start_lab(
    spec: &LabSpec,
    plan: &Plan,
    clock: Clock,
    stop: watch::Receiver<Option<Why>>,
) -> Result<Lab, Why> {
    let started = async {
        match timeout(LAB_LIMIT, Lab::start(spec, &plan.datacenters, clock)).await {
            Ok(Ok(lab)) => Ok(lab),
            Ok(Err(error)) => Err(format!("the lab could not be started: {error}")),
            Err(_) => Err(format!(
                "the lab did not start within {}; give it fewer replicas",
                Shown(LAB_LIMIT)
            )),
        }
        .map_err(|text| Why::new("lab", text))
    };
    unless_stopped(stop, started).await
}

/// What comes of `work`, or why the drill has to stop before it is done.
pub(super) async fn unless_stopped<T>(
    mut stop: watch::Receiver<Option<Why>>,
    work: impl Future<Output = Result<T, Why>>,
) -> Result<T, Why> {
    let stopped = async {
        // The lock on the channel's value must not be held while something is waited for.
        let why = stop.wait_for(Option::is_some).await.map(|why| why.clone());
        match why {
            Ok(why) => why,
            // Nobody is left who could stop it.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        done = work => done,
        why = stopped => Err(why.unwrap_or_else(|| Why::new("stopped", "told to stop"))),
    }
}

/// The controls that the plan cuts through, in its order.
pub(super) async fn controls(
    plan: &Plan,
    lab: Option<&Lab>,
) -> Result<Vec<Arc<dyn TrafficControl>>, Why> {
    let mut controls = Vec::new();
    for spec in plan.cut_through() {
        let control = control(spec, lab)
            .await
            .map_err(|error| Why::new("control-not-ready", format!("{}: {error}", spec.name)))?;
        controls.push(control);
    }
    Ok(controls)
}

async fn control(
    spec: &ControlSpec,
    lab: Option<&Lab>,
) -> Result<Arc<dyn TrafficControl>, ControlError> {
    Ok(match &spec.provider {
        Provider::Lab => {
            let gates = lab.map(Lab::gates).unwrap_or_default();
            let gates = Gates::new(spec.clone(), gates);
            match lab.map(Lab::serving) {
                Some(serving) => {
                    Arc::new(gates.judged_by(move |order| survivors(&serving(), order)))
                }
                None => Arc::new(gates),
            }
        }
        Provider::Proxy(_) => Arc::new(Gates::listen(spec.clone()).await?),
        _ => reach(spec)?.ok_or_else(|| ControlError {
            what: format!("{} lives in no drill and cannot be reached", spec.name),
            hint: "please report it".to_owned(),
        })?,
    })
}

/// Why the plan's windows and dates let no drill begin now.
pub fn closed_now(plan: &Plan) -> Option<Why> {
    closed(&plan.calendar, jiff::Timestamp::now())
}

/// The time by the wall clock, for a record's head.
pub(super) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Whatever forbids a drill before anything is opened: the calendar, then the kill switch.
pub(super) async fn may_not_begin(plan: &Plan, clock: Clock) -> Option<Why> {
    if let Some(why) = closed_now(plan) {
        return Some(why);
    }
    // Without a connector there is no drill: that is said when the probes are made ready.
    kill_switch(plan, clock, connector().ok()?).await
}

pub(super) fn connector() -> Result<Arc<dyn Connector>, Why> {
    let refused = |error| Why::new("probe-not-ready", format!("{error}"));
    let connector = SystemConnector::from_system();
    connector
        .map(|ready| Arc::new(ready) as Arc<dyn Connector>)
        .map_err(|e: PrepareError| refused(e))
}

/// Who serves on in each service of the lab that the cut datacenter has a part in.
fn survivors(
    serving: &[(Name, BTreeMap<DatacenterId, usize>)],
    order: &CutOrder,
) -> Vec<Survivors> {
    let lost = |datacenter: &DatacenterId| order.datacenters.contains(datacenter);
    let touched = serving.iter().filter(|(service, replicas)| {
        let meant = order.services.is_empty() || order.services.contains(service);
        // Of what stands nowhere else nobody could be left; the plan means it, or was refused.
        meant && replicas.keys().any(lost) && !replicas.keys().all(lost)
    });
    touched
        .map(|(service, replicas)| {
            let others = replicas.iter().filter(|(datacenter, _)| !lost(datacenter));
            let left = others.map(|(_, count)| count).sum();
            Survivors { group: format!("service {service}"), left }
        })
        .collect()
}

fn probes(
    plan: &Plan,
    run: &str,
    lab: Option<&Lab>,
    connector: &Arc<dyn Connector>,
) -> Result<Probes, Why> {
    let refused = |error: &dyn std::fmt::Display| Why::new("probe-not-ready", error.to_string());
    let address = |service: &str| lab.and_then(|lab| lab.address(service));
    let mut ready = Vec::new();
    for (id, service, probe) in plan.probes() {
        let connector = connector.clone();
        let prober = match &probe.kind {
            ProbeKind::Ledger(ledger) => {
                let (service, name) = (service.name.clone(), probe.name.clone());
                let writer = Writer { run: run.to_owned(), service, probe: name };
                let writer = (writer, plan.datacenters.as_slice());
                Prober::prepare_ledger(id, (probe, ledger), writer, &address, connector)
            }
            _ => Prober::prepare(id, probe, &address, connector),
        };
        let prober = prober.map_err(|error| refused(&format!("{}: {error}", service.name)))?;
        ready.push(prober);
    }
    let mut loads = Vec::new();
    for (spec, place) in plan.loads.iter().zip(0..) {
        let id = ProbeId::of_load(place);
        let load = Prober::prepare_load(id, spec, &address, connector.clone())
            .map_err(|error| refused(&format!("load: {error}")))?;
        loads.push((spec.from, load));
    }
    Ok(Probes::new(ready, loads))
}

/// The record of a drill that could not begin.
pub fn not_started(plan: &Plan, file: PlanFile, run: String, why: Why) -> RunRecord {
    RunRecord {
        format: RunRecord::FORMAT,
        firedrill: env!("CARGO_PKG_VERSION").to_owned(),
        run,
        started_at: jiff::Timestamp::now(),
        plan: summary(plan, file),
        verdict: Verdict::NotStarted,
        reasons: vec![why],
        marks: Default::default(),
        services: Vec::new(),
        proof: Proof::default(),
        controls: Vec::new(),
        calls: Vec::new(),
        guardrails: Vec::new(),
        placement: Default::default(),
        loads: Vec::new(),
        lab: None,
        environment: None,
        samples: None,
        notifications: Vec::new(),
    }
}

/// The parts of the plan that the record keeps.
pub(super) fn summary(plan: &Plan, file: PlanFile) -> PlanSummary {
    PlanSummary {
        name: plan.name.clone(),
        about: plan.about.clone(),
        file: file.path,
        hash: file.hash,
        text: file.text,
        env: file.env,
        vars: file.vars,
        lab: plan.lab.is_some(),
        datacenters: plan.datacenters.clone(),
        cut: plan.cut.clone(),
        through: plan.cut_through().map(|control| control.name.clone()).collect(),
        stable_for: plan.timing.stable_for,
        at_most: plan.timing.at_most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_before_the_cut_ends_when_the_drill_is_told_to_stop() {
        let (tell, told) = watch::channel(None);
        let for_ever = std::future::pending::<Result<(), Why>>();
        let work = tokio::spawn(unless_stopped(told, for_ever));
        tell.send(Some(Why::new("signal", "SIGTERM came"))).unwrap();
        assert_eq!(work.await.unwrap().unwrap_err().code, "signal");
        // Nobody is left who could stop it: the work goes on to its own end.
        let (_, told) = watch::channel(None);
        assert_eq!(unless_stopped(told, async { Ok(7) }).await, Ok(7));
    }
}
