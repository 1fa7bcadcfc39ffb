//! Text that people write for people: without what would make it read as something else.
//!
//! There is one rule, and every attribute that is free text goes through it: names of tokens, references, descriptions,
//! reasons, vendors, serial numbers. What has a narrower form (a DNS label, a MAC address) has a type of its own.

/// The longest line, in characters.
pub const LONGEST: usize = 200;

/// The longest text of several lines, in bytes.
pub const LONGEST_TEXT: usize = 256 << 10;

/// Why a text is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too many characters.
    #[error("is too long ({0} characters at most)")]
    TooLong(usize),
    /// A line break, a NUL, or another control character.
    #[error("must be one line, without control characters")]
    Control,
    /// A mark that turns the direction of the text around it, or that nobody sees (Unicode UAX #9, "Trojan Source").
    #[error("must not hold marks that change the direction of text, or that cannot be seen")]
    Invisible,
}

/// Reads one line.
pub fn one_line(text: &str) -> Result<&str, TextError> {
    line_of(text, LONGEST)
}

/// Reads one line of at most so many characters.
pub fn line_of(text: &str, longest: usize) -> Result<&str, TextError> {
    // No character has more than four bytes: a huge text is not walked through.
    if text.len() > 4 * longest || text.chars().count() > longest {
        return Err(TextError::TooLong(longest));
    }
    refuse_marks(text, is_control)?;
    Ok(text)
}

/// Reads a text that may have several lines, such as a recipe.
pub fn lines(text: &str) -> Result<&str, TextError> {
    if text.len() > LONGEST_TEXT {
        return Err(TextError::TooLong(LONGEST_TEXT));
    }
    refuse_marks(text, |c| is_control(c) && !matches!(c, '\n' | '\r' | '\t'))?;
    Ok(text)
}

fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn refuse_marks(text: &str, is_refused: impl Fn(char) -> bool) -> Result<(), TextError> {
    if text.chars().any(is_refused) {
        return Err(TextError::Control);
    }
    if text.chars().any(is_invisible) { Err(TextError::Invisible) } else { Ok(()) }
}

/// Explicit directional marks, and characters of no width; not those that join letters or emoji.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_it_looks_like() {
        for good in ["Ann Bella", "Ænn, 2nd floor", "安娜", "مريم", "🐎"] {
            assert_eq!(one_line(good), Ok(good));
        }
        assert_eq!(one_line("a\nb"), Err(TextError::Control));
        assert_eq!(one_line("a\0"), Err(TextError::Control));
        assert_eq!(one_line("a\u{202e}b"), Err(TextError::Invisible));
        assert_eq!(one_line(&"ü".repeat(200)), Ok("ü".repeat(200).as_str()));
        assert_eq!(one_line(&"a".repeat(201)), Err(TextError::TooLong(200)));
        assert_eq!(line_of(&"a".repeat(201), 300), Ok("a".repeat(201).as_str()));
    }

    #[test]
    fn no_control_character_and_no_mark_of_direction_passes() {
        for code in (0..0x20).chain(0x7f..0xa0).chain([0x2028, 0x2029]) {
            let c = char::from_u32(code).unwrap();
            assert_eq!(one_line(&format!("a{c}b")), Err(TextError::Control), "{code:x}");
        }
        let marks = [0x061c, 0x200b, 0x200e, 0x200f, 0x2066, 0x2067, 0x2068, 0x2069, 0xfeff];
        for code in marks.into_iter().chain(0x202a..=0x202e) {
            let c = char::from_u32(code).unwrap();
            assert_eq!(one_line(&format!("a{c}b")), Err(TextError::Invisible), "{code:x}");
            assert_eq!(lines(&format!("a\n{c}b")), Err(TextError::Invisible), "{code:x}");
        }
    }

    #[test]
    fn a_text_may_have_lines() {
        assert_eq!(lines("a\n\tb\r\n"), Ok("a\n\tb\r\n"));
        assert_eq!(lines("a\0b"), Err(TextError::Control));
        assert_eq!(lines(&"a".repeat(LONGEST_TEXT + 1)), Err(TextError::TooLong(LONGEST_TEXT)));
    }
}
