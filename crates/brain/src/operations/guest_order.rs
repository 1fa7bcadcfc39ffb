//! What an order of a guest says, checked; and its rows, once it is decided where it goes. One guest is ordered like this,
//! and so is each of a cluster.

use super::guest_power::with_addresses;
use super::problems::Problems;
use super::quotas::{self, Extra};
use super::{guest_interfaces, refuse_cancelled};
use crate::placing::{self, Decided, Now, Told};
use honcho_api::{Account, Guest, GuestCreate};
use honcho_model::event::ResourceKind;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_model::{AccountId, Bytes, CpuFeature, GuestId, HostId, ImageId, Name, NetworkKind, SiteId};
use honcho_placement::Request;
use honcho_store::events::{self, NewEvent};
use honcho_store::guests_desired::{self, NewGuest, NewInterface};
use honcho_store::{
    Scope, StoreResult, Tx, accounts, clusters, guests, hosts, images, operations, placements, sites,
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Sizes that a guest may have, in bytes and in number.
pub(super) const MEMORY: std::ops::RangeInclusive<i64> = 64 << 20..=1 << 42;
pub(super) const DISK: std::ops::RangeInclusive<i64> = 16 << 20..=1 << 46;
pub(super) const VCPUS: std::ops::RangeInclusive<i64> = 1..=256;

/// They stand in every manifest of the guest's host.
const MOST_SSH_KEYS: usize = 64;

/// Nobody needs more by name.
const MOST_FEATURES: usize = 64;

/// What was asked for, checked.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) account: AccountId,
    pub(super) name: Name,
    reference: Option<String>,
    image: ImageId,
    interfaces: Vec<NewInterface>,
    pub(super) kinds: Vec<NetworkKind>,
    memory: Bytes,
    disk: Bytes,
    vcpus: u32,
    ssh_keys: Vec<String>,
    power: Power,
    start_alone: bool,
    host: Option<HostId>,
    site: Option<SiteId>,
    cluster: Option<Name>,
    role: Option<Name>,
    architecture: Option<String>,
    pub(super) features: BTreeSet<CpuFeature>,
}

/// The random names of what an order makes.
pub(super) struct Uuids {
    pub(super) guest: Uuid,
    pub(super) volume: Uuid,
    /// Of its cluster, should this be the first guest of it.
    pub(super) cluster: Uuid,
}

/// The account it is for: a token of an account need not name it, and may name no other.
pub(super) fn account_of(scope: Scope, named: Option<i64>) -> Option<AccountId> {
    match (scope.sole_account(), named) {
        (Some(own), None) => Some(own),
        (Some(own), Some(named)) => (own.0 == named).then_some(own),
        (None, named) => named.map(AccountId),
    }
}

/// The account in which something is to be made.
pub(super) async fn check_account(
    tx: &Tx,
    scope: Scope,
    named: Option<i64>,
    problems: &mut Problems,
) -> StoreResult<Option<Account>> {
    let Some(id) = account_of(scope, named) else {
        problems.add("account_id", if named.is_some() { "does not exist" } else { "can't be blank" });
        return Ok(None);
    };
    let account = problems.found("account_id", accounts::get(tx, scope, id).await)?;
    refuse_cancelled(problems, account.as_ref());
    if account.as_ref().is_some_and(|account| account.suspended_at.is_some()) {
        problems.add("account_id", "is suspended: no guest is made in it until that ends");
    }
    Ok(account)
}

