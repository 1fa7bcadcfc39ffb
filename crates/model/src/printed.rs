//! What a guest's console printed, as text that is safe to show: on a terminal, in a page.

use std::fmt::Write;

/// Whether `c` may do something else than appear where text is shown.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Adds `c`, as an escape where it is hostile: `\n`, `\u{1b}`.
pub fn push_clean(cleaned: &mut String, c: char) {
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

/// Makes a stream of console output safe for a terminal: keeps text, line feeds and tabs, drops escape sequences
/// (colours too) and carriage returns, shows every other hostile character as an escape.
#[derive(Default)]
pub struct LogCleaner {
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
    pub fn clean(&mut self, chunk: &[u8]) -> String {
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
mod tests {
    use super::*;

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
