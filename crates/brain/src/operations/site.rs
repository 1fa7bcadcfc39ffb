//! Sites: make, change, delete.

use super::account::refuse_stale;
use super::host_update::text;
use super::operators_only;
use super::problems::Problems;
use honcho_api::Site;
use honcho_model::SiteId;
use honcho_model::event::ResourceKind;
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Scope, StoreResult, Tx, sites};
use uuid::Uuid;

async fn record(tx: &Tx, kind: &str, site: &Site, words: &str, before: Option<&Site>) -> StoreResult<()> {
    let resource = (ResourceKind::Site, site.id, site.name.as_str());
    let before = before.and_then(|before| serde_json::to_value(before).ok());
    events::record(tx, NewEvent::info(kind, resource, words).change(before, serde_json::to_value(site).ok()))
        .await?;
    Ok(())
}

/// Makes a site.
pub(crate) struct SiteCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) body: honcho_api::SiteCreate,
}

impl Change for SiteCreate {
    type Out = Site;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Site> {
        operators_only(self.scope)?;
        let mut problems = Problems::default();
        let location = text(&mut problems, "location", self.body.location.as_ref(), None);
        let Some(name) = problems.name(self.body.name.as_deref()) else { return Err(problems.into()) };
        problems.none()?;
        let id = sites::create(tx, self.uuid, &name, location.as_deref()).await?;
        let site = sites::get(tx, id).await?;
        record(tx, "site.create", &site, "was made", None).await?;
        Ok(site)
    }
}

/// Changes a site.
pub(crate) struct SiteUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: SiteId,
    pub(crate) body: honcho_api::SiteCreate,
    pub(crate) lock_version: Option<i64>,
}

impl Change for SiteUpdate {
    type Out = Site;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Site> {
        operators_only(self.scope)?;
        let before = sites::get(tx, self.id).await?;
        let mut problems = Problems::default();
        let location = text(&mut problems, "location", self.body.location.as_ref(), before.location.as_ref());
        let name = problems.name(Some(self.body.name.as_deref().unwrap_or(&before.name)));
        let Some(name) = name else { return Err(problems.into()) };
        problems.none()?;
        if name.as_str() == before.name && location == before.location {
            return Ok(before);
        }
        refuse_stale(self.lock_version, before.lock_version)?;
        sites::update(tx, self.id, &name, location.as_deref()).await?;
        let after = sites::get(tx, self.id).await?;
        record(tx, "site.update", &after, "was changed", Some(&before)).await?;
        Ok(after)
    }
}

/// Deletes a site in which nothing is.
pub(crate) struct SiteDelete {
    pub(crate) scope: Scope,
    pub(crate) id: SiteId,
}

impl Change for SiteDelete {
    type Out = Site;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Site> {
        operators_only(self.scope)?;
        let site = sites::get(tx, self.id).await?;
        sites::delete(tx, self.id).await?;
        record(tx, "site.delete", &site, "was deleted", Some(&site)).await?;
        Ok(site)
    }
}
