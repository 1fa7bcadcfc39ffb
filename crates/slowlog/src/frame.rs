//! Bytes to frames: where one event of a slow log ends and the next begins.
//!
//! ```text
//!  Between --- a line with # ----> Header --- a line that is none of the header's ---> Statement
//!     ^                              |  ^                                                  |
//!     '------ administrator command -'  '---- ;\n# outside of literals and comments -------'
//! ```
//!
//! An event ends where pt-query-digest ends it, at `;\n#`, and besides where a server's banner stands in between, and
//! where `# Time:` and `# User@Host:` follow each other after a statement that was cut off. But never inside a literal or
//! a block comment: what a customer writes there must not become somebody else's event.
//!
//! A statement that was cut off inside a literal would so swallow what follows. When the log ends, or [`LONGEST`] is
//! reached, with a literal still open and something like a header in it, the literal is given up: the event ends
//! at that header, and what was read since is read again without regard to literals, each byte once. Such events count, but
//! their [`Identity`] is `Uncertain`: user, host and database are withheld, for they may be forged.
//!
//! Not told apart are headers in plain comments (`# …` at the start of a line of a stored procedure): byte for byte they
//! may be what a server writes.

use crate::number;
use crate::quoting::Place;
use memchr::memmem::Finder;

/// How much of one event is kept. What is longer is followed to its end, and cut.
pub(crate) const LONGEST: usize = 4 << 20;
/// A header longer than this is none (plans of `MariaDB`'s `explain` are part of it).
const LONGEST_HEADER: usize = 1 << 20;
/// How far back the end of a statement looks for banners.
const LOOK_BACK: usize = 4096;

/// Whether more bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// More may come.
    More,
    /// That was all.
    Last,
}

/// What an event was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A statement.
    Query,
    /// `# administrator command: …`.
    Administrator,
    /// A header and no statement.
    Nothing,
}

/// Whether user, host and database can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// As the server wrote it.
    Certain,
    /// It may have stood in a literal.
    Uncertain,
}

/// Whether a statement is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It ended as statements do.
    Whole,
    /// It was cut off, or too long.
    Cut,
}

/// One event, as places in the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) header: usize,
    pub(crate) statement: usize,
    pub(crate) end: usize,
    pub(crate) kind: Kind,
    pub(crate) identity: Identity,
    pub(crate) extent: Extent,
    /// The last `# Time:`, which servers print only when it changes.
    pub(crate) time: Option<i64>,
    /// Where the name in the last `use` stands, which is printed only when it changes. None: before the batch.
    pub(crate) used: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    /// At the start of a line that belongs to no event.
    Between,
    /// In such a line.
    BetweenLine,
    Header,
    Statement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    Starved,
}

enum Boundary {
    None,
    /// It depends on bytes that have not come.
    Unknown,
    /// The statement ends here.
    At(usize),
}

pub(crate) struct Framer {
    pub(crate) buffer: Vec<u8>,
    pub(crate) frames: Vec<Frame>,
    /// How many bytes were looked at, each time they were.
    pub(crate) steps: u64,
    zone: Zone,
    time: Option<i64>,
    used: Option<(usize, usize)>,
    /// Where the event begins, and its statement.
    start: usize,
    statement: usize,
    /// Up to where the buffer was looked at.
    scan: usize,
    /// In which place the statement is, at which byte.
    place: Place,
    placed: usize,
    /// What looked like a header inside a literal.
    candidate: Option<usize>,
    /// The header had its `Query_time`; its `use` or `SET`.
    timed: bool,
    body: bool,
    /// Events that begin before this are read without regard to literals.
    distrusted: usize,
    /// The event is too long: what is kept of it ends here.
    kept: Option<usize>,
    /// How many bytes of it were let go of, and of such events before it since that was asked.
    dropped: u64,
    dropped_before: u64,
    line_end: Finder<'static>,
}

