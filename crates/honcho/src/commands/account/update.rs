//! `honcho account update`.

use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::resolve;
use crate::values::{self, Limit};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, AccountCreate};
use std::time::Duration;

const AFTER_HELP: &str = "\
A limit binds from now on: what the account has beyond it stays, and it gets no more. `none` lifts one.
Of a cancelled guest only its disk and its addresses count.

Examples:
  honcho account update acme --limit-guests 20 --limit-memory 64G
  honcho account update acme --limit-memory none
  honcho account update acme --grace 30d";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["new_name", "grace", "limit_guests", "limit_vcpus", "limit_memory", "limit_disk", "limit_public_addresses",
        "limit_images"]))]
pub(crate) struct UpdateArguments {
    /// Name or id
    #[arg(add = ArgValueCandidates::new(accounts))]
    account: String,
    /// Another name
    #[arg(long = "name", value_name = "NAME")]
    new_name: Option<String>,
    /// How long what is cancelled is kept, as in 30d
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    grace: Option<Duration>,
    #[command(flatten)]
    limits: LimitArguments,
}

/// Limits of an account.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "they are the names of the options")]
pub(crate) struct LimitArguments {
    /// How many guests it may have, or none for no limit
    #[arg(long, value_name = "N", value_parser = values::limit)]
    limit_guests: Option<Limit>,
    /// How many vCPUs its guests may have together
    #[arg(long, value_name = "N", value_parser = values::limit)]
    limit_vcpus: Option<Limit>,
    /// How much memory they may have together, as in 64G
    #[arg(long, value_name = "SIZE", value_parser = values::size_limit)]
    limit_memory: Option<Limit>,
    /// How much disk they may have together, as in 2T
    #[arg(long, value_name = "SIZE", value_parser = values::size_limit)]
    limit_disk: Option<Limit>,
    /// How many public addresses it may hold
    #[arg(long, value_name = "N", value_parser = values::limit)]
    limit_public_addresses: Option<Limit>,
    /// How much its own images may have together, as they are kept, as in 20G
    #[arg(long, value_name = "SIZE", value_parser = values::size_limit)]
    limit_images: Option<Limit>,
}

impl LimitArguments {
    /// A body with these limits in it.
    pub(crate) fn body(&self) -> AccountCreate {
        AccountCreate {
            limit_guests: self.limit_guests.map(|limit| limit.0),
            limit_vcpus: self.limit_vcpus.map(|limit| limit.0),
            limit_memory_bytes: self.limit_memory.map(|limit| limit.0),
            limit_disk_bytes: self.limit_disk.map(|limit| limit.0),
            limit_public_addresses: self.limit_public_addresses.map(|limit| limit.0),
            limit_image_bytes: self.limit_images.map(|limit| limit.0),
            ..AccountCreate::default()
        }
    }
}

pub(crate) async fn run(context: &Context, arguments: &UpdateArguments) -> Result<(), CommandError> {
    let account: Account = resolve::one(context, &arguments.account).await?;
    let body = AccountCreate {
        name: arguments.new_name.clone(),
        grace_seconds: arguments.grace.map(values::seconds),
        ..arguments.limits.body()
    };
    super::show(context, &context.client()?.update::<Account>(account.id, &body).await?)
}
