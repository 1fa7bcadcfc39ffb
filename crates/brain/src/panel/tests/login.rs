//! Logging in and out, tokens of forms, what is kept of a browser.

use super::{Browser, office};
use crate::http::people_tests::PASSWORD;
use honcho_model::guest::Power;

#[tokio::test]
async fn logging_in_goes_where_somebody_wanted_to_go() {
    let (office, _) = office().await;
    let mut browser = Browser::new(&office.world.app);
    let seen = browser.get("/guests?status=running").await;
    assert_eq!((seen.status, seen.location()), (303, "/login?next=%2Fguests%3Fstatus%3Drunning"));
    let seen = browser.get("/login?next=%2Fguests%3Fstatus%3Drunning").await;
    assert_eq!(seen.status, 200);
    assert!(seen.body.contains("value=\"/guests?status=running\""), "{}", seen.body);

    let seen = browser.post("/login", "login=Admin&password=is+not+this").await;
    assert_eq!(seen.status, 401);
    assert!(seen.body.contains("name or password is wrong") && seen.body.contains("value=\"Admin\""));
    assert!(!browser.cookies.contains_key("honcho_session"));

    let fields =
        format!("login=Admin&password={}&next=%2Fguests%3Fstatus%3Drunning", PASSWORD.replace(' ', "+"));
    let seen = browser.post("/login", &fields).await;
    assert_eq!((seen.status, seen.location()), (303, "/guests?status=running"));
    assert!(browser.cookies["honcho_session"].starts_with("session-"));
    let seen = browser.get("/guests").await;
    assert!(seen.body.contains("acme-web"), "{}", seen.body);

    // The cookie is no key to the API, which other sites' pages could use then.
    assert_eq!(browser.get("/v1/guests").await.status, 401);

    let session = browser.cookies["honcho_session"].clone();
    let seen = browser.post("/logout", "").await;
    assert_eq!((seen.status, seen.location()), (303, "/login"));
    assert!(browser.get("/login").await.body.contains("You are logged out."));
    browser.cookies.insert("honcho_session".to_owned(), session);
    assert_eq!(
        browser.get("/guests").await.status,
        303,
        "the session has ended, whoever still has its secret"
    );
}

#[tokio::test]
async fn of_two_tabs_with_the_login_form_both_log_in() {
    let (office, _) = office().await;
    let mut browser = Browser::new(&office.world.app);
    browser.get("/login").await;
    let second_tab = browser.token.clone();
    let password = PASSWORD.replace(' ', "+");
    browser.post("/login", &format!("login=viewer&password={password}")).await;
    let first = browser.cookies["honcho_session"].clone();
    let body = format!("token={second_tab}&login=admin&password={password}&next=%2Faccounts");
    let seen = browser.post_with("/login", &body, None).await;
    assert_eq!((seen.status, seen.location()), (303, "/accounts"), "{}", seen.body);
    assert!(browser.get("/guests").await.body.contains(">admin<"), "it is the second who is logged in");
    browser.cookies.insert("honcho_session".to_owned(), first);
    assert_eq!(browser.get("/guests").await.status, 303, "the first session has ended");
    // That token opens nothing else.
    let seen = browser.post_with("/theme", &format!("token={second_tab}&theme=dark"), None).await;
    assert_eq!(seen.status, 303, "nobody is logged in: it is the visit's own token");
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    admin.cookies.insert("honcho_visit".to_owned(), browser.cookies["honcho_visit"].clone());
    assert_eq!(admin.post_with("/theme", &format!("token={second_tab}&theme=dark"), None).await.status, 403);
}

#[tokio::test]
async fn nobody_is_sent_to_another_site_after_logging_in() {
    let (office, _) = office().await;
    let mut browser = Browser::new(&office.world.app);
    browser.get("/login?next=//evil.example").await;
    let fields = format!("login=admin&password={}&next=//evil.example/", PASSWORD.replace(' ', "+"));
    assert_eq!(browser.post("/login", &fields).await.location(), "/");
}

