//! Accounts: who owns, what each may have and has, and the tokens of its programs.

use super::failure::PanelResult;
use super::fields::Fields;
use super::hosts::Used;
use super::problems::Problems;
use super::shell::{Flash, Section, Shell, go, page, page_with};
use super::shown::{self, Badge, Moment};
use super::visitor::{Asking, Guarded, PageId};
use crate::app::App;
use crate::http::ApiResult;
use crate::operations::{TokenCreate, TokenDelete};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::{Account, Token};
use honcho_model::account::AccountStatus;
use honcho_model::{AccountId, TokenId};
use honcho_store::{Filters, accounts, quotas, tokens};
use serde::Deserialize;

/// How many rows the table has, and how many tokens are listed.
const ROWS: i64 = 100;

/// Seconds of a day.
const DAY: i64 = 86_400;

struct Row {
    id: i64,
    name: String,
    status: Badge,
    limits: String,
    made: Moment,
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    shell: Shell,
    rows: Vec<Row>,
    more: Option<String>,
}

/// From where on a list is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    after: Option<i64>,
}

fn badge(status: AccountStatus) -> Badge {
    let tone = match status {
        AccountStatus::Active => "good",
        AccountStatus::Suspended => "warn",
        AccountStatus::Cancelled | AccountStatus::Deleted => "off",
        AccountStatus::Deleting => "busy",
    };
    Badge { word: status.as_str(), tone }
}

fn limits(account: &Account) -> String {
    let words = [
        account.limit_guests.map(|limit| format!("{limit} guests")),
        account.limit_vcpus.map(|limit| format!("{limit} vCPUs")),
        account.limit_memory_bytes.map(|limit| format!("{} memory", shown::size(limit))),
        account.limit_disk_bytes.map(|limit| format!("{} disk", shown::size(limit))),
        account.limit_public_addresses.map(|limit| format!("{limit} public addresses")),
        account.limit_image_bytes.map(|limit| format!("{} images", shown::size(limit))),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The table. Who is of one account is shown that.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    Asking(asked): Asking<Asked>,
) -> PanelResult<Response> {
    let scope = guarded.visitor.scope();
    if let Some(account) = scope.sole_account() {
        return Ok(go(&format!("/accounts/{account}"), guarded.visit.flash.clone(), guarded.visit.transport));
    }
    let (limit, after) = (Some(ROWS), asked.after);
    let filters = Filters { limit, after, with_cancelled: true, without_deleted: true, ..Filters::default() };
    let found = accounts::list(app.store.reader(), scope, &filters).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == ROWS);
    let more = found.last().filter(|_| is_full).map(|last| format!("/accounts?after={}", last.id));
    let row = |account: Account| Row {
        id: account.id,
        status: badge(account.status),
        limits: limits(&account),
        made: shown::moment(account.created_at, app.now()),
        name: account.name,
    };
    let rows = found.into_iter().map(row).collect();
    page(&AccountsPage { shell: Shell::new(&app, &guarded.visit, Section::Accounts, "Accounts"), rows, more })
}

/// Something that an account may have and has.
struct Share {
    label: &'static str,
    used: Option<Used>,
    /// Where there is no limit.
    said: String,
}

struct TokenRow {
    id: i64,
    name: String,
    scope: String,
    expires: Option<Moment>,
    last_used: Option<Moment>,
}

/// What somebody filled in.
#[derive(Default)]
struct TokenForm {
    name: String,
    scope: String,
    days: String,
    problems: Problems,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    account: Account,
    status: Badge,
    grace: String,
    shares: Vec<Share>,
    tokens: Vec<TokenRow>,
    form: TokenForm,
    /// A secret, which is shown once.
    secret: Option<(String, String)>,
    may_change: bool,
}

fn share(label: &'static str, used: i64, limit: Option<i64>, show: fn(i64) -> String) -> Share {
    match limit {
        Some(limit) => Share {
            label,
            used: Some(Used {
                percent: if limit == 0 { 100 } else { (used.saturating_mul(100) / limit).min(100) },
                said: format!("{} of {}", show(used), show(limit)),
            }),
            said: String::new(),
        },
        None => Share { label, used: None, said: format!("{}, without a limit", show(used)) },
    }
}

