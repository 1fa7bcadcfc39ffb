//! `/v1/slow_servers` and `/v1/slow_mails`: slow logs out of the post.

use super::bodies;
use super::error::{ApiError, ApiResult};
use super::extract::{Caller, Id, ListQuery, Receiver};
use super::listing::listed;
use crate::app::App;
use crate::post::{Counted, NotCounted, contradiction, import};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::{ErrorBody, SlowMail, SlowServer};
use honcho_model::SlowServerId;
use honcho_store::Filters;
use honcho_store::slow::{self, Came};

/// Lists servers that send slow logs.
#[utoipa::path(get, path = "/v1/slow_servers", tag = "slow logs",
    params(("node" = Option<String>, Query, description = "Filterable"), ("guest_id" = Option<i64>, Query, description = "Filterable"),
        ("account_id" = Option<i64>, Query, description = "Filterable"), ("reported_name" = Option<String>, Query, description = "Filterable")),
    responses((status = 200, body = [SlowServer]), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    ListQuery(filters): ListQuery,
) -> ApiResult<Response> {
    let read = move |filters: Filters| {
        let app = app.clone();
        async move { slow::list(app.store.reader(), caller.scope, &filters).await }
    };
    listed(filters, read).await
}

/// Shows a server that sends slow logs.
#[utoipa::path(get, path = "/v1/slow_servers/{id}", tag = "slow logs", params(("id" = i64, Path)),
    responses((status = 200, body = SlowServer), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> ApiResult<Json<SlowServer>> {
    Ok(Json(slow::find(app.store.reader(), caller.scope, SlowServerId(id)).await?))
}

/// Counts a mail with a slow log.
#[utoipa::path(post, path = "/v1/slow_mails", tag = "slow logs",
    description = "Takes a mail as it lies in a receiver's Maildir, 64 MiB at most, and counts its events; one that was counted before \
        is answered by 200 and counted no more. Whose it is says the `X-Verified-Node` above its topmost `Received`. 422 \
        (`unreadable_mail`) is for ever, and the mail to be put aside; after anything else but 2xx it is to be sent again. For \
        operators, and machines whose token says `receives_post`.",
    request_body(content = String, content_type = "message/rfc822"),
    responses((status = 200, body = SlowMail), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn mail(
    State(app): State<App>,
    Receiver(caller): Receiver,
    request: Request,
) -> ApiResult<Json<SlowMail>> {
    let mail = bodies::whole(request, &app).await?.to_vec();
    import(&app, caller.actor, mail).await.map(answer).map_err(refusal)
}

fn answer(counted: Counted) -> Json<SlowMail> {
    let (outcome, server, events) = match counted.came {
        Came::Now(server, events) => ("counted", server, events),
        Came::Before(server) | Came::AsAnother(server) => ("known", server, 0),
    };
    Json(SlowMail {
        outcome: outcome.to_owned(),
        slow_server_id: server.0,
        sequence: counted.sequence,
        events_count: i64::try_from(events).unwrap_or(i64::MAX),
    })
}

fn refusal(why: NotCounted) -> ApiError {
    let unreadable = |text: String| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "unreadable_mail", text)
            .hint("put it aside: it will never be counted as it is")
    };
    match why {
        NotCounted::Unreadable(why) => unreadable(why.to_string()),
        NotCounted::Contradicts(sequence) => unreadable(contradiction(sequence)),
        NotCounted::Store(error) => error.into(),
        NotCounted::Failed => ApiError::internal("reading the mail failed"),
    }
}
