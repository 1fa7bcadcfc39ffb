//! What has to be gone before words are looked at: comments, and literals near backslashes and double quotes.

use super::{Checksums, Dialect, Quoting, is_blank, is_word};
use memchr::{memchr, memmem};

/// What a statement has that the fast pass does not know.
pub(super) struct Trouble {
    /// Something that may begin a comment.
    pub(super) comments: bool,
    /// A backslash or a double quote.
    pub(super) quotes: bool,
}

impl Trouble {
    /// Of this text. Written so that it becomes vector instructions.
    pub(super) fn of(text: &[u8]) -> Self {
        let (mut marks, mut quotes) = (0_u8, 0_u8);
        for byte in text {
            marks |= u8::from(*byte == b'/') | u8::from(*byte == b'#');
            quotes |= u8::from(*byte == b'\\') | u8::from(*byte == b'"');
        }
        let mut dashes = 0_u8;
        for (first, second) in text.iter().zip(text.iter().skip(1)) {
            dashes |= u8::from(*first == b'-') & u8::from(*second == b'-');
        }
        let marked = marks != 0 && (memchr(b'#', text).is_some() || memmem::find(text, b"/*").is_some());
        Self { comments: marked || dashes != 0, quotes: quotes != 0 }
    }
}

/// `use name` and nothing else.
pub(super) fn is_use(text: &[u8]) -> bool {
    if text.len() < 5 || !text[..4].eq_ignore_ascii_case(b"use ") {
        return false;
    }
    let name = text[4..].strip_suffix(b"\n").unwrap_or(&text[4..]);
    !name.is_empty() && !name.iter().any(|byte| is_blank(*byte))
}

/// Without `/* … */` (but with `/*! … */`), then without `-- …` and `# …` up to the end of their lines. A line comment with
/// a quote in it is none, and stays.
pub(super) fn comments(text: &[u8], spare: &mut Vec<u8>, out: &mut Vec<u8>) {
    spare.clear();
    let mut rest = text;
    while let Some(open) = memmem::find(rest, b"/*") {
        // One byte has to stand in it: `/**/` is not ended by its own star.
        let body = rest.get(open + 2..).unwrap_or_default();
        if body.first().is_none_or(|byte| *byte == b'!') {
            // The star may be the end of no comment, but the slash after it may begin one.
            let (kept, after) = rest.split_at((open + 2).min(rest.len()));
            spare.extend_from_slice(kept);
            rest = after;
            continue;
        }
        let Some(close) = memmem::find(&body[1..], b"*/") else {
            break;
        };
        spare.extend_from_slice(&rest[..open]);
        rest = &body[1 + close + 2..];
    }
    spare.extend_from_slice(rest);
    line_comments(spare, out);
}

fn line_comments(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut kept = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'#', b'-', &text[at..]) {
        at += found;
        if text[at] == b'-' && text.get(at + 1) != Some(&b'-') {
            at += 1;
            continue;
        }
        let length = text[at..].iter().position(|byte| matches!(byte, b'\'' | b'"' | b'\r' | b'\n'));
        let end = length.map_or(text.len(), |length| at + length);
        if matches!(text.get(end), Some(b'\'' | b'"')) {
            // Whatever begins before that quote is none either.
            at = end;
            continue;
        }
        out.extend_from_slice(&text[kept..at]);
        kept = end;
        at = end;
    }
    out.extend_from_slice(&text[kept..]);
}

/// Literals become `?`, as do checksums if the dialect says so.
pub(super) fn literals(text: &mut Vec<u8>, dialect: Dialect) {
    match dialect.quoting {
        Quoting::Toolkit32 => {
            remove_pairs(text, |second| second == b'"' || second == b'\'');
            for quote in [b'"', b'\''] {
                old_strings(text, quote);
            }
        }
        Quoting::Toolkit35 => {
            for quote in [b'\'', b'"'] {
                remove_escaped_once(text, quote);
            }
            for second in [b'\\', b'\'', b'"'] {
                remove_pairs(text, |found| found == second);
            }
            for quote in [b'"', b'\''] {
                strings(text, quote);
            }
        }
    }
    if dialect.checksums == Checksums::Replaced {
        truths(text);
        checksums(text);
    }
}

