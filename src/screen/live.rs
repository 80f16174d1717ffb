//! The live view: a line for the stage and one for each service, drawn again and again.

use std::cmp::Reverse;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::tell::{Tone, percent, plain_line, served};
use crate::model::{DrillEvent, Name, Offset, ServiceNow, Share, Shown, Stage, printable};

/// With more services than this, or than there is room for, only the worst are shown, in as many lines.
pub const LINES: usize = 20;
/// Cells of a bar.
const BAR: usize = 10;
/// Names are cut off here.
const NAME: usize = 24;

/// Lines of the terminal that are left to what happened, and to the stage.
const OTHERS: usize = 4;

/// The live view of a drill.
pub struct Live {
    drawn: MultiProgress,
    stage: ProgressBar,
    lines: Vec<ProgressBar>,
    view: View,
    color: bool,
}

/// What there is to see.
#[derive(Default)]
pub struct View {
    datacenters: Vec<Name>,
    plan: String,
    stage: Option<(Stage, Option<Offset>)>,
    now: Offset,
    cut: Option<Offset>,
    services: Vec<ServiceNow>,
}

impl Live {
    /// A view on `target`.
    pub fn new(target: ProgressDrawTarget, color: bool) -> Live {
        let drawn = MultiProgress::with_draw_target(target);
        let stage = drawn.add(ProgressBar::new_spinner());
        stage.set_style(style("{spinner} {wide_msg}"));
        // Shows that the drill lives while nothing is told, as in a call that takes long.
        stage.enable_steady_tick(Duration::from_millis(100));
        Live { drawn, stage, lines: vec![], view: View::default(), color }
    }

    /// Shows what happened: above the view if it is to stay, in the view if it will change.
    pub fn show(&mut self, event: &DrillEvent) {
        self.view.take(event);
        if !matches!(event, DrillEvent::Entered { .. })
            && let Some((tone, line)) = plain_line(event)
        {
            // A terminal that is gone must not end a drill while traffic is cut.
            let _ = self.drawn.println(tone.paint(&line, self.color));
        }
        self.draw();
    }

    fn draw(&mut self) {
        self.stage.set_message(self.view.stage_line());
        let lines = self.view.service_lines(room(), self.color);
        while self.lines.len() < lines.len() {
            let line = self.drawn.add(ProgressBar::new_spinner());
            line.set_style(style("  {wide_msg}"));
            self.lines.push(line);
        }
        // Where the terminal shrank, lines are left over.
        let lines = lines.into_iter().chain(std::iter::repeat(String::new()));
        for (bar, line) in self.lines.iter().zip(lines) {
            bar.set_message(line);
        }
    }

    /// Clears the view; what was printed above it stays.
    pub fn clear(&mut self) {
        for line in self.lines.drain(..) {
            line.finish_and_clear();
        }
        self.stage.finish_and_clear();
        let _ = self.drawn.clear();
    }
}

/// Lines that there are for services on the terminal as it is now.
fn room() -> usize {
    let rows = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_row);
    // No terminal, or one that does not say: as on a large one.
    if rows == 0 { LINES } else { usize::from(rows).saturating_sub(OTHERS).clamp(1, LINES) }
}

/// The templates are constants and a test draws them, so the fallback is never seen.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl View {
    /// Takes in what happened.
    pub fn take(&mut self, event: &DrillEvent) {
        match event {
            DrillEvent::Started { plan, datacenters, .. } => {
                self.datacenters.clone_from(datacenters);
                self.plan = printable(plan.as_str());
            }
            DrillEvent::Entered { stage, at, at_most } => {
                self.stage = Some((*stage, at_most.map(|time| at.plus(time))));
                self.now = *at;
                match stage {
                    Stage::Cut => self.cut = Some(*at),
                    Stage::Restore | Stage::Failback => self.cut = None,
                    _ => {}
                }
            }
            DrillEvent::Watched { at, services } => {
                self.now = *at;
                self.services.clone_from(services);
            }
            _ => {}
        }
    }

    /// Where the drill is, and for how long.
    pub fn stage_line(&self) -> String {
        let Some((stage, ends)) = self.stage else { return format!("{}: starting", self.plan) };
        let mut line = format!("{}: {stage}", self.plan);
        let cut_for = self.cut.map_or(Duration::ZERO, |cut| self.now.since(cut));
        if cut_for >= Duration::from_secs(1) {
            line.push_str(&format!(", cut for {}", whole_seconds(cut_for)));
        }
        if let Some(ends) = ends {
            let left = ends.since(self.now) + Duration::from_millis(999);
            line.push_str(&format!(", at most {} left", whole_seconds(left)));
        }
        line
    }

    /// A line for each service, or for the worst of many.
    pub fn service_lines(&self, room: usize, color: bool) -> Vec<String> {
        let mut shown: Vec<usize> = (0..self.services.len()).collect();
        if shown.len() > room {
            shown.sort_by_key(|index| badness(self.services[*index].good));
            shown.truncate(room.saturating_sub(1));
            // In the plan's order, so that lines move as little as they can.
            shown.sort_unstable();
        }
        let hidden = self.services.len() - shown.len();
        let shown: Vec<[String; 5]> =
            shown.iter().map(|index| self.cells(&self.services[*index], color)).collect();
        let width = |cell: usize| shown.iter().map(|cells| cells[cell].chars().count()).max();
        let (names, serving) = (width(0).unwrap_or(0), width(3).unwrap_or(0));
        let mut lines: Vec<String> = shown
            .iter()
            .map(|[name, bar, good, served, state]| {
                let line = format!("{name:<names$}  {bar} {good:>5}  {served:<serving$}  {state}");
                line.trim_end().to_owned()
            })
            .collect();
        if hidden > 0 {
            lines.push(format!("and {hidden} more, none of them worse"));
        }
        lines
    }

    fn cells(&self, now: &ServiceNow, color: bool) -> [String; 5] {
        let served = match served(&now.served, &self.datacenters) {
            none if none.is_empty() => "nobody serves".to_owned(),
            some => printable(&some),
        };
        let bar = Tone::of(now.good).paint(&bar(now.good), color);
        [name(now), bar, percent(now.good), served, printable(&now.state)]
    }
}

fn name(now: &ServiceNow) -> String {
    let name = printable(now.service.as_str());
    if name.chars().count() <= NAME {
        return name;
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

/// Smaller is worse. Nothing known is worse than all good.
fn badness(good: Share) -> (u64, Reverse<u64>) {
    let share = good.value().map_or(999_999, |value| (value * 1e6) as u64);
    (share, Reverse(good.whole))
}

fn bar(good: Share) -> String {
    let Some(value) = good.value() else { return "·".repeat(BAR) };
    // Rounded down, so that only all is shown as full.
    let full = ((value * BAR as f64) as usize).min(BAR);
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

fn whole_seconds(time: Duration) -> Shown {
    Shown(Duration::from_secs(time.as_secs()))
}
