//! Tables, details and JSON.

use crate::brain::{Answer, Brain};
use crate::things::{account, ago, done, event, guest, host, image, network, operation, with};
use crate::{check, honcho, run};
use expect_test::expect;
use serde_json::{Value, json};

fn brain() -> Brain {
    let other = json!({
        "id": 8, "name": "db1", "status": "failing", "status_reason": "fetch_image failed 3 times", "host_id": null,
        "memory_bytes": 4_294_967_296_i64, "address": null, "interfaces": [], "created_at": ago(7260),
    });
    Brain::new()
        .on("GET /v1/accounts.json", json!([account()]))
        .on("GET /v1/hosts.json", json!([host()]))
        .on("GET /v1/images.json", json!([image()]))
        .on("GET /v1/networks.json", json!([network()]))
        .on("GET /v1/guests.json", json!([guest(), with(guest(), &other)]))
        .on("GET /v1/guests.json?name=web1", json!([guest()]))
        .on("GET /v1/accounts.json?name=acme", json!([account()]))
}

#[tokio::test]
async fn guests_as_a_table() {
    check(
        &brain(),
        "guests list",
        expect![[r#"
        ID  NAME  ACCOUNT  STATUS   ADDRESS    VCPUS  MEMORY  DISK  HOST      CREATED
         7  web1  acme     running  10.77.0.2      1    512M    3G  rack1-07  3 min ago
         8  db1   acme     failing  -              1      4G    3G  -         2 h ago
    "#]],
    )
    .await;
}

#[tokio::test]
async fn guests_sorted_and_cut_in_colour() {
    let mut command = honcho(&["guest", "list", "--sort=-memory", "--limit", "1", "--color", "always"]);
    command.env("HONCHO_URL", brain().start().await);
    let printed = crate::transcript(&run(command, b"").await).replace('\u{1b}', "ESC");
    expect![[r#"
        ESC[1mID  ESC[0mESC[1mNAME  ESC[0mESC[1mACCOUNT  ESC[0mESC[1mSTATUS   ESC[0mESC[1mADDRESS  ESC[0mESC[1mVCPUS  ESC[0mESC[1mMEMORY  ESC[0mESC[1mDISK  ESC[0mESC[1mHOST  ESC[0mESC[1mCREATEDESC[0m
         8  db1   acme     ESC[38;5;9mfailing  ESC[39mESC[2m-        ESC[0m    1      4G    3G  ESC[2m-     ESC[0m2 h ago
    "#]].assert_eq(&printed);
}

#[tokio::test]
async fn filters_are_the_brains() {
    let brain = brain().on("GET /v1/guests.json?account_id=5&status=running&limit=3", json!([]));
    check(
        &brain,
        "guest list --account acme --status running --limit 3",
        expect![[r#"
        --- stderr
        There are no such guests: `honcho guest create --help` shows how one is made.
    "#]],
    )
    .await;
}

#[tokio::test]
async fn one_guest() {
    check(
        &brain(),
        "guest show web1",
        expect![[r#"
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
    "#]],
    )
    .await;
}

#[tokio::test]
async fn where_a_token_may_not_see_hosts_ids_are_shown() {
    let brain = Brain::new()
        .on("GET /v1/guests.json", json!([guest()]))
        .refuse("GET /v1/accounts.json", 403, json!({"base": ["operators only"]}), None)
        .refuse("GET /v1/hosts.json", 403, json!({"base": ["operators only"]}), None);
    check(
        &brain,
        "guest list",
        expect![[r#"
        ID  NAME  ACCOUNT  STATUS   ADDRESS    VCPUS  MEMORY  DISK  HOST  CREATED
         7  web1  #5       running  10.77.0.2      1    512M    3G  #2    3 min ago
    "#]],
    )
    .await;
}

#[tokio::test]
async fn hosts() {
    let silent =
        json!({"id": 3, "name": "rack1-08", "status": "silent", "last_seen_at": ago(250), "guests_count": 0});
    let brain = Brain::new().on("GET /v1/hosts.json", json!([host(), with(host(), &silent)]));
    check(
        &brain,
        "hosts list",
        expect![[r#"
        ID  NAME      STATUS  GUESTS  CPUS  MEMORY  PLACED  AGENT  SEEN
         2  rack1-07  up           1    16     64G    512M  0.1.0  just now
         3  rack1-08  silent       0    16     64G    512M  0.1.0  4 min ago
    "#]],
    )
    .await;
    check(
        &brain,
        "hosts list --status silent --limit 7",
        expect![[r#"
        ID  NAME      STATUS  GUESTS  CPUS  MEMORY  PLACED  AGENT  SEEN
         3  rack1-08  silent       0    16     64G    512M  0.1.0  4 min ago
    "#]],
    )
    .await;
}

#[tokio::test]
async fn networks_and_images_and_accounts() {
    check(
        &brain(),
        "networks list",
        expect![[r#"
        ID  NAME    KIND   SUBNET        GATEWAY          FREE  ACCOUNT
         4  office  local  10.77.0.0/24  10.77.0.1  252 of 253  -
    "#]],
    )
    .await;
    check(
        &brain(),
        "images list",
        expect![[r#"
        ID  NAME       SIZE  UNPACKED  PACKAGES  ACCOUNT  DIGEST        CREATED
         3  debian-12  117M      361M       187  -        4f2c0d9be1aa  2 h ago
    "#]],
    )
    .await;
    check(
        &brain(),
        "accounts list",
        expect![[r#"
            ID  NAME  STATUS  GRACE  REFERENCE  CREATED
             5  acme  active  14d    -          4 days ago
        "#]],
    )
    .await;
    check(
        &Brain::new().on("GET /v1/accounts.json", json!([])),
        "accounts list",
        expect![[r#"
        --- stderr
        There are no accounts yet: `honcho account create NAME` makes one.
    "#]],
    )
    .await;
}

#[tokio::test]
async fn operations() {
    let open = operation(
        &json!({"id": 13, "kind": "resize", "step": "grow_volume", "percent": 40, "created_at": ago(310)}),
    );
    let failing = operation(
        &json!({"id": 14, "problem": "the pool is full; tried again in 30 s", "created_at": ago(430)}),
    );
    let ended = with(done(), &json!({"created_at": ago(190), "ended_at": ago(130)}));
    let brain = Brain::new().on("GET /v1/operations.json?state=open", json!([ended, open, failing]));
    check(
        &brain,
        "operations list --state open",
        expect![[r#"
        ID  KIND    GUEST  STATE  NOW                                    ASKED      ENDED
        12  create  web1   done   -                                      3 min ago  2 min ago
        13  resize  web1   open   grow_volume 40%                        5 min ago  -
        14  create  web1   open   the pool is full; tried again in 30 s  7 min ago  -
    "#]],
    )
    .await;
}

#[tokio::test]
async fn the_latest_events() {
    let alarm = json!({
        "severity": "alarm", "kind": "host.silent", "actor": "honcho", "resource": "host", "resource_name": "rack1-08",
    });
    let (first, second, third) =
        (event(1, "old"), event(2, "was ordered"), with(event(3, "does not speak"), &alarm));
    let brain = Brain::new()
        .on("GET /v1/events.json?order=descending&limit=2", json!([third, second]))
        .on("GET /v1/events.json?order=descending&limit=1", json!([third]))
        .on("GET /v1/events.json?after=0", json!([first, second, third]));
    check(
        &brain,
        "events list --limit 2",
        expect![[r#"
        ID  WHEN       KIND          WHO                 ABOUT          WHAT
         2  3 min ago  guest.create  token:1 (operator)  guest web1     was ordered
         3  3 min ago  host.silent   honcho              host rack1-08  ALARM does not speak
    "#]],
    )
    .await;
    // Nothing happens, and the brain hangs up each time: it is asked from the newest event on.
    let brain =
        brain.answer("GET /v1/events/stream?after=1.0.3", Answer::Events(vec![event(4, "has stopped")]));
    let mut command = honcho(&["event", "follow", "--reconnect", "0s"]);
    command.env("HONCHO_URL", brain.start().await);
    let ended = run(command, b"").await;
    let printed = String::from_utf8(ended.stdout).unwrap();
    assert!(printed.ends_with("Z guest.create web1: has stopped (token:1 (operator))\n"), "{printed}");
    assert_eq!(ended.code, Some(3));
}

#[tokio::test]
async fn hostile_names_do_nothing_to_the_terminal() {
    let hostile = json!({"name": "a\u{1b}]0;owned\u{7}\u{202e}b\nc\u{9b}2J", "status_reason": "x\u{1b}[2J"});
    let brain = Brain::new()
        .on("GET /v1/accounts.json", json!([with(account(), &hostile)]))
        .on("GET /v1/hosts.json", json!([with(host(), &hostile)]))
        .on("GET /v1/guests.json", json!([with(guest(), &hostile)]))
        .refuse(
            "GET /v1/guests.json?name=x",
            422,
            json!({"name": ["is\u{1b}[2J bad"]}),
            Some("hint\u{1b}[2J"),
        );
    let url = brain.start().await;
    for arguments in [
        vec!["guests", "list"],
        vec!["guests", "list", "--json"],
        vec!["guest", "show", "x"],
        vec!["hosts", "list"],
    ] {
        let mut command = honcho(&arguments);
        command.env("HONCHO_URL", &url);
        let ended = run(command, b"").await;
        let printed = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert!(printed.contains("owned") || printed.contains("bad"), "{printed}");
        let bad: Vec<char> =
            printed.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
        assert!(bad.is_empty(), "{arguments:?} printed {bad:?} in {printed}");
    }
    check(
        &brain,
        "accounts list",
        expect![[r#"
            ID  NAME                                      STATUS  GRACE  REFERENCE  CREATED
             5  a\u{1b}]0;owned\u{7}\u{202e}b\nc\u{9b}2J  active  14d    -          4 days ago
        "#]],
    )
    .await;
}

#[tokio::test]
async fn json_is_what_the_api_gave() {
    let brain = brain();
    let mut command = honcho(&["guest", "show", "web1", "--json"]);
    command.env("HONCHO_URL", brain.start().await);
    let ended = run(command, b"").await;
    let printed: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let mut given = guest();
    given["created_at"] = printed["created_at"].clone();
    assert_eq!(printed, given);
}
