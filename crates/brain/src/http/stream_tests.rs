//! What is followed ends with the secret that opened it.

use super::people_tests::{Office, ask};
use super::router;
use crate::app::App;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, header};
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt as _;

/// A stream that somebody follows.
struct Followed(BodyDataStream);

impl Followed {
    async fn open(app: &App, secret: &str, path: &str) -> Followed {
        let request = Request::builder().uri(path).header(header::AUTHORIZATION, format!("Bearer {secret}"));
        let response = router(app.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        Followed(response.into_body().into_data_stream())
    }

    /// Reads what is told until nothing has come for so long; `None` when the stream has ended.
    async fn told(&mut self, quiet: Duration) -> Option<String> {
        let mut told = String::new();
        loop {
            match tokio::time::timeout(quiet, self.0.next()).await {
                Ok(Some(piece)) => told += std::str::from_utf8(&piece.unwrap()).unwrap(),
                Ok(None) => return None,
                Err(_) => return Some(told),
            }
        }
    }

    async fn goes_on(&mut self) -> String {
        self.told(Duration::from_millis(1_200)).await.expect("the stream has ended")
    }

    /// Waits for its end; gives what was told before.
    async fn ends(mut self, within: Duration) -> String {
        let mut told = String::new();
        let read = async {
            while let Some(piece) = self.0.next().await {
                told += std::str::from_utf8(&piece.unwrap()).unwrap();
            }
        };
        tokio::time::timeout(within, read).await.expect("the stream goes on");
        told
    }
}

const AT_ONCE: Duration = Duration::from_secs(5);

async fn token(office: &Office, body: Value) -> (i64, String) {
    let token = office.operate("POST", "/v1/tokens", body).await;
    (token["id"].as_i64().unwrap(), token["secret"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_deleted_and_others_go_on() {
    let office = Office::new().await;
    let (app, account) = (&office.world.app, office.world.account.id);
    let guest = office.world.order("web1").await;
    let (id, secret) = token(&office, json!({ "name": "a", "account_id": account })).await;
    let operation = format!("/v1/operations/{}/stream", guest.operation_id.unwrap());
    let mut events = Followed::open(app, &secret, "/v1/events/stream").await;
    let mut steps = Followed::open(app, &secret, &operation).await;
    let mut others = Followed::open(app, &office.operator, "/v1/events/stream").await;
    assert!(events.goes_on().await.contains("guest.create"));
    assert!(steps.goes_on().await.contains("\"state\":\"open\""));
    office.operate("DELETE", &format!("/v1/tokens/{id}"), Value::Null).await;
    // What happens from now on is none of theirs.
    office.operate("PUT", &format!("/v1/guests/{}/reboot", guest.id), Value::Null).await;
    let told = tokio::join!(events.ends(AT_ONCE), steps.ends(AT_ONCE));
    assert!(!told.0.contains("guest.reboot"), "{}", told.0);
    assert!(others.goes_on().await.contains("guest.reboot"));
}

#[tokio::test]
async fn a_stream_ends_where_another_brain_ended_its_token() {
    let office = Office::new().await;
    let there = office.world.app.beside();
    let (id, secret) = token(&office, json!({ "name": "a" })).await;
    let mut events = Followed::open(&there, &secret, "/v1/events/stream").await;
    events.goes_on().await;
    office.operate("DELETE", &format!("/v1/tokens/{id}"), Value::Null).await;
    office.world.pass(1);
    events.ends(AT_ONCE).await;
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires() {
    let office = Office::new().await;
    let (_, secret) = token(&office, json!({ "name": "a", "expires_in_seconds": 60 })).await;
    let mut events = Followed::open(&office.world.app, &secret, "/v1/events/stream").await;
    office.world.pass(59);
    events.goes_on().await;
    office.world.pass(1);
    events.ends(AT_ONCE).await;
}

#[tokio::test]
async fn a_persons_stream_ends_with_what_they_may_see_and_with_their_session() {
    let office = Office::new().await;
    let (app, account) = (&office.world.app, office.world.account.id);
    let second = office.operate("POST", "/v1/accounts", json!({ "name": "second" })).await["id"].clone();
    let ann = office.person("ann", &[(account, "admin")]).await;
    let secret = office.login("ann").await;
    let mut events = Followed::open(app, &secret, "/v1/events/stream").await;
    // More is no reason to end anything.
    office
        .operate("PUT", &format!("/v1/people/{ann}/grant?account_id={second}&scope=viewer"), Value::Null)
        .await;
    events.goes_on().await;
    let mut both = Followed::open(app, &secret, "/v1/events/stream").await;
    both.goes_on().await;
    office
        .operate("PUT", &format!("/v1/people/{ann}/grant?account_id={account}&scope=viewer"), Value::Null)
        .await;
    tokio::join!(events.ends(AT_ONCE), both.ends(AT_ONCE));

    let less = Followed::open(app, &secret, "/v1/events/stream").await;
    office.operate("PUT", &format!("/v1/people/{ann}/revoke?account_id={second}"), Value::Null).await;
    less.ends(AT_ONCE).await;

    let last = Followed::open(app, &secret, "/v1/events/stream").await;
    let (_, sessions) = ask(app, &secret, "GET", "/v1/sessions", Value::Null).await;
    let path = format!("/v1/sessions/{}", sessions[0]["id"]);
    assert_eq!(ask(app, &secret, "DELETE", &path, Value::Null).await.0, 200);
    last.ends(AT_ONCE).await;
}

#[tokio::test]
async fn following_is_no_use_of_a_session() {
    let office = Office::new().await;
    office.person("ann", &[(office.world.account.id, "admin")]).await;
    let secret = office.login("ann").await;
    let mut events = Followed::open(&office.world.app, &secret, "/v1/events/stream").await;
    office.world.pass(59 * 60);
    events.goes_on().await;
    office.world.pass(60);
    events.ends(AT_ONCE).await;
}
