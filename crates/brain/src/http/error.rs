//! The one place where refusals become HTTP. Every error, wherever it comes from, has the shape of [`ErrorBody`].

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use honcho_api::ErrorBody;
use honcho_images::BlobError;
use honcho_store::{ListError, Refusal, StoreError};
use std::collections::BTreeMap;

tokio::task_local! {
    /// The id of the request that this task serves.
    pub(crate) static REQUEST_ID: String;
}

/// An answer that is not a 2xx.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    errors: BTreeMap<String, Vec<String>>,
    hint: Option<String>,
    /// Seconds to wait first.
    retry_after: Option<u64>,
    /// Whether the connection is closed after it: the rest of the request is not read.
    closing: bool,
}

/// The longest text of an error, in characters: what was sent is said back in some, and may be as long as a body.
const LONGEST: usize = 1_000;

/// So many texts of one attribute are said.
const MOST: usize = 20;

/// So much of what was asked for as somebody can read.
fn shortened(errors: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let short = |text: &str, longest: usize| match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    let texts = |texts: Vec<String>| {
        let left_out = texts.len().saturating_sub(MOST);
        let mut said: Vec<String> = texts.iter().take(MOST).map(|text| short(text, LONGEST)).collect();
        said.extend((left_out > 0).then(|| format!("and {left_out} more")));
        said
    };
    errors.into_iter().map(|(attribute, all)| (short(&attribute, 60), texts(all))).collect()
}

/// What a handler gives.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error about the whole request.
    pub(crate) fn new(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        ApiError {
            status,
            code,
            errors: BTreeMap::from([("base".to_owned(), vec![text.into()])]),
            hint: None,
            retry_after: None,
            closing: false,
        }
    }

    /// This error as the last thing that is said on its connection.
    #[must_use]
    pub(crate) fn closing(self) -> Self {
        ApiError { closing: true, ..self }
    }

    /// This error with the seconds after which it makes sense to try again.
    #[must_use]
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        ApiError { retry_after: Some(seconds), ..self }.hint(format!("try again in {seconds} s"))
    }

    /// 500: something of the brain's own failed, and was logged where it did.
    pub(crate) fn internal(text: &str) -> Self {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text)
            .hint("the brain's log says why, under the request id")
    }

    /// This error with the next thing to do.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        ApiError { hint: Some(hint.into()), ..self }
    }

    /// As HTTP has it.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong: attributes, `base` for the whole, and what is said of each.
    pub(crate) fn said(&self) -> impl Iterator<Item = (&str, &str)> {
        self.errors.iter().flat_map(|(name, texts)| texts.iter().map(|text| (name.as_str(), text.as_str())))
    }

    /// The next thing to do.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// 422: an attribute and what is wrong with it.
    pub(crate) fn invalid(attribute: &str, text: impl Into<String>) -> Self {
        StoreError::from(Refusal::invalid(attribute, text)).into()
    }

    pub(crate) fn unauthorized() -> Self {
        ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", "shows no token that is good here")
            .hint("send \"Authorization: Bearer TOKEN\", or the token as the password of Basic")
    }

    pub(crate) fn not_found(what: &str) -> Self {
        ApiError::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        ApiError::new(StatusCode::CONFLICT, "conflict", text)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(errors) => ApiError {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                code: "invalid",
                errors,
                hint: None,
                retry_after: None,
                closing: false,
            },
            Refusal::NotFound(what) => ApiError::not_found(what),
            Refusal::Forbidden(why) => ApiError::new(StatusCode::FORBIDDEN, "forbidden", why),
            Refusal::Conflict(why) => ApiError::conflict(why),
            Refusal::Gone(why) => ApiError::new(StatusCode::GONE, "gone", why)
                .hint("begin again: without a cursor the log is read from its beginning"),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => refusal.into(),
            error @ (StoreError::Contended(_) | StoreError::Overtaken(_) | StoreError::Busy(_)) => {
                tracing::warn!(%error, request = %request_id(), "the store was too busy");
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "others kept changing the same things")
                    .hint("nothing was changed: ask again in a moment")
            }
            error @ StoreError::Unavailable(_) => {
                tracing::error!(%error, request = %request_id(), "the database cannot be reached");
                let text = "the brain cannot reach its database";
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", text)
                    .hint("nothing was changed: ask again in a moment; the brain's log says more")
            }
            error @ StoreError::OutcomeUnknown(_) => {
                tracing::error!(%error, request = %request_id(), "the outcome of a commit is unknown");
                let text =
                    "the brain lost its database while this was being written down: it may have been done";
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "outcome_unknown", text).hint(
                    "look whether it was, before you ask again; with a `reference` asking again is safe",
                )
            }
            error @ (StoreError::Database(_)
            | StoreError::Damaged { .. }
            | StoreError::Copy { .. }
            | StoreError::Newer(_)) => {
                let request = request_id();
                tracing::error!(%error, %request, "the store failed");
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the brain's database failed")
                    .hint("the brain's log says why, under the request id")
            }
        }
    }
}

impl From<crate::app::KeepError> for ApiError {
    fn from(error: crate::app::KeepError) -> Self {
        match error {
            crate::app::KeepError::Blob(error) => error.into(),
            crate::app::KeepError::Store(error) => error.into(),
        }
    }
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        match &error {
            BlobError::Missing(_) => ApiError::not_found("blob"),
            BlobError::WrongDigest { .. } => ApiError::invalid("digest", error.to_string()),
            BlobError::Source(cause) if cause.kind() == std::io::ErrorKind::TimedOut => {
                super::bodies::broke_off()
            }
            BlobError::Source(_) => {
                ApiError::new(StatusCode::BAD_REQUEST, "broken_upload", error.to_string())
            }
            BlobError::Store(_) | BlobError::Write(_) => {
                tracing::error!(%error, request = %request_id(), "the blob store failed");
                ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "blob_store", error.to_string())
            }
        }
    }
}

/// Under which the log has the request that this task serves.
pub(crate) fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            errors: shortened(self.errors),
            hint: self.hint,
            request_id: request_id(),
        };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"honcho\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.closing {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_back_is_short() {
        let errors = BTreeMap::from([("é".repeat(5_000), vec!["ü".repeat(5_000); 30])]);
        let said = shortened(errors);
        let (attribute, texts) = said.iter().next().unwrap();
        assert_eq!((attribute.chars().count(), texts.len()), (61, 21));
        assert_eq!((texts[0].chars().count(), texts[20].as_str()), (1_001, "and 10 more"));
    }
}
