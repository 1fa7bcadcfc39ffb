//! One event of a slow log, borrowed from the bytes it came in.

use crate::frame::{Extent, Frame, Identity, Kind};
use crate::number;

/// What happened while a query ran, one bit each (from `MariaDB`'s and Percona's `query_plan`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan(u8);

impl Plan {
    /// It read a whole table.
    pub const FULL_SCAN: Self = Self(1);
    /// It joined without an index.
    pub const FULL_JOIN: Self = Self(2);
    /// It made a temporary table.
    pub const TEMPORARY_TABLE: Self = Self(4);
    /// It made one on disk.
    pub const TEMPORARY_TABLE_ON_DISK: Self = Self(8);
    /// It sorted.
    pub const SORT: Self = Self(16);
    /// It sorted on disk.
    pub const SORT_ON_DISK: Self = Self(32);
    /// The query cache answered.
    pub const CACHED: Self = Self(64);

    /// Whether this is among what happened.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn note(&mut self, other: Self, value: &[u8]) {
        if value == b"Yes" {
            self.0 |= other.0;
        }
    }
}

/// An event. Texts are bytes: a log is in whatever its clients wrote.
#[derive(Clone, Debug)]
pub struct Event<'log> {
    /// When it ended, in microseconds since 1970: `SET timestamp`, or `# Time:` read as UTC.
    pub time: Option<i64>,
    /// Who asked. Empty if unknown, or [`Identity::Uncertain`].
    pub user: &'log [u8],
    /// From where, by name or else by address.
    pub host: &'log [u8],
    /// The address alone.
    pub address: &'log [u8],
    /// The connection.
    pub connection: u64,
    /// The default database: of its header, its `use`, or the `use` before.
    pub database: &'log [u8],
    /// In microseconds, as `lock_time` is.
    pub query_time: u64,
    /// How long it waited for locks.
    pub lock_time: u64,
    /// Rows given to the client.
    pub rows_sent: u64,
    /// Rows read.
    pub rows_examined: u64,
    /// Rows changed.
    pub rows_affected: u64,
    /// Bytes given to the client.
    pub bytes_sent: u64,
    /// Temporary tables, if the server counts them.
    pub temporary_tables: u64,
    /// Those on disk.
    pub temporary_tables_on_disk: u64,
    /// What it did.
    pub plan: Plan,
    /// `MariaDB`'s `# explain:` lines, whole; empty if there are none.
    pub explain: &'log [u8],
    /// The statement, without the `;` at its end; an administrator command as `administrator command: Quit`.
    pub statement: &'log [u8],
    /// What it was about.
    pub kind: Kind,
    /// Whether who and where can be believed.
    pub identity: Identity,
    /// Whether the statement is whole.
    pub extent: Extent,
}

impl<'log> Event<'log> {
    /// The event of a frame. None for what cannot be one: without a `Query_time`, or with one that cannot be true.
    /// Nothing of the event before is taken, save its time and its `use` (`database`, if it stands before the buffer).
    pub(crate) fn read(buffer: &'log [u8], frame: &Frame, database: &'log [u8]) -> Option<Self> {
        let statement = &buffer[frame.statement..frame.end];
        if frame.kind == Kind::Query && statement.trim_ascii().is_empty() {
            return None;
        }
        let mut reader = Reader::default();
        reader.lines(&buffer[frame.header..frame.statement]);
        let used = frame.used.map_or(database, |(start, end)| &buffer[start..end]);
        let mut event = Self {
            time: reader.timestamp.or(reader.header_time),
            user: reader.user,
            host: if reader.host.is_empty() { reader.address } else { reader.host },
            address: reader.address,
            connection: reader.connection,
            database: if reader.uses { used } else { reader.schema.unwrap_or(used) },
            query_time: reader.query_time?,
            lock_time: reader.lock_time,
            rows_sent: reader.rows_sent,
            rows_examined: reader.rows_examined,
            rows_affected: reader.rows_affected,
            bytes_sent: reader.bytes_sent,
            temporary_tables: reader.temporary_tables,
            temporary_tables_on_disk: reader.temporary_tables_on_disk,
            plan: reader.plan,
            explain: reader
                .explain
                .map_or(&[][..], |(start, end)| &buffer[frame.header + start..frame.header + end]),
            statement,
            kind: frame.kind,
            identity: frame.identity,
            extent: frame.extent,
        };
        if frame.identity == Identity::Uncertain {
            (event.user, event.host, event.address, event.database) = (b"", b"", b"", b"");
            event.connection = 0;
            return Some(event);
        }
        event.time = event.time.or(frame.time);
        if frame.kind == Kind::Administrator {
            // What servers print there is of the statement before.
            (event.rows_sent, event.rows_examined, event.rows_affected) = (0, 0, 0);
        }
        Some(event)
    }
}

