//! Carries out one step.

use crate::capture::{self, CaptureSink};
use crate::drivers::{
    BlobSource, DomainSpec, DriverError, DriverResult, Drivers, GuestIdentity, InterfaceSpec, Mark,
    ProgressSink, bridge_name, domain_name,
};
use crate::failpoints::failpoint_of_step;
use crate::movers::{self, Peers};
use crate::observed::apart;
use crate::plan::Action;
use honcho_wire::{GuestWanted, PoolWanted};
use std::sync::Arc;
use uuid::Uuid;

/// What steps are carried out with.
#[derive(Clone)]
pub struct Means {
    /// The hands.
    pub drivers: Drivers,
    /// Where images come from.
    pub blobs: Arc<dyn BlobSource>,
    /// Where what is on guests' disks goes.
    pub captures: Arc<dyn CaptureSink>,
    /// How other hosts are reached.
    pub peers: Arc<dyn Peers>,
    /// The brain whose mark is put on everything.
    pub brain: Uuid,
}

/// Carries out one step.
pub async fn perform(action: &Action, means: &Means, progress: &ProgressSink) -> DriverResult<()> {
    failpoint_of_step("begins", action.name());
    let Means { drivers, blobs, captures, peers, brain } = means;
    let result = match action {
        Action::InitPool(pool) => drivers.storage.init_pool(*brain, pool).await,
        Action::EnsureNetwork { network, interfaces } => {
            drivers.network.ensure(*brain, network, interfaces).await
        }
        Action::RemoveNetwork { id, uuid } => drivers.network.remove(*brain, *id, *uuid).await,
        Action::FetchImage { pool, image } => {
            drivers.storage.fetch_image(pool, image, blobs.as_ref(), progress).await
        }
        Action::BuildVolume { pool, guest } => {
            let identity = identity_of(guest);
            drivers.storage.build_volume(pool, &guest.root, &identity, progress).await
        }
        Action::GrowVolume { pool, guest } => drivers.storage.grow_volume(pool, &guest.root).await,
        Action::FetchVolume { pool, arriving } => {
            movers::fetch(drivers.storage.as_ref(), pool, arriving, peers.as_ref(), progress).await
        }
        Action::Capture { pool, guest, upload } => {
            let root = &guest.root;
            let volume = capture::Volume { pool, id: root.id, uuid: root.uuid };
            capture::capture(drivers.storage.as_ref(), &volume, *upload, captures.as_ref(), progress).await
        }
        Action::DeleteVolumes(volumes) => {
            for (pool, volume) in volumes {
                drivers.storage.delete_volume(pool, volume).await?;
            }
            Ok(())
        }
        Action::AskToStop(uuid) => drivers.hypervisor.ask_to_stop(*uuid).await,
        Action::Resume(uuid) => drivers.hypervisor.resume(*uuid).await,
        Action::Destroy(uuid) => drivers.hypervisor.destroy(*uuid).await,
        Action::Start { pool, guest } => start(drivers, *brain, pool, guest).await,
    };
    failpoint_of_step("ended", action.name());
    result
}

async fn start(drivers: &Drivers, brain: Uuid, pool: &PoolWanted, guest: &GuestWanted) -> DriverResult<()> {
    let root = &guest.root;
    let boot = drivers.storage.boot_files(pool, root).await?;
    let interface = |wanted: &honcho_wire::InterfaceWanted| InterfaceSpec {
        id: wanted.id,
        mac: wanted.mac,
        bridge: bridge_name(wanted.network),
    };
    let spec = DomainSpec {
        name: domain_name(guest.id),
        uuid: guest.uuid,
        title: guest.name.to_string(),
        mark: Mark { brain, guest: guest.id, epoch: guest.epoch, boots: guest.boots_wanted },
        memory: guest.memory,
        vcpus: guest.vcpus,
        disk: drivers.storage.disk_path(pool, root.id, root.uuid),
        boot,
        interfaces: guest.interfaces.iter().map(interface).collect(),
        console_log: drivers.storage.console_log_path(pool, root.id, root.uuid),
    };
    drivers.hypervisor.create(&spec).await
}

fn identity_of(guest: &GuestWanted) -> GuestIdentity {
    GuestIdentity {
        hostname: guest.name.to_string(),
        ssh_keys: guest.ssh_keys.clone(),
        interfaces: guest.interfaces.clone(),
    }
}

/// Carries out one step in a task of its own, so that a driver that panics or hangs fails its step and nothing else.
pub async fn perform_apart(action: Action, means: Means, progress: ProgressSink) -> DriverResult<()> {
    let task = apart(means.drivers.calls, async move { perform(&action, &means, &progress).await });
    task.await.unwrap_or_else(|error| {
        Err(DriverError::Later(format!("the step broke off, which is a defect of the agent: {error}")))
    })
}
