//! `honcho guest console`: the serial console, as if sitting before it.
//!
//! Bytes pass both ways as they are: this is the one place where a guest speaks to the terminal itself.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::resolve::{Cancelled, GuestArgument};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::IsTerminal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

/// Ctrl-], as with telnet and virsh.
const LEAVE: u8 = 0x1d;

const AFTER_HELP: &str = "\
Ctrl-] leaves. Whoever had the console before loses it. What the guest sends reaches the terminal as it \
is.

Example:
  honcho guest console web1";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ConsoleArguments {
    #[command(flatten)]
    guest: GuestArgument,
}

pub(crate) async fn run(context: &Context, arguments: &ConsoleArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Hidden).await?;
    let stream = context.client()?.guest_console(guest.id).await?;
    let name = clean(&guest.name);
    context
        .output
        .note(&format!("Console of {name}; Ctrl-] leaves. (Return may be needed to see a prompt.)"));
    let raw = RawTerminal::enter()?;
    let ended = Box::pin(pump(context, stream)).await;
    drop(raw);
    context.output.note("");
    match ended? {
        Ended::Left => context.output.note(&format!("Left the console of {name}.")),
        Ended::Closed => context
            .output
            .note(&format!("The console of {name} was closed: it stopped, or somebody else took it.")),
    }
    Ok(())
}

enum Ended {
    /// By the person.
    Left,
    /// By the other side.
    Closed,
}

async fn pump(context: &Context, stream: reqwest::Upgraded) -> Result<Ended, CommandError> {
    let (mut from_guest, mut to_guest) = tokio::io::split(stream);
    let leaves = std::io::stdin().is_terminal();
    let mut stdin = Some(tokio::io::stdin());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (mut typed, mut printed) = ([0; 1024], [0; 16 * 1024]);
    loop {
        let typing = async {
            match &mut stdin {
                Some(stdin) => stdin.read(&mut typed).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            count = typing => {
                let count = count?;
                let bytes = &typed[..count];
                let end = bytes.iter().position(|byte| leaves && *byte == LEAVE);
                if to_guest.write_all(&bytes[..end.unwrap_or(count)]).await.is_err() || to_guest.flush().await.is_err() {
                    return Ok(Ended::Closed);
                }
                if end.is_some() {
                    return Ok(Ended::Left);
                }
                if count == 0 {
                    // No more to type: what the guest still says is shown all the same.
                    stdin = None;
                }
            }
            count = from_guest.read(&mut printed) => match count {
                Ok(0) | Err(_) => return Ok(Ended::Closed),
                Ok(count) => context.output.raw(&printed[..count])?,
            },
            _ = terminate.recv() => return Ok(Ended::Left),
            _ = hang_up.recv() => return Ok(Ended::Left),
        }
    }
}

/// The terminal in raw mode, until dropped.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Result<Self, CommandError> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(RawTerminal(None));
        }
        let before = tcgetattr(&stdin).map_err(std::io::Error::from)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Flush, &raw).map_err(std::io::Error::from)?;
        Ok(RawTerminal(Some(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // If the terminal is gone there is nothing to restore.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, before);
        }
    }
}
