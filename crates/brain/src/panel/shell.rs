//! What is around every page: its title, who looks, where they may go, what was said last.

use super::assets;
use super::cookies::{self, Kept};
use super::failure::{PanelResult, unwritable};
use super::tokens;
use super::visitor::{Transport, Visit, Visitor};
use crate::app::App;
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A part of the panel, as the navigation has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Hosts,
    Guests,
    Networks,
    Images,
    Archive,
    Placement,
    Capacity,
    SlowQueries,
    Accounts,
    People,
    Events,
    Search,
    /// None: logging in, an error.
    Elsewhere,
}

/// Somewhere to go.
pub(super) struct Link {
    pub(super) section: Section,
    pub(super) address: &'static str,
    pub(super) label: &'static str,
}

/// Where a visitor may go.
fn links(app: &App, visitor: &Visitor) -> Vec<Link> {
    let link = |section, address, label| Link { section, address, label };
    let mut links = if visitor.is_operator() {
        vec![
            link(Section::Overview, "/", "Overview"),
            link(Section::Hosts, "/hosts", "Hosts"),
            link(Section::Guests, "/guests", "Guests"),
            link(Section::Networks, "/networks", "Networks"),
            link(Section::Images, "/images", "Images"),
            link(Section::Placement, "/placement", "Placement"),
            link(Section::Capacity, "/capacity", "Capacity"),
            link(Section::SlowQueries, "/slow_queries", "Slow queries"),
            link(Section::Accounts, "/accounts", "Accounts"),
            link(Section::People, "/people", "People"),
            link(Section::Events, "/events", "Events"),
        ]
    } else {
        let several = visitor.scope().sole_account().is_none();
        let account = if several { "Accounts" } else { "Account" };
        vec![
            link(Section::Guests, "/guests", "Guests"),
            link(Section::SlowQueries, "/slow_queries", "Slow queries"),
            link(Section::Accounts, "/accounts", account),
            link(Section::Events, "/events", "Events"),
        ]
    };
    if app.archive.is_some() {
        let behind = |link: &Link| matches!(link.section, Section::Images | Section::SlowQueries);
        let at = links.iter().position(behind).map_or(links.len(), |at| at + 1);
        links.insert(at, link(Section::Archive, "/archive", "Archive"));
    }
    links
}

/// What a page says once, about what was done on the page before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flash {
    /// `done` or `failed`.
    pub(super) tone: &'static str,
    pub(super) text: String,
}

/// So long is a cookie of it, at most, in bytes as they are sent: browsers drop cookies that are longer than 4096 with their names.
const LONGEST: usize = 3_000;

/// What stands for the rest, as it is sent.
const AND_MORE: &str = "%E2%80%A6";

impl Flash {
    pub(super) fn done(text: impl Into<String>) -> Flash {
        Flash { tone: "done", text: text.into() }
    }

    pub(super) fn failed(text: impl Into<String>) -> Flash {
        Flash { tone: "failed", text: text.into() }
    }

    pub(super) fn read(cookie: &str) -> Option<Flash> {
        let (tone, text) = cookie.split_once('.')?;
        let tone = ["done", "failed"].into_iter().find(|known| *known == tone)?;
        let text = percent_decode_str(text).decode_utf8().ok()?.into_owned();
        Some(Flash { tone, text })
    }

    fn written(&self) -> String {
        let mut written = format!("{}.{}", self.tone, utf8_percent_encode(&self.text, NON_ALPHANUMERIC));
        if written.len() <= LONGEST {
            return written;
        }
        written = format!("{}.", self.tone);
        for letter in self.text.chars() {
            let letter = utf8_percent_encode(letter.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC).to_string();
            if written.len() + letter.len() + AND_MORE.len() > LONGEST {
                break;
            }
            written.push_str(&letter);
        }
        written + AND_MORE
    }
}

