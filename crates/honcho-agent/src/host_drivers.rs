//! Chooses the hands: the real ones, or a simulated host in a directory.

use crate::arguments::RunArguments;
use anyhow::Context as _;
use honcho_agent_lib::agent::kernel_boot_id_file;
use honcho_agent_lib::drivers::{Calls, Drivers};
use honcho_agent_lib::network::bridge::BridgeNetwork;
use honcho_agent_lib::simulated;
use honcho_agent_lib::storage::DirectoryStorage;
use honcho_libvirt::LibvirtHypervisor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The drivers, and the file that holds the host's boot id. Must be called within a Tokio runtime.
pub(crate) fn open(arguments: &RunArguments) -> anyhow::Result<(Drivers, PathBuf)> {
    let (drivers, boot_id_file) = match &arguments.simulated {
        Some(directory) => {
            let drivers = simulated::open(directory)
                .with_context(|| format!("cannot keep a simulated host in {}", directory.display()))?;
            (drivers, simulated::boot_id_file(directory))
        }
        None => (real(&arguments.libvirt, &arguments.data)?, kernel_boot_id_file().to_owned()),
    };
    Ok((drivers, arguments.boot_id_file.clone().unwrap_or(boot_id_file)))
}

fn real(libvirt: &str, data: &Path) -> anyhow::Result<Drivers> {
    let options = honcho_libvirt::Options {
        uri: libvirt.to_owned(),
        probe_file: Some(data.join("virtualization.json")),
        ..honcho_libvirt::Options::default()
    };
    let hypervisor =
        LibvirtHypervisor::new(options).with_context(|| format!("cannot use libvirt at {libvirt}"))?;
    Ok(Drivers {
        calls: Calls::MayBlock,
        hypervisor: Arc::new(hypervisor),
        storage: Arc::new(DirectoryStorage::new()),
        network: Arc::new(BridgeNetwork::new()),
    })
}
