//! Which queries one connection asks one after the other, many times in a second, each time with other values: what a program does
//! that asks for each row of a list by itself.
//!
//! Memory is fixed, however many connections there are: two tables whose places are taken by whoever came last. So a burst may be
//! missed, and none is made up. A second that lies in two batches or mails is two: less is seen than was, and never more.

use foldhash::fast::FixedState;
use std::hash::BuildHasher as _;

/// So many within a second are a burst.
pub const BURST: u64 = 20;
/// So many statements of a connection further on its next one still belongs to a burst: two others may stand between.
const NEAR: u32 = 3;
/// Places of the tables, as powers of two.
const CONNECTIONS: usize = 512;
const RUNS: usize = 2048;

/// How many statements a connection has sent in a second.
#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    id: u64,
    second: i64,
    sent: u32,
}

/// Statements of one class and one connection within a second, each near the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    connection: u64,
    second: i64,
    class: u32,
    /// Which statement of the connection its last one was.
    last: u32,
    count: u32,
    /// A hash of the last statement; 0 of the first, which nobody has to know.
    statement: u64,
}

/// What is going on. It takes no memory before it is told of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bursts {
    connections: Vec<Connection>,
    runs: Vec<Run>,
}

impl Bursts {
    /// One more statement of a class. Gives how long its run is, if it has grown longer by it.
    pub(crate) fn add(&mut self, class: u32, connection: u64, time: i64, statement: &[u8]) -> Option<u64> {
        let second = time.div_euclid(1_000_000);
        if self.runs.is_empty() {
            self.connections = vec![Connection::default(); CONNECTIONS];
            self.runs = vec![Run::default(); RUNS];
        }
        // Servers number their connections: a multiplication spreads the numbers (Knuth's multiplicative hashing).
        let spread =
            |number: u64| usize::try_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48).unwrap_or(0);
        let known = &mut self.connections[spread(connection) % CONNECTIONS];
        if (known.id, known.second) != (connection, second) {
            *known = Connection { id: connection, second, sent: 0 };
        }
        known.sent = known.sent.wrapping_add(1);
        let sent = known.sent;
        let run = &mut self.runs[spread(connection ^ (u64::from(class) << 32)) % RUNS];
        let same = (run.connection, run.second, run.class) == (connection, second, class);
        if !same || sent.wrapping_sub(run.last) > NEAR {
            *run = Run { connection, second, class, last: sent, count: 1, statement: 0 };
            return None;
        }
        run.last = sent;
        let hash = FixedState::default().hash_one(statement) | 1;
        // The same statement again is somebody who looks whether something has changed.
        if hash == run.statement {
            return None;
        }
        run.statement = hash;
        run.count += 1;
        Some(u64::from(run.count))
    }
}

#[cfg(test)]
mod tests {
    use super::Bursts;

    /// The longest run of `SELECT … WHERE id = N` (class 1) among these: class, connection, microsecond, number.
    fn longest(sent: impl Iterator<Item = (u32, u64, i64, u64)>) -> Option<u64> {
        let mut bursts = Bursts::default();
        sent.filter_map(|(class, connection, time, number)| {
            let run = bursts.add(class, connection, time, format!("{class} {number}").as_bytes());
            run.filter(|_| class == 1)
        })
        .max()
    }

    #[test]
    fn one_after_the_other() {
        assert_eq!(longest((0..50).map(|at| (1, 7, 100, at))), Some(50));
        // With two others in between, and of two connections at once.
        let with_others =
            (0..150).map(|at| (if at % 3 == 0 { 1 } else { 2 + u32::try_from(at % 3).unwrap() }, 7, 100, at));
        assert_eq!(longest(with_others), Some(50));
        assert_eq!(longest((0..100).map(|at| (1, 7 + at % 2, 100, at))), Some(50));
    }

    #[test]
    fn what_is_no_run() {
        let lonely = |run: Option<u64>| assert!(run.is_none_or(|run| run <= 2), "{run:?}");
        // Many connections, each once; one of them, over many seconds; the same values again and again; others in between.
        lonely(longest((0..1000).map(|at| (1, at, 100, at))));
        lonely(longest((0..1000).map(|at| (1, 7, i64::try_from(at).unwrap() * 1_000_000, at))));
        lonely(longest((0..1000).map(|_| (1, 7, 100, 5))));
        lonely(longest((0..1000).map(|at| (u32::try_from(1 + at % 5).unwrap(), 7, 100, at))));
    }
}
