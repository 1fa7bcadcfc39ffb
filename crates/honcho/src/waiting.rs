//! `--wait`: an operation until it has ended.
//!
//! ```text
//!   read it --ended--> done, or an error that says how it ended
//!      | open
//!      v
//!   stream of changes --silent for a while, or the stream ended--> read it again
//!      | the brain is gone
//!      v
//!   try again for `--reconnect`, then give up (exit 3); what was asked for goes on without us
//! ```

use crate::age::span;
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::progress::Progress;
use futures::StreamExt;
use honcho_api::Operation;
use honcho_api::client::{Client, ClientError};
use honcho_model::operation::OperationState;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// A stream that says nothing for so long may be dead without our being told.
const STREAM_SILENCE: Duration = Duration::from_secs(20);

/// Between two attempts to reach a brain that is away.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// How long to wait, and how long for a brain that is away.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Patience {
    /// With --wait: give up waiting after this time (the operation itself goes on)
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = crate::values::duration)]
    pub(crate) wait_timeout: Duration,

    /// How long to try to reach a brain that went away meanwhile
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = crate::values::duration)]
    pub(crate) reconnect: Duration,
}

/// Options of every command that starts an operation.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WaitArguments {
    /// Wait until the operation has ended, and show its steps
    #[arg(long)]
    pub(crate) wait: bool,

    #[command(flatten)]
    pub(crate) patience: Patience,
}

impl WaitArguments {
    /// After an operation was asked for: waits if that was said, and prints what there is to print.
    pub(crate) async fn conclude(&self, context: &Context, operation: Operation) -> Result<(), CommandError> {
        if !self.wait {
            return announce(context, &operation);
        }
        let deadline = Instant::now() + self.patience.wait_timeout;
        let ended = until_ended(context, operation, self.patience, deadline).await?;
        if context.output.json {
            context.output.json(&ended)?;
        } else if ended.state == OperationState::Done {
            context.output.print(&ended_line(&ended))?;
        }
        judge(&ended)
    }
}

/// Says that an operation was accepted.
fn announce(context: &Context, operation: &Operation) -> Result<(), CommandError> {
    if context.output.json {
        return context.output.json(operation);
    }
    if operation.state != OperationState::Open {
        context.output.print(&ended_line(operation))?;
        return judge(operation);
    }
    context.output.print(&format!("{} is under way (operation {})", title(operation), operation.id))?;
    context.output.note(&format!(
        "`honcho operation watch {}` shows how it goes; --wait does so at once",
        operation.id
    ));
    Ok(())
}

/// "create web1".
pub(crate) fn title(operation: &Operation) -> String {
    crate::clean::clean(&format!("{} {}", operation.kind.as_str(), operation.guest_name))
}

/// "create web1: done after 20s".
pub(crate) fn ended_line(operation: &Operation) -> String {
    let seconds = operation.ended_at.map(|at| at.as_second() - operation.created_at.as_second());
    let after = seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(|seconds| format!(" after {}", span(seconds)));
    let outcome = operation.outcome.as_deref().map(|outcome| format!(": {}", crate::clean::clean(outcome)));
    format!(
        "{}: {}{}{}",
        title(operation),
        operation.state.as_str(),
        after.unwrap_or_default(),
        outcome.unwrap_or_default()
    )
}

/// An error unless it is done.
pub(crate) fn judge(operation: &Operation) -> Result<(), CommandError> {
    let how = match operation.state {
        OperationState::Done | OperationState::Open => return Ok(()),
        OperationState::Superseded => "superseded",
        OperationState::Abandoned => "abandoned",
        OperationState::Refused => "refused",
    };
    let mut error = CommandError::new(Ending::EndedOtherwise, format!("{} was {how}", title(operation)));
    if let Some(outcome) = &operation.outcome {
        error = error.cause(&std::io::Error::other(outcome.clone()));
    }
    if let Some(newer) = operation.superseded_by {
        error = error.hint(format!("operation {newer} took its place: `honcho operation watch {newer}`"));
    }
    Err(error.hint(format!("`honcho event list --guest {}` shows what happened", operation.guest_id)))
}

/// Shows an operation until it has ended.
pub(crate) async fn until_ended(
    context: &Context,
    operation: Operation,
    patience: Patience,
    deadline: Instant,
) -> Result<Operation, CommandError> {
    let mut progress = Progress::new(&context.output, &title(&operation));
    let ended = follow(context.client()?, operation, patience.reconnect, deadline, |seen| match seen {
        Seen::Operation(operation) => {
            let percent = operation.percent.and_then(|percent| u64::try_from(percent).ok());
            progress.problem(operation.problem.as_deref());
            progress.step(operation.step.as_deref().unwrap_or("waiting for its host"), percent);
            Ok(())
        }
        Seen::Away => {
            progress.note(&format!(
                "the brain does not answer; trying again for {}",
                span(patience.reconnect.as_secs())
            ));
            Ok(())
        }
        Seen::Back => {
            progress.note("the brain is back");
            Ok(())
        }
    })
    .await;
    match &ended {
        Ok(operation) if operation.state == OperationState::Done => progress.done(),
        _ => drop(progress),
    }
    ended
}

