//! Ordering a guest: checked, placed, given its addresses, in one transaction.

use super::guest_power::with_addresses;
use super::problems::Problems;
use super::quotas::{self, Extra};
use super::{guest_interfaces, refuse_cancelled};
use crate::placing::{self, Decided, Kin, Told};
use honcho_api::{Guest, Placement};
use honcho_model::event::ResourceKind;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_model::{AccountId, Bytes, GuestId, HostId, ImageId, Name, NetworkKind, SiteId};
use honcho_placement::{Request, Rules};
use honcho_store::events::{self, NewEvent};
use honcho_store::guests_desired::{self, NewGuest, NewInterface};
use honcho_store::{
    Change, Scope, StoreResult, Turn, Tx, accounts, guests, hosts, images, operations, placements, rooms,
    sites,
};
use uuid::Uuid;

/// Sizes that a guest may have, in bytes and in number.
pub(super) const MEMORY: std::ops::RangeInclusive<i64> = 64 << 20..=1 << 42;
pub(super) const DISK: std::ops::RangeInclusive<i64> = 16 << 20..=1 << 46;
pub(super) const VCPUS: std::ops::RangeInclusive<i64> = 1..=256;

/// They stand in every manifest of the guest's host.
const MOST_SSH_KEYS: usize = 64;

/// Makes a guest.
pub(crate) struct GuestCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) volume_uuid: Uuid,
    pub(crate) body: honcho_api::GuestCreate,
    /// What placing holds to.
    pub(crate) rules: Rules,
}

/// What was asked for, checked.
struct Order {
    account: AccountId,
    name: Name,
    image: honcho_api::Image,
    interfaces: Vec<NewInterface>,
    kinds: Vec<NetworkKind>,
    memory: Bytes,
    disk: Bytes,
    vcpus: u32,
    ssh_keys: Vec<String>,
    cluster: Option<Name>,
    role: Option<Name>,
}

impl Change for GuestCreate {
    type Out = Guest;
    // Its host's room, its distance to its kin and its addresses are looked up and taken here.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Guest> {
        if let Some(known) = self.already(tx).await? {
            return Ok(known);
        }
        let order = self.check(tx).await?;
        self.check_quotas(tx, &order).await?;
        let decided = self.decide(tx, &order).await?;
        let id = self.make(tx, order, &decided).await?;
        self.answer(tx, id).await
    }
}

/// Tries an order, for [`honcho_store::Store::rehearse`]: gives where the guest would go and why. An operator is told so
/// also where it would go nowhere.
pub(crate) struct GuestTrial(pub(crate) GuestCreate);

impl Change for GuestTrial {
    type Out = Placement;
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Placement> {
        let create = &self.0;
        let order = create.check(tx).await?;
        create.check_quotas(tx, &order).await?;
        let decided = create.decide(tx, &order).await?;
        let inputs = placements::inputs(tx).await?;
        let at = jiff::Timestamp::from_microsecond(tx.now.0).unwrap_or_default();
        let shown = decided.shown(None, at, &inputs, Told::Whole);
        if decided.place().is_some() || !create.scope.is_operator() {
            create.make(tx, order, &decided).await?;
        }
        Ok(if create.scope.is_operator() { shown } else { placing::for_customers(&shown) })
    }
}

impl GuestCreate {
    async fn check_quotas(&self, tx: &Tx, order: &Order) -> StoreResult<()> {
        let extra = Extra {
            guests: 1,
            vcpus: order.vcpus,
            memory: order.memory,
            disk: order.disk,
            ..Extra::default()
        };
        quotas::check(tx, order.account, extra).await
    }

    /// Where it goes, as everything stands in this transaction.
    async fn decide(&self, tx: &Tx, order: &Order) -> StoreResult<Decided> {
        let rooms = rooms::list(tx, None, tx.now).await?;
        let mut problems = Problems::default();
        // No secret of the machine room: it says what kinds of networks there can be at all.
        problems.check("base", placing::carried(&rooms, &order.kinds));
        problems.none()?;
        let of_account = rooms::of_account(tx, order.account).await?;
        let apart = match (&order.cluster, &order.role) {
            (Some(cluster), Some(role)) => {
                let there = rooms::of_role(tx, order.account, cluster, role).await?;
                Some((Kin::role(role.as_str()), there))
            }
            _ => None,
        };
        let request = Request {
            account: order.account,
            apart: apart.as_ref().map(|(role, _)| role.clone()),
            capabilities: placing::capabilities(&order.kinds),
            host: self.body.host_id.map(HostId),
            site: self.body.site_id.map(SiteId),
            ..Request::of_size(order.memory, order.vcpus, order.disk)
        };
        let kin = Kin { account: order.account, of_account, apart };
        Ok(placing::decide(&rooms, &kin, self.rules, request))
    }

