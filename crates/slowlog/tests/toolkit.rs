//! Beside pt-query-digest itself, on everything at once: events, fingerprints, ids, counts and sums.
//!
//! The first test wants a folder with its expectations: `HONCHO_SLOWLOG_CORPUS=DIR` with `logs/`, `expected.json` (what
//! pt-query-digest says of each) and `fingerprints.jsonl` (pairs, each by some dialect). The second one wants the program.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers")]

use honcho_slowlog::{
    Batch, Checksums, Dialect, Digest, Ending, Fingerprinter, Log, Numbers, QueryId, Quoting, Settings,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Fingerprint, count, query time and rows examined, by id.
type Classes = BTreeMap<String, (String, u64, u64, u64)>;

fn ours(log: &[u8], dialect: Dialect) -> Classes {
    let mut digest = Digest::new(Settings { dialect, ..Settings::default() });
    let mut reader = Log::new();
    reader.push(log);
    reader.take(Ending::Last, Batch::default()).events(|event| digest.add(event));
    digest
        .classes()
        .iter()
        .map(|class| {
            let total = class.total();
            // pt-query-digest takes bytes for letters of Latin-1.
            let fingerprint = class.fingerprint().iter().map(|byte| char::from(*byte)).collect();
            (
                class.id().to_string(),
                (fingerprint, total.count, total.query_time.sum, total.rows_examined.sum),
            )
        })
        .collect()
}

fn micros(text: &Value) -> u64 {
    let text = text.as_str().unwrap();
    let (whole, fraction) = text.split_once('.').unwrap();
    whole.parse::<u64>().unwrap() * 1_000_000 + fraction.parse::<u64>().unwrap()
}

#[test]
fn a_corpus() {
    let Ok(corpus) = std::env::var("HONCHO_SLOWLOG_CORPUS") else {
        return;
    };
    let corpus = Path::new(&corpus);
    let expected: BTreeMap<String, Value> =
        serde_json::from_slice(&std::fs::read(corpus.join("expected.json")).unwrap()).unwrap();
    for (name, expected) in &expected {
        let found = ours(&std::fs::read(corpus.join("logs").join(name)).unwrap(), Dialect::default());
        let events: u64 = found.values().map(|class| class.1).sum();
        assert_eq!(Some(events), expected["events"].as_u64(), "{name}");
        let classes: Classes = expected["classes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|class| {
                let text = |key: &str| class[key].as_str().unwrap().to_owned();
                let rows = text("rows_examined_sum").parse().unwrap();
                let sum = micros(&class["query_time_sum"]);
                (text("id"), (text("fingerprint"), class["count"].as_u64().unwrap(), sum, rows))
            })
            .collect();
        assert_eq!(found, classes, "{name}");
    }
    let pairs = std::fs::read_to_string(corpus.join("fingerprints.jsonl")).unwrap();
    for pair in pairs.lines() {
        let (statement, fingerprint): (String, String) = serde_json::from_str(pair).unwrap();
        let by = |dialect| {
            String::from_utf8_lossy(Fingerprinter::new(dialect).fingerprint(statement.as_bytes()))
                .into_owned()
        };
        if by(Dialect::default()) == fingerprint {
            continue;
        }
        let checksums = Dialect { checksums: Checksums::Replaced, ..Dialect::default() };
        let numbers = Dialect { numbers: Numbers::AlonePlaced, ..Dialect::default() };
        assert!([checksums, numbers].into_iter().any(|dialect| by(dialect) == fingerprint), "{statement}");
    }
    assert!(!expected.is_empty() && !pairs.is_empty());
}

/// A small generator of numbers, so that a failing log can be made again.
struct Numbered(u64);

impl Numbered {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % most as u64).unwrap()
    }

    fn of<'text>(&mut self, list: &[&'text str]) -> &'text str {
        list[self.below(list.len())]
    }
}

/// A statement as people write them, or nearly.
fn statement(numbers: &mut Numbered) -> String {
    const TABLES: &[&str] = &["guests", "shop.orders", "`t 5`", "t2x", "log_2023"];
    const VALUES: &[&str] =
        &["5", "-1.5e3", "'x'", "\"it's\"", "'it\\'s'", "''", "NULL", "true", "0xAB", "x'12'", "now()", "?"];
    const ENDS: &[&str] =
        &["", " LIMIT 5", " limit 5, 10", " ORDER BY a ASC, b desc", " -- why", " /* who */", " # end", "\n"];
    let (table, first, second) = (numbers.of(TABLES), numbers.of(VALUES), numbers.of(VALUES));
    let body = match numbers.below(9) {
        0 => format!("SELECT  a,\n b FROM {table} WHERE x = {first} AND y IN ({second}, {first},{second})"),
        1 => format!("INSERT INTO {table} (a, b) VALUES ({first}, {second}),({second}, {first})"),
        2 => format!("UPDATE {table} SET a = a + {first} WHERE b IS {second}"),
        3 => format!("select {first} union all select {first} union all select {second}"),
        4 => format!("DELETE FROM {table} WHERE a in({first}) or b between {first} and {second}"),
        5 => format!("CALL {table}({first})"),
        6 => format!("replace {table} values ({first})"),
        7 => format!("select /*!40001 SQL_NO_CACHE */ a from {table} where b<={first}"),
        _ => format!("SHOW TABLES LIKE {first}"),
    };
    body + numbers.of(ENDS)
}

#[test]
fn pt_query_digest_says_the_same() {
    let version =
        Command::new("pt-query-digest").arg("--version").output().expect("pt-query-digest is installed");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let old = ["3.0", "3.1", "3.2"].iter().any(|old| version.contains(&format!(" {old}.")));
    let quoting = if old { Quoting::Toolkit32 } else { Quoting::Toolkit35 };
    let seed = std::env::var("HONCHO_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut numbers = Numbered(seed);
    let mut log = String::new();
    for at in 0..20_000 {
        let statement = statement(&mut numbers);
        let (minute, second, micros) = (at / 60 % 60, at % 60, 1 + numbers.below(900_000));
        write!(
            log,
            "# Time: 231114 22:{minute:02}:{second:02}\n# User@Host: u[u] @ localhost []\n\
             # Query_time: 0.{micros:06}  Lock_time: 0.0  Rows_sent: 1  Rows_examined: {at}\n\
             SET timestamp=170000{at:04};\n{statement};\n",
        )
        .unwrap();
    }
    let path = std::env::temp_dir().join(format!("honcho-slowlog-{}.log", std::process::id()));
    std::fs::write(&path, &log).unwrap();
    let output = Command::new("pt-query-digest")
        .args(["--no-version-check", "--limit", "100%", "--output", "json"])
        .arg(&path)
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let theirs: Classes = theirs["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let metrics = &class["metrics"];
            let rows = metrics["Rows_examined"]["sum"].as_str().map_or(0, |rows| rows.parse().unwrap());
            let values = (
                text(&class["fingerprint"]),
                class["query_count"].as_u64().unwrap(),
                micros(&metrics["Query_time"]["sum"]),
                rows,
            );
            (text(&class["checksum"]), values)
        })
        .collect();
    let found = ours(log.as_bytes(), Dialect { quoting, ..Dialect::default() });
    assert_eq!(found.len(), theirs.len());
    for (id, class) in &found {
        assert_eq!(Some(class), theirs.get(id), "seed {seed}");
    }
}

#[test]
fn an_id_is_the_md5_of_the_fingerprint() {
    assert_eq!(QueryId::of(b"select * from foo").to_string(), "7023AEC64FE3598DAC1BF726F2AB10C5");
}
