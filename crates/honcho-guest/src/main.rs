//! `honcho-guest`: what Honcho does inside of a guest, or on any server. Small, and a single static file if built so.
#![forbid(unsafe_code)]

mod ask;
mod ship;
mod words;

use clap::Parser as _;
use std::process::ExitCode;

/// Honcho's hands inside of a guest
#[derive(Debug, clap::Parser)]
#[command(name = "honcho-guest", version, max_term_width = 110, subcommand_required = true)]
#[command(arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send slow logs by mail: takes rotated logs, and hands over what waits
    Ship(ship::ShipArguments),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Ship(arguments) => ship::run(&arguments),
    }
}
