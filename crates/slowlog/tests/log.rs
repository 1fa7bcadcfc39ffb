//! Logs as servers write them, and as they get broken: what comes out, and that it does not depend on how they come in.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use expect_test::{Expect, expect};
use honcho_slowlog::{Batch, Ending, Event, Identity, Log, State};
use proptest::prelude::*;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn line(event: &Event<'_>) -> String {
    format!(
        "{:?} {}@{} db={} {}us {}/{} {:?} {:?} {:?} {}\n",
        event.time,
        text(event.user),
        text(event.host),
        text(event.database),
        event.query_time,
        event.rows_sent,
        event.rows_examined,
        event.kind,
        event.identity,
        event.extent,
        text(event.statement).replace('\n', "\\n").replace('\r', "\\r"),
    )
}

/// The events of a log that comes in pieces of these lengths.
fn read(log: &[u8], pieces: impl IntoIterator<Item = usize>) -> String {
    let mut out = String::new();
    let mut reader = Log::new();
    let mut batch = Batch::default();
    let mut rest = log;
    for piece in pieces {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        reader.push(now);
        batch = reader.take(Ending::More, batch);
        batch.events(|event| out.push_str(&line(event)));
        rest = later;
    }
    reader.push(rest);
    reader.take(Ending::Last, batch).events(|event| out.push_str(&line(event)));
    out
}

/// The events of a log that is cut wherever it can be, each piece read by itself.
fn read_cut(log: &[u8], size: usize) -> String {
    let mut out = String::new();
    let place = |place: u64| usize::try_from(place).expect("a place in a log");
    let (mut reader, mut batch) = (Log::new(), Batch::default());
    let (mut from, mut state) = (0, reader.state());
    let mut piece = |from: usize, to: usize, state: &State, ending: Ending| {
        let mut reader = Log::resuming(state);
        reader.push(&log[from..to]);
        let batch = match ending {
            Ending::Last => reader.take(ending, Batch::default()),
            Ending::More => reader.take_before_another(Batch::default()),
        };
        batch.events(|event| out.push_str(&line(event)));
    };
    for bytes in log.chunks(size.max(1)) {
        reader.push(bytes);
        batch = reader.take(Ending::More, batch);
        if let Some(boundary) = reader.boundary() {
            let boundary = place(boundary);
            piece(from, boundary, &state, Ending::More);
            (from, state) = (boundary, reader.state());
        }
    }
    piece(from, log.len(), &state, Ending::Last);
    reader.take(Ending::Last, batch);
    assert_eq!(reader.boundary(), Some(log.len() as u64));
    out
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "so that `expect!` can be given")]
fn check(log: &str, expected: Expect) {
    let whole = read(log.as_bytes(), []);
    expected.assert_eq(&whole);
    assert_eq!(read(log.as_bytes(), std::iter::repeat_n(1, log.len())), whole, "the same, byte by byte");
    for size in [1, 7, 100] {
        assert_eq!(read_cut(log.as_bytes(), size), whole, "the same, cut in pieces of {size} and more");
    }
    let crlf = log.replace('\n', "\r\n");
    assert_eq!(read(crlf.as_bytes(), []).replace("\\r", ""), whole, "the same from Windows");
}

const BANNER: &str = "/usr/sbin/mariadbd, Version: 10.11.6-MariaDB (Debian 12). started with:\n\
    Tcp port: 3306  Unix socket: /run/mysqld/mysqld.sock\nTime\t\t    Id Command\tArgument\n";

