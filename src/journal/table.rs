//! Reading a journal back: what is to be done, by the last durable record and what the control says now.

use serde::{Deserialize, Serialize};

/// The last durable record of a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Last {
    /// No cut was intended.
    #[default]
    None,
    /// A cut may have been asked for.
    CutIntended,
    /// It was read back as cut.
    CutConfirmed,
    /// A restore may have been asked for.
    RestoreIntended,
    /// It was read back as it was.
    RestoreConfirmed,
}

impl Last {
    /// Every one, in the order of a drill.
    pub const ALL: [Last; 5] = [
        Last::None,
        Last::CutIntended,
        Last::CutConfirmed,
        Last::RestoreIntended,
        Last::RestoreConfirmed,
    ];

    /// Whether traffic may be cut by us.
    pub fn is_open(self) -> bool {
        matches!(self, Last::CutIntended | Last::CutConfirmed | Last::RestoreIntended)
    }
}

/// What a control says now, compared with the snapshot and with our cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// It is as in the snapshot.
    NotCut,
    /// Our cut is in force, in whole or in part.
    Cut,
    /// Some part is neither as in the snapshot nor as our cut makes it: another hand.
    Neither,
    /// It does not answer, or makes no sense.
    Unreachable,
}

impl Says {
    /// Every one.
    pub const ALL: [Says; 4] = [Says::NotCut, Says::Cut, Says::Neither, Says::Unreachable];
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing: no cut was intended.
    Nothing,
    /// Restore, confirm, close.
    Restore,
    /// Restore although it is not cut, since the call may still land; wait, confirm, close.
    RestoreAndWait,
    /// It is as it was: confirm that, close.
    Confirm,
    /// It is as it was and we did not do that: another hand, or an expiry. Confirm, close; the cut proves nothing.
    ConfirmUndone,
    /// Try again within limits, then NOT RESTORED.
    Retry,
    /// Touch nothing of what another hand made, show all three states, ask a person.
    AskPerson,
    /// Nothing; say so if it is cut again.
    Tell,
}

/// The table of the design, a row for each last record, a column for each of [`Says::ALL`].
const TABLE: [(Last, [Action; 4]); 5] = {
    use Action::*;
    [
        (Last::None, [Nothing, Nothing, Nothing, Nothing]),
        (Last::CutIntended, [RestoreAndWait, Restore, AskPerson, Retry]),
        (Last::CutConfirmed, [ConfirmUndone, Restore, AskPerson, Retry]),
        (Last::RestoreIntended, [Confirm, Restore, AskPerson, Retry]),
        (Last::RestoreConfirmed, [Tell, Tell, Tell, Tell]),
    ]
};

/// What is to be done about a control.
pub fn action(last: Last, says: Says) -> Action {
    let row = TABLE.iter().find(|(row, _)| *row == last).map(|(_, actions)| actions);
    let column = Says::ALL.iter().position(|column| *column == says);
    // Every pair is in the table, which a test holds to be so; a person is the safe way out.
    row.zip(column).and_then(|(row, column)| row.get(column)).copied().unwrap_or(Action::AskPerson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_does_what_the_design_says() {
        for last in Last::ALL {
            for says in Says::ALL {
                let wanted = match (last, says) {
                    (Last::None, _) => Action::Nothing,
                    (Last::RestoreConfirmed, _) => Action::Tell,
                    (_, Says::Unreachable) => Action::Retry,
                    (_, Says::Neither) => Action::AskPerson,
                    (_, Says::Cut) => Action::Restore,
                    (Last::CutIntended, Says::NotCut) => Action::RestoreAndWait,
                    (Last::CutConfirmed, Says::NotCut) => Action::ConfirmUndone,
                    (Last::RestoreIntended, Says::NotCut) => Action::Confirm,
                };
                assert_eq!(action(last, says), wanted, "{last:?} {says:?}");
                assert_eq!(TABLE.iter().filter(|(row, _)| *row == last).count(), 1);
            }
        }
    }
}
