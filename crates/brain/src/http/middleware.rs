//! What is done around every request: an id, a line in the log, and `.json` at the end of a path taken off.

use super::error::REQUEST_ID;
use crate::app::App;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::Response;

/// Gives the request an id, under which errors and the log can be put together.
pub(crate) async fn request(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = app.outside.uuid().simple().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = REQUEST_ID.scope(id.clone(), next.run(request)).await;
    let status = response.status().as_u16();
    if status >= 500 {
        tracing::error!(request = %id, %method, path, status, "answered");
    } else {
        tracing::debug!(request = %id, %method, path, status, "answered");
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
}
