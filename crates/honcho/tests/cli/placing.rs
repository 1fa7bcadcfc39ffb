//! Where guests go and why, as the brain tells it; plans that change nothing.

use crate::brain::{Answer, Brain};
use crate::check;
use crate::things::{account, ago, guest, host, image, network, operation, with};
use expect_test::expect;
use serde_json::{Value, json};

pub(crate) fn scored(id: i64, name: &str, score: f64) -> Value {
    json!({
        "host_id": id, "host": name, "score": score, "memory_spread": 0.1, "disk_spread": 0.2, "vcpus_spread": 0.05,
        "load_spread": score - 0.35, "owner_part": 0.0, "filter": null, "reason": null,
    })
}

pub(crate) fn refused(id: i64, name: &str, filter: &str, reason: &str) -> Value {
    json!({
        "host_id": id, "host": name, "score": null, "memory_spread": null, "disk_spread": null, "vcpus_spread": null,
        "load_spread": null, "owner_part": null, "filter": filter, "reason": reason,
    })
}

pub(crate) fn placement(guest_id: Option<i64>, hosts: Option<Value>) -> Value {
    json!({
        "guest_id": guest_id, "placed": true, "host_id": 2, "host": "rack1-07", "pool_id": 4,
        "decided_at": ago(3600), "inputs": "1.4711", "reason": null,
        "refused": [{"filter": "memory", "hosts": 3}, {"filter": "anti_affinity", "hosts": 1}],
        "best": [scored(2, "rack1-07", 0.61), scored(3, "rack1-08", 0.64)], "hosts": hosts,
    })
}

fn moved() -> Value {
    json!({
        "guest_id": 7, "guest": "web1", "account_id": 5, "from_host_id": 2, "from_host": "rack1-07", "to_host_id": 3,
        "to_host": "rack1-08", "copied_bytes": 3_221_225_472_i64, "score_after": null,
    })
}