    /// Makes it where it was decided, and keeps the decision.
    async fn make(&self, tx: &Tx, order: Order, decided: &Decided) -> StoreResult<GuestId> {
        let Some(place) = decided.place() else {
            let mut problems = Problems::default();
            for why in decided.refused(self.scope) {
                problems.add("base", why);
            }
            return Err(problems.into());
        };
        let account = order.account;
        let new = NewGuest {
            uuid: self.uuid,
            volume_uuid: self.volume_uuid,
            account,
            name: order.name,
            reference: self.body.reference.clone(),
            image: ImageId(order.image.id),
            host: place.host,
            pool: place.pool,
            interfaces: order.interfaces,
            power: self.body.power.unwrap_or(Power::Running),
            start_alone: self.body.start_alone.unwrap_or(false),
            vcpus: order.vcpus,
            memory: order.memory,
            disk: order.disk,
            ssh_keys: order.ssh_keys,
            cluster: order.cluster,
            role: order.role,
        };
        let id = guests_desired::create(tx, &new).await?;
        quotas::check_addresses_of(tx, account, id).await?;
        operations::begin(tx, OperationKind::Create, id, account, honcho_model::Generation(1)).await?;
        let inputs = placements::inputs(tx).await?;
        let at = jiff::Timestamp::from_microsecond(tx.now.0).unwrap_or_default();
        placements::keep(tx, id, &decided.shown(Some(id), at, &inputs, Told::Kept)).await?;
        Ok(id)
    }

    /// A repeated POST with the same reference answers with the same guest.
    async fn already(&self, tx: &Tx) -> StoreResult<Option<Guest>> {
        let mut problems = Problems::default();
        let reference = problems.line("reference", self.body.reference.as_deref());
        problems.none()?;
        match (reference, self.account()) {
            (Some(reference), Some(account)) => {
                // Of an account that the caller may not see, no guest is given out either.
                let mut problems = Problems::default();
                match problems.found("account_id", accounts::get(tx, self.scope, account).await)? {
                    Some(_) => guests::by_reference(tx, account, reference, tx.now).await,
                    None => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// The account it is for: a token of an account need not name it, and may name no other.
    fn account(&self) -> Option<AccountId> {
        match (self.scope.sole_account(), self.body.account_id) {
            (Some(own), None) => Some(own),
            (Some(own), Some(named)) => (own.0 == named).then_some(own),
            (None, named) => named.map(AccountId),
        }
    }

    async fn check(&self, tx: &Tx) -> StoreResult<Order> {
        let (body, mut problems) = (&self.body, Problems::default());
        let name = problems.name(body.name.as_deref());
        let account = if let Some(id) = self.account() {
            let account = problems.found("account_id", accounts::get(tx, self.scope, id).await)?;
            refuse_cancelled(&mut problems, account.as_ref());
            if account.as_ref().is_some_and(|account| account.suspended_at.is_some()) {
                problems.add("account_id", "is suspended: no guest is made in it until that ends");
            }
            account
        } else {
            problems.add(
                "account_id",
                if body.account_id.is_some() { "does not exist" } else { "can't be blank" },
            );
            None
        };
        let image = match problems.needed("image_id", body.image_id) {
            Some(id) => problems.found("image_id", images::get(tx, self.scope, ImageId(id)).await)?,
            None => None,
        };
        let owner = account.as_ref().map(|account| AccountId(account.id));
        let (interfaces, kinds) = guest_interfaces::read(tx, self.scope, owner, body, &mut problems).await?;
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
        let vcpus =
            problems.within("vcpus", body.vcpus.unwrap_or(1), VCPUS).and_then(|n| u32::try_from(n).ok());
        let ssh_keys = body.ssh_keys.clone().unwrap_or_default();
        if ssh_keys.len() > MOST_SSH_KEYS {
            problems.add("ssh_keys", format!("must be {MOST_SSH_KEYS} at most"));
        }
        for key in &ssh_keys {
            problems.check("ssh_keys", public_key(key));
        }
        self.check_where(tx, &mut problems).await?;
        let cluster = body.cluster.as_deref().and_then(|word| problems.check("cluster", Name::new(word)));
        let role = body.role.as_deref().and_then(|word| problems.check("role", Name::new(word)));
        if body.role.is_some() && body.cluster.is_none() {
            problems.add("role", "is one in a cluster: say which, by cluster");
        }
        let (Some(name), Some(account), Some(image), Some(memory), Some(disk), Some(vcpus)) =
            (name, account, image, memory, disk, vcpus)
        else {
            return Err(problems.into());
        };
        problems.none()?;
        let (account, memory, disk) = (AccountId(account.id), Bytes(memory), Bytes(disk));
        Ok(Order { account, name, image, interfaces, kinds, memory, disk, vcpus, ssh_keys, cluster, role })
    }

    /// The host or site that was asked for.
    async fn check_where(&self, tx: &Tx, problems: &mut Problems) -> StoreResult<()> {
        let (host, site) = (self.body.host_id, self.body.site_id);
        if !self.scope.is_operator() {
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

    async fn answer(&self, tx: &Tx, id: GuestId) -> StoreResult<Guest> {
        let guest = guests::get(tx, Scope::System, id, tx.now).await?;
        let resource = (ResourceKind::Guest, guest.id, guest.name.as_str());
        let event = NewEvent::info("guest.create", resource, "was ordered");
        let event = event.of(Some(AccountId(guest.account_id)));
        let held = guests_desired::addresses(tx, id).await?;
        let after = serde_json::to_value(&guest).ok().map(|after| with_addresses(after, &held));
        events::record(tx, event.change(None, after)).await?;
        Ok(guest)
    }
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
