//! What a stock ActiveResource client puts on the wire, and what it must be answered.

use anyhow::{Context as _, Result};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::World;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

struct Stock {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Stock {
    /// Basic, a new connection for each call, JSON content type even on an empty body.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<(StatusCode, Option<String>, Value)> {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request.basic_auth("any", Some(&self.token)).header("connection", "close");
        let request = request.header("content-type", "application/json").header("accept", "*/*");
        let response = request.body(body.to_owned()).send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let location = headers.get("location").map(|value| value.to_str().map(str::to_owned)).transpose()?;
        let text = response.text().await?;
        let value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).context(text)? };
        Ok((status, location, value))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_finds_makes_changes_acts_and_destroys() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let stock = Stock { http: reqwest::Client::new(), url: brain.url(), token: brain.token()? };

    let (status, _, body) = stock.call(Method::GET, "/v1/guests.json", "").await?;
    assert_eq!((status.as_u16(), body), (200, json!([])), "a bare array, also when empty");

    // save: rooted, numbers as strings
    let wish = json!({"guest": {"name": "web1", "account_id": world.account.id.to_string(), "image_id": world.image.id,
        "network_id": world.network.id, "memory_bytes": "67108864", "disk_bytes": 134_217_728, "reference": "order-1"}});
    let (status, location, guest) = stock.call(Method::POST, "/v1/guests.json", &wish.to_string()).await?;
    assert_eq!(status, 201, "{guest}");
    let id = guest["id"].as_i64().context("an id")?;
    assert_eq!(location.as_deref(), Some(format!("/v1/guests/{id}").as_str()));
    assert!(guest["operation_id"].is_i64() && guest["host_id"].is_i64());
    assert!(
        guest.as_object().context("an object")?.contains_key("cancelled_at"),
        "absent is null, never left out"
    );
    let (_, _, again) = stock.call(Method::POST, "/v1/guests.json", &wish.to_string()).await?;
    assert_eq!(again["id"], guest["id"], "the same reference is the same guest");

    // refusals
    let (status, _, refusal) =
        stock.call(Method::POST, "/v1/guests.json", r#"{"guest":{"name":"Web 1"}}"#).await?;
    assert_eq!(status, 422);
    assert_eq!(refusal["errors"]["account_id"], json!(["can't be blank"]));
    assert!(
        refusal["errors"]["name"].is_array()
            && refusal["code"] == "invalid"
            && refusal["request_id"].is_string()
    );

    // find, where, nested
    world.ended(guest["operation_id"].as_i64().context("an operation")?).await?;
    let (_, _, found) = stock.call(Method::GET, &format!("/v1/guests/{id}.json"), "").await?;
    assert_eq!(found["status"], "running");
    let (_, _, found) = stock.call(Method::GET, "/v1/guests.json?status=running&name=web1", "").await?;
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    let nested = format!("/v1/accounts/{}/guests.json", world.account.id);
    let (_, _, found) = stock.call(Method::GET, &nested, "").await?;
    assert_eq!(found[0]["account_id"], world.account.id);

    // update: the whole object comes back, with what was read-only
    let mut whole = found[0].clone();
    whole["name"] = json!("web2");
    whole["junk"] = json!({"unknown": true});
    let (status, _, changed) =
        stock.call(Method::PUT, &format!("/v1/guests/{id}.json"), &whole.to_string()).await?;
    assert_eq!((status.as_u16(), &changed["name"]), (200, &json!("web2")));
    assert_eq!(changed["lock_version"], 2);
    let (status, _, unchanged) =
        stock.call(Method::PUT, &format!("/v1/guests/{id}.json"), &whole.to_string()).await?;
    assert_eq!(
        (status.as_u16(), &unchanged["lock_version"]),
        (200, &json!(2)),
        "the same values are no change"
    );
    whole["name"] = json!("web3");
    let (status, _, stale) =
        stock.call(Method::PUT, &format!("/v1/guests/{id}.json"), &whole.to_string()).await?;
    assert_eq!((status.as_u16(), &stale["code"]), (409, &json!("conflict")));

    // member actions: PUT with an empty body, POST with any
    let (status, _, operation) =
        stock.call(Method::PUT, &format!("/v1/guests/{id}/reboot.json?hard=true"), "").await?;
    assert_eq!((status.as_u16(), &operation["kind"]), (202, &json!("reboot")));
    let (status, ..) =
        stock.call(Method::POST, &format!("/v1/guests/{id}/stop.json"), &whole.to_string()).await?;
    assert_eq!(status, 202);

    // destroy
    let (status, _, operation) = stock.call(Method::DELETE, &format!("/v1/guests/{id}.json"), "").await?;
    assert_eq!((status.as_u16(), &operation["kind"]), (202, &json!("cancel")));
    let (status, _, gone) = stock.call(Method::GET, &format!("/v1/guests/{id}.json"), "").await?;
    assert_eq!((status.as_u16(), &gone["id"]), (410, &json!(id)), "gone, with the full object");
    let (_, _, list) = stock.call(Method::GET, "/v1/guests.json", "").await?;
    assert_eq!(list, json!([]));
    let (_, _, list) = stock.call(Method::GET, "/v1/guests.json?cancelled=true", "").await?;
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    let (status, ..) = stock.call(Method::PUT, &format!("/v1/guests/{id}/restore.json"), "").await?;
    assert_eq!(status, 202);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_customers_and_bad_bodies_get_their_4xx_in_one_shape() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let other: honcho_api::Account = world.client.create(&json!({"name": "other"})).await?;
    let token: honcho_api::Token = world
        .client
        .post("/v1/tokens", &json!({"name": "t", "scope": "admin", "account_id": other.id}))
        .await?;
    let customer =
        Stock { http: reqwest::Client::new(), url: brain.url(), token: token.secret.context("a secret")? };
    let operator = Stock { http: reqwest::Client::new(), url: brain.url(), token: brain.token()? };
    let stranger = Stock { http: reqwest::Client::new(), url: brain.url(), token: "nonsense".into() };

    let check = async |who: &Stock, method: Method, path: &str, body: &str, expected: u16| -> Result<()> {
        let (status, _, answer) = who.call(method.clone(), path, body).await?;
        anyhow::ensure!(status.as_u16() == expected, "{method} {path} {body:.40}: {status} {answer}");
        if expected >= 400 {
            anyhow::ensure!(answer["errors"].is_object() && answer["status"] == expected, "{answer}");
        }
        Ok(())
    };
    let foreign = format!("/v1/accounts/{}.json", world.account.id);
    check(&stranger, Method::GET, "/v1/guests.json", "", 401).await?;
    check(&customer, Method::GET, &foreign, "", 404).await?;
    check(&customer, Method::GET, "/v1/hosts.json", "", 403).await?;
    check(&customer, Method::POST, "/v1/accounts.json", r#"{"name":"mine"}"#, 403).await?;
    check(&operator, Method::GET, "/v1/nonsense.json", "", 404).await?;
    check(&operator, Method::GET, "/v1/guests/9999.json", "", 404).await?;
    check(&operator, Method::GET, "/v1/guests/99999999999999999999.json", "", 404).await?;
    check(&operator, Method::DELETE, "/v1/guests.json", "", 405).await?;
    check(&operator, Method::POST, "/v1/accounts.json", "{", 400).await?;
    check(&operator, Method::POST, "/v1/accounts.json", "[]", 400).await?;
    check(&operator, Method::POST, "/v1/accounts.json", &"x".repeat(2 << 20), 413).await?;
    check(&operator, Method::POST, "/v1/accounts.json", r#"{"name":"a\u0000b"}"#, 422).await?;
    check(&operator, Method::POST, "/v1/accounts.json", r#"{"name":"acme"}"#, 422).await?;
    check(&operator, Method::GET, "/v1/guests.json?limit=x", "", 422).await?;
    check(&operator, Method::GET, "/v1/guests.json?colour=red", "", 422).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_answers_a_stranger() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let http = reqwest::Client::new();
    let document: Value = http.get(format!("{}/v1/openapi.json", brain.url())).send().await?.json().await?;
    let mut walked = 0;
    for (path, methods) in document["paths"].as_object().context("paths")? {
        for method in methods.as_object().context("methods")?.keys() {
            let path = path.replace("{id}", "1").replace("{digest}", &"0".repeat(64));
            let method: Method = method.to_uppercase().parse()?;
            // Whoever signs in is a stranger until then; `{}` is refused there as an order, and not as a secret.
            let expected =
                if (method.as_str(), path.as_str()) == ("POST", "/v1/sessions") { 422 } else { 401 };
            let answer =
                http.request(method.clone(), format!("{}{path}", brain.url())).body("{}").send().await?;
            assert_eq!(answer.status(), expected, "{method} {path}");
            walked += 1;
        }
    }
    assert!(walked > 50, "only {walked} routes were walked");
    Ok(())
}
