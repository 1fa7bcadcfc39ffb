//! Text that people write for people: one line, without what would make it read as something else.

/// The longest, in characters.
pub const LONGEST: usize = 200;

/// Why a text is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too many characters.
    #[error("is too long (200 characters at most)")]
    TooLong,
    /// A line break, a NUL, or another control character.
    #[error("must be one line, without control characters")]
    Control,
    /// A mark that turns the direction of the text around it, or that nobody sees (Unicode UAX #9, "Trojan Source").
    #[error("must not hold marks that change the direction of text, or that cannot be seen")]
    Invisible,
}

/// Reads one line.
pub fn one_line(text: &str) -> Result<&str, TextError> {
    if text.chars().count() > LONGEST {
        return Err(TextError::TooLong);
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(TextError::Control);
    }
    if text.chars().any(is_invisible) { Err(TextError::Invisible) } else { Ok(text) }
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
        assert_eq!(one_line(&"a".repeat(201)), Err(TextError::TooLong));
    }
}
