//! `firedrill init`: a few questions, and a plan to begin with.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::whole::Kind;
use super::{Exit, form, input, output, whole};
use crate::init::{Answers, Question, System};
use crate::model::printable;
use crate::plan::{self, Finding, Inputs, Severity};

/// Options of `firedrill init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The plan to write, or - for stdout
    #[arg(value_name = "FILE", default_value = "drill.yaml")]
    file: PathBuf,
    /// What is drilled
    #[arg(long = "for", value_enum, value_name = "SYSTEM")]
    system: Option<For>,
    /// The drill's name
    #[arg(long)]
    name: Option<String>,
    /// All datacenters that serve, with commas between them
    #[arg(long, value_name = "A,B")]
    datacenters: Option<String>,
    /// The datacenter to lose
    #[arg(long, value_name = "A")]
    lose: Option<String>,
    /// The service that users see
    #[arg(long)]
    service: Option<String>,
    /// A URL that its users ask (haproxy, proxy, aws)
    #[arg(long)]
    url: Option<String>,
    /// The header field of an answer that names its datacenter (haproxy, proxy, aws)
    #[arg(long)]
    header: Option<String>,
    /// The recovery time objective
    #[arg(long, value_name = "DURATION")]
    recover_within: Option<String>,
    /// How the datacenter is lost: blackhole, reset or drain
    #[arg(long)]
    mode: Option<String>,
    /// HAProxy's stats socket (haproxy)
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// HAProxy's backend of the service (haproxy)
    #[arg(long)]
    backend: Option<String>,
    /// Where the proxy listens (proxy)
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// The servers of the datacenter to lose (proxy)
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<String>,
    /// What is shifted away from a zone (aws)
    #[arg(long, value_name = "ARN")]
    resource: Option<String>,
    /// The ids of the zones, in the order of the datacenters (aws)
    #[arg(long, value_name = "ID,ID")]
    zones: Option<String>,
    /// Ask nothing: what no option says has its default
    #[arg(long)]
    yes: bool,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
}

/// What a plan can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum For {
    /// The built-in world: needs nothing else
    Lab,
    /// Servers behind a HAProxy, through its runtime API
    Haproxy,
    /// Anything on TCP, behind proxies of firedrill's own
    Proxy,
    /// Load balancers of AWS, by zonal shifts
    Aws,
}

impl From<For> for System {
    fn from(system: For) -> System {
        match system {
            For::Lab => System::Lab,
            For::Haproxy => System::Haproxy,
            For::Proxy => System::Proxy,
            For::Aws => System::Aws,
        }
    }
}

impl InitArgs {
    fn given(&self) -> BTreeMap<Question, String> {
        let all = [
            (Question::Name, &self.name),
            (Question::Datacenters, &self.datacenters),
            (Question::Lost, &self.lose),
            (Question::Service, &self.service),
            (Question::Url, &self.url),
            (Question::Header, &self.header),
            (Question::Within, &self.recover_within),
            (Question::Mode, &self.mode),
            (Question::Socket, &self.socket),
            (Question::Backend, &self.backend),
            (Question::Listen, &self.listen),
            (Question::To, &self.to),
            (Question::Resource, &self.resource),
            (Question::Zones, &self.zones),
        ];
        all.into_iter().filter_map(|(question, it)| Some((question, it.clone()?))).collect()
    }
}

/// Asks what no option says, if somebody is there, and writes the plan.
pub(super) fn init(args: &InitArgs) -> Exit {
    form::end(made(args))
}

fn made(args: &InitArgs) -> Result<Exit, String> {
    let to_stdout = args.file == Path::new("-");
    if !to_stdout && !args.force {
        refuse_what_is_there(&args.file)?;
    }
    let stdin = io::stdin();
    let person = !args.yes && stdin.is_terminal() && io::stderr().is_terminal();
    let mut dialogue = Dialogue { from: stdin.lock(), to: io::stderr() };
    let system = match args.system {
        Some(system) => system.into(),
        None if person => dialogue.system()?,
        None => System::Lab,
    };
    let mut answers = Answers { system, given: args.given() };
    let foreign = answers.given.keys().find(|asked| !system.questions().contains(asked));
    if let Some(foreign) = foreign {
        return Err(format!(
            "no plan for the {} has an answer to \"{}\"; leave that option out, or choose another --for",
            named(system),
            foreign.words()
        ));
    }
    if person {
        dialogue.questions(&mut answers)?;
    }
    let text = text_of(&answers);
    if let Some(finding) = wrong_with(&text) {
        return Err(format!("the answers make no plan: {}", in_a_line(&finding)));
    }
    if to_stdout {
        return Ok(output::data(text.as_bytes()));
    }
    whole::write(&args.file, Kind::Report, text.as_bytes())
        .map_err(|error| format!("{} could not be written: {error}", args.file.display()))?;
    let file = printable(&args.file.display().to_string());
    output::say(format_args!("{file} is written; next: firedrill preview {file}"));
    Ok(Exit::Pass)
}