#[test]
fn mariadb() {
    let log = format!(
        "{BANNER}# Time: 231114 22:13:20\n# User@Host: app[app] @ web1 [10.0.0.3]\n# Thread_id: 5  Schema: shop  QC_hit: No\n\
         # Query_time: 0.000123  Lock_time: 0.000010  Rows_sent: 1  Rows_examined: 7\n# Rows_affected: 0  Bytes_sent: 66\n\
         # Full_scan: Yes  Full_join: No  Tmp_table: No  Tmp_table_on_disk: No\n\
         # Filesort: No  Filesort_on_disk: No  Merge_passes: 0  Priority_queue: No\n#\n\
         # explain: id\tselect_type\ttable\n# explain: 1\tSIMPLE\tt\n#\nuse shop;\nSET timestamp=1700000000;\nSELECT 1\n  FROM t;\n\
         # User@Host: app[app] @ localhost []\n# Thread_id: 6  Schema:   QC_hit: No\n\
         # Query_time: 2  Lock_time: 0  Rows_sent: 3  Rows_examined: 9\nSET timestamp=1700000001;\n\
         # administrator command: Quit;\n{BANNER}{BANNER}"
    );
    check(
        &log,
        expect![[r"
            Some(1700000000000000) app@web1 db=shop 123us 1/7 Query Certain Whole SELECT 1\n  FROM t
            Some(1700000001000000) app@localhost db= 2000000us 0/0 Administrator Certain Whole administrator command: Quit
        "]],
    );
}

#[test]
fn mysql_8_and_percona() {
    check(
        "# Time: 2023-11-14T22:13:20.500000Z\n# User@Host: root[root] @ localhost []  Id:    12\n\
         # Query_time: 1.5  Lock_time: 0.1 Rows_sent: 1  Rows_examined: 2 Thread_id: 12 Errno: 0 Killed: 0\n\
         use shop;\nSET timestamp=1700000000;\nSELECT 1;\n\
         # Time: 2023-11-14T22:13:21.500000Z\n# User@Host: [SQL_SLAVE] @  []\n# Schema: db2  Last_errno: 0  Killed: 0\n\
         # Query_time: 1.5  Lock_time: 0.1  Rows_sent: 1  Rows_examined: 2\nCOMMIT;\n\
         # User@Host: b[b] @  [10.1.1.1]\n# Query_time: 1.5  Lock_time: 0.1  Rows_sent: 1  Rows_examined: 2\nselect 2;\nselect 3;\n",
        expect![[r"
            Some(1700000000000000) root@localhost db=shop 1500000us 1/2 Query Certain Whole SELECT 1
            Some(1700000001500000) [SQL_SLAVE]@ db=db2 1500000us 1/2 Query Certain Whole COMMIT
            Some(1700000001500000) b@10.1.1.1 db=shop 1500000us 1/2 Query Certain Whole select 2;\nselect 3
        "]],
    );
}

#[test]
fn a_database_that_is_quoted_is_the_one_that_is_not() {
    let head =
        "# User@Host: b[b] @ localhost []\n# Query_time: 1  Lock_time: 0  Rows_sent: 1  Rows_examined: 2\n";
    check(
        &format!(
            "{head}use `shop`;\nselect 1;\n{head}use shop;\nselect 2;\n{head}use `;\nselect 3;\n{head}use ``;\nselect 4;\n"
        ),
        expect![[r"
            None b@localhost db=shop 1000000us 1/2 Query Certain Whole select 1
            None b@localhost db=shop 1000000us 1/2 Query Certain Whole select 2
            None b@localhost db=` 1000000us 1/2 Query Certain Whole select 3
            None b@localhost db=`` 1000000us 1/2 Query Certain Whole select 4
        "]],
    );
}

/// An event by `user` with this statement.
fn event(user: &str, statement: &str) -> String {
    format!(
        "# User@Host: {user}[{user}] @ localhost []\n# Query_time: 1.0  Lock_time: 0.0  Rows_sent: 1  Rows_examined: 1\n\
         SET timestamp=1700000000;\n{statement};\n"
    )
}

#[test]
fn what_stands_in_a_literal_is_nobody_elses_event() {
    let forged = event("victim", "DELETE FROM money");
    for statement in [
        format!("SELECT 'x;\n{forged}'"),
        format!("SELECT \"x\\\";\n{forged}\""),
        format!("SELECT `x;\n{forged}`"),
        format!("SELECT 1 /* ;\n{forged}*/"),
        format!("SELECT 'it''s\\\\', ';\n{forged}{forged}{BANNER}{forged}'"),
        format!("SELECT 1 -- it's\n, ';\n{forged}'"),
    ] {
        let log = event("mallory", &statement) + &event("alice", "SELECT 1");
        let read = read(log.as_bytes(), std::iter::repeat_n(7, log.len() / 7));
        assert!(!read.contains("victim@"), "{read}");
        assert_eq!(read.lines().count(), 2, "{read}");
        assert!(read.contains("mallory@localhost") && read.contains("alice@localhost"), "{read}");
    }
}

#[test]
fn a_literal_that_never_ends_hides_no_event_and_names_nobody() {
    check(
        &(event("mallory", "SELECT 'x")
            + &event("alice", "SELECT 1")
            + &event("bob", "SELECT 2 WHERE a = 'b'")),
        expect![[r"
            Some(1700000000000000) mallory@localhost db= 1000000us 1/1 Query Certain Cut SELECT 'x
            Some(1700000000000000) @ db= 1000000us 1/1 Query Uncertain Whole SELECT 1
            Some(1700000000000000) @ db= 1000000us 1/1 Query Uncertain Whole SELECT 2 WHERE a = 'b'
        "]],
    );
}

#[test]
fn cut_off_at_both_ends_and_in_the_middle() {
    let time = "# Time: 231114 22:13:20\n";
    let cut = event("b", "SELECT 2 FROM").replace(";\n# ", "\n# ").replace("FROM;\n", "FROM\n");
    check(
        &format!(
            "x = 5 AND y = 'z';\n{}{cut}{time}{}{}",
            event("a", "SELECT 1"),
            event("c", "SELECT 3"),
            "# User@Host: d[d"
        ),
        expect![[r"
            Some(1700000000000000) a@localhost db= 1000000us 1/1 Query Certain Whole SELECT 1
            Some(1700000000000000) b@localhost db= 1000000us 1/1 Query Certain Whole SELECT 2 FROM
            Some(1700000000000000) c@localhost db= 1000000us 1/1 Query Certain Whole SELECT 3
        "]],
    );
    check(
        &(event("a", "SELECT 1") + event("b", "SELECT 2 FROM").trim_end_matches(";\n")),
        expect![[r"
            Some(1700000000000000) a@localhost db= 1000000us 1/1 Query Certain Whole SELECT 1
            Some(1700000000000000) b@localhost db= 1000000us 1/1 Query Certain Cut SELECT 2 FROM
        "]],
    );
}

#[test]
fn what_cannot_be_an_event_is_left_out() {
    let impossible = event("a", "SELECT 1").replace("1.0", "18446744073708.796870.000036");
    check(&(impossible + "# comment\nSELECT 5;\n" + &event("b", "") + "# User@Host: x\n"), expect![""]);
}

#[test]
fn a_second_name_in_one_header_is_not_believed() {
    let log = event("a", "SELECT 1")
        .replace("# Query_time", "# User@Host: victim[victim] @ localhost []\n# Query_time");
    assert!(read(log.as_bytes(), []).contains("a@localhost"));
    let log = log.replace("a[a] @ localhost", "a\n# User@Host: victim[victim] @ x");
    assert!(!read(log.as_bytes(), []).contains("victim@"), "a user whose name has a line feed in it");
}

#[test]
fn a_statement_of_any_length_takes_bounded_memory() {
    let mut reader = Log::new();
    let mut batch = Batch::default();
    let mut events = Vec::new();
    reader.push(event("a", "SELECT 'x").trim_end_matches(";\n").as_bytes());
    for _ in 0..40 {
        reader.push("y;\n# z ".repeat(1 << 17).as_bytes());
        batch = reader.take(Ending::More, batch);
        batch.events(|event| events.push(event.statement.len()));
    }
    reader.push(b"';\n");
    reader.push(event("b", "SELECT 2").as_bytes());
    reader.take(Ending::Last, batch).events(|event| {
        assert_eq!(event.identity, Identity::Certain);
        events.push(event.statement.len());
    });
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[0] < (4 << 20) && events[0] > (3 << 20) && events[1] == 8, "{events:?}");
    assert!(reader.steps() < 4 * 40 * (7 << 17));
}

/// Text of what logs are made of.
fn log() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["a", "b"]).prop_flat_map(|user| {
            prop::sample::select(vec!["SELECT 1", "SELECT 'a;\n# b'", "", "# c\nSELECT 2", "use x", "SELECT \"it's\""])
                .prop_map(move |statement| event(user, statement))
        }),
        2 => prop::sample::select(vec![
            "# Time: 071015 21:43:52\n", "# Query_time: 1.0\n", "use shop;\n", "SET timestamp=5;\n", ";\n#", "\n", "\r\n", ";",
            "'", "\"", "`", "/*", "*/", "-- ", "# ", "#", "\\", "# administrator command: Quit;\n", BANNER, "\u{fffd}",
            "# User@Host: ", "# Time: 071015 21:43:52\n# User@Host: x[x] @ y [z]\n",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn pieces_do_not_matter(log in log(), pieces in prop::collection::vec(0_usize..200, 0..60)) {
        prop_assert_eq!(read(&log, pieces), read(&log, []));
    }

    #[test]
    fn it_can_be_cut_and_each_piece_read_by_itself(log in log(), size in 1_usize..300) {
        prop_assert_eq!(read_cut(&log, size), read(&log, []));
    }

    #[test]
    fn any_bytes_in_any_pieces(log in prop::collection::vec(any::<u8>(), 0..300), pieces in prop::collection::vec(0_usize..50, 0..20)) {
        prop_assert_eq!(read(&log, pieces), read(&log, []));
    }

    #[test]
    fn steps_are_linear(piece in log(), times in 1_usize..100, size in 1_usize..5000) {
        let log = piece.repeat(times);
        let mut reader = Log::new();
        let mut batch = Batch::default();
        for piece in log.chunks(size) {
            reader.push(piece);
            batch = reader.take(Ending::More, batch);
        }
        reader.take(Ending::Last, batch);
        prop_assert!(reader.steps() <= 5 * log.len() as u64 + 64 * (log.len() / size + 1) as u64, "{} of {}", reader.steps(), log.len());
    }
}