/// What [`follow`] tells while it waits.
pub(crate) enum Seen<'a> {
    /// The operation, still open, changed.
    Operation(&'a Operation),
    /// The brain does not answer.
    Away,
    /// It does again.
    Back,
}

/// Follows an operation until it has ended, across restarts of the brain.
pub(crate) async fn follow(
    client: &Client,
    mut operation: Operation,
    reconnect: Duration,
    deadline: Instant,
    mut tell: impl FnMut(Seen<'_>) -> Result<(), CommandError>,
) -> Result<Operation, CommandError> {
    let mut away_since: Option<Instant> = None;
    while operation.state == OperationState::Open {
        let newer = timeout_at(deadline, stream_once(client, &operation, &mut away_since, &mut tell)).await;
        if let Some(newer) = newer.unwrap_or_else(|_| Err(too_long(&operation)))? {
            operation = newer;
            continue;
        }
        let since = *away_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= reconnect {
            return Err(gave_up(client, &operation, reconnect));
        }
        timeout_at(deadline, sleep(RECONNECT_PAUSE)).await.map_err(|_| too_long(&operation))?;
    }
    Ok(operation)
}

/// Reads the operation and its changes until it ended or the stream did; `None` when the brain is away.
async fn stream_once(
    client: &Client,
    operation: &Operation,
    away_since: &mut Option<Instant>,
    tell: &mut impl FnMut(Seen<'_>) -> Result<(), CommandError>,
) -> Result<Option<Operation>, CommandError> {
    let mut away = |error: ClientError, tell: &mut dyn FnMut(Seen<'_>) -> Result<(), CommandError>| {
        // A brain that is stopping or starting may answer 502 to 504 through a proxy, or 503 itself.
        let gone = match &error {
            ClientError::Unreachable { .. } => true,
            ClientError::Refused(body) => body.status >= 500,
            ClientError::Strange { .. } => false,
        };
        if !gone {
            return Err(CommandError::from(error));
        }
        if away_since.is_none() {
            *away_since = Some(Instant::now());
            tell(Seen::Away)?;
        }
        Ok(None)
    };
    let mut latest = match client.operation(operation.id).await {
        Ok(operation) => operation,
        Err(error) => return away(error, tell),
    };
    if away_since.take().is_some() {
        tell(Seen::Back)?;
    }
    if latest.state != OperationState::Open {
        return Ok(Some(latest));
    }
    tell(Seen::Operation(&latest))?;
    let stream = match client.watch_operation(operation.id).await {
        Ok(stream) => stream,
        Err(ClientError::Unreachable { .. }) => return Ok(Some(latest)),
        Err(error) => return Err(error.into()),
    };
    let mut stream = pin!(stream);
    loop {
        match tokio::time::timeout(STREAM_SILENCE, stream.next()).await {
            Ok(Some(Ok(newer))) => {
                latest = newer;
                if latest.state != OperationState::Open {
                    return Ok(Some(latest));
                }
                tell(Seen::Operation(&latest))?;
            }
            // Silent, ended or broken: the next round reads it anew, and finds out whether the brain is away.
            Ok(None | Some(Err(ClientError::Unreachable { .. }))) | Err(_) => {
                sleep(Duration::from_millis(100)).await;
                return Ok(Some(latest));
            }
            Ok(Some(Err(error))) => return Err(error.into()),
        }
    }
}

fn too_long(operation: &Operation) -> CommandError {
    let mut error =
        CommandError::new(Ending::TimedOut, format!("{} has not ended in the time given", title(operation)));
    if let Some(problem) = &operation.problem {
        error = error.cause(&std::io::Error::other(problem.clone()));
    }
    error.hint(format!(
        "it goes on: `honcho operation watch {}` shows how; --wait-timeout gives it longer",
        operation.id
    ))
}

fn gave_up(client: &Client, operation: &Operation, reconnect: Duration) -> CommandError {
    let message = format!("the brain at {} has not answered for {}", client.url(), span(reconnect.as_secs()));
    CommandError::new(Ending::Unreachable, message).hint(format!(
        "{} is not lost: `honcho operation watch {}` when the brain is back",
        title(operation),
        operation.id
    ))
}
