//! What machine this is.

use std::fs;
use std::thread::available_parallelism;

use rustix::process::{Resource, getrlimit};
use rustix::system::{sysinfo, uname};

use super::state;
use crate::model::{Environment, RunRecord, Timer};

/// This machine, and how well it kept time in the drill that `record` is of.
pub(super) fn of(record: &RunRecord) -> Environment {
    let system = uname();
    let words = [system.sysname(), system.release(), system.machine()];
    let memory = sysinfo();
    #[allow(clippy::useless_conversion, reason = "it has another type on other platforms")]
    let memory_bytes = u64::try_from(memory.totalram)
        .ok()
        .and_then(|units| units.checked_mul(u64::from(memory.mem_unit.max(1))));
    // Without a database of time zones there is one without a name.
    let zone = jiff::tz::TimeZone::system();
    Environment {
        host: state::host(),
        os: fs::read_to_string("/etc/os-release").ok().as_deref().and_then(pretty),
        kernel: words.map(|word| word.to_string_lossy().into_owned()).join(" "),
        cores: available_parallelism().ok().map(|cores| cores.get() as u64),
        memory_bytes,
        open_files: getrlimit(Resource::Nofile).current,
        time_zone: zone.iana_name().map(str::to_owned),
        commit: option_env!("FIREDRILL_COMMIT").map(str::to_owned),
        timer: Timer::of(record),
    }
}

/// The name in an os-release file.
fn pretty(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = name.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_called_by_its_own_words() {
        let named = |text| pretty(text);
        assert_eq!(named("ID=x\nPRETTY_NAME=\"A B 1\"\n"), Some("A B 1".to_owned()));
        assert_eq!(named("PRETTY_NAME='C'"), Some("C".to_owned()));
        assert_eq!(named("PRETTY_NAME=\nNAME=x"), None);
        assert_eq!(named(""), None);
    }
}
