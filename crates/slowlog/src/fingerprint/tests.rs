//! Pairs of statements and fingerprints, of the shapes that matter; what pt-query-digest makes of them was looked at.

use super::*;
use proptest::prelude::*;

fn of(statement: &str, dialect: Dialect) -> String {
    String::from_utf8_lossy(Fingerprinter::new(dialect).fingerprint(statement.as_bytes())).into_owned()
}

#[track_caller]
fn check(statement: &str, fingerprint: &str) {
    assert_eq!(of(statement, Dialect::default()), fingerprint, "of {statement:?}");
}

#[test]
fn values_are_replaced() {
    check("SELECT name FROM guests WHERE id = 17", "select name from guests where id = ?");
    check("select 'a', \"b\", '', 'it\\'s' from t", "select ?, ?, ?, ? from t");
    check("select '\\\\' from t", "select ? from t");
    check("select null, 5.001, 5001., .5, -3, +6e-30 from t", "select ?, ?, ?, ?, ?, ? from t");
    check("select 0x0f, x'123', 0b1010, b'10101'", "select ?, ?, ?, ?");
    check(
        "select * from t where a=TRUE and b = false and trueish=1",
        "select * from t where a=? and b = ? and trueish=?",
    );
    check("select 1-false", "select ??");
    check("select nullable, nullx'a' from t", "select nullable, ?? from t");
}

#[test]
fn the_dialect_has_its_quirks() {
    check("select 0xAB, 1E5", "select ?ab, ?e?");
    check("select 44beds from t5x_3", "select ?s from t?_?");
    check("select 'it''s' from t where x='y'", "select ?'s?y'");
    check("'begin' and 'middle'", "'begin?middle'");
}

#[test]
fn blanks_and_case() {
    check("  SELECT\t a,\n\n  B  FROM t \n", "select a, b from t ");
    check("select 'x'\n", "select ?");
    check("", "");
    check(" \n ", "");
}

#[test]
fn comments() {
    check("select /* who: 17 */ a from t", "select a from t");
    check("select /*!40001 SQL_NO_CACHE */ a", "select /*!? sql_no_cache */ a");
    check("select a -- to the end\nfrom t", "select a from t");
    check("select a # to the end\nfrom t", "select a from t");
    check("select a -- it's\nfrom t where x='1'", "select a ? it??'");
    check("select /**/ a /* b */ from t", "select from t");
    check("/* open", "/* open");
}

#[test]
fn lists() {
    check(
        "select * from t where a in (5) and b in (5, 8,9 ,9 , 10)",
        "select * from t where a in(?+) and b in(?+)",
    );
    check("insert into t(a, b) values(2, 4), (3,4)", "insert into t(a, b) values(?+)");
    check("insert into t(a, b) VALUE (2, now())", "insert into t(a, b) value (?, now())");
    check("INSERT INTO t VALUES (1, 'x),(y'), (2, 'z')", "insert into t values (?, 'x)");
    check(
        "insert ignore into t values (1),(2) on duplicate key update a=1",
        "insert ignore into t values(?+)",
    );
    check("select min(5), join_in(5), a in ()", "select min(?), join_in(?), a in(?+)");
}

#[test]
fn unions_limits_and_orders() {
    check("select 1 union select 2 union select 4", "select ? /*repeat union*/");
    check("select 1 union all select 2 union all select 4", "select ? /*repeat union all*/");
    check(
        "select * from (select 1 union all select 2) as x join (select 2 union select 3) as y",
        "select * from (select ? /*repeat union all*/) as x join (select ? /*repeat union*/) as y",
    );
    check("select a union select b", "select a union select b");
    check(
        "select a union select b union select a union select b",
        "select a union select b /*repeat union*/",
    );
    check("select * from t limit 5, 10", "select * from t limit ?");
    check("select * from t limit 5 offset 10", "select * from t limit ?");
    check("select * from t order by a, b ASC, d DESC, e asc", "select * from t order by a, b, d desc, e");
    check("select * from t order by a, ascii(b)", "select * from t order by a,ii(b)");
}

#[test]
fn special_statements() {
    check("CALL shop.bill(1, (2), 3)", "call shop.bill");
    check("call bill", "call bill");
    check("USE `shop`", "use ?");
    check("SELECT /*!40001 SQL_NO_CACHE */ * FROM `film`", "mysqldump");
    check("REPLACE /*shop.guests:3/7*/ INTO sums SELECT 1", "percona-toolkit");
    check("administrator command: Init DB", "administrator command: Init DB");
}

#[test]
fn options() {
    let numbers = Dialect { numbers: Numbers::AlonePlaced, ..Dialect::default() };
    assert_eq!(
        of("select a-1 from prices2.rt_5min where id=1", numbers),
        "select a? from prices2.rt_5min where id=?"
    );
    let checksums = Dialect { checksums: Checksums::Replaced, ..Dialect::default() };
    let name = "fbc5e685a5d3d45aa1d0347fdb7c4d35";
    assert_eq!(
        of(&format!("select * from db.temp_{name} where id=1"), checksums),
        "select * from db.temp_? where id=?"
    );
    assert_eq!(of(&format!("select * from db.{name}_temp"), checksums), "select * from db.?_temp");
    assert_eq!(of("select a.false, .true", checksums), "select a.?, .?");
    let old = Dialect { quoting: Quoting::Toolkit32, ..Dialect::default() };
    assert_eq!(of("select 'it''s' from t", old), "select ?? from t");
}

/// Text of what fingerprints are made of.
fn sql() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "select ",
            "union ",
            "all ",
            "in ",
            "values",
            "(",
            ")",
            ",",
            "'",
            "\"",
            "\\",
            "--",
            "#",
            "/*",
            "*/",
            " ",
            "\n",
            "null",
            "true",
            "false",
            "order by ",
            " asc",
            "limit ",
            "?",
            ".",
            "x",
            "b",
            "1",
            "-",
            "+",
            "f",
            "insert into t ",
            "call a(",
            "use ",
            "\u{b}",
            "é",
        ])
        .prop_map(str::to_owned),
        "[a-z0-9]{1,3}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn it_never_grows_much_and_is_lower_case(statement in sql()) {
        let fingerprint = of(&statement, Dialect::default());
        prop_assert!(fingerprint.len() <= 2 * statement.len() + 16);
    }

    #[test]
    fn the_passes_for_literals_agree(statement in sql()) {
        // The fast pass takes what has no backslash and no double quote; the slow one takes all.
        let plain = statement.replace(['\\', '"'], "");
        let mut slow = plain.clone().into_bytes();
        strip::literals(&mut slow, Dialect::default());
        let mut words = words::Words::default();
        words.read::<false>(&slow, Dialect::default());
        let mut fast = words::Words::default();
        fast.read::<true>(plain.as_bytes(), Dialect::default());
        prop_assert_eq!(String::from_utf8_lossy(&fast.text), String::from_utf8_lossy(&words.text));
    }

    #[test]
    fn steps_are_linear(piece in sql(), times in 1_usize..400) {
        let statement = piece.repeat(times);
        let mut fingerprinter = Fingerprinter::default();
        fingerprinter.fingerprint(statement.as_bytes());
        prop_assert!(fingerprinter.steps() <= 100 * statement.len() as u64 + 8192);
    }
}
