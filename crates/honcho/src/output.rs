//! What is printed and where: results to standard output (through a pager where a person reads), everything else to
//! standard error.
//!
//! Rust ignores SIGPIPE, so a reader that leaves shows as an error of `write`; it ends the program quietly.

use crate::clean::clean_json;
use crate::command_error::CommandError;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

/// When to colour; `Auto` is on a terminal, unless `NO_COLOR` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// What a piece of text means; each has its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Under way.
    Busy,
    /// Somebody should look.
    Bad,
    /// Of less interest.
    Faint,
}

/// Where and how results are printed.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Whether programs read it.
    pub(crate) json: bool,
    color: bool,
    color_notes: bool,
    /// Columns, when a person reads it.
    width: Option<u16>,
    /// When the program started, by both clocks.
    started: (jiff::Timestamp, std::time::Instant),
}

#[expect(
    clippy::unused_self,
    reason = "whoever prints has been given the output, so that one can be put in its place"
)]
impl Output {
    /// An output as the options, the environment and the terminal say.
    pub(crate) fn new(json: bool, choice: ColorChoice, now: jiff::Timestamp) -> Self {
        let stdout = std::io::stdout();
        let wanted = |terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        let size =
            rustix::termios::tcgetwinsize(&stdout).ok().map(|size| size.ws_col).filter(|width| *width > 20);
        Output {
            json,
            color: wanted(stdout.is_terminal()),
            color_notes: wanted(std::io::stderr().is_terminal()),
            width: size.filter(|_| stdout.is_terminal()),
            started: (now, std::time::Instant::now()),
        }
    }

    /// The moment from which ages are counted: a command may have waited for long.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        let (timestamp, instant) = self.started;
        timestamp.saturating_add(instant.elapsed()).unwrap_or(timestamp)
    }

    /// Whether results are coloured.
    pub(crate) fn color(&self) -> bool {
        self.color
    }

    /// Columns, when a person reads it.
    pub(crate) fn width(&self) -> Option<u16> {
        self.width
    }

    /// Prints one line (or several) of result.
    pub(crate) fn print(&self, text: &str) -> Result<(), CommandError> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.write_all(b"\n")?;
        Ok(stdout.flush()?)
    }

    /// Prints as it is, without a line feed.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), CommandError> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// Prints one JSON document.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string_pretty(value);
        self.print(&clean_json(
            &text.map_err(|error| CommandError::failed("cannot write JSON").cause(&error))?,
        ))
    }

    /// Prints one JSON document on one line.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string(value);
        self.print(&clean_json(
            &text.map_err(|error| CommandError::failed("cannot write JSON").cause(&error))?,
        ))
    }

    /// Prints a long result: through the pager if a person reads it, as git does.
    pub(crate) fn page(&self, text: &str) -> Result<(), CommandError> {
        if !std::io::stdout().is_terminal() {
            return self.print(text);
        }
        let pager = ["HONCHO_PAGER", "PAGER"].iter().find_map(|name| std::env::var(name).ok());
        let pager = pager.unwrap_or_else(|| "less".to_owned());
        if pager.trim().is_empty() || pager == "cat" {
            return self.print(text);
        }
        let mut command = Command::new("sh");
        command.arg("-c").arg(&pager).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            command.env("LESS", "FRX");
        }
        let Ok(mut child) = command.spawn() else { return self.print(text) };
        if let Some(mut stdin) = child.stdin.take() {
            // A pager that was quit before the end closes its side: nothing went wrong.
            let _ = stdin.write_all(text.as_bytes()).and_then(|()| stdin.write_all(b"\n"));
        }
        let status = child.wait()?;
        // 127 is the shell's "not found": then the text has not been shown.
        if status.code() == Some(127) { self.print(text) } else { Ok(()) }
    }

    /// Says something beside the result, on standard error. When even that is closed there is nobody to tell.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// `text` in the colour of `tone`, for a note.
    pub(crate) fn paint_note(&self, tone: Tone, text: &str) -> String {
        paint(self.color_notes, tone, text)
    }
}

fn paint(color: bool, tone: Tone, text: &str) -> String {
    let code = match tone {
        _ if !color => return text.to_owned(),
        Tone::Plain => "1",
        Tone::Good => "1;32",
        Tone::Busy => "1;33",
        Tone::Bad => "1;31",
        Tone::Faint => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
