//! The outages that firedrill was made for end as history ended, and their cures pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code, reason = "a benchmark shares it and uses another part")]
mod outage;

use std::time::Duration;

use firedrill::model::{Judgement, Offset, Promise, RunRecord};
use outage::{ALL, held_to_the_truth, run};

#[track_caller]
fn ends_as_it_should(name: &str) -> RunRecord {
    let wanted = ALL.iter().find(|(known, _)| *known == name).unwrap().1;
    let (plan, record) = run(name);
    assert_eq!(record.verdict, wanted, "{:#?}", record.reasons);
    let (_, wrong) = held_to_the_truth(&plan, &record);
    assert!(wrong.is_empty(), "{wrong:?}\n{:#?}", record.lab);
    let took = record.marks.ended.unwrap().since(Offset::ZERO);
    assert!(took < Duration::from_secs(60), "{took:?}: under a minute");
    record
}

macro_rules! incidents {
    ($($test:ident $name:literal)*) => {
        $(#[test] fn $test() { ends_as_it_should($name); })*

        #[test]
        fn every_plan_is_run() {
            let mut run = vec![$($name,)* "kakao-2022-pangyo-fire", "kakao-2022-pangyo-fire-fixed"];
            run.sort_unstable();
            assert_eq!(run, ALL.map(|(name, _)| name));
            let plans = std::fs::read_dir(outage::folder()).unwrap();
            let stem = |entry: std::fs::DirEntry| entry.path().file_stem().unwrap().to_owned();
            let mut plans: Vec<_> = plans.map(|entry| stem(entry.unwrap())).collect();
            plans.sort_unstable();
            assert_eq!(plans, ALL.map(|(name, _)| name));
        }
    };
}

incidents! {
    aws_2025_us_east_1 "aws-2025-us-east-1"
    daum_2021_portal "daum-2021-portal"
    daum_2021_portal_fixed "daum-2021-portal-fixed"
    google_2023_paris "google-2023-paris"
    kakao_2020_network_gear "kakao-2020-network-gear"
    kakao_2020_network_gear_fixed "kakao-2020-network-gear-fixed"
    kakao_2020_new_year_surge "kakao-2020-new-year-surge"
    kakao_2020_new_year_surge_fixed "kakao-2020-new-year-surge-fixed"
    kakao_2020_short_outages "kakao-2020-short-outages"
    kakao_2020_wallet_launch "kakao-2020-wallet-launch"
    kakao_2020_wallet_launch_fixed "kakao-2020-wallet-launch-fixed"
    kakao_2021_messaging "kakao-2021-messaging"
    kakao_2021_messaging_fixed "kakao-2021-messaging-fixed"
    naver_2022_pangyo_fire "naver-2022-pangyo-fire"
    ovh_2021_strasbourg "ovh-2021-strasbourg"
}

/// What the fire of Pangyo is told for: text that is back hides images that are not, and who logs in through the
/// messenger falls with it.
#[test]
fn kakao_2022_pangyo_fire() {
    let record = ends_as_it_should("kakao-2022-pangyo-fire");
    let service = |name: &str| record.services.iter().find(|it| it.name.as_str() == name).unwrap();
    let talk = service("talk");
    let back = |name: &str| {
        let probe = talk.probes.iter().find(|probe| probe.name.as_str() == name).unwrap();
        probe.recovery.unwrap().bounds.high
    };
    assert!(back("text").is_some(), "a person switched by hand");
    assert_eq!((back("images"), back("pc-login")), (None, None));
    assert_eq!(talk.recovery.unwrap().bounds.high, None, "as slow as its slowest feature");
    for dependant in ["pay", "taxi", "mail"] {
        assert_eq!(service(dependant).recovery.unwrap().bounds.high, None, "{dependant}");
    }
    let lost: Vec<String> = record.placement.services.iter().map(|it| it.forecast.why()).collect();
    assert!(lost.iter().any(|why| why == "pay -> login -> keys: only in pangyo"), "{lost:?}");
}

#[test]
fn kakao_2022_pangyo_fire_fixed() {
    let record = ends_as_it_should("kakao-2022-pangyo-fire-fixed");
    let kept = |it: &firedrill::model::PromiseResult| it.judgement == Judgement::Kept;
    let promises: Vec<_> = record.services.iter().flat_map(|it| &it.promises).collect();
    assert!(promises.iter().all(|it| kept(it)));
    assert_eq!(promises.iter().filter(|it| it.promise == Promise::RecoverWithin).count(), 6);
}
