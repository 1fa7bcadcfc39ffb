//! Before something is destroyed: what will happen, and "are you sure?".

use crate::command_error::CommandError;
use crate::context::Context;
use std::io::{BufRead, IsTerminal, Write};

/// Options of every command that destroys.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConfirmArguments {
    /// Do it without asking
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// Say what would happen, and do nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Do it.
    GoOn,
    /// It was a dry run: all has been said.
    Stop,
}

impl ConfirmArguments {
    /// Says what will happen and asks, unless the options have answered already.
    pub(crate) fn ask(&self, context: &Context, what: &str) -> Result<Answer, CommandError> {
        let output = &context.output;
        if self.dry_run {
            if output.json {
                output.json(&serde_json::json!({ "dry_run": true, "would": what }))?;
            } else {
                output.print(&format!("Would do this: {what}"))?;
            }
            return Ok(Answer::Stop);
        }
        if self.yes {
            return Ok(Answer::GoOn);
        }
        if !std::io::stdin().is_terminal() {
            return Err(CommandError::usage(format!("not done, because nobody can be asked: {what}"))
                .hint("--yes does it without asking; --dry-run only says what would happen"));
        }
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "{what}\nGo on? [y/N] ")?;
        stderr.flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(Answer::GoOn),
            _ => Err(CommandError::failed("not done: you did not say yes")),
        }
    }
}