#[tokio::test]
async fn a_form_without_its_token_does_nothing() {
    let (office, guest) = office().await;
    let app = &office.world.app;
    let mut admin = Browser::logged_in(app, "admin").await;
    let mut viewer = Browser::logged_in(app, "viewer").await;
    let path = format!("/guests/{guest}/stop");
    let foreign = viewer.token.clone();
    for body in [String::new(), "token=".to_owned(), format!("token={foreign}")] {
        assert_eq!(admin.post_with(&path, &body, None).await.status, 403, "{body}");
    }
    let good = format!("token={}", admin.token);
    for origin in ["http://evil.example", "null"] {
        assert_eq!(admin.post_with(&path, &good, Some(origin)).await.status, 403, "{origin}");
    }
    assert_eq!(office.world.guest(guest).await.power, Power::Running);
    // Who may only look has a good token, and may not.
    assert_eq!(viewer.post(&path, "").await.status, 403);
    assert_eq!(office.world.guest(guest).await.power, Power::Running);

    let seen = admin.post_with(&path, &good, Some("http://brain.example")).await;
    assert_eq!((seen.status, seen.location()), (303, format!("/guests/{guest}").as_str()));
    assert_eq!(office.world.guest(guest).await.power, Power::Stopped);
    let page = admin.get(&format!("/guests/{guest}")).await.body;
    assert!(page.contains("acme-web is being stopped."), "{page}");
    let page = admin.get(&format!("/guests/{guest}")).await.body;
    assert!(!page.contains("is being stopped."), "it is said once");
    // What is refused is said on the page where it was asked for.
    admin.post(&format!("/guests/{guest}/reboot"), "").await;
    let page = admin.get(&format!("/guests/{guest}")).await.body;
    assert!(page.contains("flash failed") && page.contains("nothing to reboot"), "{page}");
}

#[tokio::test]
async fn how_pages_look_is_kept() {
    let (office, _) = office().await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let seen = admin.post("/theme", "theme=dark&here=%2Fguests").await;
    assert_eq!((seen.status, seen.location()), (303, "/guests"));
    assert!(admin.get("/guests").await.body.contains("data-theme=\"dark\""));
    admin.post("/theme", "theme=system&here=%2Fguests").await;
    assert!(admin.get("/guests").await.body.contains("data-theme=\"system\""));
}

#[tokio::test]
async fn somebody_changes_their_own_password() {
    let (office, _) = office().await;
    let app = &office.world.app;
    let (mut elsewhere, mut admin) =
        (Browser::logged_in(app, "admin").await, Browser::logged_in(app, "admin").await);
    admin.get("/password").await;
    let old = PASSWORD.replace(' ', "+");
    let new = "seven+quiet+otters+swim";
    for (fields, field) in [
        (format!("current_password=wrong&password={new}&again={new}"), "current_password"),
        (format!("current_password={old}&password={new}&again={new}s"), "again"),
        (format!("current_password={old}&password=short&again=short"), "password"),
        (format!("current_password=&password={new}&again={new}"), "current_password"),
    ] {
        let seen = admin.post("/password", &fields).await;
        assert!(
            seen.status == 422 && seen.body.contains(&format!("href=\"#{field}\"")),
            "{fields}: {}",
            seen.body
        );
        assert!(!seen.body.contains("otters"), "no password stands in a page");
    }
    let seen = admin.post("/password", &format!("current_password={old}&password={new}&again={new}")).await;
    assert_eq!((seen.status, seen.location()), (303, "/"), "{}", seen.body);
    assert!(admin.get("/guests").await.body.contains("Your password is changed"));
    assert_eq!(elsewhere.get("/guests").await.status, 303, "other sessions have ended");
    let mut again = Browser::new(app);
    again.get("/login").await;
    assert_eq!(again.post("/login", &format!("login=admin&password={old}")).await.status, 401);
    assert_eq!(again.post("/login", &format!("login=admin&password={new}")).await.status, 303);
}