fn refuse_what_is_there(file: &Path) -> Result<(), String> {
    match fs::symlink_metadata(file) {
        Ok(_) => Err(format!(
            "{} is there already; name another file, or overwrite it with --force",
            file.display()
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn named(system: System) -> &'static str {
    match system {
        System::Lab => "lab",
        System::Haproxy => "haproxy",
        System::Proxy => "proxy",
        System::Aws => "load balancers of AWS",
    }
}

fn text_of(answers: &Answers) -> String {
    answers.plan(input::duration(&answers.get(Question::Within)).ok())
}

/// The first thing that is wrong with a plan.
fn wrong_with(text: &str) -> Option<Finding> {
    let env = |name: &str| std::env::var(name).ok();
    let vars = BTreeMap::new();
    let outcome = plan::parse("plan", text.as_bytes(), &Inputs { vars: &vars, env: &env });
    outcome.findings.into_iter().find(|finding| finding.severity == Severity::Error)
}

fn in_a_line(finding: &Finding) -> String {
    let hint = finding.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    printable(&format!("{}{hint}", finding.what))
}

/// A talk with a person.
struct Dialogue<R, W> {
    from: R,
    to: W,
}

impl<R: BufRead, W: Write> Dialogue<R, W> {
    fn system(&mut self) -> Result<System, String> {
        loop {
            let answer = self.ask("What is drilled: lab, haproxy, proxy or aws", "lab")?;
            match For::from_str(answer.as_deref().unwrap_or("lab"), true) {
                Ok(system) => return Ok(system.into()),
                Err(_) => self.say("write lab, haproxy, proxy or aws")?,
            }
        }
    }

    /// Asks what is not known yet. An answer that makes no plan is asked for again.
    fn questions(&mut self, answers: &mut Answers) -> Result<(), String> {
        for &question in answers.system.questions() {
            if answers.given.contains_key(&question) {
                continue;
            }
            while let Some(answer) = self.ask(question.words(), &answers.default(question))? {
                let before = wrong_with(&text_of(answers)).map(|finding| finding.what);
                answers.given.insert(question, answer);
                match wrong_with(&text_of(answers)) {
                    // What was wrong before is not this answer's fault.
                    Some(finding) if before.as_ref() != Some(&finding.what) => {
                        self.say(&in_a_line(&finding))?;
                        answers.given.remove(&question);
                    }
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// The answer; `None` for the default.
    fn ask(&mut self, words: &str, default: &str) -> Result<Option<String>, String> {
        let unsaid = |error: io::Error| format!("nobody could be asked: {error}");
        write!(self.to, "{words} [{}]: ", printable(default)).map_err(unsaid)?;
        self.to.flush().map_err(unsaid)?;
        let mut line = String::new();
        match self.from.read_line(&mut line).map_err(unsaid)? {
            0 => Err("the answers ended; nothing was written".to_owned()),
            _ => Ok(Some(line.trim().to_owned()).filter(|line| !line.is_empty())),
        }
    }

    fn say(&mut self, words: &str) -> Result<(), String> {
        writeln!(self.to, "  {words}").map_err(|error| format!("nobody could be told: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(system: System, lines: &str) -> (Result<(), String>, Answers, String) {
        let mut answers = Answers { system, given: BTreeMap::new() };
        let mut dialogue = Dialogue { from: lines.as_bytes(), to: Vec::new() };
        let end = dialogue.questions(&mut answers);
        (end, answers, String::from_utf8(dialogue.to).unwrap())
    }

    #[test]
    fn an_empty_line_takes_the_default_and_a_wrong_answer_is_asked_for_again() {
        let lines = "\nseoul, busan\nsuwon\nbusan\nchat\nsoon\n5s\nreset\n";
        let (end, answers, said) = asked(System::Lab, lines);
        end.unwrap();
        assert_eq!(answers.get(Question::Lost), "busan");
        assert_eq!(answers.get(Question::Within), "5s");
        assert!(said.contains("there is no datacenter `suwon`"), "{said}");
        assert!(said.contains("wanted a duration"), "{said}");
        assert_eq!(wrong_with(&text_of(&answers)), None);
    }

    #[test]
    fn answers_that_end_too_soon_write_nothing() {
        let (end, ..) = asked(System::Proxy, "name\n");
        assert_eq!(end.unwrap_err(), "the answers ended; nothing was written");
    }
}
