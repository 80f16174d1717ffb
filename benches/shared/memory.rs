//! What a benchmark took of the memory.
#![allow(dead_code, reason = "several benchmarks share it, and each uses a part")]

/// The most that this process ever had, in megabytes; not a number where the system does not tell.
pub fn peak_megabytes() -> f64 {
    megabytes("VmHWM:")
}

/// What this process has now.
pub fn resident_megabytes() -> f64 {
    megabytes("VmRSS:")
}

/// A line of proc(5)'s `status`.
fn megabytes(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.trim().parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib * 1024.0 / 1e6)
}
