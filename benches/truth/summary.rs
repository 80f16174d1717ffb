//! What all drills together say: the tables, and whether everything is as it must be.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Table, presets};

use super::{Compared, Drill, SLACK, Setting};

/// All drills together.
pub(super) struct Summary<'a> {
    pub(super) drills: &'a [Drill],
}

/// A row of the table: a name, and which drills belong to it.
type Group = (String, Box<dyn Fn(&Drill) -> bool>);

impl Summary<'_> {
    /// Prints everything; false when something is not as it must be.
    pub(super) fn print(&self, verbose: bool) -> bool {
        let mut wrong = 0;
        for drill in self.drills {
            let is_wrong = !drill.complaints().is_empty();
            wrong += usize::from(is_wrong);
            if is_wrong || verbose {
                println!("{}", drill.details());
            }
        }
        println!("Recovery\n{}\n", self.table(&Drill::recovery));
        println!("Failback\n{}\n", self.table(&Drill::failback));
        let mut verdicts = BTreeMap::<String, u64>::new();
        for drill in self.drills {
            *verdicts.entry(drill.record.verdict.to_string()).or_default() += 1;
        }
        println!("verdicts: {verdicts:?}");
        let count = |is: &dyn Fn(&Drill) -> bool| self.drills.iter().filter(|d| is(d)).count();
        let stalled = |drill: &Drill| drill.probe().is_some_and(|probe| probe.counts.stalled > 0);
        let seamless = |drill: &Drill| {
            drill.recovery().is_some_and(|c| c.found.is_some_and(|found| found.seamless))
        };
        println!("with stalled samples: {}", count(&stalled));
        println!("seamless: {}", count(&seamless));
        println!("checks failed without a cause: {}", count(&Drill::is_disturbed));
        let late = self.drills.iter().filter_map(Drill::probe);
        let late = late.map(|probe| probe.counts.late_by_at_most).max().unwrap_or_default();
        println!("latest sample: {:.1} ms after it was due", millis(late));
        let excess = self.excess();
        println!("drills with something wrong: {wrong} of {}", self.drills.len());
        println!("active/standby, median width beyond one period: {excess:.1} ms (at most 20)");
        wrong == 0 && excess <= millis(SLACK)
    }

    /// By how many milliseconds the bounds of active/standby are wider than a period, in the median.
    fn excess(&self) -> f64 {
        let standby = self.drills.iter().filter(|drill| drill.setting.standby);
        let beyond = standby.filter_map(|drill| {
            let width = drill.recovery()?.width()?;
            Some(millis(width) - drill.setting.every as f64)
        });
        median(beyond.collect())
    }

    fn table(&self, pick: &dyn Fn(&Drill) -> Option<Compared>) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header([
            "",
            "drills",
            "truth known",
            "within",
            "width p50",
            "max",
            "in periods p50",
            "max",
            "beyond k periods p50",
            "max",
        ]);
        for (name, belongs) in self.groups() {
            let members: Vec<&Drill> = self.drills.iter().filter(|drill| belongs(drill)).collect();
            let known: Vec<_> = members.iter().filter_map(|d| Some((*d, pick(d)?))).collect();
            let within = known.iter().filter(|(_, compared)| compared.is_within()).count();
            let by = |value: &dyn Fn(&Setting, f64) -> f64| -> Vec<f64> {
                let widths = known.iter().filter_map(|(drill, compared)| {
                    Some(value(&drill.setting, millis(compared.width()?)))
                });
                widths.collect()
            };
            let width = by(&|_, width| width);
            let periods = by(&|setting, width| width / setting.every as f64);
            let beyond = by(&|setting, width| width - (setting.k() * setting.every) as f64);
            table.add_row([
                name,
                members.len().to_string(),
                known.len().to_string(),
                within.to_string(),
                format!("{:.1} ms", median(width.clone())),
                format!("{:.1} ms", largest(&width)),
                format!("{:.2}", median(periods.clone())),
                format!("{:.2}", largest(&periods)),
                format!("{:.1} ms", median(beyond.clone())),
                format!("{:.1} ms", largest(&beyond)),
            ]);
        }
        table
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = vec![("all".to_owned(), Box::new(|_| true))];
        let mut ks: Vec<u64> = self.drills.iter().map(|drill| drill.setting.k()).collect();
        ks.sort_unstable();
        ks.dedup();
        for k in ks {
            let name = self.drills.iter().find(|d| d.setting.k() == k).map(|d| d.setting.class());
            groups.push((name.unwrap_or_default(), Box::new(move |d| d.setting.k() == k)));
        }
        for mode in ["blackhole", "reset", "drain"] {
            groups.push((mode.to_owned(), Box::new(move |d| d.setting.mode == mode)));
        }
        for keep in [false, true] {
            let name = if keep { "keep-alive" } else { "new connections" };
            groups.push((name.to_owned(), Box::new(move |d| d.setting.keep_alive == keep)));
        }
        groups
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}
