//! `honcho account quota`.

use super::AccountArgument;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::output::Tone;
use crate::table::{Cell, table};
use honcho_api::Quota;
use honcho_model::quota::Kind;

const AFTER_HELP: &str = "\
Cancelled guests count with their disks and addresses, until they are deleted.

Examples:
  honcho account quota acme
  honcho account quota acme --json | jq .memory_used_bytes";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct QuotaArguments {
    #[command(flatten)]
    account: AccountArgument,
}

pub(crate) async fn run(context: &Context, arguments: &QuotaArguments) -> Result<(), CommandError> {
    let account = arguments.account.find(context).await?;
    let path = format!("/v1/accounts/{}/quota.json", account.id);
    let quota: Quota = context.client()?.get_path(&path, &[]).await?;
    if context.output.json {
        return context.output.json(&quota);
    }
    let rows = [
        (Kind::Guests, quota.guests_used, quota.guests_limit),
        (Kind::Vcpus, quota.vcpus_used, quota.vcpus_limit),
        (Kind::Memory, quota.memory_used_bytes, quota.memory_limit_bytes),
        (Kind::Disk, quota.disk_used_bytes, quota.disk_limit_bytes),
        (Kind::PublicAddresses, quota.public_addresses_used, quota.public_addresses_limit),
        (Kind::Images, quota.images_used_bytes, quota.images_limit_bytes),
    ];
    let row = |(kind, used, limit): (Kind, i64, Option<i64>)| {
        let left = limit.map(|limit| (limit - used).max(0));
        let tone = if left == Some(0) { Tone::Bad } else { Tone::Plain };
        let number =
            |amount: Option<i64>| amount.map_or_else(Cell::none, |amount| Cell::number(kind.show(amount)));
        vec![Cell::text(kind.words()), Cell::number(kind.show(used)).tone(tone), number(limit), number(left)]
    };
    let rows = rows.into_iter().map(row).collect();
    context.output.print(&table(&context.output, &["OF", "USED", "LIMIT", "LEFT"], rows))
}