/// What is around a page.
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) section: Section,
    pub(super) links: Vec<Link>,
    pub(super) person: Option<String>,
    /// What kind of person: `operator`, or the accounts.
    pub(super) standing: String,
    pub(super) theme: &'static str,
    pub(super) flash: Option<Flash>,
    /// For every form of the page.
    pub(super) token: String,
    pub(super) here: String,
    pub(super) sought: String,
    /// Whether what is shown is none.
    pub(super) simulated: bool,
    pub(super) css: String,
    pub(super) script: String,
    pub(super) icon: String,
}

impl Shell {
    pub(super) fn new(app: &App, visit: &Visit, section: Section, title: impl Into<String>) -> Shell {
        let visitor = visit.visitor.as_ref();
        let standing = visitor.map(|visitor| {
            let accounts: Vec<_> =
                visitor.session.grants.iter().map(|grant| grant.account_name.as_str()).collect();
            if visitor.is_operator() { "operator".to_owned() } else { accounts.join(", ") }
        });
        Shell {
            title: title.into(),
            section,
            links: visitor.map(|visitor| links(app, visitor)).unwrap_or_default(),
            person: visitor.map(|visitor| visitor.session.person_name.clone()),
            standing: standing.unwrap_or_default(),
            theme: visit.theme.word(),
            flash: visit.flash.clone(),
            token: form_token(app, visit),
            here: visit.here.clone(),
            sought: String::new(),
            simulated: app.simulated,
            css: assets::address("panel.css"),
            script: assets::address("panel.js"),
            icon: assets::address("icon.svg"),
        }
    }
}

/// A token for the forms of a page, or of a part of one.
pub(super) fn form_token(app: &App, visit: &Visit) -> String {
    tokens::made(&visit.secret, (app.outside.uuid(), app.outside.uuid()))
}

/// Writes a page.
pub(super) fn page(template: &impl Template) -> PanelResult<Response> {
    page_with(StatusCode::OK, template)
}

/// The same with another status.
pub(super) fn page_with(status: StatusCode, template: &impl Template) -> PanelResult<Response> {
    let html = template.render().map_err(|error| unwritable(&error))?;
    Ok((status, Html(html)).into_response())
}

/// Sends a browser elsewhere, after something was done.
pub(super) fn go(to: &str, flash: Option<Flash>, transport: Transport) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    headers.insert(header::LOCATION, to);
    let cookie =
        flash.and_then(|flash| cookies::set(cookies::FLASH, &flash.written(), Kept::Seconds(60), transport));
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

/// An address of this panel, or its front page: nobody is sent anywhere else.
pub(super) fn own_address(asked: &str) -> &str {
    let ours = asked.starts_with('/') && !asked.starts_with("//") && !asked.contains('\\');
    if ours && asked.bytes().all(|byte| (0x21..0x7f).contains(&byte)) { asked } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_once_survives_a_cookie() {
        let flash = Flash::done("web1 is stopped; “bye”, 100 %");
        assert_eq!(Flash::read(&flash.written()), Some(flash));
        assert_eq!(Flash::read("evil.text"), None);
        // However long, and in whatever script: the cookie is one that browsers keep, and no letter is cut in two.
        for text in ["a".repeat(9_000), "\u{fc}".repeat(2_000), "\u{1f9a6}".repeat(1_000)] {
            let written = Flash::failed(&*text).written();
            assert!(written.len() <= LONGEST && written.len() > LONGEST - 30, "{}", written.len());
            let read = Flash::read(&written).unwrap().text;
            assert!(
                text.starts_with(read.trim_end_matches('\u{2026}')) && read.ends_with('\u{2026}'),
                "{read}"
            );
        }
    }

    #[test]
    fn nobody_is_sent_away() {
        for ours in ["/", "/guests?status=running", "/guests/7"] {
            assert_eq!(own_address(ours), ours);
        }
        for other in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a b", "/\r\nx: y"] {
            assert_eq!(own_address(other), "/", "{other}");
        }
    }
}
