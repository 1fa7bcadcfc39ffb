//! Networks: make, rename, delete.

use super::account::refuse_stale;
use super::problems::Problems;
use super::{operators_only, refuse_cancelled};
use honcho_api::Network;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, NetworkId, subnet};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Filters, Scope, StoreResult, Tx, accounts, networks};
use uuid::Uuid;

async fn record(
    tx: &Tx,
    kind: &str,
    network: &Network,
    text: &str,
    before: Option<&Network>,
) -> StoreResult<()> {
    let resource = (ResourceKind::Network, network.id, network.name.as_str());
    let before = before.and_then(|before| serde_json::to_value(before).ok());
    let event = NewEvent::info(kind, resource, text).of(network.account_id.map(AccountId));
    events::record(tx, event.change(before, serde_json::to_value(network).ok())).await?;
    Ok(())
}

/// Makes a network.
pub(crate) struct NetworkCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) body: honcho_api::NetworkCreate,
}

impl Change for NetworkCreate {
    type Out = Network;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Network> {
        operators_only(self.scope)?;
        let mut problems = Problems::default();
        if let Some(reference) = problems.line("reference", self.body.reference.as_deref()) {
            let known =
                networks::list(tx, Scope::System, &Filters::default().and("reference", reference)).await?;
            if let Some(known) = known.into_iter().find(|known| known.account_id == self.body.account_id) {
                return Ok(known);
            }
        }
        let name = problems.name(self.body.name.as_deref());
        if self.body.kind.as_deref().is_some_and(|kind| kind != "local") {
            problems.add("kind", "must be local");
        }
        let net = problems.needed("subnet", self.body.subnet.as_deref());
        let net = net.and_then(|net| problems.check("subnet", subnet::parse(net)));
        if let Some(net) = net {
            self.refuse_overlap(tx, net, &mut problems).await?;
        }
        if let Some(account) = self.body.account_id {
            let owner =
                problems.found("account_id", accounts::get(tx, self.scope, AccountId(account)).await)?;
            refuse_cancelled(&mut problems, owner.as_ref());
        }
        let (Some(name), Some(net)) = (name, net) else { return Err(problems.into()) };
        problems.none()?;
        let account = self.body.account_id.map(AccountId);
        let reference = self.body.reference.clone();
        let new = networks::NewNetwork { uuid: self.uuid, name, reference, account, subnet: net };
        let id = networks::create(tx, &new).await?;
        let network = networks::get(tx, Scope::System, id).await?;
        record(tx, "network.create", &network, "was made", None).await?;
        Ok(network)
    }
}

impl NetworkCreate {
    /// Two local networks may stand on one host, where overlapping subnets could not be told apart.
    async fn refuse_overlap(&self, tx: &Tx, net: ipnet::Ipv4Net, problems: &mut Problems) -> StoreResult<()> {
        for other in networks::list(tx, Scope::System, &Filters::default()).await? {
            let overlaps = |known: ipnet::Ipv4Net| known.contains(&net) || net.contains(&known);
            if subnet::parse(&other.subnet).is_ok_and(overlaps) {
                problems.add("subnet", format!("overlaps with network {} ({})", other.name, other.subnet));
            }
        }
        Ok(())
    }
}

/// Renames a network.
pub(crate) struct NetworkRename {
    pub(crate) scope: Scope,
    pub(crate) id: NetworkId,
    pub(crate) name: Option<String>,
    pub(crate) lock_version: Option<i64>,
}

impl Change for NetworkRename {
    type Out = Network;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Network> {
        operators_only(self.scope)?;
        let before = networks::get(tx, self.scope, self.id).await?;
        let mut problems = Problems::default();
        let name = problems.name(Some(self.name.as_deref().unwrap_or(&before.name)));
        let Some(name) = name else { return Err(problems.into()) };
        if name.as_str() == before.name {
            return Ok(before);
        }
        refuse_stale(self.lock_version, before.lock_version)?;
        networks::rename(tx, self.id, &name).await?;
        let after = networks::get(tx, self.scope, self.id).await?;
        record(tx, "network.rename", &after, "was renamed", Some(&before)).await?;
        Ok(after)
    }
}

/// Deletes a network that nothing uses.
pub(crate) struct NetworkDelete {
    pub(crate) scope: Scope,
    pub(crate) id: NetworkId,
}

impl Change for NetworkDelete {
    type Out = Network;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Network> {
        operators_only(self.scope)?;
        let network = networks::get(tx, self.scope, self.id).await?;
        networks::delete(tx, self.id).await?;
        record(tx, "network.delete", &network, "was deleted", Some(&network)).await?;
        Ok(network)
    }
}
