//! Who gets which page, and what no page holds.

use super::{Browser, office};
use axum::http::header;

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
/placement      303 403 403 403 200
/placement?memory=1G&vcpus=1&disk=1G&if_lost=1&by=loss  303 403 403 403 200
/placement?memory=1G  303 403 403 403 422
/placement?by=colour  303 403 403 403 422
/placement?if_lost=999  303 403 403 403 404
/images         303 200 200 200 200
/images/1       303 200 200 200 200
/images/1/diff  303 200 200 200 200
/images/1/diff?with=1  303 200 200 200 200
/images/1/diff?with=999  303 404 404 404 404
/images/1/diff?with=x  303 422 422 422 422
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
/guests/{id}/console  303 404 403 200 200
/guests/{id}/packages  303 404 200 200 200
/guests/{id}?span=2d&span=90d  303 400 400 400 400
/guests/{id}/console/socket  303 403 403 403 403
/guests/999/log  303 404 404 404 404
/guests/new     303 200 403 200 200
/guests/views   405 405 405 405 405
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
    assert_eq!(stranger.get(&format!("/guests/{guest}/load/live?span=6h")).await.status, 404);
    assert_eq!(stranger.get("/hosts/1/load/live").await.status, 403);
    assert_eq!(Browser::new(app).get("/hosts/1/load/live").await.status, 204);
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
