//! `balance`, `capacity` and `placement explain` on files of Ganeti's: no brain is there.

use crate::{honcho, run, transcript};
use expect_test::{Expect, expect};
use serde_json::Value;

/// Three nodes: one full, one nearly empty, one offline; two instances that must not meet.
const CLUSTER: &str = "\
default|0a|preferred||

node1|32768|1024|7168|0|0|16|N|0a|1
node2|32768|1024|29696|0|0|16|N|0a|1
node3|32768|1024|31744|0|0|16|Y|0a|1

web1|4096|10240|2|running|Y|node1||ext||0
web2|4096|10240|2|running|Y|node1||ext||0
web3|4096|10240|2|running|Y|node1||ext||0
db1|8192|20480|4|running|Y|node1||ext|db:shop|0
db2|2048|20480|1|running|Y|node2||ext|db:shop|0
old|4096|10240|2|ADMIN_down|Y|node1||ext||0

htools:iextags:db

|128,1,1024,1,1,1|128,1,1024,1,1,1;65536,16,1048576,16,8,12|ext,drbd|4.0|32.0
default|128,1,1024,1,1,1|128,1,1024,1,1,1;65536,16,1048576,16,8,12|ext,drbd|4.0|32.0
";

struct Directory(tempfile::TempDir);

impl Directory {
    fn with(text: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cluster.data"), text).unwrap();
        Directory(directory)
    }

    async fn said(&self, arguments: &str) -> String {
        let mut command = honcho(&arguments.split(' ').collect::<Vec<_>>());
        // Nothing listens there: were a brain asked, it would show.
        command.env("HONCHO_URL", "http://127.0.0.1:9").current_dir(self.0.path());
        transcript(&run(command, b"").await)
    }

