//! Cells that a spreadsheet would take for a formula.
//!
//! A spreadsheet runs what begins with `=`, `+`, `-` or `@` (in some countries also in the full width of their letters),
//! also from a CSV file, and some do so after a tab or a line break. Such a text is written with an apostrophe before it,
//! which spreadsheets take for "this is text", and read without. One that begins with an apostrophe itself gets a second,
//! so that whatever is written reads the same again.
//!
//! Where the comma is the decimal sign, spreadsheets split lines at semicolons and know nothing of our commas and quotes:
//! what stands behind a semicolon, a tab or a line break in the midst of a text would begin a cell there, and is guarded
//! in the same way. Customers write some of these texts, and operators open the file.

use std::borrow::Cow;

/// Whether a spreadsheet would take for a formula what begins with this.
fn begins_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '\t' | '\r' | '\n' | '\'')
}

/// Whether this may not stand behind that, or at the beginning of a cell.
fn is_dangerous(before: Option<char>, c: char) -> bool {
    match before {
        None => begins_formula(c),
        // A quote would begin a quoted cell there, in which a formula may stand.
        Some(';' | '\t' | '\r' | '\n') => begins_formula(c) || c == '"',
        Some(_) => false,
    }
}

/// A text as it may stand in a cell.
pub(super) fn guarded(text: &str) -> Cow<'_, str> {
    let mut safe = String::new();
    let (mut before, mut copied) = (None, 0);
    for (at, c) in text.char_indices() {
        if is_dangerous(before, c) {
            safe.push_str(&text[copied..at]);
            safe.push('\'');
            copied = at;
        }
        before = Some(c);
    }
    if safe.is_empty() {
        return Cow::Borrowed(text);
    }
    safe.push_str(&text[copied..]);
    Cow::Owned(safe)
}

/// The text that a cell stands for.
pub(super) fn unguarded(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    let mut before = None;
    let mut characters = cell.chars().peekable();
    while let Some(mut c) = characters.next() {
        if c == '\''
            && let Some(guarded) = characters.next_if(|next| is_dangerous(before, *next))
        {
            c = guarded;
        }
        text.push(c);
        before = Some(c);
    }
    text
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
        check("＝1", "'＝1");
        check("plain = text; and more", "plain = text; and more");
        check("'t Hooft", "''t Hooft");
        // What a person wrote without knowing of this is what they wrote.
        assert_eq!(unguarded("'t Hooft"), "'t Hooft");
        assert_eq!(unguarded("=1"), "=1");
    }

    #[test]
    fn neither_is_what_another_separator_would_make_of_it() {
        let check = |text: &str, cell: &str| assert_eq!(guarded(text), cell);
        check("a;=cmd|' /C calc'!A0", "a;'=cmd|' /C calc'!A0");
        check("a\n@SUM(A1)", "a\n'@SUM(A1)");
        check("a;\"=1\"", "a;'\"=1\"");
        check("a;;-1", "a;;'-1");
        assert_eq!(unguarded("a;'=1"), "a;=1");
        assert_eq!(unguarded("a; 'b'"), "a; 'b'");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(text in "[-=+@'\"＝;\t\r\na ]{0,6}\\PC{0,4}[-=@';\n\"]{0,3}") {
            let cell = guarded(&text);
            prop_assert_eq!(unguarded(&cell), text.as_str());
            for part in cell.split([';', '\t', '\r', '\n']) {
                prop_assert!(!part.starts_with(['=', '+', '-', '@', '＝']), "{cell:?}");
            }
            prop_assert!(!cell.starts_with(['\t', '\r', '\n']));
        }
    }
}
