//! Commands on a host: this one, or another through the system's own `ssh`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::command::{Ran, Words, quoted, run};
use crate::model::{NftablesHost, NftablesSettings, Shown, Text};
use crate::traffic::ControlError;
use crate::traffic::api::answer::shortened;
use crate::traffic::api::mask::Mask;
use crate::traffic::log::Log;

/// Of each output of a command this much is kept; a longer answer is refused.
const MOST_SAID: usize = 8 << 20;
/// Of what a command says or complains, as many characters are told.
const TOLD: usize = 500;
/// And of what it is told so many are noted.
const NOTED: usize = 8000;
/// What is said where a kernel lacks something of a degraded path.
const LACKS: [&str; 5] = [
    "qdisc kind is unknown",
    "Unknown device type",
    "classifier not found",
    "TC action module",
    "Operation not supported",
];
/// And what it is that it may lack.
const MODULES: &str = "its kernel lacks a part of what `degrade` takes: `modprobe -a ifb sch_netem sch_ingress cls_basic em_meta \
    act_mirred` says which; a package such as linux-modules-extra or kernel-modules-extra brings it";
/// `nft` and `ip` are often where only root looks.
const WRAPPED: &str = "PATH=\"$PATH:/usr/sbin:/sbin\" LC_ALL=C; export PATH LC_ALL; exec \"$@\"";
/// Which machine it is, in which network namespace, and over which connections of `ssh` whoever runs this came there, of
/// which `sudo` does not tell: those above it know.
const WHO: &str = "cat /proc/sys/kernel/random/boot_id; readlink /proc/self/ns/net; p=$$; \
    while [ \"${p:-0}\" -gt 1 ]; do \
    tr '\\0' '\\n' 2>/dev/null </proc/$p/environ | sed -n 's/^SSH_CONNECTION=//p'; \
    p=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status 2>/dev/null); done";

/// A host on which rules are made.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// For people, and in the names of parts.
    pub name: String,
    settings: NftablesHost,
    ssh_config: Option<Text>,
    timeout: Duration,
    log: Arc<Log>,
}

/// What a host is, and by which way we are there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Who {
    /// This start of this machine, and the network namespace.
    pub machine: String,
    /// Both ends of connections of `ssh` that led there.
    pub ends: Vec<IpAddr>,
}

impl Host {
    pub fn new(settings: &NftablesSettings, host: &NftablesHost, log: &Arc<Log>) -> Host {
        Host {
            name: host.name(),
            settings: host.clone(),
            ssh_config: settings.ssh_config.clone(),
            timeout: settings.timeout,
            log: log.clone(),
        }
    }

    /// The network devices at which it degrades.
    pub fn devices(&self) -> &[String] {
        &self.settings.devices
    }

    /// Runs `nft` with `script` as its input.
    pub async fn nft(&self, words: &[&str], script: &str) -> Result<Vec<u8>, ControlError> {
        let words: Vec<&str> = ["nft"].into_iter().chain(words.iter().copied()).collect();
        self.tool(&words, script).await
    }

    /// Runs a program as root, with `input`.
    pub async fn tool(&self, words: &[&str], input: &str) -> Result<Vec<u8>, ControlError> {
        self.ask(&self.as_root(words), input, &beginning).await
    }

    /// Asks `nft` for JSON, and makes sense of it. What is noted is what `told` says of it.
    pub async fn listed<T>(
        &self,
        words: &[&str],
        read: impl Fn(&[u8]) -> Result<T, String> + Sync,
        told: impl Fn(&T) -> String + Sync,
    ) -> Result<T, ControlError> {
        let words: Vec<&str> =
            ["nft", "-j", "list"].into_iter().chain(words.iter().copied()).collect();
        self.read(&words, read, told).await
    }

