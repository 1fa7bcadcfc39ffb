//! The guests that the table shows, all pages of them, as a file: CSV for spreadsheets, JSON as the API has it. Read in chunks and
//! streamed, by the visitor's own scope.

use super::failure::PanelResult;
use super::guests::Asked;
use super::visitor::{Asking, Guarded};
use crate::app::App;
use crate::http::listing::listed;
use crate::tables::written;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use honcho_api::Guest;
use honcho_store::names::{self, Named};
use honcho_store::{Filters, Scope, StoreResult, guests};

/// How many guests are read at a time.
const CHUNK: i64 = 500;

/// The columns; the last one is the machine room's, and the operators' alone.
const COLUMNS: [&str; 16] = [
    "id",
    "name",
    "account",
    "status",
    "reason",
    "address",
    "address6",
    "vcpus",
    "memory_bytes",
    "disk_bytes",
    "image",
    "cluster",
    "role",
    "reference",
    "created_at",
    "host",
];

/// Who asks for the file.
#[derive(Clone)]
struct Reader {
    app: App,
    scope: Scope,
    columns: usize,
}

impl Reader {
    fn of(app: App, guarded: &Guarded) -> Reader {
        let columns = if guarded.visitor.is_operator() { COLUMNS.len() } else { COLUMNS.len() - 1 };
        Reader { app, scope: guarded.visitor.scope(), columns }
    }

    /// The next guests as lines, and what to ask for after them, if there may be more.
    async fn chunk(&self, asked: Filters) -> StoreResult<(Vec<u8>, Option<Filters>)> {
        let reader = self.app.store.reader();
        let found = guests::list(reader, self.scope, &asked, self.app.now()).await?;
        let accounts = names::of(reader, Named::Account, found.iter().map(|guest| guest.account_id)).await?;
        let images = names::of(reader, Named::Image, found.iter().map(|guest| guest.image_id)).await?;
        let hosts = names::of(reader, Named::Host, found.iter().filter_map(|guest| guest.host_id)).await?;
        let mut lines = Vec::new();
        for guest in &found {
            let account = accounts.get(&guest.account_id).cloned().unwrap_or_default();
            let image = images.get(&guest.image_id).cloned().unwrap_or_default();
            let host = guest.host_id.and_then(|id| hosts.get(&id).cloned()).unwrap_or_default();
            let cells = cells(guest, account, image, host);
            lines.extend(written(cells.iter().take(self.columns).map(String::as_str)));
        }
        let is_full = i64::try_from(found.len()).is_ok_and(|count| count >= CHUNK);
        let next = found.last().filter(|_| is_full).map(|last| Filters { after: Some(last.id), ..asked });
        Ok((lines, next))
    }
}

fn cells(guest: &Guest, account: String, image: String, host: String) -> [String; COLUMNS.len()] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        guest.id.to_string(),
        guest.name.clone(),
        account,
        guest.status.as_str().to_owned(),
        text(&guest.status_reason),
        text(&guest.address),
        guest.interfaces.iter().filter_map(|card| card.address6.clone()).collect::<Vec<_>>().join(" "),
        guest.vcpus.to_string(),
        guest.memory_bytes.to_string(),
        guest.disk_bytes.to_string(),
        image,
        text(&guest.cluster),
        text(&guest.role),
        text(&guest.reference),
        guest.created_at.to_string(),
        host,
    ]
}

/// Says to browsers that this is a file, and what it is called.
fn as_file(mut response: Response, name: &'static str) -> Response {
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    response
}

/// What is asked for, all pages of it.
fn filters(guarded: &Guarded, mut asked: Asked) -> PanelResult<Filters> {
    if !guarded.visitor.is_operator() {
        asked.host_id.clear();
    }
    asked.after.clear();
    asked.before.clear();
    Ok(Filters { limit: None, ..asked.filters()? })
}

/// As CSV. A text that a spreadsheet would take for a formula has an apostrophe before it.
pub(super) async fn csv(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let filters = Filters { limit: Some(CHUNK), ..filters(&guarded, asked)? };
    let reader = Reader::of(app, &guarded);
    // The first guests are read before anything is sent, so that what is refused is refused.
    let (lines, next) = reader.chunk(filters).await?;
    let mut first = written(COLUMNS.into_iter().take(reader.columns));
    first.extend(lines);
    let start = futures::stream::once(async move { StoreResult::Ok(Bytes::from(first)) });
    let rest = futures::stream::unfold((next, reader), |(next, reader)| async move {
        match reader.chunk(next?).await {
            Ok((lines, next)) => Some((Ok(Bytes::from(lines)), (next, reader))),
            Err(error) => {
                tracing::error!(%error, "an export broke off: its reader's connection is cut");
                Some((Err(error), (None, reader)))
            }
        }
    });
    let body = Body::from_stream(futures::StreamExt::chain(start, rest));
    let response = ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], body).into_response();
    Ok(as_file(response, "attachment; filename=\"guests.csv\""))
}

/// As JSON: the very array that the API gives.
pub(super) async fn json(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let filters = filters(&guarded, asked)?;
    let scope = guarded.visitor.scope();
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { guests::page(app.store.reader(), scope, &filters, app.now()).await }
    };
    Ok(as_file(listed(filters, read).await?, "attachment; filename=\"guests.json\""))
}
