//! What `/metrics` prints on a populated brain, and that the dashboard and the rules speak of nothing else.

use crate::http::router;
use crate::operations::tests::World;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use honcho_store::Scope;
use std::collections::BTreeSet;
use tower::ServiceExt as _;

async fn get(world: &World, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = router(world.app.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

fn metrics_token(world: &World) -> String {
    std::fs::read_to_string(world.app.data.join("metrics.token")).unwrap().trim().to_owned()
}

/// A brain on which something of everything has happened.
async fn populated() -> (World, String) {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.settle(guest.id).await;
    world.order("web2").await;
    let body = honcho_api::WebhookCreate {
        url: Some("https://127.0.0.1:1/".into()),
        ..honcho_api::WebhookCreate::default()
    };
    let hook = crate::operations::WebhookCreate { scope: Scope::Operator, secret: "whsec_".into(), body };
    world.ask(&hook).await.unwrap();
    let telling = tokio::spawn(crate::controllers::telling_run(world.app.clone()));
    let begun = std::time::Instant::now();
    loop {
        let failing = honcho_store::Filters::default().and("status", "failing");
        let hooks =
            honcho_store::webhooks::list(world.app.store.reader(), Scope::System, &failing).await.unwrap();
        if !hooks.is_empty() {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "a delivery fails");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    telling.abort();
    get(&world, "/v1/guests/4711", None).await;
    world.pass(30);
    let (status, text) = get(&world, "/metrics", Some(&metrics_token(&world))).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    (world, text)
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|known| known == line), "no line {line:?} in\n{text}");
}

#[tokio::test]
async fn everything_that_is_watched_is_printed() {
    let (world, text) = populated().await;
    has(&text, &format!("honcho_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    has(&text, "honcho_database_up 1");
    has(&text, "honcho_guests{status=\"running\"} 1");
    has(&text, "honcho_operations{state=\"done\"} 1");
    has(&text, "honcho_operations{state=\"open\"} 1");
    has(&text, "honcho_hosts{status=\"up\"} 1");
    has(&text, "honcho_host_silence_seconds{host=\"h1\"} 30.0");
    has(&text, "honcho_addresses{network=\"office\"} 253");
    has(&text, "honcho_addresses_free{network=\"office\"} 251");
    has(&text, "honcho_webhooks{status=\"failing\"} 1");
    has(&text, "honcho_webhook_behind_seconds 30.0");
    has(&text, "honcho_webhook_deliveries_total{outcome=\"failed\"} 1");
    has(
        &text,
        "honcho_http_requests_total{listener=\"people\",method=\"GET\",route=\"/v1/guests/{id}\",code=\"401\"} 1",
    );
    for some in [
        "honcho_database_changes_total{outcome=\"committed\"} ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ] {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(some))
            .unwrap_or_else(|| panic!("{some} in {text}"));
        assert!(value.parse::<f64>().unwrap() > 0.0, "{some}{value}");
    }
    // A second scrape within seconds asks nothing anew.
    world.order("web3").await;
    let (_, again) = get(&world, "/metrics", Some(&metrics_token(&world))).await;
    assert_eq!(again, text);
}

#[tokio::test]
async fn strangers_and_customers_see_no_metrics_and_who_scrapes_sees_nothing_else() {
    let world = World::new().await;
    let token = metrics_token(&world);
    assert_eq!(get(&world, "/metrics", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&world, "/metrics", Some("nonsense")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&world, "/v1/guests", Some(&token)).await.0, StatusCode::UNAUTHORIZED);
    let make = async |scope: &str, account_id| {
        let body = honcho_api::TokenCreate {
            name: Some("t".into()),
            scope: Some(scope.into()),
            account_id,
            ..honcho_api::TokenCreate::default()
        };
        let secret = world.app.outside.secret();
        let change = crate::operations::TokenCreate { scope: Scope::Operator, secret, ends_with: None, body };
        world.ask(&change).await.unwrap().secret.unwrap()
    };
    let admin = make("admin", Some(world.account.id)).await;
    assert_eq!(get(&world, "/metrics", Some(&admin)).await.0, StatusCode::FORBIDDEN);
    let operator = make("operator", None).await;
    assert_eq!(get(&world, "/metrics", Some(&operator)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn ready_is_more_than_alive() {
    let world = World::new().await;
    assert_eq!(get(&world, "/healthz", None).await, (StatusCode::OK, "ok\n".to_owned()));
    let (status, text) = get(&world, "/readyz", None).await;
    assert_eq!((status.as_u16(), text.as_str()), (200, r#"{"ready":true,"database":"ok","process":"ok"}"#));
    world.app.ending.cancel();
    let (status, text) = get(&world, "/readyz", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("the brain is ending"), "{text}");
    world.app.store.clone().close().await.unwrap();
    let (status, text) = get(&world, "/readyz", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("it does not answer"), "{text}");
    assert_eq!(get(&world, "/healthz", None).await.0, StatusCode::OK);
    let (_, text) = get(&world, "/metrics", Some(&metrics_token(&world))).await;
    has(&text, "honcho_database_up 0");
}

/// Words in a text that are names of metrics.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("honcho_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn dashboard_and_rules_speak_of_metrics_that_exist() {
    let (_, text) = populated().await;
    let printed: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next().map(str::to_owned))
        .collect();
    let packaging = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging");
    let dashboard = std::fs::read_to_string(format!("{packaging}/grafana/honcho.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let rules = std::fs::read_to_string(format!("{packaging}/prometheus/honcho.rules.yml")).unwrap();
    let mut spoken = names(&rules);
    let mut panels = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            spoken.extend(names(target["expr"].as_str().unwrap()));
            panels += 1;
        }
    }
    assert!(panels > 10 && spoken.len() > 15, "{panels} {spoken:?}");
    let unknown: Vec<_> = spoken.difference(&printed).collect();
    assert!(unknown.is_empty(), "no such metrics: {unknown:?}; there are {printed:?}");
}
