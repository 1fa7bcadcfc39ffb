//! The command line of Honcho: `honcho serve` is the brain, every other command speaks to one over its API.
//!
//! One file per command under `commands/`. They share: `connection` (which brain, which token or session; `kept_session` keeps one), `resolve` (names and
//! ids), `output` and `table` (what is printed, and how), `clean` (nothing hostile reaches the terminal), `waiting`
//! and `progress` (`--wait`), `command_error` (why it failed, and what to do next).
#![forbid(unsafe_code)]

mod age;
mod clean;
mod cli;
mod command_error;
mod commands;
mod completion;
mod connection;
mod context;
mod ganeti_file;
mod kept_session;
mod listing;
mod output;
mod password;
mod progress;
mod question;
mod resolve;
mod table;
mod values;
mod waiting;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider, named once: with two in a program rustls would refuse to choose. It only fails when one is
    // installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    completion::answer_the_shell();
    let cli = cli::Cli::parse();
    #[expect(clippy::disallowed_methods, reason = "main is where the time comes in")]
    let now = jiff::Timestamp::now();
    let output = output::Output::new(cli.global.json, cli.global.color, now);
    let ending = match runtime(&cli.command) {
        Ok(runtime) => {
            let result = runtime.block_on(commands::run(cli, output.clone()));
            // A thread may still wait for the keyboard (the console's); nobody needs it any more.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(command_error::CommandError::failed("cannot start the runtime").cause(&error)),
    };
    match ending {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report(&output);
            ExitCode::from(error.exit_code())
        }
    }
}

fn runtime(command: &cli::Command) -> std::io::Result<tokio::runtime::Runtime> {
    match command {
        cli::Command::Serve(_) => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    }
}
