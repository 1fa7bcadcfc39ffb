//! `honcho host drain` and `undrain`.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::commands::placement::moves;
use crate::context::Context;
use crate::resolve;
use honcho_api::{Drain, Host};

pub(super) const DRAIN_HELP: &str = "\
From then on no new guest is placed on it. Its guests stay, for nothing moves guests yet: the plan says \
where each would fit. To empty the host by hand, order a guest of the same size on the host that the plan \
names (honcho guest create --host), carry the data over, and delete the old one.

Examples:
  honcho host drain h7 --dry-run
  honcho host drain h7
  honcho host undrain h7";

pub(super) async fn drain(context: &Context, host: &str, dry_run: bool) -> Result<(), CommandError> {
    let host: Host = resolve::one(context, host).await?;
    let client = context.client()?;
    let plan: Drain = if dry_run {
        client.get_path(&format!("/v1/hosts/{}/drain.json", host.id), &[]).await?
    } else {
        client.action::<Host, Drain>(host.id, "drain", &[]).await?
    };
    if context.output.json { context.output.json(&plan) } else { show(context, &plan) }
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
        count => {
            let guests =
                if count == 1 { "Its guest stays until it is" } else { "Its guests stay until they are" };
            format!("{state} {guests} moved by hand: nothing moves guests yet (honcho host drain --help).")
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
