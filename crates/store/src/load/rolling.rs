//! Making coarser samples of finer ones, once these are complete.

use super::{AT_ONCE, ChunkRow, Samples, kind_number, put, span_number};
use crate::sql::{Connection, execute, number, rows, values};
use crate::{Change, StoreResult, Tx};
use honcho_model::Timestamp;
use honcho_model::load::{Kind, Sample, Span, coarser};

/// Up to when samples of a span were made of finer ones.
pub async fn rolled_until(connection: &impl Connection, span: Span) -> StoreResult<Option<Timestamp>> {
    let sql = "SELECT until AS n FROM load_rolled WHERE span = $1";
    Ok(number(connection, sql, values![span_number(span)]).await?.map(Timestamp))
}

/// A time of a span, in parts that each lie in one chunk of what it is made of.
pub fn parts(span: Span, from: Timestamp, until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let Some(finer) = span.finer() else { return Vec::new() };
    let (mut parts, mut from) = (Vec::new(), from);
    while from < until {
        let end = Timestamp(finer.chunk_begin(from).0 + finer.chunk() * finer.step()).min(until);
        parts.push((from, end));
        from = end;
    }
    parts
}

/// Makes samples of a span, for so many guests or hosts of one kind; of one of the [`parts`] of a time.
pub struct Roll {
    /// Which span is made.
    pub span: Span,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// For whom.
    pub kind: Kind,
    /// Only for those with higher ids.
    pub after: i64,
}

impl Change for Roll {
    /// Where to go on, if that were not all.
    type Out = Option<i64>;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Option<i64>> {
        let Some(finer) = self.span.finer() else { return Ok(None) };
        let begins = finer.chunk_begin(self.from);
        let sql = format!(
            "SELECT subject_id, begins, samples FROM load_chunks WHERE kind = $1 AND span = $2 AND place = $3 AND subject_id > $4 \
             ORDER BY subject_id LIMIT {AT_ONCE}"
        );
        let key = values![kind_number(self.kind), span_number(finer), finer.place(begins), self.after];
        let found: Vec<ChunkRow> = rows(tx, &sql, key).await?;
        let last = found.last().filter(|_| found.len() == AT_ONCE).map(|row| row.subject_id);
        let mut samples = Samples::new();
        for row in found.into_iter().filter(|row| row.begins == begins.0) {
            let whose = row.subject_id;
            let chunk = row.chunk(self.kind, finer);
            let within = chunk.samples().filter(|(at, _)| *at >= self.from && *at < self.until);
            let within: Vec<(Timestamp, Sample)> = within.collect();
            if !within.is_empty() {
                samples.insert((self.kind, whose), coarser(&within, self.span));
            }
        }
        put(tx, self.span, &samples).await?;
        Ok(last)
    }
}

/// Notes up to when samples of a span were made, for all.
pub struct Rolled {
    /// Which span.
    pub span: Span,
    /// Up to when.
    pub until: Timestamp,
}

impl Change for Rolled {
    type Out = ();

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let sql = "INSERT INTO load_rolled (span, until) VALUES ($1, $2) ON CONFLICT (span) DO UPDATE SET until = excluded.until";
        execute(tx, sql, values![span_number(self.span), self.until.0]).await?;
        Ok(())
    }
}
