//! `honcho account usage`, `honcho guest load` and `honcho host load`.

use crate::brain::{Answer, Brain};
use crate::check;
use crate::things::{account, guest, host};
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

fn load(guest: Option<i64>, host: Option<i64>, step: i64) -> serde_json::Value {
    // The first half is a gap; then it rises, and the last step is not over.
    let values = |most: f64| {
        let value = |n: i32| (n >= 180).then(|| f64::from(n - 180) / 178.0 * most);
        (0..359).map(value).chain([None]).collect::<Vec<_>>()
    };
    let nothing = vec![None::<f64>; 360];
    json!({
        "guest_id": guest, "host_id": host, "span": if step == 60 { "6h" } else { "2d" }, "step_seconds": step,
        "begins_at": "2026-11-03T08:00:00Z", "cpus": values(1.5), "cpus_peak": values(2.0),
        "memory_bytes": values(f64::from(700 << 20)), "disk_read": nothing, "disk_written": values(2.5e6),
        "disk_reads": nothing, "disk_writes": values(42.0), "received": values(900.0), "sent": values(0.0),
        "filled_bytes": host.map(|_| values(4e12)),
    })
}

#[tokio::test]
async fn load_over_time_as_figures_and_lines() {
    let brain = Brain::new()
        .on("GET /v1/guests.json?name=web1", json!([guest()]))
        .on("GET /v1/hosts.json?name=h1", json!([host()]))
        .on("GET /v1/guests/7/load.json?span=6h", load(Some(7), None, 60))
        .on(&format!("GET /v1/hosts/{}/load.json?span=2d", host()["id"]), load(None, Some(1), 300));
    check(
        &brain,
        "guest load web1",
        expect![[r#"
        OF                    NOW    MEAN    MOST  LAST 6H
        processors           1.50    0.75    1.50  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        memory               700M    350M    700M  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        disk, read              -       -       -  ·············································
        disk, written      2.4M/s  1.2M/s  2.4M/s  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        disk, reads             -       -       -  ·············································
        disk, writes         42/s    21/s    42/s  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        network, received  900B/s  450B/s  900B/s  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        network, sent         0/s     0/s     0/s  ······················▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    "#]],
    )
    .await;
    check(
        &brain,
        "host load h1 --span 2d",
        expect![[r#"
        OF                    NOW    MEAN    MOST  LAST 2D
        processors           1.50    0.75    1.50  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        processors, peak     2.00    1.00    2.00  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        memory               700M    350M    700M  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        disk, read              -       -       -  ·············································
        disk, written      2.4M/s  1.2M/s  2.4M/s  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        disk, reads             -       -       -  ·············································
        disk, writes         42/s    21/s    42/s  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        network, received  900B/s  450B/s  900B/s  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
        network, sent         0/s     0/s     0/s  ······················▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
        pools, filled        3.6T    1.8T    3.6T  ······················▁▁▂▂▂▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇▇██
    "#]],
    )
    .await;
    check(
        &brain,
        "guest load web1 --span soon",
        expect![[r#"
        --- stderr
        error: invalid value 'soon' for '--span <SPAN>'
          [possible values: 6h, 2d, 90d]

        For more information, try '--help'.
        --- exit 2
    "#]],
    )
    .await;
}