/// Reads the whole of an order, and says at once all that is wrong with it.
pub(super) async fn check(tx: &Tx, scope: Scope, body: &GuestCreate) -> StoreResult<Order> {
    let mut problems = Problems::default();
    let name = problems.name(body.name.as_deref());
    let account = check_account(tx, scope, body.account_id, &mut problems).await?;
    let image = match problems.needed("image_id", body.image_id) {
        Some(id) => problems.found("image_id", images::get(tx, scope, ImageId(id)).await)?,
        None => None,
    };
    let owner = account.as_ref().map(|account| AccountId(account.id));
    let (interfaces, kinds) = guest_interfaces::read(tx, scope, owner, body, &mut problems).await?;
    if let (Some(account), Some(image)) = (&account, &image) {
        refuse_foreign(&mut problems, "image_id", image.account_id, account.id);
    }
    let memory = problems.needed("memory_bytes", body.memory_bytes);
    let memory = memory.and_then(|bytes| problems.within("memory_bytes", bytes, MEMORY));
    let disk = problems.needed("disk_bytes", body.disk_bytes);
    let disk = disk.and_then(|bytes| problems.within("disk_bytes", bytes, DISK));
    if let (Some(disk), Some(image)) = (disk, &image) {
        refuse_small(&mut problems, Bytes(disk), image);
    }
    let vcpus = problems.within("vcpus", body.vcpus.unwrap_or(1), VCPUS).and_then(|n| u32::try_from(n).ok());
    let ssh_keys = body.ssh_keys.clone().unwrap_or_default();
    if ssh_keys.len() > MOST_SSH_KEYS {
        problems.add("ssh_keys", format!("must be {MOST_SSH_KEYS} at most"));
    }
    for key in &ssh_keys {
        problems.check("ssh_keys", public_key(key));
    }
    check_where(tx, scope, body, &mut problems).await?;
    let cluster = body.cluster.as_deref().and_then(|word| problems.check("cluster", Name::new(word)));
    let role = body.role.as_deref().and_then(|word| problems.check("role", Name::new(word)));
    if body.role.is_some() && body.cluster.is_none() {
        problems.add("role", "is one in a cluster: say which, by cluster");
    }
    let named = body.cpu_features.as_deref().unwrap_or_default();
    if named.len() > MOST_FEATURES {
        problems.add("cpu_features", format!("must be {MOST_FEATURES} at most"));
    }
    let features: BTreeSet<CpuFeature> =
        named.iter().filter_map(|word| problems.check("cpu_features", word.parse())).collect();
    let (Some(name), Some(account), Some(image), Some(memory), Some(disk), Some(vcpus)) =
        (name, account, image, memory, disk, vcpus)
    else {
        return Err(problems.into());
    };
    problems.none()?;
    Ok(Order {
        account: AccountId(account.id),
        name,
        reference: body.reference.clone(),
        image: ImageId(image.id),
        interfaces,
        kinds,
        memory: Bytes(memory),
        disk: Bytes(disk),
        vcpus,
        ssh_keys,
        power: body.power.unwrap_or(Power::Running),
        start_alone: body.start_alone.unwrap_or(false),
        host: body.host_id.map(HostId),
        site: body.site_id.map(SiteId),
        cluster,
        role,
        architecture: image.architecture,
        features,
    })
}

/// The host or site that was asked for.
async fn check_where(tx: &Tx, scope: Scope, body: &GuestCreate, problems: &mut Problems) -> StoreResult<()> {
    let (host, site) = (body.host_id, body.site_id);
    if !scope.is_operator() {
        for (attribute, asked) in [("host_id", host), ("site_id", site)] {
            if asked.is_some() {
                problems.add(attribute, "may be chosen by operators only");
            }
        }
        return Ok(());
    }
    if let Some(id) = host {
        problems.found("host_id", hosts::get(tx, HostId(id), tx.now).await)?;
    }
    if let Some(id) = site {
        problems.found("site_id", sites::get(tx, SiteId(id)).await)?;
    }
    Ok(())
}

impl Order {
    /// The same of another name.
    pub(super) fn named(&self, name: Name) -> Order {
        Order { name, ..self.clone() }
    }

    /// What it takes of its account's quotas.
    pub(super) fn extra(&self) -> Extra {
        Extra { guests: 1, vcpus: self.vcpus, memory: self.memory, disk: self.disk, ..Extra::default() }
    }

