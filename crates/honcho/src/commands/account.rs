//! `honcho account`: who owns guests.

mod cancel;
mod quota;
mod samples;
mod suspend;
mod update;
mod usage;

use crate::age::{age, span};
use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::listing::{self, ListArguments};
use crate::output::Tone;
use crate::resolve;
use crate::table::{Cell, details};
use crate::values;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, AccountCreate, Guest};
use honcho_model::account::{AccountStatus, SampleValues};
use honcho_model::guest::{GuestStatus, Power};
use honcho_model::quota::Kind;
use std::time::Duration;

const CREATE_EXAMPLES: &str = "\
Examples:
  honcho account create acme
  honcho account create acme --limit-guests 20 --limit-memory 64G
  honcho account create acme --grace 30d --reference customer-4711";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Its name: lower-case letters, digits and hyphens
        name: String,
        /// How long what is cancelled is kept; 14d, when absent
        #[arg(long, value_name = "TIME", value_parser = values::duration)]
        grace: Option<Duration>,
        /// A key of your own: asked again with it, the brain answers with the same account
        #[arg(long, value_name = "KEY")]
        reference: Option<String>,
        #[command(flatten)]
        limits: update::LimitArguments,
    },
    /// List accounts
    #[command(
        after_help = "Examples:\n  honcho accounts list --sort name\n  honcho accounts list --status suspended"
    )]
    List {
        /// Only those with this status: active, suspended, cancelled, deleting or deleted
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Only the one that was made with this key of yours
        #[arg(long, value_name = "KEY")]
        reference: Option<String>,
        /// Also those that are cancelled or deleted
        #[arg(long)]
        cancelled: bool,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show(AccountArgument),
    /// Change the grace period or the limits of one
    Update(update::UpdateArguments),
    /// Show what one may have and what it has
    Quota(quota::QuotaArguments),
    /// Show what the guests of one, or of all, were in a month, from when to when
    Usage(usage::UsageArguments),
    /// Give one another name
    #[command(after_help = "Example:\n  honcho account rename acme acme-gmbh")]
    Rename {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(accounts))]
        account: String,
        /// The new name
        new_name: String,
    },
    /// Cancel one: its guests stop, and all it owns is deleted when its grace period ends
    #[command(visible_alias = "delete")]
    Cancel(cancel::CancelArguments),
    /// Take a cancelled one back
    Restore(cancel::RestoreArguments),
    /// Stop the guests of one, and let none start (it has not paid)
    Suspend(suspend::SuspendArguments),
    /// Let the guests of a suspended one run again
    Unsuspend(suspend::UnsuspendArguments),
    /// Keep the values in samples of its slow queries
    KeepSampleValues(samples::KeepArguments),
    /// Keep no values in samples of its slow queries, and remove those that were kept
    RedactSampleValues(samples::RedactArguments),
}

pub(crate) async fn run(context: &Context, command: AccountCommand) -> Result<(), CommandError> {
    match command {
        AccountCommand::Create { name, grace, reference, limits } => {
            let body = AccountCreate {
                name: Some(name),
                reference,
                grace_seconds: grace.map(values::seconds),
                ..limits.body()
            };
            let account: Account = context.client()?.create::<Account>(&body).await?;
            show(context, &account)
        }
        AccountCommand::List { status, reference, cancelled, list } => {
            let mut filters = Vec::new();
            // Whoever asks for what is cancelled by its status means it.
            if cancelled || status.as_deref().is_some_and(|status| !matches!(status, "active" | "suspended"))
            {
                filters.push(("cancelled", "true".to_owned()));
            }
            filters.extend(status.map(|status| ("status", status)));
            filters.extend(reference.map(|reference| ("reference", reference)));
            let accounts: Vec<Account> = list.fetch(context, filters).await?;
            let nothing = "There are no accounts yet: `honcho account create NAME` makes one.";
            listing::show(
                context,
                &accounts,
                nothing,
                &["ID", "NAME", "STATUS", "GRACE", "REFERENCE", "CREATED"],
                |account| {
                    vec![
                        Cell::number(account.id),
                        Cell::text(&account.name),
                        status_cell(account.status),
                        Cell::text(grace(account)),
                        Cell::maybe(account.reference.as_ref()),
                        Cell::text(age(account.created_at, context.output.now())),
                    ]
                },
            )
        }
        AccountCommand::Update(arguments) => update::run(context, &arguments).await,
        AccountCommand::Quota(arguments) => quota::run(context, &arguments).await,
        AccountCommand::Usage(arguments) => usage::run(context, &arguments).await,
        AccountCommand::Show(account) => show(context, &account.find(context).await?),
        AccountCommand::Rename { account, new_name } => {
            let account: Account = resolve::one(context, &account).await?;
            let body = serde_json::json!({ "name": new_name });
            show(context, &context.client()?.update::<Account>(account.id, &body).await?)
        }
        AccountCommand::Cancel(arguments) => cancel::cancel(context, &arguments).await,
        AccountCommand::Restore(arguments) => cancel::restore(context, &arguments).await,
        AccountCommand::Suspend(arguments) => suspend::suspend(context, &arguments).await,
        AccountCommand::Unsuspend(arguments) => suspend::unsuspend(context, &arguments).await,
        AccountCommand::KeepSampleValues(arguments) => samples::keep(context, &arguments).await,
        AccountCommand::RedactSampleValues(arguments) => samples::redact(context, &arguments).await,
    }
}

