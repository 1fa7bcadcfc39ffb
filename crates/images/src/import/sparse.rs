//! Which parts of a sparse file are there: GNU tar's four ways of saying it.
//!
//! | | where |
//! |---|---|
//! | old GNU | type `S`: four extents in the header, more in blocks after it |
//! | PAX 0.0 | repeated records `GNU.sparse.offset` and `GNU.sparse.numbytes` |
//! | PAX 0.1 | one record `GNU.sparse.map` |
//! | PAX 1.0 | decimal lines before the data, up to a block's end |
//!
//! All end in [`Map::new`], which takes nothing that overlaps, goes backwards or leads out of the file.

use super::pax::{Records, decimal};
use std::fmt::Write as _;

/// Files with more pieces than this are not honest ones.
pub(super) const MOST_EXTENTS: usize = 1 << 16;

/// The data of a file, in order; what lies between is zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// Where each piece begins in the file, and how long it is.
    pub(super) extents: Vec<(u64, u64)>,
    /// How long the file is.
    pub(super) size: u64,
}

impl Map {
    /// A file without holes.
    pub(super) fn dense(size: u64) -> Self {
        Map { extents: if size == 0 { vec![] } else { vec![(0, size)] }, size }
    }

    /// Whether there are holes.
    pub(super) fn is_sparse(&self) -> bool {
        self.stored() != self.size
    }

    /// How many bytes are stored.
    pub(super) fn stored(&self) -> u64 {
        self.extents.iter().map(|(_, length)| length).sum()
    }

    /// Checks pieces of which `stored` bytes are to follow.
    pub(super) fn new(extents: Vec<(u64, u64)>, size: u64, stored: u64) -> Result<Self, String> {
        if extents.len() > MOST_EXTENTS {
            return Err(format!("a sparse file in more than {MOST_EXTENTS} pieces"));
        }
        let mut end = 0_u64;
        for (offset, length) in &extents {
            let reaches = offset.checked_add(*length).filter(|reaches| *reaches <= size);
            let (true, Some(reaches)) = (*offset >= end, reaches) else {
                return Err("a sparse file whose pieces overlap or lead out of it".to_owned());
            };
            end = reaches;
        }
        let map = Map { extents: extents.into_iter().filter(|(_, length)| *length > 0).collect(), size };
        if map.stored() != stored {
            return Err(format!("a sparse file with {} bytes of data and {stored} stored", map.stored()));
        }
        Ok(map)
    }
}

/// Extents of the old GNU format: pairs of number fields; an empty one ends them.
pub(super) fn old_extents(headers: &[tar::GnuSparseHeader], to: &mut Vec<(u64, u64)>) -> Result<(), String> {
    for header in headers.iter().take_while(|header| !header.is_empty()) {
        let bad = |_| "a sparse file whose pieces are no numbers".to_owned();
        to.push((header.offset().map_err(bad)?, header.length().map_err(bad)?));
    }
    if to.len() > MOST_EXTENTS {
        return Err(format!("a sparse file in more than {MOST_EXTENTS} pieces"));
    }
    Ok(())
}

/// What PAX records say of a sparse file.
pub(super) enum Said {
    /// Nothing: it is not sparse.
    Nothing,
    /// The pieces, and the file's size (0.0, 0.1).
    Pieces(Vec<(u64, u64)>, u64),
    /// The pieces come before the data (1.0); the file's size.
    Later(u64),
}

/// Reads what the records of an entry say.
pub(super) fn of_records(records: &Records) -> Result<Said, String> {
    let missing = || "a sparse file of unknown size".to_owned();
    if let Some(major) = records.number("GNU.sparse.major")? {
        if (major, records.number("GNU.sparse.minor")?) != (1, Some(0)) {
            return Err("a sparse file of an unknown version".to_owned());
        }
        return Ok(Said::Later(records.number("GNU.sparse.realsize")?.ok_or_else(missing)?));
    }
    let numbers: Vec<&[u8]> = match records.get("GNU.sparse.map") {
        Some([]) => vec![],
        Some(map) => map.split(|byte| *byte == b',').collect(),
        None => records
            .iter()
            .filter(|(key, _)| matches!(*key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes"))
            .map(|(_, value)| value)
            .collect(),
    };
    let size = records.number("GNU.sparse.size")?;
    if numbers.is_empty() && size.is_none() {
        return Ok(Said::Nothing);
    }
    Ok(Said::Pieces(pairs(&numbers)?, size.ok_or_else(missing)?))
}

/// The map that stands before the data of a 1.0 file, as it comes block by block.
#[derive(Debug, Default)]
pub(super) struct LeadingMap {
    /// What there is of a line that has not ended.
    line: Vec<u8>,
    /// How many pieces there are, and then of each where it begins and how long it is.
    numbers: Vec<u64>,
}

impl LeadingMap {
    /// Takes a block more. Gives the pieces once they are all there: what is behind them in a block pads it.
    pub(super) fn take(&mut self, block: &[u8]) -> Result<Option<Vec<(u64, u64)>>, String> {
        let none = || "a sparse file whose map is none".to_owned();
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > 20 {
                    return Err(none());
                }
                continue;
            }
            self.numbers.push(decimal(&self.line).ok_or_else(none)?);
            self.line.clear();
            let count = usize::try_from(self.numbers[0]).ok().filter(|count| *count <= MOST_EXTENTS);
            let count = count.ok_or_else(|| format!("a sparse file in more than {MOST_EXTENTS} pieces"))?;
            if self.numbers.len() == 1 + 2 * count {
                let (pairs, _) = self.numbers[1..].as_chunks::<2>();
                return Ok(Some(pairs.iter().map(|[offset, length]| (*offset, *length)).collect()));
            }
        }
        Ok(None)
    }
}