#[derive(Default)]
struct Reader<'log> {
    header_time: Option<i64>,
    timestamp: Option<i64>,
    named: bool,
    user: &'log [u8],
    host: &'log [u8],
    address: &'log [u8],
    connection: u64,
    schema: Option<&'log [u8]>,
    uses: bool,
    query_time: Option<u64>,
    lock_time: u64,
    rows_sent: u64,
    rows_examined: u64,
    rows_affected: u64,
    bytes_sent: u64,
    temporary_tables: u64,
    temporary_tables_on_disk: u64,
    plan: Plan,
    explain: Option<(usize, usize)>,
}

impl<'log> Reader<'log> {
    fn lines(&mut self, header: &'log [u8]) {
        let mut start = 0;
        while let Some(rest) = header.get(start..).filter(|rest| !rest.is_empty()) {
            // Most lines are attributes, whose end is found on the way.
            let is = |name: &[u8]| rest.starts_with(name);
            if rest[0] == b'#' && !is(b"# User@Host: ") && !is(b"# Time: ") && !is(b"# explain: ") {
                start += 1 + self.attributes(&rest[1..]) + 1;
                continue;
            }
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..length];
            self.line(line.strip_suffix(b"\r").unwrap_or(line), start, start + length);
            start += length + 1;
        }
    }

    fn line(&mut self, line: &'log [u8], start: usize, end: usize) {
        match line.first() {
            Some(b'#') if line.starts_with(b"# User@Host: ") => self.identity(&line[13..]),
            Some(b'#') if line.starts_with(b"# Time: ") => self.time(&line[8..]),
            Some(b'#') if line.starts_with(b"# explain: ") => {
                self.explain = Some((self.explain.map_or(start, |(start, _)| start), end));
            }
            Some(b'u') => self.uses = true,
            Some(b'S') if self.timestamp.is_none() => {
                const NAME: &[u8] = b"timestamp=";
                let first = line.starts_with(b"SET timestamp=").then_some(b"SET ".len());
                if let Some(found) = first.or_else(|| memchr::memmem::find(line, NAME)) {
                    self.timestamp = number::timestamp(&line[found + NAME.len()..]);
                }
            }
            _ => {}
        }
    }

    fn time(&mut self, text: &'log [u8]) {
        if self.header_time.is_none() {
            self.header_time = number::header_time(text.trim_ascii_start());
        }
        if let Some(found) = memchr::memmem::find(text, b"# User@Host: ") {
            self.identity(&text[found + 13..]);
        }
    }

    /// `app[app] @ web1 [10.0.0.3]  Id: 5`. The first such line counts, however it looks: a second one is no server's.
    fn identity(&mut self, text: &'log [u8]) {
        if std::mem::replace(&mut self.named, true) {
            return;
        }
        let Some(at) =
            memchr::memchr_iter(b'@', text).find(|at| *at > 0 && text[at - 1..].starts_with(b" @ "))
        else {
            return;
        };
        let at = at - 1;
        let (who, whence) = (&text[..at], &text[at + 3..]);
        let Some(open) = memchr::memchr(b'[', whence) else {
            return;
        };
        let Some(close) = memchr::memrchr(b']', whence).filter(|close| *close > open) else {
            return;
        };
        let name = match who {
            [b'[', ..] => who,
            _ => &who[..memchr::memchr(b'[', who).unwrap_or(who.len())],
        };
        self.user = name.trim_ascii();
        self.host = whence[..open].trim_ascii();
        self.address = &whence[open + 1..close];
        if let Some(id) = whence[close + 1..].trim_ascii().strip_prefix(b"Id:") {
            self.connection = number::count(id.trim_ascii()).unwrap_or(0);
        }
    }

    /// `Query_time: 2.0  Lock_time: 0.1 …`: a word that ends in a colon, and the next one unless it is another such. Gives the length of
    /// the line.
    fn attributes(&mut self, text: &'log [u8]) -> usize {
        let mut name: Option<&[u8]> = None;
        let mut at = 0;
        while let Some(byte) = text.get(at).filter(|byte| **byte != b'\n') {
            if *byte <= b' ' {
                at += 1;
                continue;
            }
            let start = at;
            at += word(&text[start..]);
            match (&text[start..at], name.take()) {
                ([next @ .., b':'], before) => {
                    if let Some(before) = before {
                        self.attribute(before, b"");
                    }
                    name = Some(next);
                }
                (value, Some(before)) => self.attribute(before, value),
                (_, None) => {}
            }
        }
        if let Some(last) = name {
            self.attribute(last, b"");
        }
        at
    }

    fn attribute(&mut self, name: &[u8], value: &'log [u8]) {
        match name {
            b"Query_time" => self.query_time = number::microseconds(value),
            b"Lock_time" => self.lock_time = number::microseconds(value).unwrap_or(0),
            b"Rows_sent" => self.rows_sent = number::count(value).unwrap_or(0),
            b"Rows_examined" => self.rows_examined = number::count(value).unwrap_or(0),
            b"Rows_affected" => self.rows_affected = number::count(value).unwrap_or(0),
            b"Bytes_sent" => self.bytes_sent = number::count(value).unwrap_or(0),
            b"Tmp_tables" | b"Created_tmp_tables" => {
                self.temporary_tables = number::count(value).unwrap_or(0);
            }
            b"Tmp_disk_tables" | b"Created_tmp_disk_tables" => {
                self.temporary_tables_on_disk = number::count(value).unwrap_or(0);
            }
            b"Thread_id" => self.connection = number::count(value).unwrap_or(0),
            b"Schema" => self.schema = Some(value),
            b"Full_scan" => self.plan.note(Plan::FULL_SCAN, value),
            b"Full_join" => self.plan.note(Plan::FULL_JOIN, value),
            b"Tmp_table" => self.plan.note(Plan::TEMPORARY_TABLE, value),
            b"Tmp_table_on_disk" => self.plan.note(Plan::TEMPORARY_TABLE_ON_DISK, value),
            b"Filesort" => self.plan.note(Plan::SORT, value),
            b"Filesort_on_disk" => self.plan.note(Plan::SORT_ON_DISK, value),
            b"QC_Hit" | b"QC_hit" => self.plan.note(Plan::CACHED, value),
            _ => {}
        }
    }
}

/// How long the word is that a text begins with: up to a blank or a control character. Eight bytes at a time.
fn word(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let mut length = 0;
    while let Some(eight) = text.get(length..).and_then(|rest| rest.first_chunk::<8>()) {
        let eight = u64::from_le_bytes(*eight);
        // The high bit of each byte below 33; what a borrow adds stands behind the first of them.
        let ends = eight.wrapping_sub(ONES * 33) & !eight & HIGHS;
        if ends != 0 {
            return length + ends.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = &text[length..];
    length + rest.iter().position(|byte| *byte <= b' ').unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_ends_where_its_bytes_do(text in prop::collection::vec(prop_oneof![any::<u8>(), 30_u8..36], 0..40)) {
            prop_assert_eq!(word(&text), text.iter().position(|byte| *byte <= b' ').unwrap_or(text.len()));
        }
    }
}
