//! `honcho demo`: a simulated data centre to look around in. The program that measures has it (see [`super::bench`]).

use super::bench::{self, BenchArguments};
use crate::command_error::CommandError;
use crate::context::Context;
use std::ffi::OsString;

#[derive(Clone, Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct DemoArguments {
    /// How large, and where it is shown: `honcho demo --help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    arguments: Vec<OsString>,
}

/// Returns only when it fails.
pub(crate) fn run(context: &Context, arguments: &DemoArguments) -> Result<(), CommandError> {
    bench::run(context, &BenchArguments::of("demo", &arguments.arguments))
}
