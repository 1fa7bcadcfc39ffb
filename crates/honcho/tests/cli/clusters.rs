//! Clusters: ordered, shown, ended and taken back as one.

use crate::brain::{Answer, Brain};
use crate::check;
use crate::placing::{placement, refused};
use crate::things::{account, ago, done, guest, host, image, network, operation, with};
use expect_test::expect;
use serde_json::{Value, json};

fn cluster(changes: &Value) -> Value {
    let cluster = json!({
        "id": 8, "uuid": "00000000-0000-4000-8000-000000000008", "account_id": 5, "name": "shop", "reference": null,
        "roles": [
            {"role": "app", "guests_count": 6, "running_count": 5}, {"role": "front", "guests_count": 2, "running_count": 2}
        ],
        "guests_count": 8, "running_count": 7, "open_operations_count": 1, "created_at": ago(190), "cancelled_at": null,
        "deletes_at": null, "deleted_at": null,
    });
    with(cluster, changes)
}

fn front1() -> Value {
    with(guest(), &json!({"name": "shop-front-1", "cluster": "shop", "role": "front"}))
}

const ORDER: &str = "cluster create shop --account acme --image debian-12 --memory 1G --disk 3G --network office \
    --role front=2 --role app=6,memory=2G,vcpus=2 --role db=db1+db2,network=office+office";

fn brain() -> Brain {
    Brain::new()
        .on("GET /v1/accounts.json?name=acme", json!([account()]))
        .on("GET /v1/accounts.json", json!([account()]))
        .on("GET /v1/hosts.json", json!([host()]))
        .on("GET /v1/images.json?name=debian-12", json!([image()]))
        .on("GET /v1/networks.json?name=office", json!([network()]))
        .on("GET /v1/clusters.json?name=shop", json!([cluster(&json!({}))]))
        .on("GET /v1/guests.json?account_id=5&cluster=shop", json!([front1()]))
}

