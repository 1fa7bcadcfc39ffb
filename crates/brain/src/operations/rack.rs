//! Racks: make, change, delete.

use super::account::refuse_stale;
use super::operators_only;
use super::problems::Problems;
use honcho_api::Rack;
use honcho_model::event::ResourceKind;
use honcho_model::rack::{HIGHEST, Place, USUAL_HEIGHT};
use honcho_model::{RackId, SiteId};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Scope, StoreResult, Tx, host_places, racks, sites};
use uuid::Uuid;

const HEIGHT: std::ops::RangeInclusive<i64> = 1..=HIGHEST;

async fn record(tx: &Tx, kind: &str, rack: &Rack, words: &str, before: Option<&Rack>) -> StoreResult<()> {
    let resource = (ResourceKind::Rack, rack.id, rack.name.as_str());
    let before = before.and_then(|before| serde_json::to_value(before).ok());
    events::record(tx, NewEvent::info(kind, resource, words).change(before, serde_json::to_value(rack).ok()))
        .await?;
    Ok(())
}

/// Makes a rack.
pub(crate) struct RackCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) body: honcho_api::RackCreate,
}

impl Change for RackCreate {
    type Out = Rack;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Rack> {
        operators_only(self.scope)?;
        let mut problems = Problems::default();
        let height = self.body.height_units.unwrap_or(USUAL_HEIGHT);
        problems.within("height_units", height, HEIGHT);
        let name = problems.name(self.body.name.as_deref());
        let site = match problems.needed("site_id", self.body.site_id) {
            Some(site) => problems.found("site_id", sites::get(tx, SiteId(site)).await)?,
            None => None,
        };
        let (Some(name), Some(site)) = (name, site) else { return Err(problems.into()) };
        problems.none()?;
        let id = racks::create(tx, self.uuid, SiteId(site.id), &name, height).await?;
        let rack = racks::get(tx, id).await?;
        record(tx, "rack.create", &rack, "was made", None).await?;
        Ok(rack)
    }
}

/// Changes a rack. What is in it goes with it to another site.
pub(crate) struct RackUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: RackId,
    pub(crate) body: honcho_api::RackCreate,
    pub(crate) lock_version: Option<i64>,
}

impl Change for RackUpdate {
    type Out = Rack;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Rack> {
        operators_only(self.scope)?;
        let before = racks::get(tx, self.id).await?;
        let mut problems = Problems::default();
        let height = self.body.height_units.unwrap_or(before.height_units);
        problems.within("height_units", height, HEIGHT);
        if let Some(top) = host_places::highest(tx, self.id).await? {
            let place = Place { position: top.position, height: top.height_units, face: None };
            if place.top() > height {
                problems.add("height_units", format!("is too low: host {} fills {place}", top.name));
            }
        }
        let name = problems.name(Some(self.body.name.as_deref().unwrap_or(&before.name)));
        let site = SiteId(self.body.site_id.unwrap_or(before.site_id));
        problems.found("site_id", sites::get(tx, site).await)?;
        let Some(name) = name else { return Err(problems.into()) };
        problems.none()?;
        if name.as_str() == before.name && height == before.height_units && site.0 == before.site_id {
            return Ok(before);
        }
        refuse_stale(self.lock_version, before.lock_version)?;
        racks::update(tx, self.id, site, &name, height).await?;
        let after = racks::get(tx, self.id).await?;
        record(tx, "rack.update", &after, "was changed", Some(&before)).await?;
        Ok(after)
    }
}

/// Deletes a rack in which nothing is.
pub(crate) struct RackDelete {
    pub(crate) scope: Scope,
    pub(crate) id: RackId,
}

impl Change for RackDelete {
    type Out = Rack;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Rack> {
        operators_only(self.scope)?;
        let rack = racks::get(tx, self.id).await?;
        racks::delete(tx, self.id).await?;
        record(tx, "rack.delete", &rack, "was deleted", Some(&rack)).await?;
        Ok(rack)
    }
}
