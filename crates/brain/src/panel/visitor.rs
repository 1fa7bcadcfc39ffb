//! Who looks at the panel: somebody who logged in, or nobody yet.

use super::cookies;
use super::failure::{PanelError, PanelResult};
use super::shell::Flash;
use crate::app::App;
use crate::credentials::{Known, SESSION_PREFIX};
use crate::http::{ApiError, ApiResult, Caller, Peer, Writer};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use honcho_store::Scope;
use honcho_store::sessions::KnownSession;

/// How browsers reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// By HTTP, on this machine.
    Plain,
    /// By TLS.
    Tls,
}

impl Transport {
    /// How this request came, where a proxy in front of us may have ended the TLS. Whoever lies about it hurts only themselves.
    pub(super) fn of(app: &App, headers: &HeaderMap) -> Transport {
        let forwarded = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        if forwarded { Transport::Tls } else { app.people_transport }
    }
}

/// How pages look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Theme {
    /// As the system has it.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    /// As cookies and the markup have it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    pub(super) fn parse(word: &str) -> Theme {
        match word {
            "light" => Theme::Light,
            "dark" => Theme::Dark,
            _ => Theme::System,
        }
    }
}

/// What is known of a request before its page is made.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) visitor: Option<Visitor>,
    /// What tokens of forms are made from.
    pub(super) secret: String,
    /// What the token of a login form is made from that was loaded before somebody logged in, in another tab.
    pub(super) before_login: Option<String>,
    /// Whether the browser has to be told that secret first.
    pub(super) is_new: bool,
    pub(super) theme: Theme,
    pub(super) flash: Option<Flash>,
    pub(super) transport: Transport,
    /// Path and query of what was asked for, or where a form is sent from.
    pub(super) here: String,
}

impl Visit {
    /// Looks who it is.
    pub(super) async fn of(app: &App, asked: &Parts) -> ApiResult<Visit> {
        let headers = &asked.headers;
        let transport = Transport::of(app, headers);
        let cookie = |name: &str| cookies::read(headers, name, transport);
        let source = asked.extensions.get::<Peer>().map(|peer| peer.0.ip().to_string());
        let shown = cookie(cookies::SESSION).filter(|secret| secret.starts_with(SESSION_PREFIX));
        let caller = match shown {
            Some(secret) => Caller::by_secret(app, secret, source).await?,
            None => None,
        };
        let visitor = caller.and_then(Visitor::of);
        let kept = cookie(cookies::VISIT).filter(|secret| secret.len() == 64);
        let (secret, is_new) = match (&visitor, shown, kept) {
            (Some(_), Some(session), _) => (session.to_owned(), false),
            (_, _, Some(visit)) => (visit.to_owned(), false),
            (_, _, None) => (app.outside.secret(), true),
        };
        Ok(Visit {
            visitor,
            secret,
            before_login: kept.map(str::to_owned),
            is_new,
            theme: cookie(cookies::THEME).map(Theme::parse).unwrap_or_default(),
            flash: cookie(cookies::FLASH).and_then(Flash::read),
            transport,
            here: match &asked.method {
                &Method::GET => asked.uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned(),
                _ => "/".to_owned(),
            },
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = PanelError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> PanelResult<Self> {
        let visit = parts.extensions.get::<Visit>().cloned();
        visit.ok_or_else(|| PanelError::Api(ApiError::internal("the page does not know its visitor")))
    }
}

/// Somebody who is logged in.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    pub(super) session: KnownSession,
}

impl Visitor {
    pub(super) fn of(caller: Caller) -> Option<Visitor> {
        match &*caller.known {
            Known::Session(session) => Some(Visitor { session: session.clone(), caller }),
            Known::Token(_) => None,
        }
    }

    pub(super) fn scope(&self) -> Scope {
        self.caller.scope
    }

    pub(super) fn is_operator(&self) -> bool {
        self.session.operator
    }

    /// Whether they may change what this account owns.
    pub(super) fn may_change(&self, account: i64) -> bool {
        let admin = |grant: &honcho_api::Grant| grant.account_id == account && grant.scope == "admin";
        self.is_operator() || self.session.grants.iter().any(admin)
    }

    /// As somebody who may change things, or 403.
    pub(super) fn writer(&self) -> ApiResult<Writer> {
        Writer::of_caller(self.caller.clone())
    }

    /// As an operator, or 403.
    pub(super) fn operator(&self) -> ApiResult<()> {
        if self.is_operator() {
            return Ok(());
        }
        Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", "only operators may see this page"))
    }
}

/// The id in the address of a page; what is no id names no page.
pub(super) struct PageId(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for PageId {
    type Rejection = PanelError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> PanelResult<Self> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|path| path.0.parse().ok()).filter(|id| *id > 0);
        id.map(PageId).ok_or_else(|| PanelError::Api(ApiError::not_found("page")))
    }
}

/// What stands behind the question mark of a page's address.
pub(super) struct Asking<T>(pub(super) T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asking<T> {
    type Rejection = PanelError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> PanelResult<Self> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|query| Asking(query.0)).map_err(|error| {
            PanelError::Api(ApiError::new(StatusCode::BAD_REQUEST, "bad_query", error.body_text()))
        })
    }
}

/// A page that only somebody who is logged in sees.
pub(super) struct Guarded {
    pub(super) visit: Visit,
    pub(super) visitor: Visitor,
}

impl<S: Send + Sync> FromRequestParts<S> for Guarded {
    type Rejection = PanelError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> PanelResult<Self> {
        let visit = Visit::from_request_parts(parts, state).await?;
        match visit.visitor.clone() {
            Some(visitor) => Ok(Guarded { visit, visitor }),
            None => Err(PanelError::LogIn { next: visit.here }),
        }
    }
}
