//! Slow logs out of the post: the servers that send them, and what their events add up to.
//!
//! A mail is counted once: its identity (server, spool, number) and its digest are written in the transaction that adds its
//! events up. What came is known for ever in little room: all numbers up to the highest, but for the gaps.

use crate::sql::{Connection, is_postgres};

mod advice;
mod classes;
mod importing;
mod marks;
mod one;
mod overview;
mod periods;
mod ranges;
mod ranking;
mod retention;
mod samples;
mod servers;
mod settings;
mod states;
mod telling;
mod texts;

pub use importing::{Came, Day, Mail, MailImport};
pub use marks::{MarkOf, create_mark, delete_mark, delete_oldest_mark, find_mark, marks, marks_count};
pub use one::{Known, find_query, query};
pub use overview::Overview;
pub use ranges::{Against, Range};
pub use ranking::{Compared, Drawn, Looked, MOST_QUERIES, Ranking, Summary};
pub use retention::{Forget, Kept, Next, is_anything_old, piece};
pub use samples::keep_sample_values;
pub use servers::{
    Late, Silent, TellGaps, find, forget_old_mails, list, take_fallen_late, take_fallen_silent,
};
pub use settings::{TOP_QUERIES, set_settings, settings};
pub use states::{Said, judge, notes_count};
pub use telling::{
    Occasion, ToLookThrough, WeeklyReader, note_looked_through, servers_of, take_occasion, take_week,
    to_look_through, weekly_readers,
};

/// A text of a log as a column holds it: PostgreSQL's hold no NUL, and none holds what is no UTF-8.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

/// The name of a query where there is room for a line alone.
pub fn short_name(fingerprint: &str) -> String {
    const LONGEST: usize = 120;
    let mut name: String =
        fingerprint.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if fingerprint.chars().nth(LONGEST).is_some() {
        name.push('\u{2026}');
    }
    if name.is_empty() { "(others)".to_owned() } else { name }
}

/// `($1, $2), ($3, $4)`: placeholders for so many rows of so many columns, where the statement has no others. To SQLite `$1` is
/// a name, which it looks for among all others, each time one is bound: of thousands it is told their order alone.
fn placeholders(connection: &impl Connection, rows: usize, columns: usize) -> String {
    let numbered = is_postgres(connection);
    let place = |number: usize| if numbered { format!("${number}") } else { "?".to_owned() };
    let row = |row: usize| {
        let places: Vec<String> = (1..=columns).map(|column| place(row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}
