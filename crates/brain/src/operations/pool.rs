//! Pools: make, delete.

use super::operators_only;
use super::problems::Problems;
use honcho_api::Pool;
use honcho_model::event::ResourceKind;
use honcho_model::{HostId, PoolId};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Scope, StoreResult, Turn, Tx, hosts, pools};
use std::path::{Component, Path};
use uuid::Uuid;

/// Makes a directory pool on a host.
pub(crate) struct PoolCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) body: honcho_api::PoolCreate,
}

impl Change for PoolCreate {
    type Out = Pool;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Pool> {
        operators_only(self.scope)?;
        let mut problems = Problems::default();
        let name = problems.name(self.body.name.as_deref());
        if self.body.kind.as_deref().is_some_and(|kind| kind != "directory") {
            problems.add("kind", "must be directory");
        }
        let path = problems.needed("path", self.body.path.as_deref());
        let path = path.and_then(|path| problems.check("path", absolute(path)));
        let host = problems.needed("host_id", self.body.host_id);
        let host = match host {
            Some(id) => problems.found("host_id", hosts::get(tx, HostId(id), tx.now).await)?,
            None => None,
        };
        let (Some(name), Some(path), Some(host)) = (name, path, host) else { return Err(problems.into()) };
        problems.none()?;
        let id = pools::create(tx, self.uuid, HostId(host.id), &name, path).await?;
        let pool = pools::get(tx, id).await?;
        let event = NewEvent::info(
            "pool.create",
            (ResourceKind::Pool, id.0, name.as_str()),
            format!("was made on {}", host.name),
        );
        events::record(tx, event.change(None, serde_json::to_value(&pool).ok())).await?;
        Ok(pool)
    }
}

/// Deletes a pool that holds no volume.
pub(crate) struct PoolDelete {
    pub(crate) scope: Scope,
    pub(crate) id: PoolId,
}

impl Change for PoolDelete {
    type Out = Pool;
    // A guest may be on its way there.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Pool> {
        operators_only(self.scope)?;
        let pool = pools::get(tx, self.id).await?;
        pools::delete(tx, self.id, HostId(pool.host_id)).await?;
        let resource = (ResourceKind::Pool, pool.id, pool.name.as_str());
        events::record(tx, NewEvent::info("pool.delete", resource, "was deleted")).await?;
        Ok(pool)
    }
}

fn absolute(path: &str) -> Result<&str, &'static str> {
    let plain =
        Path::new(path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    // "/p" and "/p/" are one directory, and must be one text.
    let path = path.trim_end_matches('/');
    if path.len() > 1
        && path.len() <= 1024
        && path.starts_with('/')
        && plain
        && honcho_model::text::line_of(path, 1024).is_ok()
    {
        Ok(path)
    } else {
        Err("must be an absolute path without . and .., as in /var/lib/honcho/pool")
    }
}