#[tokio::test]
async fn an_order_says_what_differs_and_is_one_request() {
    let brain = brain().answer("POST /v1/clusters.json", Answer::Json(201, cluster(&json!({}))));
    check(
        &brain,
        ORDER,
        expect![[r#"
            cluster shop is being made (id 8): 6 app, 2 front
            --- stderr
            `honcho cluster show shop` shows how it goes; --wait waits for all of its guests
        "#]],
    )
    .await;
    let writes = brain.writes();
    assert_eq!(writes.len(), 1);
    let body: Value = serde_json::from_str(writes[0].split_once(" /v1/clusters.json ").unwrap().1).unwrap();
    assert_eq!(
        body["roles"],
        json!([
            {"role": "front", "count": 2},
            {"role": "app", "count": 6, "vcpus": 2, "memory_bytes": 2_147_483_648_i64},
            {"role": "db", "count": null, "names": ["db1", "db2"],
             "interfaces": [{"network_id": 4}, {"network_id": 4}]},
        ])
    );
    assert_eq!((&body["memory_bytes"], &body["network_id"]), (&json!(1 << 30), &json!(4)));
}

#[tokio::test]
async fn waiting_is_for_all_of_its_guests() {
    let brain = brain()
        .answer("POST /v1/clusters.json", Answer::Json(201, cluster(&json!({}))))
        .on("GET /v1/operations/12.json", operation(&json!({})))
        .on("GET /v1/operations/12.json", done())
        .answer("GET /v1/operations/12/stream", Answer::Events(vec![done()]))
        .on("GET /v1/clusters/8.json", cluster(&json!({"open_operations_count": 0})));
    check(
        &brain,
        &format!("{ORDER} --wait"),
        expect![[r#"
            create web1: done after 20s
            cluster shop
              id               8
              uuid             00000000-0000-4000-8000-000000000008
              account          acme
              guests           6 app, 2 front
              running          7
              open operations  0
              created          3 min ago

            ID  NAME          ROLE   STATUS   ADDRESS    HOST      OPERATION
             7  shop-front-1  front  running  10.77.0.2  rack1-07  12
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_dry_run_shows_where_each_goes_and_who_finds_no_room() {
    let lacking = with(
        placement(None, Some(json!([refused(9, "rack2-01", "memory", "512M of memory free, 1G needed")]))),
        &json!({"placed": false, "host": null, "host_id": null, "best": []}),
    );
    let answer = json!({
        "name": "shop", "placed": false,
        "reason": "no room for shop-front-2 (role front), once 1 of 10 guests are placed; nothing was made",
        "guests": [
            {"name": "shop-front-1", "role": "front", "placement": placement(None, None)},
            {"name": "shop-front-2", "role": "front", "placement": lacking},
        ],
    });
    let brain = brain().answer("POST /v1/clusters.json?dry_run=true", Answer::Json(200, answer));
    check(
        &brain,
        &format!("{ORDER} --dry-run"),
        expect![[r#"
            GUEST         ROLE   HOST       SCORE  NEXT BEST  REFUSED BY
            shop-front-1  front  rack1-07  0.6100  rack1-08   3 by memory, 1 by anti_affinity
            shop-front-2  front  no room        -  -          3 by memory, 1 by anti_affinity

            HOST      SCORE  MEMORY  DISK  VCPUS  LOAD  OWNER  REFUSED BY  WHY
            rack2-01  -      -       -     -      -     -      memory      512M of memory free, 1G needed

            shop: no room for shop-front-2 (role front), once 1 of 10 guests are placed; nothing was made.
        "#]],
    )
    .await;
}

#[tokio::test]
async fn listing_and_showing() {
    let brain = brain().on("GET /v1/clusters.json", json!([cluster(&json!({}))]));
    check(
        &brain,
        "clusters list",
        expect![[r#"
            ID  NAME  ACCOUNT  GUESTS  RUNNING  OPEN OPERATIONS  ROLES           CREATED
             8  shop  acme          8        7                1  6 app, 2 front  3 min ago
        "#]],
    )
    .await;
    check(
        &brain,
        "cluster show shop",
        expect![[r#"
            cluster shop
              id               8
              uuid             00000000-0000-4000-8000-000000000008
              account          acme
              guests           6 app, 2 front
              running          7
              open operations  1
              created          3 min ago

            ID  NAME          ROLE   STATUS   ADDRESS    HOST      OPERATION
             7  shop-front-1  front  running  10.77.0.2  rack1-07  12
        "#]],
    )
    .await;
}

#[tokio::test]
async fn deleting_asks_and_restoring_undoes() {
    let cancelled =
        cluster(&json!({"cancelled_at": ago(60), "deletes_at": ago(-86400 - 600), "running_count": 0}));
    let brain = brain()
        .answer("DELETE /v1/clusters/8.json", Answer::Json(202, cancelled.clone()))
        .on("GET /v1/guests.json?account_id=5&cluster=shop&cancelled=true", json!([front1()]));
    check(
        &brain,
        "cluster delete shop",
        expect![[r#"
            --- stderr
            error: not done, because nobody can be asked: cancel cluster shop (id 8): 6 app, 2 front, of which 7 run: they are stopped; disks, names and addresses are kept until the grace period ends. `honcho cluster restore 8` takes it back until then.
            hint: --yes does it without asking; --dry-run only says what would happen
            --- exit 2
        "#]],
    )
    .await;
    check(
        &brain,
        "cluster delete shop --now --dry-run",
        expect![[r#"
            Would do this: delete cluster shop (id 8): 6 app, 2 front now: shop-front-1 are ended, their disks are destroyed, their names and addresses become free. Nothing brings them back.
        "#]],
    )
    .await;
    assert!(brain.writes().is_empty());
    check(
        &brain,
        "cluster delete shop --yes",
        expect![[r#"
            cluster shop
              id               8
              uuid             00000000-0000-4000-8000-000000000008
              account          acme
              guests           6 app, 2 front
              running          0
              open operations  1
              created          3 min ago
              cancelled        1 min ago
              is deleted       in 24 h

            ID  NAME          ROLE   STATUS   ADDRESS    HOST      OPERATION
             7  shop-front-1  front  running  10.77.0.2  rack1-07  12
        "#]],
    )
    .await;
    assert_eq!(brain.writes(), ["DELETE /v1/clusters/8.json"]);
    let brain = Brain::new()
        .on("GET /v1/clusters.json?name=shop", json!([]))
        .on("GET /v1/clusters.json?cancelled=true&name=shop", json!([cancelled]))
        .on("GET /v1/accounts.json", json!([account()]))
        .on("GET /v1/hosts.json", json!([host()]))
        .on("GET /v1/guests.json?account_id=5&cluster=shop", json!([front1()]))
        .answer("PUT /v1/clusters/8/restore.json", Answer::Json(202, cluster(&json!({}))));
    check(
        &brain,
        "cluster restore shop",
        expect![[r#"
            cluster shop
              id               8
              uuid             00000000-0000-4000-8000-000000000008
              account          acme
              guests           6 app, 2 front
              running          7
              open operations  1
              created          3 min ago

            ID  NAME          ROLE   STATUS   ADDRESS    HOST      OPERATION
             7  shop-front-1  front  running  10.77.0.2  rack1-07  12
        "#]],
    )
    .await;
}
