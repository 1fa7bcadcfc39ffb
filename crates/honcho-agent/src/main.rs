//! The agent's program: joins a brain, then keeps this host as the brain wants it.
#![forbid(unsafe_code)]

mod arguments;
mod host_drivers;
mod logging;

use anyhow::{Context as _, bail};
use arguments::{Arguments, Command, JoinArguments, LeaveArguments, RunArguments};
use clap::Parser as _;
use honcho_agent_lib::agent::{self, AgentOptions, BootId};
use honcho_agent_lib::clock::Clock;
use honcho_agent_lib::identity::Identity;
use honcho_agent_lib::machine::MachineIds;
use honcho_agent_lib::movers::MoversOptions;
use std::fs::File;
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    logging::begin();
    match act(arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            logging::fatal(&error);
            std::process::ExitCode::FAILURE
        }
    }
}

fn act(arguments: Arguments) -> anyhow::Result<()> {
    // Two TLS providers in one program make rustls panic, so the one that is used is named before anything else.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        bail!("a TLS provider was installed already, which is a defect of this program");
    }
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        match arguments.command {
            Some(Command::Join(join)) => join_brain(&join).await,
            Some(Command::Run(run)) => run_agent(&run).await,
            Some(Command::Leave(leave)) => leave_brain(&leave).await,
            None => run_agent(&arguments.run).await,
        }
    });
    // A driver may sit in a call that blocks; it is no reason to stay, for every step may be killed at any instant.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    ended
}

async fn join_brain(arguments: &JoinArguments) -> anyhow::Result<()> {
    make_private_directory(&arguments.data)?;
    let _lock = lock(&arguments.data)?;
    let identity = honcho_agent_lib::join::join(&arguments.brain, &arguments.token, &arguments.data).await?;
    logging::say(&format!(
        "This machine is now host {} ({}). Start the agent: {}",
        identity.host_id,
        identity.host_name,
        how_to_start(&arguments.data, &["/etc/systemd/system", "/lib/systemd/system"])
    ));
    Ok(())
}

/// By the package's service where there is one, which keeps to the usual directory.
fn how_to_start(data: &Path, units: &[&str]) -> String {
    let has_unit = units.iter().any(|directory| Path::new(directory).join("honcho-agent.service").exists());
    if has_unit && data == Path::new(arguments::USUAL_DATA) {
        "systemctl start honcho-agent".to_owned()
    } else {
        format!("honcho-agent run --data {}", data.display())
    }
}

async fn leave_brain(arguments: &LeaveArguments) -> anyhow::Result<()> {
    let data = &arguments.data;
    let Some(identity) = Identity::load(data)? else {
        bail!("{} holds no identity: whose bridges to remove is not known", data.display());
    };
    // An agent that runs would make everything anew.
    let _lock = lock(data)?;
    honcho_agent_lib::network::wipe(identity.brain).await?;
    logging::say("The bridges and the NAT of this machine's brain are gone.");
    Ok(())
}

async fn run_agent(arguments: &RunArguments) -> anyhow::Result<()> {
    let data = &arguments.data;
    let Some(identity) = Identity::load(data)? else {
        bail!(
            "this machine has not joined a brain yet ({} holds no identity): ask an operator for a token \
             (`honcho host add NAME`), then `honcho-agent join --brain URL --token TOKEN --data {}`",
            data.display(),
            data.display()
        );
    };
    let _lock = lock(data)?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    let (drivers, boot_id_file) = host_drivers::open(arguments)?;
    let (memory, journal) = agent::recall(data, &identity)?;
    let options = AgentOptions {
        memory,
        journal,
        boot_id: BootId::InFile(boot_id_file),
        machine: honcho_agent_lib::observation::machine().context("cannot find out about this machine")?,
        machine_ids: MachineIds::of_this_machine(),
        contact: std::sync::Arc::default(),
        drivers,
        clock: Clock::of_this_machine().context("cannot read the clock")?,
        // Here the real world comes in.
        #[allow(clippy::disallowed_methods)]
        wall_clock: std::time::SystemTime::now,
        movers: Some(MoversOptions {
            listen: arguments.movers,
            advertise: arguments.movers_advertise.clone(),
        }),
        run_id: uuid::Uuid::new_v4(),
    };
    agent::run(identity, options, shutdown).await
}

fn make_private_directory(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make {}: run as root, or give another --data", path.display()))
}

/// Held as long as the agent runs: two agents on one directory would both act. The kernel lets go of it at the end.
fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("another honcho-agent uses {}: end it first, or give another --data", data.display())
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_joined_is_told_how_to_start_the_agent() {
        let package = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/deb/honcho-agent");
        let usual = Path::new("/var/lib/honcho-agent");
        assert_eq!(how_to_start(usual, &["/nowhere", package]), "systemctl start honcho-agent");
        assert_eq!(how_to_start(usual, &["/nowhere"]), "honcho-agent run --data /var/lib/honcho-agent");
        assert_eq!(how_to_start(Path::new("/srv/a"), &[package]), "honcho-agent run --data /srv/a");
    }
}
