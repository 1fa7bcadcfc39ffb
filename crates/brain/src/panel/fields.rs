//! The fields of a form.

use crate::http::{ApiError, ApiResult};
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use honcho_model::Bytes;
use std::sync::Arc;

/// What somebody filled in, in the order of the form. [`super::around`] puts it into the request once the form's token was good.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Arc<Vec<(String, String)>>);

impl Fields {
    /// Reads the body of a form.
    pub(super) fn read(body: &[u8]) -> ApiResult<Fields> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
        let strange = |text: &str| text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        if pairs.iter().any(|(name, value)| strange(name) || strange(value)) {
            let text = "the form holds control characters";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_form", text));
        }
        Ok(Fields(Arc::new(pairs)))
    }

    /// What stands in a field, as it is.
    pub(super) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// What stands in all fields of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// What stands in a field without spaces around it, unless that is nothing.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        Some(self.raw(name).trim()).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Whether a box is ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        self.raw(name) == "yes"
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> ApiResult<Option<i64>> {
        let read = |text: String| text.parse().map_err(|_| ApiError::invalid(name, "must be a whole number"));
        self.text(name).map(read).transpose()
    }

    /// A size in bytes, written as in `512M`.
    pub(super) fn size(&self, name: &str) -> ApiResult<Option<i64>> {
        let read = |text: String| {
            let bytes = text.parse::<Bytes>().map_err(|error| ApiError::invalid(name, error.to_string()))?;
            i64::try_from(bytes.0).map_err(|_| ApiError::invalid(name, "is too much"))
        };
        self.text(name).map(read).transpose()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = super::failure::PanelError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Fields>().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_in_is_read() {
        let fields = Fields::read(b"name=+web1+&memory_bytes=512M&vcpus=two&hard=yes&keys=a%0D%0Ab").unwrap();
        assert_eq!(fields.text("name").as_deref(), Some("web1"));
        assert_eq!(fields.size("memory_bytes").unwrap(), Some(512 << 20));
        assert!(fields.number("vcpus").is_err());
        assert!(fields.number("nothing").unwrap().is_none());
        assert!(fields.is_ticked("hard") && !fields.is_ticked("name"));
        assert!(Fields::read(b"name=a%00b").is_err());
    }
}
