//! What one look at the host showed. Observed anew each time, never remembered.

use crate::converge::interfaces_wanted;
use crate::drivers::{BridgeSeen, Calls, DomainSeen, Drivers, PoolSeen};
use honcho_model::{Bytes, Digest, PoolId};
use honcho_wire::{Manifest, PoolKind, PoolState, PoolWanted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a pool may take to be looked at. One that takes longer is not what it should be.
const PATIENCE: Duration = Duration::from_secs(10);

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

/// Looks at hosts. Remembers nothing of what it saw, only which pools have not answered yet.
pub struct Lookout {
    drivers: Drivers,
    patience: Duration,
    hanging: BTreeMap<PoolId, JoinHandle<PoolLook>>,
}

/// What is found out about one pool.
struct PoolLook {
    seen: PoolSeen,
    images: BTreeSet<Digest>,
}

impl Lookout {
    /// Looks by these drivers.
    pub fn new(drivers: Drivers) -> Self {
        Lookout::with_patience(drivers, PATIENCE)
    }

    fn with_patience(drivers: Drivers, patience: Duration) -> Self {
        Lookout { drivers, patience, hanging: BTreeMap::new() }
    }

    /// Looks at everything that the manifest speaks of.
    pub async fn look(&mut self, boot_id: &str, manifest: Option<&Manifest>) -> Observed {
        let drivers = self.drivers.clone();
        let (domains, bridges, (pools, images)) = tokio::join!(
            drivers.hypervisor.domains(),
            async {
                let Some(manifest) = manifest else { return Ok(Vec::new()) };
                let interfaces = interfaces_wanted(manifest);
                drivers.network.look(manifest.brain, &manifest.networks, &interfaces).await
            },
            async {
                let Some(manifest) = manifest else { return Default::default() };
                self.look_at_pools(manifest).await
            },
        );
        Observed {
            boot_id: boot_id.to_owned(),
            domains: domains.map_err(|error| error.to_string()),
            pools,
            bridges: bridges.map_err(|error| error.to_string()),
            images,
        }
    }

    /// All pools at once: one that does not answer takes no time from the others.
    async fn look_at_pools(
        &mut self,
        manifest: &Manifest,
    ) -> (BTreeMap<PoolId, PoolSeen>, BTreeSet<(PoolId, Digest)>) {
        let deadline = Instant::now() + self.patience;
        let (mut pools, mut images) = (BTreeMap::new(), BTreeSet::new());
        let mut looks = Vec::new();
        for pool in &manifest.pools {
            match self.hanging.remove(&pool.id) {
                // It would only hang as well.
                Some(hanging) if !hanging.is_finished() => {
                    self.hanging.insert(pool.id, hanging);
                    pools.insert(pool.id, self.unanswered(pool));
                }
                _ => looks.push((pool, start_look(&self.drivers, manifest, pool))),
            }
        }
        for (pool, mut look) in looks {
            let seen = match tokio::time::timeout_at(deadline, &mut look).await {
                Ok(Ok(looked)) => {
                    images.extend(looked.images.into_iter().map(|digest| (pool.id, digest)));
                    looked.seen
                }
                Ok(Err(error)) => {
                    unusable(format!("looking at it broke off, which is a defect of the agent: {error}"))
                }
                Err(_) => {
                    tracing::warn!(pool = %pool.id, "the pool does not answer; what needs it waits");
                    self.hanging.insert(pool.id, look);
                    self.unanswered(pool)
                }
            };
            pools.insert(pool.id, seen);
        }
        (pools, images)
    }

    fn unanswered(&self, pool: &PoolWanted) -> PoolSeen {
        let PoolKind::Directory { path } = &pool.kind;
        unusable(format!(
            "it does not answer within {} s: `ls {path}` on the host shows whether its disk or its server hangs, \
             `dmesg` why; it is used again as soon as it answers",
            self.patience.as_secs()
        ))
    }
}

/// Looks at one pool apart from everything else: a disk that hangs holds whoever asks it, and drivers may ask it anywhere.
fn start_look(drivers: &Drivers, manifest: &Manifest, pool: &PoolWanted) -> JoinHandle<PoolLook> {
    let of_pool = manifest.guests.iter().filter(|guest| guest.root.pool == pool.id);
    let volumes: Vec<(Uuid, Digest)> =
        of_pool.map(|guest| (guest.root.uuid, guest.root.image.digest)).collect();
    let (storage, brain, pool) = (Arc::clone(&drivers.storage), manifest.brain, pool.clone());
    apart(drivers.calls, async move {
        let seen = storage.look(brain, &pool).await;
        let mut images = BTreeSet::new();
        if seen.state == PoolState::Ready {
            let unmade = |uuid: Uuid| seen.volumes.iter().all(|volume| volume.uuid != uuid);
            let waited_for: BTreeSet<Digest> =
                volumes.iter().filter(|(uuid, _)| unmade(*uuid)).map(|(_, digest)| *digest).collect();
            for digest in waited_for {
                match storage.has_image(&pool, digest).await {
                    Ok(true) => {
                        images.insert(digest);
                    }
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(pool = %pool.id, %error, "cannot look into the image cache; will fetch");
                    }
                }
            }
        }
        PoolLook { seen, images }
    })
}

/// Runs `work` where it may block for as long as it pleases and holds up nobody else.
pub(crate) fn apart<T: Send + 'static>(
    calls: Calls,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let runtime = Handle::current();
    match calls {
        Calls::MayBlock => tokio::task::spawn_blocking(move || runtime.block_on(work)),
        Calls::NeverBlock => runtime.spawn(work),
    }
}

fn unusable(problem: String) -> PoolSeen {
    PoolSeen {
        state: PoolState::Wrong,
        problem: Some(problem),
        size: Bytes(0),
        free: Bytes(0),
        reflink: false,
        volumes: Vec::new(),
    }
}

#[cfg(test)]
#[path = "observed_tests.rs"]
mod tests;
