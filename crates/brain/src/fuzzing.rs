//! What the fuzz targets under `fuzz/` call: the parsers of this crate that read what a stranger wrote. No part of what
//! the crate offers.

use crate::authority::Authority;
use crate::http;
use crate::operations::JoinToken;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use honcho_model::HostId;
use std::path::Path;
use time::OffsetDateTime;

/// Reads a body as every shape that the API takes. What was read must be readable again once written.
pub fn body(bytes: &[u8]) {
    macro_rules! shapes {
        ($($shape:ident),*) => {$(
            if let Ok(body) = http::parse_body::<honcho_api::$shape>(bytes) {
                let again = serde_json::to_vec(&body.value).unwrap_or_default();
                assert!(http::parse_body::<honcho_api::$shape>(&again).is_ok(), "{}", stringify!($shape));
            }
        )*};
    }
    shapes!(
        AccountCreate,
        HostCreate,
        SiteCreate,
        RackCreate,
        SanCreate,
        PoolCreate,
        NetworkCreate,
        ImageCreate,
        TokenCreate,
        TokenUpdate,
        PersonCreate,
        PersonUpdate,
        PasswordChange,
        SessionCreate,
        WebhookCreate,
        GuestCreate,
        GuestUpdate
    );
}

/// Reads the token out of an `Authorization` header.
pub fn authorization(bytes: &[u8]) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(bytes).ok()?);
    http::token(&headers)
}

/// Reads a join token; what was read must read the same once written.
pub fn join_token(text: &str) {
    if let Some(token) = JoinToken::parse(text) {
        let again = JoinToken::parse(&token.text());
        assert_eq!(again.map(|again| (again.text(), again.hash())), Some((token.text(), token.hash())));
    }
}

/// Whether an order may carry this SSH key.
pub fn public_key(text: &str) -> bool {
    crate::operations::public_key(text).is_ok()
}

/// Takes `.json` off a path.
pub fn path(text: &str) {
    if let Ok(uri) = text.parse::<Uri>() {
        let _ = http::without_json_suffix(&uri);
    }
}

/// A certificate authority to try certificate requests on.
pub struct Certifier(Authority);

impl Certifier {
    /// Makes one in an empty directory.
    pub fn new(directory: &Path) -> anyhow::Result<Self> {
        Ok(Certifier(Authority::open(directory, OffsetDateTime::UNIX_EPOCH)?))
    }

    /// Certifies a request; gives whether it could be used.
    pub fn certify(&self, request_pem: &str) -> bool {
        self.0.certify_host(request_pem, HostId(1), OffsetDateTime::UNIX_EPOCH).is_ok()
    }
}
