//! Bytes in, events out, in bounded memory.

use crate::event::Event;
use crate::frame::{Ending, Frame, Framer};
use std::io::{ErrorKind, Read, Result};

/// Reads slow logs, in pieces of any size. The same bytes give the same events, however they are cut.
///
/// Memory: what was handed over since the last [`Log::take`], and one event of at most 4 MiB.
#[derive(Default)]
pub struct Log {
    framer: Framer,
    /// The last `use` before what the buffer has.
    database: Vec<u8>,
}

/// Whole events, in the bytes they came in. It can be sent to another thread.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    database: Vec<u8>,
}

/// How a batch was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Events.
    pub events: u64,
    /// What stood between two headers and is no event: no `Query_time`, or one that cannot be true; no statement.
    pub left_out: u64,
}

impl Log {
    /// A log of which nothing was read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// More of the log.
    pub fn push(&mut self, bytes: &[u8]) {
        self.framer.buffer.extend_from_slice(bytes);
    }

    /// As much more of the log as comes in one or more reads, up to `most` bytes. Answers with what came: 0 is the end.
    pub fn read_from(&mut self, source: &mut impl Read, most: usize) -> Result<usize> {
        let before = self.framer.buffer.len();
        self.framer.buffer.resize(before + most, 0);
        let mut filled = before;
        let outcome = loop {
            if filled == self.framer.buffer.len() {
                break Ok(());
            }
            match source.read(&mut self.framer.buffer[filled..]) {
                Ok(0) => break Ok(()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.framer.buffer.truncate(filled);
        outcome.map(|()| filled - before)
    }

    /// Moves the events that are whole into this batch, whose memory is used again. With [`Ending::Last`], all.
    pub fn take(&mut self, ending: Ending, mut batch: Batch) -> Batch {
        self.framer.advance(ending);
        let cut = self.framer.unframed().min(self.framer.buffer.len());
        batch.bytes.clear();
        batch.frames.clear();
        batch.database.clone_from(&self.database);
        if let Some(name) = self.framer.used_before(cut) {
            self.database.clear();
            self.database.extend_from_slice(name);
        }
        batch.bytes.extend_from_slice(&self.framer.buffer[cut..]);
        std::mem::swap(&mut batch.bytes, &mut self.framer.buffer);
        std::mem::swap(&mut batch.frames, &mut self.framer.frames);
        self.framer.moved(cut);
        if ending == Ending::Last {
            let steps = self.framer.steps;
            *self = Self::default();
            self.framer.steps = steps;
        }
        batch
    }

    /// How many bytes were looked at, as often as they were. Linear in the length of the log, whatever stands in it.
    pub fn steps(&self) -> u64 {
        self.framer.steps
    }
}

impl Batch {
    /// Hands over each event, in order.
    pub fn events(&self, mut each: impl FnMut(&Event<'_>)) -> Reading {
        let mut reading = Reading::default();
        for frame in &self.frames {
            match Event::read(&self.bytes, frame, &self.database) {
                Some(event) => {
                    reading.events += 1;
                    each(&event);
                }
                None => reading.left_out += 1,
            }
        }
        reading
    }

    /// Whether it has no events, and nothing that will be left out.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
