//! Lists of values, LIMIT and ASC.

use super::{is_blank, is_word};
use memchr::{memchr, memmem::Finder};
use std::sync::LazyLock;

/// What is looked for in every other statement: made once.
static LIMIT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("limit ?"));
static ORDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("order by "));

/// `in (?, ?)` and `values (?, ?), (?, ?)` become `in(?+)` and `values(?+)`.
pub(super) fn collapse(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut kept = 0;
    let mut at = 0;
    while let Some(open) = memchr(b'(', &text[at..]).map(|found| at + found) {
        let found = list_word(&text[kept..open]).and_then(|word| Some((kept + word, row(text, open)?)));
        let Some((word, mut end)) = found else {
            at = open + 1;
            continue;
        };
        while let Some(next) = row(text, between(text, end)) {
            end = next;
        }
        out.extend_from_slice(&text[kept..word]);
        out.extend_from_slice(b"(?+)");
        kept = end;
        at = end;
    }
    out.extend_from_slice(&text[kept..]);
}

/// How long the text is up to the end of the IN or VALUES that it ends with.
fn list_word(text: &[u8]) -> Option<usize> {
    let end = text.iter().rposition(|byte| !is_between(*byte))? + 1;
    let text = &text[..end];
    let stem = [&b"in"[..], b"value", b"values"].iter().find_map(|word| text.strip_suffix(*word))?;
    stem.last().is_none_or(|byte| !is_word(*byte)).then_some(end)
}

fn is_between(byte: u8) -> bool {
    is_blank(byte) || byte == b','
}

fn between(text: &[u8], from: usize) -> usize {
    text[from..].iter().position(|byte| !is_between(*byte)).map_or(text.len(), |count| from + count)
}

/// Where a row of nothing but values that opens here ends.
fn row(text: &[u8], open: usize) -> Option<usize> {
    if text.get(open) != Some(&b'(') {
        return None;
    }
    let inside = &text[open + 1..];
    let length = inside.iter().position(|byte| !is_between(*byte) && *byte != b'?')?;
    (inside[length] == b')').then_some(open + 1 + length + 1)
}

/// The first `limit ?, ?` or `limit ? offset ?` becomes `limit ?`.
pub(super) fn limit(text: &mut Vec<u8>) {
    let found = LIMIT.find_iter(text).find(|at| *at == 0 || !is_word(text[at - 1]));
    let Some(end) = found.map(|at| at + LIMIT.needle().len()) else {
        return;
    };
    let rest = &text[end..];
    let more = [&b",?"[..], b", ?", b" offset ?"]
        .into_iter()
        .find(|more| rest.starts_with(more))
        .map_or(0, <[u8]>::len);
    text.drain(end..end + more);
}

/// After the first ORDER BY, each ` asc` goes, also where it only begins a word.
pub(super) fn ascending(text: &mut Vec<u8>) {
    let found = ORDER.find_iter(text).find(|at| *at == 0 || !is_word(text[at - 1]));
    let Some(start) = found.map(|at| at + ORDER.needle().len()) else {
        return;
    };
    let mut kept = start;
    let mut from = start;
    let mut at = start + 1;
    while at < text.len() {
        if !is_blank(text[at]) {
            at += 1;
            continue;
        }
        let word = text[at..].iter().position(|byte| !is_blank(*byte)).map_or(text.len(), |count| at + count);
        if text[word..].starts_with(b"asc") {
            text.copy_within(from..at, kept);
            kept += at - from;
            from = word + 3;
            // Something has to stand before the next one.
            at = from + 1;
        } else {
            at = word;
        }
    }
    let rest = text.len() - from.min(text.len());
    text.copy_within(from.., kept);
    text.truncate(kept + rest);
}
