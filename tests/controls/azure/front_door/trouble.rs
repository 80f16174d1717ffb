//! A Front Door that is busy, refuses, or does not answer as it should.

use super::*;

#[tokio::test]
async fn a_profile_that_is_busy_is_asked_again_and_a_restore_goes_on_after_a_refusal() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    world.manager().conflicts = 2;
    let order = CutOrder { datacenters: vec![A, B], ..drain() };
    world.azure.cut(&order, &snapshot).await.unwrap();
    assert!(world.azure.inspect().await.unwrap().is_cut(&order));
    world.manager().refused = Some(("web/a-1", "The client 'drill' does not have authorization"));
    world.manager().origins.remove("web/b-1");
    let error = world.azure.restore(&snapshot.cuttable(&order)).await.unwrap_err();
    let words = "403 Forbidden: The client 'drill' does not have authorization";
    assert!(error.what.contains(words), "{error}");
    assert!(error.what.contains("web/b-1 is no longer there"), "{error}");
    let api =
        |world: &World| world.manager().origins["api/a-1"]["properties"]["enabledState"].clone();
    assert_eq!(api(&world), "Enabled");
    world.manager().refused = None;
    world.manager().conflicts = u32::MAX;
    let begun = std::time::Instant::now();
    let error = world.azure.restore(&snapshot.cuttable(&drain())).await.unwrap_err();
    assert!(error.what.contains("409 Conflict: Another operation is in progress."), "{error}");
    assert!(error.hint.contains("see what else changes it"), "{error}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(12), "a call of a control has 15 s: {took:?}");
}

#[tokio::test]
async fn a_pause_that_azure_names_is_kept_to_and_one_that_is_too_long_is_told() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    {
        let mut manager = world.manager();
        // The first of the two origins is refused once.
        (manager.conflicts, manager.wait) = (1, 5);
    }
    let begun = std::time::Instant::now();
    world.azure.cut(&drain(), &snapshot).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(world.patched().len(), 3, "{:?}", world.patched());
    world.manager().end();
    assert!(world.azure.inspect().await.unwrap().is_cut(&drain()));

    let world = World::start().await;
    {
        let mut manager = world.manager();
        (manager.conflicts, manager.wait) = (u32::MAX, 60);
    }
    let error = world.azure.cut(&drain(), &snapshot).await.unwrap_err();
    let named = "409 Conflict: Another operation is in progress. to `PATCH";
    assert!(error.what.contains(named), "{error}");
    assert!(error.what.contains("and wants to be left alone for 1 min"), "{error}");
    assert_eq!(world.patched().len(), 2, "once each: {:?}", world.patched());
}

#[tokio::test]
async fn bad_answers_of_front_door_are_told_and_change_nothing() {
    let World { azure, manager } = World::start().await;
    let doubled = Doubled {
        control: &azure,
        order: drain(),
        token: TOKEN,
        change: ("PATCH", false),
        set: &|instead| manager.lock().unwrap().instead = instead,
        state: &|| format!("{:?}", manager.lock().unwrap().origins),
    };
    doubled.stands_bad_answers().await;
}

#[tokio::test]
async fn a_front_door_that_never_answers_is_given_up_and_a_stale_token_is_told() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control_of = |at, token| control(at, token, Duration::from_millis(200));
    let azure = control_of(silent.local_addr().unwrap(), TOKEN);
    contract::gives_up_within(&azure, &drain(), Duration::from_secs(5)).await;
    let world = World::start().await;
    let at = world.manager().at;
    let azure = control_of(at, "eyJ.stale");
    let error = azure.inspect().await.unwrap_err();
    assert!(error.what.contains("401 Unauthorized: The access token is invalid."), "{error}");
    assert!(!format!("{error} {:?}", azure.exchanges()).contains("stale"));
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_not_followed_with_our_credentials() {
    let world = World::start().await;
    let snapshot = world.azure.inspect().await.unwrap();
    world.manager().at = "127.0.0.1:9".parse().unwrap();
    let error = world.azure.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("leads away from the address in the plan"), "{error}");
}
