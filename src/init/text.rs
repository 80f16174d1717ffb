//! The text of the plan.

use std::fmt::Write;

use super::{Answers, Pace, Question, System};

/// How an editor finds the schema of plans: written down by `firedrill schema plan`.
const EDITOR: &str = "# yaml-language-server: $schema=./plan.schema.json";

/// A value in quotes, so that whatever it holds stays text.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // YAML's escapes for what a line of a file must not hold, and for what would turn it round.
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c if u32::from(c) <= 0xffff => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// For a comment, which ends with its line.
fn one_line(text: &str) -> String {
    quoted(text).trim_matches('"').to_owned()
}

/// A name as it is where it is plain, so that the plan reads well; anything else in quotes.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if begins && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

/// A duration as it is where it is plain: digits and a unit, which YAML takes for text.
fn duration(text: &str) -> String {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let unit = ["ms", "s", "m", "h"].contains(&text.get(digits.len()..).unwrap_or_default());
    if plain && unit { text.to_owned() } else { quoted(text) }
}

/// Milliseconds in the largest unit that leaves no rest.
fn millis(millis: u64) -> String {
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

pub(super) fn plan(answers: &Answers, pace: &Pace) -> String {
    let get = |question| word(&answers.get(question));
    let datacenters: Vec<String> = answers.datacenters().iter().map(|name| word(name)).collect();
    let mut text = head(&get(Question::Name), &datacenters);
    text += &world(answers, &datacenters);
    text += &service(answers, pace);
    let _ = write!(
        text,
        "\
# What is cut, and how. blackhole: packets vanish and open connections hang, as in a fire; reset: open connections are
# reset and new ones refused, as when the processes die; drain: new connections go elsewhere, a planned evacuation.
cut:
  datacenter: {}
  mode: {}
  through: [{}]

",
        get(Question::Lost),
        get(Question::Mode),
        control(answers.system)
    );
    text += &timing(answers.system, pace);
    text += &guardrails(&get(Question::Service));
    text
}

fn head(name: &str, datacenters: &[String]) -> String {
    format!(
        "\
{EDITOR}
# A drill, written by `firedrill init`. Every key is described in docs/plan.md; then:
#
#   firedrill check FILE      says all that is wrong with it, and touches nothing
#   firedrill preview FILE    says what would be called, what undoes it, and how long it takes
#   firedrill run FILE        runs it
#
# For completion in editors: firedrill schema plan > plan.schema.json, beside this file.
version: 1
name: {name}

# The failure domains: each is the whole of what burns down together.
datacenters: [{}]

",
        datacenters.join(", ")
    )
}

/// The name of the traffic control.
fn control(system: System) -> &'static str {
    match system {
        System::Lab => "wan",
        System::Haproxy => "edge",
        System::Proxy => "door",
        System::Aws => "zones",
    }
}

/// Where traffic can be cut, and for the lab the world itself.
fn world(answers: &Answers, datacenters: &[String]) -> String {
    let get = |question| answers.get(question);
    let each = |value: &dyn Fn(&str) -> String| {
        let pairs = datacenters.iter().map(|name| format!("{name}: {}", value(name)));
        pairs.collect::<Vec<_>>().join(", ")
    };
    match answers.system {
        System::Lab => format!(
            "\
# The built-in world: a balancer with health checks in front of replicas. Three failed checks, 200 ms apart, take a
# replica out. For systems of your own: `firedrill init --for haproxy`, `--for proxy` or `--for aws`.
lab:
  balancer: {{ check_every: 200ms, fall: 3, rise: 2 }}
  services:
    {}: {{ {} }}    # replicas

# Where traffic can be cut. The lab brings its own control.
traffic:
  wan: {{ lab: {{}} }}

",
            word(&get(Question::Service)),
            each(&|_| "2".to_owned())
        ),
        System::Haproxy => format!(
            "\
# Where traffic can be cut: a HAProxy, through its runtime API. haproxy.cfg needs
#   stats socket {} mode 660 level admin
# and firedrill must be allowed to open it. Which servers stand where only you know: BACKEND/SERVER, where * stands for
# any characters.
traffic:
  edge:
    haproxy:
      socket: {}
      servers: {{ {} }}

",
            one_line(&get(Question::Socket)),
            quoted(&get(Question::Socket)),
            each(&|name| quoted(&format!(
                "{}/{}-*",
                get(Question::Backend),
                name.trim_matches('"')
            )))
        ),
        System::Proxy => format!(
            "\
# Where traffic can be cut: TCP proxies that firedrill runs for the length of the drill. What does not pass through
# them is not cut: point the clients, or the balancer, at `listen`. One route for each server of the datacenter to lose.
traffic:
  door:
    proxy:
      routes:
        - {{ datacenter: {}, listen: {}, to: {} }}

",
            word(&get(Question::Lost)),
            quoted(&get(Question::Listen)),
            quoted(&get(Question::To))
        ),
        System::Aws => shifts(answers, datacenters),
    }
}