    /// Asks a program for JSON, and makes sense of it. What is noted is what `told` says of it.
    pub async fn read<T>(
        &self,
        words: &[&str],
        read: impl Fn(&[u8]) -> Result<T, String> + Sync,
        told: impl Fn(&T) -> String + Sync,
    ) -> Result<T, ControlError> {
        let tell = |said: &[u8]| read(said).map_or_else(|_| beginning(said), |it| told(&it));
        let said = self.ask(&self.as_root(words), "", &tell).await?;
        read(&said).map_err(|why| self.no_sense(words.first().copied().unwrap_or_default(), &why))
    }

    /// What it is, and how we are there.
    pub async fn who(&self) -> Result<Who, ControlError> {
        let said = self.ask(&["sh", "-c", WHO].map(str::to_owned), "", &beginning).await?;
        let said = String::from_utf8_lossy(&said);
        let mut lines = said.lines();
        let machine: Vec<&str> = lines.by_ref().take(2).collect();
        let netns = self.settings.netns.as_deref().unwrap_or_default();
        let ends = lines.flat_map(str::split_whitespace);
        // An address of a link has the link's name behind it; of ports and the like no address is made.
        let ends = ends.map(|end| end.split('%').next().unwrap_or_default());
        let ends = ends.filter_map(|end| end.parse::<IpAddr>().ok());
        Ok(Who {
            machine: format!("{} {netns}", machine.join(" ")),
            ends: ends.map(|end| end.to_canonical()).collect(),
        })
    }

    /// A command in one line as a person would type it.
    pub fn by_hand(&self, words: &[&str]) -> String {
        let line = joined(&self.as_root(words));
        match &self.settings.ssh {
            Some(to) => {
                let file = self.ssh_config.as_ref().map(|it| quoted(&it.to_string()));
                let file = file.map_or_else(String::new, |it| format!("-F {it} "));
                format!("ssh {file}{to} {}", quoted(&line))
            }
            None => line,
        }
    }

    fn as_root(&self, words: &[&str]) -> Vec<String> {
        let sudo = if self.settings.sudo { &["sudo", "-n"][..] } else { &[] };
        let netns = self.settings.netns.as_deref();
        let netns = netns.map(|name| ["ip", "netns", "exec", name]);
        let all = sudo.iter().chain(netns.iter().flatten()).chain(words);
        all.map(|word| (*word).to_owned()).collect()
    }

