//! A drill of a plan that says who stands where.

use crate::model::*;

fn forecast(name: &str, predicted: Outlook, chain: &[&str], because: &str) -> Forecast {
    let chain = chain.iter().map(|link| (*link).into()).collect();
    let (because, also) = (because.into(), Vec::new());
    Forecast { name: name.into(), predicted, chain, left_out: 0, because, also }
}

/// Two predictions came true, two did not, one was not measured.
pub fn placed() -> RunRecord {
    let mut record = super::failed();
    let gone = "only in east";
    let compared = |forecast, measured, agrees| Compared { forecast, measured, agrees };
    let down = |name, chain: &[&str]| forecast(name, Outlook::Down, chain, gone);
    let few = "6 servers left, and it needs 12";
    let also = ["switch-over", "objects", "dns", "registry", "tools"];
    let also = also.map(Name::from).to_vec();
    let pay = Forecast { also, ..down("pay", &["pay", "login", "key-store"]) };
    record.placement = PlacementRecord {
        control_plane: vec![
            down("switch-over", &["switch-over"]),
            down("key-store", &["key-store"]),
            forecast("observer", Outlook::Up, &[], ""),
        ],
        services: vec![
            compared(pay, Seen::Down, Some(true)),
            compared(down("login", &["login", "key-store"]), Seen::NotMeasured, None),
            compared(down("mail", &["mail", "switch-over"]), Seen::FailedOver, Some(false)),
            compared(forecast("talk", Outlook::Up, &[], ""), Seen::Down, Some(false)),
            compared(forecast("cafe", Outlook::Degraded, &["cafe"], few), Seen::Up, Some(true)),
            compared(forecast("map", Outlook::Up, &[], ""), Seen::FailedOver, Some(true)),
        ],
    };
    record
}
