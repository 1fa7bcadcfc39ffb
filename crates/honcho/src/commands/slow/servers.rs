//! `honcho slow servers`: who sends slow logs, and what is missing of them.

use super::words::logging;
use crate::age::age;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::listing::{self, ListArguments};
use crate::output::Tone;
use crate::table::Cell;
use crate::values::size_text;
use honcho_api::SlowServer;

pub(super) const EXAMPLES: &str = "\
A server is known by the name that receivers know its certificate by (guest-7 is guest 7). LAST MAIL is when its last mail was \
counted, NUMBER that mail's, MISSING how many before it have not come. LONG_QUERY_TIME is what the server said, when its log was \
sent, that a query takes to be logged: what is faster is in no number. A server is silent when nothing came for three times as long \
as is usual for it.

Examples:
  honcho slow servers
  honcho slow servers --json | jq -r '.[] | select(.missing_mails_count > 0).node'";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ServersArguments {
    #[command(flatten)]
    list: ListArguments,
}

pub(super) async fn run(context: &Context, arguments: &ServersArguments) -> Result<(), CommandError> {
    let servers: Vec<SlowServer> = arguments.list.fetch(context, vec![]).await?;
    let now = context.output.now();
    let headings = [
        "ID",
        "NODE",
        "CALLS ITSELF",
        "LAST MAIL",
        "LAST QUERY",
        "NUMBER",
        "MISSING",
        "QUERIES",
        "LOG",
        "LONG_QUERY_TIME",
        "STATE",
    ];
    listing::show(context, &servers, "No server has sent a slow log yet.", &headings, |server| {
        let missing = Cell::number(server.missing_mails_count);
        let state = match (server.silent_since, server.late_since) {
            (Some(since), _) => Cell::text(format!("silent, seen {}", age(since, now))).tone(Tone::Bad),
            (None, Some(since)) => Cell::text(format!("late, seen {}", age(since, now))).tone(Tone::Bad),
            (None, None) => Cell::text("sends"),
        };
        vec![
            Cell::number(server.id),
            Cell::text(&server.node),
            Cell::text(&server.reported_name),
            Cell::text(age(server.last_mail_at, now)),
            Cell::maybe(server.last_event_at.map(|at| age(at, now))),
            Cell::number(server.sequence),
            if server.missing_mails_count > 0 { missing.tone(Tone::Bad) } else { missing },
            Cell::number(server.events_count),
            Cell::text(size_text(server.log_bytes)),
            Cell::text(logging(server)),
            state,
        ]
    })
}
