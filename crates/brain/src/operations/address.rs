//! Addresses by themselves: allocate, name, release.
//!
//! ```text
//!    free --allocate--> allocated <--guest gone-- used
//!      ^                 |     '--order names it--^
//!      '-----release-----'
//! ```
//!
//! One that a guest was given at its order, and that nobody had allocated before, goes from free to used and back.

use super::account::refuse_stale;
use super::problems::Problems;
use super::quotas::{self, Extra};
use super::refuse_cancelled;
use honcho_api::Address;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, AddressId, DomainName, Family, GuestId, NetworkId, address, range};
use honcho_store::addresses::{self, Holder, Wish};
use honcho_store::events::{self, NewEvent};
use honcho_store::networks::{self, Addressing};
use honcho_store::{Change, Refusal, Scope, StoreResult, Turn, Tx, accounts, guests};
use std::net::IpAddr;

async fn record(
    tx: &Tx,
    kind: &str,
    address: &Address,
    text: &str,
    change: (Option<&Address>, Option<&Address>),
) -> StoreResult<()> {
    let resource = (ResourceKind::Address, address.id, address.address.as_str());
    let event = NewEvent::info(kind, resource, text).of(address.account_id.map(AccountId));
    let to_json = |address: Option<&Address>| address.and_then(|address| serde_json::to_value(address).ok());
    events::record(tx, event.change(to_json(change.0), to_json(change.1))).await?;
    Ok(())
}

fn domain_name(problems: &mut Problems, attribute: &str, text: Option<&str>) -> Option<DomainName> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    problems.check(attribute, DomainName::new(text))
}

/// Refuses a network that is another account's.
pub(super) fn refuse_foreign_network(
    problems: &mut Problems,
    attribute: &str,
    network: &Addressing,
    account: AccountId,
) {
    if network.account.is_some_and(|owner| owner != account) {
        problems.add(attribute, "belongs to another account");
    }
}

/// Refuses a customer what operators hold back.
pub(super) fn refuse_reserved(
    problems: &mut Problems,
    attribute: &str,
    scope: Scope,
    network: &Addressing,
    wanted: IpAddr,
) {
    if !scope.is_operator() && range::holding(&network.reserved, wanted).is_some() {
        problems.add(attribute, format!("{wanted} is reserved: operators alone give it out"));
    }
}

/// Allocates an address for an account, without a guest.
pub(crate) struct AddressCreate {
    pub(crate) scope: Scope,
    pub(crate) body: honcho_api::AddressCreate,
}

/// What was asked for, checked.
struct Order {
    network: Addressing,
    wish: Wish,
    holder: Holder,
}

impl Change for AddressCreate {
    type Out = Address;
    const TURN: Turn = Turn::Addresses;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Address> {
        if let Some(known) = self.already(tx).await? {
            return Ok(known);
        }
        let Order { network, wish, holder } = self.check(tx).await?;
        let (id, given) = addresses::take(tx, &network, wish, &holder).await?;
        if address::is_counted(given) {
            quotas::check_taken(tx, holder.account, Extra { public_addresses: 1, ..Extra::default() })
                .await?;
        }
        let allocated = addresses::get(tx, Scope::System, id).await?;
        record(tx, "address.allocate", &allocated, "was allocated", (None, Some(&allocated))).await?;
        Ok(allocated)
    }
}

