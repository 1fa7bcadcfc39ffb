//! `honcho slow settings`: what of slow queries an account is told.

use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, SlowSettings, SlowSettingsUpdate};

pub(super) const EXAMPLES: &str = "\
A query that was never seen before and enters the first so many of the last week is told of once (event slow_query.new), one that takes \
longer than in the four weeks before once each time that it becomes so (slow_query.worse). Webhooks carry these events; with an \
address they are mailed, too. The weekly mail comes on Mondays: what got worse, and what to do first.

Examples:
  honcho slow settings acme
  honcho slow settings acme --mail-to ops@example.com --weekly-mail on
  honcho slow settings acme --top 5
  honcho slow settings acme --mail-to '' --weekly-mail off";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SettingsArguments {
    /// The account: its name or id
    #[arg(add = ArgValueCandidates::new(accounts))]
    account: String,
    /// Tell of a new query when it is one of so many that take the most time; 0: of none
    #[arg(long, value_name = "N")]
    top: Option<i64>,
    /// Where mails go; empty for nowhere
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<String>,
    /// Whether a mail comes each week
    #[arg(long, value_name = "WHETHER", value_parser = ["on", "off"])]
    weekly_mail: Option<String>,
}

pub(super) async fn run(context: &Context, arguments: &SettingsArguments) -> Result<(), CommandError> {
    let account: Account = resolve::account(context, &arguments.account).await?;
    let path = format!("/v1/accounts/{}/slow_settings.json", account.id);
    let changes = arguments.top.is_some() || arguments.mail_to.is_some() || arguments.weekly_mail.is_some();
    let settings: SlowSettings = if changes {
        let body = SlowSettingsUpdate {
            top_queries_count: arguments.top,
            mail_to: arguments.mail_to.clone(),
            weekly_mail: arguments.weekly_mail.as_deref().map(|word| word == "on"),
        };
        context.client()?.put(&path, &body).await?
    } else {
        context.client()?.get_path(&path, &[]).await?
    };
    if context.output.json {
        return context.output.json(&settings);
    }
    let new_queries = match settings.top_queries_count {
        0 => "nobody is told of them".to_owned(),
        first => format!("told of among the first {first}"),
    };
    let rows = vec![
        ("new queries", Cell::text(new_queries)),
        ("mail to", Cell::maybe(settings.mail_to.as_ref())),
        ("weekly mail", Cell::text(if settings.weekly_mail { "on" } else { "off" })),
    ];
    context.output.print(&details(&context.output, &format!("slow queries of {}", account.name), rows))
}
