//! `firedrill notify`: tries the notifications of a plan, before it is night.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, VarArgs, input, output, state};
use crate::model::{Delivery, NotificationRecord, NotifyEvent, Plan, Shown};
use crate::notify::{Story, Teller};

/// Options of `firedrill notify`.
#[derive(Debug, Args)]
pub(super) struct NotifyArgs {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// What the message looks as if it were about; everyone gets it who is told of that
    #[arg(long, value_name = "EVENT", default_value = "not-restored", value_parser = event)]
    event: NotifyEvent,
    #[command(flatten)]
    vars: VarArgs,
}

fn event(text: &str) -> Result<NotifyEvent, String> {
    let all = NotifyEvent::ALL.map(NotifyEvent::key).join(", ");
    let found = NotifyEvent::ALL.into_iter().find(|event| event.key() == text);
    found.ok_or_else(|| format!("write one of {all}"))
}

/// Sends everyone a message that says that it is a test. Good when all of them were delivered.
pub(super) fn notify(args: &NotifyArgs) -> Exit {
    let Some(parsed) = input::read_aloud(&args.plan, &args.vars) else { return Exit::Usage };
    let Some(plan) = &parsed.outcome.plan else { return Exit::Usage };
    let told = send(plan, args.event);
    if told.is_empty() {
        let event = args.event;
        output::say(format_args!("error: nobody is told of `{event}`; see `notify` in the plan"));
        return Exit::Usage;
    }
    let exit = match told.iter().all(|told| told.outcome == Delivery::Delivered) {
        true => Exit::Pass,
        false => Exit::Fail,
    };
    let lines: String = told.iter().map(line).collect();
    exit.if_printed(output::data(lines.as_bytes()))
}

fn send(plan: &Plan, event: NotifyEvent) -> Vec<NotificationRecord> {
    let story = Story::new(plan.name.as_str(), "test", &plan.lost(), &state::host());
    let mut teller = Teller::start(&plan.notify);
    teller.tell(story.sample(event, state::now()));
    teller.end()
}

fn line(told: &NotificationRecord) -> String {
    let NotificationRecord { name, kind, host, attempts, after, .. } = told;
    let what = match (told.outcome, &told.why) {
        (Delivery::Delivered, _) => format!("delivered after {}", Shown(*after)),
        (_, why) => format!("not delivered: {}", why.as_deref().unwrap_or("nobody knows why")),
    };
    let tries = if *attempts > 1 { format!(" ({attempts} tries)") } else { String::new() };
    format!("{name} ({kind} at {host}): {what}{tries}\n")
}
