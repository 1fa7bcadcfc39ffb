//! The archive: what is served, who has what of it, and who is told.

use super::{Browser, office};
use crate::http::suites_tests::Shop;
use axum::body::Body;

async fn says(shop: &Shop, guest: i64, version: &str) {
    let status =
        format!("Package: hello\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n\n");
    let path = format!("/v1/guests/{guest}/packages");
    assert_eq!(shop.ask(&shop.office.operator, "PUT", &path, Body::from(status)).await.0, 200);
}

#[tokio::test]
async fn a_brain_without_an_archive_has_no_page_of_it() {
    let (office, guest) = office().await;
    let app = office.world.app.without_archive();
    let mut operator = Browser::logged_in(&app, "operator").await;
    for path in
        ["/archive", "/archive/bookworm", "/archive/bookworm/history", "/archive/bookworm/packages/hello"]
    {
        assert_eq!(operator.get(path).await.status, 404, "{path}");
    }
    assert!(!operator.get("/").await.body.contains("href=\"/archive\""));
    // What a guest has is known all the same.
    let page = operator.get(&format!("/guests/{guest}/packages")).await;
    assert!(page.status == 200 && !page.body.contains("The archive serves"), "{}", page.body);
    let mut stranger = Browser::logged_in(&app, "stranger").await;
    assert_eq!(stranger.get(&format!("/guests/{guest}/packages")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_tell_what_is_served_who_has_it_and_what_is_outdated() {
    let shop = Shop::new().await;
    let (office, app) = (&shop.office, &shop.office.world.app);
    let guest = office.world.order("acme-web").await.id;
    let account = office.world.guest(guest).await.account_id;
    let other = office.operate("POST", "/v1/accounts", serde_json::json!({ "name": "other" })).await;
    office.person("stranger", &[(other["id"].as_i64().unwrap(), "admin")]).await;
    office.person("viewer", &[(account, "viewer")]).await;
    let operator = office.person("operator", &[]).await;
    let path = format!("/v1/people/{operator}");
    office.operate("PATCH", &path, serde_json::json!({ "operator": true })).await;
    let mut operator = Browser::logged_in(app, "operator").await;
    let page = operator.get("/archive/bookworm/history").await.body;
    assert!(page.contains("Nothing is published yet"), "{page}");

    shop.publish("a", &[shop.deb("hello", "1.9"), shop.deb("c++", "1")]).await;
    shop.publish("b", &[shop.deb("hello", "1.10")]).await;
    says(&shop, guest, "1.9").await;

    let page = operator.get("/archive").await.body;
    assert!(page.contains("href=\"/archive/bookworm\"") && page.contains(">valid<"), "{page}");
    assert!(page.contains("1 package<") || page.contains("1 package\n"), "{page}");
    assert!(page.contains("id=\"keys\""), "{page}");
    let page = operator.get("/archive/bookworm").await.body;
    assert!(page.contains(">hello<") && page.contains("1.10") && page.contains("1 guest<"), "{page}");
    assert!(page.contains("/archive/bookworm/packages/c%2B%2B"), "{page}");
    let page = operator.get("/archive/bookworm?show=outdated").await.body;
    assert!(page.contains(">hello<") && !page.contains(">c++<"), "{page}");
    let page = operator.get("/archive/bookworm?name=C%2B").await.body;
    assert!(!page.contains(">hello<") && page.contains(">c++<"), "{page}");
    let page = operator.get("/archive/bookworm/packages/hello").await.body;
    assert!(
        page.contains("outdated on 1") && page.contains("acme-web") && page.contains("1.9, 1.10"),
        "{page}"
    );
    assert_eq!(operator.get("/archive/bookworm/packages/c%2B%2B").await.status, 200);

    let page = operator.get("/archive/bookworm/history").await.body;
    assert!(page.contains("bookworm@2") && page.contains("from=1&amp;to=2"), "{page}");
    let page = operator.get("/archive/bookworm/history?from=1&to=2").await.body;
    assert!(page.contains("From bookworm@1 to bookworm@2") && page.contains(">hello<"), "{page}");
    assert!(
        page.contains("added <strong>1</strong>") || page.contains("changed <strong>1</strong>"),
        "{page}"
    );
    for (path, status) in [
        ("/archive/sid", 404),
        ("/archive/bookworm/packages/none", 404),
        ("/archive/sid/history", 404),
        ("/archive/bookworm?show=colour", 422),
        ("/archive/bookworm?from=x", 422),
        ("/archive/bookworm/packages/hello?after=x", 422),
        ("/archive/bookworm/history?from=1", 422),
        ("/archive/bookworm/history?from=1&to=9", 422),
    ] {
        assert_eq!(operator.get(path).await.status, status, "{path}");
    }
    // It is one of the things that need attention, and leads to where it can be seen.
    let page = operator.get("/").await.body;
    assert!(page.contains(">outdated<") && page.contains("/archive/bookworm?show=outdated"), "{page}");
    assert!(page.contains("guests have an older hello than it serves"), "{page}");

    let mut viewer = Browser::logged_in(app, "viewer").await;
    let page = viewer.get("/archive").await.body;
    assert!(page.contains("/archive/bookworm") && !page.contains("id=\"keys\""), "{page}");
    let page = viewer.get(&format!("/guests/{guest}/packages")).await.body;
    assert!(page.contains("The archive serves newer versions of 1") && page.contains("1.10"), "{page}");
    let mut stranger = Browser::logged_in(app, "stranger").await;
    for path in ["/archive", "/archive/bookworm", "/archive/bookworm/packages/hello"] {
        let page = stranger.get(path).await;
        assert!(
            page.status == 200 && !page.body.contains("acme") && !page.body.contains("outdated on"),
            "{}",
            page.body
        );
    }
    says(&shop, guest, "1.10").await;
    let page = viewer.get(&format!("/guests/{guest}/packages")).await.body;
    assert!(page.contains("up to date"), "{page}");
}
