//! What one look at the host showed. Observed anew each time, never remembered.

use crate::drivers::{BridgeSeen, DomainSeen, Drivers, PoolSeen};
use honcho_model::{Digest, PoolId};
use honcho_wire::{Manifest, PoolState};
use std::collections::{BTreeMap, BTreeSet};

/// What one look at the host showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The kernel's boot id.
    pub boot_id: String,
    /// Every domain, or why they cannot be looked at.
    pub domains: Result<Vec<DomainSeen>, String>,
    /// Pools of the manifest.
    pub pools: BTreeMap<PoolId, PoolSeen>,
    /// Bridges whose names have the form of ours, or why they cannot be looked at.
    pub bridges: Result<Vec<BridgeSeen>, String>,
    /// Cached images, of those that a volume waits for.
    pub images: BTreeSet<(PoolId, Digest)>,
}

/// Looks at everything that the manifest speaks of.
pub async fn look(drivers: &Drivers, boot_id: &str, manifest: Option<&Manifest>) -> Observed {
    let domains = drivers.hypervisor.domains().await.map_err(|error| error.to_string());
    let mut observed = Observed {
        boot_id: boot_id.to_owned(),
        domains,
        pools: BTreeMap::new(),
        bridges: Ok(Vec::new()),
        images: BTreeSet::new(),
    };
    let Some(manifest) = manifest else { return observed };
    let bridges = drivers.network.look(manifest.brain, &manifest.networks).await;
    observed.bridges = bridges.map_err(|error| error.to_string());
    for pool in &manifest.pools {
        observed.pools.insert(pool.id, drivers.storage.look(manifest.brain, pool).await);
    }
    for guest in &manifest.guests {
        let root = &guest.root;
        let key = (root.pool, root.image.digest);
        let made = |pool: &PoolSeen| pool.volumes.iter().any(|volume| volume.uuid == root.uuid);
        let ready = |pool: &&PoolSeen| pool.state == PoolState::Ready && !made(pool);
        let waits =
            observed.pools.get(&root.pool).as_ref().is_some_and(ready) && !observed.images.contains(&key);
        let Some(pool) = manifest.pools.iter().find(|pool| waits && pool.id == root.pool) else { continue };
        match drivers.storage.has_image(pool, root.image.digest).await {
            Ok(true) => {
                observed.images.insert(key);
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(pool = %pool.id, %error, "cannot look into the image cache; will fetch");
            }
        }
    }
    observed
}
