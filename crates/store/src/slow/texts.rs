//! What is known of a query beside numbers: its fingerprint, its slowest sample, advice.

use super::ranking::places;
use crate::StoreResult;
use crate::sql::{Connection, rows, time};
use honcho_api::SlowAdvice;
use honcho_slowlog::{Measures, QueryId};
use jiff::Timestamp;
use sea_orm::{FromQueryResult, Value};
use std::collections::HashMap;

const ROWS: usize = 1_000;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    query_id: Vec<u8>,
    fingerprint: String,
    first_seen: i64,
    last_seen: i64,
    worst_at: i64,
    worst_user: String,
    worst_host: String,
    worst_database: String,
    worst_statement: String,
    worst_values: Option<String>,
    worst_explain: String,
    advice: String,
}

/// Of one query.
pub(super) struct Text {
    pub(super) query_id: String,
    pub(super) fingerprint: String,
    pub(super) first_seen_at: Timestamp,
    pub(super) last_seen_at: Timestamp,
    /// Without its values.
    pub(super) sample: String,
    /// The same, with its values as the account keeps them.
    sample_values: Option<String>,
    pub(super) sample_at: Timestamp,
    pub(super) sample_user: String,
    pub(super) sample_host: String,
    pub(super) sample_database: String,
    pub(super) explain: String,
    advice: String,
}

/// Of some queries, by their ids.
pub(super) struct Texts(HashMap<i64, Text>);

impl Texts {
    pub(super) async fn read(connection: &impl Connection, ids: &[i64]) -> StoreResult<Texts> {
        let mut texts = HashMap::new();
        for chunk in ids.chunks(ROWS) {
            let sql = format!(
                "SELECT c.id, c.query_id, c.fingerprint, c.first_seen, c.last_seen, c.worst_at, c.worst_user, c.worst_host, \
                 c.worst_database, c.worst_statement, c.worst_values, c.worst_explain, c.advice FROM slow_classes c WHERE c.id IN ({})",
                places(1, chunk.len())
            );
            let bound = chunk.iter().map(|id| Value::from(*id)).collect();
            for row in rows::<Row>(connection, &sql, bound).await? {
                texts.insert(row.id, text(row));
            }
        }
        Ok(Texts(texts))
    }

    pub(super) fn take(&mut self, id: i64) -> Option<Text> {
        self.0.remove(&id)
    }
}

impl Text {
    /// The slowest statement: with its values, if the account keeps them.
    pub(super) fn sample(&self) -> &str {
        self.sample_values.as_deref().unwrap_or(&self.sample)
    }

    /// What could be better about it, where it adds up to these.
    pub(super) fn advice(&self, measures: &Measures) -> StoreResult<Vec<SlowAdvice>> {
        super::advice::of(&self.advice, &self.sample, measures)
    }
}

fn text(row: Row) -> Text {
    let id = <[u8; 16]>::try_from(row.query_id.as_slice()).unwrap_or_default();
    Text {
        query_id: QueryId::from_bytes(id).to_string(),
        fingerprint: row.fingerprint,
        first_seen_at: time(row.first_seen),
        last_seen_at: time(row.last_seen),
        sample: row.worst_statement,
        sample_values: row.worst_values,
        sample_at: time(row.worst_at),
        sample_user: row.worst_user,
        sample_host: row.worst_host,
        sample_database: row.worst_database,
        explain: row.worst_explain,
        advice: row.advice,
    }
}
