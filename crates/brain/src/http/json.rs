//! JSON that machines send: read as it stands, and refused in the one shape of errors.

use super::error::{ApiError, ApiResult};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

/// A body that is exactly one `T`.
pub(crate) struct Exactly<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Exactly<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let bytes = super::bodies::whole(request, state).await?;
        serde_json::from_slice(&bytes).map(Exactly).map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", format!("cannot be read: {error}"))
        })
    }
}