async fn shares(app: &App, account: &Account) -> PanelResult<Vec<Share>> {
    let used = quotas::used(app.store.reader(), AccountId(account.id)).await?;
    let plain: fn(i64) -> String = |count| count.to_string();
    Ok(vec![
        share("Guests", used.guests, account.limit_guests, plain),
        share("vCPUs", used.vcpus, account.limit_vcpus, plain),
        share("Memory", used.memory, account.limit_memory_bytes, shown::size),
        share("Disk", used.disk, account.limit_disk_bytes, shown::size),
        share("Public addresses", used.public_addresses, account.limit_public_addresses, plain),
        share("Images", used.images, account.limit_image_bytes, shown::size),
    ])
}

async fn account_page(
    app: &App,
    guarded: &Guarded,
    id: i64,
    form: TokenForm,
    secret: Option<Token>,
) -> PanelResult<Response> {
    let visitor = &guarded.visitor;
    let account = accounts::get(app.store.reader(), visitor.scope(), AccountId(id)).await?;
    let may_change = visitor.may_change(id);
    let mut rows = Vec::new();
    if may_change {
        let filters = Filters { limit: Some(ROWS), ..Filters::default() }.and("account_id", id);
        let found = tokens::list(app.store.reader(), visitor.writer()?.scope, &filters).await?;
        let moment = |at: Option<jiff::Timestamp>| at.map(|at| shown::moment(at, app.now()));
        rows.extend(found.into_iter().map(|token| TokenRow {
            id: token.id,
            name: token.name,
            scope: token.scope,
            expires: moment(token.expires_at),
            last_used: moment(token.last_used_at),
        }));
    }
    let status = match (&secret, form.problems.0.is_empty()) {
        (Some(_), _) => StatusCode::CREATED,
        (None, true) => StatusCode::OK,
        (None, false) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = AccountPage {
        shell: Shell::new(app, &guarded.visit, Section::Accounts, account.name.clone()),
        status: badge(account.status),
        grace: format!("{} days", account.grace_seconds / DAY),
        shares: shares(app, &account).await?,
        tokens: rows,
        form,
        secret: secret.and_then(|token| Some((token.name, token.secret?))),
        may_change,
        account,
    };
    page_with(status, &page)
}

/// The page of one.
pub(super) async fn one(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    account_page(&app, &guarded, id, TokenForm::default(), None).await
}

async fn made(app: &App, guarded: &Guarded, account: i64, fields: &Fields) -> ApiResult<Token> {
    let writer = guarded.visitor.writer()?;
    let body = honcho_api::TokenCreate {
        name: fields.text("name"),
        scope: fields.text("scope"),
        account_id: Some(account),
        expires_in_seconds: fields.number("expires_in_days")?.map(|days| days.saturating_mul(DAY)),
        ..honcho_api::TokenCreate::default()
    };
    let secret = app.outside.secret();
    let change = TokenCreate { scope: writer.scope, secret, ends_with: writer.expires_at, body };
    Ok(app.write(writer.actor, &change).await?)
}

/// Makes a token, whose secret the answer shows and no other page.
pub(super) async fn make_token(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    match made(&app, &guarded, id, &fields).await {
        Ok(token) => account_page(&app, &guarded, id, TokenForm::default(), Some(token)).await,
        Err(error) => {
            let form = TokenForm {
                name: fields.raw("name").to_owned(),
                scope: fields.raw("scope").to_owned(),
                days: fields.raw("expires_in_days").to_owned(),
                problems: Problems::of(error)?,
            };
            account_page(&app, &guarded, id, form, None).await
        }
    }
}

/// Ends a token.
pub(super) async fn end_token(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    let writer = guarded.visitor.writer()?;
    let token = TokenId(fields.number("token_id")?.unwrap_or(0));
    let ended = app.write_taking_away(writer.actor, &TokenDelete { scope: writer.scope, id: token }).await?;
    let flash = Flash::done(format!("The token {} is good no more.", ended.name));
    Ok(go(&format!("/accounts/{id}"), Some(flash), guarded.visit.transport))
}
