//! `--wait` and `watch`: steps, restarts of the brain, ends of all kinds.

use crate::brain::{Answer, Brain};
use crate::things::{done, done_as, guest, operation};
use crate::{check, honcho, run, transcript};
use expect_test::expect;
use serde_json::json;
use tokio::net::TcpListener;

fn at(step: &str, percent: Option<i64>) -> serde_json::Value {
    operation(&json!({"kind": "stop", "step": step, "percent": percent}))
}

fn stopping() -> Brain {
    Brain::new()
        .on("GET /v1/guests.json?name=web1", json!([guest()]))
        .answer("PUT /v1/guests/7/stop.json", Answer::Json(202, operation(&json!({"kind": "stop"}))))
}

#[tokio::test]
async fn steps_are_shown_until_it_is_done() {
    let brain = stopping().on("GET /v1/operations/12.json", operation(&json!({"kind": "stop"}))).answer(
        "GET /v1/operations/12/stream",
        Answer::Events(vec![
            at("fetch_image", Some(10)),
            at("fetch_image", Some(60)),
            operation(&json!({"kind": "stop", "step": "fetch_image", "problem": "the pool is full; tried again in 5 s"})),
            operation(&json!({"kind": "stop", "step": "fetch_image", "problem": "the pool is full; tried again in 5 s"})),
            at("start_domain", None),
            done_as("stop"),
        ]),
    );
    check(
        &brain,
        "guest stop web1 --wait",
        expect![[r#"
            stop web1: done after 20s
            --- stderr
            stop web1: waiting for its host
            stop web1: fetch image
            stop web1: fetch image 60%
            stop web1: the pool is full; tried again in 5 s
            stop web1: start domain
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_restart_of_the_brain_is_outlived() {
    let brain = stopping()
        .on("GET /v1/operations/12.json", operation(&json!({"kind": "stop"})))
        .answer("GET /v1/operations/12.json", Answer::HangUp)
        .answer("GET /v1/operations/12.json", Answer::HangUp)
        .on("GET /v1/operations/12.json", at("start_domain", None))
        .answer("GET /v1/operations/12/stream", Answer::Events(vec![at("fetch_image", Some(10))]))
        .answer("GET /v1/operations/12/stream", Answer::Events(vec![done_as("stop")]));
    check(
        &brain,
        "guest stop web1 --wait --reconnect 20s",
        expect![[r#"
            stop web1: done after 20s
            --- stderr
            stop web1: waiting for its host
            stop web1: fetch image
            stop web1: the brain does not answer; trying again for 20s
            stop web1: the brain is back
            stop web1: start domain
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_brain_that_stays_away_ends_the_patience() {
    let brain = stopping().answer("GET /v1/operations/12.json", Answer::HangUp);
    check(
        &brain,
        "guest stop web1 --wait --reconnect 1s",
        expect![[r#"
        --- stderr
        stop web1: the brain does not answer; trying again for 1s
        error: the brain at http://BRAIN has not answered for 1s
        hint: stop web1 is not lost: `honcho operation watch 12` when the brain is back
        --- exit 3
    "#]],
    )
    .await;
}

#[tokio::test]
async fn waiting_has_an_end() {
    let open =
        operation(&json!({"kind": "stop", "step": "fetch_image", "problem": "the brain's blob is gone"}));
    let brain = stopping()
        .on("GET /v1/operations/12.json", open.clone())
        .answer("GET /v1/operations/12/stream", Answer::Events(vec![open; 2]));
    check(
        &brain,
        "guest stop web1 --wait --wait-timeout 1s",
        expect![[r#"
            --- stderr
            stop web1: the brain's blob is gone
            stop web1: fetch image
            error: stop web1 has not ended in the time given
            caused by: the brain's blob is gone
            hint: it goes on: `honcho operation watch 12` shows how; --wait-timeout gives it longer
            --- exit 6
        "#]],
    )
    .await;
}

#[tokio::test]
async fn what_ends_otherwise_is_an_error() {
    let refused = operation(
        &json!({"kind": "stop", "state": "refused", "outcome": "the image is not what its digest says"}),
    );
    let brain = stopping().on("GET /v1/operations/12.json", refused);
    check(
        &brain,
        "guest stop web1 --wait",
        expect![[r#"
            --- stderr
            error: stop web1 was refused
            caused by: the image is not what its digest says
            hint: `honcho event list --guest 7` shows what happened
            --- exit 5
        "#]],
    )
    .await;
    let superseded = operation(&json!({"kind": "stop", "state": "superseded", "superseded_by": 13}));
    let brain = stopping().on("GET /v1/operations/12.json", superseded);
    check(
        &brain,
        "guest stop web1 --wait",
        expect![[r#"
            --- stderr
            error: stop web1 was superseded
            hint: operation 13 took its place: `honcho operation watch 13`
            hint: `honcho event list --guest 7` shows what happened
            --- exit 5
        "#]],
    )
    .await;
}

#[tokio::test]
async fn without_wait_it_says_where_to_look() {
    check(
        &stopping(),
        "guest stop web1",
        expect![[r#"
        stop web1 is under way (operation 12)
        --- stderr
        `honcho operation watch 12` shows how it goes; --wait does so at once
    "#]],
    )
    .await;
}

#[tokio::test]
async fn watch_prints_each_change_once() {
    let brain = Brain::new().on("GET /v1/operations/12.json", at("fetch_image", Some(10))).answer(
        "GET /v1/operations/12/stream",
        Answer::Events(vec![at("fetch_image", Some(10)), at("start_domain", None), done_as("stop")]),
    );
    let mut command = honcho(&["operation", "watch", "12", "--json"]);
    command.env("HONCHO_URL", brain.start().await);
    let printed = String::from_utf8(run(command, b"").await.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [at("fetch_image", Some(10)), at("start_domain", None), done_as("stop")]);
}

#[tokio::test]
async fn following_events_goes_on_after_the_last() {
    let brain = Brain::new()
        .answer("GET /v1/events/stream?after=1", Answer::Events(vec![crate::things::event(2, "two")]))
        .answer("GET /v1/events/stream?after=1.0.2", Answer::HangUp)
        .answer("GET /v1/events/stream?after=1.0.2", Answer::Events(vec![crate::things::event(3, "three")]))
        .answer("GET /v1/events/stream?after=1.0.3", Answer::HangUp);
    let mut command = honcho(&["event", "follow", "--after", "1", "--reconnect", "2s", "--json"]);
    command.env("HONCHO_URL", brain.start().await);
    let ended = run(command, b"").await;
    let ids: Vec<i64> = String::from_utf8(ended.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_i64().unwrap())
        .collect();
    assert_eq!((ids, ended.code), (vec![2, 3], Some(3)));
}

#[tokio::test]
async fn a_new_guest_is_ready_when_ssh_answers() {
    let ssh = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = ssh.local_addr().unwrap().port();
    tokio::spawn(async move {
        // The first caller is sent away, as by a guest that still boots.
        drop(ssh.accept().await);
        let (mut stream, _) = ssh.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
    });
    let (brain, key) = creating(json!({"address": "127.0.0.1"}));
    let arguments = format!("{CREATE} --ssh-key {} --wait --ssh-port {port}", key.path().display());
    let url = brain.start().await;
    let mut command = honcho(&arguments.split(' ').collect::<Vec<_>>());
    command.env("HONCHO_URL", &url);
    let printed = transcript(&run(command, b"").await).replace(&port.to_string(), "PORT");
    expect![[r#"
        create web1: done after 20s
        guest web1
          id                7
          uuid              00000000-0000-4000-8000-000000000007
          account           acme
          status            running
          reason            -
          power             running
          host              rack1-07
          image             debian-12
          vcpus             1
          memory            512M
          disk              3G
          interface         10.77.0.2 in office (02:00:00:00:00:01)
          ssh key           ssh-ed25519 …mpleexample1 ann@desk
          host key          ssh-ed25519 …hosthosthost
          generation        2
          boots             1
          unexpected stops  0
          operation         12
          created           3 min ago
        --- stderr
        create web1: waiting for SSH at 127.0.0.1:PORT
    "#]]
    .assert_eq(&printed);
    expect![[r#"POST /v1/guests.json {"account_id":5,"name":"web1","reference":null,"image_id":3,"network_id":4,"vcpus":1,"memory_bytes":536870912,"disk_bytes":3221225472,"ssh_keys":["ssh-ed25519 AAAAkey ann@desk"],"power":"running","start_alone":false,"host_id":null}"#]].assert_eq(&brain.writes().join("\n"));
}

#[tokio::test]
async fn a_guest_that_never_answers_as_ssh() {
    // Listens, and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = mute.local_addr().unwrap().port();
    let (brain, key) = creating(json!({"address": "127.0.0.1"}));
    let arguments =
        format!("{CREATE} --ssh-key {} --wait --wait-timeout 1s --ssh-port {port}", key.path().display());
    let url = brain.start().await;
    let mut command = honcho(&arguments.split(' ').collect::<Vec<_>>());
    command.env("HONCHO_URL", &url);
    let printed = transcript(&run(command, b"").await).replace(&port.to_string(), "PORT");
    expect![[r#"
        create web1: done after 20s
        --- stderr
        create web1: waiting for SSH at 127.0.0.1:PORT
        error: web1 runs, but nothing answered as SSH at 127.0.0.1:PORT within 1s
        hint: `honcho guest log web1` shows how far its boot came, `honcho guest console web1` opens its console
        hint: does this machine reach the guest's network? A local network is reached from the guest's host alone
        --- exit 6
    "#]].assert_eq(&printed);
}

const CREATE: &str =
    "guest create web1 --account acme --image debian-12 --memory 512M --disk 3G --network office";

fn creating(changes: serde_json::Value) -> (Brain, tempfile::NamedTempFile) {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "# mine\nssh-ed25519 AAAAkey ann@desk\n").unwrap();
    let made = crate::things::with(guest(), &changes);
    let brain = Brain::new()
        .on("GET /v1/accounts.json?name=acme", json!([crate::things::account()]))
        .on("GET /v1/images.json?name=debian-12", json!([crate::things::image()]))
        .on("GET /v1/networks.json?name=office", json!([crate::things::network()]))
        .on("GET /v1/accounts.json", json!([crate::things::account()]))
        .on("GET /v1/images.json", json!([crate::things::image()]))
        .on("GET /v1/networks.json", json!([crate::things::network()]))
        .on("GET /v1/hosts.json", json!([crate::things::host()]))
        .answer("POST /v1/guests.json", Answer::Json(201, made.clone()))
        .on("GET /v1/guests/7.json", made)
        .on("GET /v1/operations/12.json", done());
    (brain, key)
}
