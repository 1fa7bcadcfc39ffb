//! `honcho account usage`.

use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::listing;
use crate::resolve;
use crate::table::Cell;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::Usage;
use reqwest::Method;

const AFTER_HELP: &str = "\
Each line is what a guest was for a while: lines of one guest follow each other without gap or overlap, from
its order until its deletion is asked for. Months are those of UTC; the month that is not over goes up to now.

Examples:
  honcho account usage acme --month 2026-11
  honcho account usage acme --month 2026-11 --csv > acme-2026-11.csv
  honcho account usage --month 2026-11 --csv";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct UsageArguments {
    /// Name or id; every account, when absent (operators)
    #[arg(value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// Which month, as in 2026-11
    #[arg(long, value_name = "YEAR-MONTH")]
    month: String,
    /// Print it as CSV
    #[arg(long)]
    csv: bool,
}

pub(crate) async fn run(context: &Context, arguments: &UsageArguments) -> Result<(), CommandError> {
    let client = context.client()?;
    let path = match &arguments.account {
        Some(account) => format!("/v1/accounts/{}/usage", resolve::account(context, account).await?.id),
        None => "/v1/usage".to_owned(),
    };
    let query = [("month", arguments.month.clone())];
    if arguments.csv {
        let request = client.request(Method::GET, &format!("{path}.csv")).query(&query);
        let mut answer = client.send(request).await?;
        while let Some(bytes) = answer
            .chunk()
            .await
            .map_err(|error| CommandError::failed("the brain broke off in the midst of it").cause(&error))?
        {
            context.output.raw(&bytes)?;
        }
        return Ok(());
    }
    let usage: Vec<Usage> = client.get_path(&format!("{path}.json"), &query).await?;
    let nothing = "No guest was there in that month.";
    let headings =
        ["GUEST", "STATE", "VCPUS", "MEMORY", "DISK", "ADDRESSES", "PUBLIC", "FROM", "UNTIL", "SECONDS"];
    listing::show(context, &usage, nothing, &headings, |row| {
        let time = |at: jiff::Timestamp| Cell::text(at.strftime("%Y-%m-%d %H:%M:%S").to_string());
        vec![
            Cell::text(&row.guest_name),
            Cell::text(&row.state),
            Cell::number(row.vcpus),
            Cell::size(row.memory_bytes),
            Cell::size(row.disk_bytes),
            Cell::number(row.addresses_count),
            Cell::number(row.public_addresses_count),
            time(row.begun_at),
            time(row.ended_at),
            Cell::number(row.seconds),
        ]
    })
}
