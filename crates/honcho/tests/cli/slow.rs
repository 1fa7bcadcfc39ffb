//! `honcho slow`: logs in, reports out, and no brain.

use crate::{honcho, run, transcript};
use expect_test::{Expect, expect};
use std::io::Write as _;

const LOG: &str = "\
/usr/sbin/mariadbd, Version: 10.11.6-MariaDB (Debian 12). started with:
Tcp port: 3306  Unix socket: /run/mysqld/mysqld.sock
Time\t\t    Id Command\tArgument
# Time: 231114 22:13:20
# User@Host: shop[shop] @ web1 [10.0.0.3]
# Thread_id: 5  Schema: shop  QC_hit: No
# Query_time: 0.500000  Lock_time: 0.000010  Rows_sent: 1  Rows_examined: 70
# Rows_affected: 0  Bytes_sent: 66
# Full_scan: Yes  Full_join: No  Tmp_table: No  Tmp_table_on_disk: No
SET timestamp=1700000000;
SELECT * FROM orders WHERE email = 'bob@example.org';
# User@Host: shop[shop] @ web2 [10.0.0.4]
# Thread_id: 6  Schema: shop  QC_hit: No
# Query_time: 1.500000  Lock_time: 0.000010  Rows_sent: 1  Rows_examined: 130
SET timestamp=1700007200;
SELECT * FROM orders WHERE email = 'eve@example.org';
# User@Host: blog[blog] @ localhost []
# Thread_id: 7  Schema: blog  QC_hit: No
# Query_time: 0.250000  Lock_time: 0.000000  Rows_sent: 0  Rows_examined: 0
SET timestamp=1700007201;
INSERT INTO posts VALUES (1, 'x;
# User@Host: victim[victim] @ localhost []
# Query_time: 99.000000  Lock_time: 0.000000  Rows_sent: 0  Rows_examined: 0
SET timestamp=1700007201;
DELETE FROM money;
');
";

async fn digest(options: &str, input: &[u8]) -> String {
    let arguments: Vec<_> = ["slow", "digest"].into_iter().chain(options.split(' ')).collect();
    transcript(&run(honcho(&arguments), input).await)
}

async fn check(options: &str, input: &[u8], expected: Expect) {
    let printed = digest(options, input).await;
    let lines: Vec<_> = printed.lines().map(str::trim_end).collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[tokio::test]
async fn a_report() {
    check("- --threads 2", LOG.as_bytes(), expect![[r#"
        3 events, 2 kinds of queries, 1.1 kB of logs
        2023-11-14 22:13:20 to 2023-11-15 00:13:21 UTC (2h 0m); on average 0.00 at once
        2.2 s of query time: half of the events within 502 ms, 95% within 1.5 s, the slowest 1.5 s

        RANK  SHARE       TIME      COUNT      MEAN       P95   SLOWEST READ/SENT  QUERY
           1  88.9%      2.0 s          2     1.0 s     1.5 s     1.5 s       100  select * from orders where email = ?
           2  11.1%     250 ms          1    250 ms    250 ms    250 ms         -  insert into posts values(?+)

        Query 1: 260223FDD8F4AAF2A408B35E0B92FF1D ---------------------------------------------------------
          select * from orders where email = ?

          time       2.0 s (88.9%), mean 1.0 s, p50 502 ms, p95 1.5 s, p99 1.5 s, slowest 1.5 s
          count      2 (66.7%)
          locks      waited 20 µs (0.0% of its time), at most 10 µs
          rows       read 200, sent 2 (100 read for each sent), 66 bytes sent
          work       50.0% read a whole table
          databases  shop 100.0%
          users      shop 100.0%
          hosts      web2 75.0%, web1 25.0%
          when       2023-11-14 22:13:20 to 2023-11-15 00:13:20
                     |▃ █| by hour
          slowest    1.5 s at 2023-11-15 00:13:20, shop@web2 in shop
                SELECT * FROM orders WHERE email = ?
          advice     select_star (possible)
                     SELECT * fetches every column, large ones too, and no index holds them all. Name those
                     that are needed.

        Query 2: 9350112BB2CC92AF9656DF01B5D7FB77 ---------------------------------------------------------
          insert into posts values(?+)

          time       250 ms (11.1%), mean 250 ms, p50 250 ms, p95 250 ms, p99 250 ms, slowest 250 ms
          count      1 (33.3%)
          databases  blog 100.0%
          users      blog 100.0%
          hosts      localhost 100.0%
          when       2023-11-15 00:13:21 to 2023-11-15 00:13:21
          slowest    250 ms at 2023-11-15 00:13:21, blog@localhost in blog
                INSERT INTO posts VALUES (?, ?)
    "#]]).await;
}

#[tokio::test]
async fn a_document_has_every_class() {
    let printed = digest("- --json --top 1", LOG.as_bytes()).await;
    let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["events"], 3);
    assert_eq!(document.as_object().unwrap().len(), 2, "events and classes, nothing else");
    let classes = document["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 2);
    assert_eq!(classes[0]["fingerprint"], "select * from orders where email = ?");
    assert_eq!(classes[0]["count"], 2);
    assert_eq!(classes[0]["query_time"]["sum"], 2.0);
    assert_eq!(classes[0]["rows_examined"]["sum"], 200);
    assert_eq!(classes[0]["id"].as_str().map(str::len), Some(32));
    assert!(
        !printed.contains("example.org") && !printed.contains("victim"),
        "values are not shown, nor forged names"
    );
}

#[tokio::test]
async fn compressed_logs_are_told_by_what_they_are() {
    let whole = digest("- --json", LOG.as_bytes()).await;
    let gzip = |part: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(part.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let (first, second) = LOG.split_at(LOG.find("# User@Host: blog").unwrap());
    assert_eq!(digest("- --json", &[gzip(first), gzip(second)].concat()).await, whole, "two members");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("slow.log");
    std::fs::write(&file, zstd::encode_all(LOG.as_bytes(), 3).unwrap()).unwrap();
    assert_eq!(digest(&format!("{} --json", file.display()), b"").await, whole);
    let mut broken = gzip(LOG);
    broken.truncate(broken.len() - 10);
    let told = digest("- --json", &broken).await;
    assert!(told.contains("standard input: broken, read up to byte") && !told.contains("--- exit"), "{told}");
}

#[tokio::test]
async fn some_of_the_events() {
    let count = async |options: &str| {
        let printed = digest(&format!("- --json {options}"), LOG.as_bytes()).await;
        serde_json::from_str::<serde_json::Value>(&printed).unwrap()["events"].as_u64().unwrap()
    };
    assert_eq!(count("--since 2023-11-14T23:00:00Z").await, 2);
    assert_eq!(count("--until 2023-11-14T23:00:00Z").await, 1);
    assert_eq!(count("--filter user=shop").await, 2);
    assert_eq!(count("--filter user=shop --filter query_time>=1").await, 1);
    assert_eq!(count("--filter statement~money").await, 1);
    assert_eq!(count("--filter user=victim").await, 0);
}

#[tokio::test]
async fn what_cannot_be_read() {
    check(
        "/nonexistent/slow.log",
        b"",
        expect![[r#"
            --- stderr
            /nonexistent/slow.log: cannot be read: No such file or directory (os error 2)
            error: none of the logs can be read
            hint: what is wrong stands above
            --- exit 1
        "#]],
    )
    .await;
    check("- --filter colour=red", b"", expect![[r#"
        --- stderr
        error: invalid value 'colour=red' for '--filter <CONDITION>': there is no attribute "colour": user, host, database, statement, query_time, lock_time, rows_sent, rows_examined

        For more information, try '--help'.
        --- exit 2
    "#]]).await;
    check(
        "- --since yesterday",
        b"",
        expect![[r#"
        --- stderr
        error: --since yesterday: it is no time
        hint: as in 2026-11-27, '2026-11-27 06:00', 2026-11-27T06:00:00Z, 90m, 2h, 3d, or seconds since 1970
        --- exit 2
    "#]],
    )
    .await;
    check(
        "-",
        b"\x00\xff nothing of a log\n",
        expect![[r#"
        0 events, 0 kinds of queries, 20 bytes of logs

    "#]],
    )
    .await;
}

#[tokio::test]
async fn fingerprints() {
    let arguments = ["slow", "fingerprint"];
    let ended = run(honcho(&arguments), b"\"SELECT 'a' FROM t1\"\nnonsense\n\"USE shop\"\n").await;
    expect![[r#"
        "select ? from t?"
        null
        "use ?"
        --- stderr
        line 2 is no JSON string: expected ident at line 1 column 2
    "#]]
    .assert_eq(&transcript(&ended));
    let ids = run(honcho(&["slow", "fingerprint", "--ids"]), b"\"SELECT * FROM foo\"\n").await;
    assert_eq!(ids.stdout, b"\"7023AEC64FE3598DAC1BF726F2AB10C5\"\n");
}

const POOR: &str = "\
# Time: 231114 22:13:20
# User@Host: shop[shop] @ web1 [10.0.0.3]
# Query_time: 2.500000  Lock_time: 0.000010  Rows_sent: 3  Rows_examined: 70000
SET timestamp=1700000000;
SELECT id, total FROM orders WHERE customer_mail = 'bob@example.org' AND placed_at > '2023-01-01' ORDER BY total;
# User@Host: shop[shop] @ web1 [10.0.0.3]
# Query_time: 0.500000  Lock_time: 0.000010  Rows_sent: 20  Rows_examined: 31357
SET timestamp=1700000000;
SELECT * FROM posts ORDER BY id LIMIT 31337, 20;
# User@Host: shop[shop] @ web1 [10.0.0.3]
# Query_time: 0.250000  Lock_time: 0.000010  Rows_sent: 0  Rows_examined: 70000
SET timestamp=1700000000;
SELEC no FROM sql WHERE name = 'bob@example.org';
";

#[tokio::test]
async fn advice_stands_under_each_query_and_holds_no_value() {
    let printed = digest("-", POOR.as_bytes()).await;
    let advice: Vec<_> =
        printed.lines().skip_while(|line| !line.contains("  advice")).map(str::trim_end).collect();
    expect![[r#"
          advice     missing_index (likely): index on orders (customer_mail, placed_at)
                     orders is searched by customer_mail (equality), placed_at (range), and on average 70000
                     rows are read and 3 sent: an index on these columns, in this order, may find them. If
                     there is one, EXPLAIN tells why it is not used.
          advice     examined_far_above_sent (likely)
                     70000 rows are read and 3 sent on average: nearly all that is read is thrown away.
                     EXPLAIN tells which table is read whole, or by which index.

        Query 2: 91D188D72CF5EB506DA3695DA98A54B0 ---------------------------------------------------------
          select * from posts order by id limit ?

          time       500 ms (15.4%), mean 500 ms, p50 500 ms, p95 500 ms, p99 500 ms, slowest 500 ms
          count      1 (33.3%)
          locks      waited 10 µs (0.0% of its time), at most 10 µs
          rows       read 31,357, sent 20 (1568 read for each sent)
          users      shop 100.0%
          hosts      web1 100.0%
          when       2023-11-14 22:13:20 to 2023-11-14 22:13:20
          slowest    500 ms at 2023-11-14 22:13:20, shop@web1
                SELECT * FROM posts ORDER BY id LIMIT ?, ?
          advice     huge_offset (certain)
                     OFFSET skips 10000 rows or more, and each of them is read first. Remember where the
                     page before ended, and ask for what comes after it (WHERE column > last … ORDER BY
                     column LIMIT …).
          advice     examined_far_above_sent (likely)
                     31357 rows are read and 20 sent on average: nearly all that is read is thrown away.
                     EXPLAIN tells which table is read whole, or by which index.
          advice     select_star (possible)
                     SELECT * fetches every column, large ones too, and no index holds them all. Name those
                     that are needed.

        Query 3: 6D338E69AC4E12934F92B412BF4A28F3 ---------------------------------------------------------
          selec no from sql where name = ?

          time       250 ms (7.7%), mean 250 ms, p50 250 ms, p95 250 ms, p99 250 ms, slowest 250 ms
          count      1 (33.3%)
          locks      waited 10 µs (0.0% of its time), at most 10 µs
          rows       read 70,000, sent 0
          users      shop 100.0%
          hosts      web1 100.0%
          when       2023-11-14 22:13:20 to 2023-11-14 22:13:20
          slowest    250 ms at 2023-11-14 22:13:20, shop@web1
                SELEC no FROM sql WHERE name = ?
    "#]]
    .assert_eq(&(advice.join("\n") + "\n"));
    assert!(!printed.contains("bob") && !printed.contains("31337"), "{printed}");
}

#[tokio::test]
async fn advice_as_json() {
    let printed = digest("- --json --literals", POOR.as_bytes()).await;
    let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let advice: Vec<_> =
        document["classes"].as_array().unwrap().iter().map(|class| &class["advice"]).collect();
    assert_eq!(advice[0][0]["rule"], "missing_index");
    assert_eq!(advice[0][0]["confidence"], "likely");
    assert_eq!(
        advice[0][0]["index"],
        serde_json::json!({ "table": "orders", "columns": ["customer_mail", "placed_at"] })
    );
    assert_eq!(advice[1][0]["rule"], "huge_offset");
    assert_eq!(advice[1][0]["index"], serde_json::Value::Null);
    assert_eq!(*advice[2], serde_json::json!([]), "what does not parse gets none");
    let text = serde_json::to_string(&advice).unwrap();
    assert!(!text.contains("bob") && !text.contains("31337"), "{text}");
}