/// Zonal shifts of AWS. A zone too many or too few is for the parser to find.
fn shifts(answers: &Answers, datacenters: &[String]) -> String {
    let ids = answers.list(Question::Zones);
    let count = datacenters.len().max(ids.len());
    let pairs = (0..count).map(|place| {
        let datacenter = datacenters.get(place).map_or("\"\"", String::as_str);
        format!("{datacenter}: {}", word(ids.get(place).map_or("", String::as_str)))
    });
    format!(
        "\
# Where traffic can be cut: AWS moves what comes to the load balancer away from one zone (ARC zonal shift). It has to allow
# that: its attribute zonal_shift.config.enabled is true. `firedrill preview` lists the permissions that this takes; the
# credentials are those of AWS's usual chain. Zones by their ids, which are alike in all accounts:
#   aws ec2 describe-availability-zones --query 'AvailabilityZones[].[ZoneName,ZoneId]'
traffic:
  zones:
    aws-zonal-shift:
      resources: [{}]
      zones: {{ {} }}
      expires_in: 30m             # should nobody put it back, AWS does; moved on for as long as the drill lives

",
        quoted(&answers.get(Question::Resource)),
        pairs.collect::<Vec<_>>().join(", ")
    )
}

fn service(answers: &Answers, pace: &Pace) -> String {
    let name = word(&answers.get(Question::Service));
    let (http, header) = match answers.system {
        System::Lab => (quoted(&format!("${{lab:{}}}/", answers.get(Question::Service))), None),
        _ => (quoted(&answers.get(Question::Url)), Some(answers.get(Question::Header))),
    };
    let header = word(&header.unwrap_or_else(|| "x-datacenter".to_owned()));
    format!(
        "\
# What users see, how it is looked at, and what must hold.
services:
  {name}:
    # users: 100_000              # how many people use it: the report then says what they lost, in user-minutes
    probes:
      page:
        http: {http}
        # How often it is asked. Measured times are uncertain by about one period, so that a tenth of the budget or
        # less decides it.
        every: {}
        timeout: 1s               # a user would have given up
        # Who gave an answer. Without it nothing could prove by answers that the datacenter is out, or back.
        served_by: {{ header: {header} }}
    promises:
      recover_within: {within:<8}  # the recovery time objective: good again within this, and stable
      failback_within: {within:<7}  # as before again within this, once traffic is put back

",
        millis(pace.every),
        within = duration(&answers.get(Question::Within)),
    )
}

fn timing(system: System, pace: &Pace) -> String {
    // How long it takes beside the way back into service is in the longest time that traffic may stay cut.
    let (baseline, stable, hold, beside) = match system {
        System::Lab => ("3s", "2s", "2s", 0),
        System::Aws => ("1m", "1m", "5m", 600_000),
        _ => ("10s", "5s", "10s", 0),
    };
    format!(
        "\
timing:
  baseline: {baseline:<18}  # how long an ordinary day is watched before the cut
  stable_for: {stable:<16}  # how long it must be good to count as recovered
  hold: {hold:<22}  # how long to stay cut after all is decided
  at_most: {:<19}  # the longest that traffic may stay cut, whatever happens

",
        millis((pace.at_most + beside).min(Pace::LONGEST))
    )
}

fn guardrails(service: &str) -> String {
    format!(
        "\
# Broken, a guardrail stops the drill, and traffic is put back. Prometheus, Alertmanager and HTTP checks are possible
# too, and a kill_switch that everybody can reach.
guardrails:
  - {{ service: {service}, good_share_below: 20%, for: 30s }}

# For systems that users depend on: when a drill may begin, and when not.
# allowed: {{ zone: Europe/Berlin, windows: [\"Tue-Thu 10:00-16:00\"] }}
# blocked: {{ zone: Europe/Berlin, dates: [\"2026-12-20..2027-01-06\"] }}
"
    )
}
