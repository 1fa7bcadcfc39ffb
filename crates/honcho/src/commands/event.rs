//! `honcho event`: what happened, and who did it.

use crate::age::{age, span};
use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::completion::{accounts, guests};
use crate::context::Context;
use crate::listing;
use crate::output::Tone;
use crate::resolve::{self, Cancelled};
use crate::table::Cell;
use clap_complete::engine::ArgValueCandidates;
use futures::StreamExt;
use honcho_api::Event;
use honcho_api::client::{Client, ClientError};
use honcho_model::event::ResourceKind;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

const LIST_EXAMPLES: &str = "\
Examples:
  honcho events list
  honcho events list --guest web1 --limit 20
  honcho events list --account acme --kind guest.create
  honcho events list --resource host --resource-id 3
  honcho events list --severity alarm --json";

const FOLLOW_EXAMPLES: &str = "\
With --json each event is one line. When the brain restarts it goes on after the last event that it \
saw, so that none is lost. Ctrl-C ends it.

Examples:
  honcho event follow
  honcho event follow --after 0 --guest web1
  honcho event follow --after 4711 --severity alarm --json";

/// Which events.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct EventFilters {
    /// Only those after this one: the id of an event, or its cursor
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Only those of this kind, as in guest.create
    #[arg(long)]
    kind: Option<String>,
    /// Only these
    #[arg(long, value_parser = ["info", "alarm"])]
    severity: Option<String>,
    /// Only those about such things
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(ResourceKind::ALL.map(ResourceKind::as_str)))]
    resource: Option<String>,
    /// With --resource: only those about the one with this id
    #[arg(long, value_name = "ID", requires = "resource")]
    resource_id: Option<i64>,
    /// Only those of this account
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// Only those about this guest
    #[arg(long, value_name = "GUEST", conflicts_with = "resource", add = ArgValueCandidates::new(guests))]
    guest: Option<String>,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum EventCommand {
    /// List the latest events, oldest first
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        filters: EventFilters,
        /// Show so many at most: the latest
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Print events as they happen, from now on or from a cursor
    #[command(after_help = FOLLOW_EXAMPLES)]
    Follow {
        #[command(flatten)]
        filters: EventFilters,
        /// How long to try to reach a brain that went away meanwhile
        #[arg(long, value_name = "TIME", default_value = "2m", value_parser = crate::values::duration)]
        reconnect: Duration,
    },
}

pub(crate) async fn run(context: &Context, command: EventCommand) -> Result<(), CommandError> {
    match command {
        EventCommand::List { filters, limit } => list(context, &filters, limit).await,
        EventCommand::Follow { filters, reconnect } => follow(context, &filters, reconnect).await,
    }
}

impl EventFilters {
    /// What the brain filters by; the cursor apart.
    async fn query(&self, context: &Context) -> Result<Vec<(&'static str, String)>, CommandError> {
        let mut query = vec![];
        query.extend(self.kind.clone().map(|kind| ("kind", kind)));
        query.extend(self.severity.clone().map(|severity| ("severity", severity)));
        query.extend(self.resource.clone().map(|resource| ("resource", resource)));
        query.extend(self.resource_id.map(|id| ("resource_id", id.to_string())));
        if let Some(account) = &self.account {
            query.push(("account_id", resolve::account(context, account).await?.id.to_string()));
        }
        if let Some(guest) = &self.guest {
            let guest = resolve::guest(context, guest, self.account.as_deref(), Cancelled::Too).await?;
            query.push(("resource", "guest".to_owned()));
            query.push(("resource_id", guest.id.to_string()));
        }
        Ok(query)
    }
}

