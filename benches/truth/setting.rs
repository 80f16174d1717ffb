//! What varies from drill to drill, drawn from a seed.

use fastrand::Rng;

/// Everything that varies.
#[derive(Debug, Clone)]
pub struct Setting {
    pub check_every: u64,
    pub check_timeout: u64,
    pub fall: u64,
    pub rise: u64,
    pub standby: bool,
    /// Per datacenter.
    pub replicas: Vec<u64>,
    pub cut: usize,
    pub mode: &'static str,
    pub every: u64,
    pub timeout: u64,
    pub keep_alive: bool,
    pub baseline: u64,
    pub stable_for: u64,
}

/// The names of all datacenters; a drill has the first two or all three.
pub const DATACENTERS: [&str; 3] = ["east", "west", "north"];

impl Setting {
    /// The settings of a drill, always the same for a seed and a number.
    pub fn draw(seed: u64, number: u64) -> Setting {
        let mut rng = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let check_every = rng.u64(50..=400);
        let check_timeout = match rng.u8(0..3) {
            0 => check_every,
            1 => (check_every / 2).max(50),
            _ => check_every * 3 / 2,
        };
        let (fall, rise) = (rng.u64(2..=4), rng.u64(1..=3));
        let standby = rng.bool();
        let replicas: Vec<u64> = (0..rng.usize(2..=3)).map(|_| rng.u64(1..=3)).collect();
        // In standby, only losing the first datacenter is a loss.
        let cut = if standby { 0 } else { rng.usize(0..replicas.len()) };
        let mode = ["blackhole", "blackhole", "reset", "reset", "drain"][rng.usize(0..5)];
        // As many short periods as long ones.
        let every = (5.0 * 20_f64.powf(rng.f64())).round() as u64;
        let outage = check_every * fall;
        // Shorter than the outage, or so long that what hangs is answered late: stalled.
        let timeout = match rng.bool() {
            true => outage * rng.u64(20..80) / 100,
            false => outage * rng.u64(120..300) / 100,
        };
        let cycle: u64 = replicas.iter().sum();
        Setting {
            check_every,
            check_timeout,
            fall,
            rise,
            standby,
            cut,
            mode,
            every,
            timeout: timeout.max(50),
            keep_alive: rng.bool(),
            // Two rounds of the balancer, so that the spread of traffic is known.
            baseline: rng.u64(600..=1_000).max(12 * every).max((2 * cycle + 2) * every),
            stable_for: rng.u64(600..=1_000),
            replicas,
        }
    }

    /// Drills that are measured alike.
    pub fn class(&self) -> String {
        match self.k() {
            1 => "active/standby".to_owned(),
            k => format!("active/active k={k}"),
        }
    }

    /// How many good answers in a row prove a recovery: one more than replicas elsewhere.
    pub fn k(&self) -> u64 {
        let elsewhere: u64 = self.replicas.iter().sum::<u64>() - self.replicas[self.cut];
        if self.standby { 1 } else { 1 + elsewhere }
    }

    /// The plan's text.
    pub fn plan(&self) -> String {
        let names = &DATACENTERS[..self.replicas.len()];
        let replicas: Vec<String> = names
            .iter()
            .zip(&self.replicas)
            .map(|(name, count)| format!("{name}: {count}"))
            .collect();
        let spread = if self.standby { "first" } else { "round-robin" };
        let connection = if self.keep_alive { "keep-alive" } else { "new" };
        format!(
            "version: 1
name: truth
datacenters: [{datacenters}]
lab:
  balancer: {{ check_every: {check_every}ms, check_timeout: {check_timeout}ms, fall: {fall}, rise: {rise}, spread: {spread} }}
  services:
    talk: {{ {replicas} }}
traffic:
  wan: {{ lab: {{}} }}
services:
  talk:
    probes:
      send:
        http: {{ url: \"${{lab:talk}}/send\", method: POST }}
        every: {every}ms
        timeout: {timeout}ms
        connection: {connection}
        served_by: {{ header: x-datacenter }}
    promises: {{ recover_within: 20s, failback_within: 20s }}
cut: {{ datacenter: {cut}, mode: {mode}, through: [wan] }}
timing: {{ baseline: {baseline}ms, stable_for: {stable_for}ms, hold: 0s, at_most: 40s }}
",
            datacenters = names.join(", "),
            check_every = self.check_every,
            check_timeout = self.check_timeout,
            fall = self.fall,
            rise = self.rise,
            replicas = replicas.join(", "),
            every = self.every,
            timeout = self.timeout,
            cut = names[self.cut],
            mode = self.mode,
            baseline = self.baseline,
            stable_for = self.stable_for,
        )
    }
}
