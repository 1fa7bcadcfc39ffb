//! The command line.

use clap::{Args, Parser, Subcommand};
use honcho_agent_lib::join::JoinToken;
use std::path::PathBuf;

/// Where the agent keeps what it knows, unless told otherwise.
pub(crate) const USUAL_DATA: &str = "/var/lib/honcho-agent";

const EXAMPLES: &str = "\
Examples:
  On the brain's machine, an operator adds a host and gets a token:
    honcho host add rack1-7
  On the new machine, once:
    honcho-agent join --brain https://brain.example.net:7070 --token 7.Zm9v…
  From then on, as a service:
    honcho-agent

  A host that is none, for tests and simulations:
    honcho-agent run --data ./var/agent --simulated ./var/host

Environment:
  RUST_LOG   what is logged, as in \"info\" (the default) or \"honcho_agent_lib=debug\"";

/// Keeps this host as its brain wants it: guests, volumes, networks.
#[derive(Debug, Parser)]
#[command(name = "honcho-agent", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// What to do; without one, `run`.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// For `run` without saying it.
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make this machine a host of a brain, with a token from `honcho host add`.
    #[command(after_help = "Example:\n  honcho-agent join --brain http://127.0.0.1:7070 --token 7.Zm9v…")]
    Join(JoinArguments),
    /// Keep this host as its brain wants it, until told to end. Guests go on when it ends.
    Run(RunArguments),
    /// Remove from this machine what was made for its brain outside of pools: bridges and NAT. Guests have to be gone.
    #[command(after_help = "Example:\n  honcho-agent leave --data ./var/agent")]
    Leave(LeaveArguments),
}

/// How to join.
#[derive(Debug, Args)]
pub(crate) struct JoinArguments {
    /// Where the brain listens for people: https, or http on loopback.
    #[arg(long, value_name = "URL", env = "HONCHO_BRAIN")]
    pub(crate) brain: String,
    /// The token, as `honcho host add` printed it. It works once.
    #[arg(long, value_name = "TOKEN", env = "HONCHO_JOIN_TOKEN", hide_env_values = true)]
    pub(crate) token: JoinToken,
    /// Where key, certificate and journal are kept.
    #[arg(long, value_name = "DIR", default_value = USUAL_DATA)]
    pub(crate) data: PathBuf,
}

/// How to leave.
#[derive(Debug, Args)]
pub(crate) struct LeaveArguments {
    /// Where key, certificate and journal are kept. They stay: they say whose the bridges were.
    #[arg(long, value_name = "DIR", default_value = USUAL_DATA)]
    pub(crate) data: PathBuf,
}

/// How to run.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Where key, certificate and journal are kept.
    #[arg(long, value_name = "DIR", default_value = USUAL_DATA)]
    pub(crate) data: PathBuf,
    /// Which libvirt runs the guests.
    #[arg(long, value_name = "URI", default_value = "qemu:///system", conflicts_with = "simulated")]
    pub(crate) libvirt: String,
    /// Run no guests: keep a simulated host in this directory instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) simulated: Option<PathBuf>,
    /// Where other hosts' agents are heard, when guests are moved from host to host.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:7073")]
    pub(crate) movers: std::net::SocketAddr,
    /// Where other hosts reach that, if not at the address by which this host reaches its brain.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) movers_advertise: Option<String>,
    /// Where the host's boot id stands, if not where the kernel says it (for hosts that are namespaces).
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) boot_id_file: Option<PathBuf>,
}
