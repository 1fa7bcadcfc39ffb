//! What is done around every page.
//!
//! ```text
//!   request -> who is it?  -> a form? its token must be good, from our own pages, and the brain accepted -> the page
//!   answer  <- headers, cookies, gzip <- an error becomes a page in the same dress <-------------------------'
//! ```
//!
//! A handler cannot forget any of it: a form whose token is not good reaches none.

use super::assets::{reads_gzip, zipped};
use super::cookies::{self, Kept};
use super::failure::{PanelError, Undressed};
use super::fields::Fields;
use super::shell::{Section, Shell};
use super::tokens;
use super::visitor::{Transport, Visit};
use crate::app::App;
use crate::http::{ApiError, ApiResult, bodies, refuse_unaccepted, request_id};
use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use flate2::Compression;

/// What a page may load, and from where: from us, and nothing that stands in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Forms that may be sent while a restored brain waits to be accepted: they change nothing of what is wanted.
const HARMLESS: &[&str] = &["/login", "/logout", "/theme"];

/// The largest page that is looked at again.
const LARGEST_PAGE: usize = 8 << 20;

/// Around every page.
pub(super) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let headers = parts.headers.clone();
    let visit = match Visit::of(&app, &parts).await {
        Ok(visit) => visit,
        // Without a database there is no visitor whose page this could be.
        Err(error) => return error.into_response(),
    };
    parts.extensions.insert(visit.clone());
    let request = Request::from_parts(parts, body);
    let answer = if request.method() == Method::POST {
        match form(&app, &visit, request).await {
            Ok(request) => next.run(request).await,
            Err(error) => PanelError::from(error).into_response(),
        }
    } else {
        next.run(request).await
    };
    dressed(&app, &visit, answer, &headers).await
}

/// What an address gives that is no page of ours, to somebody who looks with a browser.
pub(crate) async fn unknown_page(app: App, request: Request, error: ApiError) -> Response {
    let (parts, _) = request.into_parts();
    let wants_html = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if parts.uri.path().starts_with("/v1/") || !wants_html.is_some_and(|kinds| kinds.contains("text/html")) {
        return error.into_response();
    }
    match Visit::of(&app, &parts).await {
        Ok(visit) => {
            let error = ApiError::not_found("page");
            dressed(&app, &visit, PanelError::from(error).into_response(), &parts.headers).await
        }
        Err(error) => error.into_response(),
    }
}

/// What a page says that is asked in another way than it is there for.
pub(super) async fn no_forms() -> PanelError {
    let text = "a page is looked at, and a form is sent from its page";
    PanelError::Api(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", text))
}

/// Reads a form and says whether it may be heard; its fields go with the request.
async fn form(app: &App, visit: &Visit, request: Request) -> ApiResult<Request> {
    let refused = |text: &str| ApiError::new(StatusCode::FORBIDDEN, "forbidden", text);
    let path = request.uri().path().to_owned();
    if !is_of_our_pages(request.headers(), visit.transport) {
        return Err(refused("this form was sent by a page that is not ours"));
    }
    let (parts, body) = request.into_parts();
    let read = Request::from_parts(parts.clone(), body);
    let fields = Fields::read(&bodies::whole(read, &()).await?)?;
    if visit.visitor.is_none() && !HARMLESS.contains(&path.as_str()) {
        let ended = ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "your session has ended: nothing was done",
        );
        return Err(ended.hint("log in in another tab, go back in this one, and send the form again"));
    }
    let is_good = |secret: &str| tokens::is_good(secret, fields.raw("token"));
    // Of two tabs with the login form one is sent when the other has logged in already.
    let of_login = path == "/login" && visit.before_login.as_deref().is_some_and(is_good);
    if !is_good(&visit.secret) && !of_login {
        return Err(refused("this form is of a session that has ended, or was not sent from its page")
            .hint("go back, load the page anew and send the form again"));
    }
    if !HARMLESS.contains(&path.as_str()) {
        refuse_unaccepted(app).await?;
    }
    let mut request = Request::from_parts(parts, Body::empty());
    request.extensions_mut().insert(fields);
    Ok(request)
}