impl Default for Framer {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            frames: Vec::new(),
            steps: 0,
            zone: Zone::Between,
            time: None,
            used: None,
            start: 0,
            statement: 0,
            scan: 0,
            place: Place::Code,
            placed: 0,
            candidate: None,
            timed: false,
            body: false,
            distrusted: 0,
            kept: None,
            dropped: 0,
            dropped_before: 0,
            line_end: Finder::new(b"\n#"),
        }
    }
}

impl Framer {
    /// Frames of all that the buffer has, up to an event that is not whole yet.
    pub(crate) fn advance(&mut self, ending: Ending) {
        loop {
            let step = match self.zone {
                Zone::Between => self.between(),
                Zone::BetweenLine => self.between_line(),
                Zone::Header => self.header(ending),
                Zone::Statement => self.statement(ending),
            };
            if step == Step::Starved {
                break;
            }
        }
    }

    /// Lets go of what has been framed: the buffer then begins with this byte, which was at the place answered.
    pub(crate) fn unframed(&self) -> usize {
        match self.zone {
            Zone::Between | Zone::BetweenLine => self.scan,
            Zone::Header | Zone::Statement => self.start,
        }
    }

    /// How many bytes of events that have ended were let go of, because those were too long, since this was last asked.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_before)
    }

    /// Whether what was framed ends in a line that belongs to no event.
    pub(crate) fn is_within_a_line(&self) -> bool {
        self.zone == Zone::BetweenLine
    }

    /// The last `# Time:`, and how many more bytes are read without regard to literals.
    pub(crate) fn carried(&self) -> (Option<i64>, u64) {
        (self.time, self.distrusted as u64)
    }

    /// Goes on where another one was.
    pub(crate) fn carry(&mut self, time: Option<i64>, distrusted: usize) {
        self.time = time;
        self.distrusted = distrusted;
    }

    /// The name in the last `use`, if that stands before this place of the buffer.
    pub(crate) fn used_before(&self, place: usize) -> Option<&[u8]> {
        self.used.filter(|(start, _)| *start < place).map(|(start, end)| &self.buffer[start..end])
    }

    /// Says that so many bytes at the front of the buffer are gone.
    pub(crate) fn moved(&mut self, by: usize) {
        self.used = self.used.filter(|(start, _)| *start >= by).map(|(start, end)| (start - by, end - by));
        for place in
            [&mut self.start, &mut self.statement, &mut self.scan, &mut self.placed, &mut self.distrusted]
        {
            *place = place.saturating_sub(by);
        }
        self.candidate = self.candidate.map(|place| place.saturating_sub(by));
        self.kept = self.kept.map(|place| place.saturating_sub(by));
    }

    fn between(&mut self) -> Step {
        match self.buffer.get(self.scan) {
            None => Step::Starved,
            Some(b'#') => {
                self.begin(self.scan);
                Step::Done
            }
            Some(_) => {
                self.zone = Zone::BetweenLine;
                Step::Done
            }
        }
    }

    fn between_line(&mut self) -> Step {
        let rest = &self.buffer[self.scan..];
        let found = memchr::memchr(b'\n', rest);
        let looked_at = found.map_or(rest.len(), |found| found + 1);
        self.steps += looked_at as u64;
        self.scan += looked_at;
        if found.is_none() {
            return Step::Starved;
        }
        self.zone = Zone::Between;
        Step::Done
    }

    /// An event begins here.
    fn begin(&mut self, at: usize) {
        self.zone = Zone::Header;
        self.dropped_before += std::mem::take(&mut self.dropped);
        self.start = at;
        self.scan = at;
        self.placed = at;
        self.statement = at;
        self.place = Place::Code;
        self.candidate = None;
        self.kept = None;
        self.timed = false;
        self.body = false;
    }

    fn trusted(&self) -> bool {
        self.start >= self.distrusted
    }

    fn emit(&mut self, statement: usize, end: usize, kind: Kind, extent: Extent) {
        let end = self.kept.map_or(end, |kept| end.min(kept)).max(statement);
        let identity = if self.trusted() { Identity::Certain } else { Identity::Uncertain };
        let extent = if self.kept.is_some() { Extent::Cut } else { extent };
        let (header, time, used) = (self.start, self.time, self.used);
        self.frames.push(Frame { header, statement, end, kind, identity, extent, time, used });
    }

    /// One line of a header. `scan` is at its start, `placed` up to where its end was sought.
    fn header(&mut self, ending: Ending) -> Step {
        let sought = self.placed.max(self.scan);
        let found = memchr::memchr(b'\n', &self.buffer[sought..]).map(|found| sought + found);
        self.steps += (found.unwrap_or(self.buffer.len()) - sought) as u64;
        let (end, next) = match (found, ending) {
            (Some(found), _) => (found, found + 1),
            (None, Ending::Last) if self.scan < self.buffer.len() => (self.buffer.len(), self.buffer.len()),
            (None, _) => {
                self.placed = self.buffer.len();
                if self.buffer.len() - self.start > LONGEST_HEADER {
                    self.scan = self.buffer.len();
                    self.zone = Zone::BetweenLine;
                }
                return Step::Starved;
            }
        };
        if next - self.start > LONGEST_HEADER {
            self.scan = next;
            self.zone = Zone::Between;
            return Step::Done;
        }
        let line = &self.buffer[self.scan..end];
        match line.first() {
            Some(b'#') => self.header_line(end, next),
            Some(b'u') if line.starts_with(b"use ") => {
                if self.trusted() {
                    let (start, end) = database_of(line);
                    self.used = Some((self.scan + start, self.scan + end));
                }
                self.body = true;
                self.scan = next;
            }
            Some(b'S') if is_setting(line) => {
                self.body = true;
                self.scan = next;
            }
            _ if is_banner(line) => self.scan = next,
            _ => self.begin_statement(),
        }
        Step::Done
    }

    fn header_line(&mut self, end: usize, next: usize) {
        let line = &self.buffer[self.scan..end];
        if line.starts_with(b"# administrator command:") {
            let mut stop = end - usize::from(line.ends_with(b"\r"));
            if next > end && self.buffer[..stop].ends_with(b";") {
                stop -= 1;
            }
            self.emit(self.scan + 2, stop, Kind::Administrator, Extent::Whole);
            self.scan = next;
            self.zone = Zone::Between;
        } else if self.body && is_header(line) {
            self.emit(self.scan, self.scan, Kind::Nothing, Extent::Whole);
            self.begin(self.scan);
        } else if self.body {
            // A statement that begins with a comment.
            self.begin_statement();
        } else if self.timed && (line.starts_with(b"# Time: ") || line.starts_with(b"# User@Host: ")) {
            // A header without a statement: what stands above it is left.
            self.begin(self.scan);
        } else {
            self.timed |= line.starts_with(b"# Query_time: ");
            if let Some(time) = line.strip_prefix(b"# Time: ")
                && self.trusted()
                && let Some(time) = number::header_time(time)
            {
                self.time = Some(time);
            }
            self.scan = next;
        }
    }

    fn begin_statement(&mut self) {
        self.zone = Zone::Statement;
        self.statement = self.scan;
        self.placed = self.scan;
    }

    fn statement(&mut self, ending: Ending) -> Step {
        let found = self.line_end.find(&self.buffer[self.scan..]).map(|found| self.scan + found);
        self.steps += (found.unwrap_or(self.buffer.len()) - self.scan) as u64;
        let Some(line_end) = found else {
            return self.statement_goes_on(ending);
        };
        match self.boundary(line_end, ending) {
            Boundary::Unknown => {
                self.scan = line_end;
                return Step::Starved;
            }
            Boundary::None => self.scan = line_end + 1,
            Boundary::At(_) if self.trusted() && !self.place_at(line_end).is_outside() => {
                let line = &self.buffer[line_end + 1..];
                if undecided(line, ending) {
                    self.scan = line_end;
                    return Step::Starved;
                }
                if self.candidate.is_none() && is_header(line) {
                    self.candidate = Some(line_end + 1);
                }
                self.scan = line_end + 1;
            }
            Boundary::At(end) => {
                self.emit(self.statement, end, Kind::Query, Extent::Whole);
                self.begin(line_end + 1);
            }
        }
        Step::Done
    }

    /// There is no more line with `#` in the buffer.
    fn statement_goes_on(&mut self, ending: Ending) -> Step {
        let length = self.buffer.len();
        self.scan = self.scan.max(length - usize::from(self.buffer.ends_with(b"\n")));
        if ending == Ending::Last {
            return self.statement_at_the_end();
        }
        if self.kept.is_none() && length - self.start > LONGEST {
            if let Some(candidate) = self.candidate.filter(|_| !self.place_at(self.scan).is_outside()) {
                self.give_up(candidate);
                return Step::Done;
            }
            self.kept = Some(self.start + LONGEST);
        }
        if let Some(kept) = self.kept {
            self.place_at(self.scan);
            let keep_from = self.scan.saturating_sub(LOOK_BACK);
            if keep_from > kept {
                let gone = keep_from - kept;
                self.buffer.drain(kept..keep_from);
                self.dropped += gone as u64;
                self.scan -= gone;
                self.placed -= gone;
            }
        }
        Step::Starved
    }

    fn statement_at_the_end(&mut self) -> Step {
        let length = self.buffer.len();
        let inside = self.trusted() && !self.place_at(length).is_outside();
        if let Some(candidate) = self.candidate.filter(|_| inside && self.kept.is_none()) {
            self.give_up(candidate);
            return Step::Done;
        }
        let text = &self.buffer[self.statement..length];
        let text = &text[..before_banners(text).unwrap_or(text.len())];
        let trimmed = text.trim_ascii_end();
        let (end, extent) = match trimmed.strip_suffix(b";") {
            Some(without) if text.len() > trimmed.len() => (without.len(), Extent::Whole),
            Some(_) => (trimmed.len(), Extent::Whole),
            None => (text.len() - usize::from(text.ends_with(b"\n")), Extent::Cut),
        };
        self.emit(self.statement, self.statement + end, Kind::Query, extent);
        self.scan = length;
        self.zone = Zone::Between;
        Step::Done
    }

    /// The literal that is open was none: the event ends where something like a header stood in it.
    fn give_up(&mut self, candidate: usize) {
        let text = self.buffer[self.statement..candidate].trim_ascii_end();
        let end = self.statement + text.strip_suffix(b";").unwrap_or(text).len();
        self.emit(self.statement, end, Kind::Query, Extent::Cut);
        self.distrusted = self.buffer.len();
        self.begin(candidate);
    }

    /// The place of this byte of the statement, or of a later one that was asked for before.
    fn place_at(&mut self, at: usize) -> Place {
        if at > self.placed {
            self.place = self.place.after(&self.buffer[self.placed..at]);
            self.steps += (at - self.placed) as u64;
            self.placed = at;
        }
        self.place
    }

    /// Whether an event may end at this line feed, after which `#` comes.
    fn boundary(&self, line_end: usize, ending: Ending) -> Boundary {
        let text = &self.buffer[self.statement.min(line_end)..line_end];
        let line = text.strip_suffix(b"\r").unwrap_or(text);
        if let Some(whole) = line.strip_suffix(b";") {
            return Boundary::At(self.statement + whole.len());
        }
        let rest = &self.buffer[line_end + 1..];
        if !is_header(rest) {
            return if undecided(rest, ending) { Boundary::Unknown } else { Boundary::None };
        }
        let look_back = &text[text.len().saturating_sub(LOOK_BACK)..];
        let skipped = text.len() - look_back.len();
        let before = before_banners(look_back);
        let text = &text[..before.map_or(text.len(), |before| skipped + before)];
        let trimmed = text.trim_ascii_end();
        if let Some(whole) = trimmed.strip_suffix(b";") {
            return Boundary::At(self.statement + whole.len());
        }
        if before.is_some() {
            return Boundary::At(self.statement + trimmed.len());
        }
        self.two_header_lines(rest, ending).map_or(Boundary::None, |known| {
            if known { Boundary::At(self.statement + trimmed.len()) } else { Boundary::Unknown }
        })
    }

    /// `# Time:` with a time, and `# User@Host:` below it: true. False where it is not known yet.
    #[expect(clippy::unused_self, reason = "it belongs to `boundary`")]
    fn two_header_lines(&self, rest: &[u8], ending: Ending) -> Option<bool> {
        const SECOND: &[u8] = b"# User@Host: ";
        let time = rest.strip_prefix(b"# Time: ")?;
        let near = &time[..time.len().min(64)];
        let Some(found) = memchr::memchr(b'\n', near) else {
            return (near.len() < 64 && ending == Ending::More).then_some(false);
        };
        number::header_time(near[..found].trim_ascii_end())?;
        let second = &time[found + 1..];
        if second.len() < SECOND.len() && SECOND.starts_with(second) && ending == Ending::More {
            return Some(false);
        }
        second.starts_with(SECOND).then_some(true)
    }
}

