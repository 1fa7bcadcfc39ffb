//! Ordering a guest: checked, placed, given its addresses, in one transaction.

use super::guest_power::with_addresses;
use super::problems::Problems;
use super::quotas::{self, Extra};
use super::{guest_interfaces, refuse_cancelled};
use crate::placing::{self, Need};
use honcho_api::Guest;
use honcho_model::event::ResourceKind;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_model::{AccountId, Bytes, GuestId, HostId, ImageId, Name, NetworkKind};
use honcho_store::events::{self, NewEvent};
use honcho_store::guests_desired::{self, NewGuest, NewInterface};
use honcho_store::{Change, Scope, StoreResult, Turn, Tx, accounts, guests, hosts, images, operations};
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
}

impl Change for GuestCreate {
    type Out = Guest;
    const TURN: Turn = Turn::Addresses;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Guest> {
        if let Some(known) = self.already(tx).await? {
            return Ok(known);
        }
        let order = self.check(tx).await?;
        let extra = Extra {
            guests: 1,
            vcpus: order.vcpus,
            memory: order.memory,
            disk: order.disk,
            ..Extra::default()
        };
        quotas::check(tx, order.account, extra).await?;
        let need = Need { memory: order.memory, disk: order.disk, host: self.body.host_id.map(HostId) };
        let mut problems = Problems::default();
        let rooms = hosts::rooms(tx, tx.now).await?;
        // No secret of the machine room: it says what kinds of networks there can be at all.
        problems.check("base", placing::carried(&rooms, &order.kinds));
        if !problems.is_empty() {
            return Err(problems.into());
        }
        let choice = placing::choose(&rooms, need, &order.kinds);
        let choice = choice.map_err(|why| placing::said_to(self.scope, why));
        let Some(choice) = problems.check("base", choice) else { return Err(problems.into()) };
        let new = NewGuest {
            uuid: self.uuid,
            volume_uuid: self.volume_uuid,
            account: order.account,
            name: order.name,
            reference: self.body.reference.clone(),
            image: ImageId(order.image.id),
            host: choice.host,
            pool: choice.pool,
            interfaces: order.interfaces,
            power: self.body.power.unwrap_or(Power::Running),
            start_alone: self.body.start_alone.unwrap_or(false),
            vcpus: order.vcpus,
            memory: order.memory,
            disk: order.disk,
            ssh_keys: order.ssh_keys,
        };
        let id = guests_desired::create(tx, &new).await?;
        quotas::check_addresses_of(tx, order.account, id).await?;
        operations::begin(tx, OperationKind::Create, id, order.account, honcho_model::Generation(1)).await?;
        self.answer(tx, id).await
    }
}

impl GuestCreate {
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
        match body.host_id {
            Some(_) if !self.scope.is_operator() => {
                problems.add("host_id", "may be chosen by operators only");
            }
            Some(id) => {
                problems.found("host_id", hosts::get(tx, HostId(id), tx.now).await)?;
            }
            None => {}
        }
        let (Some(name), Some(account), Some(image), Some(memory), Some(disk), Some(vcpus)) =
            (name, account, image, memory, disk, vcpus)
        else {
            return Err(problems.into());
        };
        problems.none()?;
        let (account, memory, disk) = (AccountId(account.id), Bytes(memory), Bytes(disk));
        Ok(Order { account, name, image, interfaces, kinds, memory, disk, vcpus, ssh_keys })
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
