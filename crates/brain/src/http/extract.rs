//! What handlers take out of a request: who asks, the filters of a list, a body.

use super::error::{ApiError, ApiResult};
use super::strict_json;
use crate::app::{App, Trial};
use crate::credentials::{self, Known, Standing};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use base64::Engine as _;
use honcho_model::{Right, Timestamp};
use honcho_store::{Actor, Filters, Scope};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where a connection comes from; put into every request by the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who asks: anybody who showed a good secret. For what only reads.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// What they may see.
    pub(crate) scope: Scope,
    /// Who they are, for the event log.
    pub(crate) actor: Actor,
    /// What they may do with what they see.
    pub(crate) right: Right,
    /// What they showed.
    pub(crate) known: Arc<Known>,
    /// The same, to be asked for again by what goes on for long.
    pub(crate) standing: Standing,
}

/// Whether a change is meant: `?dry_run=true`, and nothing is changed.
#[derive(Deserialize)]
pub(super) struct Meant {
    dry_run: Option<String>,
}

impl Meant {
    pub(super) fn trial(&self) -> ApiResult<Trial> {
        match self.dry_run.as_deref() {
            None | Some("false") => Ok(Trial::InEarnest),
            Some("true") => Ok(Trial::DryRun),
            Some(_) => Err(ApiError::invalid("dry_run", "must be true or false")),
        }
    }
}

/// The token in a request: Bearer, or the password of Basic with any user name.
pub(crate) fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
        return String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

impl Caller {
    /// Who shows this secret, if it is good now.
    pub(crate) async fn by_secret(
        app: &App,
        secret: &str,
        source: Option<String>,
    ) -> ApiResult<Option<Caller>> {
        let Some(standing) = credentials::find(app, secret).await? else { return Ok(None) };
        let known = standing.known.clone();
        super::middleware::note_who(&known.actor());
        Ok(Some(Caller {
            scope: known.scope(),
            actor: Actor { who: known.actor(), source },
            right: known.right(),
            known,
            standing,
        }))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let secret = token(&parts.headers).ok_or_else(ApiError::unauthorized)?;
        let source = parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_string());
        Caller::by_secret(app, &secret, source).await?.ok_or_else(ApiError::unauthorized)
    }
}

/// What a token of a suite is told elsewhere.
const UPLOADS_ALONE: &str = "a token of a suite uploads into that, and may nothing else";

fn forbidden(text: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", text)
}

/// A caller who may change what they see: an operator, or an admin of an account. Viewers and machines get 403. For
/// everything that changes something.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    /// What they may change.
    pub(crate) scope: Scope,
    /// Who they are, for the event log.
    pub(crate) actor: Actor,
    /// When their token stops working; a person's session is no bound to what they make.
    pub(crate) expires_at: Option<Timestamp>,
    /// What they showed, to be asked for again by what goes on for long.
    pub(crate) standing: Standing,
}

impl Writer {
    fn of(caller: Caller) -> Self {
        let expires_at = match &*caller.known {
            Known::Token(token) => token.expires_at,
            Known::Session(_) => None,
        };
        let (scope, standing) = (caller.known.scope_of_writing(), caller.standing);
        Writer { scope, actor: caller.actor, expires_at, standing }
    }

    /// A caller as one who may change things; others get 403.
    pub(crate) fn of_caller(caller: Caller) -> ApiResult<Self> {
        match caller.right {
            Right::Operator | Right::Admin => Ok(Writer::of(caller)),
            Right::Viewer => Err(forbidden("a viewer may look and change nothing")),
            Right::Machine => {
                Err(forbidden("a machine may be looked at, started, stopped and rebooted only"))
            }
            Right::Suite => Err(forbidden(UPLOADS_ALONE)),
        }
    }
}

impl FromRequestParts<App> for Writer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        Writer::of_caller(Caller::from_request_parts(parts, app).await?)
    }
}

/// A caller who may start, stop, reboot and type at a guest: a [`Writer`], or that machine itself.
pub(crate) struct WriterOrMachine(pub(crate) Writer);