/// Removes each backslash with the byte after it, if that is such a one.
fn remove_pairs(text: &mut Vec<u8>, is_second: impl Fn(u8) -> bool) {
    let mut kept = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'\\' && text.get(at + 1).is_some_and(|second| is_second(*second)) {
            at += 2;
            continue;
        }
        let end = memchr(b'\\', &text[at + 1..]).map_or(text.len(), |found| at + 1 + found);
        text.copy_within(at..end, kept);
        kept += end - at;
        at = end;
    }
    text.truncate(kept);
}

/// Removes an escaped quote after a byte that is no backslash; of two in a row the second stays.
fn remove_escaped_once(text: &mut Vec<u8>, quote: u8) {
    let mut kept = 0;
    let mut at = 0;
    let mut from = 1;
    while let Some(found) = text.get(from..).and_then(|rest| memchr(b'\\', rest)).map(|found| from + found) {
        from = found + 1;
        if text[found - 1] != b'\\' && text.get(found + 1) == Some(&quote) {
            text.copy_within(at..found, kept);
            kept += found - at;
            at = found + 2;
            // What follows needs a byte of its own before it.
            from = at + 1;
        }
    }
    let rest = text.len() - at;
    text.copy_within(at.., kept);
    text.truncate(kept + rest);
}

/// From a quote to the next one.
fn old_strings(text: &mut Vec<u8>, quote: u8) {
    let mut kept = 0;
    let mut at = 0;
    while let Some(open) = memchr(quote, &text[at..]).map(|found| at + found) {
        let Some(close) = memchr(quote, &text[open + 1..]).map(|found| open + 1 + found) else {
            break;
        };
        text.copy_within(at..open, kept);
        kept += open - at;
        text[kept] = b'?';
        kept += 1;
        at = close + 1;
    }
    let rest = text.len() - at;
    text.copy_within(at.., kept);
    text.truncate(kept + rest);
}

/// From a quote, which a byte that is no backslash stands before, to the next one.
fn strings(text: &mut Vec<u8>, quote: u8) {
    let mut kept = 0;
    let mut at = 0;
    let mut from = 1;
    while let Some(open) = text.get(from..).and_then(|rest| memchr(quote, rest)).map(|found| from + found) {
        if text[open - 1] == b'\\' {
            from = open + 1;
            continue;
        }
        let Some(end) = string_end(&text[open + 1..], quote).map(|length| open + 1 + length) else {
            break;
        };
        text.copy_within(at..open, kept);
        kept += open - at;
        text[kept] = b'?';
        kept += 1;
        at = end;
        from = end + 1;
    }
    let rest = text.len() - at;
    text.copy_within(at.., kept);
    text.truncate(kept + rest);
}

/// How long a literal is, its closing quote included, given what stands after its opening one. A quote right after the
/// opening one, or after a backslash, belongs to the literal if another one follows.
pub(super) fn string_end(rest: &[u8], quote: u8) -> Option<usize> {
    let first = memchr(quote, rest)?;
    let inner = first == 0 || rest[first - 1] == b'\\';
    Some(if inner && rest.get(first + 1) == Some(&quote) { first + 2 } else { first + 1 })
}

/// True and false, before what stands beside them is replaced.
fn truths(text: &mut Vec<u8>) {
    let mut kept = 0;
    let mut at = 0;
    while at < text.len() {
        let length = text[at..].iter().position(|byte| !is_word(*byte)).unwrap_or(text.len() - at);
        let word = &text[at..at + length];
        if word.eq_ignore_ascii_case(b"true") || word.eq_ignore_ascii_case(b"false") {
            text[kept] = b'?';
            kept += 1;
            at += length;
        } else {
            // The byte that ended the word goes with it.
            let end = (at + length + 1).min(text.len());
            text.copy_within(at..end, kept);
            kept += end - at;
            at = end;
        }
    }
    text.truncate(kept);
}

/// 32 hex digits after `.`, `_` or `-`.
fn checksums(text: &mut Vec<u8>) {
    let mut kept = 0;
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        text[kept] = byte;
        kept += 1;
        at += 1;
        let follows = matches!(byte, b'.' | b'_' | b'-')
            && text
                .get(at..at + 32)
                .is_some_and(|sum| sum.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        if follows {
            text[kept] = b'?';
            kept += 1;
            at += 32;
        }
    }
    text.truncate(kept);
}