impl AddressCreate {
    /// A repeated POST with the same reference answers with the same address.
    async fn already(&self, tx: &Tx) -> StoreResult<Option<Address>> {
        let mut problems = Problems::default();
        // What is no reference is refused later, with all else that is wrong.
        let reference = problems.line("reference", self.body.reference.as_deref());
        let (Some(reference), Some(account)) = (reference, self.account()) else {
            return Ok(None);
        };
        // Of an account that the caller may not see, no address is given out either.
        match problems.found("account_id", accounts::get(tx, self.scope, account).await)? {
            Some(_) => addresses::by_reference(tx, account, reference).await,
            None => Ok(None),
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
        let account = if let Some(id) = self.account() {
            let account = problems.found("account_id", accounts::get(tx, self.scope, id).await)?;
            refuse_cancelled(&mut problems, account.as_ref());
            if account.as_ref().is_some_and(|account| account.suspended_at.is_some()) {
                problems.add("account_id", "is suspended: nothing is allocated to it until that ends");
            }
            account.map(|account| AccountId(account.id))
        } else {
            let text = if body.account_id.is_some() { "does not exist" } else { "can't be blank" };
            problems.add("account_id", text);
            None
        };
        let network = match problems.needed("network_id", body.network_id) {
            Some(id) => {
                problems.found("network_id", networks::addressing(tx, self.scope, NetworkId(id)).await)?
            }
            None => None,
        };
        if let (Some(account), Some(network)) = (account, &network) {
            refuse_foreign_network(&mut problems, "network_id", network, account);
        }
        let wish = network.as_ref().and_then(|network| self.wish(network, &mut problems));
        let name = domain_name(&mut problems, "name", body.name.as_deref());
        let reverse_name = domain_name(&mut problems, "reverse_name", body.reverse_name.as_deref());
        problems.line("reference", body.reference.as_deref());
        let (Some(account), Some(network), Some(wish)) = (account, network, wish) else {
            return Err(problems.into());
        };
        problems.none()?;
        let reference = body.reference.clone();
        Ok(Order {
            network,
            wish,
            holder: Holder { account, interface: None, name, reverse_name, reference },
        })
    }

    /// Which address: the one that is named, or any of the family that is named, or of the network's first.
    fn wish(&self, network: &Addressing, problems: &mut Problems) -> Option<Wish> {
        let family = match self.body.family {
            Some(number) => {
                Some(problems.needed_word("family", Family::from_number(number), "must be 4 or 6")?)
            }
            None => None,
        };
        if let Some(text) = &self.body.address {
            let wanted =
                problems.check("address", text.trim().parse::<IpAddr>().map_err(|_| "is no IP address"))?;
            if family.is_some_and(|family| family != Family::of(wanted)) {
                problems.add("family", format!("is not that of {wanted}"));
            }
            refuse_reserved(problems, "address", self.scope, network, wanted);
            return Some(Wish::This(wanted));
        }
        let first = network.subnets.nets().next().map(|net| Family::of(net.addr()));
        family.or(first).map(Wish::Any)
    }
}

/// Changes the names of an address.
pub(crate) struct AddressUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: AddressId,
    pub(crate) body: honcho_api::AddressUpdate,
}

impl Change for AddressUpdate {
    type Out = Address;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Address> {
        let before = addresses::get(tx, self.scope, self.id).await?;
        let mut problems = Problems::default();
        let mut name = |attribute: &str, wanted: &Option<Option<String>>, known: &Option<String>| {
            domain_name(&mut problems, attribute, wanted.as_ref().unwrap_or(known).as_deref())
        };
        let forward = name("name", &self.body.name, &before.name);
        let reverse = name("reverse_name", &self.body.reverse_name, &before.reverse_name);
        problems.none()?;
        let same = |new: Option<&DomainName>, known: &Option<String>| {
            new.map(DomainName::as_str) == known.as_deref()
        };
        if same(forward.as_ref(), &before.name) && same(reverse.as_ref(), &before.reverse_name) {
            return Ok(before);
        }
        refuse_stale(self.body.lock_version, before.lock_version)?;
        addresses::rename(tx, self.id, forward.as_ref(), reverse.as_ref()).await?;
        let after = addresses::get(tx, self.scope, self.id).await?;
        record(tx, "address.update", &after, "was named", (Some(&before), Some(&after))).await?;
        Ok(after)
    }
}

/// Gives an address back.
pub(crate) struct AddressRelease {
    pub(crate) scope: Scope,
    pub(crate) id: AddressId,
}

impl Change for AddressRelease {
    /// As it was.
    type Out = Address;
    const TURN: Turn = Turn::Addresses;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Address> {
        let before = addresses::get(tx, self.scope, self.id).await?;
        if let Some(guest) = before.guest_id {
            // The address is in the caller's scope, and its guest is of the same account.
            let guest = guests::get(tx, Scope::System, GuestId(guest), tx.now).await?;
            let text = format!("is guest {}'s: it is free once that is gone", guest.name);
            return Err(Refusal::invalid("base", text).into());
        }
        if before.account_id.is_none() {
            return Err(Refusal::invalid("base", "is free already").into());
        }
        addresses::release(tx, self.id).await?;
        let after = addresses::get(tx, Scope::System, self.id).await?;
        record(tx, "address.release", &before, "was released", (Some(&before), Some(&after))).await?;
        Ok(before)
    }
}