    /// What it asks of a host of this fleet.
    pub(super) fn request(&self, now: &Now) -> Request {
        let apart = self.cluster.as_ref().zip(self.role.as_ref());
        Request {
            account: self.account,
            apart: apart.map(|(cluster, role)| now.role(self.account, cluster, role)),
            capabilities: placing::needed(&self.kinds, self.architecture.as_deref(), &self.features),
            host: self.host,
            site: self.site,
            ..placing::request_of(self.memory, self.vcpus, self.disk)
        }
    }

    /// Makes it where it was decided, and keeps the decision. Refuses if it was decided that it goes nowhere.
    pub(super) async fn make(
        self,
        tx: &Tx,
        scope: Scope,
        uuids: Uuids,
        decided: &Decided,
    ) -> StoreResult<GuestId> {
        let Some(place) = decided.place() else {
            let mut problems = Problems::default();
            for why in decided.refused(scope) {
                problems.add("base", why);
            }
            return Err(problems.into());
        };
        let account = self.account;
        if let Some(cluster) = &self.cluster {
            clusters::have(tx, uuids.cluster, account, cluster).await?;
        }
        let new = NewGuest {
            uuid: uuids.guest,
            volume_uuid: uuids.volume,
            account,
            name: self.name,
            reference: self.reference,
            image: self.image,
            host: place.host,
            pool: place.pool,
            interfaces: self.interfaces,
            power: self.power,
            start_alone: self.start_alone,
            vcpus: self.vcpus,
            memory: self.memory,
            disk: self.disk,
            ssh_keys: self.ssh_keys,
            cluster: self.cluster,
            role: self.role,
            cpu_features: self.features,
        };
        let id = guests_desired::create(tx, &new).await?;
        quotas::check_addresses_of(tx, account, id).await?;
        operations::begin(tx, OperationKind::Create, id, account, honcho_model::Generation(1)).await?;
        let inputs = placements::inputs(tx).await?;
        let at = jiff::Timestamp::from_microsecond(tx.now.0).unwrap_or_default();
        placements::keep(tx, id, &decided.shown(Some(id), at, &inputs, Told::Kept)).await?;
        Ok(id)
    }
}

/// The guest that was made, once its event is written.
pub(super) async fn made(tx: &Tx, id: GuestId) -> StoreResult<Guest> {
    let guest = guests::get(tx, Scope::System, id, tx.now).await?;
    let resource = (ResourceKind::Guest, guest.id, guest.name.as_str());
    let event = NewEvent::info("guest.create", resource, "was ordered");
    let event = event.of(Some(AccountId(guest.account_id)));
    let held = guests_desired::addresses(tx, id).await?;
    let after = serde_json::to_value(&guest).ok().map(|after| with_addresses(after, &held));
    events::record(tx, event.change(None, after)).await?;
    Ok(guest)
}

fn refuse_foreign(problems: &mut Problems, attribute: &str, owner: Option<i64>, account: i64) {
    if owner.is_some_and(|owner| owner != account) {
        problems.add(attribute, "belongs to another account");
    }
}

/// A volume begins as the image's filesystem and never shrinks, so it is no smaller than that.
fn refuse_small(problems: &mut Problems, disk: Bytes, image: &honcho_api::Image) {
    let unpacked = u64::try_from(image.unpacked_bytes).unwrap_or(0);
    let least = honcho_images::unpack::filesystem_size(Bytes(unpacked));
    if disk < least {
        problems.add("disk_bytes", format!("is too small for image {}: {least} at least", image.name));
    }
}

/// An OpenSSH public key on one line.
pub(crate) fn public_key(text: &str) -> Result<(), String> {
    honcho_model::text::line_of(text, 16_384)
        .map_err(|_| "must each be one line, of what can be seen".to_owned())?;
    match ssh_key::PublicKey::from_openssh(text) {
        // A type that nobody knows: sshd would skip it, and the agent refuses it.
        Ok(key) if !matches!(key.algorithm(), ssh_key::Algorithm::Other(_)) => Ok(()),
        Ok(_) | Err(_) => {
            Err("must each be an OpenSSH public key, as in the .pub file of ssh-keygen".to_owned())
        }
    }
}
