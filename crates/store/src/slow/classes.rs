//! The kinds of queries of a server: made, brought up to date, and never more than so many.

use super::{placeholders, text};
use crate::sql::{insert, is_postgres, number, rows, signed, to_json, values};
use crate::{StoreResult, Tx};
use honcho_model::account::SampleValues;
use honcho_slowlog::{Class, Measures, Sample};
use sea_orm::{FromQueryResult, Value};
use std::collections::HashMap;

/// So many kinds of queries are kept apart of one server; what comes after is one more, `other`.
const MOST_CLASSES: usize = 10_000;
/// How many rows are written by one statement: SQLite binds 32,766 values.
const ROWS: usize = 1_000;
const OTHER: [u8; 16] = [0; 16];

/// A class of a mail, and what its events of a day add up to.
pub(super) struct Summed<'mail> {
    pub(super) class: &'mail Class,
    pub(super) total: Measures,
}

/// A class that is there.
#[derive(Clone, Copy)]
struct Known {
    worst_query_time: i64,
    worst_at: i64,
}

#[derive(FromQueryResult)]
struct Row {
    query_id: Vec<u8>,
    worst_query_time: i64,
    worst_at: i64,
}

#[derive(FromQueryResult)]
struct Made {
    id: i64,
    query_id: Vec<u8>,
}

/// The ids of these classes, made or brought up to date with what happened on the day that begins then. Where there is no more
/// place it is that of `other`.
pub(super) async fn bring_up_to_date(
    tx: &Tx,
    server: i64,
    begins: i64,
    sample_values: SampleValues,
    classes: &[Summed<'_>],
) -> StoreResult<Vec<i64>> {
    let known = known(tx, server, classes).await?;
    let fits = fitting(tx, server, &known, classes).await?;
    let mut ids: HashMap<Vec<u8>, i64> = HashMap::with_capacity(fits.len());
    for chunk in fits.chunks(ROWS) {
        let mut bound: Vec<Value> = Vec::with_capacity(chunk.len() * 14);
        for summed in chunk {
            let there = known.get(summed.class.id().bytes().as_slice());
            bound.extend(class_values(server, begins, summed, there, sample_values)?);
        }
        let made: Vec<Made> = rows(tx, &upsert(tx, chunk.len()), bound).await?;
        ids.extend(made.into_iter().map(|made| (made.query_id, made.id)));
    }
    if fits.len() < classes.len() && !ids.contains_key(OTHER.as_slice()) {
        let sql = "INSERT INTO slow_classes (slow_server_id, query_id, fingerprint, first_seen, last_seen, worst_query_time, \
            worst_at, worst_user, worst_host, worst_database, worst_statement, worst_explain, advice) \
            VALUES ($1, $2, '', $3, $3, 0, $3, '', '', '', '', '', '[]') \
            ON CONFLICT (slow_server_id, query_id) DO UPDATE SET fingerprint = '' RETURNING id AS n";
        ids.insert(OTHER.to_vec(), insert(tx, sql, values![server, OTHER.to_vec(), begins]).await?);
    }
    let other = ids.get(OTHER.as_slice()).copied().unwrap_or(0);
    let id_of = |summed: &Summed<'_>| ids.get(summed.class.id().bytes().as_slice()).copied().unwrap_or(other);
    Ok(classes.iter().map(id_of).collect())
}

/// Those for which there is a place.
async fn fitting<'mail, 'list>(
    tx: &Tx,
    server: i64,
    known: &HashMap<Vec<u8>, Known>,
    classes: &'list [Summed<'mail>],
) -> StoreResult<Vec<&'list Summed<'mail>>> {
    let mut fits: Vec<&Summed<'_>> = classes.iter().collect();
    let sql = "SELECT COUNT(*) AS n FROM slow_classes WHERE slow_server_id = $1";
    let there = usize::try_from(number(tx, sql, values![server]).await?.unwrap_or(0)).unwrap_or(usize::MAX);
    if there.saturating_add(classes.len()) > MOST_CLASSES {
        let mut room = MOST_CLASSES.saturating_sub(there);
        fits.retain(|summed| {
            let class = summed.class;
            if known.contains_key(class.id().bytes().as_slice()) || class.fingerprint().is_empty() {
                return true;
            }
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        });
    }
    Ok(fits)
}