impl FromRequestParts<App> for WriterOrMachine {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let caller = Caller::from_request_parts(parts, app).await?;
        match caller.right {
            Right::Operator | Right::Admin | Right::Machine => Ok(WriterOrMachine(Writer::of(caller))),
            Right::Viewer => Err(forbidden("a viewer may look and change nothing")),
            Right::Suite => Err(forbidden(UPLOADS_ALONE)),
        }
    }
}

/// A caller who is an operator; others get 403.
pub(crate) struct Operator(pub(crate) Caller);

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if caller.right == Right::Operator && caller.scope.is_operator() {
            return Ok(Operator(caller));
        }
        Err(forbidden("only operators may do this"))
    }
}

/// A caller who may hand in the post: an operator, or a machine that operators made a receiver. Of all servers, for whose
/// a log is, a receiver says; so no customer gives that away.
pub(crate) struct Receiver(pub(crate) Caller);

impl FromRequestParts<App> for Receiver {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let receives = matches!(&*caller.known, Known::Token(token) if token.receives_post);
        if receives || (caller.right == Right::Operator && caller.scope.is_operator()) {
            return Ok(Receiver(caller));
        }
        Err(forbidden("only operators and receivers may hand in the post").hint(
            "an operator makes a receiver's token: honcho token create mx1 --guest mx1 --receives-post",
        ))
    }
}

/// The filters of a list.
pub(crate) struct ListQuery(pub(crate) Filters);

fn bad_query(text: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_query", text)
}

/// Refuses a query that is no text: what is not UTF-8 would be read as something else, and no argument holds a NUL or
/// another control character.
pub(super) fn refuse_unreadable(query: Option<&str>) -> ApiResult<()> {
    let Some(query) = query else { return Ok(()) };
    let decoded = percent_encoding::percent_decode_str(query).decode_utf8();
    let decoded = decoded.map_err(|_| bad_query("the query is not UTF-8"))?;
    if decoded.chars().any(char::is_control) {
        return Err(bad_query("the query holds control characters"));
    }
    Ok(())
}

/// Reads the filters in an address.
pub(crate) fn filters(uri: &Uri) -> ApiResult<Filters> {
    refuse_unreadable(uri.query())?;
    let Query(pairs) =
        Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|error| bad_query(error.body_text()))?;
    Ok(Filters::parse(pairs)?)
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        Ok(ListQuery(filters(&parts.uri)?))
    }
}

/// The arguments of an action, which stand in the query; unknown ones are ignored.
pub(crate) struct Arguments<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Arguments<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        refuse_unreadable(parts.uri.query())?;
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(arguments)| Arguments(arguments))
            .map_err(|error| ApiError::invalid("base", error.body_text()))
    }
}

/// An id in the path; what is no id names nothing.
pub(crate) struct Id(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|path| path.0.parse().ok()).filter(|id| *id > 0);
        id.map(Id).ok_or_else(|| ApiError::not_found("object"))
    }
}

/// A part of the path that is no number, such as a digest; what cannot be read names nothing.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|path| Segment(path.0)).map_err(|_| ApiError::not_found("object"))
    }
}

/// A JSON body, flat or under one root key (`{"guest":{…}}`). Unknown and read-only attributes are ignored; numbers
/// and booleans may come as strings.
pub(crate) struct Body<T> {
    pub(crate) value: T,
    /// The attributes that were there, for what only some of them mean.
    pub(crate) object: serde_json::Map<String, Value>,
}

