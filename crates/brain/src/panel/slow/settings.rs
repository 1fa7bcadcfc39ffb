//! What of slow queries an account is told, and whether its samples keep their values.

use crate::app::App;
use crate::http::ApiResult;
use crate::operations::{AccountSampleValues, SlowSettingsChange};
use crate::panel::failure::PanelResult;
use crate::panel::fields::Fields;
use crate::panel::problems::Problems;
use crate::panel::shell::{Flash, Section, Shell, go, page_with};
use crate::panel::visitor::{Guarded, PageId};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use honcho_api::{Account, SlowSettings, SlowSettingsUpdate};
use honcho_model::AccountId;
use honcho_model::account::SampleValues;
use honcho_store::{accounts, slow};

/// What somebody filled in, or what is set.
struct SettingsForm {
    mail_to: String,
    weekly_mail: bool,
    top_queries_count: String,
    problems: Problems,
}

#[derive(Template)]
#[template(path = "slow_settings.html")]
struct SettingsPage {
    shell: Shell,
    account: Account,
    form: SettingsForm,
    keeps_values: bool,
    may_change: bool,
}

async fn shown_with(
    app: &App,
    guarded: &Guarded,
    id: i64,
    form: Option<SettingsForm>,
) -> PanelResult<Response> {
    let reader = app.store.reader();
    let account = accounts::get(reader, guarded.visitor.scope(), AccountId(id)).await?;
    let set = slow::settings(reader, AccountId(account.id)).await?;
    let status = if form.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let form = form.unwrap_or_else(|| SettingsForm {
        mail_to: set.mail_to.unwrap_or_default(),
        weekly_mail: set.weekly_mail,
        top_queries_count: set.top_queries_count.to_string(),
        problems: Problems::default(),
    });
    let title = format!("What {} is told", account.name);
    let page = SettingsPage {
        shell: Shell::new(app, &guarded.visit, Section::SlowQueries, title),
        form,
        keeps_values: account.sample_values == SampleValues::Kept,
        may_change: guarded.visitor.may_change(id),
        account,
    };
    page_with(status, &page)
}

/// The page.
pub(in crate::panel) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    shown_with(&app, &guarded, id, None).await
}

async fn changed(app: &App, guarded: &Guarded, id: i64, fields: &Fields) -> ApiResult<SlowSettings> {
    let writer = guarded.visitor.writer()?;
    let body = SlowSettingsUpdate {
        top_queries_count: fields.number("top_queries_count")?,
        mail_to: Some(fields.raw("mail_to").trim().to_owned()),
        weekly_mail: Some(fields.is_ticked("weekly_mail")),
    };
    let change = SlowSettingsChange { scope: writer.scope, id: AccountId(id), body };
    Ok(app.write(writer.actor, &change).await?)
}

/// Changes what it is told.
pub(in crate::panel) async fn change(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    match changed(&app, &guarded, id, &fields).await {
        Ok(_) => {
            let flash = Flash::done("What is told from now on is changed.");
            Ok(go(&format!("/accounts/{id}/slow_settings"), Some(flash), guarded.visit.transport))
        }
        Err(error) => {
            let form = SettingsForm {
                mail_to: fields.raw("mail_to").to_owned(),
                weekly_mail: fields.is_ticked("weekly_mail"),
                top_queries_count: fields.raw("top_queries_count").to_owned(),
                problems: Problems::of(error)?,
            };
            shown_with(&app, &guarded, id, Some(form)).await
        }
    }
}

/// Keeps the values in samples from now on, or keeps them no more and removes those that were kept.
pub(in crate::panel) async fn samples(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    fields: Fields,
) -> PanelResult<Response> {
    let writer = guarded.visitor.writer()?;
    let sample_values =
        if fields.raw("sample_values") == "kept" { SampleValues::Kept } else { SampleValues::Redacted };
    let change = AccountSampleValues { scope: writer.scope, id: AccountId(id), sample_values };
    app.write(writer.actor, &change).await?;
    let said = match sample_values {
        SampleValues::Kept => "Samples keep their values from now on.",
        SampleValues::Redacted => "Samples keep no values, and those that were kept are gone.",
    };
    Ok(go(&format!("/accounts/{id}/slow_settings"), Some(Flash::done(said)), guarded.visit.transport))
}