/// An account, which may be cancelled.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AccountArgument {
    /// Name or id
    #[arg(value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: String,
}

impl AccountArgument {
    /// The account that is meant.
    async fn find(&self, context: &Context) -> Result<Account, CommandError> {
        resolve::account(context, &self.account).await
    }
}

/// So many names are said; more are counted.
const MOST_NAMES: usize = 20;

/// Which of these guests would stop, as a half-sentence.
fn guests_that_run(guests: &[Guest]) -> String {
    let runs = |guest: &&Guest| {
        guest.power == Power::Running
            && guest.cancelled_at.is_none()
            && guest.status != GuestStatus::Suspended
    };
    let names: Vec<&str> = guests.iter().filter(runs).map(|guest| guest.name.as_str()).collect();
    match names.as_slice() {
        [] => "no guest of it runs".to_owned(),
        [name] => format!("guest {name} stops"),
        names if names.len() <= MOST_NAMES => format!("guests {} stop", names.join(", ")),
        names => {
            let (said, more) = names.split_at(MOST_NAMES);
            format!("guests {} and {} more stop", said.join(", "), more.len())
        }
    }
}

fn status_cell(status: AccountStatus) -> Cell {
    let tone = match status {
        AccountStatus::Active => Tone::Good,
        AccountStatus::Suspended | AccountStatus::Cancelled => Tone::Bad,
        AccountStatus::Deleting => Tone::Busy,
        AccountStatus::Deleted => Tone::Faint,
    };
    Cell::text(status.as_str()).tone(tone)
}

fn grace(account: &Account) -> String {
    span(u64::try_from(account.grace_seconds).unwrap_or(0))
}

fn show(context: &Context, account: &Account) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(account);
    }
    let mut rows = vec![
        ("id", Cell::text(account.id.to_string())),
        ("uuid", Cell::text(account.uuid.to_string())),
        ("status", status_cell(account.status)),
    ];
    rows.extend(account.suspended_reason.as_ref().map(|reason| ("reason", Cell::text(reason))));
    rows.push(("grace", Cell::text(grace(account))));
    let limits = [
        ("limit guests", Kind::Guests, account.limit_guests),
        ("limit vcpus", Kind::Vcpus, account.limit_vcpus),
        ("limit memory", Kind::Memory, account.limit_memory_bytes),
        ("limit disk", Kind::Disk, account.limit_disk_bytes),
        ("limit public addresses", Kind::PublicAddresses, account.limit_public_addresses),
        ("limit images", Kind::Images, account.limit_image_bytes),
    ];
    rows.extend(
        limits.into_iter().filter_map(|(name, kind, limit)| Some((name, Cell::text(kind.show(limit?))))),
    );
    let sample_values = match account.sample_values {
        SampleValues::Kept => "kept",
        SampleValues::Redacted => "redacted",
    };
    rows.push(("values in samples", Cell::text(sample_values)));
    rows.push(("reference", Cell::maybe(account.reference.as_ref())));
    rows.push(("created", Cell::text(age(account.created_at, output.now()))));
    let times = [
        ("suspended", account.suspended_at),
        ("cancelled", account.cancelled_at),
        ("is deleted", account.deletes_at.filter(|_| account.deleted_at.is_none())),
        ("deleted", account.deleted_at),
    ];
    rows.extend(times.into_iter().filter_map(|(name, at)| Some((name, Cell::text(age(at?, output.now()))))));
    output.print(&details(output, &format!("account {}", account.name), rows))
}
