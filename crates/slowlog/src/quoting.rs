//! Where in a statement we are: in SQL, in a literal, in a comment.
//!
//! A slow log has no framing: an event ends where a line begins with `#` after a line that ended in `;`. A customer may
//! write just that into a string, and with it another customer's name. So the statement is followed through its
//! literals and comments, as `MySQL`'s own lexer does, and only what stands outside of them may end an event.
//!
//! The state survives the end of the bytes it has seen: a statement may come in many pieces.

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// Plain SQL.
    #[default]
    Code,
    /// A literal or a quoted name, ended by this byte.
    Quoted(u8),
    /// As `Quoted`, and the last byte was a backslash.
    Escaped(u8),
    /// `/* … */`.
    Block,
    /// As `Block`, and the last byte was a star.
    BlockStar,
    /// `# …` or `-- …` up to the end of the line.
    Line,
    /// The last byte was `/`, in SQL.
    Slash,
    /// The last byte was `-`, in SQL.
    Dash,
    /// The last two bytes were `--`, in SQL: a comment only if a blank follows.
    Dashes,
}

impl Place {
    /// Whether an event may end here.
    pub(crate) fn is_outside(self) -> bool {
        matches!(self, Self::Code | Self::Line | Self::Slash | Self::Dash | Self::Dashes)
    }

    /// The place after these bytes. Each byte is looked at once.
    pub(crate) fn after(mut self, bytes: &[u8]) -> Self {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self {
                Self::Code => match rest.iter().position(|byte| OPENS[usize::from(*byte)]) {
                    None => return Self::Code,
                    Some(found) => {
                        self = match rest[found] {
                            b'/' => Self::Slash,
                            b'-' => Self::Dash,
                            b'#' => Self::Line,
                            quote => Self::Quoted(quote),
                        };
                        at += found + 1;
                    }
                },
                Self::Quoted(b'`') => match memchr::memchr(b'`', rest) {
                    None => return self,
                    Some(found) => {
                        self = Self::Code;
                        at += found + 1;
                    }
                },
                Self::Quoted(quote) => match memchr::memchr2(quote, b'\\', rest) {
                    None => return self,
                    Some(found) => {
                        self = if rest[found] == b'\\' { Self::Escaped(quote) } else { Self::Code };
                        at += found + 1;
                    }
                },
                Self::Escaped(quote) => {
                    self = Self::Quoted(quote);
                    at += 1;
                }
                Self::Block => match memchr::memchr(b'*', rest) {
                    None => return self,
                    Some(found) => {
                        self = Self::BlockStar;
                        at += found + 1;
                    }
                },
                Self::BlockStar => {
                    self = match rest[0] {
                        b'/' => Self::Code,
                        b'*' => Self::BlockStar,
                        _ => Self::Block,
                    };
                    at += 1;
                }
                Self::Line => match memchr::memchr(b'\n', rest) {
                    None => return self,
                    Some(found) => {
                        self = Self::Code;
                        at += found + 1;
                    }
                },
                Self::Slash if rest[0] == b'*' => {
                    self = Self::Block;
                    at += 1;
                }
                Self::Dash if rest[0] == b'-' => {
                    self = Self::Dashes;
                    at += 1;
                }
                Self::Dashes if rest[0] <= b' ' => self = Self::Line,
                Self::Slash | Self::Dash | Self::Dashes => self = Self::Code,
            }
        }
        self
    }
}

/// The bytes at which plain SQL may turn into something else.
const OPENS: [bool; 256] = {
    let mut table = [false; 256];
    let opens = b"'\"`#-/";
    let mut at = 0;
    while at < opens.len() {
        table[opens[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::Place;

    fn check(statement: &str, outside: bool) {
        let whole = Place::Code.after(statement.as_bytes());
        assert_eq!(whole.is_outside(), outside, "{statement}");
        let bytewise = statement.bytes().fold(Place::Code, |place, byte| place.after(&[byte]));
        assert_eq!(whole, bytewise, "{statement}: the same, byte by byte");
    }

    #[test]
    fn literals_and_comments_are_followed() {
        check("select 1", true);
        check("select 'a", false);
        check("select 'it''s'", true);
        check(r"select 'it\'s", false);
        check(r"select 'back\\'", true);
        check("select \"it's\"", true);
        check("select `a'b`", true);
        check(r"select `a\`", true);
        check("select 1 -- it's\n", true);
        check("select 1--'", false);
        check("select 1 # it's\n", true);
        check("select /* it's", false);
        check("select /* it's **/ 1", true);
        check("select 4/2 '", false);
    }
}
