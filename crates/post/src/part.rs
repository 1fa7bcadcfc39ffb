//! Cutting a log into parts that fit into a mail, between two events.

use crate::headers::LONGEST_LOG;
use honcho_slowlog::{Batch, Ending, Log, State};
use std::io::{self, Read, Write as _};

/// How much is read at a time.
const PIECE: usize = 64 << 10;
/// How much zstd may have taken in and not given out yet.
const HELD_BACK: usize = 160 << 10;
/// As fast as a log is written to a disk, and small enough (figures: docs/figures.md).
const LEVEL: i32 = 3;

/// How large a part may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes, compressed.
    pub compressed: usize,
    /// Bytes of log: whoever decompresses it has to be able to.
    pub raw: u64,
}

impl Limits {
    /// For mails of at most so many bytes, headers and all: base64 makes 78 bytes of 57.
    pub fn of_mail(bytes: usize) -> Limits {
        Limits { compressed: bytes.saturating_sub(4096) / 78 * 57, raw: LONGEST_LOG }
    }
}

/// A part of a log: whole events, unless one is larger than a mail may be.
#[derive(Clone, Debug)]
pub struct Part {
    /// What its events depend on that stood before.
    pub state: State,
    /// How many bytes of log it is.
    pub raw: u64,
    /// A zstd frame of them, with its checksum.
    pub compressed: Vec<u8>,
}

/// Cuts a log. Every byte of it is in one part, in order.
pub fn parts(mut log: impl Read, limits: Limits, each: impl FnMut(Part) -> io::Result<()>) -> io::Result<()> {
    let mut reader = Log::new();
    let mut batch = Batch::default();
    let mut writer = Writer { limits, each, open: None };
    // What was read and not written yet: it begins at a place where the log may be cut.
    let mut pending = Vec::new();
    let (mut done, mut state) = (0, reader.state());
    loop {
        let before = pending.len();
        let came = log.by_ref().take(PIECE as u64).read_to_end(&mut pending)?;
        reader.push(&pending[before..]);
        batch = reader.take(if came == 0 { Ending::Last } else { Ending::More }, batch);
        // Within an event of which a piece was already written it stands before that.
        if let Some(boundary) = reader.boundary().filter(|boundary| *boundary >= done) {
            let whole = usize::try_from(boundary - done).unwrap_or(pending.len()).min(pending.len());
            writer.write(&pending[..whole], &state)?;
            pending.drain(..whole);
            (done, state) = (boundary, reader.state());
        }
        if came == 0 {
            return writer.close();
        }
        if pending.len() > limits.compressed.max(PIECE) * 2 {
            // One event that is larger than a mail: its rest is no event to whoever reads the next part.
            writer.write(&pending, &state)?;
            done += pending.len() as u64;
            pending.clear();
        }
    }
}

struct Open {
    state: State,
    raw: u64,
    encoder: zstd::Encoder<'static, Vec<u8>>,
}

struct Writer<E> {
    limits: Limits,
    each: E,
    open: Option<Open>,
}

