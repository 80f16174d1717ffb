//! Samples as comma-separated values (RFC 4180), a row at a time.

use std::fmt::Write;

use crate::model::{
    Offset, Outcome, ProbeId, RunRecord, SampleNames, Sampled, ServedBy, VantageId, printable,
};

/// Makes rows of samples.
#[derive(Debug)]
pub struct Csv<'r> {
    record: &'r RunRecord,
    /// The names as cells.
    datacenters: Vec<String>,
    services: Vec<(String, Vec<String>)>,
    loads: Vec<String>,
    row: String,
}

impl<'r> Csv<'r> {
    /// The first row.
    pub const HEAD: &'static str = "time_ms,time,service,probe,vantage,due_ms,sent_ms,done_ms,outcome,reason,served_by,stage\r\n";

    /// Rows of samples of `names`, in the run that `record` is of.
    pub fn new(record: &'r RunRecord, names: &SampleNames) -> Csv<'r> {
        let cells = |names: &[crate::model::Name]| -> Vec<String> {
            names.iter().map(|name| cell(name.as_str())).collect()
        };
        let services = names.services.iter();
        Csv {
            record,
            datacenters: cells(&names.datacenters),
            services: services.map(|(name, probes)| (cell(name.as_str()), cells(probes))).collect(),
            loads: cells(&names.loads),
            row: String::new(),
        }
    }

    /// The row of a sample, with its line break.
    pub fn row(&mut self, sampled: &Sampled) -> &str {
        let Sampled { vantage: VantageId(vantage), probe, sample } = sampled;
        let marks = &self.record.marks;
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        let since = sample.due.since(marks.started);
        let at = self.record.started_at.checked_add(since);
        // Writing to a string cannot fail.
        let _ = write!(row, "{},", millis(Offset::ZERO.plus(since)));
        if let Ok(at) = at {
            let _ = write!(row, "{}", at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"));
        }
        let (service, name) = self.names(*probe);
        let _ = write!(row, ",{service},{name},{vantage},");
        for at in [sample.due, sample.sent, sample.done] {
            let _ = write!(row, "{},", millis(at));
        }
        let _ = match sample.outcome {
            Outcome::Good => write!(row, "good,"),
            Outcome::Bad(reason) => write!(row, "bad,{reason}"),
            Outcome::Unknown(blindness) => write!(row, "unknown,{blindness}"),
        };
        let _ = match sample.served_by {
            ServedBy::Unnamed => write!(row, ","),
            ServedBy::Foreign => write!(row, ",other"),
            ServedBy::Datacenter(id) => match self.datacenters.get(id.index()) {
                Some(name) => write!(row, ",{name}"),
                None => write!(row, ",#{}", id.0),
            },
        };
        let _ = write!(row, ",{}\r\n", marks.stage(sample.sent));
        self.row = row;
        &self.row
    }

    /// The service and the probe. A load has no service; what has lost its name has its number.
    fn names(&self, id: ProbeId) -> (String, String) {
        let numbered = |name: Option<&String>, number: u32| match name {
            Some(name) => name.clone(),
            None => format!("#{number}"),
        };
        if let Some(load) = id.load() {
            return (String::new(), numbered(self.loads.get(load), id.probe));
        }
        let service = self.services.get(id.service as usize);
        let probe = service.and_then(|(_, probes)| probes.get(id.probe as usize));
        (numbered(service.map(|(name, _)| name), id.service), numbered(probe, id.probe))
    }
}

/// Milliseconds, exact to the nanosecond.
fn millis(at: Offset) -> String {
    let nanos = at.as_nanos();
    format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000)
}

/// A name as a cell: quoted where that is needed, and nothing that a spreadsheet would take for a formula.
fn cell(name: &str) -> String {
    let mut name = printable(name);
    if name.starts_with(['=', '+', '-', '@']) {
        name.insert(0, '\'');
    }
    match name.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name,
    }
}