    async fn json(&self, arguments: &str) -> Value {
        let said = self.said(arguments).await;
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

async fn check(text: &str, arguments: &str, expected: Expect) {
    expected.assert_eq(&Directory::with(text).said(arguments).await);
}

#[tokio::test]
async fn balance_shows_moves_with_scores_and_costs() {
    check(
        CLUSTER,
        "balance --ganeti cluster.data",
        expect![[r#"
        MOVE  GUEST  FROM   TO     SCORE AFTER  COPIED
           1  web1   node1  node2   4.46875000       0
           2  web2   node1  node2   0.21875000       0

        The score goes from 8.71875000 to 0.21875000 by 2 moves; nothing is copied.
    "#]],
    )
    .await;
    check(
        CLUSTER,
        "balance --ganeti cluster.data --max-moves 1",
        expect![[r#"
        MOVE  GUEST  FROM   TO     SCORE AFTER  COPIED
           1  web1   node1  node2   4.46875000       0

        The score goes from 8.71875000 to 4.46875000 by 1 move; nothing is copied.
    "#]],
    )
    .await;
    check(
        CLUSTER,
        "balance --ganeti cluster.data --max-moves 0",
        expect![[r#"
        The score is 8.71875000: no move is allowed that is worth its trouble.
    "#]],
    )
    .await;
}

#[tokio::test]
async fn what_balance_saves_scores_as_it_said() {
    let directory = Directory::with(CLUSTER);
    let plan = directory.json("balance --ganeti cluster.data --save after.data --json").await;
    let keys: Vec<&String> = plan.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["moves", "score_after", "score_before", "seconds"]);
    assert!(plan["score_after"].as_f64() < plan["score_before"].as_f64(), "{plan}");
    let after = directory.json("balance --ganeti after.data --max-moves 0 --json").await;
    let difference = after["score_before"].as_f64().unwrap() - plan["score_after"].as_f64().unwrap();
    assert!(difference.abs() < 1e-9, "{plan} {after}");
    let moves = plan["moves"].as_array().unwrap();
    let saved = std::fs::read_to_string(directory.0.path().join("after.data")).unwrap();
    for one in moves {
        let (guest, to) = (one["guest"].as_str().unwrap(), one["to"].as_str().unwrap());
        let line = saved.lines().find(|line| line.starts_with(&format!("{guest}|"))).unwrap();
        assert_eq!(line.split('|').nth(6), Some(to), "{line}");
    }
    let databases: Vec<_> = saved.lines().filter(|line| line.starts_with("db")).collect();
    assert_ne!(databases[0].split('|').nth(6), databases[1].split('|').nth(6), "{databases:?}");
}

#[tokio::test]
async fn mirrors_move_and_cost_what_is_copied() {
    let mirrored = "\
g|0a|preferred||

n1|32768|1024|11264|500000|458752|16|N|0a|1
n2|32768|1024|31744|500000|458752|16|N|0a|1
n3|32768|1024|31744|500000|500000|16|N|0a|1

a|10240|20480|2|running|Y|n1|n2|drbd||1
b|10240|20480|2|running|Y|n1|n2|drbd||1



";
    check(
        mirrored,
        "balance --ganeti cluster.data",
        expect![[r#"
        MOVE  GUEST  FROM           TO             SCORE AFTER  COPIED
           1  a      n1, mirror n2  n3, mirror n2   2.35147378     20G

        The score goes from 4.70294472 to 2.35147378 by 1 move; 20G are copied.
    "#]],
    )
    .await;
    let none = Directory::with(mirrored).json("balance --ganeti cluster.data --max-cost 0 --json").await;
    let copied = |plan: &Value| -> f64 {
        plan["moves"].as_array().unwrap().iter().map(|one| one["cost_gib"].as_f64().unwrap()).sum()
    };
    assert!(copied(&none).abs() < 1e-9, "{none}");
    let all = Directory::with(mirrored).json("balance --ganeti cluster.data --json").await;
    assert!((copied(&all) - 20.0).abs() < 1e-9, "{all}");
}

/// Two mirrored instances whose memory nobody keeps free, and two that should not meet.
#[tokio::test]
async fn what_is_broken_is_mended_and_said() {
    let broken = "\
g|0a|preferred||

n1|32768|1024|2048|500000|418000|16|N|0a|1
n2|32768|1024|5000|500000|418000|16|N|0a|1
n3|32768|1024|31744|500000|500000|16|N|0a|1

a|14848|20480|2|running|Y|n1|n2|drbd||1
b|14848|20480|2|running|Y|n1|n2|drbd||1
c|13372|20480|2|running|Y|n2|n1|drbd|svc:x|1
d|13372|20480|2|running|Y|n2|n1|drbd|svc:x|1

htools:iextags:svc

";
    check(
        broken,
        "balance --ganeti cluster.data",
        expect![[r#"
        MOVE  GUEST  FROM           TO             SCORE AFTER  COPIED
           1  c      n2, mirror n1  n3, mirror n2  10.74449693     20G
           2  a      n1, mirror n2  n3, mirror n1   2.62264633     20G

        The score goes from 16.21401313 to 2.62264633 by 2 moves; 40G are copied.
        N+1: on 2 nodes not all mirrored guests could be started, after the moves on 0.
        Exclusion tags: 2 guests share a node with one of the same tag, after the moves 0.
    "#]],
    )
    .await;
}

#[tokio::test]
async fn capacity_says_how_many_and_what_runs_out() {
    check(
        CLUSTER,
        "capacity --ganeti cluster.data --size 2G,2cpu,0",
        expect![[r#"
        15 more guests of 2G of memory, 2 vCPUs, 0 of disk fit
        0 with N+1: if any host died, all could be restarted elsewhere
        What runs out: memory on 2 hosts
    "#]],
    )
    .await;
    check(
        CLUSTER,
        "capacity --ganeti cluster.data --size 2G,2cpu,20G --json",
        expect![[r#"
            {
              "fit": 0,
              "fit_with_n_plus_one": 0,
              "capped": false,
              "runs_out": [
                {
                  "what": "disk",
                  "hosts": 2
                }
              ]
            }
        "#]],
    )
    .await;
    check(
        CLUSTER,
        "capacity --ganeti cluster.data --size 2G,2cpu,0 --if-lost node2",
        expect![[r#"
        Without node2: 1 guest could be restarted elsewhere.

        0 more guests of 2G of memory, 2 vCPUs, 0 of disk fit
        0 with N+1: if any host died, all could be restarted elsewhere
        What runs out: memory on 1 host
    "#]],
    )
    .await;
    check(
        CLUSTER,
        "capacity --ganeti cluster.data --size 2G,2cpu,0 --if-lost node9",
        expect![[r#"
        --- stderr
        error: there is no host node9 in cluster.data
        hint: its name stands first on its line in the file; give all of it
        --- exit 1
    "#]],
    )
    .await;
    check(CLUSTER, "capacity --ganeti cluster.data --size 2G", expect![[r#"
        --- stderr
        error: invalid value '2G' for '--size <MEMORY,VCPUS,DISK>': write memory, vCPUs and disk, as in 2G,2cpu,20G

        For more information, try '--help'.
        --- exit 2
    "#]]).await;
}

#[tokio::test]
async fn explain_has_a_line_for_every_host() {
    check(
        CLUSTER,
        "placement explain --ganeti cluster.data --size 8G,2cpu,0",
        expect![[r#"
        HOST    SCORE  MEMORY    DISK   VCPUS    LOAD  REFUSED BY  WHY
        node2  2.0625  0.2812  0.0000  0.2812  1.5000  -           -
        node1       -       -       -       -       -  memory      3G of memory free, 8G needed
        node3       -       -       -       -       -  enabled     is offline

        A guest of 8G of memory, 2 vCPUs, 0 of disk goes to node2.
    "#]],
    )
    .await;
    check(
        CLUSTER,
        "placement explain --ganeti cluster.data --size 64G,2cpu,0",
        expect![[r#"
        HOST   SCORE  MEMORY  DISK  VCPUS  LOAD  REFUSED BY  WHY
        node1  -      -       -     -      -     memory      3G of memory free, 64G needed
        node2  -      -       -     -      -     memory      29G of memory free, 64G needed
        node3  -      -       -     -      -     enabled     is offline

        A guest of 64G of memory, 2 vCPUs, 0 of disk fits on none of 3 hosts.
    "#]],
    )
    .await;
    check(
        CLUSTER,
        "placement explain --ganeti cluster.data --size 8G,2cpu,0 --json",
        expect![[r#"
        {
          "host": "node2",
          "refused": {
            "enabled": 1,
            "memory": 1
          },
          "hosts": [
            {
              "host": "node1",
              "score": null,
              "parts": null,
              "filter": "memory",
              "reason": "3G of memory free, 8G needed"
            },
            {
              "host": "node2",
              "score": 2.0625,
              "parts": {
                "memory": 0.28125,
                "disk": 0.0,
                "vcpus": 0.28125,
                "load": 1.5,
                "owner": 0.0
              },
              "filter": null,
              "reason": null
            },
            {
              "host": "node3",
              "score": null,
              "parts": null,
              "filter": "enabled",
              "reason": "is offline"
            }
          ]
        }
    "#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_wrong_names_its_line() {
    let broken = CLUSTER.replace("web2|4096|", "web2|lots|");
    check(
        &broken,
        "balance --ganeti cluster.data",
        expect![[r#"
        --- stderr
        error: cluster.data, line 8: memory is "lots" and must be a whole number
        hint: it must be the text format of Ganeti's htools, as hscan and `hbal -S` write it
        --- exit 1
    "#]],
    )
    .await;
    let binary =
        Directory::with([&CLUSTER.as_bytes()[..100], &[0xff, 0xfe], &CLUSTER.as_bytes()[100..]].concat());
    expect![[r#"
        --- stderr
        error: cluster.data, line 5: this is no text (UTF-8)
        hint: it must be the text format of Ganeti's htools, as hscan and `hbal -S` write it
        --- exit 1
    "#]]
    .assert_eq(&binary.said("capacity --ganeti cluster.data --size 2G,2cpu,0").await);
    check(
        CLUSTER,
        "balance --ganeti missing.data",
        expect![[r#"
        --- stderr
        error: cannot read missing.data
        caused by: No such file or directory (os error 2)
        --- exit 1
    "#]],
    )
    .await;
    let groups = CLUSTER.replacen("\n\n", "\nother|0b|preferred||\n\n", 1);
    check(
        &groups,
        "balance --ganeti cluster.data --max-moves 1",
        expect![[r#"
        MOVE  GUEST  FROM   TO     SCORE AFTER  COPIED
           1  web1   node1  node2   4.46875000       0

        The score goes from 8.71875000 to 4.46875000 by 1 move; nothing is copied.
    "#]],
    )
    .await;
    let groups =
        groups.replace("node3|32768|1024|31744|0|0|16|Y|0a|1", "node3|32768|1024|31744|0|0|16|Y|0b|1");
    check(
        &groups,
        "balance --ganeti cluster.data",
        expect![[r#"
        --- stderr
        error: cluster.data: there are several node groups (default, other), and moves stay within one
        hint: name one: --group NAME
        --- exit 1
    "#]],
    )
    .await;
    check(
        &groups,
        "balance --ganeti cluster.data --group third",
        expect![[r#"
        --- stderr
        error: cluster.data: there is no node group third: there is default, other
        --- exit 1
    "#]],
    )
    .await;
    check(
        &groups,
        "balance --ganeti cluster.data --group other",
        expect![[r#"
        The score is 0.00000000: no move is allowed that is worth its trouble.
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_size_alone_is_of_no_guest() {
    check(CLUSTER, "placement explain --size 2G,2cpu,20G", expect![[r#"
        --- stderr
        error: the following required arguments were not provided:
          --ganeti <FILE>
          <GUEST>

        Usage: honcho placement explain --ganeti <FILE> --size <MEMORY,VCPUS,DISK> --url <URL> --token <TOKEN> <GUEST>

        For more information, try '--help'.
        --- exit 2
    "#]]).await;
}