/// Whether browsers say that a form comes from a page of ours. Old ones say nothing, and there is the token, too.
///
/// A page of this host that came in the clear is none of ours where ours come by TLS: whoever sits in between may have written it.
/// How ours come is known only as far as a proxy tells it. Behind one that does not, pages of either kind are ours: browsers say
/// nothing of the site when they open a socket.
pub(super) fn is_of_our_pages(headers: &HeaderMap, transport: Transport) -> bool {
    let said = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = said(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Some((scheme, from)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let is_alike = match transport {
        Transport::Tls => scheme == "https",
        Transport::Plain => matches!(scheme, "http" | "https"),
    };
    is_alike && Some(from) == said(header::HOST)
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    status: u16,
    heading: &'static str,
    said: Vec<String>,
    hint: Option<String>,
    request_id: String,
}

fn heading(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "You may not do this",
        404 => "There is no such page",
        405 => "This is no page to look at",
        409 => "This cannot be done now",
        410 => "This is gone",
        413 => "That is too much",
        429 => "Too often",
        503 => "The brain is busy",
        500.. => "The brain failed",
        _ => "This cannot be done",
    }
}

fn error_page(app: &App, visit: &Visit, error: &ApiError) -> Result<Response, askama::Error> {
    let status = error.status();
    let page = ErrorPage {
        shell: Shell::new(app, visit, Section::Elsewhere, heading(status)),
        status: status.as_u16(),
        heading: heading(status),
        said: error.said().map(|(_, text)| text.to_owned()).collect(),
        hint: error.hint_text().map(str::to_owned),
        request_id: request_id(),
    };
    Ok((status, Html(page.render()?)).into_response())
}

/// The answer as a browser gets it.
async fn dressed(app: &App, visit: &Visit, answer: Response, asked: &HeaderMap) -> Response {
    let mut answer = match answer.extensions().get::<Undressed>().cloned() {
        None => answer,
        Some(Undressed(error)) => error_page(app, visit, &error)
            .unwrap_or_else(|error| super::failure::unwritable(&error).into_response()),
    };
    let is_page = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_page {
        return answer;
    }
    if visit.is_new {
        let cookie = cookies::set(cookies::VISIT, &visit.secret, Kept::Open, visit.transport);
        headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    }
    // What was said was said, unless there is something new.
    if visit.flash.is_some() {
        let cookie = cookies::set(cookies::FLASH, "", Kept::Never, visit.transport);
        headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    }
    packed(answer, asked).await
}

async fn packed(answer: Response, asked: &HeaderMap) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding, cookie"));
    let plain: Bytes = match axum::body::to_bytes(body, LARGEST_PAGE).await {
        Ok(plain) => plain,
        Err(error) => {
            tracing::error!(%error, "a page could not be read again");
            return ApiError::internal("the page could not be written").into_response();
        }
    };
    if !reads_gzip(asked) {
        return Response::from_parts(parts, Body::from(plain));
    }
    match zipped(&plain, Compression::new(4)) {
        Ok(bytes) => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(error) => {
            tracing::warn!(%error, "a page could not be packed, and is sent as it is");
            Response::from_parts(parts, Body::from(plain))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_come_from_our_own_pages() {
        let check_by = |transport, pairs: &[(&'static str, &'static str)], expected: bool| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(is_of_our_pages(&headers, transport), expected, "{transport:?} {pairs:?}");
        };
        let check = |pairs: &[_], expected| check_by(Transport::Plain, pairs, expected);
        check(&[("host", "brain:7070")], true);
        check(
            &[("host", "brain:7070"), ("origin", "http://brain:7070"), ("sec-fetch-site", "same-origin")],
            true,
        );
        check(&[("host", "brain:7070"), ("origin", "http://evil.example")], false);
        check(&[("host", "brain:7070"), ("origin", "null")], false);
        check(&[("host", "brain:7070"), ("sec-fetch-site", "cross-site")], false);
        check(&[("host", "brain:7070"), ("sec-fetch-site", "same-site")], false);
        check(&[("host", "brain:7070"), ("origin", "http://brain:7071")], false);
        check(&[("host", "brain"), ("origin", "http://brain")], true);
        check(&[("host", "brain"), ("origin", "brain")], false);
        // A page that came in the clear is none of a brain that is reached by TLS.
        let (clear, by_tls) = (("origin", "http://brain"), ("origin", "https://brain"));
        check_by(Transport::Tls, &[("host", "brain"), clear], false);
        check_by(Transport::Tls, &[("host", "brain"), clear, ("sec-fetch-site", "same-origin")], false);
        check_by(Transport::Tls, &[("host", "brain"), by_tls], true);
        // Behind a proxy that does not tell us; of a socket Chromium says nothing but where its page came from.
        check(&[("host", "brain"), by_tls], true);
        check(&[("host", "brain"), by_tls, ("sec-fetch-site", "same-origin")], true);
        check(&[("host", "brain"), ("origin", "https://brain:7443")], false);
        check(&[("host", "brain"), ("origin", "ftp://brain")], false);
    }
}