/// Those of these classes that are there.
async fn known(tx: &Tx, server: i64, classes: &[Summed<'_>]) -> StoreResult<HashMap<Vec<u8>, Known>> {
    let mut known = HashMap::with_capacity(classes.len());
    for chunk in classes.chunks(ROWS) {
        let ids = chunk.iter().map(|summed| Value::from(summed.class.id().bytes().to_vec()));
        let mut bound: Vec<Value> = ids.collect();
        bound.push(server.into());
        let last = if is_postgres(tx) { format!("${}", bound.len()) } else { "?".to_owned() };
        let sql = format!(
            "SELECT query_id, worst_query_time, worst_at FROM slow_classes WHERE query_id IN {} AND slow_server_id = {last}",
            placeholders(tx, 1, chunk.len())
        );
        let found: Vec<Row> = rows(tx, &sql, bound).await?;
        known.extend(found.into_iter().map(|Row { query_id, worst_query_time, worst_at }| {
            (query_id, Known { worst_query_time, worst_at })
        }));
    }
    Ok(known)
}

/// Makes so many classes, or brings them up to date.
fn upsert(tx: &Tx, classes: usize) -> String {
    let (greater, less) = if is_postgres(tx) { ("GREATEST", "LEAST") } else { ("MAX", "MIN") };
    let is_worse = "(excluded.worst_query_time > slow_classes.worst_query_time OR (excluded.worst_query_time = \
        slow_classes.worst_query_time AND excluded.worst_at < slow_classes.worst_at))";
    let kept = ["query_time", "at", "user", "host", "database", "statement", "explain", "values"];
    let kept = kept.map(|column| format!("worst_{column}"));
    let kept: Vec<String> = kept
        .iter()
        .map(String::as_str)
        .chain(["advice"])
        .map(|column| {
            format!("{column} = CASE WHEN {is_worse} THEN excluded.{column} ELSE slow_classes.{column} END")
        })
        .collect();
    format!(
        "INSERT INTO slow_classes (slow_server_id, query_id, fingerprint, first_seen, last_seen, worst_query_time, \
         worst_at, worst_user, worst_host, worst_database, worst_statement, worst_explain, worst_values, advice) VALUES {} \
         ON CONFLICT (slow_server_id, query_id) DO UPDATE SET first_seen = {less}(slow_classes.first_seen, excluded.first_seen), \
         last_seen = {greater}(slow_classes.last_seen, excluded.last_seen), {} RETURNING id, query_id",
        placeholders(tx, classes, 14),
        kept.join(", ")
    )
}

fn class_values(
    server: i64,
    begins: i64,
    summed: &Summed<'_>,
    there: Option<&Known>,
    sample_values: SampleValues,
) -> StoreResult<Vec<Value>> {
    let Summed { class, total } = summed;
    let query_time = signed(total.query_time.max);
    let at = class.worst().and_then(|worst| worst.time).unwrap_or(begins);
    // What is not worse than what is there is not kept: its texts are not made, and its statement is not parsed.
    let is_worse = there.is_none_or(|there| (query_time, -at) > (there.worst_query_time, -there.worst_at));
    let worst = class.worst().filter(|_| is_worse);
    let part = |part: fn(&Sample) -> &[u8]| worst.map_or_else(String::new, |worst| text(part(worst)));
    let with_values = match sample_values {
        SampleValues::Kept => worst.and_then(Sample::with_values).map(text),
        SampleValues::Redacted => None,
    };
    let advice = if is_worse { class.advice_on(total) } else { Vec::new() };
    Ok(values![
        server,
        class.id().bytes().to_vec(),
        text(class.fingerprint()),
        total.first_seen.unwrap_or(begins),
        total.last_seen.unwrap_or(begins),
        query_time,
        at,
        part(|worst| &worst.user),
        part(|worst| &worst.host),
        part(|worst| &worst.database),
        part(|worst| &worst.statement),
        part(|worst| &worst.explain),
        with_values,
        to_json(&advice)?
    ])
}
