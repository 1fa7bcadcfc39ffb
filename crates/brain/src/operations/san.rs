//! SANs: write down, change, delete.

use super::account::refuse_stale;
use super::host_update::text;
use super::operators_only;
use super::problems::Problems;
use honcho_api::San;
use honcho_model::event::ResourceKind;
use honcho_model::{HostId, SanId};
use honcho_store::events::{self, NewEvent};
use honcho_store::sans::{self, Attributes};
use honcho_store::{Change, Scope, StoreResult, Tx, hosts};
use std::collections::BTreeSet;
use uuid::Uuid;

const SIZE: std::ops::RangeInclusive<i64> = 1..=1 << 60;

async fn record(tx: &Tx, kind: &str, san: &San, words: &str, before: Option<&San>) -> StoreResult<()> {
    let resource = (ResourceKind::San, san.id, san.name.as_str());
    let before = before.and_then(|before| serde_json::to_value(before).ok());
    events::record(tx, NewEvent::info(kind, resource, words).change(before, serde_json::to_value(san).ok()))
        .await?;
    Ok(())
}

/// What a SAN is to be: what the body says, and what it was where the body says nothing.
async fn attributes(tx: &Tx, body: &honcho_api::SanCreate, before: Option<&San>) -> StoreResult<Attributes> {
    let mut problems = Problems::default();
    let name = problems.name(body.name.as_deref().or(before.map(|san| san.name.as_str())));
    let vendor =
        text(&mut problems, "vendor", body.vendor.as_ref(), before.and_then(|san| san.vendor.as_ref()));
    let model = text(&mut problems, "model", body.model.as_ref(), before.and_then(|san| san.model.as_ref()));
    let serial =
        text(&mut problems, "serial", body.serial.as_ref(), before.and_then(|san| san.serial.as_ref()));
    let target = body.target.is_some().then(|| body.target.clone());
    let target = text(&mut problems, "target", target.as_ref(), before.map(|san| &san.target));
    let target = problems.needed("target", target);
    let size = body.size_bytes.unwrap_or(before.and_then(|san| san.size_bytes));
    size.and_then(|size| problems.within("size_bytes", size, SIZE));
    let ids = body.host_ids.as_ref().or(before.map(|san| &san.host_ids));
    let ids: BTreeSet<i64> = ids.into_iter().flatten().copied().collect();
    let mut reaching = Vec::new();
    for id in ids {
        if let Some(host) = problems.found("host_ids", hosts::get(tx, HostId(id), tx.now).await)? {
            reaching.push(HostId(host.id));
        }
    }
    let (Some(name), Some(target)) = (name, target) else { return Err(problems.into()) };
    problems.none()?;
    Ok(Attributes { name, vendor, model, serial, target, size, hosts: reaching })
}

/// Writes a SAN down.
pub(crate) struct SanCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) body: honcho_api::SanCreate,
}

impl Change for SanCreate {
    type Out = San;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<San> {
        operators_only(self.scope)?;
        let new = attributes(tx, &self.body, None).await?;
        let id = sans::create(tx, self.uuid, &new).await?;
        let san = sans::get(tx, id).await?;
        record(tx, "san.create", &san, "was written down", None).await?;
        Ok(san)
    }
}

/// Changes a SAN.
pub(crate) struct SanUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: SanId,
    pub(crate) body: honcho_api::SanCreate,
    pub(crate) lock_version: Option<i64>,
}

impl Change for SanUpdate {
    type Out = San;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<San> {
        operators_only(self.scope)?;
        let before = sans::get(tx, self.id).await?;
        let new = attributes(tx, &self.body, Some(&before)).await?;
        let same = attributes(tx, &honcho_api::SanCreate::default(), Some(&before)).await?;
        if new == same {
            return Ok(before);
        }
        refuse_stale(self.lock_version, before.lock_version)?;
        sans::update(tx, self.id, &new).await?;
        let after = sans::get(tx, self.id).await?;
        record(tx, "san.update", &after, "was changed", Some(&before)).await?;
        Ok(after)
    }
}

/// Deletes a SAN.
pub(crate) struct SanDelete {
    pub(crate) scope: Scope,
    pub(crate) id: SanId,
}

impl Change for SanDelete {
    type Out = San;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<San> {
        operators_only(self.scope)?;
        let san = sans::get(tx, self.id).await?;
        sans::delete(tx, self.id).await?;
        record(tx, "san.delete", &san, "was deleted", Some(&san)).await?;
        Ok(san)
    }
}
