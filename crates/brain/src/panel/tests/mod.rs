//! The panel as a browser sees it, without a browser: who gets which page, which forms are heard.

mod archive;
mod console;
mod guests;
mod login;
mod pages;
mod people;
mod rooms;

use crate::app::App;
use crate::http::people_tests::{Office, PASSWORD};
use crate::http::router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use std::collections::BTreeMap;
use tower::ServiceExt as _;

/// A browser that keeps cookies and knows no scripts.
pub(in crate::panel) struct Browser {
    app: App,
    pub(super) cookies: BTreeMap<String, String>,
    /// The token of the last page that had one.
    pub(super) token: String,
}

pub(in crate::panel) struct Seen {
    pub(in crate::panel) status: u16,
    pub(in crate::panel) headers: HeaderMap,
    pub(in crate::panel) body: String,
}

impl Seen {
    pub(in crate::panel) fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }
}

impl Browser {
    pub(in crate::panel) fn new(app: &App) -> Browser {
        Browser { app: app.clone(), cookies: BTreeMap::new(), token: String::new() }
    }

    pub(super) async fn ask(&mut self, request: axum::http::request::Builder, body: String) -> Seen {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(header::COOKIE, cookies.join("; ")).header(header::ACCEPT, "text/html");
        let response =
            router(self.app.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes = axum::body::to_bytes(response.into_body(), 8 << 20).await.unwrap();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        if let Some((_, rest)) = body.split_once("name=\"token\" value=\"") {
            self.token = rest.split('"').next().unwrap().to_owned();
        }
        Seen { status, headers, body }
    }

    pub(in crate::panel) async fn get(&mut self, path: &str) -> Seen {
        self.ask(Request::builder().uri(path), String::new()).await
    }

    pub(in crate::panel) async fn post(&mut self, path: &str, fields: &str) -> Seen {
        let token = self.token.clone();
        self.post_with(path, &format!("token={token}&{fields}"), None).await
    }

    pub(super) async fn post_with(&mut self, path: &str, body: &str, origin: Option<&str>) -> Seen {
        let mut request = Request::builder().method("POST").uri(path);
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        request = request.header(header::HOST, "brain.example");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        self.ask(request, body.to_owned()).await
    }

    pub(in crate::panel) async fn logged_in(app: &App, name: &str) -> Browser {
        let mut browser = Browser::new(app);
        browser.get("/login").await;
        let password = PASSWORD.replace(' ', "+");
        let seen = browser.post("/login", &format!("login={name}&password={password}")).await;
        assert_eq!((seen.status, seen.location()), (303, "/"), "{}", seen.body);
        browser.get("/guests").await;
        browser
    }
}

/// Acme has a guest; people of all kinds have passwords.
pub(in crate::panel) async fn office() -> (Office, i64) {
    let office = Office::new().await;
    let guest = office.world.order("acme-web").await.id;
    office.world.settle(guest).await;
    let other = office.operate("POST", "/v1/accounts", serde_json::json!({ "name": "other" })).await;
    let account = office.world.guest(guest).await.account_id;
    office.person("stranger", &[(other["id"].as_i64().unwrap(), "admin")]).await;
    office.person("viewer", &[(account, "viewer")]).await;
    office.person("admin", &[(account, "admin")]).await;
    let operator = office.person("operator", &[]).await;
    let path = format!("/v1/people/{operator}");
    office.operate("PATCH", &path, serde_json::json!({ "operator": true })).await;
    (office, guest)
}
