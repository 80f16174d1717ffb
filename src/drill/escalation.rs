//! What follows when a drill is asked to stop, and asked again.

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Stop, and restore at once.
    Stop,
    /// Wait for nothing that the restore can do without.
    Hurry,
    /// Say how to restore by hand; the restore goes on.
    ByHand,
    /// Nothing is left to do but to let the restore go on.
    GoOn,
}

/// How often a drill was asked to stop. None of the answers skips the restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Escalation {
    asked: u32,
}

impl Escalation {
    /// It was asked once more.
    pub fn ask(&mut self) -> Step {
        self.asked = self.asked.saturating_add(1);
        match self.asked {
            1 => Step::Stop,
            2 => Step::Hurry,
            3 => Step::ByHand,
            _ => Step::GoOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_more_and_never_without_the_restore() {
        let mut escalation = Escalation::default();
        let steps: Vec<Step> = (0..5).map(|_| escalation.ask()).collect();
        assert_eq!(steps, [Step::Stop, Step::Hurry, Step::ByHand, Step::GoOn, Step::GoOn]);
    }
}
