//! A drill on a lab with faults, put together by hand.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use firedrill::clock::Clock;
use firedrill::drill::{Drill, Guards, Probes};
use firedrill::journal::{Append, Record};
use firedrill::lab::{Lab, LabFaults};
use firedrill::model::{Plan, ProbeId, ProbeKind, ProbeSpec, RunRecord, Service};
use firedrill::plan::{Inputs, parse};
use firedrill::probe::{Prober, SystemConnector, Writer};
use firedrill::traffic::TrafficControl;
use firedrill::traffic::gates::Gates;

static MACHINE: Mutex<()> = Mutex::new(());

/// Keeps other drills of this process waiting.
pub fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A journal that nobody reads.
struct Nowhere;

impl Append for Nowhere {
    fn append(&mut self, _: &Record) -> io::Result<()> {
        Ok(())
    }
}

/// Parses a plan that has to be right.
pub fn plan(text: &str) -> Plan {
    let inputs = Inputs { vars: &BTreeMap::new(), env: &|_| None };
    let parsed = parse("test", text.as_bytes(), &inputs);
    parsed.plan.unwrap_or_else(|| panic!("{:?}", parsed.findings))
}

/// Runs a plan on a lab with `faults`, whose clock starts with the lab.
pub fn drill(text: &str, faults: LabFaults) -> RunRecord {
    let _alone = alone();
    let plan = Arc::new(plan(text));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock = Clock::start();
        let spec = plan.lab.as_ref().unwrap();
        let lab = Lab::start_with(spec, &plan.datacenters, clock, faults).await.unwrap();
        let connector = Arc::new(SystemConnector::from_system().unwrap());
        let address = |service: &str| lab.address(service);
        let prober = |(id, service, probe): (ProbeId, &Service, &ProbeSpec)| match &probe.kind {
            ProbeKind::Ledger(ledger) => {
                let (service, name) = (service.name.clone(), probe.name.clone());
                let writer = Writer { run: "test".into(), service, probe: name };
                let writer = (writer, plan.datacenters.as_slice());
                let (probe, connector) = ((probe, ledger), connector.clone());
                Prober::prepare_ledger(id, probe, writer, &address, connector).unwrap()
            }
            _ => Prober::prepare(id, probe, &address, connector.clone()).unwrap(),
        };
        let probes = plan.probes().map(prober).collect();
        let control: Arc<dyn TrafficControl> =
            Arc::new(Gates::new(plan.traffic[0].clone(), lab.gates()));
        let (_stop, stopped) = tokio::sync::watch::channel(None);
        let drill = Drill {
            plan: plan.clone(),
            file: "test".into(),
            run: "test".into(),
            host: "here".into(),
            located: Vec::new(),
            controls: vec![control],
            probing: Box::new(Probes::new(probes, Vec::new())),
            guards: Guards::default(),
            journal: Box::new(Nowhere),
            clock,
            stop: stopped,
            hurry: tokio::sync::watch::Sender::new(false).subscribe(),
            guardian: Box::new(()),
            listener: Box::new(|_| {}),
            sampled: Box::new(|_| {}),
        };
        let mut record = drill.run().await;
        record.lab = Some(lab.truth(&plan.cut.datacenters, &record.marks));
        for (name, _, gate) in lab.gates() {
            assert_eq!(gate.fault(), None, "{name} is open again");
        }
        lab.stop().await;
        record
    })
}

/// The codes of a record's reasons.
pub fn codes(record: &RunRecord) -> Vec<&str> {
    record.reasons.iter().map(|why| why.code.as_str()).collect()
}
