//! Networks: make, change, delete.

use super::account::refuse_stale;
use super::problems::Problems;
use super::{operators_only, refuse_cancelled};
use honcho_api::Network;
use honcho_model::event::ResourceKind;
use honcho_model::network::{VLAN_IDS, VXLAN_IDS};
use honcho_model::{AccountId, AddressRange, NetworkId, NetworkKind, address, range, subnet};
use honcho_store::events::{self, NewEvent};
use honcho_store::networks::{Side, Subnets, Travel};
use honcho_store::{Change, Filters, Scope, StoreResult, Turn, Tx, accounts, networks};
use ipnet::IpNet;
use std::net::IpAddr;
use uuid::Uuid;

/// They stand in the network's row, and each is a statement when they change.
const MOST_RANGES: usize = 200;

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
        let travel = travel(&self.body, &mut problems);
        let subnets = subnets(&self.body, &mut problems);
        let reserved = match &subnets {
            Some(subnets) => {
                let ranges = self.body.reserved_ranges.as_deref().unwrap_or_default();
                reserved_ranges(ranges, &subnets.nets().collect::<Vec<_>>(), &mut problems)
            }
            None => Vec::new(),
        };
        if let (Some(travel), Some(subnets)) = (travel, &subnets) {
            refuse_taken(tx, travel, subnets, &mut problems).await?;
        }
        if let Some(account) = self.body.account_id {
            let owner =
                problems.found("account_id", accounts::get(tx, self.scope, AccountId(account)).await)?;
            refuse_cancelled(&mut problems, owner.as_ref());
        }
        let (Some(name), Some(travel), Some(subnets)) = (name, travel, subnets) else {
            return Err(problems.into());
        };
        problems.none()?;
        let account = self.body.account_id.map(AccountId);
        let reference = self.body.reference.clone();
        let uuid = self.uuid;
        let new = networks::NewNetwork { uuid, name, reference, account, travel, subnets, reserved };
        let id = networks::create(tx, &new).await?;
        let network = networks::get(tx, Scope::System, id).await?;
        record(tx, "network.create", &network, "was made", None).await?;
        Ok(network)
    }
}

/// How its frames travel: a number where switches want one, and none elsewhere.
fn travel(body: &honcho_api::NetworkCreate, problems: &mut Problems) -> Option<Travel> {
    let word = body.kind.as_deref().unwrap_or("local");
    let kind = problems.needed_word("kind", NetworkKind::parse(word), "must be local, vlan or vxlan")?;
    let mut number = |attribute: &str, value: Option<i64>, own: NetworkKind, range| {
        if kind == own {
            let value = problems.needed(attribute, value)?;
            return problems.within(attribute, value, range).map(|_| value);
        }
        if value.is_some() {
            problems.add(attribute, format!("is for a {} network only", own.words()));
        }
        None
    };
    let vlan = number("vlan_id", body.vlan_id, NetworkKind::Vlan, VLAN_IDS);
    let tunnel = number("vxlan_id", body.vxlan_id, NetworkKind::Vxlan, VXLAN_IDS);
    match kind {
        NetworkKind::Local => Some(Travel::Local),
        NetworkKind::Vlan => vlan.map(Travel::Vlan),
        NetworkKind::Vxlan => tunnel.map(Travel::Vxlan),
    }
}

/// One side of a network: its subnet, and the gateway that is asked for or usual.
fn side<N: Copy + Into<IpNet>, A: Copy + Into<IpAddr> + std::str::FromStr>(
    problems: &mut Problems,
    (subnet, gateway): (&str, &str),
    net: Option<Result<N, subnet::SubnetError>>,
    wanted: Option<&str>,
    usual: fn(N) -> A,
) -> Option<Side<N, A>> {
    let Some(net) = net else {
        if wanted.is_some() {
            problems.add(gateway, format!("is the way out of {subnet}, which is not given"));
        }
        return None;
    };
    let net = problems.check(subnet, net)?;
    let way_out = match wanted {
        None => usual(net),
        Some(text) => {
            let way_out =
                text.parse::<A>().ok().filter(|way_out| subnet::is_usable(net.into(), (*way_out).into()));
            let why = || format!("must be an address in {} that a machine can have", net.into());
            problems.check(gateway, way_out.ok_or_else(why))?
        }
    };
    Some(Side { net, gateway: way_out })
}

fn subnets(body: &honcho_api::NetworkCreate, problems: &mut Problems) -> Option<Subnets> {
    let (net, net6) = (body.subnet.as_deref(), body.subnet6.as_deref());
    if net.is_none() && net6.is_none() {
        problems.add("subnet", "can't be blank, unless subnet6 is given");
        return None;
    }
    let (way_out, way_out6) = (body.gateway.as_deref(), body.gateway6.as_deref());
    let names = (("subnet", "gateway"), ("subnet6", "gateway6"));
    let ipv4 = side(problems, names.0, net.map(subnet::parse), way_out, subnet::gateway);
    let ipv6 = side(problems, names.1, net6.map(subnet::parse6), way_out6, subnet::gateway6);
    (ipv4.is_some() == net.is_some() && ipv6.is_some() == net6.is_some()).then_some(Subnets { ipv4, ipv6 })
}

