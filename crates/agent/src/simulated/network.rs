//! Bridges as files.

use super::settings::{SettingsFile, later};
use crate::drivers::{BridgeSeen, DriverError, DriverResult, Network, bridge_name};
use crate::durable;
use async_trait::async_trait;
use honcho_model::{InterfaceId, NetworkId};
use honcho_wire::{NetworkKind, NetworkWanted};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A bridge. Without a mark it is somebody else's.
#[derive(Serialize, Deserialize)]
struct BridgeFile {
    id: NetworkId,
    mark: Option<(Uuid, Uuid)>,
    kind: Option<NetworkKind>,
}

/// Bridges as files.
pub(super) struct SimulatedNetwork {
    bridges: PathBuf,
    settings: SettingsFile,
}

impl SimulatedNetwork {
    pub(super) fn new(directory: &Path, settings: SettingsFile) -> Self {
        SimulatedNetwork { bridges: directory.join("bridges"), settings }
    }

    fn path(&self, id: NetworkId) -> PathBuf {
        self.bridges.join(format!("{id}.json"))
    }
}

fn read(path: &Path) -> std::io::Result<Option<BridgeFile>> {
    Ok(durable::read(path)?.map(|contents| serde_json::from_slice(&contents)).transpose()?)
}

#[async_trait]
impl Network for SimulatedNetwork {
    async fn look(
        &self,
        brain: Uuid,
        wanted: &[NetworkWanted],
        _interfaces: &[(InterfaceId, NetworkId)],
    ) -> DriverResult<Vec<BridgeSeen>> {
        self.settings.may_fail("bridges")?;
        let mut seen = Vec::new();
        for entry in std::fs::read_dir(&self.bridges).map_err(later(&self.bridges))? {
            let path = entry.map_err(later(&self.bridges))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Some(file) = read(&path).map_err(later(&path))? else { continue };
            let ready = wanted.iter().any(|network| {
                network.id == file.id
                    && file.mark == Some((brain, network.uuid))
                    && file.kind.as_ref() == Some(&network.kind)
            });
            seen.push(BridgeSeen { id: file.id, mark: file.mark, ready });
        }
        seen.sort_by_key(|bridge| bridge.id);
        Ok(seen)
    }

    async fn ensure(
        &self,
        brain: Uuid,
        network: &NetworkWanted,
        _interfaces: &[InterfaceId],
    ) -> DriverResult<()> {
        self.settings.first_half("ensure_network").await?;
        self.settings.may_fail("ensure_network")?;
        let path = self.path(network.id);
        let mark = Some((brain, network.uuid));
        if read(&path).map_err(later(&path))?.is_some_and(|file| file.mark != mark) {
            return Err(DriverError::Later(format!(
                "the bridge name {} is taken by somebody else: rename or remove that bridge",
                bridge_name(network.id)
            )));
        }
        let file = BridgeFile { id: network.id, mark, kind: Some(network.kind.clone()) };
        let contents = serde_json::to_vec(&file).map_err(|error| later(&path)(error.into()))?;
        durable::replace(&path, &contents).map_err(later(&path))?;
        self.settings.second_half("ensure_network").await
    }

    async fn remove(&self, brain: Uuid, id: NetworkId, uuid: Uuid) -> DriverResult<()> {
        self.settings.first_half("remove_network").await?;
        self.settings.may_fail("remove_network")?;
        let path = self.path(id);
        if read(&path).map_err(later(&path))?.is_some_and(|file| file.mark == Some((brain, uuid))) {
            std::fs::remove_file(&path).map_err(later(&path))?;
        }
        self.settings.second_half("remove_network").await
    }
}