    /// What is run here for `words` to run there.
    fn command(&self, words: &[String]) -> Option<Words> {
        let wrapped = ["sh", "-c", WRAPPED, "sh"].map(str::to_owned);
        let wrapped: Vec<String> = wrapped.into_iter().chain(words.iter().cloned()).collect();
        let Some(to) = &self.settings.ssh else {
            let words: Vec<Text> = wrapped.iter().map(|word| Text::from(word.as_str())).collect();
            return Words::new(&words);
        };
        let wait = format!("ConnectTimeout={}", self.timeout.as_secs().max(1));
        // Nobody is there to be asked, and whose key is not known is not trusted with the way back. The way back owes
        // nothing to anybody's open connection, either.
        let options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "ControlMaster=no",
            "ControlPath=none",
            "ClearAllForwardings=yes",
            "ForwardAgent=no",
            "PermitLocalCommand=no",
            "LogLevel=ERROR",
            wait.as_str(),
        ];
        let mut all = vec![Text::from("ssh"), Text::from("-T")];
        if let Some(file) = &self.ssh_config {
            all.extend([Text::from("-F"), file.clone()]);
        }
        all.extend(options.iter().flat_map(|it| [Text::from("-o"), Text::from(*it)]));
        all.extend([Text::from("--"), to.clone(), Text::from(joined(&wrapped).as_str())]);
        Words::new(&all)
    }

    /// Runs `words` there to their end, and gives what they say.
    async fn ask(
        &self,
        words: &[String],
        input: &str,
        tell: &(dyn Fn(&[u8]) -> String + Sync),
    ) -> Result<Vec<u8>, ControlError> {
        let Some(command) = self.command(words) else { return Ok(Vec::new()) };
        let line = format!("{}: {} {}", self.name, joined(words), shortened(input, NOTED));
        let asked = self.log.ask();
        let mut process = command.command();
        let ran = run(&mut process, input.as_bytes(), MOST_SAID + 1);
        // Dropped at the limit, it is killed with all that it started.
        let ran = match tokio::time::timeout(self.timeout, ran).await {
            Ok(Ok(ran)) => self.judged(&command, words, ran),
            Ok(Err(error)) => Err(ControlError {
                what: command.not_run(&error),
                hint: "install it, or see that it is found by PATH".to_owned(),
            }),
            Err(_) => Err(ControlError {
                what: format!(
                    "`{}` on {} did not end within {}, and was killed",
                    joined(words),
                    self.name,
                    Shown(self.timeout)
                ),
                hint: "see whether the host answers; what was begun there may have taken effect"
                    .to_owned(),
            }),
        };
        let answered = match &ran {
            Ok(said) => command.shown(&tell(said)),
            Err(error) => error.what.clone(),
        };
        self.log.answer(asked, &line, &answered);
        ran
    }

    fn judged(&self, command: &Words, words: &[String], ran: Ran) -> Result<Vec<u8>, ControlError> {
        if ran.status.success() && ran.said.len() <= MOST_SAID {
            return Ok(ran.said);
        }
        // ssh names the host alone, or the user, of what may be secret as a whole.
        let secrets = self.settings.ssh.iter().flat_map(Text::secrets);
        let pieces =
            secrets.flat_map(|it| it.trim_start_matches("ssh://").split(['@', ':', '[', ']']));
        let mask = Mask::default().and(pieces.filter(|it| it.len() > 2));
        let complaint = mask.hide(&command.shown(&beginning(&ran.complained)));
        let failed = |how: &str| match complaint.is_empty() {
            true => format!("{how} ({})", ran.status),
            false => format!("{how}: {complaint}"),
        };
        let of_nft = || failed(&format!("`{}` on {} failed", joined(words), self.name));
        let says = |text: &str| complaint.contains(text);
        let (what, hint) = if ran.status.success() {
            let what = format!(
                "`{}` on {} said more than {} MiB",
                joined(words),
                self.name,
                MOST_SAID >> 20
            );
            (what, "see what it lists".to_owned())
        } else if let (Some(to), Some(255)) = (&self.settings.ssh, ran.status.code()) {
            let what = failed(&format!("ssh did not reach {}", self.name));
            let hint = format!(
                "`ssh -o BatchMode=yes {to} true` must log in: with a key, without a question, to a host whose key is known"
            );
            (what, hint)
        } else if ran.status.code() == Some(127) {
            let is_nft = words.iter().any(|word| word == "nft");
            let package = if is_nft { "nftables" } else { "iproute2" };
            (of_nft(), format!("install {package} there"))
        } else if says("sudo:") {
            let hint = format!(
                "a rule of sudo must let the user run `{}` without a password",
                words.get(2).map_or("nft", String::as_str)
            );
            (of_nft(), hint)
        } else if says("not permitted") || says("must be root") || says("Permission denied") {
            (
                of_nft(),
                "it takes root or CAP_NET_ADMIN: log in as root, or set `sudo: true`".to_owned(),
            )
        } else if says("network namespace") {
            (of_nft(), "`ip netns list` shows those that are there".to_owned())
        } else if LACKS.iter().any(|it| says(it)) {
            (of_nft(), MODULES.to_owned())
        } else {
            (of_nft(), "its own words say why".to_owned())
        };
        Err(ControlError { what, hint })
    }

    fn no_sense(&self, program: &str, why: &str) -> ControlError {
        ControlError {
            what: format!("`{program}` on {} said what makes no sense: {why}", self.name),
            hint: format!(
                "see that `{program} -j` says JSON there, as from nftables 0.9.3 and iproute2 5.0 on"
            ),
        }
    }
}

/// Words for a shell.
fn joined(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn beginning(said: &[u8]) -> String {
    String::from_utf8_lossy(said).chars().take(TOLD).collect()
}
