//! The one pass that every statement takes: values become `?`, blanks one space, letters small.
//!
//! It does at once what pt-query-digest does one after the other, so it has to know what each of its steps would see:
//! `raw` is the byte before in the text with literals, true and false replaced (which decides about `true` and
//! `false`, and about what is swallowed before a `?`), `text` ends with the byte before in the text after all steps (which
//! decides about `null`).

use super::strip::string_end;
use super::{Checksums, Dialect, Numbers, is_word};

/// The text after the pass, and which later passes it needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    pub(super) text: Vec<u8>,
    /// There is a parenthesis after IN or VALUES.
    pub(super) lists: bool,
    /// There is a UNION; a LIMIT; an ORDER.
    pub(super) unions: bool,
    pub(super) limit: bool,
    pub(super) order: bool,
    /// How much of `text` is written.
    length: usize,
    /// Where the word that it ends with begins.
    word: usize,
    raw: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Other,
    Number,
    Blank,
    Quote,
    Question,
    Parenthesis,
}

#[expect(clippy::cast_possible_truncation, reason = "it counts bytes")]
const CLASSES: [Class; 256] = {
    let mut table = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
            b'0'..=b'9' | b'+' | b'-' => Class::Number,
            b' ' | b'\n' | b'\t' | b'\r' | 0x0c => Class::Blank,
            b'\'' => Class::Quote,
            b'?' => Class::Question,
            b'(' => Class::Parenthesis,
            _ => Class::Other,
        };
        byte += 1;
    }
    table
};

/// What a number may go on with, besides digits: hex digits, `x`, `b` and signs, of any length and in any order.
#[expect(clippy::cast_possible_truncation, reason = "it counts bytes")]
const IN_NUMBER: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'0'..=b'9' | b'a'..=b'f' | b'x' | b'.' | b'+' | b'-');
        byte += 1;
    }
    table
};

impl Words {
    /// Reads a text. `LITERALS`: it has literals in single quotes, no other ones, and the dialect is the default one;
    /// else they are gone.
    pub(super) fn read<const LITERALS: bool>(&mut self, text: &[u8], dialect: Dialect) {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        self.begin(text.len());
        let mut literals_from = 1;
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match CLASSES[usize::from(*byte)] {
                Class::Letter => at = self.letters(text, at, dialect),
                Class::Number if LITERALS || dialect.numbers == Numbers::Everywhere => {
                    at = self.number(text, at, dialect);
                }
                Class::Number => at = self.alone_placed(text, at, dialect),
                Class::Blank => {
                    self.blank(*byte);
                    at += 1;
                }
                Class::Question => {
                    self.question(dialect);
                    at += 1;
                }
                Class::Quote if LITERALS && at >= literals_from => {
                    if let Some(length) = string_end(&text[at + 1..], b'\'') {
                        at += 1 + length;
                        literals_from = at + 1;
                        self.question(dialect);
                    } else {
                        literals_from = usize::MAX;
                        self.other(*byte);
                        at += 1;
                    }
                }
                Class::Parenthesis => {
                    self.lists |= self.after_list_word();
                    self.other(*byte);
                    at += 1;
                }
                // A vertical tab is a blank at the beginning, and nowhere else.
                Class::Other if *byte == 0x0b && self.length == 0 => at += 1,
                Class::Quote | Class::Other => {
                    self.other(*byte);
                    at += 1;
                }
            }
        }
        self.end_word();
        self.text.truncate(self.length);
    }

    fn begin(&mut self, length: usize) {
        // What is there is written over.
        self.text.resize(length + 1, 0);
        self.length = 0;
        self.word = 0;
        self.raw = b' ';
        (self.lists, self.unions, self.limit, self.order) = (false, false, false, false);
    }

    fn put(&mut self, byte: u8) {
        self.text[self.length] = byte;
        self.length += 1;
    }

    fn letters(&mut self, text: &[u8], start: usize, dialect: Dialect) -> usize {
        let rest = &text[start..];
        let mut count = 0;
        for (to, from) in self.text[self.length..].iter_mut().zip(rest) {
            if CLASSES[usize::from(*from)] != Class::Letter {
                break;
            }
            *to = from.to_ascii_lowercase();
            count += 1;
        }
        let into = &self.text[self.length..self.length + count];
        let truth = match count {
            4 => into == b"true",
            5 => into == b"false",
            _ => false,
        };
        let end = start + count;
        if truth && !is_word(self.raw) && !text.get(end).is_some_and(u8::is_ascii_digit) {
            self.question(dialect);
        } else {
            self.length += count;
            self.raw = rest[count - 1];
        }
        end
    }

    /// Anything vaguely resembling a number.
    fn number(&mut self, text: &[u8], start: usize, dialect: Dialect) -> usize {
        let mut at = start + 1;
        while let Some(byte) = text.get(at).filter(|byte| IN_NUMBER[usize::from(**byte)]) {
            if *byte == b'f' && !is_word(text[at - 1]) && is_false(&text[at..]) {
                break;
            }
            at += 1;
        }
        self.question(dialect);
        self.raw = text[at - 1];
        at
    }

    /// A digit or a sign where numbers inside words stay.
    fn alone_placed(&mut self, text: &[u8], at: usize, dialect: Dialect) -> usize {
        let byte = text[at];
        if is_word(byte) == is_word(self.raw) {
            if is_word(byte) {
                self.put(byte);
                self.raw = byte;
            } else {
                self.other(byte);
            }
            return at + 1;
        }
        self.number(text, at, dialect)
    }

    /// A value. It swallows what is left of one before it: the `x` of `x'12'`, the dot of `.5`.
    fn question(&mut self, dialect: Dialect) {
        if self.length > 0 && self.text[self.length - 1] == self.raw {
            // Signs are left only where numbers inside words stay.
            let swallowed = matches!(self.raw, b'x' | b'b' | b'+' | b'-')
                || self.raw == b'.' && dialect.checksums == Checksums::Kept;
            if swallowed {
                self.length -= 1;
                // A dot or a sign had ended its word: what stood before it is the word again, and is done with.
                self.word = self.word.min(self.length);
            }
        }
        self.other(b'?');
    }

    fn other(&mut self, byte: u8) {
        self.end_word();
        self.put(byte);
        self.word = self.length;
        self.raw = byte;
    }

    fn blank(&mut self, byte: u8) {
        if self.length > 0 && self.text[self.length - 1] != b' ' {
            self.other(b' ');
        }
        self.raw = byte;
    }

    fn end_word(&mut self) {
        match self.length - self.word {
            4 if self.text[self.word..self.length] == *b"null" => {
                self.length = self.word;
                self.put(b'?');
            }
            5 => match &self.text[self.word..self.length] {
                b"union" => self.unions = true,
                b"limit" => self.limit = true,
                b"order" => self.order = true,
                _ => {}
            },
            _ => {}
        }
        self.word = self.length;
    }

    /// Whether what is written ends with IN or VALUES, as far as blanks and commas do not matter.
    fn after_list_word(&self) -> bool {
        let written = &self.text[..self.length];
        let end = written.iter().rposition(|byte| !matches!(byte, b' ' | b',' | 0x0b));
        end.is_some_and(|end| matches!(written[end], b'n' | b'e' | b's'))
    }
}

fn is_false(text: &[u8]) -> bool {
    text.len() >= 5
        && text[..5].eq_ignore_ascii_case(b"false")
        && !text.get(5).is_some_and(|byte| is_word(*byte))
}
