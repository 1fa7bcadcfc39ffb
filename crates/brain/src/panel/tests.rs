//! The panel as a browser sees it, without a browser: who gets which page, which forms are heard.

use crate::app::App;
use crate::http::people_tests::{Office, PASSWORD};
use crate::http::router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use honcho_model::guest::Power;
use std::collections::BTreeMap;
use tower::ServiceExt as _;

/// A browser that keeps cookies and knows no scripts.
pub(super) struct Browser {
    app: App,
    cookies: BTreeMap<String, String>,
    /// The token of the last page that had one.
    token: String,
}

pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }
}

impl Browser {
    pub(super) fn new(app: &App) -> Browser {
        Browser { app: app.clone(), cookies: BTreeMap::new(), token: String::new() }
    }

    async fn ask(&mut self, request: axum::http::request::Builder, body: String) -> Seen {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(header::COOKIE, cookies.join("; ")).header(header::ACCEPT, "text/html");
        let response =
            router(self.app.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes = axum::body::to_bytes(response.into_body(), 8 << 20).await.unwrap();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        if let Some((_, rest)) = body.split_once("name=\"token\" value=\"") {
            self.token = rest.split('"').next().unwrap().to_owned();
        }
        Seen { status, headers, body }
    }

    pub(super) async fn get(&mut self, path: &str) -> Seen {
        self.ask(Request::builder().uri(path), String::new()).await
    }

    pub(super) async fn post(&mut self, path: &str, fields: &str) -> Seen {
        let token = self.token.clone();
        self.post_with(path, &format!("token={token}&{fields}"), None).await
    }

    async fn post_with(&mut self, path: &str, body: &str, origin: Option<&str>) -> Seen {
        let mut request = Request::builder().method("POST").uri(path);
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        request = request.header(header::HOST, "brain.example");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        self.ask(request, body.to_owned()).await
    }

    pub(super) async fn logged_in(app: &App, name: &str) -> Browser {
        let mut browser = Browser::new(app);
        browser.get("/login").await;
        let password = PASSWORD.replace(' ', "+");
        let seen = browser.post("/login", &format!("login={name}&password={password}")).await;
        assert_eq!((seen.status, seen.location()), (303, "/"), "{}", seen.body);
        browser.get("/guests").await;
        browser
    }
}

/// Acme has a guest; people of all kinds have passwords.
pub(super) async fn office() -> (Office, i64) {
    let office = Office::new().await;
    let guest = office.world.order("acme-web").await.id;
    office.world.settle(guest).await;
    let other = office.operate("POST", "/v1/accounts", serde_json::json!({ "name": "other" })).await;
    let account = office.world.guest(guest).await.account_id;
    office.person("stranger", &[(other["id"].as_i64().unwrap(), "admin")]).await;
    office.person("viewer", &[(account, "viewer")]).await;
    office.person("admin", &[(account, "admin")]).await;
    let operator = office.person("operator", &[]).await;
    let path = format!("/v1/people/{operator}");
    office.operate("PATCH", &path, serde_json::json!({ "operator": true })).await;
    (office, guest)
}

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

/// nobody; an admin of another account; a viewer of acme; an admin of acme; an operator.
const PAGES: &str = "
/               303 303 303 303 200
/hosts          303 403 403 403 200
/hosts/1        303 403 403 403 200
/hosts/999      303 403 403 403 404
/hosts/1/drain  303 403 403 403 200
/networks       303 403 403 403 200
/networks/1     303 403 403 403 200
/networks/1?from=10.77.0.200  303 403 403 403 200
/networks/1?from=x  303 400 400 400 400
/accounts       303 303 303 303 200
/accounts/1     303 404 200 200 200
/accounts/1/usage  303 404 200 200 200
/accounts/1/usage?month=2026-13  303 404 422 422 422
/capacity       303 403 403 403 200
/capacity?memory=1G&vcpus=1&disk=1G&if_lost=1  303 403 403 403 200
/capacity?memory=much  303 403 403 403 422
/capacity?if_lost=999  303 403 403 403 404
/images         303 200 200 200 200
/images/1       303 200 200 200 200
/images/999     303 404 404 404 404
/password       303 200 200 200 200
/people         303 403 403 403 200
/people/1       303 403 403 403 200
/people/999     303 403 403 403 404
/racks          303 403 403 403 200
/events         303 200 200 200 200
/events?severity=alarm&resource=guest  303 200 200 200 200
/login          200 303 303 303 303
/guests         303 200 200 200 200
/guests?status=running&after=0  303 200 200 200 200
/guests?after=x 303 422 422 422 422
/guests/{id}    303 404 200 200 200
/guests/new     303 200 403 200 200
/guests/x       303 404 404 404 404
/guests/999     303 404 404 404 404
/guests/{id}/stop  405 405 405 405 405
/search?q=acme  303 200 200 200 200
/search?q=      303 200 200 200 200
/nowhere        404 404 404 404 404
";

#[tokio::test]
async fn everybody_sees_the_pages_that_are_theirs() {
    let (office, guest) = office().await;
    let app = &office.world.app;
    let mut browsers = vec![("nobody", Browser::new(app))];
    for name in ["stranger", "viewer", "admin", "operator"] {
        browsers.push((name, Browser::logged_in(app, name).await));
    }
    let mut wrong = Vec::new();
    for line in PAGES.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let path = words.next().unwrap().replace("{id}", &guest.to_string());
        for ((name, browser), expected) in browsers.iter_mut().zip(words) {
            let seen = browser.get(&path).await;
            if seen.status.to_string() != expected {
                wrong.push(format!("{path} as {name}: {} and not {expected}", seen.status));
            }
            let policy = seen.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(seen.headers[header::CACHE_CONTROL], "no-store");
            let leaks = *name == "stranger" && !path.contains("acme") && seen.body.contains("acme");
            assert!(!leaks, "{path} shows a stranger what is acme's");
            let page = seen.status == 303 || seen.body.starts_with("<!doctype html>");
            assert!(page, "{path} as {name}: {}", seen.body);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn customers_see_nothing_of_the_machine_room_and_viewers_no_buttons() {
    let (office, guest) = office().await;
    let app = &office.world.app;
    let path = format!("/guests/{guest}");
    let page = Browser::logged_in(app, "admin").await.get(&path).await.body;
    assert!(page.contains("action=\"/guests/") && !page.contains("Why it is where it is"), "{page}");
    let page = Browser::logged_in(app, "viewer").await.get(&path).await.body;
    assert!(!page.contains("action=\"/guests/"), "{page}");
    let page = Browser::logged_in(app, "operator").await.get(&path).await.body;
    assert!(page.contains("Why it is where it is"), "{page}");
}

#[tokio::test]
async fn a_size_that_cannot_be_is_said_beside_its_field() {
    let (office, guest) = office().await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let path = format!("/guests/{guest}/resize");
    let seen = admin.post(&path, "vcpus=2&memory_bytes=lots&disk_bytes=3G").await;
    assert_eq!(seen.status, 422);
    assert!(
        seen.body.contains("href=\"#memory_bytes\"") && seen.body.contains("value=\"lots\""),
        "{}",
        seen.body
    );
    let seen = admin.post(&path, "vcpus=2&memory_bytes=64M&disk_bytes=4G&restart=yes").await;
    assert_eq!(seen.status, 303, "{}", seen.body);
    assert_eq!(office.world.guest(guest).await.vcpus, 2);
}

#[tokio::test]
async fn an_address_of_the_api_that_is_none_is_answered_as_ever() {
    let (office, _) = office().await;
    let mut browser = Browser::new(&office.world.app);
    let seen = browser.get("/v1/nothing").await;
    assert!(seen.status == 404 && seen.body.starts_with("{\"status\":404"), "{}", seen.body);
}

#[tokio::test]
async fn what_is_live_is_for_whom_the_page_is_for() {
    let (office, guest) = office().await;
    let app = &office.world.app;
    let path = format!("/guests/{guest}/live");
    assert_eq!(Browser::new(app).get(&path).await.status, 204, "a script that asks for nobody asks no more");
    let mut stranger = Browser::logged_in(app, "stranger").await;
    assert_eq!(stranger.get(&path).await.status, 404);
    assert_eq!(stranger.get("/overview/live").await.status, 403);
}

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
async fn a_guest_is_ordered_and_what_is_wrong_is_kept_to_be_mended() {
    let (office, guest) = office().await;
    let guest = office.world.guest(guest).await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let page = admin.get("/guests/new").await.body;
    assert!(page.contains(&format!("name=\"account_id\" value=\"{}\"", guest.account_id)), "{page}");
    let things = format!(
        "account_id={}&image_id={}&network_id={}&vcpus=1&memory_bytes=64M&disk_bytes=3G",
        guest.account_id, guest.image_id, guest.interfaces[0].network_id
    );
    let seen = admin.post("/guests", &format!("{things}&name=acme-web&ssh_keys=")).await;
    assert!(seen.status == 422 && seen.body.contains("href=\"#name\""), "{}", seen.body);
    let seen = admin.post("/guests", &format!("{things}&name=web2&ssh_keys=")).await;
    assert_eq!(seen.status, 303, "{}", seen.body);
    assert!(admin.get(seen.location()).await.body.contains("web2 is ordered."));
    let mut viewer = Browser::logged_in(&office.world.app, "viewer").await;
    assert_eq!(viewer.post("/guests", &format!("{things}&name=web3")).await.status, 403);
}

#[tokio::test]
async fn several_guests_are_shown_before_anything_is_done_with_them() {
    let (office, guest) = office().await;
    let second = office.world.order("acme-two").await.id;
    office.world.settle(second).await;
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    let chosen = format!("act=stop&guest={guest}&guest={second}&guest=999");
    let seen = admin.post("/guests/bulk", &chosen).await;
    assert!(seen.status == 200 && seen.body.contains("these 2 guests"), "{}", seen.body);
    assert_eq!(office.world.guest(guest).await.power, Power::Running);
    let mut stranger = Browser::logged_in(&office.world.app, "stranger").await;
    stranger.post("/guests/bulk", &format!("{chosen}&confirmed=yes")).await;
    assert_eq!(office.world.guest(guest).await.power, Power::Running);
    let seen = admin.post("/guests/bulk", &format!("{chosen}&confirmed=yes")).await;
    assert!(seen.status == 200 && seen.body.contains("2 guests are being stopped."), "{}", seen.body);
    assert!(seen.body.contains("One of those that were chosen is not there any more."), "{}", seen.body);
    let powers = (office.world.guest(guest).await.power, office.world.guest(second).await.power);
    assert_eq!(powers, (Power::Stopped, Power::Stopped));
    // Where all of it is done, that is said in a line.
    let both = format!("guest={guest}&guest={second}&confirmed=yes");
    assert_eq!(admin.post("/guests/bulk", &format!("act=start&{both}")).await.location(), "/guests");
    assert!(admin.get("/guests").await.body.contains("2 guests are being started."));
    office.world.power(second, crate::operations::PowerAction::Stop { hard: false }).await.unwrap();
    // Of those with which it is not done each is named, and why.
    let seen = admin
        .post("/guests/bulk", &format!("act=reboot&guest={guest}&guest={second}&guest=999&confirmed=yes"))
        .await;
    assert!(seen.status == 200 && seen.body.contains("1 guest is being rebooted."), "{}", seen.body);
    assert!(
        seen.body.contains(">acme-two</a></th><td>") && seen.body.contains("nothing to reboot"),
        "{}",
        seen.body
    );
    assert!(seen.body.contains("One of those that were chosen is not there any more."), "{}", seen.body);
    admin.post("/guests/bulk", "act=stop").await;
    assert!(admin.get("/guests").await.body.contains("Choose guests first"));
}

#[tokio::test]
async fn a_secret_is_shown_once_and_to_who_may_have_it() {
    let (office, guest) = office().await;
    let account = office.world.guest(guest).await.account_id;
    let path = format!("/accounts/{account}");
    let mut admin = Browser::logged_in(&office.world.app, "admin").await;
    admin.get(&path).await;
    let seen = admin.post(&format!("{path}/tokens"), "name=&scope=viewer").await;
    assert!(seen.status == 422 && seen.body.contains("href=\"#name\""), "{}", seen.body);
    let seen = admin.post(&format!("{path}/tokens"), "name=backup&scope=viewer&expires_in_days=7").await;
    assert_eq!(seen.status, 201, "{}", seen.body);
    let (_, rest) = seen.body.split_once("break secret\">").unwrap();
    let secret = rest.split('<').next().unwrap().to_owned();
    let (status, whoami) = crate::http::people_tests::ask(
        &office.world.app,
        &secret,
        "GET",
        "/v1/whoami",
        serde_json::Value::Null,
    )
    .await;
    assert!(status == 200 && whoami["scope"] == "viewer", "{whoami}");
    let page = admin.get(&path).await.body;
    assert!(page.contains("backup") && !page.contains(&secret), "{page}");
    let page = Browser::logged_in(&office.world.app, "viewer").await.get(&path).await.body;
    assert!(!page.contains("backup"), "{page}");
    let id = whoami["token_id"].as_i64().unwrap();
    admin.post(&format!("{path}/tokens/end"), &format!("token_id={id}")).await;
    assert!(admin.get(&path).await.body.contains("is good no more"));
}

#[tokio::test]
async fn an_operator_makes_people_and_says_what_they_may() {
    let (office, guest) = office().await;
    let account = office.world.guest(guest).await.account_id;
    let mut operator = Browser::logged_in(&office.world.app, "operator").await;
    let seen = operator.post("/people", "name=zoe&full_name=Zoe+Example&password=short").await;
    assert!(seen.status == 422 && seen.body.contains("value=\"Zoe Example\""), "{}", seen.body);
    let password = PASSWORD.replace(' ', "+");
    let seen = operator.post("/people", &format!("name=zoe&full_name=Zoe+Example&password={password}")).await;
    assert_eq!(seen.status, 303, "{}", seen.body);
    let path = seen.location().to_owned();
    operator.post(&format!("{path}/grant"), &format!("account_id={account}&scope=viewer")).await;
    assert!(operator.get(&path).await.body.contains("zoe may now: viewer of acme."));
    let mut zoe = Browser::logged_in(&office.world.app, "zoe").await;
    assert!(zoe.get("/guests").await.body.contains("acme-web"));
    operator.post(&format!("{path}/delete"), "").await;
    assert_eq!(zoe.get("/guests").await.status, 303, "her session ended");
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

#[tokio::test]
async fn a_months_usage_is_shown_and_there_as_csv() {
    let (office, guest) = office().await;
    let account = office.world.guest(guest).await.account_id;
    office.world.pass(7_200);
    let mut viewer = Browser::logged_in(&office.world.app, "viewer").await;
    let page = viewer.get(&format!("/accounts/{account}/usage")).await.body;
    assert!(
        page.contains("acme-web") && page.contains("All together") && page.contains("usage.csv?month="),
        "{page}"
    );
    let (_, csv) = page.split_once(&format!("/accounts/{account}/usage.csv?month=")).unwrap();
    let path = format!("/accounts/{account}/usage.csv?month={}", &csv[..7]);
    let seen = viewer.get(&path).await;
    assert!(seen.status == 200 && seen.body.starts_with("account_id,guest_id,"), "{}", seen.body);
    assert!(seen.body.contains(",acme-web,running,"), "{}", seen.body);
    assert!(
        seen.headers[header::CONTENT_DISPOSITION]
            .to_str()
            .unwrap()
            .starts_with("attachment; filename=\"usage-")
    );
    assert_eq!(Browser::logged_in(&office.world.app, "stranger").await.get(&path).await.status, 404);
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

/// The policy would let a browser ignore it, and a page would be broken that looks whole in its source.
#[test]
fn no_template_holds_a_style_or_a_script() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("panel/templates");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for bad in
            [" style=", "<style", "<script>", " onclick=", " onchange=", "javascript:", "http://", "https://"]
        {
            assert!(!text.contains(bad), "{} holds {bad}", path.display());
        }
    }
}
