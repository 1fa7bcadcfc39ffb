//! `honcho guest log`: what the serial console printed.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::resolve::{Cancelled, GuestArgument};
use crate::values;
use futures::StreamExt;
use honcho_model::printed::LogCleaner;
use std::io::IsTerminal;
use std::pin::pin;

const AFTER_HELP: &str = "\
The console's log is kept on the guest's host, so its agent must be connected. On a terminal, escape \
sequences are left out; into a file or a pipe the bytes go as they are.

Examples:
  honcho guest log web1
  honcho guest log web1 --follow
  honcho guest log web1 --tail 1M > web1.log";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct LogArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// Go on with what it prints from now; Ctrl-C ends it
    #[arg(long, short)]
    follow: bool,
    /// Begin so many bytes before the end
    #[arg(long, value_name = "SIZE", default_value = "64K", value_parser = values::size)]
    tail: i64,
}

pub(crate) async fn run(context: &Context, arguments: &LogArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Too).await?;
    let mut query = vec![("tail", arguments.tail.to_string())];
    if arguments.follow {
        query.push(("follow", "true".to_owned()));
    }
    let mut stream = pin!(context.client()?.guest_log(guest.id, &query).await?);
    let mut cleaner = LogCleaner::default();
    let mut whole = Vec::new();
    let terminal = std::io::stdout().is_terminal();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        match (context.output.json, arguments.follow) {
            (true, true) => context.output.json_line(&document(guest.id, &chunk))?,
            (true, false) => whole.extend_from_slice(&chunk),
            _ if terminal => context.output.raw(cleaner.clean(&chunk).as_bytes())?,
            _ => context.output.raw(&chunk)?,
        }
    }
    if context.output.json && !arguments.follow {
        context.output.json(&document(guest.id, &whole))?;
    }
    if arguments.follow {
        context.output.note("The log ended: the guest stopped, or its host's agent went away.");
    }
    Ok(())
}

fn document(guest: i64, bytes: &[u8]) -> serde_json::Value {
    serde_json::json!({ "guest_id": guest, "text": String::from_utf8_lossy(bytes) })
}
