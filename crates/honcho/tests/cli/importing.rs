//! `honcho import` and `honcho export`, against a scripted brain and a real one.

use crate::brain::{Answer, Brain};
use crate::real::RealBrain;
use crate::{check, honcho, run, transcript};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

async fn check_import(brain: &Brain, arguments: &str, file: &str, expected: Expect) {
    let mut command = honcho(&arguments.split(' ').collect::<Vec<_>>());
    command.env("HONCHO_URL", brain.start().await);
    expected.assert_eq(&transcript(&run(command, file.as_bytes()).await));
}

fn outcome(dry_run: Value, changes: Value) -> Value {
    json!({
        "dry_run": dry_run, "created_count": 1, "updated_count": 1, "unchanged_count": 7, "changes": changes,
        "notes": ["left out: vrf"],
    })
}

#[tokio::test]
async fn what_an_import_does_is_told_line_by_line() {
    let change = |line: i64, action: &str, kind: &str, name: &str, details: Value| json!({"line": line, "file_name": null, "action": action, "kind": kind, "id": null, "name": name, "details": details});
    let networks = json!([
        change(2, "create", "network", "front", json!([])),
        change(
            9,
            "update",
            "network",
            "office",
            json!(["name: old -> office", "reserved_ranges: nothing -> 10.77.0.2"])
        ),
    ]);
    let brain = Brain::new()
        .on("POST /v1/imports/networks?dry_run=true", outcome(json!(true), networks.clone()))
        .on("POST /v1/imports/networks", outcome(json!(false), networks))
        .answer(
            "POST /v1/imports/addresses",
            Answer::Json(
                422,
                json!({
                    "status": 422, "code": "invalid", "request_id": "r-1", "hint": "mend these lines",
                    "errors": {"line 10": ["account: there is no account \"nobody\""], "line 9": ["address: is taken", "id: x"]},
                }),
            ),
        );
    check_import(
        &brain,
        "import networks - --dry-run",
        "name\nfront\n",
        expect![[r#"
        LINE  DOES    KIND     NAME    CHANGES
           2  create  network  front
           9  update  network  office  name: old -> office; reserved_ranges: nothing -> 10.77.0.2
        --- stderr
        note: left out: vrf
        Would be made: 1, changed: 1; as they are already: 7.
    "#]],
    )
    .await;
    check_import(
        &brain,
        "import networks -",
        "name\nfront\n",
        expect![[r#"
        LINE  DOES    KIND     NAME    CHANGES
           2  create  network  front
           9  update  network  office  name: old -> office; reserved_ranges: nothing -> 10.77.0.2
        --- stderr
        note: left out: vrf
        Were made: 1, changed: 1; as they are already: 7.
    "#]],
    )
    .await;
    check_import(
        &brain,
        "import addresses -",
        "address\nx\n",
        expect![[r#"
        --- stderr
        error: nothing was imported: 2 lines are bad
            line 9: address: is taken
            line 9: id: x
            line 10: account: there is no account "nobody"
        hint: mend these lines
        --- exit 4
    "#]],
    )
    .await;
    assert_eq!(brain.writes()[2], "POST /v1/imports/addresses address\nx\n");
    check(
        &brain,
        "import networks /nowhere.csv",
        expect![[r#"
        --- stderr
        error: cannot read /nowhere.csv
        caused by: No such file or directory (os error 2)
        --- exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_exported_is_imported_again() {
    let brain = RealBrain::start().await;
    brain.operate(&["account", "create", "acme"], b"").await;
    let networks = b"name,kind,vlan_id,subnet,reference\nfront,vlan,120,10.1.0.0/24,=1+1\n";
    let told = brain.operate(&["import", "networks", "-"], networks).await;
    expect![[r#"
        LINE  DOES    KIND     NAME   CHANGES
           2  create  network  front
        --- stderr
        Were made: 1, changed: 0; as they are already: 0.
    "#]]
    .assert_eq(&transcript(&told));
    let addresses = b"network,address,account,name\nfront,10.1.0.9,acme,www.acme.example\n";
    let told = brain.operate(&["import", "addresses", "-", "--json"], addresses).await;
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        (told["created_count"].as_i64(), told["changes"][0]["name"].as_str()),
        (Some(1), Some("10.1.0.9"))
    );
    let exported = brain.operate(&["export", "networks"], b"").await;
    expect![[r#"
        id,name,account,reference,kind,vlan_id,vxlan_id,subnet,subnet6,gateway,gateway6,reserved_ranges
        1,front,,'=1+1,vlan,120,,10.1.0.0/24,,10.1.0.1,,
    "#]]
    .assert_eq(&transcript(&exported));
    let again = brain.operate(&["import", "networks", "-"], &exported.stdout).await;
    expect![[r#"
        --- stderr
        Were made: 0, changed: 0; as they are already: 1.
    "#]]
    .assert_eq(&transcript(&again));
    // Into a file, as most people will.
    brain.operate(&["export", "addresses", "--file", "addresses.csv"], b"").await;
    let again = brain.operate(&["import", "addresses", "addresses.csv"], b"").await;
    expect![[r#"
        --- stderr
        Were made: 0, changed: 0; as they are already: 1.
    "#]]
    .assert_eq(&transcript(&again));
    let bad = brain
        .operate_anyway(&["import", "addresses", "-"], b"network,address\nfront,10.1.0.9\nfront,x\n")
        .await;
    expect![[r#"
        --- stderr
        error: nothing was imported: one line is bad
            line 3: address: "x" is no IP address
        hint: nothing was changed: mend these lines and import the file again
        --- exit 4
    "#]]
    .assert_eq(&transcript(&bad));
}
