//! A statement without its literals, as it is shown to people: values are personal data.
//!
//! Other than a fingerprint it keeps case, line breaks and lists. It knows SQL's own quoting and not pt-query-digest's:
//! where the two differ, this one must not let a value through. What it is not sure of, it takes for a value.

/// The statement with `?` for every literal and without comments, up to `most` bytes.
pub fn redact(statement: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(statement.len().min(most));
    let mut at = 0;
    while at < statement.len() && out.len() < most {
        let rest = &statement[at..];
        at += match rest[0] {
            quote @ (b'\'' | b'"') => {
                out.push(b'?');
                quoted(rest, quote)
            }
            b'`' => {
                let end = memchr::memchr(b'`', &rest[1..]).map_or(rest.len(), |found| found + 2);
                out.extend_from_slice(&rest[..end]);
                end
            }
            b'/' if rest.starts_with(b"/*") && !rest.starts_with(b"/*!") => {
                memchr::memmem::find(&rest[2..], b"*/").map_or(rest.len(), |found| found + 4)
            }
            b'#' => line(rest),
            b'-' if rest.starts_with(b"--") && rest.get(2).is_none_or(|byte| *byte <= b' ') => line(rest),
            b'0'..=b'9' => {
                out.push(b'?');
                number(rest)
            }
            byte if is_name(byte) => {
                let end = rest.iter().position(|byte| !is_name(*byte)).unwrap_or(rest.len());
                out.extend_from_slice(&rest[..end]);
                end
            }
            byte => {
                out.push(byte);
                1
            }
        };
    }
    out.truncate(most);
    out
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// The length of a literal that begins here; one that is not closed goes to the end.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(quote, b'\\', rest)) {
        at += found;
        if text[at] == quote && text.get(at + 1) != Some(&quote) {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

fn number(text: &[u8]) -> usize {
    text.iter().position(|byte| !is_name(*byte) && *byte != b'.').unwrap_or(text.len())
}

fn line(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::redact;

    fn check(statement: &str, redacted: &str) {
        assert_eq!(String::from_utf8_lossy(&redact(statement.as_bytes(), 1000)), redacted);
    }

    #[test]
    fn no_value_is_left() {
        check(
            "SELECT Name FROM t2 WHERE a = 'it''s' AND b=\"x\\\"y\"\n LIMIT 5",
            "SELECT Name FROM t2 WHERE a = ? AND b=?\n LIMIT ?",
        );
        check(
            "INSERT INTO `guests` VALUES (1.5, 0xAB, x'12', 'é')",
            "INSERT INTO `guests` VALUES (?, ?, x?, ?)",
        );
        check("SELECT 1 /* for bob@example.org */ -- bob\n# bob\n, a--2", "SELECT ?  \n\n, a--?");
        check("SELECT 'never closed", "SELECT ?");
        check("SELECT 'back\\", "SELECT ?");
    }

    #[test]
    fn it_is_bounded() {
        assert_eq!(redact(&b"select a, ".repeat(100), 20).len(), 20);
    }
}