/// Reads ranges, each in one of the subnets, and writes them as few as can be.
fn reserved_ranges(texts: &[String], nets: &[IpNet], problems: &mut Problems) -> Vec<AddressRange> {
    let mut ranges = Vec::new();
    for text in texts {
        match text.parse::<AddressRange>() {
            Ok(range)
                if !nets.iter().any(|net| net.contains(&range.first()) && net.contains(&range.last())) =>
            {
                problems.add("reserved_ranges", format!("{range} is not in the network"));
            }
            Ok(range) => ranges.push(range),
            Err(why) => problems.add("reserved_ranges", format!("{text:?} {why}")),
        }
    }
    let ranges = range::merged(ranges);
    if ranges.len() > MOST_RANGES {
        problems.add("reserved_ranges", format!("must be {MOST_RANGES} at most"));
    }
    ranges
}

/// Whether every address of a subnet is somebody's own business: it may be there many times in the world.
fn is_private(net: IpNet) -> bool {
    !address::is_global(net.network()) && !address::is_global(net.broadcast())
}

/// Two local networks may stand on one host, where overlapping subnets could not be told apart; and public addresses are
/// there once in the world. Private ones may be used again in a VLAN or VXLAN, as tenants do. The number of a VLAN is
/// checked here too, for inside an import no statement may fail.
async fn refuse_taken(
    tx: &Tx,
    travel: Travel,
    subnets: &Subnets,
    problems: &mut Problems,
) -> StoreResult<()> {
    for other in networks::claims(tx).await? {
        let both_local = travel == Travel::Local && other.kind == NetworkKind::Local.as_str();
        for (attribute, net) in subnets.nets().map(|net| (attribute_of(net), net)) {
            let theirs = [&other.subnet, &other.subnet6];
            for theirs in theirs.into_iter().flatten().filter_map(|text| text.parse::<IpNet>().ok()) {
                let overlap = theirs.contains(&net) || net.contains(&theirs);
                if overlap && (both_local || !is_private(net)) {
                    problems.add(attribute, format!("overlaps with network {} ({theirs})", other.name));
                }
            }
        }
        let taken = format!("is network {}'s", other.name);
        match travel {
            Travel::Vlan(id) if other.vlan_id == Some(id) => problems.add("vlan_id", taken),
            Travel::Vxlan(id) if other.vxlan_id == Some(id) => problems.add("vxlan_id", taken),
            _ => {}
        }
    }
    Ok(())
}

fn attribute_of(net: IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => "subnet",
        IpNet::V6(_) => "subnet6",
    }
}

/// Changes a network: its name, and what is reserved of it.
pub(crate) struct NetworkUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: NetworkId,
    pub(crate) body: honcho_api::NetworkCreate,
    pub(crate) lock_version: Option<i64>,
}

impl Change for NetworkUpdate {
    type Out = Network;
    const TURN: Turn = Turn::Addresses;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Network> {
        operators_only(self.scope)?;
        let before = networks::get(tx, self.scope, self.id).await?;
        let known = networks::addressing(tx, self.scope, self.id).await?;
        let mut problems = Problems::default();
        let name = problems.name(Some(self.body.name.as_deref().unwrap_or(&before.name)));
        refuse_fixed(&self.body, &before, &mut problems);
        let reserved = match &self.body.reserved_ranges {
            None => known.reserved.clone(),
            Some(ranges) => reserved_ranges(ranges, &known.subnets.nets().collect::<Vec<_>>(), &mut problems),
        };
        let Some(name) = name else { return Err(problems.into()) };
        problems.none()?;
        if name.as_str() == before.name && reserved == known.reserved {
            return Ok(before);
        }
        refuse_stale(self.lock_version, before.lock_version)?;
        networks::update(tx, self.id, &name, &reserved).await?;
        let after = networks::get(tx, self.scope, self.id).await?;
        let (kind, text) = if reserved == known.reserved {
            ("network.rename", "was renamed")
        } else {
            ("network.update", "was changed")
        };
        record(tx, kind, &after, text, Some(&before)).await?;
        Ok(after)
    }
}

/// Guests have been given addresses of what a network is made of: that stays. A client that sends back what it has read
/// changes nothing.
fn refuse_fixed(body: &honcho_api::NetworkCreate, before: &Network, problems: &mut Problems) {
    let texts = [
        ("kind", &body.kind, Some(&before.kind)),
        ("subnet", &body.subnet, before.subnet.as_ref()),
        ("subnet6", &body.subnet6, before.subnet6.as_ref()),
        ("gateway", &body.gateway, before.gateway.as_ref()),
        ("gateway6", &body.gateway6, before.gateway6.as_ref()),
    ];
    for (attribute, wanted, known) in texts {
        if wanted.is_some() && wanted.as_ref() != known {
            problems.add(attribute, "cannot change once the network is made");
        }
    }
    let numbers = [
        ("vlan_id", body.vlan_id, before.vlan_id),
        ("vxlan_id", body.vxlan_id, before.vxlan_id),
        ("account_id", body.account_id, before.account_id),
    ];
    for (attribute, wanted, known) in numbers {
        if wanted.is_some() && wanted != known {
            problems.add(attribute, "cannot change once the network is made");
        }
    }
}

/// Deletes a network that nothing uses.
pub(crate) struct NetworkDelete {
    pub(crate) scope: Scope,
    pub(crate) id: NetworkId,
}

impl Change for NetworkDelete {
    type Out = Network;
    const TURN: Turn = Turn::Addresses;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Network> {
        operators_only(self.scope)?;
        let network = networks::get(tx, self.scope, self.id).await?;
        networks::delete(tx, self.id).await?;
        record(tx, "network.delete", &network, "was deleted", Some(&network)).await?;
        Ok(network)
    }
}
