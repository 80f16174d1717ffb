//! What `show servers state` says, and what of it a restore must put back.

use std::collections::BTreeMap;

use crate::model::{DatacenterId, PartState, Passage};

/// The only version of the table, as its first line.
const VERSION: &str = "1";

/// Bits of `srv_admin_state` (HAProxy's `server-t.h`). 1 and 8 are what people and firedrill set;
/// the rest is inherited from a tracked server (2, 16), remembered from the configuration (4,
/// without effect of its own) or due to a name without an address (32), and is left alone.
const FORCED_MAINT: u32 = 1;
const FORCED_DRAIN: u32 = 8;
const ANY_MAINT: u32 = 1 | 2 | 32;
const ANY_DRAIN: u32 = 8 | 16;

/// Bits of `srv_agent_state` (HAProxy's `check-t.h`).
const AGENT_CONFIGURED: u32 = 2;
const AGENT_ENABLED: u32 = 4;

/// Values of `srv_op_state` (HAProxy's `server-t.h`) in which a server takes new sessions.
const STARTING: u32 = 1;
const RUNNING: u32 = 2;

/// Keys of [`PartState::settings`].
pub(super) const STATE: &str = "state";
pub(super) const WEIGHT: &str = "weight";
pub(super) const AGENT: &str = "agent";

/// The process that `show info` tells of, by its host, number and start: a socket may have several names.
pub(super) fn process(info: &str) -> Option<String> {
    let field = |key: &str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == key).map(|(_, value)| value.trim())
    };
    // Versions before 2.5 do not tell when they were started.
    let start = field("Start_time_sec").unwrap_or_default();
    Some(format!("haproxy process {} {} {start}", field("node")?, field("Pid")?))
}

/// A server, as HAProxy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// `BACKEND/SERVER`.
    pub(super) name: String,
    admin: u32,
    weight: u32,
    agent: u32,
    /// Whether its checks let it serve.
    up: bool,
}

impl Server {
    /// Its state as a part of the control.
    ///
    /// Its health is not in it: that is not ours to steer. Nor is its weight while an agent
    /// steers that.
    pub(super) fn part(&self, datacenter: DatacenterId) -> PartState {
        let state = match self.admin {
            admin if admin & FORCED_MAINT != 0 => "maint",
            admin if admin & FORCED_DRAIN != 0 => "drain",
            _ => "ready",
        };
        let mut settings = BTreeMap::from([(STATE.to_owned(), state.to_owned())]);
        let has_agent = self.agent & AGENT_CONFIGURED != 0;
        let agent_steers = has_agent && self.agent & AGENT_ENABLED != 0;
        if has_agent {
            let agent = if agent_steers { "enabled" } else { "disabled" };
            settings.insert(AGENT.to_owned(), agent.to_owned());
        }
        if !agent_steers {
            settings.insert(WEIGHT.to_owned(), self.weight.to_string());
        }
        let passage = if self.is_open() { Passage::Open } else { Passage::Closed };
        PartState { datacenter, passage, settings }
    }

    fn is_open(&self) -> bool {
        self.admin & (ANY_MAINT | ANY_DRAIN) == 0 && self.weight != 0
    }

    /// Whether it takes new sessions now.
    pub(super) fn serves(&self) -> bool {
        self.up && self.is_open()
    }

    /// The backend that it stands in.
    pub(super) fn backend(&self) -> &str {
        self.name.split_once('/').map_or(self.name.as_str(), |(backend, _)| backend)
    }
}

