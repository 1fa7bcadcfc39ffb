//! `honcho serve`: the brain itself.

use crate::command_error::CommandError;
use std::net::SocketAddr;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
At the first start it makes DATA with a database, a certificate authority and the operator's first token
(DATA/operator.token, readable by its owner alone). It runs until SIGINT or SIGTERM; guests do not notice.

Examples:
  honcho serve
  honcho serve --data ./var/brain --agents-listen 0.0.0.0:7071 --agents-advertise brain.example.com:7071";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeArguments {
    /// Where people and programs are heard (plain HTTP: leave it on loopback, or behind a TLS front)
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070")]
    pub(crate) listen: SocketAddr,

    /// Where agents are heard (mutual TLS alone)
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7071")]
    pub(crate) agents_listen: SocketAddr,

    /// How agents reach that from their machines; the address above, when absent
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) agents_advertise: Option<String>,

    /// The directory that holds all of the brain
    #[arg(long, value_name = "DIR", default_value = "/var/lib/honcho", env = "HONCHO_DATA")]
    pub(crate) data: PathBuf,
}

#[expect(clippy::unused_async, reason = "the brain is awaited here")]
pub(crate) async fn run(arguments: ServeArguments) -> Result<(), CommandError> {
    Err(CommandError::failed(format!("cannot serve {}: this build holds no brain", arguments.data.display())))
}
