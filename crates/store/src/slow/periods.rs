//! What the events of a class add up to in an hour and in a day. Rows are merged: hours into hours, days into days.

use super::placeholders;
use super::ranges::Span;
use crate::sql::{Connection, execute, rows, signed, values};
use crate::{StoreError, StoreResult, Tx};
use honcho_slowlog::Measures;
use sea_orm::{FromQueryResult, Value};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// No period counts for more than this, in microseconds (18 years): so many as are added up in a ranking do not overflow, whatever a
/// log says that its queries took.
pub(super) const MOST_TIME: i64 = 1 << 49;

/// The spans of `slow_periods`.
pub(super) const HOUR: i64 = 0;
pub(super) const DAY: i64 = 1;

/// How measures are written; another number would be another way.
const VERSION: u8 = 2;
/// The way before: without bursts, of which nothing is known then.
const WITHOUT_BURSTS: u8 = 1;
/// How many rows go through one statement.
const ROWS: usize = 1_000;

/// What is to be added to a period.
pub(super) struct Addition {
    pub(super) class: i64,
    pub(super) span: i64,
    pub(super) begins: i64,
    pub(super) measures: Measures,
}

fn damaged(why: &(impl ToString + ?Sized)) -> StoreError {
    StoreError::Damaged { what: "measures", why: why.to_string() }
}

fn to_bytes(measures: &Measures) -> StoreResult<Vec<u8>> {
    postcard::to_extend(measures, vec![VERSION]).map_err(|error| damaged(&error))
}

pub(super) fn from_bytes(bytes: &[u8]) -> StoreResult<Measures> {
    match bytes {
        [VERSION, rest @ ..] => postcard::from_bytes(rest).map_err(|error| damaged(&error)),
        // Numbers that were added at the end, each of which is a zero.
        [WITHOUT_BURSTS, rest @ ..] => {
            postcard::from_bytes(&[rest, &[0; 3]].concat()).map_err(|error| damaged(&error))
        }
        _ => Err(damaged("they are of another version")),
    }
}

#[derive(FromQueryResult)]
struct Row {
    slow_class_id: i64,
    span: i64,
    begins: i64,
    measures: Vec<u8>,
}

/// Adds these to what is there.
pub(super) async fn add(tx: &Tx, additions: Vec<Addition>) -> StoreResult<()> {
    let mut sums: BTreeMap<(i64, i64, i64), Measures> = BTreeMap::new();
    for Addition { class, span, begins, measures } in additions {
        match sums.entry((class, span, begins)) {
            Entry::Vacant(free) => {
                free.insert(measures);
            }
            Entry::Occupied(mut taken) => taken.get_mut().merge(&measures),
        }
    }
    let keys: Vec<_> = sums.keys().copied().collect();
    for chunk in keys.chunks(ROWS) {
        let bound: Vec<Value> = chunk.iter().flat_map(|key| values![key.0, key.1, key.2]).collect();
        let sql = format!(
            "SELECT p.slow_class_id, p.span, p.begins, p.measures FROM slow_periods p \
             WHERE (p.slow_class_id, p.span, p.begins) IN (VALUES {})",
            placeholders(tx, chunk.len(), 3)
        );
        let found: Vec<Row> = rows(tx, &sql, bound).await?;
        for row in found {
            let there = from_bytes(&row.measures)?;
            sums.entry((row.slow_class_id, row.span, row.begins)).or_default().merge(&there);
        }
    }
    let sums: Vec<_> = sums.into_iter().collect();
    for chunk in sums.chunks(ROWS) {
        let mut bound: Vec<Value> = Vec::with_capacity(chunk.len() * 6);
        for ((class, span, begins), measures) in chunk {
            bound.extend(values![
                *class,
                *span,
                *begins,
                signed(measures.count),
                signed(measures.query_time.sum).min(MOST_TIME),
                to_bytes(measures)?
            ]);
        }
        let sql = format!(
            "INSERT INTO slow_periods (slow_class_id, span, begins, events, query_time, measures) VALUES {} \
             ON CONFLICT (slow_class_id, span, begins) DO UPDATE SET events = excluded.events, \
             query_time = excluded.query_time, measures = excluded.measures",
            placeholders(tx, chunk.len(), 6)
        );
        execute(tx, &sql, bound).await?;
    }
    Ok(())
}

/// So many rows are in memory at a time, with their sketches.
const ROWS_READ: i64 = 4_000;
/// Nobody keeps many more days than these.
const MOST_PERIODS: i64 = 400;

/// What each of these classes adds up to in a range, which is read in pieces.
pub(super) async fn sums(
    connection: &impl Connection,
    classes: &[i64],
    pieces: &[(Span, (i64, i64))],
) -> StoreResult<BTreeMap<i64, Measures>> {
    let mut sums: BTreeMap<i64, Measures> = BTreeMap::new();
    for (span, range) in pieces {
        each(connection, classes, *span, *range, |class, _, measures| {
            sums.entry(class).or_default().merge(&measures);
        })
        .await?;
    }
    Ok(sums)
}

/// Gives what each of these classes adds up to in each period of a range: class, when the period begins, and that. However many there
/// are, few of them are in memory at a time.
pub(super) async fn each(
    connection: &impl Connection,
    classes: &[i64],
    span: Span,
    range: (i64, i64),
    mut give: impl FnMut(i64, i64, Measures),
) -> StoreResult<()> {
    let periods = (range.1.saturating_sub(range.0) / span.length() + 1).clamp(1, MOST_PERIODS);
    let at_a_time = usize::try_from(ROWS_READ / periods).unwrap_or(1).clamp(1, ROWS);
    for chunk in classes.chunks(at_a_time) {
        let mut bound = values![range.0, range.1];
        bound.extend(chunk.iter().map(|class| Value::from(*class)));
        let places: Vec<String> = (3..chunk.len() + 3).map(|place| format!("${place}")).collect();
        let sql = format!(
            "SELECT slow_class_id, span, begins, measures FROM slow_periods WHERE span = {} AND begins >= $1 AND begins < $2 \
             AND slow_class_id IN ({})",
            span.number(),
            places.join(", ")
        );
        for row in rows::<Row>(connection, &sql, bound).await? {
            give(row.slow_class_id, row.begins, from_bytes(&row.measures)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_come_back_as_they_were() {
        let mut measures = Measures { count: 3, first_seen: Some(-5), ..Measures::default() };
        for value in [1, 70, u64::MAX >> 1] {
            measures.query_times.add(value);
        }
        assert_eq!(from_bytes(&to_bytes(&measures).unwrap()).unwrap(), measures);
        for wrong in [&[][..], &[1, 0], &[2, 0], &[3, 0]] {
            assert!(from_bytes(wrong).is_err(), "{wrong:?}");
        }
        // As they were written before there were bursts.
        let mut written = to_bytes(&measures).unwrap();
        written.truncate(written.len() - 3);
        written[0] = 1;
        assert_eq!(from_bytes(&written).unwrap(), measures);
        let measures = Measures { bursts: 2, events_in_bursts: 45, largest_burst: 25, ..measures };
        assert_eq!(from_bytes(&to_bytes(&measures).unwrap()).unwrap(), measures);
    }
}
