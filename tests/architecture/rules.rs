//! The house rules, as values: who may import whom, what is forbidden where.

/// A room: what it may import of ours, and what must not stand in it.
pub struct Room {
    pub name: &'static str,
    pub imports: &'static [&'static str],
    pub never: &'static [&'static str],
}

/// Whatever opens a file or a connection. Types of addresses are only nouns.
const IO: &[&str] = &[
    "tokio",
    "std::fs",
    "File::open",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::os::unix::net",
    "std::process",
    "std::thread",
    "std::env",
    "io::stdin",
    "io::stdout",
    "io::stderr",
];
/// The network alone.
const NETWORK: &[&str] = &["tokio::net", "std::net", "std::os::unix::net", "hyper"];

/// The table of the design. A room that it does not list is an error.
pub const ROOMS: &[Room] = &[
    Room { name: "model", imports: &[], never: IO },
    Room { name: "clock", imports: &["model"], never: NETWORK },
    Room { name: "plan", imports: &["model"], never: IO },
    Room { name: "init", imports: &[], never: IO },
    Room { name: "placement", imports: &["model"], never: IO },
    Room { name: "measure", imports: &["model"], never: IO },
    Room { name: "report", imports: &["model"], never: IO },
    // What past runs say together: which files they are in is for the command line to know.
    Room { name: "past", imports: &["model"], never: IO },
    Room { name: "journal", imports: &["model"], never: NETWORK },
    // What a plan has run runs alike, whether it keeps a ledger or steers traffic.
    Room { name: "command", imports: &["model"], never: NETWORK },
    Room { name: "traffic", imports: &["model", "proxy", "wire", "command"], never: &["std::fs"] },
    Room { name: "proxy", imports: &[], never: &["std::fs"] },
    // The proxy on its own, behind an HTTP API; the command line reads its files.
    Room { name: "daemon", imports: &["model", "proxy"], never: &["std::fs", "std::env"] },
    // Users and providers are asked by clients of their own: the way back owes nothing to what is measured. How a URL is
    // read and whom TLS trusts is the same for both.
    Room { name: "wire", imports: &["model"], never: IO },
    Room { name: "probe", imports: &["model", "clock", "wire", "command"], never: &[] },
    // The kill switch may be a file.
    Room { name: "guard", imports: &["model", "clock", "probe"], never: &[] },
    Room {
        name: "restore",
        imports: &["model", "clock", "journal", "traffic"],
        never: &["std::fs", "std::net"],
    },
    // Telling others: by the probes' connector; its threads never hold a drill up.
    Room {
        name: "notify",
        imports: &["model", "clock", "probe"],
        never: &["std::fs", "std::net", "std::env", "std::process"],
    },
    Room { name: "archive", imports: &["model"], never: NETWORK },
    Room { name: "lease", imports: &["model"], never: NETWORK },
    Room { name: "watchdog", imports: &["model"], never: IO },
    Room { name: "lab", imports: &["model", "clock", "proxy"], never: &["std::fs"] },
    Room {
        name: "drill",
        imports: &[
            "model",
            "clock",
            "measure",
            "journal",
            "traffic",
            "restore",
            "watchdog",
            "proxy",
            "probe",
            "guard",
            "lab",
            "placement",
        ],
        never: &["std::fs", "io::stdout", "io::stderr"],
    },
    Room { name: "screen", imports: &["model"], never: &["io::stdout", "std::fs", "tokio"] },
    Room {
        name: "cli",
        imports: &[
            "model",
            "clock",
            "plan",
            "placement",
            "journal",
            "traffic",
            "restore",
            "watchdog",
            "lease",
            "archive",
            "drill",
            "report",
            "past",
            "screen",
            "init",
            "notify",
            "daemon",
        ],
        never: NETWORK,
    },
    Room { name: "main", imports: &["cli"], never: &[] },
    Room { name: "lib", imports: &[], never: IO },
];

/// What may stand only in some places, with the reason.
pub struct Only {
    pub what: &'static str,
    pub places: &'static [&'static str],
    pub why: &'static str,
}

pub const ONLY: &[Only] = &[
    Only {
        what: "Instant::now",
        // The proxy delays packets on tokio's own clock, and the log tells how long a provider took: nothing that is judged.
        places: &["src/clock.rs", "src/proxy/", "src/traffic/log.rs"],
        why: "`now` is a parameter: take a `Clock` or an `Offset`",
    },
    Only { what: "SystemTime::now", places: &["src/clock.rs"], why: "take a `Clock`" },
    Only {
        what: "Timestamp::now",
        // A signed request for a token says when it was made, and so does a signed update of a zone.
        places: &[
            "src/drill/conductor.rs",
            "src/drill/setup.rs",
            "src/cli/state.rs",
            "src/traffic/gcp/token.rs",
            "src/traffic/dns_update/session.rs",
        ],
        why: "wall time is stored once a run, for display",
    },
    Only {
        what: "process::exit",
        places: &["src/main.rs"],
        why: "an exit elsewhere skips the restore",
    },
    Only { what: "process::abort", places: &[], why: "it skips the restore" },
    Only { what: "ExitCode", places: &["src/main.rs"], why: "elsewhere it is `cli::Exit`" },
    Only {
        what: "io::stdout",
        places: &["src/cli/"],
        why: "data is printed by the command line alone",
    },
    Only { what: "io::stderr", places: &["src/cli/", "src/screen/"], why: "talk is the screen's" },
];

