//! The OpenAPI document, made of the routes themselves.

use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Array, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required,
    ResponseBuilder, Schema,
};

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

/// What every list takes besides its filters.
const PAGING: [(&str, Type, &str); 4] = [
    ("limit", Type::Integer, "At most so many; all of them, when absent"),
    ("offset", Type::Integer, "Leave out so many first"),
    ("after", Type::Integer, "Only ids above this one: the way to read a long list page by page"),
    (
        "order",
        Type::String,
        "`ascending`, also when absent, or `descending`: then `after` means ids below it",
    ),
];

/// What any route may answer, whatever it does: refusals of the layers before it.
const COMMON: [(&str, &str); 5] = [
    ("400", "The query or the body cannot be read"),
    ("401", "No token, or one that is not good"),
    ("414", "Path and query are too long"),
    ("431", "The headers are too many or too long"),
    ("422", "Something asked for cannot be: `errors` says what"),
];

/// The same of routes that take a body.
const OF_BODIES: [(&str, &str); 3] = [
    ("408", "The body did not come in time"),
    ("413", "The body is larger than a body may be"),
    ("415", "The body is not JSON"),
];

/// The document as it is served: what all routes have in common is put in here, so that no route can forget it.
pub(crate) fn render(document: &OpenApi) -> String {
    let mut document = document.clone();
    for (path, item) in &mut document.paths.paths {
        let pages = Pages::of(path);
        let methods =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete, &mut item.head];
        for operation in methods.into_iter().flatten() {
            describe_common(operation, pages);
        }
    }
    document.to_pretty_json().unwrap_or_default()
}

/// How a list can be read page by page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pages {
    /// As every list can.
    All,
    /// By counting: what stands in it has no id.
    Counted,
    /// Not at all.
    None,
}

impl Pages {
    fn of(path: &str) -> Self {
        match path {
            // What is found is the nearest, and there is no more of it.
            "/v1/search" => Pages::None,
            // A month comes whole.
            usage if usage.ends_with("/usage") => Pages::None,
            packages if packages.ends_with("/packages") || packages.ends_with("/queries") => Pages::Counted,
            _ => Pages::All,
        }
    }

    fn take(self, parameter: &str) -> bool {
        self == Pages::All || self == Pages::Counted && parameter != "after"
    }
}

fn describe_common(operation: &mut Operation, pages: Pages) {
    let mut refusals = COMMON.to_vec();
    if operation.request_body.is_some() {
        refusals.extend(OF_BODIES);
    }
    for (code, text) in refusals {
        let refusal = || {
            let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
            ResponseBuilder::new().description(text).content("application/json", body).build()
        };
        operation.responses.responses.entry(code.to_owned()).or_insert_with(|| RefOr::T(refusal()));
    }
    if is_list(operation) {
        let parameters = operation.parameters.get_or_insert_default();
        for (name, kind, text) in PAGING.into_iter().filter(|(name, ..)| pages.take(name)) {
            if parameters.iter().any(|known| matches!(known, RefOr::T(known) if known.name == name)) {
                continue;
            }
            let mut schema = ObjectBuilder::new().schema_type(SchemaType::Type(kind.clone()));
            if kind == Type::Integer {
                schema = schema.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))).minimum(Some(0));
            }
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(text))
                .schema(Some(schema.build()));
            parameters.push(RefOr::T(parameter.build()));
        }
    }
}

/// Whether it answers with an array.
fn is_list(operation: &Operation) -> bool {
    let Some(RefOr::T(answer)) = operation.responses.responses.get("200") else { return false };
    answer
        .content
        .get("application/json")
        .is_some_and(|content| {
            matches!(content, RefOr::T(content) if matches!(&content.schema, Some(RefOr::T(Schema::Array(Array { .. })))))
        })
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
