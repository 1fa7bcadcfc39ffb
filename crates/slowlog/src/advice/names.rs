//! Names out of statements, as they are printed. They come from strangers.

use std::fmt::Write as _;

/// No name in `MySQL` is longer.
const LONGEST: usize = 64;

/// A name with its control characters (and what turns the direction of writing) escaped, cut if it is too long for one.
pub(super) fn shown(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.chars().enumerate() {
        if at == LONGEST {
            out.push('\u{2026}');
            break;
        }
        if is_hostile(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn names_cannot_move_the_cursor_nor_fill_a_screen() {
        assert_eq!(shown("größe"), "größe");
        assert_eq!(shown("a\u{1b}[2J\u{202e}"), "a\\u{1b}[2J\\u{202e}");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 65);
    }
}
