//! Reading and writing alone; what lines do is tried in `operations/tests/imports.rs`.
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]

use super::{Table, written};
use expect_test::{Expect, expect};
use honcho_store::{Refusal, StoreError};
use proptest::prelude::*;

const COLUMNS: &[&str] = &["name", "serial", "note"];

fn told(bytes: &[u8]) -> String {
    match Table::read(bytes, COLUMNS) {
        Ok(table) => {
            let line = |line: &super::Line| {
                let cells: Vec<String> = COLUMNS
                    .iter()
                    .filter_map(|column| Some(format!("{column}={:?}", table.cell(line, column)?)))
                    .collect();
                format!("{} {}\n", line.place(), cells.join(" "))
            };
            table.lines.iter().map(line).collect()
        }
        Err(problems) => match StoreError::from(problems) {
            StoreError::Refused(Refusal::Invalid(errors)) => errors
                .into_iter()
                .flat_map(|(place, texts)| texts.into_iter().map(move |text| format!("{place}: {text}\n")))
                .collect(),
            other => panic!("{other}"),
        },
    }
}

#[expect(clippy::needless_pass_by_value, reason = "expect! makes values to give away")]
fn check(bytes: &[u8], expected: Expect) {
    expected.assert_eq(&told(bytes));
}

#[test]
fn what_spreadsheets_write_is_read() {
    check(
        b"name,serial\nweb1,S1\n",
        expect![[r#"
        line 2 name="web1" serial="S1"
    "#]],
    );
    check(
        b"\xef\xbb\xbfSerial;NAME\r\nS1;web1\r\n\r\n;\r\nS2;web2",
        expect![[r#"
        line 2 name="web1" serial="S1"
        line 5 name="web2" serial="S2"
    "#]],
    );
    check(
        b"name\tserial\nweb1\t\"a\tb\"\n",
        expect![[r#"
        line 2 name="web1" serial="a\tb"
    "#]],
    );
    check(
        b"name,note\nweb1,\"two\nlines, and a \"\"quote\"\"\"\nweb2,'=1\nweb3,'=\n",
        expect![[r#"
        line 2 name="web1" note="two\nlines, and a \"quote\""
        line 4 name="web2" note="=1"
        line 5 name="web3" note="="
    "#]],
    );
    check(
        b"\n\nname\n\n\nweb1\n",
        expect![[r#"
        line 6 name="web1"
    "#]],
    );
    check(
        b"name,,\nweb1,,\n",
        expect![[r#"
        line 2 name="web1"
    "#]],
    );
    check(b"name\n", expect![[""]]);
}

#[test]
fn what_is_no_table_is_named_line_by_line() {
    check(
        b"",
        expect![[r#"
        base: is empty: its first line names the columns
    "#]],
    );
    check(
        b" \n\n",
        expect![[r#"
        base: is empty: its first line names the columns
    "#]],
    );
    check(
        b"\xff\xfen\0a\0m\0e\0",
        expect![[r#"
        base: is UTF-16: save it as "CSV UTF-8"
    "#]],
    );
    check(
        b"name,colour,name,\nweb1,red,web2,x\nweb2\nweb3,a,b,c,d\n",
        expect![[r#"
        line 1: there is no column "colour": columns are name, serial, note
        line 1: column name stands there twice
        line 1: column 4 has no name
        line 3: has 1 cells, and there are 4 columns
        line 4: has 5 cells, and there are 4 columns
    "#]],
    );
    check(
        b"name,serial\nweb\xe4,S1\nweb1,S2\nweb2,\xfc",
        expect![[r#"
        line 2: cell 1 is not UTF-8: save the file as "CSV UTF-8"
        line 4: cell 2 is not UTF-8: save the file as "CSV UTF-8"
    "#]],
    );
    check(
        b"name,serial\nweb1\nweb2,S2,\n",
        expect![[r#"
        line 2: has 1 cells, and there are 2 columns
    "#]],
    );
    let many = format!("name\n{}", "x\n".repeat(20_001));
    check(
        many.as_bytes(),
        expect![[r#"
        base: has more than 20000 lines: split it
    "#]],
    );
    assert_eq!(told(format!("name\n{}", "x\n".repeat(20_000)).as_bytes()).lines().count(), 20_000);
}

proptest! {
    /// Whatever is written reads the same, and no cell of it is a formula.
    #[test]
    fn what_is_written_reads_the_same(rows in proptest::collection::vec(proptest::collection::vec("[-=+@'\"a;,\n\r\t ]{0,5}\\PC{0,5}", 3), 1..5)) {
        let mut bytes = written(COLUMNS.iter().copied());
        for row in &rows {
            bytes.extend(written(row.iter().map(String::as_str)));
        }
        let table = Table::read(&bytes, COLUMNS).unwrap();
        let full: Vec<&Vec<String>> = rows.iter().filter(|row| row.iter().any(|cell| !cell.trim().is_empty())).collect();
        prop_assert_eq!(table.lines.len(), full.len());
        for (line, row) in table.lines.iter().zip(full) {
            for (column, cell) in COLUMNS.iter().zip(row) {
                prop_assert_eq!(table.cell(line, column), Some(cell.trim()));
            }
        }
    }

    /// Any bytes are a table or refused; lines are numbered upwards and lie in the file.
    #[test]
    fn anything_is_read_or_refused(text in "(name|serial|,|;|\"|\n|\r\n|\u{feff}|'|=|x|é){0,60}") {
        if let Ok(table) = Table::read(text.as_bytes(), COLUMNS) {
            let numbers: Vec<i64> = table.lines.iter().map(|line| line.number).collect();
            prop_assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
            let lines = i64::try_from(text.matches('\n').count()).unwrap() + 1;
            prop_assert!(numbers.iter().all(|number| (2..=lines).contains(number)), "{numbers:?} of {lines}");
        }
    }

    /// What the fuzz target asks of every table, of texts that look like one.
    #[test]
    fn what_is_read_is_written_the_same_whatever_table_it_is(
        header in "((id|name|address|network|account|subnet|reserved_ranges|prefix|vlan|vid|status|group|prefixes|VRF)[,;]){1,5}(name|prefix|vid)",
        lines in "((web|7|10\\.1\\.[01]\\.0/24|fd00::/64|web \\(7\\)|Active|=1|'|\"a\n;=1\"|x)[,;\n]){0,40}",
    ) {
        crate::fuzzing::csv(format!("{header}\n{lines}").as_bytes());
    }
}
