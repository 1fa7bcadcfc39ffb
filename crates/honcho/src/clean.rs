//! Text from elsewhere, made safe for a terminal.
//!
//! Names and messages come from the API, and some of them from a guest. A control character in one could move the
//! cursor, retitle the window or hide what follows, and a bidirectional mark could make one name look like another:
//! each is shown as an escape instead.

use std::fmt::Write;

/// Whether `c` may do something else to a terminal than appear on it.
pub(crate) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` on one line, every hostile character written as in Rust: `\n`, `\u{1b}`.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        push_clean(&mut cleaned, c);
    }
    cleaned
}

fn push_clean(cleaned: &mut String, c: char) {
    match c {
        '\n' => cleaned.push_str("\\n"),
        '\r' => cleaned.push_str("\\r"),
        '\t' => cleaned.push_str("\\t"),
        c if is_hostile(c) => {
            // Writing to a string cannot fail.
            let _ = write!(cleaned, "\\u{{{:x}}}", u32::from(c));
        }
        c => cleaned.push(c),
    }
}

/// JSON text with every hostile character inside its strings written as JSON escapes. (Outside of strings JSON holds
/// none but line feeds.)
pub(crate) fn clean_json(json: &str) -> String {
    let mut cleaned = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(cleaned, "\\u{unit:04x}");
            }
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// Makes a stream of console output safe for a terminal: keeps text, line feeds and tabs, drops escape sequences
/// (colours too) and carriage returns, shows every other hostile character as an escape.
#[derive(Default)]
pub(crate) struct LogCleaner {
    state: State,
    /// The start of a character whose rest is in the next chunk.
    rest: Vec<u8>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: one more to come.
    Designate,
    /// In a control sequence (ESC `[`), until its final byte.
    Sequence,
    /// In an operating system command or its like (ESC `]`), until BEL or ST.
    Command,
    /// In one, after an ESC.
    CommandEscape,
}

impl LogCleaner {
    /// The next piece of text.
    pub(crate) fn clean(&mut self, chunk: &[u8]) -> String {
        self.rest.extend_from_slice(chunk);
        let bytes = std::mem::take(&mut self.rest);
        let mut cleaned = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(piece) = chunks.next() {
            for c in piece.valid().chars() {
                self.next(c, &mut cleaned);
            }
            let invalid = piece.invalid();
            if chunks.peek().is_none() && !invalid.is_empty() && may_continue(invalid) {
                self.rest = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.next('\u{fffd}', &mut cleaned);
            }
        }
        cleaned
    }

    fn next(&mut self, c: char, cleaned: &mut String) {
        self.state = match (self.state, c) {
            (State::Text, '\u{9b}') | (State::Escape, '[') => State::Sequence,
            (State::Text, '\n' | '\t') => {
                cleaned.push(c);
                State::Text
            }
            (State::Text | State::Escape | State::Sequence | State::Designate, '\u{1b}') => State::Escape,
            (State::Text, c) => {
                if c != '\r' {
                    push_clean(cleaned, c);
                }
                State::Text
            }
            // A line feed inside a sequence is no part of any: show it rather than swallow what follows.
            (State::Sequence | State::Command, '\n') => {
                cleaned.push('\n');
                State::Text
            }
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') => State::Command,
            (State::Escape, ' '..='/') => State::Designate,
            (State::Command, '\u{1b}') => State::CommandEscape,
            (State::Escape | State::Designate | State::CommandEscape, _)
            | (State::Sequence, '\u{40}'..='\u{7e}')
            | (State::Command, '\u{7}' | '\u{9c}') => State::Text,
            (within @ (State::Sequence | State::Command), _) => within,
        };
    }
}

/// Whether more bytes could make a character of these.
fn may_continue(bytes: &[u8]) -> bool {
    let needed = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return false,
    };
    bytes.len() < needed
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_shown_and_do_nothing() {
        assert_eq!(clean("web1"), "web1");
        assert_eq!(clean("Jürgen 東京"), "Jürgen 東京");
        assert_eq!(clean("a\u{1b}]0;owned\u{7}b"), "a\\u{1b}]0;owned\\u{7}b");
        assert_eq!(clean("a\nb\r\tc"), "a\\nb\\r\\tc");
        assert_eq!(clean("\u{9b}31m\u{7f}\u{202e}"), "\\u{9b}31m\\u{7f}\\u{202e}");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"name": "a\u{9b}b\u{7f}\u{202e}\u{e0041}\n"});
        let text = clean_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(|c| c == '\n' || !is_hostile(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_log_keeps_its_text_and_loses_its_sequences() {
        let log = b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b]0;title\x07ssh\r\n\x1b(Blogin: \x08\xffx\x1b]8;;never ended\nafter";
        for size in [1, 2, 3, log.len()] {
            let mut cleaner = LogCleaner::default();
            let text: String = log.chunks(size).map(|chunk| cleaner.clean(chunk)).collect();
            assert_eq!(text, "[  OK  ] Started ssh\nlogin: \\u{8}\u{fffd}x\nafter", "in pieces of {size}");
        }
        let mut cleaner = LogCleaner::default();
        let text: String = "Jürgen 東京".as_bytes().chunks(1).map(|chunk| cleaner.clean(chunk)).collect();
        assert_eq!(text, "Jürgen 東京");
    }
}