impl<T> Body<T> {
    /// Refuses if one of these attributes is there and null: that is not the same as leaving it out.
    pub(crate) fn refuse_null(&self, attributes: &[&str]) -> ApiResult<()> {
        match attributes.iter().find(|attribute| self.object.get(**attribute).is_some_and(Value::is_null)) {
            Some(attribute) => Err(ApiError::invalid(attribute, "can't be blank")),
            None => Ok(()),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        parse_body(&super::bodies::json(request, state).await?)
    }
}

/// Attributes that hold a number or a boolean, which some clients send as strings.
fn is_scalar(attribute: &str) -> bool {
    // Debian's `distribution_version` is "12", and that of Alpine "3.20.1": a text.
    let ending = |ending: &&str| attribute.ends_with(*ending);
    (["_id", "_bytes", "_seconds", "_version", "_units"].iter().any(ending)
        && attribute != "distribution_version")
        || matches!(
            attribute,
            "operator"
                | "receives_post"
                | "top_queries_count"
                | "weekly_mail"
                | "vcpus"
                | "count"
                | "family"
                | "start_alone"
                | "host_kernel"
                | "files_count"
                | "position"
                | "cores"
                | "allow_http"
        )
        || attribute.starts_with("limit_")
}

/// Makes numbers and booleans of the texts that mean them, in what the body lists, too (`interfaces`).
fn read_scalars(object: &mut serde_json::Map<String, Value>) {
    for (attribute, value) in object {
        match value {
            Value::String(text) if is_scalar(attribute) => {
                *value = match text.trim() {
                    "" => Value::Null,
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    number => number.parse::<i64>().map_or_else(|_| Value::String(text.clone()), Value::from),
                };
            }
            Value::Array(listed) => listed.iter_mut().filter_map(Value::as_object_mut).for_each(read_scalars),
            _ => {}
        }
    }
}

pub(crate) fn parse_body<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<Body<T>> {
    let malformed = |text: String| ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", text);
    let value: Value = if bytes.trim_ascii().is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        strict_json::read(bytes).map_err(|error| malformed(format!("cannot be read: {error}")))?
    };
    let Value::Object(mut object) = value else { return Err(malformed("must be a JSON object".to_owned())) };
    if object.len() == 1
        && let Some(Value::Object(_)) = object.values().next()
        && let Some((_, Value::Object(inner))) = std::mem::take(&mut object).into_iter().next()
    {
        object = inner;
    }
    if let Some((attribute, _)) = object.iter().find(|(_, value)| strict_json::holds_nul(value)) {
        return Err(ApiError::invalid(attribute, "must not hold a NUL"));
    }
    // An empty key is no key: else every object made with one would be the same object.
    if object.get("reference").is_some_and(|reference| reference == "") {
        object.insert("reference".to_owned(), Value::Null);
    }
    read_scalars(&mut object);
    let value = serde_path_to_error::deserialize(Value::Object(object.clone())).map_err(|error| {
        let path = error.path().to_string();
        let attribute = path.split(['.', '[']).next().filter(|first| !first.is_empty()).unwrap_or("base");
        ApiError::invalid(attribute, format!("is of the wrong kind: {}", error.inner()))
    })?;
    Ok(Body { value, object })
}

#[cfg(test)]
mod tests {
    use super::*;
    use honcho_api::GuestCreate;

    #[test]
    fn a_body_may_be_flat_or_rooted_and_numbers_may_be_strings() {
        for body in [
            r#"{"name":"web1","account_id":"5","start_alone":"true","junk":{"a":1}}"#,
            r#"{"guest":{"name":"web1","account_id":5,"start_alone":true}}"#,
        ] {
            let body = parse_body::<GuestCreate>(body.as_bytes()).unwrap().value;
            assert_eq!(
                (body.name.as_deref(), body.account_id, body.start_alone),
                (Some("web1"), Some(5), Some(true))
            );
        }
        let body = parse_body::<GuestCreate>(br#"{"name":"a","interfaces":[{"network_id":"7"}]}"#).unwrap();
        assert_eq!(body.value.interfaces.unwrap()[0].network_id, Some(7));
        for bad in [
            r#"{"name":"a\u0000"}"#,
            r#"{"name":"a","name":"b"}"#,
            r#"{"vcpus":1.0}"#,
            r#"{"vcpus":"1.0"}"#,
            r#"{"vcpus":9223372036854775808}"#,
            r#"{"vcpus":"9223372036854775808"}"#,
            r#"{"start_alone":1}"#,
            "[]",
            "{",
            "7",
            "\"x\"",
            "{\"name\":7}",
            "{\"account_id\":\"x\"}",
            "{\"vcpus\":1e99}",
        ] {
            assert!(parse_body::<GuestCreate>(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