impl<E: FnMut(Part) -> io::Result<()>> Writer<E> {
    /// Writes what must not be cut, if it can be helped.
    fn write(&mut self, bytes: &[u8], state: &State) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.has_room_for(bytes.len()) {
            self.close()?;
        }
        // What fits into no part is cut where it has to be.
        let most = self.limits.compressed.saturating_sub(HELD_BACK + 1024).max(1);
        for bytes in bytes.chunks(most) {
            if !self.has_room_for(bytes.len()) {
                self.close()?;
            }
            if self.open.is_none() {
                let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
                encoder.include_checksum(true)?;
                self.open = Some(Open { state: state.clone(), raw: 0, encoder });
            }
            if let Some(open) = &mut self.open {
                open.encoder.write_all(bytes)?;
                open.raw += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// Whether so many bytes go into the part that is open even if they cannot be compressed.
    fn has_room_for(&self, bytes: usize) -> bool {
        self.open.as_ref().is_none_or(|open| {
            let worst = open.encoder.get_ref().len() + HELD_BACK + bytes + bytes / 128;
            worst <= self.limits.compressed && open.raw + bytes as u64 <= self.limits.raw
        })
    }

    fn close(&mut self) -> io::Result<()> {
        let Some(Open { state, raw, encoder }) = self.open.take() else { return Ok(()) };
        (self.each)(Part { state, raw, compressed: encoder.finish()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(log: &[u8], limits: Limits) -> Vec<Part> {
        let mut parts = Vec::new();
        super::parts(log, limits, |part| {
            parts.push(part);
            Ok(())
        })
        .unwrap();
        parts
    }

    fn events(log: &[u8], state: &State) -> Vec<String> {
        let mut reader = Log::resuming(state);
        reader.push(log);
        let mut events = Vec::new();
        reader.take(Ending::Last, Batch::default()).events(|event| events.push(format!("{event:?}")));
        events
    }

    fn whole(parts: &[Part]) -> Vec<u8> {
        parts.iter().flat_map(|part| zstd::decode_all(&part.compressed[..]).unwrap()).collect()
    }

    /// `random` bytes of a literal that no zstd makes smaller.
    fn event(number: usize, random: usize) -> String {
        let mut text = String::new();
        let mut mixed = number as u64 + 1;
        while text.len() < random {
            mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += &(mixed >> 8).to_string();
        }
        let uses = if number.is_multiple_of(5) { format!("use shop{number};\n") } else { String::new() };
        format!(
            "# User@Host: u[u] @ h [10.0.0.1]\n# Query_time: 1.0  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 2\n\
             {uses}SET timestamp={};\nSELECT '{text}';\n",
            1_700_000_000 + number
        )
    }

    #[test]
    fn a_log_larger_than_a_mail_is_cut_between_events() {
        let log: String = (0..400).map(|number| event(number, 9_000)).collect();
        let limits = Limits { compressed: 600_000, raw: LONGEST_LOG };
        let parts = cut(log.as_bytes(), limits);
        assert!(parts.len() > 3, "{}", parts.len());
        assert!(parts.iter().all(|part| part.compressed.len() <= limits.compressed));
        assert_eq!(whole(&parts), log.as_bytes());
        let read: Vec<String> = parts
            .iter()
            .flat_map(|part| events(&zstd::decode_all(&part.compressed[..]).unwrap(), &part.state))
            .collect();
        assert_eq!(read, events(log.as_bytes(), &State::default()));
    }

    #[test]
    fn what_decompresses_to_much_is_cut_too_and_nothing_is_one_part_less() {
        let log = event(1, 10).repeat(9_000);
        let parts = cut(log.as_bytes(), Limits { compressed: 1 << 20, raw: 600_000 });
        assert!(parts.len() > 2 && parts.iter().all(|part| part.raw <= 600_000));
        assert_eq!(whole(&parts), log.as_bytes());
        assert!(cut(b"", Limits::of_mail(1 << 20)).is_empty());
        assert_eq!(cut(b"Time  Id Command\n", Limits::of_mail(1 << 20)).len(), 1);
    }

    #[test]
    fn an_event_larger_than_a_mail_is_cut_and_the_others_are_read() {
        let log = [event(1, 10), event(2, 3_000_000), event(3, 10)].concat();
        let limits = Limits { compressed: 400_000, raw: LONGEST_LOG };
        let parts = cut(log.as_bytes(), limits);
        assert!(parts.iter().all(|part| part.compressed.len() <= limits.compressed), "{}", parts.len());
        assert_eq!(whole(&parts), log.as_bytes());
        let read: Vec<String> = parts
            .iter()
            .flat_map(|part| events(&zstd::decode_all(&part.compressed[..]).unwrap(), &part.state))
            .collect();
        assert!(read.first().is_some_and(|event| event.contains("1700000001")));
        assert!(read.last().is_some_and(|event| event.contains("1700000003")), "{}", read.len());
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_written_twice(sizes in prop::collection::vec(0_usize..300_000, 0..8), compressed in 200_000_usize..400_000) {
            let log: String = sizes.iter().enumerate().map(|(number, size)| event(number, *size)).collect();
            prop_assert_eq!(whole(&cut(log.as_bytes(), Limits { compressed, raw: 1 << 20 })), log.as_bytes());
        }
    }
}
