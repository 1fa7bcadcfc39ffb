//! Parts of pages that change while somebody looks: server-sent events, each of which is the part anew.
//!
//! A page holds the part as it is. The script asks for `…/live` and puts what comes in its place. Without the script the page
//! is what it was when it was loaded, which is what it says.

use super::failure::PanelResult;
use super::visitor::Visitor;
use crate::app::App;
use crate::http::followed_no_more;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use std::convert::Infallible;
use std::time::Duration;

/// A part is not sent more often than this, however much happens.
pub(crate) const CALM: Duration = Duration::from_millis(300);

/// How often it is looked at again although nothing was written: hosts fall silent without a word.
const AGAIN: Duration = Duration::from_secs(15);

/// Sends what `render` gives, whenever it gives something else than before; until the session ends.
pub(super) async fn follow<F, Rendering>(app: App, visitor: Visitor, render: F) -> PanelResult<Response>
where
    F: Fn() -> Rendering + Send + Sync + 'static,
    Rendering: Future<Output = PanelResult<String>> + Send,
{
    let mut changes = app.store.wakeups().anything();
    changes.mark_unchanged();
    // What cannot be seen is refused before a stream begins.
    let first = render().await?;
    let ending = followed_no_more(&app, visitor.caller.standing.clone());
    let standing = visitor.caller.standing.clone();
    let state = (app, changes, render, standing, first.clone());
    let later = futures::stream::unfold(state, |(app, mut changes, render, standing, last)| async move {
        loop {
            match tokio::time::timeout(AGAIN, changes.changed()).await {
                Ok(Ok(())) => tokio::time::sleep(CALM).await,
                Ok(Err(_)) => return None,
                Err(_) => {}
            }
            changes.mark_unchanged();
            // What came of it after the session ended is not told.
            if !matches!(standing.holds(&app).await, Ok(true)) {
                return None;
            }
            let begun = tokio::time::Instant::now();
            let rendered = render().await;
            // Whoever only looks takes a tenth of a processor at most, however much happens and however large the house is.
            tokio::time::sleep(begun.elapsed() * 9).await;
            match rendered {
                Ok(part) if part != last => {
                    return Some((part.clone(), (app, changes, render, standing, part)));
                }
                Ok(_) => {}
                // It is gone, or the database is away: the page asks again.
                Err(_) => return None,
            }
        }
    });
    let parts = futures::stream::once(std::future::ready(first)).chain(later).take_until(ending);
    let events = parts.map(|part| Ok::<_, Infallible>(Event::default().event("part").data(part)));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// What a script is told that asks for somebody who is not logged in: to ask no more.
pub(super) fn nobody() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
