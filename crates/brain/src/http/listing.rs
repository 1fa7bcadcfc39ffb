//! Lists as answers: a bare array. One that the caller limited is one statement; one that is unpaged is complete, read
//! in chunks by id and streamed, so that it takes as little memory as a page does and a slow reader pins nothing in
//! the database.
//!
//! ```text
//!   first chunk --- refused? --> an error in the usual shape: nothing has been sent yet
//!       |
//!   `[` rows `,` rows … `]`     each chunk a statement of its own, after the last id of the one before
//!       |
//!       '--- database fails? --> the connection is cut without its last chunk, which every HTTP client notices
//! ```

use super::error::ApiResult;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use honcho_api::{
    Account, Address, Cluster, Event, Host, Image, ImageKey, ImageUpload, Network, Operation, Person, Pool,
    Rack, San, Session, Site, SlowMark, SlowServer, Token, Webhook, WebhookDelivery,
};
use honcho_store::{Filters, StoreError, StoreResult, guests};
use serde::Serialize;

/// How many rows are read at a time.
const CHUNK: i64 = 500;

/// About as long is a row in JSON.
const ROW_BYTES: usize = 800;

/// What stands in a list.
pub(crate) trait Listed: Serialize + Send + 'static {
    /// Makes filters mean what comes after this one.
    fn go_behind(&self, filters: &mut Filters);
}

macro_rules! by_id {
    ($($row:ty),* $(,)?) => {$(
        impl Listed for $row {
            fn go_behind(&self, filters: &mut Filters) {
                filters.after = Some(self.id);
            }
        }
    )*};
}

by_id!(
    Account,
    Address,
    Cluster,
    Host,
    Image,
    ImageKey,
    ImageUpload,
    Network,
    Operation,
    Person,
    Pool,
    Rack,
    San,
    Session,
    Site,
    SlowMark,
    SlowServer,
    Token,
    Webhook,
    WebhookDelivery
);

/// Events are told in the order in which they were committed, which their ids are not.
impl Listed for Event {
    fn go_behind(&self, filters: &mut Filters) {
        (filters.cursor, filters.after) = (self.cursor.parse().ok(), None);
    }
}

/// What has been sent and what comes next.
struct Progress {
    filters: Filters,
    /// How many rows may still be sent.
    left: Option<i64>,
}

impl Progress {
    /// The filters of the next chunk.
    fn next(&self) -> Filters {
        let limit = self.left.map_or(CHUNK, |left| left.min(CHUNK));
        Filters { limit: Some(limit), ..self.filters.clone() }
    }

    /// Writes rows as an array and goes on behind them; whether there may be more.
    fn pass(&mut self, rows: impl Chunk, asked: &Filters) -> StoreResult<(Bytes, bool)> {
        let (bytes, count) = rows.written(&mut self.filters)?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.left = self.left.map(|left| left - count);
        self.filters.offset = None;
        let more = asked.limit.is_some_and(|limit| count >= limit) && self.left != Some(0);
        Ok((bytes, more))
    }
}

/// Rows of a list that were read together.
pub(crate) trait Chunk {
    /// Writes them as a JSON array, makes `filters` mean what comes after the last, and counts them.
    fn written(self, filters: &mut Filters) -> StoreResult<(Bytes, usize)>;
}

impl<T: Listed> Chunk for Vec<T> {
    fn written(self, filters: &mut Filters) -> StoreResult<(Bytes, usize)> {
        let mut bytes = Vec::with_capacity(self.len() * ROW_BYTES);
        serde_json::to_writer(&mut bytes, &self)
            .map_err(|error| StoreError::Damaged { what: "row", why: error.to_string() })?;
        if let Some(last) = self.last() {
            last.go_behind(filters);
        }
        Ok((bytes.into(), self.len()))
    }
}

impl Chunk for guests::Page {
    fn written(self, filters: &mut Filters) -> StoreResult<(Bytes, usize)> {
        if self.last.is_some() {
            filters.after = self.last;
        }
        Ok((self.json, self.count))
    }
}

