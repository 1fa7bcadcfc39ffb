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
use honcho_model::Timestamp;
use std::convert::Infallible;
use std::time::Duration;

/// A part is not sent more often than this, however much happens.
const CALM: Duration = Duration::from_millis(300);

/// How often it is looked at again although nothing was written: hosts fall silent without a word.
const AGAIN: Duration = Duration::from_secs(15);

/// When a part is made anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// After whatever is written, and every so often.
    Changes,
    /// Every so often alone: it is of what is measured.
    Clock,
}

/// Sends what `render` gives, whenever it gives something else than before; until the session ends. It is told since when changes
/// are not told anew: whatever was read before that moment may lack the last of them.
pub(super) async fn follow<F, Rendering>(
    app: App,
    visitor: Visitor,
    pace: Pace,
    render: F,
) -> PanelResult<Response>
where
    F: Fn(Timestamp) -> Rendering + Send + Sync + 'static,
    Rendering: Future<Output = PanelResult<String>> + Send,
{
    let mut changes = app.store.wakeups().anything();
    changes.mark_unchanged();
    let seen = app.now();
    // What cannot be seen is refused before a stream begins.
    let first = render(seen).await?;
    let ending = followed_no_more(&app, visitor.caller.standing.clone());
    let standing = visitor.caller.standing.clone();
    let state = (app, changes, render, standing, first.clone());
    let later =
        futures::stream::unfold(state, move |(app, mut changes, render, standing, last)| async move {
            loop {
                match pace {
                    Pace::Clock => tokio::time::sleep(AGAIN).await,
                    Pace::Changes => match tokio::time::timeout(AGAIN, changes.changed()).await {
                        Ok(Ok(())) => tokio::time::sleep(CALM).await,
                        Ok(Err(_)) => return None,
                        Err(_) => {}
                    },
                }
                changes.mark_unchanged();
                let seen = app.now();
                // What came of it after the session ended is not told.
                if !matches!(standing.holds(&app).await, Ok(true)) {
                    return None;
                }
                let begun = tokio::time::Instant::now();
                let rendered = render(seen).await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::tests::office;
    use axum::body::Body;
    use std::sync::Mutex;

    #[tokio::test]
    async fn a_part_is_no_older_than_the_last_moment_at_which_a_change_would_wake_it() {
        let (office, guest) = office().await;
        let app = &office.world.app;
        let secret = office.login("operator").await;
        let caller = crate::http::Caller::by_secret(app, &secret, None).await.unwrap().unwrap();
        let visitor = Visitor::of(caller).unwrap();
        let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        let render = move |since: Timestamp| {
            let mut noted = noted.lock().unwrap();
            noted.push(since);
            let part = format!("part {}", noted.len());
            async move { Ok(part) }
        };
        let begun = app.now();
        let body = follow(app.clone(), visitor, Pace::Changes, render).await.unwrap().into_body();
        let mut parts = Body::into_data_stream(body);
        let mut next = async || String::from_utf8(parts.next().await.unwrap().unwrap().to_vec()).unwrap();
        assert!(next().await.contains("part 1"));
        office.world.pass(7);
        office.world.settle(guest).await;
        office.operate("PUT", &format!("/v1/guests/{guest}/stop"), serde_json::Value::Null).await;
        assert!(next().await.contains("part 2"));
        // Not so much as the calm before it: what came in the calm wakes nobody any more.
        assert_eq!(*asked.lock().unwrap(), [begun, app.now()]);
    }
}