#[tokio::test]
async fn a_guest_says_why_it_is_where_it_is() {
    let brain = Brain::new()
        .on("GET /v1/guests.json?name=web1", json!([guest()]))
        .on("GET /v1/guests/7/placement.json", placement(Some(7), None));
    check(
        &brain,
        "placement explain web1",
        expect![[r#"
        HOST       SCORE  MEMORY    DISK   VCPUS    LOAD   OWNER  REFUSED BY  WHY
        rack1-07  0.6100  0.1000  0.2000  0.0500  0.2600  0.0000  -           -
        rack1-08  0.6400  0.1000  0.2000  0.0500  0.2900  0.0000  -           -

        Hosts that could not take it: 3 by memory, 1 by anti_affinity.

        web1 was placed on rack1-07 1 h ago (as of 1.4711).
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_dry_run_shows_every_host_and_makes_nothing() {
    let table = json!([
        scored(2, "rack1-07", 0.61),
        refused(9, "rack2-01", "memory", "512M of memory free, 1G needed")
    ]);
    let order = "guest create web9 --account acme --image debian-12 --memory 1G --disk 3G --network office \
        --cluster shop --role front --dry-run";
    let brain = Brain::new()
        .on("GET /v1/accounts.json?name=acme", json!([account()]))
        .on("GET /v1/images.json?name=debian-12", json!([image()]))
        .on("GET /v1/networks.json?name=office", json!([network()]))
        .answer("POST /v1/guests.json?dry_run=true", Answer::Json(200, placement(None, Some(table))));
    check(
        &brain,
        order,
        expect![[r#"
        HOST       SCORE  MEMORY    DISK   VCPUS    LOAD   OWNER  REFUSED BY  WHY
        rack1-07  0.6100  0.1000  0.2000  0.0500  0.2600  0.0000  -           -
        rack2-01       -       -       -       -       -       -  memory      512M of memory free, 1G needed

        web9 would go to rack1-07. Nothing was made.
    "#]],
    )
    .await;
    assert!(brain.writes()[0].contains(r#""cluster":"shop","role":"front""#), "{:?}", brain.writes());
}

#[tokio::test]
async fn draining_says_that_guests_stay() {
    let drain = |since: Option<String>| {
        json!({
            "host_id": 2, "host": "rack1-07", "draining_since": since, "moves": [moved()],
            "homeless": [{"guest_id": 8, "guest": "db1", "reason": "no host has room for it (rack1-08: is silent)"}],
        })
    };
    let brain = Brain::new()
        .on("GET /v1/hosts.json?name=rack1-07", json!([host()]))
        .on("GET /v1/hosts/2/drain.json", drain(None))
        .on("PUT /v1/hosts/2/drain.json", drain(Some(ago(1))))
        .on("PUT /v1/hosts/2/undrain.json", drain(None));
    check(&brain, "host drain rack1-07 --dry-run", expect![[r#"
        MOVE  GUEST  FROM      TO        COPIED
           1  web1   rack1-07  rack1-08      3G

        db1 fits nowhere else: no host has room for it (rack1-08: is silent)

        rack1-07 is not draining: nothing was changed. Its guests stay until they are moved: --apply does that.
    "#]]).await;
    assert!(brain.writes().is_empty());
    check(
        &brain,
        "host drain rack1-07",
        expect![[r#"
        MOVE  GUEST  FROM      TO        COPIED
           1  web1   rack1-07  rack1-08      3G

        db1 fits nowhere else: no host has room for it (rack1-08: is silent)

        rack1-07 takes no new guest. Its guests stay until they are moved: --apply does that.
    "#]],
    )
    .await;
    check(
        &brain,
        "host undrain rack1-07",
        expect![[r#"
        rack1-07 takes new guests again
    "#]],
    )
    .await;
    assert_eq!(brain.writes(), ["PUT /v1/hosts/2/drain.json", "PUT /v1/hosts/2/undrain.json"]);
}

#[tokio::test]
async fn capacity_and_balance_of_the_brains_own_fleet() {
    let capacity = json!({
        "fit": 12, "fit_with_n_plus_one": 9, "runs_out": [{"filter": "memory", "hosts": 3}], "lost_host_id": 2,
        "restarted": 4, "homeless": [{"guest_id": 8, "guest": "db1", "reason": "no host has room for it"}],
    });
    let mut step = moved();
    step["score_after"] = json!(0.5);
    let size = "memory_bytes=2147483648&vcpus=2&disk_bytes=21474836480";
    let brain = Brain::new()
        .on("GET /v1/hosts.json?name=rack1-07", json!([host()]))
        .on(&format!("GET /v1/capacity.json?{size}&if_lost=2"), capacity)
        .on(
            "GET /v1/balance.json?max_moves=5",
            json!({"score_before": 0.75, "score_after": 0.5, "moves": [step]}),
        )
        .on(
            "POST /v1/balance.json?max_moves=5",
            json!({"score_before": 0.75, "score_after": 0.5, "moves": [with(step.clone(), &json!({"operation_id": 12}))]}),
        );
    check(
        &brain,
        "capacity --size 2G,2cpu,20G --if-lost rack1-07",
        expect![[r#"
        Without rack1-07: 4 guests could be restarted elsewhere.
          db1 could not: no host has room for it

        12 more guests of 2G of memory, 2 vCPUs, 20G of disk fit
        9 with N+1: if any host died, all could be restarted elsewhere
        What runs out: memory on 3 hosts
    "#]],
    )
    .await;
    let endless = json!({
        "fit": 1_000_000, "fit_with_n_plus_one": 1_000_000, "capped": true, "runs_out": [], "lost_host_id": null,
        "restarted": null, "homeless": null,
    });
    let of_nothing =
        Brain::new().on("GET /v1/capacity.json?memory_bytes=1048576&vcpus=1&disk_bytes=0", endless);
    check(
        &of_nothing,
        "capacity --size 1M,1cpu,0",
        expect![[r#"
            More than 1,000,000 more guests of 1M of memory, 1 vCPU, 0 of disk fit
            More than 1,000,000 with N+1: if any host died, all could be restarted elsewhere
        "#]],
    )
    .await;
    check(
        &brain,
        "balance --max-moves 5",
        expect![[r#"
            MOVE  GUEST  FROM      TO        COPIED  SCORE AFTER
               1  web1   rack1-07  rack1-08      3G   0.50000000

            The score would go from 0.75000000 to 0.50000000. This is a plan: --apply makes the moves.
        "#]],
    )
    .await;
    check(
        &brain,
        "balance --max-moves 5 --apply",
        expect![[r#"
            --- stderr
            error: not done, because nobody can be asked: move 1 guest (3G): it is off while its disk is copied
            hint: --yes does it without asking; --dry-run only says what would happen
            --- exit 2
        "#]],
    )
    .await;
    assert!(brain.writes().is_empty());
    check(
        &brain,
        "balance --max-moves 5 --apply --yes",
        expect![[r#"
            MOVE  GUEST  FROM      TO        COPIED  SCORE AFTER  OPERATION
               1  web1   rack1-07  rack1-08      3G   0.50000000         12
            --- stderr
            `honcho operation list --kind move --state open` shows how they go; --wait waits for them
        "#]],
    )
    .await;
    assert_eq!(brain.writes(), ["POST /v1/balance.json?max_moves=5"]);
}

#[tokio::test]
async fn a_guest_is_moved_once_it_was_said_what_that_means() {
    let trial = json!({
        "guest_id": 7, "guest": "web1", "from_host_id": 2, "from_host": "rack1-07", "to_host_id": 3, "to_host": "rack1-08",
        "copied_bytes": 3_221_225_472_i64, "stops": true, "said": "it runs: it is asked to stop first",
        "placement": placement(Some(7), None),
    });
    let brain = Brain::new()
        .on("GET /v1/guests.json?name=web1", json!([guest()]))
        .on("PUT /v1/guests/7/move.json?dry_run=true", trial)
        .answer(
            "PUT /v1/guests/7/move.json?to_host_id=3",
            Answer::Json(202, operation(&json!({"kind": "move"}))),
        );
    check(
        &brain,
        "guest move web1 --dry-run",
        expect![[r#"
            Would do this: move guest web1 from rack1-07 to rack1-08 (a disk of 3G): it runs: it is asked to stop first
        "#]],
    )
    .await;
    check(
        &brain,
        "guest move web1",
        expect![[r#"
            --- stderr
            error: not done, because nobody can be asked: move guest web1 from rack1-07 to rack1-08 (a disk of 3G): it runs: it is asked to stop first
            hint: --yes does it without asking; --dry-run only says what would happen
            --- exit 2
        "#]],
    )
    .await;
    check(
        &brain,
        "guest move web1 --yes",
        expect![[r#"
            move web1 is under way (operation 12)
            --- stderr
            `honcho operation watch 12` shows how it goes; --wait does so at once
        "#]],
    )
    .await;
    assert_eq!(brain.writes().last().unwrap(), "PUT /v1/guests/7/move.json?to_host_id=3");
}
