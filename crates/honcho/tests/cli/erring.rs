//! What goes wrong, and what is said then.

use crate::brain::{Answer, Brain};
use crate::things::{account, guest, with};
use crate::{check, honcho, run, transcript};
use expect_test::expect;
use serde_json::json;
use std::process::Stdio;

#[tokio::test]
async fn a_brain_that_is_down() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let started = std::time::Instant::now();
    let mut command = honcho(&["guests", "list"]);
    command.env("HONCHO_URL", &url);
    let ended = run(command, b"").await;
    assert!(started.elapsed().as_secs() < 5, "it took {:?}", started.elapsed());
    expect![[r#"
        --- stderr
        error: the brain at http://BRAIN does not answer
        caused by: Connection refused (os error 111)
        hint: is it running? `honcho serve` starts one; --url or HONCHO_URL says where it is
        --- exit 3
    "#]]
    .assert_eq(&transcript(&ended).replace(&url, "http://BRAIN"));
}

#[tokio::test]
async fn a_brain_that_hangs_up() {
    let brain = Brain::new().answer("GET /v1/accounts.json", Answer::HangUp);
    check(
        &brain,
        "accounts list",
        expect![[r#"
            --- stderr
            error: the brain at http://BRAIN does not answer
            caused by: connection closed before message completed
            hint: is it running? `honcho serve` starts one; --url or HONCHO_URL says where it is
            --- exit 3
        "#]],
    )
    .await;
}

#[tokio::test]
async fn something_that_is_no_brain() {
    let brain = Brain::new().on("GET /v1/accounts.json", json!({"hello": 1}));
    check(&brain, "accounts list", expect![[r#"
        --- stderr
        error: the brain at http://BRAIN gave an answer that is none of Honcho's: invalid type: map, expected a sequence at line 1 column 0
        hint: check --url: is it the people's address of a Honcho brain?
        --- exit 1
    "#]]).await;
}

#[tokio::test]
async fn refusals() {
    let brain = Brain::new().refuse(
        "POST /v1/accounts.json",
        422,
        json!({"name": ["is taken", "is ugly"], "base": ["no"]}),
        Some("take another name"),
    );
    check(
        &brain,
        "account create acme",
        expect![[r#"
        --- stderr
        error: no; name is taken; name is ugly
        hint: take another name
        --- exit 4
    "#]],
    )
    .await;
    let brain =
        Brain::new().refuse("GET /v1/accounts.json", 401, json!({"base": ["the token is not known"]}), None);
    check(
        &brain,
        "accounts list",
        expect![[r#"
        --- stderr
        error: the token is not known
        hint: it was given by --token or HONCHO_TOKEN
        hint: `honcho login` lets a person in; an operator makes tokens by `honcho token create`
        --- exit 4
    "#]],
    )
    .await;
    let brain = Brain::new().refuse("GET /v1/accounts.json", 500, json!({"base": ["something broke"]}), None);
    check(
        &brain,
        "accounts list",
        expect![[r#"
        --- stderr
        error: something broke
        hint: the brain's log says more: look for request r-1
        --- exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn names_that_mean_nothing_or_too_much() {
    let of_other = with(guest(), &json!({"id": 9, "account_id": 6}));
    let brain = Brain::new()
        .on("GET /v1/guests.json?name=web9", json!([]))
        .on("GET /v1/guests.json?cancelled=true&name=web9", json!([]))
        .on("GET /v1/guests.json?name=web1", json!([guest(), of_other]))
        .on("GET /v1/accounts/5.json", account())
        .on("GET /v1/accounts.json?name=5", json!([with(account(), &json!({"id": 6, "name": "5"}))]));
    check(
        &brain,
        "guest show web9",
        expect![[r#"
        --- stderr
        error: there is no guest named "web9"
        hint: `honcho guest list` shows those there are
        --- exit 4
    "#]],
    )
    .await;
    check(
        &brain,
        "guest show web1",
        expect![[r#"
        --- stderr
        error: "web1" can mean any of these: web1 (id 7), web1 (id 9)
        hint: say whose it is with --account, or give its id
        --- exit 4
    "#]],
    )
    .await;
    check(
        &brain,
        "account show 5",
        expect![[r#"
        --- stderr
        error: "5" can mean any of these: acme (id 5), 5 (id 6)
        hint: write id:5 or name:5
        --- exit 4
    "#]],
    )
    .await;
    check(
        &brain,
        "account show id:4",
        expect![[r#"
        --- stderr
        error: there is no account with id 4
        hint: `honcho account list` shows those there are
        --- exit 4
    "#]],
    )
    .await;
}

#[tokio::test]
async fn an_account_tells_namesakes_apart() {
    let brain = Brain::new()
        .on("GET /v1/accounts.json?name=acme", json!([account()]))
        .on("GET /v1/guests.json?account_id=5&name=web1", json!([guest()]))
        .answer("PUT /v1/guests/7/stop.json?hard=true", Answer::Json(202, crate::things::done_as("stop")));
    check(
        &brain,
        "guest stop web1 --account acme --hard",
        expect![[r#"
            stop web1: done after 20s
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_cancelled_guest_is_found_where_that_helps() {
    let cancelled = with(guest(), &json!({"status": "cancelled", "cancelled_at": "2026-11-22T12:00:00Z"}));
    let gone = with(
        guest(),
        &json!({"id": 3, "status": "deleted", "cancelled_at": "2026-11-22T12:00:00Z", "deleted_at": "2026-11-22T12:00:00Z"}),
    );
    let brain = Brain::new()
        .on("GET /v1/guests.json?name=web1", json!([]))
        .on("GET /v1/guests.json?cancelled=true&name=web1", json!([gone, cancelled]))
        .answer("GET /v1/guests/7.json", Answer::Json(410, cancelled.clone()))
        .on("GET /v1/guests/7.json?cancelled=true", cancelled)
        .answer("PUT /v1/guests/7/restore.json", Answer::Json(202, crate::things::done_as("restore")));
    check(
        &brain,
        "guest stop web1",
        expect![[r#"
        --- stderr
        error: guest web1 is cancelled
        hint: `honcho guest restore 7` takes it back until its grace period ends
        --- exit 4
    "#]],
    )
    .await;
    check(
        &brain,
        "guest stop id:7",
        expect![[r#"
        --- stderr
        error: guest web1 is cancelled
        hint: `honcho guest restore 7` takes it back until its grace period ends
        --- exit 4
    "#]],
    )
    .await;
    check(
        &brain,
        "guest restore web1",
        expect![[r#"
            restore web1: done after 20s
        "#]],
    )
    .await;
}

#[tokio::test]
async fn no_token_no_question() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = honcho(&["guests", "list"]);
    command.env_remove("HONCHO_TOKEN").current_dir(directory.path());
    // An operator's token may lie in /var/lib/honcho of the machine that runs this; a brain elsewhere never gets it.
    command.env("HONCHO_URL", "http://192.0.2.1:7070");
    expect![[r#"
        --- stderr
        error: no token for the brain, and nobody has logged in
        hint: `honcho login` lets a person in; a token is given by --token-file FILE or HONCHO_TOKEN_FILE
        hint: files of this machine are not tried, since the brain is on another one
        --- exit 2
    "#]]
    .assert_eq(&transcript(&run(command, b"").await));
}

#[tokio::test]
async fn a_token_beside_the_brain_is_found() {
    let brain = Brain::new().on("GET /v1/accounts.json", json!([]));
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("var/brain")).unwrap();
    std::fs::write(directory.path().join("var/brain/operator.token"), "secret\n").unwrap();
    let mut command = honcho(&["accounts", "list", "--json"]);
    command.env_remove("HONCHO_TOKEN").env("HONCHO_URL", brain.start().await).current_dir(directory.path());
    assert_eq!(transcript(&run(command, b"").await), "[]\n");
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_error() {
    let many: Vec<_> =
        (0..2000).map(|id| with(account(), &json!({"id": id, "name": format!("account-{id}")}))).collect();
    let brain = Brain::new().on("GET /v1/accounts.json", json!(many));
    let mut command = honcho(&["accounts", "list"]);
    command.env("HONCHO_URL", brain.start().await);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(141), ""));
}