/// Answers with what `read` gives for `filters`.
pub(crate) async fn listed<C, F, Reading>(filters: Filters, read: F) -> ApiResult<Response>
where
    C: Chunk,
    F: Fn(Filters) -> Reading + Send + 'static,
    Reading: Future<Output = StoreResult<C>> + Send,
{
    let mut progress = Progress { left: filters.limit, filters };
    let asked = progress.next();
    let (first, more) = progress.pass(read(asked.clone()).await?, &asked)?;
    let body = if more {
        let open = first.slice(..first.len() - 1);
        let start = futures::stream::once(async move { Ok::<_, StoreError>(open) });
        let rest = futures::stream::unfold(Some((progress, read)), |state| async move {
            let (mut progress, read) = state?;
            let asked = progress.next();
            match read(asked.clone()).await.and_then(|rows| progress.pass(rows, &asked)) {
                Ok((array, more)) => Some((Ok(continued(&array, more)), more.then_some((progress, read)))),
                Err(error) => {
                    tracing::error!(%error, "a list broke off: its reader's connection is cut");
                    Some((Err(error), None))
                }
            }
        });
        Body::from_stream(futures::StreamExt::chain(start, rest))
    } else {
        Body::from(first)
    };
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], body).into_response())
}

/// What another array adds to one that is open still; `more` leaves it open.
fn continued(array: &[u8], more: bool) -> Bytes {
    let rows = &array[1..array.len() - 1];
    let comma: &[u8] = if rows.is_empty() { b"" } else { b"," };
    let end: &[u8] = if more { b"" } else { b"]" };
    [comma, rows, end].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Serialize)]
    struct Thing {
        id: i64,
    }

    impl Listed for Thing {
        fn go_behind(&self, filters: &mut Filters) {
            filters.after = Some(self.id);
        }
    }

    /// What a table of `count` rows, with ids 2, 4, 6 …, gives.
    fn table(count: i64, filters: &Filters) -> Vec<Thing> {
        let mut ids: Vec<i64> = (1..=count).map(|n| 2 * n).collect();
        if filters.descending {
            ids.reverse();
            ids.retain(|id| filters.after.is_none_or(|after| *id < after));
        } else {
            ids.retain(|id| filters.after.is_none_or(|after| *id > after));
        }
        let offset = usize::try_from(filters.offset.unwrap_or(0)).unwrap();
        let limit = filters.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
        ids.into_iter().skip(offset).take(limit).map(|id| Thing { id }).collect()
    }

    async fn answer(count: i64, filters: Filters) -> String {
        let response =
            listed(filters, move |filters| async move { Ok(table(count, &filters)) }).await.unwrap();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    proptest! {
        /// Whatever is asked for, the chunks put together are what one statement would have given.
        #[test]
        fn chunks_are_what_one_statement_gives(
            count in prop_oneof![Just(0), Just(CHUNK), Just(2 * CHUNK), 0..3 * CHUNK],
            limit in proptest::option::of(prop_oneof![0..20_i64, 0..3 * CHUNK]),
            offset in proptest::option::of(0..2 * CHUNK),
            after in proptest::option::of(0..4 * CHUNK),
            descending in any::<bool>(),
        ) {
            let filters = Filters { limit, offset, after, descending, ..Filters::default() };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let given = runtime.block_on(answer(count, filters.clone()));
            prop_assert_eq!(given, serde_json::to_string(&table(count, &filters)).unwrap());
        }
    }

    #[tokio::test]
    async fn what_is_refused_is_refused_before_anything_is_sent() {
        let refused = listed(Filters::default(), |_| async {
            Err::<Vec<Thing>, _>(honcho_store::Refusal::invalid("colour", "is not a filter here").into())
        });
        assert!(refused.await.is_err());
    }

    #[tokio::test]
    async fn a_list_that_breaks_off_is_no_whole_list() {
        let response = listed(Filters::default(), |filters| async move {
            match filters.after {
                None => Ok(table(CHUNK, &filters)),
                Some(_) => Err(StoreError::Damaged { what: "row", why: "a test".to_owned() }),
            }
        });
        let body = response.await.unwrap().into_body();
        assert!(axum::body::to_bytes(body, usize::MAX).await.is_err());
    }
}
