//! `honcho restore status` and `honcho restore accept`: what a restored brain's agents report, and agreeing to it.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::question::{Answer, ConfirmArguments};
use honcho_api::{Restore, RestoreHost};

const ACCEPT_HELP: &str = "\
It shows the differences and asks. Then what was ordered or changed after the backup is taken over from \
the hosts, what was deleted since stays with an alarm (or ends, with --forget-missing), counters rise \
above all that was reported, and hosts are changed again. What nobody knows stays as it is.

Examples:
  honcho restore accept
  honcho restore accept --without rack1-07 --forget-missing --yes";

/// How to accept.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ACCEPT_HELP)]
pub(crate) struct AcceptArguments {
    /// Leave this host as it is until it is accepted in turn (name or id); may be repeated
    #[arg(long, value_name = "HOST")]
    without: Vec<String>,

    /// Delete guests that were deleted after the backup and whose disks are gone
    #[arg(long)]
    forget_missing: bool,

    #[command(flatten)]
    confirm: ConfirmArguments,
}

async fn fetch(context: &Context) -> Result<Restore, CommandError> {
    Ok(context.client()?.get_path("/v1/restore", &[]).await?)
}

/// Shows what differs.
pub(crate) async fn status(context: &Context) -> Result<(), CommandError> {
    let restore = fetch(context).await?;
    if context.output.json {
        return context.output.json(&restore);
    }
    context.output.print(&text(&restore))
}

/// Accepts it.
pub(crate) async fn accept(context: &Context, arguments: AcceptArguments) -> Result<(), CommandError> {
    let AcceptArguments { without, forget_missing, confirm } = arguments;
    let restore = fetch(context).await?;
    if !context.output.json {
        context.output.note(&text(&restore));
    }
    let left =
        |host: &&RestoreHost| !without.contains(&host.name) && !without.contains(&host.host_id.to_string());
    let chosen: Vec<&RestoreHost> = restore.hosts.iter().filter(left).collect();
    let count: usize = chosen.iter().map(|host| host.differences.len()).sum();
    let deleted = chosen.iter().flat_map(|host| &host.differences).filter(|it| it.kind == "deleted").count();
    let gone = match (forget_missing, deleted) {
        (_, 0) => String::new(),
        (true, _) => format!(" {deleted} guests whose disks are gone are deleted."),
        (false, _) => format!(" {deleted} guests whose disks are gone stay, with an alarm."),
    };
    let what = format!(
        "accept incarnation {} on {} hosts, with {count} differences; they are changed again from then on.{gone}",
        restore.incarnation,
        chosen.len()
    );
    if confirm.ask(context, &what)? == Answer::Stop {
        return Ok(());
    }
    let query = [("without", without.join(",")), ("forget_missing", forget_missing.to_string())];
    let client = context.client()?;
    let request = client.request(reqwest::Method::PUT, "/v1/restore/accept").query(&query);
    let accepted: Restore = client
        .send(request)
        .await?
        .json()
        .await
        .map_err(|error| CommandError::failed("the brain's answer cannot be read").cause(&error))?;
    if context.output.json {
        return context.output.json(&accepted);
    }
    let waiting: Vec<String> = accepted.hosts.iter().map(|host| clean(&host.name)).collect();
    let waiting = match waiting.as_slice() {
        [] => String::new(),
        names => format!("; these wait to be accepted in turn: {}", names.join(", ")),
    };
    context.output.print(&format!("incarnation {} is accepted{waiting}", accepted.incarnation))
}

fn text(restore: &Restore) -> String {
    let mut lines = Vec::new();
    let from = match (restore.restored_at, restore.backed_up_at) {
        (Some(restored), Some(backup)) => format!("restored at {restored} from a backup made at {backup}"),
        _ => "it did not begin with a backup".to_owned(),
    };
    let state = match restore.state.as_str() {
        "unaccepted" => ": unaccepted, so that nothing is changed and orders are refused",
        "accepted" => ": accepted",
        _ => "",
    };
    lines.push(format!("incarnation {}, {from}{state}", restore.incarnation));
    for host in &restore.hosts {
        let said = match (host.state.as_str(), host.differences.len()) {
            ("awaited", _) => "its agent has not reported in full yet".to_owned(),
            ("waiting", _) => "no agent had joined for it".to_owned(),
            (_, 0) => "is as the backup has it".to_owned(),
            (_, 1) => "1 difference".to_owned(),
            (_, count) => format!("{count} differences"),
        };
        lines.push(format!("host {}: {said}", clean(&host.name)));
        if let Some(problem) = &host.problem {
            lines.push(format!("  its agent says: {}", clean(problem)));
        }
        for it in &host.differences {
            let id = it.guest_id.map(|id| format!(" ({id})")).unwrap_or_default();
            lines.push(format!("  {}{id}: {}", clean(&it.name), clean(&it.text)));
        }
    }
    lines.join("\n")
}
