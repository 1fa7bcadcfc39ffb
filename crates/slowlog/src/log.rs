//! Bytes in, events out, in bounded memory.

use crate::event::Event;
use crate::frame::{Ending, Frame, Framer};
use std::io::{Read, Result};

/// Reads slow logs, in pieces of any size. The same bytes give the same events, however they are cut.
///
/// Memory: what was handed over since the last [`Log::take`], and one event of at most 4 MiB.
#[derive(Default)]
pub struct Log {
    framer: Framer,
    /// The last `use` before what the buffer has.
    database: Vec<u8>,
    /// How many bytes came, and how many of them were taken with the events they belong to.
    came: u64,
    taken: u64,
}

/// What an event's reading depends on besides its own bytes: servers write the database and the time only when they change.
/// With it a log can be cut between two events, and each piece read by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The database of the last `use`.
    pub database: Vec<u8>,
    /// The last `# Time:`, in microseconds since 1970.
    pub time: Option<i64>,
    /// So many bytes more may have stood in a literal: nobody is named by them.
    pub distrusted: u64,
}

/// Whole events, in the bytes they came in. It can be sent to another thread.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    database: Vec<u8>,
}

/// The header of an event that is never taken.
const ANOTHER: &[u8] =
    b"# Time: 700101  0:00:00\n# User@Host: a[a] @ b []\n# Query_time: 1.0  Lock_time: 0.0\n";

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

    /// A log that is read from between two of its events on.
    pub fn resuming(state: &State) -> Self {
        let mut log = Self { database: state.database.clone(), ..Self::default() };
        log.framer.carry(state.time, usize::try_from(state.distrusted).unwrap_or(usize::MAX));
        log
    }

    /// What the events after [`Log::boundary`] depend on.
    pub fn state(&self) -> State {
        let (time, distrusted) = self.framer.carried();
        State { database: self.database.clone(), time, distrusted }
    }

    /// How many bytes of the log stand before the first event that was not taken yet: where it can be cut. None in the
    /// midst of a line that belongs to no event, for what is left of that could be taken for a header.
    pub fn boundary(&self) -> Option<u64> {
        (!self.framer.is_within_a_line()).then_some(self.taken)
    }

    /// More of the log.
    pub fn push(&mut self, bytes: &[u8]) {
        self.came += bytes.len() as u64;
        self.framer.buffer.extend_from_slice(bytes);
    }

    /// As much more of the log as comes in one or more reads, up to `most` bytes. Answers with what came: 0 is the end.
    pub fn read_from(&mut self, source: &mut impl Read, most: usize) -> Result<usize> {
        let before = self.framer.buffer.len();
        self.framer.buffer.reserve(most);
        let outcome = source.take(most as u64).read_to_end(&mut self.framer.buffer);
        // What came before a failure is there, too.
        self.came += (self.framer.buffer.len() - before) as u64;
        outcome
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
        self.taken += cut as u64 + self.framer.take_dropped();
        if ending == Ending::Last {
            let (steps, came) = (self.framer.steps, self.came);
            *self = Self { came, taken: came, ..Self::default() };
            self.framer.steps = steps;
        }
        batch
    }

    /// The same for a piece of a log that ends where another event begins: its last event ends as it did in the whole log.
    pub fn take_before_another(&mut self, batch: Batch) -> Batch {
        self.framer.buffer.extend_from_slice(ANOTHER);
        self.take(Ending::More, batch)
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