/// Macros, which are no paths; the same form.
pub const MACROS: &[Only] = &[
    Only { what: "println", places: &[], why: "it panics when stdout is closed" },
    Only { what: "print", places: &[], why: "it panics when stdout is closed" },
    Only { what: "eprintln", places: &[], why: "it panics when stderr is closed" },
    Only { what: "eprint", places: &[], why: "it panics when stderr is closed" },
    Only { what: "dbg", places: &[], why: "left over" },
    Only { what: "todo", places: &[], why: "left over" },
    Only { what: "unimplemented", places: &[], why: "left over" },
    Only { what: "panic", places: &[], why: "no input may end the process" },
];

/// Each dependency, and the rooms that may use it. A new one is a decision.
pub const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("aws_config", &["traffic"]),
    ("aws_runtime", &["traffic"]),
    ("aws_sdk_arczonalshift", &["traffic"]),
    ("aws_sdk_elasticloadbalancingv2", &["traffic"]),
    ("aws_sdk_fis", &["traffic"]),
    ("aws_sdk_route53", &["traffic"]),
    ("aws_sdk_route53recoverycluster", &["traffic"]),
    ("aws_smithy_runtime_api", &["traffic"]),
    ("aws_smithy_types", &["traffic"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    (
        "tokio",
        &[
            "clock", "command", "traffic", "proxy", "probe", "guard", "lab", "restore", "drill",
            "notify", "daemon", "cli",
        ],
    ),
    ("futures_util", &["traffic", "proxy", "probe", "lab", "restore", "drill", "daemon", "cli"]),
    ("async_trait", &["traffic", "drill", "probe"]),
    ("hyper", &["probe", "lab", "plan", "traffic", "wire", "daemon"]),
    ("hyper_util", &["probe", "lab", "traffic", "daemon"]),
    ("http_body_util", &["probe", "lab", "traffic", "daemon"]),
    ("bytes", &["probe", "lab", "traffic", "daemon"]),
    ("rustls", &["probe", "traffic", "wire"]),
    ("tokio_rustls", &["probe", "traffic"]),
    ("tokio_postgres", &["probe"]),
    ("percent_encoding", &["model", "daemon"]),
    ("rustls_native_certs", &["wire"]),
    ("hickory_resolver", &["probe"]),
    // Messages to a zone's primary and to the resolvers of its users, by a client of the controls' own.
    ("hickory_proto", &["traffic"]),
    ("socket2", &["proxy", "probe"]),
    // In traffic: whose a file is that steers a server, and the signal that has it read anew.
    ("rustix", &["traffic", "proxy", "command", "probe", "lab", "clock", "lease", "screen", "cli"]),
    // In the lab: what the copies of a store send each other. In probes: long lists, of which one record at a time is held.
    (
        "serde",
        &[
            "model", "plan", "report", "past", "journal", "lease", "lab", "notify", "probe",
            "traffic",
        ],
    ),
    // JSON is what journal and record are written in, and what probes and the lab speak.
    (
        "serde_json",
        &[
            "model", "plan", "report", "past", "journal", "lease", "traffic", "probe", "guard",
            "lab", "notify", "daemon",
        ],
    ),
    // In traffic: the kubeconfig.
    ("serde_yaml", &["plan", "traffic"]),
    ("base64", &["traffic"]),
    ("crc32fast", &["journal", "lease", "archive"]),
    // In traffic: a service account signs what it asks a token with.
    // The digest of a plan, and of the environment that it asks for: it is the same plan if they are the same.
    ("ring", &["plan", "traffic"]),
    ("annotate_snippets", &["plan"]),
    ("strsim", &["plan", "traffic"]),
    ("wildmatch", &["traffic", "probe"]),
    ("ipnet", &["model", "plan", "probe", "traffic"]),
    // Time stamps in records; the plan reads durations with it; time zones of a drill's windows.
    // In traffic: the dates in which a provider says when to come again.
    ("jiff", &["model", "plan", "measure", "journal", "past", "drill", "notify", "traffic", "cli"]),
    ("hdrhistogram", &["measure"]),
    ("fastrand", &["proxy", "traffic", "cli"]),
    // JUnit XML.
    ("quick_junit", &["report"]),
    ("comfy_table", &["report"]),
    ("maud", &["report"]),
    ("indicatif", &["screen"]),
    // How wide text is, in tables and in the live view; in the model, for its counterpart in ASCII.
    ("unicode_width", &["model", "report", "screen"]),
    ("etcetera", &["cli"]),
    ("thiserror", &["journal", "lease", "plan", "lab", "probe", "archive"]),
    // The JSON Schema of the record, from its types.
    ("schemars", &["model", "report"]),
];

/// No file is longer than this.
pub const FILE_LINES: usize = 500;
/// No function is longer than this.
pub const FUNCTION_LINES: usize = 70;
