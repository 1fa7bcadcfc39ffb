//! `honcho simulate`: a data centre with simulated hosts and guests around a real brain. The program that measures has it
//! (see [`super::bench`]).

use super::bench::{self, BenchArguments};
use crate::command_error::CommandError;
use crate::context::Context;
use std::ffi::OsString;

#[derive(Clone, Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SimulateArguments {
    /// How many hosts and guests, and what to do with them: `honcho simulate --help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    arguments: Vec<OsString>,
}

/// Returns only when it fails.
pub(crate) fn run(context: &Context, arguments: &SimulateArguments) -> Result<(), CommandError> {
    bench::run(context, &BenchArguments::of("simulate", &arguments.arguments))
}
