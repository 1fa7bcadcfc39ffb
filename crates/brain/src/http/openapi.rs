//! The OpenAPI document, made of the routes themselves.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};

/// The document's head; routes add their paths and schemas.
pub(crate) fn document() -> OpenApi {
    let text = "One API for everything Honcho knows and does. Lists are bare arrays; every list takes `limit`, `offset`, \
        `after` and its filterable attributes. Long work is an operation. Each path is served with `.json` at its end too.";
    let info =
        InfoBuilder::new().title("Honcho").version(env!("CARGO_PKG_VERSION")).description(Some(text)).build();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
    let components =
        ComponentsBuilder::new().security_scheme("bearer", bearer).security_scheme("basic", basic).build();
    let either = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([either("bearer"), either("basic")]))
        .build()
}

pub(crate) fn render(document: &OpenApi) -> String {
    document.to_pretty_json().unwrap_or_default()
}

/// The document that is served at `/v1/openapi.json`.
pub fn openapi_json() -> String {
    let (_, document) = super::described().split_for_parts();
    render(&document)
}

#[cfg(test)]
mod tests {
    /// `UPDATE_EXPECT=1 cargo test -p honcho-brain` writes it anew.
    #[test]
    fn the_committed_document_is_current() {
        expect_test::expect_file!["../../../../docs/openapi.json"].assert_eq(&super::openapi_json());
    }
}
