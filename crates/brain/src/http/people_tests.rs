//! People and programs over HTTP, on a clock that is moved by hand.

use super::router;
use crate::app::App;
use crate::controllers::uses_step;
use crate::operations::tests::World;
use crate::operations::{AccountCreate, NetworkCreate};
use axum::body::Body;
use axum::http::{Request, header};
use honcho_store::{Filters, Scope, events};
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const PASSWORD: &str = "a violet fence sings";

/// Asks a brain; gives status and body.
pub(crate) async fn ask(app: &App, secret: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if !secret.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let response = router(app.clone()).oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// A world with an operator's token.
pub(crate) struct Office {
    pub(crate) world: World,
    pub(crate) operator: String,
}

impl Office {
    pub(crate) async fn new() -> Office {
        let world = World::new().await;
        let create = crate::operations::TokenCreate {
            scope: Scope::Operator,
            secret: world.app.outside.secret(),
            ends_with: None,
            body: honcho_api::TokenCreate { name: Some("o".into()), ..honcho_api::TokenCreate::default() },
        };
        let operator = world.ask(&create).await.unwrap().secret.unwrap();
        Office { world, operator }
    }

    pub(crate) async fn operate(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = ask(&self.world.app, &self.operator, method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Makes a person with [`PASSWORD`]; gives their id.
    pub(crate) async fn person(&self, name: &str, grants: &[(i64, &str)]) -> i64 {
        let body = json!({ "name": name, "password": PASSWORD });
        let id = self.operate("POST", "/v1/people", body).await["id"].as_i64().unwrap();
        for (account, scope) in grants {
            let path = format!("/v1/people/{id}/grant?account_id={account}&scope={scope}");
            self.operate("PUT", &path, Value::Null).await;
        }
        id
    }

    async fn try_login(&self, name: &str, password: &str) -> (u16, Value) {
        let body = json!({ "login": name, "password": password });
        ask(&self.world.app, "", "POST", "/v1/sessions", body).await
    }

    pub(crate) async fn login(&self, name: &str) -> String {
        let (status, session) = self.try_login(name, PASSWORD).await;
        assert_eq!(status, 201, "{session}");
        session["secret"].as_str().unwrap().to_owned()
    }

    async fn status(&self, secret: &str, path: &str) -> u16 {
        ask(&self.world.app, secret, "GET", path, Value::Null).await.0
    }
}

#[tokio::test]
async fn a_person_sees_the_accounts_granted_and_changes_those_where_they_are_admin() {
    let office = Office::new().await;
    let (world, acme) = (&office.world, office.world.account.id);
    let make = async |name: &str| {
        let body =
            honcho_api::AccountCreate { name: Some(name.into()), ..honcho_api::AccountCreate::default() };
        let uuid = world.app.outside.uuid();
        world.ask(&AccountCreate { scope: Scope::Operator, uuid, body }).await.unwrap().id
    };
    let (second, third) = (make("second").await, make("third").await);
    let mut guests = Vec::new();
    for (account, name) in [(acme, "one"), (second, "two"), (third, "three")] {
        let body = honcho_api::GuestCreate { account_id: Some(account), ..world.body(name) };
        guests.push(world.order_as(Scope::Operator, body).await.unwrap().id);
    }
    let ann = office.person("ann", &[(acme, "admin"), (second, "viewer")]).await;
    let secret = office.login("ann").await;
    let app = &world.app;

    let (_, me) = ask(app, &secret, "GET", "/v1/whoami", Value::Null).await;
    assert_eq!(
        (&me["person_name"], &me["scope"], &me["person_id"]),
        (&json!("ann"), &json!("admin"), &json!(ann))
    );
    assert_eq!(me["grants"].as_array().map(Vec::len), Some(2));

    let (_, list) = ask(app, &secret, "GET", "/v1/guests", Value::Null).await;
    let names: Vec<_> = list.as_array().unwrap().iter().map(|guest| guest["name"].clone()).collect();
    assert_eq!(names, ["one", "two"]);
    let rename = json!({ "name": "renamed" });
    for (guest, expected) in guests.iter().zip([200, 404, 404]) {
        let (status, answer) = ask(app, &secret, "PUT", &format!("/v1/guests/{guest}"), rename.clone()).await;
        assert_eq!(status, expected, "{answer}");
    }
    let order = |account: i64| {
        json!({"account_id": account, "name": "new", "image_id": world.image.id,
        "network_id": world.network.id, "memory_bytes": 1 << 28, "disk_bytes": 3_i64 << 30, "reference": "r"})
    };
    let (status, theirs) = ask(app, &office.operator, "POST", "/v1/guests", order(third)).await;
    assert_eq!(status, 201, "{theirs}");
    assert_eq!(ask(app, &secret, "POST", "/v1/guests", order(acme)).await.0, 201);
    let (status, refusal) = ask(app, &secret, "POST", "/v1/guests", order(third)).await;
    assert_eq!((status, &refusal["errors"]["account_id"][0]), (422, &json!("does not exist")), "{refusal}");

    // What a viewer may is to look.
    office
        .operate("PUT", &format!("/v1/people/{ann}/grant?account_id={acme}&scope=viewer"), Value::Null)
        .await;
    let path = format!("/v1/guests/{}", guests[0]);
    assert_eq!(ask(app, &secret, "PUT", &path, rename.clone()).await.0, 403);
    assert_eq!(office.status(&secret, &path).await, 200);
    office.operate("PUT", &format!("/v1/people/{ann}/revoke?account_id={acme}"), Value::Null).await;
    assert_eq!(office.status(&secret, &path).await, 404);
    office.operate("PATCH", &format!("/v1/people/{ann}"), json!({ "operator": true })).await;
    assert_eq!(office.status(&secret, "/v1/hosts").await, 200);
    office.operate("DELETE", &format!("/v1/people/{ann}"), Value::Null).await;
    assert_eq!(office.status(&secret, "/v1/whoami").await, 401);
}

#[tokio::test]
async fn the_log_names_people_and_customers_are_told_only_their_own() {
    let office = Office::new().await;
    let (world, acme) = (&office.world, office.world.account.id);
    let guest = world.order("web1").await.id;
    let ann = office.person("ann", &[(acme, "admin")]).await;
    let bob = office.person("bob", &[]).await;
    office.operate("PATCH", &format!("/v1/people/{bob}"), json!({ "operator": true })).await;
    let (ann_secret, bob_secret) = (office.login("ann").await, office.login("bob").await);
    for (secret, name) in [(&ann_secret, "by-ann"), (&bob_secret, "by-bob")] {
        let body = json!({ "name": name });
        let (status, answer) = ask(&world.app, secret, "PATCH", &format!("/v1/guests/{guest}"), body).await;
        assert_eq!(status, 200, "{answer}");
    }
    let told = async |scope: Scope| {
        let filters = Filters::parse([("kind".to_owned(), "guest.rename".to_owned())]).unwrap();
        let events = events::list(world.app.store.reader(), scope, &filters).await.unwrap();
        events.into_iter().map(|event| event.actor).collect::<Vec<_>>()
    };
    let names = [format!("person:{ann} (ann)"), format!("person:{bob} (bob, operator)")];
    assert_eq!(told(Scope::Operator).await, names);
    let customer = Scope::Account(honcho_model::AccountId(acme));
    assert_eq!(told(customer).await, [names[0].as_str(), "honcho"]);
    let (_, log) = ask(&world.app, &office.operator, "GET", "/v1/events", Value::Null).await;
    assert!(!log.to_string().contains("argon2"), "no hash in the log");
    assert!(!log.to_string().contains(PASSWORD), "no password in the log");
}

#[tokio::test]
async fn ten_wrong_passwords_lock_and_nobody_is_told_whether_there_is_such_a_person() {
    let office = Office::new().await;
    let ann = office.person("ann", &[]).await;
    let wrong = (0..10).map(|n| {
        let guess = format!("guess number {n}");
        let office = &office;
        async move { office.try_login("ann", &guess).await }
    });
    let mut answers = futures::future::join_all(wrong).await;
    // The source has to pause by now.
    let (status, _) = office.try_login("ann", PASSWORD).await;
    assert_eq!(status, 429);
    office.world.pass(60);
    answers.push(office.try_login("ann", PASSWORD).await);
    office.world.pass(60);
    answers.push(office.try_login("nobody-there", PASSWORD).await);
    for (status, mut answer) in answers {
        answer["request_id"] = Value::Null;
        assert_eq!((status, &answer["code"]), (401, &json!("login_refused")), "{answer}");
    }
    let alarms = Filters::parse([("kind".to_owned(), "person.locked".to_owned())]).unwrap();
    let alarms = events::list(office.world.app.store.reader(), Scope::Operator, &alarms).await.unwrap();
    assert_eq!(alarms.len(), 1);
    assert_eq!((alarms[0].severity.as_str(), alarms[0].resource_name.as_str()), ("alarm", "ann"));
    let shown = office.operate("GET", &format!("/v1/people/{ann}"), Value::Null).await;
    assert!(shown["locked_until"].is_string(), "{shown}");

    office.operate("PUT", &format!("/v1/people/{ann}/unlock"), Value::Null).await;
    office.world.pass(60);
    office.login("ann").await;

    // And again: this time it is time that unlocks.
    office.world.pass(3600);
    let wrong = (0..10).map(|_| office.try_login("ann", "wrong again, alas"));
    for (status, _) in futures::future::join_all(wrong).await {
        assert_eq!(status, 401);
    }
    office.world.pass(14 * 60);
    assert_eq!(office.try_login("ann", PASSWORD).await.0, 401);
    office.world.pass(60);
    office.login("ann").await;
}

#[tokio::test]
async fn sessions_end_by_idleness_by_age_by_logging_out_and_by_another_password() {
    let office = Office::new().await;
    let ann = office.person("ann", &[]).await;
    let (first, second) = (office.login("ann").await, office.login("ann").await);
    let app = &office.world.app;
    let (_, list) = ask(app, &first, "GET", "/v1/sessions", Value::Null).await;
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    assert!(list.to_string().contains("\"secret\":null"), "shown once");

    let path = format!("/v1/people/{ann}/password");
    let change = |current: &str, new: &str| json!({ "current_password": current, "password": new });
    assert_eq!(ask(app, &first, "PUT", &path, change("not it at all", "seven green lamps")).await.0, 401);
    let (status, refusal) = ask(app, &first, "PUT", &path, change(PASSWORD, "password1234")).await;
    assert_eq!((status, refusal["errors"]["password"].is_array()), (422, true), "{refusal}");
    assert_eq!(ask(app, &first, "PUT", &path, change(PASSWORD, "seven green lamps")).await.0, 200);
    assert_eq!(office.status(&first, "/v1/whoami").await, 200, "the one who asked stays");
    assert_eq!(office.status(&second, "/v1/whoami").await, 401, "the others have ended");
    assert_eq!(office.try_login("ann", PASSWORD).await.0, 401);

    // Used every 50 minutes it stays, for a day.
    for _ in 0..28 {
        assert_eq!(office.status(&first, "/v1/whoami").await, 200);
        uses_step(app.clone()).await.unwrap();
        office.world.pass(50 * 60);
    }
    office.world.pass(41 * 60);
    assert_eq!(office.status(&first, "/v1/whoami").await, 401, "a day is the longest");

    let (_, session) = office.try_login("ann", "seven green lamps").await;
    let third = session["secret"].as_str().unwrap().to_owned();
    office.world.pass(59 * 60);
    assert_eq!(office.status(&third, "/v1/whoami").await, 200);
    office.world.pass(60 * 60);
    assert_eq!(office.status(&third, "/v1/whoami").await, 401, "an hour idle");

    // Whoever types at a console uses it, though nothing is asked for anew.
    let (_, session) = office.try_login("ann", "seven green lamps").await;
    let typing = session["secret"].as_str().unwrap().to_owned();
    let standing = crate::credentials::find(app, &typing).await.unwrap().unwrap();
    for _ in 0..3 {
        office.world.pass(50 * 60);
        assert!(standing.holds(app).await.unwrap());
        standing.used(app).await;
        uses_step(app.clone()).await.unwrap();
    }
    office.world.pass(60 * 60);
    assert!(!standing.holds(app).await.unwrap(), "an hour in which nothing was typed");
    standing.used(app).await;
    assert!(!standing.holds(app).await.unwrap(), "too late");

    let (_, session) = office.try_login("ann", "seven green lamps").await;
    let fourth = session["secret"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{}", session["id"]);
    assert_eq!(ask(app, &fourth, "DELETE", &path, Value::Null).await.0, 200);
    assert_eq!(office.status(&fourth, "/v1/whoami").await, 401, "logged out");
}

#[tokio::test]
async fn a_token_that_was_ended_lives_a_second_at_most_on_whichever_brain() {
    let office = Office::new().await;
    let (world, here) = (&office.world, &office.world.app);
    // The same store, and a memory of its own.
    let there = here.beside();
    let status = async |app: &App, secret: &str| ask(app, secret, "GET", "/v1/whoami", Value::Null).await.0;
    let make = async |body: Value| {
        let token = office.operate("POST", "/v1/tokens", body).await;
        (token["id"].as_i64().unwrap(), token["secret"].as_str().unwrap().to_owned())
    };
    let (id, secret) = make(json!({ "name": "a" })).await;
    assert_eq!((status(here, &secret).await, status(&there, &secret).await), (200, 200));
    office.operate("DELETE", &format!("/v1/tokens/{id}"), Value::Null).await;
    assert_eq!(status(here, &secret).await, 401, "at once where it was ended");
    assert_eq!(status(&there, &secret).await, 200, "elsewhere what was just read is remembered");
    world.pass_millis(999);
    assert_eq!(status(&there, &secret).await, 200);
    world.pass_millis(1);
    assert_eq!(status(&there, &secret).await, 401, "for a second and no longer");

    // Expiry is looked at each time, also in what is remembered.
    let (_, secret) = make(json!({ "name": "b", "expires_in_seconds": 5 })).await;
    world.pass_millis(4600);
    assert_eq!(status(here, &secret).await, 200);
    world.pass_millis(400);
    assert_eq!(status(here, &secret).await, 401);

    // What is good for nothing is not remembered.
    here.credentials.forget();
    for n in 0..20 {
        assert_eq!(status(here, &format!("guess-{n}")).await, 401);
    }
    assert_eq!(here.credentials.count(), 0);

    // When it was used is written down by and by.
    let (id, secret) = make(json!({ "name": "c" })).await;
    status(here, &secret).await;
    uses_step(here.clone()).await.unwrap();
    let shown = office.operate("GET", &format!("/v1/tokens/{id}"), Value::Null).await;
    assert!(shown["last_used_at"].is_string(), "{shown}");
}

#[tokio::test]
async fn admins_make_tokens_of_their_account_no_wider_and_no_longer_than_their_own() {
    let office = Office::new().await;
    let (app, acme) = (&office.world.app, office.world.account.id);
    let body = json!({ "name": "a", "scope": "admin", "account_id": acme, "expires_in_seconds": 100 });
    let admin = office.operate("POST", "/v1/tokens", body).await["secret"].as_str().unwrap().to_owned();
    let try_make = async |body: Value| ask(app, &admin, "POST", "/v1/tokens", body).await;
    let refused = [
        (json!({ "name": "t", "scope": "operator", "expires_in_seconds": 9 }), "scope"),
        (json!({ "name": "t", "scope": "admin", "account_id": 999, "expires_in_seconds": 9 }), "account_id"),
        (json!({ "name": "t", "scope": "machine", "guest_id": 999, "expires_in_seconds": 9 }), "guest_id"),
        (json!({ "name": "t", "scope": "viewer" }), "expires_in_seconds"),
        (json!({ "name": "t", "scope": "viewer", "expires_in_seconds": 101 }), "expires_in_seconds"),
    ];
    for (body, attribute) in refused {
        let (status, answer) = try_make(body).await;
        assert_eq!(status, 422, "{answer}");
        assert!(answer["errors"][attribute].is_array(), "{answer}");
    }
    let (status, made) = try_make(json!({ "name": "t", "expires_in_seconds": 100 })).await;
    assert_eq!((status, &made["scope"], &made["account_id"]), (201, &json!("admin"), &json!(acme)), "{made}");
    let body = NetworkCreate {
        scope: Scope::Account(honcho_model::AccountId(acme)),
        uuid: app.outside.uuid(),
        body: honcho_api::NetworkCreate::default(),
    };
    assert!(office.world.ask(&body).await.is_err(), "what is the operators' stays theirs");
}
