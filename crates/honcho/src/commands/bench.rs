//! `honcho bench`: becomes `honcho-bench`, the program beside this one that measures. It links libvirt, which this one
//! must not.

use crate::command_error::CommandError;
use crate::context::Context;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

/// The program.
const PROGRAM: &str = "honcho-bench";

#[derive(Clone, Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct BenchArguments {
    /// What to measure, and how: `honcho bench --help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "MEASUREMENT")]
    arguments: Vec<OsString>,
}

impl BenchArguments {
    /// A measurement with its arguments.
    pub(crate) fn of(measurement: &str, arguments: &[OsString]) -> Self {
        BenchArguments {
            arguments: std::iter::once(measurement.into()).chain(arguments.iter().cloned()).collect(),
        }
    }
}

/// Returns only when it fails.
pub(crate) fn run(context: &Context, arguments: &BenchArguments) -> Result<(), CommandError> {
    let here = std::env::current_exe()
        .map_err(|error| CommandError::failed("cannot find out where this program is").cause(&error))?;
    let program = here.with_file_name(PROGRAM);
    let global = &context.global;
    let mut command = std::process::Command::new(&program);
    command.env("HONCHO_URL", &global.url);
    // In the environment, for other users of this machine can see a command's options.
    if let Some(token) = &global.token {
        command.env("HONCHO_TOKEN", token);
    }
    if let Some(file) = &global.token_file {
        command.env("HONCHO_TOKEN_FILE", file);
    }
    if let Some(file) = &global.ca {
        command.env("HONCHO_CA", file);
    }
    if global.json {
        command.arg("--json");
    }
    let error = command.args(&arguments.arguments).exec();
    let failed = CommandError::failed(format!("cannot run {}", program.display())).cause(&error);
    Err(if error.kind() == std::io::ErrorKind::NotFound {
        failed.hint("it belongs beside honcho; in a checkout: cargo build --release -p honcho-bench")
    } else {
        failed
    })
}
