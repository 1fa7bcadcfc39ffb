//! `honcho search`, against a scripted brain.

use crate::brain::Brain;
use crate::check;
use expect_test::expect;
use serde_json::{Value, json};

fn hit(kind: &str, id: i64, name: &str, found: [&str; 3]) -> Value {
    let [nearness, attribute, value] = found;
    json!({
        "kind": kind, "id": id, "uuid": null, "name": name, "account_id": null, "account_name": null,
        "host_id": null, "host_name": null, "network_id": null, "network_name": null, "guest_id": null,
        "guest_name": null, "attribute": attribute, "value": value, "nearness": nearness,
    })
}

#[tokio::test]
async fn what_is_found_says_where_it_is_and_by_what() {
    let mut guest = hit("guest", 7, "web1", ["exact", "address", "10.77.0.2"]);
    (guest["account_name"], guest["host_id"], guest["host_name"]) =
        ("acme".into(), 2.into(), "rack1-07".into());
    let mut address = hit("address", 31, "10.77.0.2", ["exact", "address", "10.77.0.2"]);
    (address["network_id"], address["network_name"]) = (4.into(), "office".into());
    (address["guest_id"], address["guest_name"]) = (7.into(), "web1".into());
    let mut host = hit("host", 2, "rack1-07", ["contains", "bmc_address", "110.77.0.2"]);
    host["host_id"] = 2.into();
    // One of a host of which this token may know no more than that there is one.
    let mut hostile = hit("guest", 9, "db\u{1b}[2J", ["prefix", "name", "db\u{1b}[2J"]);
    hostile["host_id"] = 2.into();
    let brain = Brain::new()
        .on("GET /v1/search.json?q=10.77.0.2&limit=20", json!([guest, address, host]))
        .on("GET /v1/search.json?q=db&limit=5", json!([hostile]))
        .on("GET /v1/search.json?q=nowhere&limit=20", json!([]));
    check(
        &brain,
        "search 10.77.0.2",
        expect![[r#"
        KIND     ID  NAME       OWNER  WHERE                       FOUND BY
        guest     7  web1       acme   host rack1-07               address 10.77.0.2
        address  31  10.77.0.2  -      guest web1, network office  address
        host      2  rack1-07   -      -                           bmc_address 110.77.0.2
    "#]],
    )
    .await;
    check(
        &brain,
        "search db --limit 5",
        expect![[r#"
        KIND   ID  NAME         OWNER  WHERE    FOUND BY
        guest   9  db\u{1b}[2J  -      host #2  name
    "#]],
    )
    .await;
    check(
        &brain,
        "search nowhere",
        expect![[r#"
        --- stderr
        Nothing is found, or nothing that this token may see.
    "#]],
    )
    .await;
    check(
        &brain,
        "search nowhere --json",
        expect![[r#"
        []
    "#]],
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_refused() {
    let brain = Brain::new().refuse(
        "GET /v1/search.json?q=%09&limit=20",
        422,
        json!({"q": ["can't be blank"]}),
        Some("type a name, an address or an id"),
    );
    check(
        &brain,
        "search \t",
        expect![[r#"
        --- stderr
        error: q can't be blank
        hint: type a name, an address or an id
        --- exit 4
    "#]],
    )
    .await;
    check(
        &brain,
        "search db --limit 101",
        expect![[r#"
        --- stderr
        error: invalid value '101' for '--limit <N>': 101 is not in 1..=100

        For more information, try '--help'.
        --- exit 2
    "#]],
    )
    .await;
    check(
        &brain,
        "search",
        expect![[r#"
        --- stderr
        error: the following required arguments were not provided:
          <TEXT>

        Usage: honcho search --url <URL> --token <TOKEN> <TEXT>

        For more information, try '--help'.
        --- exit 2
    "#]],
    )
    .await;
}
