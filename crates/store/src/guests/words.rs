//! Why a guest is what it is, in words.

use super::row::Row;
use crate::StoreResult;
use crate::sql::from_json;
use honcho_model::guest::GuestStatus;
use honcho_wire::{Failure, Progress};

/// Why a guest that was taken back stands still.
pub const NO_ROOM: &str =
    "there was no room for it when it was taken back, so it is stopped: start it when there is room";

/// Why a guest is what it is, where its status alone does not say.
pub(super) fn reason(status: GuestStatus, row: &Row<'_>) -> StoreResult<Option<String>> {
    Ok(match status {
        GuestStatus::Frozen => row.frozen_reason.as_deref().map(str::to_owned),
        GuestStatus::Unknown => Some("its host is silent; it may well be running".to_owned()),
        GuestStatus::Damaged => Some(match (row.volume_state.as_deref(), &row.pool_problem) {
            (_, Some(problem)) => format!("its pool cannot be used: {problem}"),
            (Some("missing"), None) => {
                "its volume is missing from its pool; nothing is made in its place".to_owned()
            }
            _ => "its volume cannot be looked at".to_owned(),
        }),
        GuestStatus::Moving => Some(moving(row)?),
        GuestStatus::Suspended => Some(match &row.suspended_reason {
            Some(reason) => format!("its account is suspended: {reason}"),
            None => "its account is suspended".to_owned(),
        }),
        GuestStatus::Stopped if !row.memory_claimed => Some(NO_ROOM.to_owned()),
        GuestStatus::GivenUp | GuestStatus::Stopped | GuestStatus::Running
            if row.given_up_operation.is_some() =>
        {
            given_up(status, row)
        }
        _ => match from_json::<Failure>("failure", row.failure.as_deref())? {
            Some(failure) => Some(describe_failure(&failure)),
            None => {
                from_json::<Progress>("progress", row.progress.as_deref())?.map(|progress| {
                    match progress.percent {
                        Some(percent) => format!("{} {percent}%", progress.step),
                        None => progress.step,
                    }
                })
            }
        },
    })
}

/// How far a move is.
fn moving(row: &Row<'_>) -> StoreResult<String> {
    let to = row.moving_to_name.as_deref().unwrap_or("another host");
    let progress = from_json::<Progress>("progress", row.progress.as_deref())?;
    Ok(match progress {
        Some(Progress { step, percent: Some(percent) }) => format!("to {to}: {step} {percent}%"),
        Some(Progress { step, percent: None }) => format!("to {to}: {step}"),
        None => format!("to {to}"),
    })
}

/// What giving up on an operation has left it as, and the next thing to do.
fn given_up(status: GuestStatus, row: &Row<'_>) -> Option<String> {
    let operation = row.given_up_operation?;
    let left = match status {
        GuestStatus::GivenUp => "it was not made: start it to have it made, or delete it",
        GuestStatus::Running => "it runs on as it was",
        _ => "it stays stopped until it is started",
    };
    Some(match row.given_up_kind.as_deref() {
        Some(kind) => format!("operation {operation} ({kind}) was given up: {left}"),
        None => format!("somebody gave up on it before the brain was restored: {left}"),
    })
}

/// The same for customers, who are not shown the machine room: no host, no path, no driver's words.
pub(super) fn reason_for_customers(status: GuestStatus, row: &Row<'_>) -> StoreResult<Option<String>> {
    let said = match status {
        GuestStatus::Frozen => "an operator has to look at its host first",
        GuestStatus::Unknown => "it cannot be looked at just now; it may well be running",
        GuestStatus::Damaged => "its disk cannot be used; an operator has to look at it",
        GuestStatus::Moving => "it is being moved to another machine",
        _ => match from_json::<Failure>("failure", row.failure.as_deref())? {
            Some(failure) => return Ok(Some(failure_for_customers(&failure))),
            None => return reason(status, row),
        },
    };
    Ok(Some(said.to_owned()))
}

/// A failure in words for customers.
pub(crate) fn failure_for_customers(failure: &Failure) -> String {
    match failure.next_try_ms {
        Some(pause) => {
            format!("{} failed; {}", failure.step, tried_again(pause))
        }
        None => format!("{} failed; an operator has to look at it", failure.step),
    }
}

fn tried_again(pause: u64) -> String {
    format!("it is tried again {} s after each failure", pause.div_ceil(1000).max(1))
}

/// A failure as a sentence: what, how often, and what comes next.
pub(crate) fn describe_failure(failure: &Failure) -> String {
    if failure.step == honcho_wire::LOOK {
        return failure.error.clone();
    }
    let next = match failure.next_try_ms {
        Some(pause) => tried_again(pause),
        None => "it is not tried again until something else is asked for".to_owned(),
    };
    let times = if failure.attempts > 1 { format!(" ({} times)", failure.attempts) } else { String::new() };
    format!("{} failed{times}: {}; {next}", failure.step, failure.error)
}
