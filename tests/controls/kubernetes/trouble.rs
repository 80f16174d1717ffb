//! What goes wrong on the way to a cluster, and there.

use std::time::Instant;

use super::*;
use crate::rest::{Doubled, Instead, refusal};
use crate::strangers::{self, Stranger};

const PATIENT: Duration = Duration::from_secs(5);

/// The ways, each with the method of its changes, and whether anything is read out of the answers to them.
fn ways() -> [(KubernetesBy, CutOrder, (&'static str, bool)); 3] {
    let blackhole = CutOrder::of(A, Mode::Blackhole);
    [
        (nodes(), drain(), ("PATCH", true)),
        (routes(), drain(), ("PATCH", false)),
        (policies::policies(), blackhole, ("POST", false)),
    ]
}

#[tokio::test]
async fn bad_answers_of_a_cluster_are_told_and_change_nothing() {
    for (by, order, change) in ways() {
        let cluster = Cluster::start().await;
        let control = reached(&format!("http://{}", cluster.at), "", by, PATIENT);
        let doubled = Doubled {
            control: &*control,
            order,
            token: TOKEN,
            change,
            set: &|instead| cluster.state().instead = instead,
            state: &|| cluster.state().all(),
        };
        doubled.stands_bad_answers().await;
        assert_eq!(cluster.state().evictions(), 0, "nothing goes from a node that takes pods");
    }
}

#[tokio::test]
async fn a_cluster_that_no_known_authority_vouches_for_is_not_spoken_to() {
    let (known, mut theirs) = (strangers::authority(), Stranger::start().await);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), known.pem()).unwrap();
    let trust = format!(", certificate-authority: '{}'", file.path().display());
    for (by, ..) in ways() {
        let control = reached(&format!("https://127.0.0.1:{}", theirs.port), &trust, by, PATIENT);
        for asked in [control.inspect().await.map(drop), control.preflight().await] {
            let error = asked.unwrap_err();
            assert!(error.what.contains("no authority that is trusted vouches for"), "{error}");
            assert!(error.hint.contains("its address is right"), "{error}");
            let shown = format!("{error} {:?}", control.exchanges());
            assert!(!shown.contains(TOKEN), "{shown}");
        }
    }
    let heard = theirs.heard().await;
    assert!(!heard.is_empty() && heard.iter().all(String::is_empty), "{heard:?}");
}

#[tokio::test]
async fn a_right_that_is_missing_after_all_is_told_and_nothing_goes() {
    // Those to read nodes, and to read pods once any node is cordoned.
    for denied in ["list nodes", "list pods"] {
        let cluster = Cluster::start().await;
        let control = control(cluster.at, nodes());
        cluster.state().node("a2")["spec"]["unschedulable"] = json!(true);
        let before = cluster.state().all();
        cluster.state().denied = vec![denied];
        let error = control.inspect().await.unwrap_err();
        let resource = denied.trim_start_matches("list ");
        let what = format!("403 Forbidden: {resource} is forbidden: User");
        assert!(error.what.contains(&what), "{error}");
        assert!(error.hint.contains("`firedrill preview` lists what they need"), "{error}");
        let shown = format!("{error} {:?}", control.exchanges());
        assert!(!shown.contains(TOKEN), "{shown}");
        assert_eq!(cluster.state().all(), before);
    }
    let cluster = Cluster::start().await;
    let control = control(cluster.at, nodes());
    let snapshot = control.inspect().await.unwrap();
    let before = cluster.state().all();
    cluster.state().denied = vec!["create pods/eviction"];
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("403 Forbidden: pods/eviction is forbidden"), "{error}");
    assert!(error.hint.contains("`firedrill preview` lists what they need"), "{error}");
    // It is found at once, and not held up by it.
    assert_eq!(cluster.state().evictions(), 2);
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert_eq!(cluster.state().all(), before);
}

#[tokio::test]
async fn a_cluster_that_throttles_evictions_is_left_alone_for_as_long_as_it_says() {
    let cluster = Cluster::start().await;
    let control = control(cluster.at, nodes());
    let snapshot = control.inspect().await.unwrap();
    let before = cluster.state().all();
    let busy =
        |wait| refusal("429 Too Many Requests", wait, "Too many requests, please try again later.");
    cluster.state().instead = Instead::once("POST", "/eviction", &busy(1));
    let begun = Instant::now();
    control.cut(&drain(), &snapshot).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(cluster.state().evictions(), 3, "each pod once, and one once more");
    assert!(control.inspect().await.unwrap().is_cut(&drain()));

    // A minute is more than evictions have.
    let cluster = Cluster::start().await;
    let control = self::control(cluster.at, nodes());
    cluster.state().instead = Instead::always("POST", "/eviction", &busy(60));
    let error = control.cut(&drain(), &snapshot).await.unwrap_err();
    assert!(error.what.contains("not emptied: shop/web-1 stays: "), "{error}");
    assert!(error.what.contains("429 Too Many Requests: Too many requests, please"), "{error}");
    assert!(error.what.contains("and wants to be left alone for 1 min"), "{error}");
    assert_eq!(cluster.state().evictions(), 2, "each pod once");
    control.restore(&snapshot.cuttable(&drain())).await.unwrap();
    assert_eq!(cluster.state().all(), before);
}
