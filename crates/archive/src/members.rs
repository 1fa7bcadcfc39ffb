//! The members of a package: an `ar` in its plain form, without the extensions for long names, of which dpkg knows none (deb(5)).
//!
//! Nothing is believed of a length but where the next member begins: no memory is taken by it.

use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";

/// Names, times and the like of a member, in text.
const HEADER: usize = 60;

/// An `ar` that is read member by member. Reading gives the data of the current one.
pub(crate) struct Members<R> {
    from: R,
    /// Bytes of the current one that were not read yet, and whether one follows that fills it up.
    left: u64,
    is_odd: bool,
}

impl<R: Read> Members<R> {
    /// Reads what is in front of the first one.
    pub(crate) fn new(mut from: R) -> Result<Self, String> {
        let mut magic = [0; MAGIC.len()];
        match filled(&mut from, &mut magic)? {
            0 => Err(broken("it is empty")),
            _ if magic == *MAGIC => Ok(Members { from, left: 0, is_odd: false }),
            _ => Err(broken("it does not begin as an ar")),
        }
    }

    /// Goes on to the next one, and gives its name; `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<String>, String> {
        io::copy(self, &mut io::sink()).map_err(broken)?;
        if std::mem::take(&mut self.is_odd) {
            filled(&mut self.from, &mut [0])?;
        }
        let mut header = [0; HEADER];
        match filled(&mut self.from, &mut header)? {
            0 => return Ok(None),
            HEADER if header.ends_with(b"`\n") => {}
            _ => return Err(broken("what follows a member is no header of another")),
        }
        let name = header[..16].trim_ascii_end();
        let name = String::from_utf8_lossy(name.strip_suffix(b"/").unwrap_or(name)).into_owned();
        let length = std::str::from_utf8(header[48..58].trim_ascii()).ok().and_then(|text| text.parse().ok());
        let length: u64 =
            length.ok_or_else(|| broken(format!("{name:?} in it has a length that is no number")))?;
        (self.left, self.is_odd) = (length, length % 2 == 1);
        Ok(Some(name))
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.from.read(&mut buffer[..most])?;
        if n == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "its end is missing"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// How much of it there was to be read.
fn filled(from: &mut impl Read, buffer: &mut [u8]) -> Result<usize, String> {
    let mut all = 0;
    while all < buffer.len() {
        match from.read(&mut buffer[all..]) {
            Ok(0) => break,
            Ok(n) => all += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
    }
    Ok(all)
}

fn broken(why: impl std::fmt::Display) -> String {
    format!("it is no Debian package: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ar(members: &[(&str, &str, &str)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, length, data) in members {
            bytes.extend(
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{length:<10}`\n{data}", 0, 0, 0, 100_644).bytes(),
            );
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
        let mut members = Members::new(bytes)?;
        let mut all = Vec::new();
        while let Some(name) = members.next()? {
            let mut text = String::new();
            members.read_to_string(&mut text).map_err(|error| error.to_string())?;
            all.push((name, text));
        }
        Ok(all)
    }

    #[test]
    fn members_are_read_in_turn() {
        let bytes = ar(&[("a/", "3", "one\n"), ("b", "0", ""), ("c", "1", "x")]);
        let all =
            [("a", "one"), ("b", ""), ("c", "x")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(read(&bytes).unwrap(), all);
        // What was not read is passed over.
        let mut members = Members::new(bytes.as_slice()).unwrap();
        let names: Vec<String> = std::iter::from_fn(|| members.next().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        for cut in 9..bytes.len() - 1 {
            let whole = [72, 132].contains(&cut) || cut == 71;
            assert_eq!(read(&bytes[..cut]).is_ok(), whole, "{cut}");
        }
    }

    /// Of GNU's and BSD's extensions for long names, which named a place in nothing, or gigabytes.
    #[test]
    fn lengths_and_names_that_lie_cost_nothing() {
        assert_eq!(read(&ar(&[("/5", "0", "")])).unwrap(), [("/5".to_owned(), String::new())]);
        for name in ["//", "#1/9999999999"] {
            assert!(read(&ar(&[(name, "9999999999", "x")])).unwrap_err().contains("its end is missing"));
        }
        assert!(read(&ar(&[("a", "-1", "")])).unwrap_err().contains("no number"));
        assert!(read(b"!<arch>\nx").unwrap_err().contains("no header"));
        assert!(read(b"PK\x03\x04").unwrap_err().contains("does not begin as an ar"));
    }
}
