//! People and tokens.

use super::{Browser, office};
use crate::http::people_tests::PASSWORD;

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