/// The map as it stands before the data of a 1.0 file, padded. GNU tar takes the end of the last piece for the end of
/// the file: where a hole is last, an empty piece says so.
pub(super) fn leading_text(map: &Map) -> Vec<u8> {
    let end = map.extents.last().map_or(0, |(offset, length)| offset + length);
    let last = (end < map.size).then_some((map.size, 0));
    let mut text = format!("{}\n", map.extents.len() + usize::from(last.is_some()));
    for (offset, length) in map.extents.iter().copied().chain(last) {
        let _ = write!(text, "{offset}\n{length}\n");
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pairs(numbers: &[&[u8]]) -> Result<Vec<(u64, u64)>, String> {
    let bad = || "a sparse file whose map is none".to_owned();
    let number = |text: &[u8]| decimal(text).ok_or_else(bad);
    let (pairs, odd) = numbers.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(bad());
    }
    pairs.iter().map(|[offset, length]| Ok((number(offset)?, number(length)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_stay_in_their_file_and_in_order() {
        let check = |extents: &[(u64, u64)], size, stored| Map::new(extents.to_vec(), size, stored);
        assert_eq!(check(&[(0, 5), (10, 0)], 10, 5).unwrap().extents, [(0, 5)]);
        for (extents, size, stored) in [
            (&[(0, 5), (4, 2)][..], 10, 7),
            (&[(8, 3)], 10, 3),
            (&[(u64::MAX, 2)], 10, 2),
            (&[(5, 1), (0, 1)], 10, 2),
            (&[(0, 5)], 10, 6),
        ] {
            assert!(check(extents, size, stored).is_err(), "{extents:?}");
        }
    }

    fn leading_map(text: &[u8]) -> Result<Option<Vec<(u64, u64)>>, String> {
        LeadingMap::default().take(text)
    }

    /// Each block was once read again with every one that followed: half a minute for a map, of which a gigabyte has hundreds.
    #[test]
    fn the_longest_map_is_read_once() {
        let text = format!("{MOST_EXTENTS}\n") + &format!("{:020}\n", 7).repeat(2 * MOST_EXTENTS);
        let (mut map, mut found) = (LeadingMap::default(), Vec::new());
        for block in text.as_bytes().chunks(512) {
            found.extend(map.take(block).unwrap());
        }
        assert_eq!(found, [vec![(7, 7); MOST_EXTENTS]]);
        assert!(leading_map(b"65537\n").unwrap_err().contains("more than 65536 pieces"));
        for none in [&b"1\n-1\n"[..], b"\n", b"000000000000000000001"] {
            assert!(leading_map(none).unwrap_err().contains("whose map is none"));
        }
    }

    proptest! {
        #[test]
        fn a_map_reads_as_it_was_written(pieces in proptest::collection::vec((1..1000_u64, 1..1000_u64), 0..200), end in 0..2_u64) {
            let mut at = 0;
            let mut extents: Vec<(u64, u64)> = Vec::new();
            for (hole, length) in pieces {
                extents.push((at + hole, length));
                at += hole + length;
            }
            let text = leading_text(&Map { extents: extents.clone(), size: at + end });
            extents.extend((end > 0).then_some((at + end, 0)));
            prop_assert_eq!(leading_map(&text).unwrap(), Some(extents.clone()));
            if !extents.is_empty() {
                prop_assert_eq!(leading_map(&text[..2]).unwrap(), None);
            }
        }

        #[test]
        fn no_text_breaks_it(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = leading_map(&text);
        }
    }
}