/// Reads the answer to `show servers state`.
///
/// Columns are found by the names in the header line, since versions of HAProxy have added some.
///
/// # Errors
/// In words, when it is not such a table.
pub(super) fn parse(answer: &str) -> Result<Vec<Server>, String> {
    let mut lines = answer.lines();
    match lines.next() {
        Some(VERSION) => {}
        first => return Err(format!("version `{}`, not 1", first.unwrap_or_default())),
    }
    let header = lines.next().and_then(|line| line.strip_prefix('#')).ok_or("no header line")?;
    let columns: Vec<&str> = header.split_whitespace().collect();
    let at = |name: &str| {
        columns
            .iter()
            .position(|column| *column == name)
            .ok_or_else(|| format!("no column `{name}`"))
    };
    let (backend, server) = (at("be_name")?, at("srv_name")?);
    let (admin, weight) = (at("srv_admin_state")?, at("srv_uweight")?);
    let (agent, operation) = (at("srv_agent_state")?, at("srv_op_state")?);
    let mut servers = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        if cells.len() != columns.len() {
            return Err(format!(
                "a line of {} columns under a header of {}: `{line}`",
                cells.len(),
                columns.len()
            ));
        }
        let number = |column: usize| {
            cells[column]
                .parse::<u32>()
                .map_err(|_| format!("`{}` where {} is due", cells[column], columns[column]))
        };
        let name = format!("{}/{}", cells[backend], cells[server]);
        if !is_plain(&name) {
            return Err(format!("a server named `{name}`"));
        }
        servers.push(Server {
            name,
            admin: number(admin)?,
            weight: number(weight)?,
            agent: number(agent)?,
            up: matches!(number(operation)?, STARTING | RUNNING),
        });
    }
    Ok(servers)
}

/// Whether `name` has only characters that HAProxy allows in names, so that it cannot end a
/// command and begin another.
pub(super) fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &str) -> String {
        format!(
            "1\n# be_name srv_name srv_op_state srv_admin_state srv_uweight srv_agent_state\n{rows}\n"
        )
    }

    fn part(row: &str) -> PartState {
        parse(&table(row)).unwrap()[0].part(DatacenterId(0))
    }

    #[test]
    fn columns_are_found_by_name_wherever_they_stand() {
        let other_order = "1\n# srv_uweight new srv_agent_state srv_op_state srv_name be_name srv_admin_state\n7 x 0 2 w app 8\n\n";
        let servers = parse(other_order).unwrap();
        assert_eq!(servers[0].name, "app/w");
        let part = servers[0].part(DatacenterId(3));
        assert_eq!(part.settings[STATE], "drain");
        assert_eq!(part.settings[WEIGHT], "7");
        assert_eq!(part.datacenter, DatacenterId(3));
    }

    #[test]
    fn only_forced_states_are_ours_and_every_closed_door_shows_as_closed() {
        for (admin, state, passage) in [
            (0, "ready", Passage::Open),
            (1, "maint", Passage::Closed),
            (2, "ready", Passage::Closed),
            (4, "ready", Passage::Open),
            (5, "maint", Passage::Closed),
            (8, "drain", Passage::Closed),
            (16, "ready", Passage::Closed),
            (32, "ready", Passage::Closed),
        ] {
            let part = part(&format!("app w 2 {admin} 1 0"));
            assert_eq!((part.settings[STATE].as_str(), part.passage), (state, passage), "{admin}");
        }
        assert_eq!(part("app w 2 0 0 0").passage, Passage::Closed, "weight 0");
    }

    #[test]
    fn health_is_not_part_of_the_state() {
        assert_eq!(part("app w 2 0 1 0"), part("app w 0 0 1 0"));
    }

    #[test]
    fn the_weight_belongs_to_an_enabled_agent() {
        let steered = part("app w 2 0 9 22");
        assert_eq!(steered.settings.get(WEIGHT), None);
        assert_eq!(steered.settings[AGENT], "enabled");
        let paused = part("app w 2 0 9 18");
        assert_eq!(paused.settings[WEIGHT], "9");
        assert_eq!(paused.settings[AGENT], "disabled");
    }

    #[test]
    fn what_is_not_such_a_table_is_refused_in_words() {
        for (answer, expected) in [
            ("", "version ``"),
            ("2\n# be_name\n", "version `2`"),
            ("1\n", "no header line"),
            ("1\n# be_name srv_name\n", "no column `srv_admin_state`"),
            (&table("app w 2 0 1"), "5 columns under a header of 6"),
            (&table("app w 2 up 1 0"), "`up` where srv_admin_state"),
            (&table("app w;quit 2 0 1 0"), "a server named"),
        ] {
            let error = parse(answer).unwrap_err();
            assert!(error.contains(expected), "{answer:?}: {error}");
        }
    }
}
