//! Queries without their values: fingerprints, byte for byte those of pt-query-digest.
//!
//! pt-query-digest makes a fingerprint by some twenty regular expressions, one after the other, over the whole text. What
//! they come to, quirks and all (`0xAB` is `?ab`; `tbl5` is `tbl?`; `it''s` is cut in the middle), is what people compare
//! and what query ids are made of; so it is the dialect here, made by hand in few passes, most of which a
//! statement without comments, backslashes and double quotes never sees:
//!
//! ```text
//!  statement -> whole.rs: CALL, mysqldump, pt-table-checksum; INSERT up to its first row
//!            -> strip.rs: comments, `use`; literals where a backslash or a double quote is near
//!            -> words.rs: literals, numbers, true, false, null, blanks, case            (one pass)
//!            -> lists.rs: IN and VALUES lists, LIMIT, ASC; unions.rs: repeated UNIONs
//! ```
//!
//! Every pass is linear in the length of the statement, on any input.

mod lists;
mod strip;
mod unions;
mod whole;
mod words;

/// How fingerprints differ from those that pt-query-digest makes without options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// What a quote inside a literal is.
    pub quoting: Quoting,
    /// Numbers inside words.
    pub numbers: Numbers,
    /// MD5 checksums inside names.
    pub checksums: Checksums,
}

/// How pt-query-digest finds the end of a literal: this changed with its version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quoting {
    /// As Percona Toolkit 3.5 does: escaped backslashes are known.
    #[default]
    Toolkit35,
    /// As Percona Toolkit 3.2 (Debian's) and before do.
    Toolkit32,
}

/// What is done with a number inside a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbers {
    /// `prices2` is `prices?`.
    #[default]
    Everywhere,
    /// `prices2` stays, as by pt-fingerprint's `--match-embedded-numbers`.
    AlonePlaced,
}

/// What is done with 32 hex digits after `.`, `_` or `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// Nothing of its own.
    #[default]
    Kept,
    /// They are a value, as by pt-fingerprint's `--match-md5-checksums`.
    Replaced,
}

/// Makes fingerprints. It keeps its buffers, so that one of them makes millions without allocating.
#[derive(Clone, Debug, Default)]
pub struct Fingerprinter {
    dialect: Dialect,
    stripped: Vec<u8>,
    spare: Vec<u8>,
    words: words::Words,
    finished: Vec<u8>,
    steps: u64,
}

impl Fingerprinter {
    /// One that speaks this dialect.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, ..Self::default() }
    }

    /// How many bytes were looked at, as often as they were. Linear in the length of the statements.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The fingerprint of a statement.
    pub fn fingerprint(&mut self, statement: &[u8]) -> &[u8] {
        self.steps += statement.len() as u64;
        if let Some(special) = whole::special(statement, &mut self.finished) {
            self.steps += statement.len() as u64;
            return match special {
                whole::Special::Fixed(text) => text,
                whole::Special::Written => &self.finished,
            };
        }
        let mut text = whole::first_row(statement);
        let trouble = strip::Trouble::of(text);
        if trouble.comments {
            self.steps += 2 * text.len() as u64;
            strip::comments(text, &mut self.spare, &mut self.stripped);
            text = &self.stripped;
        }
        if strip::is_use(text) {
            self.finished.clear();
            self.finished.extend_from_slice(if text.ends_with(b"\n") { b"use ?\n" } else { b"use ?" });
            return &self.finished;
        }
        let plain = self.dialect == Dialect::default() && !trouble.quotes;
        if plain {
            self.words.read::<true>(text, self.dialect);
        } else {
            self.steps += 8 * text.len() as u64;
            self.spare.clear();
            self.spare.extend_from_slice(text);
            strip::literals(&mut self.spare, self.dialect);
            self.words.read::<false>(&self.spare, self.dialect);
        }
        self.steps += self.words.text.len() as u64;
        if self.words.lists {
            lists::collapse(&self.words.text, &mut self.finished);
            std::mem::swap(&mut self.words.text, &mut self.finished);
            self.steps += self.words.text.len() as u64;
        }
        if self.words.unions {
            self.steps += unions::collapse(&self.words.text, &mut self.finished);
            std::mem::swap(&mut self.words.text, &mut self.finished);
        }
        if self.words.limit {
            lists::limit(&mut self.words.text);
        }
        if self.words.order {
            lists::ascending(&mut self.words.text);
            self.steps += self.words.text.len() as u64;
        }
        &self.words.text
    }
}

/// A letter, a digit or an underscore: what Perl's `\w` is for bytes.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What Perl's `\s` is for bytes.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests;
