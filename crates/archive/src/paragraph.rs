//! A paragraph of a control file: fields, each on a line of its own, continued by lines that begin with a space.
//!
//! Text goes from a package into an index as it stands, so that what apt reads is what the packager wrote, byte for byte. What
//! could end the paragraph early, or bring a field in twice, makes it none: two readers could then see two packages.

use std::collections::BTreeSet;

/// So long is a control file at most; Debian's longest has some 60 kB.
const LONGEST: usize = 1 << 20;

/// A paragraph that holds each field once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paragraph {
    /// Lines, each with its end.
    text: String,
}

impl Paragraph {
    /// Reads a control file that holds one paragraph.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > LONGEST {
            return Err(format!("its control file has more than {LONGEST} bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "its control file is not UTF-8")?;
        let text = text.trim_matches('\n');
        if text.is_empty() {
            return Err("its control file is empty".to_owned());
        }
        let mut seen = BTreeSet::new();
        for (number, line) in text.split('\n').enumerate() {
            let wrong = |what: &str| Err(format!("line {} of its control file {what}", number + 1));
            if line.chars().any(|character| character.is_control() && character != '\t') {
                return wrong("holds a control character");
            }
            if line.starts_with([' ', '\t']) {
                if line.trim().is_empty() {
                    return wrong("is blank");
                }
                if number == 0 {
                    return wrong("continues nothing");
                }
                continue;
            }
            let Some((name, _)) = line.split_once(':') else { return wrong("is no field") };
            let well_named = !name.is_empty()
                && !name.starts_with(['#', '-'])
                && name.bytes().all(|byte| byte.is_ascii_graphic());
            if !well_named {
                return wrong("is no field");
            }
            if !seen.insert(name.to_ascii_lowercase()) {
                return wrong(&format!("says {name} a second time"));
            }
        }
        Ok(Paragraph { text: format!("{text}\n") })
    }

    /// Of text that this crate wrote.
    pub(crate) fn of_index(text: &str) -> Self {
        Paragraph { text: text.to_owned() }
    }

    /// Its lines.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines that continue a field.
    pub(crate) fn continued(&self, name: &str) -> Vec<&str> {
        let is_it = |line: &&str| {
            line.split_once(':').is_some_and(|(own, _)| own.eq_ignore_ascii_case(name))
                && !line.starts_with([' ', '\t'])
        };
        let after = self.text.lines().skip_while(|line| !is_it(line)).skip(1);
        after.take_while(|line| line.starts_with([' ', '\t'])).collect()
    }

    /// Its lines but for these fields.
    pub(crate) fn without(&self, names: &[&str]) -> String {
        let (mut text, mut leaving) = (String::new(), false);
        for line in self.text.lines() {
            if let (false, Some((name, _))) = (line.starts_with([' ', '\t']), line.split_once(':')) {
                leaving = names.iter().any(|other| other.eq_ignore_ascii_case(name));
            }
            if !leaving {
                text.extend([line, "\n"]);
            }
        }
        text
    }

    /// A field's value: of one that is continued, the first line alone.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.text.split('\n').find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &[u8], expected: &Expect) {
        expected.assert_eq(&match Paragraph::parse(text) {
            Ok(paragraph) => paragraph.text().to_owned(),
            Err(why) => why,
        });
    }

    #[test]
    fn text_stays_as_it_was() {
        check(
            b"\nPackage: hello\nDescription: greets\n  twice\n .\n the end\nVersion: 1\n\n",
            &expect![[r"
                Package: hello
                Description: greets
                  twice
                 .
                 the end
                Version: 1
            "]],
        );
        let paragraph = Paragraph::parse(b"Package: a\npriority:  low \nX:\n y\n").unwrap();
        assert_eq!(paragraph.get("Priority"), Some("low"));
        assert_eq!((paragraph.get("x"), paragraph.get("none")), (Some(""), None));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        check(b"Package: a\n\nPackage: b\n", &expect!["line 2 of its control file is no field"]);
        check(b"Package: a\n \nPackage: b\n", &expect!["line 2 of its control file is blank"]);
        check(b"Package: a\npackage: b\n", &expect!["line 2 of its control file says package a second time"]);
        check(
            b"Package: a\r\n\r\nPackage: b",
            &expect!["line 1 of its control file holds a control character"],
        );
        check(b" x\n", &expect!["line 1 of its control file continues nothing"]);
        check(b"# x: y\n", &expect!["line 1 of its control file is no field"]);
        check(b"a b: c\n", &expect!["line 1 of its control file is no field"]);
        check(b"a: \xff\n", &expect!["its control file is not UTF-8"]);
        check(b"\n\n", &expect!["its control file is empty"]);
    }
}
