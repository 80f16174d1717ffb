//! A cut and its way back as a person would type them.

use super::Part;
use super::netem::{self, Numbers};
use super::table::Way;
use crate::model::{CutCall, CutOrder};

impl Part<'_> {
    /// What makes the cut, in order, and what undoes each.
    pub fn calls(&self, order: &CutOrder, way: Way, seconds: u64) -> Vec<CutCall> {
        let name = &self.table.name;
        let nets: Vec<String> = self.table.networks.iter().map(ToString::to_string).collect();
        let table = CutCall {
            call: format!(
                "{}   # table inet {name}: {} of {}, for {seconds} s at a time",
                self.host.by_hand(&["nft", "-f", "-"]),
                order.mode.kind(),
                nets.join(", "),
            ),
            undone_by: Some(self.table_back()),
        };
        match way {
            Way::Degrade(numbers) => self.pieces(numbers).into_iter().chain([table]).collect(),
            Way::Blackhole | Way::Reset => vec![table],
        }
    }

    /// What packets go through once they are marked: a device of our own, and a filter at each of the plan.
    fn pieces(&self, numbers: Numbers) -> Vec<CutCall> {
        let ours = self.table.device("fd");
        let make = |program: &str, what: String, undone_by: &[String]| CutCall {
            call: format!("{}   # {what}", self.host.by_hand(&[program, "-batch", "-"])),
            undone_by: Some(self.typed(undone_by)),
        };
        let device_back = self.device_back();
        let ifb = make("ip", format!("an ifb of its own: {ours}"), &device_back);
        let queue = make("tc", format!("at {ours}: {}", numbers.netem()), &device_back);
        let filter = |device: &String| {
            let what = format!("at {device}: packets that the table marks go through {ours}");
            make("tc", what, &self.filter_back(device))
        };
        [ifb, queue].into_iter().chain(self.host.devices().iter().map(filter)).collect()
    }

    /// What deletes all of it, in the order in which it is to be done.
    pub fn back_by_hand(&self) -> Vec<String> {
        let devices = self.host.devices();
        let filters = devices.iter().map(|device| self.typed(&self.filter_back(device)));
        let ifb = (!devices.is_empty()).then(|| self.typed(&self.device_back()));
        [self.table_back()].into_iter().chain(filters).chain(ifb).collect()
    }

    fn table_back(&self) -> String {
        self.host.by_hand(&["nft", "delete", "table", "inet", &self.table.name])
    }

    fn filter_back(&self, device: &str) -> Vec<String> {
        let line = netem::removal(device, self.table.class(), "basic");
        ["tc"].into_iter().chain(line.split(' ')).map(str::to_owned).collect()
    }

    fn device_back(&self) -> Vec<String> {
        let ours = self.table.device("fd");
        ["ip", "link", "del", "dev", &ours].map(str::to_owned).into()
    }

    fn typed(&self, words: &[String]) -> String {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.host.by_hand(&words)
    }
}
