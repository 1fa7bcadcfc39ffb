//! The network cards of a guest that is ordered: in which networks, and with which addresses.

use super::address::{refuse_foreign_network, refuse_reserved};
use super::problems::Problems;
use honcho_api::InterfaceCreate;
use honcho_model::{AccountId, AddressId, Family, NetworkId, NetworkKind};
use honcho_store::guests_desired::NewInterface;
use honcho_store::networks::Addressing;
use honcho_store::{Scope, StoreResult, Tx, addresses, networks};
use std::net::IpAddr;

/// Each is a tap and a bridge on the guest's host.
const MOST_CARDS: usize = 8;

/// The cards that a body asks for, with the kinds of networks that they need a host for. `network_id` is the network of
/// the first, whether `interfaces` names it, too, or not.
pub(super) async fn read(
    tx: &Tx,
    scope: Scope,
    account: Option<AccountId>,
    body: &honcho_api::GuestCreate,
    problems: &mut Problems,
) -> StoreResult<(Vec<NewInterface>, Vec<NetworkKind>)> {
    let mut wanted: Vec<InterfaceCreate> = body.interfaces.clone().unwrap_or_default();
    if let Some(first) = body.network_id {
        let at = wanted.iter().position(|card| card.network_id == Some(first)).unwrap_or_else(|| {
            wanted.push(InterfaceCreate { network_id: Some(first), ..InterfaceCreate::default() });
            wanted.len() - 1
        });
        wanted[..=at].rotate_right(1);
    }
    if wanted.is_empty() {
        problems.add("network_id", "can't be blank");
    } else if wanted.len() > MOST_CARDS {
        problems.add("interfaces", format!("must be {MOST_CARDS} at most"));
        wanted.clear();
    }
    let (mut cards, mut kinds): (Vec<NewInterface>, Vec<NetworkKind>) = Default::default();
    for card in &wanted {
        let attribute = if card.network_id == body.network_id { "network_id" } else { "interfaces" };
        let Some(id) = card.network_id else {
            problems.add("interfaces", "must each have a network_id");
            continue;
        };
        let found = networks::addressing(tx, scope, NetworkId(id)).await;
        let Some(network) = problems.found(attribute, found)? else { continue };
        if let Some(account) = account {
            refuse_foreign_network(problems, attribute, &network, account);
        }
        if cards.iter().any(|card| card.network == network.id) {
            problems.add("interfaces", format!("names network {} twice", network.name));
        }
        kinds.push(network.kind);
        let named = named(tx, scope, account, card, &network, problems).await?;
        cards.push(NewInterface { network: network.id, named });
    }
    Ok((cards, kinds))
}

/// The addresses that a card is to have: one of a family at most.
async fn named(
    tx: &Tx,
    scope: Scope,
    account: Option<AccountId>,
    card: &InterfaceCreate,
    network: &Addressing,
    problems: &mut Problems,
) -> StoreResult<Vec<IpAddr>> {
    let mut named: Vec<IpAddr> = Vec::new();
    for (attribute, family, text) in
        [("address", Family::V4, &card.address), ("address6", Family::V6, &card.address6)]
    {
        let Some(text) = text else { continue };
        match text.trim().parse::<IpAddr>() {
            Ok(address) if Family::of(address) == family => {
                refuse_reserved(problems, "interfaces", scope, network, address);
                named.push(address);
            }
            _ => problems.add("interfaces", format!("{text:?} is no {family} address, as {attribute} is")),
        }
    }
    if let Some(id) = card.address_id {
        let found = addresses::get(tx, scope, AddressId(id)).await;
        let Some(found) = problems.found("interfaces", found)? else { return Ok(named) };
        if found.network_id != network.id.0 {
            problems.add("interfaces", format!("{} is not of network {}", found.address, network.name));
        } else if account.is_some_and(|account| found.account_id != Some(account.0)) {
            problems.add("interfaces", format!("{} is not held by that account", found.address));
        } else if let Ok(address) = found.address.parse::<IpAddr>() {
            if named.iter().any(|other| Family::of(*other) == Family::of(address)) {
                problems.add("interfaces", format!("{address} would be a second one of its family"));
            }
            named.push(address);
        }
    }
    Ok(named)
}
