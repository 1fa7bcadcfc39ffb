//! The machine room: emptying hosts, what fits.

use super::{Browser, office};

#[tokio::test]
async fn a_host_is_emptied_only_when_that_is_asked_for() {
    let (office, _) = office().await;
    let mut operator = Browser::logged_in(&office.world.app, "operator").await;
    let page = operator.get("/hosts/1/drain").await.body;
    assert!(page.contains("acme-web"), "{page}");
    let page = operator.get("/hosts/1").await.body;
    assert!(!page.contains("being emptied"), "looking changes nothing");
    assert_eq!(operator.post("/hosts/1/drain", "wanted=drained").await.location(), "/hosts/1");
    assert!(operator.get("/hosts/1").await.body.contains("being emptied"));
    operator.post("/hosts/1/drain", "wanted=undrained").await;
    assert!(!operator.get("/hosts/1").await.body.contains("being emptied"));
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    assert_eq!(admin.post("/hosts/1/drain", "wanted=drained").await.status, 403);
}

#[tokio::test]
async fn an_operator_sees_what_fits_and_what_if_a_host_is_lost() {
    let (office, _) = office().await;
    let mut operator = Browser::logged_in(&office.world.app, "operator").await;
    let page = operator.get("/capacity?if_lost=1&memory=64M&vcpus=1&disk=1G").await.body;
    assert!(
        page.contains("If ") && page.contains("were lost") && page.contains("acme-web"),
        "its guest fits nowhere else: {page}"
    );
    let page = operator.get("/images").await.body;
    assert!(page.contains(" guests</a>"), "{page}");
}

#[tokio::test]
async fn a_map_shows_how_full_hosts_are_and_what_they_would_say() {
    let (office, _) = office().await;
    let mut operator = Browser::logged_in(&office.world.app, "operator").await;
    for (by, words) in [
        ("memory", "% of memory: "),
        ("disk", "% of disk: "),
        ("vcpus", "vCPUs on"),
        ("loss", "its guests\u{2019} memory would fit nowhere"),
    ] {
        let page = operator.get(&format!("/placement?by={by}")).await.body;
        assert!(page.contains(words), "{by}: {page}");
    }
    let page = operator.get("/placement?memory=64M&vcpus=1&disk=1G").await.body;
    assert!(page.contains("one would go to") && page.contains("<strong>fits</strong>"), "{page}");
    // Who refuses, and why, as an order would be told.
    let page = operator.get("/placement?memory=9T&vcpus=1&disk=1G").await.body;
    assert!(page.contains("No host can take it.") && page.contains("9T needed"), "{page}");
    // What is thought lost is drawn so, stays chosen, and is not said to be silent, for it is not.
    let page = operator.get("/placement?if_lost=1&memory=64M&vcpus=1&disk=1G").await.body;
    assert!(page.contains("were lost") && page.contains("acme-web"), "{page}");
    assert!(page.contains("is thought lost") && !page.contains("is silent"), "{page}");
    assert!(page.contains("class=\"lost\"") && page.contains("<option value=\"1\" selected>"), "{page}");
    // The one that is asked for is drawn and chosen wherever the map begins.
    let page = operator.get("/placement?if_lost=1&from=1000").await.body;
    assert!(page.contains("class=\"lost\"") && page.contains("<option value=\"1\" selected>"), "{page}");
    // What has changed since is seen at once.
    operator.get("/hosts/1").await;
    operator.post("/hosts/1/drain", "wanted=drained").await;
    let page = operator.get("/placement").await.body;
    assert!(page.contains("; being emptied") && page.contains("0 of 1"), "{page}");
}
