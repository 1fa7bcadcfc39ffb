//! What is decided by how a statement begins, before it is looked at byte by byte.

use super::{is_blank, is_word};
use memchr::memmem;

/// A statement with a fingerprint of its own.
pub(super) enum Special {
    /// Always this.
    Fixed(&'static [u8]),
    /// What was written into the buffer.
    Written,
}

/// Dumps, checksums of Percona's tools, administrator commands and calls of procedures.
pub(super) fn special(statement: &[u8], out: &mut Vec<u8>) -> Option<Special> {
    let first = statement.first()?;
    match first {
        b'S' if statement.starts_with(b"SELECT /*!40001 SQL_NO_CACHE */ * FROM `") => {
            return Some(Special::Fixed(b"mysqldump"));
        }
        b'a' if statement.starts_with(b"administrator command: ") && !has_checksum_comment(statement) => {
            out.clear();
            out.extend_from_slice(statement);
            return Some(Special::Written);
        }
        _ => {}
    }
    if has_checksum_comment(statement) {
        return Some(Special::Fixed(b"percona-toolkit"));
    }
    if is_blank(*first) || first.eq_ignore_ascii_case(&b'c') {
        let call = called(statement)?;
        out.clear();
        out.extend(call.iter().map(u8::to_ascii_lowercase));
        return Some(Special::Written);
    }
    None
}

/// `/*database.table:3/7*/`, which pt-table-checksum and its like put into their statements.
fn has_checksum_comment(statement: &[u8]) -> bool {
    memchr::memchr(b'/', statement).is_some()
        && memmem::find_iter(statement, b"/*").any(|at| is_checksum_comment(&statement[at + 2..]))
}

fn is_checksum_comment(text: &[u8]) -> bool {
    let word = |text: &[u8]| text.iter().position(|byte| !is_word(*byte)).unwrap_or(text.len());
    let database = word(text);
    let Some(rest) = text[database..].strip_prefix(b".").filter(|_| database > 0) else {
        return false;
    };
    let table = word(rest);
    match &rest[table..] {
        [b':', chunk, b'/', chunks, b'*', b'/', ..] => {
            table > 0 && chunk.is_ascii_digit() && chunks.is_ascii_digit()
        }
        _ => false,
    }
}

/// `call name` out of `call name(…)`: up to the last parenthesis of the word.
fn called(statement: &[u8]) -> Option<&[u8]> {
    let start = statement.iter().position(|byte| !is_blank(*byte))?;
    let text = &statement[start..];
    if text.len() < 4 || !text[..4].eq_ignore_ascii_case(b"call") {
        return None;
    }
    let blanks = text[4..].iter().position(|byte| !is_blank(*byte)).filter(|count| *count > 0)?;
    let name = &text[4 + blanks..];
    let end = name.iter().position(|byte| is_blank(*byte)).unwrap_or(name.len());
    let parenthesis = memchr::memrchr(b'(', &name[..end]).filter(|at| *at > 0)?;
    Some(&text[..4 + blanks + parenthesis])
}

/// Of `INSERT INTO … VALUES (…), (…), …` the statement up to the end of its first row, of others all.
pub(super) fn first_row(statement: &[u8]) -> &[u8] {
    let verb = match statement.first() {
        Some(b'I' | b'i') => &b"INSERT"[..],
        Some(b'R' | b'r') => &b"REPLACE"[..],
        _ => return statement,
    };
    rows(statement, verb).map_or(statement, |end| &statement[..end])
}

fn rows(statement: &[u8], verb: &[u8]) -> Option<usize> {
    let starts = |at: usize, word: &[u8]| {
        statement.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
    };
    let blanks = |at: usize| {
        statement[at..].iter().position(|byte| !is_blank(*byte)).map_or(statement.len(), |count| at + count)
    };
    if !starts(0, verb) {
        return None;
    }
    let into = |from: usize| {
        let at = blanks(from);
        (at > from && starts(at, b"INTO")).then_some(at + 4)
    };
    let ignored = starts(verb.len(), b" IGNORE").then(|| into(verb.len() + 7)).flatten();
    let mut at = ignored.or_else(|| into(verb.len()))? + 1;
    let open = loop {
        at += memchr::memchr2(b'V', b'v', statement.get(at..)?)?;
        if starts(at, b"VALUES") {
            let open = blanks(at + 6);
            if statement.get(open) == Some(&b'(') {
                break open;
            }
        }
        at += 1;
    };
    let mut at = open + 1;
    loop {
        at += memchr::memchr(b')', statement.get(at..)?)? + 1;
        let comma = blanks(at);
        if statement.get(comma) == Some(&b',') && statement.get(blanks(comma + 1)) == Some(&b'(') {
            return Some(at);
        }
    }
}
