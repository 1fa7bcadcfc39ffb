//! Cells that a spreadsheet would take for a formula.
//!
//! A spreadsheet runs what begins with `=`, `+`, `-` or `@`, also from a CSV file, and some do so after a tab or a line
//! break. Such a text is written with an apostrophe before it, which spreadsheets take for "this is text", and read
//! without. One that begins with an apostrophe itself gets a second, so that whatever is written reads the same again.

use std::borrow::Cow;

fn is_dangerous(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\'')
}

/// A text as it may stand in a cell.
pub(super) fn guarded(text: &str) -> Cow<'_, str> {
    if text.starts_with(is_dangerous) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text that a cell stands for.
pub(super) fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if text.starts_with(is_dangerous) => text,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_cell_is_a_formula() {
        let check = |text: &str, cell: &str| assert_eq!(guarded(text), cell);
        check("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")");
        check("@SUM(A1)", "'@SUM(A1)");
        check("-1+1|cmd", "'-1+1|cmd");
        check("plain = text", "plain = text");
        check("'t Hooft", "''t Hooft");
        // What a person wrote without knowing of this is what they wrote.
        assert_eq!(unguarded("'t Hooft"), "'t Hooft");
        assert_eq!(unguarded("=1"), "=1");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(text in "[-=+@'\t\ra ]{0,4}\\PC{0,4}") {
            let cell = guarded(&text);
            prop_assert_eq!(unguarded(&cell), text.as_str());
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
        }
    }
}
