//! `honcho operation`: what was asked for, and how it goes.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::{accounts, guests};
use crate::context::Context;
use crate::listing::{self, ListArguments};
use crate::output::Tone;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve::{self, Cancelled};
use crate::table::{Cell, details};
use crate::waiting::{self, Patience, Seen};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Operation};
use honcho_model::operation::{OperationKind, OperationState};
use tokio::time::Instant;

const WATCH_EXAMPLES: &str = "\
With --json each change is one line of JSON; the last line is the operation as it ended.

Examples:
  honcho operation watch 12
  honcho operation watch 12 --json | jq -r .state";

const ABANDON_EXAMPLES: &str = "\
From then on what is there is what is wanted: a guest that was not made is not made, one that is off stays off, one that
runs runs on. Its address and its disk stay its own. Deleting cannot be given up, for it may be half done; to take back a
cancellation, restore the guest.

Examples:
  honcho operation abandon 12
  honcho operation abandon 12 --dry-run";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum OperationCommand {
    /// List operations
    #[command(
        after_help = "Examples:\n  honcho operations list --state open\n  honcho operations list --guest web1 --sort=-created --limit 5"
    )]
    List {
        /// Only those in this state
        #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(OperationState::ALL.map(OperationState::as_str)))]
        state: Option<String>,
        /// Only those of this kind
        #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(OperationKind::ALL.map(OperationKind::as_str)))]
        kind: Option<String>,
        /// Only those about this guest
        #[arg(long, value_name = "GUEST", add = ArgValueCandidates::new(guests))]
        guest: Option<String>,
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        /// Its id
        operation: i64,
    },
    /// Follow one until it has ended
    #[command(after_help = WATCH_EXAMPLES)]
    Watch {
        /// Its id
        operation: i64,
        #[command(flatten)]
        patience: Patience,
    },
    /// Give up on one: nothing more is tried until something else is asked for
    #[command(after_help = ABANDON_EXAMPLES, visible_alias = "give-up")]
    Abandon {
        /// Its id
        operation: i64,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: OperationCommand) -> Result<(), CommandError> {
    match command {
        OperationCommand::List { state, kind, guest, account, list } => {
            let mut filters = vec![];
            filters.extend(state.map(|state| ("state", state)));
            filters.extend(kind.map(|kind| ("kind", kind)));
            let account_id = resolve::optional_id::<Account>(context, account.as_deref()).await?;
            if let Some(guest) = guest {
                let guest = resolve::guest(context, &guest, account.as_deref(), Cancelled::Too).await?;
                filters.push(("guest_id", guest.id.to_string()));
            } else {
                filters.extend(account_id.map(|id| ("account_id", id.to_string())));
            }
            list_operations(context, filters, &list).await
        }
        OperationCommand::Show { operation } => show(context, &context.client()?.operation(operation).await?),
        OperationCommand::Watch { operation, patience } => watch(context, operation, patience).await,
        OperationCommand::Abandon { operation, confirm } => {
            let known = context.client()?.operation(operation).await?;
            if let Some(text) = giving_up(&known)
                && confirm.ask(context, &text)? == Answer::Stop
            {
                return Ok(());
            }
            let path = format!("/v1/operations/{operation}/abandon.json");
            let operation: Operation = context.client()?.post(&path, &serde_json::json!({})).await?;
            if context.output.json {
                return context.output.json(&operation);
            }
            context.output.print(&waiting::ended_line(&operation))
        }
    }
}

/// What giving up on an operation means, before it is done; `None` where the brain refuses and says why.
fn giving_up(operation: &Operation) -> Option<String> {
    use OperationKind as Kind;
    if operation.state != OperationState::Open {
        return None;
    }
    let left = match operation.kind {
        Kind::Delete | Kind::Cancel | Kind::Suspend => return None,
        Kind::Create => {
            "The guest is not made, or stays stopped if it was made. \"honcho guest start\" tries again, \"honcho guest delete\" \
             removes it."
        }
        Kind::Stop => "The guest runs on, if it runs.",
        Kind::Resize => {
            "Its disk stays as large as it is; its memory and vCPUs hold from its next boot on. A guest that runs runs on, and \
             one that is off because its disk could not grow is started as it is."
        }
        Kind::Move => {
            "The guest stays on the host that it is on, and starts there again if it is to run. Once all of its disk is on the \
             other host it is that one's, and this is refused."
        }
        Kind::Rename | Kind::Update => "What was asked for holds already.",
        Kind::Start | Kind::Reboot | Kind::Restore | Kind::Unsuspend => {
            "The guest runs on if it runs, and stays stopped until it is started if it does not."
        }
    };
    let (id, kind, guest) = (operation.id, operation.kind.as_str(), &operation.guest_name);
    Some(format!("This gives up on operation {id} ({kind} of guest {guest}): nothing more is tried. {left}"))
}