async fn list(context: &Context, filters: &EventFilters, limit: usize) -> Result<(), CommandError> {
    let events = latest(context, filters, limit).await?;
    let headings = ["ID", "WHEN", "KIND", "WHO", "ABOUT", "WHAT"];
    listing::show(context, &events, "There are no such events.", &headings, |event| {
        vec![
            Cell::number(event.id),
            Cell::text(age(event.created_at, context.output.now())),
            Cell::text(&event.kind).tone(if event.severity == "alarm" { Tone::Bad } else { Tone::Plain }),
            Cell::text(&event.actor),
            Cell::text(format!("{} {}", event.resource, event.resource_name)),
            Cell::text(format!("{}{}", alarm_sign(event), event.message)),
        ]
    })
}

/// The latest events that the filters let through, oldest first.
async fn latest(context: &Context, filters: &EventFilters, limit: usize) -> Result<Vec<Event>, CommandError> {
    let client = context.client()?;
    let mut query = filters.query(context).await?;
    let mut events: Vec<Event>;
    if let Some(after) = &filters.after {
        query.push(("after", after.clone()));
        events = client.get_path("/v1/events.json", &query).await?;
        events.drain(..events.len().saturating_sub(limit));
    } else {
        query.extend([("order", "descending".to_owned()), ("limit", limit.to_string())]);
        events = client.get_path("/v1/events.json", &query).await?;
        events.reverse();
    }
    Ok(events)
}

/// Where the log ends just now.
async fn end(client: &Client) -> Result<String, CommandError> {
    let query = [("order", "descending".to_owned()), ("limit", "1".to_owned())];
    let events: Vec<Event> = client.get_path("/v1/events.json", &query).await?;
    Ok(events.into_iter().next().map_or_else(|| "0".to_owned(), |event| event.cursor))
}

async fn follow(context: &Context, filters: &EventFilters, reconnect: Duration) -> Result<(), CommandError> {
    let client = context.client()?;
    let query = filters.query(context).await?;
    // From a cursor in any case, so that nothing is lost if the brain goes before the first event.
    let mut after = match &filters.after {
        Some(after) => after.clone(),
        None => end(client).await?,
    };
    let mut away_since: Option<Instant> = None;
    let mut first = true;
    loop {
        let mut query = query.clone();
        query.push(("after", after.clone()));
        match client.events(&query).await {
            Ok(stream) => {
                if away_since.take().is_some() {
                    context.output.note("The brain is back.");
                }
                let mut stream = pin!(stream);
                while let Some(event) = stream.next().await {
                    match event {
                        Ok(event) => {
                            print(context, &event)?;
                            after = event.cursor;
                        }
                        Err(ClientError::Unreachable { .. }) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            // A brain that was not there to begin with is an error at once.
            Err(error @ ClientError::Unreachable { .. }) if first => return Err(error.into()),
            Err(ClientError::Unreachable { .. }) => {}
            Err(ClientError::Refused(body)) if body.status >= 500 && !first => {}
            Err(error) => return Err(error.into()),
        }
        first = false;
        if away_since.is_none() {
            context
                .output
                .note(&format!("The brain has gone; trying again for {}.", span(reconnect.as_secs())));
        }
        if away_since.get_or_insert_with(Instant::now).elapsed() >= reconnect {
            let message =
                format!("the brain at {} has not answered for {}", client.url(), span(reconnect.as_secs()));
            let error = CommandError::new(Ending::Unreachable, message);
            return Err(error.hint(format!("`honcho event follow --after {after}` goes on where this ended")));
        }
        sleep(RECONNECT_PAUSE).await;
    }
}

fn alarm_sign(event: &Event) -> &'static str {
    if event.severity == "alarm" { "ALARM " } else { "" }
}

/// One event on one line; at the time it happened, since this may be read much later.
fn print(context: &Context, event: &Event) -> Result<(), CommandError> {
    if context.output.json {
        return context.output.json_line(event);
    }
    context.output.print(&format!(
        "{} {} {}{} {}: {} ({})",
        event.id,
        event.created_at.strftime("%Y-%m-%d %H:%M:%SZ"),
        alarm_sign(event),
        clean(&event.kind),
        clean(&event.resource_name),
        clean(&event.message),
        clean(&event.actor)
    ))
}
