//! Consoles: who may ask for one, and from which page.

use super::{Browser, office};
use axum::http::Request;

/// What a browser sends that opens a WebSocket, from a page of this origin.
async fn opens(browser: &mut Browser, path: &str, origin: Option<&str>) -> u16 {
    let mut request = Request::builder().uri(path).header("host", "brain.example");
    for (name, value) in [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        request = request.header(name, value);
    }
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    browser.ask(request, String::new()).await.status
}

#[tokio::test]
async fn no_page_of_another_site_opens_a_console() {
    let (office, guest) = office().await;
    let app = &office.world.app;
    let path = format!("/guests/{guest}/console/socket");
    let mut admin = Browser::logged_in(app, "admin").await;
    let own = Some("http://brain.example");
    for origin in [
        None,
        Some("http://evil.example"),
        Some("null"),
        Some("http://brain.example.evil.example"),
        // The same site to a browser, which sends the cookie along: another service of the same machine.
        Some("http://brain.example:8080"),
        Some("https://brain.example:8443"),
    ] {
        assert_eq!(opens(&mut admin, &path, origin).await, 403, "{origin:?}");
    }
    // Without a connection that could be handed over there is nothing but that to refuse.
    assert_eq!(opens(&mut admin, &path, own).await, 426);
    // By a proxy that ends TLS and does not say so.
    assert_eq!(opens(&mut admin, &path, Some("https://brain.example")).await, 426);
    let mut others = vec![("nobody", Browser::new(app), 303)];
    for (name, status) in [("stranger", 404), ("viewer", 403), ("operator", 426)] {
        others.push((name, Browser::logged_in(app, name).await, status));
    }
    for (name, browser, status) in &mut others {
        assert_eq!(opens(browser, &path, own).await, *status, "{name}");
    }
}

#[tokio::test]
async fn who_may_only_look_is_shown_the_log_and_no_console() {
    let (office, guest) = office().await;
    let app = &office.world.app;
    let (console, log) = (format!("/guests/{guest}/console\""), format!("/guests/{guest}/log\""));
    let path = format!("/guests/{guest}");
    let mut stranger = Browser::logged_in(app, "stranger").await;
    assert_eq!(stranger.get(&format!("{path}/log")).await.status, 404, "it exists, which is nothing to them");
    let page = Browser::logged_in(app, "viewer").await.get(&path).await.body;
    assert!(page.contains(&log) && !page.contains(&console), "{page}");
    let mut admin = Browser::logged_in(app, "admin").await;
    let page = admin.get(&path).await.body;
    assert!(page.contains(&log) && page.contains(&console), "{page}");
    // The terminal is there once scripts are; without them the page says where else to go.
    let page = admin.get(&format!("{path}/console")).await.body;
    let (_, without) = page.split_once("<noscript>").unwrap();
    assert!(without.contains(&log) && without.contains("honcho guest console acme-web"), "{page}");
    for asset in ["console.js", "xterm.mjs", "xterm.css"] {
        let (before, _) = page.split_once(asset).unwrap();
        let address = format!("{}{asset}", &before[before.rfind('"').unwrap() + 1..]);
        assert_eq!(admin.get(&address).await.status, 200, "{address}");
    }
}