async fn list_operations(
    context: &Context,
    filters: Vec<(&str, String)>,
    list: &ListArguments,
) -> Result<(), CommandError> {
    let operations: Vec<Operation> = list.fetch_path(context, "/v1/operations.json", filters).await?;
    let headings = ["ID", "KIND", "GUEST", "STATE", "NOW", "ASKED", "ENDED"];
    listing::show(context, &operations, "There are no such operations.", &headings, |operation| {
        vec![
            Cell::number(operation.id),
            Cell::text(operation.kind.as_str()),
            Cell::text(&operation.guest_name),
            state_cell(operation),
            Cell::maybe(now(operation)),
            Cell::text(age(operation.created_at, context.output.now())),
            Cell::maybe(operation.ended_at.map(|at| age(at, context.output.now()))),
        ]
    })
}

/// What is being done, or how it ended.
fn now(operation: &Operation) -> Option<String> {
    if operation.state != OperationState::Open {
        return operation.outcome.clone();
    }
    let percent = operation.percent.map(|percent| format!(" {percent}%")).unwrap_or_default();
    operation.problem.clone().or(operation.step.as_ref().map(|step| format!("{step}{percent}")))
}

fn state_cell(operation: &Operation) -> Cell {
    Cell::text(operation.state.as_str()).tone(match operation.state {
        OperationState::Open if operation.problem.is_some() => Tone::Bad,
        OperationState::Open => Tone::Busy,
        OperationState::Done => Tone::Good,
        OperationState::Superseded => Tone::Faint,
        OperationState::Abandoned | OperationState::Refused => Tone::Bad,
    })
}

fn show(context: &Context, operation: &Operation) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(operation);
    }
    let rows = vec![
        ("kind", Cell::text(operation.kind.as_str())),
        ("guest", Cell::text(format!("{} (id {})", operation.guest_name, operation.guest_id))),
        ("state", state_cell(operation)),
        ("step", Cell::maybe(operation.step.as_ref())),
        ("percent", Cell::maybe(operation.percent.map(|percent| percent.to_string()))),
        ("problem", Cell::maybe(operation.problem.as_ref())),
        ("outcome", Cell::maybe(operation.outcome.as_ref())),
        ("superseded by", Cell::maybe(operation.superseded_by.map(|id| id.to_string()))),
        ("generation", Cell::text(operation.generation.to_string())),
        ("asked", Cell::text(age(operation.created_at, output.now()))),
        ("ended", Cell::maybe(operation.ended_at.map(|at| age(at, output.now())))),
    ];
    output.print(&details(output, &format!("operation {}", operation.id), rows))
}

async fn watch(context: &Context, id: i64, patience: Patience) -> Result<(), CommandError> {
    let client = context.client()?;
    let operation = client.operation(id).await?;
    let deadline = Instant::now() + patience.wait_timeout;
    if !context.output.json {
        let ended = waiting::until_ended(context, operation, patience, deadline).await?;
        if ended.state == OperationState::Done {
            context.output.print(&waiting::ended_line(&ended))?;
        }
        return waiting::judge(&ended);
    }
    // What was told is told once: reading it anew after a pause gives the same again.
    let mut last: Option<Operation> = None;
    let ended = waiting::follow(client, operation, patience.reconnect, deadline, |seen| match seen {
        Seen::Operation(operation) if last.as_ref() != Some(operation) => {
            last = Some(operation.clone());
            context.output.json_line(operation)
        }
        _ => Ok(()),
    })
    .await?;
    context.output.json_line(&ended)?;
    waiting::judge(&ended)
}