/// How the first line of a header begins.
const MARKS: [&[u8]; 6] =
    [b"# Time: ", b"# User@Host: ", b"# Thread_id: ", b"# Query_time: ", b"# Schema: ", b"# Client: "];
const LONGEST_MARK: usize = 14;

fn is_header(line: &[u8]) -> bool {
    line.len() > 2
        && matches!(line[2], b'T' | b'U' | b'Q' | b'S' | b'C')
        && MARKS.iter().any(|mark| line.starts_with(mark))
}

/// Whether more bytes may make this a header's first line.
fn undecided(line: &[u8], ending: Ending) -> bool {
    ending == Ending::More && line.len() < LONGEST_MARK && MARKS.iter().any(|mark| mark.starts_with(line))
}

fn is_setting(line: &[u8]) -> bool {
    line.strip_prefix(b"SET ").is_some_and(|rest| {
        [&b"timestamp"[..], b"insert_id", b"last_insert_id"].iter().any(|name| rest.starts_with(name))
    })
}

/// Where the name in `use shop;` stands. `MariaDB` quotes it: between the quotes then, for other servers and its own `Schema:` do not.
pub(crate) fn database_of(line: &[u8]) -> (usize, usize) {
    let end = memchr::memchr(b';', line).unwrap_or(line.len());
    let whole = line[..end].trim_ascii_end();
    let start = b"use ".len().min(whole.len());
    let quoted = whole[start..].strip_prefix(b"`").and_then(|rest| rest.strip_suffix(b"`"));
    match quoted {
        Some(name) if !name.is_empty() => (start + 1, whole.len() - 1),
        _ => (start, whole.len()),
    }
}

/// Whether this is one of the three lines that a server writes when it opens its log.
fn is_banner(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    if line.starts_with(b"Time") {
        let rest = line[4..].trim_ascii_start();
        return rest.strip_prefix(b"Id").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"Command"));
    }
    if line.len() > 9 && line[..9].eq_ignore_ascii_case(b"tcp port:") {
        return line[9..].trim_ascii_start().first().is_some_and(u8::is_ascii_digit);
    }
    (line.ends_with(b"started with:") || line.ends_with(b"embedded library"))
        && memchr::memmem::find(line, b", Version: ").is_some()
}

/// The length of what stands before the banners at the end of this, None if there are none there.
fn before_banners(text: &[u8]) -> Option<usize> {
    let mut length = text.len();
    let mut found = None;
    loop {
        let lines = text[..length].strip_suffix(b"\n").unwrap_or(&text[..length]);
        let Some(start) = memchr::memrchr(b'\n', lines) else {
            return found;
        };
        if !is_banner(&lines[start + 1..]) {
            return found;
        }
        length = start + 1;
        found = Some(length);
    }
}
