//! `honcho host drain` and `undrain`.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::commands::placement::{moved, moves, said_of};
use crate::completion::hosts;
use crate::context::Context;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::waiting::WaitArguments;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Drain, Host};

pub(super) const DRAIN_HELP: &str = "\
From then on no new guest is placed on it. --apply also moves its guests to where the plan says: two at a \
time, in the plan's order, each stopped while its disk is copied (honcho guest move --help).

Examples:
  honcho host drain h7 --dry-run
  honcho host drain h7
  honcho host drain h7 --apply --wait
  honcho host undrain h7";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = DRAIN_HELP)]
pub(crate) struct DrainArguments {
    /// Name or id
    #[arg(add = ArgValueCandidates::new(hosts))]
    host: String,
    /// Move its guests, too
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    confirm: ConfirmArguments,
    #[command(flatten)]
    wait: WaitArguments,
}

pub(super) async fn drain(context: &Context, arguments: &DrainArguments) -> Result<(), CommandError> {
    let host: Host = resolve::one(context, &arguments.host).await?;
    let client = context.client()?;
    let path = format!("/v1/hosts/{}/drain.json", host.id);
    if arguments.confirm.dry_run {
        let plan: Drain = client.get_path(&path, &[]).await?;
        return if context.output.json { context.output.json(&plan) } else { show(context, &plan) };
    }
    if !arguments.apply {
        let plan: Drain = client.action::<Host, _>(host.id, "drain", &[]).await?;
        return if context.output.json { context.output.json(&plan) } else { show(context, &plan) };
    }
    let planned: Drain = client.get_path(&path, &[]).await?;
    let what = format!("place no new guest on {}, and {}", clean(&host.name), said_of(&planned.moves));
    if arguments.confirm.ask(context, &what)? == Answer::Stop {
        return Ok(());
    }
    let query = [("apply", "true".to_owned())];
    let plan: Drain = client.action::<Host, _>(host.id, "drain", &query).await?;
    if context.output.json {
        context.output.json(&plan)?;
    } else {
        show(context, &plan)?;
    }
    moved(context, &plan.moves, &arguments.wait).await
}

fn show(context: &Context, plan: &Drain) -> Result<(), CommandError> {
    let (output, name) = (&context.output, clean(&plan.host));
    let mut parts = Vec::new();
    if !plan.moves.is_empty() {
        parts.push(moves(output, &plan.moves));
    }
    let homeless = plan.homeless.iter();
    let homeless: Vec<String> = homeless
        .map(|one| format!("{} fits nowhere else: {}", clean(&one.guest), clean(&one.reason)))
        .collect();
    if !homeless.is_empty() {
        parts.push(homeless.join("\n"));
    }
    let state = match plan.draining_since {
        Some(_) => format!("{name} takes no new guest."),
        None => format!("{name} is not draining: nothing was changed."),
    };
    parts.push(match plan.moves.len() + plan.homeless.len() {
        0 => format!("{state} It holds none."),
        _ if plan.moves.iter().any(|one| one.operation_id.is_some()) => state,
        count => {
            let guests =
                if count == 1 { "Its guest stays until it is" } else { "Its guests stay until they are" };
            format!("{state} {guests} moved: --apply does that.")
        }
    });
    output.page(&parts.join("\n\n"))
}

pub(super) async fn undrain(context: &Context, host: &str) -> Result<(), CommandError> {
    let host: Host = resolve::one(context, host).await?;
    let plan: Drain = context.client()?.action::<Host, Drain>(host.id, "undrain", &[]).await?;
    if context.output.json {
        return context.output.json(&plan);
    }
    context.output.print(&format!("{} takes new guests again", clean(&plan.host)))
}
