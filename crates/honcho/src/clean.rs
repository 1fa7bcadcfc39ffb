//! Text from elsewhere, made safe for a terminal.
//!
//! Names and messages come from the API, and some of them from a guest. A control character in one could move the
//! cursor, retitle the window or hide what follows, and a bidirectional mark could make one name look like another:
//! each is shown as an escape instead.

use honcho_model::printed::{is_hostile, push_clean};
use std::fmt::Write;

/// `text` on one line, every hostile character written as in Rust: `\n`, `\u{1b}`.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        push_clean(&mut cleaned, c);
    }
    cleaned
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
}
