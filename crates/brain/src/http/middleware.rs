//! What is done around every request: an id, a line in the log, numbers, and `.json` at the end of a path taken off.

use super::error::{ApiError, REQUEST_ID};
use crate::app::App;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::sync::OnceLock;
use tokio::time::Instant;

tokio::task_local! {
    /// Who asks, once that is known.
    static WHO: OnceLock<String>;
}

/// Notes who asks, for the log's line about this request.
pub(crate) fn note_who(who: &str) {
    // Outside a request there is nobody to tell.
    let _ = WHO.try_with(|cell| cell.set(who.to_owned()));
}

/// Around what people and programs ask.
pub(crate) async fn request(state: State<App>, request: Request, next: Next) -> Response {
    around("people", state, request, next).await
}

/// Around what apt asks of the archive's own listener.
pub(crate) async fn archive_request(state: State<App>, request: Request, next: Next) -> Response {
    around("archive", state, request, next).await
}

/// Around what agents ask.
pub(crate) async fn machine_request(state: State<App>, request: Request, next: Next) -> Response {
    around("agents", state, request, next).await
}

/// The id that a request brought along, if it is fit to stand in a log.
fn brought(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    ((1..=64).contains(&id.len()) && id.bytes().all(sane)).then(|| id.to_owned())
}

/// The longest path with its query, in bytes.
const LONGEST_ADDRESS: usize = 8 << 10;

fn is_too_long(uri: &Uri) -> bool {
    uri.path().len() + uri.query().map_or(0, str::len) > LONGEST_ADDRESS
}

fn too_long() -> Response {
    let text = format!("path and query are longer than {LONGEST_ADDRESS} bytes");
    ApiError::new(StatusCode::URI_TOO_LONG, "too_long", text).into_response()
}

/// Gives the request an id, under which errors and the log can be put together.
async fn around(listener: &'static str, State(app): State<App>, request: Request, next: Next) -> Response {
    let id = brought(request.headers()).unwrap_or_else(|| app.outside.uuid().simple().to_string());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let begun = Instant::now();
    let answer = WHO.scope(OnceLock::new(), async {
        let response = if is_too_long(request.uri()) { too_long() } else { next.run(request).await };
        (response, WHO.with(|who| who.get().cloned()))
    });
    let (mut response, who) = REQUEST_ID.scope(id.clone(), answer).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    app.watching.request(listener, method.as_str(), route.as_deref(), status, took);
    let milliseconds = took.as_secs_f64() * 1000.0;
    let reads = matches!(method, Method::GET | Method::HEAD);
    // The path and never the query: what stands there may be meant for us alone.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(request = %id, listener, %method, path, route, status, milliseconds, who, "answered")
        };
    }
    if status >= 500 {
        line!(error);
    } else if reads || listener == "agents" {
        line!(debug);
    } else {
        line!(info);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// A stock ActiveResource client ends every path in `.json`; routes are written without.
pub(crate) fn without_json_suffix(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_prefix("/v1/").and_then(|rest| rest.strip_suffix(".json"))?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("/v1/{path}{query}").parse().ok();
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_at_the_end_of_a_path_is_taken_off() {
        let check = |given: &str, expected: Option<&str>| {
            let uri = without_json_suffix(&given.parse().unwrap());
            assert_eq!(uri.map(|uri| uri.to_string()).as_deref(), expected);
        };
        check("/v1/guests.json?a=b.json", Some("/v1/guests?a=b.json"));
        check("/v1/guests/7/reboot.json", Some("/v1/guests/7/reboot"));
        check("/v1/guests", None);
        check("/docs/x.json", None);
    }

    #[test]
    fn an_id_that_is_no_good_in_a_log_is_not_taken() {
        let check = |given: &str, good: bool| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_str(given).unwrap());
            assert_eq!(brought(&headers).is_some(), good, "{given}");
        };
        check("0af7651916cd43dd8448eb211c80319c", true);
        check("order-4711_a.b", true);
        check("", false);
        check("two words", false);
        check("a\"b", false);
        check(&"x".repeat(65), false);
    }
}
