//! `honcho account usage`.

use crate::brain::{Answer, Brain};
use crate::check;
use crate::things::account;
use expect_test::expect;
use serde_json::json;

#[tokio::test]
async fn a_month_as_a_table_and_as_csv() {
    let row = json!({
        "account_id": 5, "guest_id": 7, "guest_name": "web1", "state": "running", "vcpus": 1,
        "memory_bytes": 536_870_912, "disk_bytes": 3_221_225_472_i64, "addresses_count": 1,
        "public_addresses_count": 0, "begun_at": "2026-11-03T08:00:00Z", "ended_at": "2026-11-03T09:00:01Z",
        "seconds": 3601, "event_id": 44,
    });
    let brain = Brain::new()
        .on("GET /v1/accounts.json?name=acme", json!([account()]))
        .on("GET /v1/accounts/5/usage.json?month=2026-11", json!([row]))
        .answer("GET /v1/accounts/5/usage.csv?month=2026-11", Answer::Bytes(b"a,b\n1,2\n".to_vec()))
        .on("GET /v1/usage.json?month=2026-10", json!([]))
        .refuse(
            "GET /v1/usage.csv?month=soon",
            422,
            json!({"month": ["must be a month, as in 2026-11"]}),
            None,
        );
    check(&brain, "account usage acme --month 2026-11", expect![[r#"
        GUEST  STATE    VCPUS  MEMORY  DISK  ADDRESSES  PUBLIC  FROM                 UNTIL                SECONDS
        web1   running      1    512M    3G          1       0  2026-11-03 08:00:00  2026-11-03 09:00:01     3601
    "#]]).await;
    check(
        &brain,
        "account usage acme --month 2026-11 --csv",
        expect![[r#"
        a,b
        1,2
    "#]],
    )
    .await;
    check(
        &brain,
        "account usage --month 2026-10",
        expect![[r#"
        --- stderr
        No guest was there in that month.
    "#]],
    )
    .await;
    check(
        &brain,
        "account usage --month soon --csv",
        expect![[r#"
        --- stderr
        error: month must be a month, as in 2026-11
        --- exit 4
    "#]],
    )
    .await;
}
