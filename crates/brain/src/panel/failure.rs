//! What goes wrong on the way to a page.

use crate::http::ApiError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Why there is no page.
#[derive(Debug)]
pub(super) enum PanelError {
    /// Something is refused or fails, as the API would.
    Api(ApiError),
    /// Somebody has to log in first, and goes on there.
    LogIn {
        /// Where they wanted to go.
        next: String,
    },
}

/// What a page's handler gives.
pub(super) type PanelResult<T> = Result<T, PanelError>;

impl<E: Into<ApiError>> From<E> for PanelError {
    fn from(error: E) -> Self {
        PanelError::Api(error.into())
    }
}

/// An error that is still to become a page: whoever knows the visitor does that.
#[derive(Clone)]
pub(super) struct Undressed(pub(super) Arc<ApiError>);

impl IntoResponse for PanelError {
    fn into_response(self) -> Response {
        match self {
            PanelError::Api(error) => {
                let mut response = error.status().into_response();
                response.extensions_mut().insert(Undressed(Arc::new(error)));
                response
            }
            PanelError::LogIn { next } => {
                let next = percent_encoding::utf8_percent_encode(&next, percent_encoding::NON_ALPHANUMERIC);
                (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/login?next={next}"))]).into_response()
            }
        }
    }
}

/// A template that cannot be written: its data are strings, so this is a defect.
pub(super) fn unwritable(error: &askama::Error) -> ApiError {
    tracing::error!(%error, "a page could not be written");
    ApiError::internal("the page could not be written")
}
