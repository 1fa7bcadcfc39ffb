//! A stand-in for hypervisor, storage and network that keeps everything in a directory. For tests and simulations.
//!
//! It outlives the agent as the real ones do: what it has made is there when the agent comes back, and nothing of it
//! runs in the agent's process. Nothing here ever passes for real: the host reports its hypervisor as "simulated".
//!
//! ```text
//!   DIR/settings.json       delays and failures to inject; read at every step, see [`Settings`]
//!   DIR/boot-id             the simulated host's boot id: change it (and remove domains/*) to "reboot" the host
//!   DIR/domains/NAME.json   a running domain: remove it, and the guest has powered itself off
//!   DIR/starts.log          one line per start ever: GUEST EPOCH BOOTS START; synced, never shortened
//!   DIR/pools/ID/           pool.json, vID-UUID.json (volumes), *.partial (half-made), images/DIGEST
//!   DIR/bridges/ID.json     bridges
//! ```
//!
//! A domain file whose `domain.stuck` is `"disk_error"` is paused for a full pool, until it is resumed.
//! Moving DIR/pools/ID away "unmounts" a pool. A domain file without `mark` is somebody else's domain.

mod hypervisor;
pub mod load;
mod network;
mod settings;
mod storage;

pub use settings::Settings;

use crate::drivers::{Calls, Drivers, Duplex};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

/// Opens a directory as a simulated host. Must be called within a Tokio runtime.
pub fn open(directory: &Path) -> std::io::Result<Drivers> {
    for part in ["domains", "pools", "bridges"] {
        std::fs::create_dir_all(directory.join(part))?;
    }
    let boot_id = boot_id_file(directory);
    if !boot_id.exists() {
        crate::durable::replace(&boot_id, Uuid::new_v4().to_string().as_bytes())?;
    }
    let settings = Settings::in_directory(directory);
    Ok(Drivers {
        calls: Calls::MayBlock,
        hypervisor: Arc::new(hypervisor::SimulatedHypervisor::open(directory, settings.clone())?),
        storage: Arc::new(storage::SimulatedStorage::new(directory, settings.clone())),
        network: Arc::new(network::SimulatedNetwork::new(directory, settings)),
    })
}

/// Where the simulated host's boot id stands.
pub fn boot_id_file(directory: &Path) -> PathBuf {
    directory.join("boot-id")
}

/// The console of a simulated guest of this name: it says so, and echoes what is typed.
pub fn console(name: &str) -> Box<dyn Duplex> {
    let (ours, theirs) = tokio::io::duplex(4096);
    let greeting = format!("{name} (simulated): echoes what is typed\r\n");
    tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(theirs);
        let mut buffer = [0; 1024];
        let mut write = to.write_all(greeting.as_bytes()).await;
        // Ends when the other half is dropped.
        while write.is_ok() {
            match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => write = to.write_all(&buffer[..count]).await,
            }
        }
    });
    Box::new(ours)
}
