//! What a template says of its experiments before any is started: for how long they last, and whether all that they do is
//! undone when they end.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_fis::types::ExperimentTemplateAction as Action;

use crate::model::Shown;
use crate::traffic::ControlError;

/// When an action is over, and what it did undone.
const DURATION: &str = "duration";
/// The same, of instances that were stopped.
const STARTED_AGAIN: &str = "startInstancesAfterDuration";
const STOP_INSTANCES: &str = "aws:ec2:stop-instances";
/// Nothing brings back what these took.
const FOR_EVER: &[&str] = &[
    "aws:ec2:send-spot-instance-interruptions",
    "aws:ec2:terminate-instances",
    "aws:eks:terminate-nodegroup-instances",
];

/// Whether an experiment may be a cut that lasts up to `at_most`.
pub(super) fn judged(
    template: &str,
    actions: &HashMap<String, Action>,
    at_most: Duration,
) -> Result<(), ControlError> {
    let mut names: Vec<&String> = actions.keys().collect();
    names.sort_unstable();
    for name in names {
        if let Some(what) = stays(&actions[name]) {
            return Err(ControlError {
                what: format!("the action {name} of the template {template} {what}"),
                hint: "take it out: whoever stops the experiment would not have everything back"
                    .to_owned(),
            });
        }
    }
    let lasts = lasts(actions);
    if lasts.is_zero() {
        return Err(ControlError {
            what: format!("no action of the template {template} lasts: nothing would stay down"),
            hint: "give it an action with a `duration`".to_owned(),
        });
    }
    if lasts < at_most {
        return Err(ControlError {
            what: format!(
                "an experiment of {template} ends by itself after {}, and the drill may cut for {}",
                Shown(lasts),
                Shown(at_most)
            ),
            hint: "raise the `duration` of its actions, or lower `at_most` in the plan".to_owned(),
        });
    }
    Ok(())
}

/// Why what an action does is not undone; `None` if it is.
fn stays(action: &Action) -> Option<&'static str> {
    let id = action.action_id.as_deref().unwrap_or_default();
    if FOR_EVER.contains(&id) {
        return Some("takes instances away for ever");
    }
    let comes_back = parameter(action, STARTED_AGAIN).is_some();
    (id == STOP_INSTANCES && !comes_back).then_some(
        "stops instances and has no `startInstancesAfterDuration`, so that nothing starts them again",
    )
}

fn parameter(action: &Action, name: &str) -> Option<Duration> {
    let told = action.parameters.as_ref()?.get(name)?;
    told.parse::<jiff::SignedDuration>().ok().map(jiff::SignedDuration::unsigned_abs)
}

/// From the start of an experiment to the end of the last of its actions.
fn lasts(actions: &HashMap<String, Action>) -> Duration {
    let mut ends: HashMap<&str, Duration> = HashMap::new();
    // As often as there are actions: each may wait for another one.
    for _ in actions {
        for (name, action) in actions {
            let before = action.start_after.iter().flatten();
            let before = before.filter_map(|it| ends.get(it.as_str()).copied()).max();
            let own = [DURATION, STARTED_AGAIN].iter().find_map(|it| parameter(action, it));
            let end = before.unwrap_or_default().saturating_add(own.unwrap_or_default());
            ends.insert(name, end);
        }
    }
    ends.into_values().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(id: &str, parameters: &[(&str, &str)], after: &[&str]) -> Action {
        let mut action = Action::builder().action_id(id);
        for (key, value) in parameters {
            action = action.parameters(*key, *value);
        }
        for name in after {
            action = action.start_after(*name);
        }
        action.build()
    }

    fn said(actions: Vec<(&str, Action)>, at_most: u64) -> Option<String> {
        let actions = actions.into_iter().map(|(name, it)| (name.to_owned(), it)).collect();
        judged("EXT1", &actions, Duration::from_secs(at_most)).err().map(|it| it.to_string())
    }

    #[test]
    fn actions_in_a_row_last_together_and_those_side_by_side_as_long_as_the_longest() {
        let net = |length, after: &[&str]| {
            action("aws:network:disrupt-connectivity", &[("duration", length)], after)
        };
        let row =
            || vec![("b", net("PT5M", &["a"])), ("a", net("PT10M", &[])), ("c", net("PT12M", &[]))];
        assert_eq!(said(row(), 15 * 60), None);
        let error = said(row(), 16 * 60).unwrap();
        assert!(error.contains("after 15 min") && error.contains("cut for 16 min"), "{error}");
        assert_eq!(said(vec![("a", net("PT1H30M", &[]))], 90 * 60), None);
        let circle = vec![("a", net("PT1M", &["b"])), ("b", net("PT1M", &["a"]))];
        assert!(said(circle, 3600).is_some(), "it comes to an end");
    }

    #[test]
    fn what_does_not_come_back_is_refused() {
        let stop =
            |parameters: &[(&str, &str)]| vec![("s", action(STOP_INSTANCES, parameters, &[]))];
        assert_eq!(said(stop(&[("startInstancesAfterDuration", "PT20M")]), 600), None);
        let error = said(stop(&[]), 600).unwrap();
        assert!(error.contains("the action s of the template EXT1 stops instances"), "{error}");
        let kill = vec![("k", action("aws:ec2:terminate-instances", &[], &[]))];
        assert!(said(kill, 600).unwrap().contains("for ever"));
        let reboot = vec![("r", action("aws:ec2:reboot-instances", &[], &[]))];
        assert!(said(reboot, 600).unwrap().contains("no action of the template EXT1 lasts"));
    }
}
