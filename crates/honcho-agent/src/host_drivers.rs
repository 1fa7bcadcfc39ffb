//! Chooses the hands: the real ones, or a simulated host in a directory.

use crate::arguments::RunArguments;
use anyhow::{Context as _, bail};
use honcho_agent_lib::agent::kernel_boot_id_file;
use honcho_agent_lib::drivers::Drivers;
use honcho_agent_lib::simulated;
use std::path::PathBuf;

/// The drivers, and the file that holds the host's boot id.
pub(crate) fn open(arguments: &RunArguments) -> anyhow::Result<(Drivers, PathBuf)> {
    let (drivers, boot_id_file) = match &arguments.simulated {
        Some(directory) => {
            let drivers = simulated::open(directory)
                .with_context(|| format!("cannot keep a simulated host in {}", directory.display()))?;
            (drivers, simulated::boot_id_file(directory))
        }
        None => bail!("only --simulated for now"),
    };
    Ok((drivers, arguments.boot_id_file.clone().unwrap_or(boot_id_file)))
}
