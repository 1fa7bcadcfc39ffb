//! A bridge per network, marked by its alias; the host is its gateway.
//!
//! ```text
//!   guests ── taps ── bridge hb7 ── the host's own stack: forwarding, NAT ── world
//!                     alias honcho:BRAIN:NETWORK        table inet honcho_hb7
//! ```
//!
//! Everything is looked at anew, by one run of `ip` and one of `nft`. A bridge gets its name only once it carries its
//! mark, so that being killed half-way never leaves one that looks like somebody else's. A bridge, a table or an
//! address that is not ours is left alone. Deleting a bridge unplugs the guests that run on it, so a network stands only
//! once every card that belongs in it and is there is plugged in again. Removing a network is refused while anything is plugged into its bridge:
//! ours goes first with its guest, and what is somebody else's must not lose its link.

use super::commands::{ip, must};
use super::forwarding::{self, Family, forwards, set_of_interface};
use super::nat::{self, TABLE_PREFIX, TableSeen, mark, read_mark};
use super::subnets::{gateways, is_link_local, link_local, overlap};
use crate::drivers::{BridgeSeen, DriverError, DriverResult, Network, bridge_name, tap_name};
use async_trait::async_trait;
use honcho_model::{InterfaceId, NetworkId};
use honcho_wire::{NetworkKind, NetworkWanted};
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// Bridges of this host.
#[derive(Debug, Default)]
pub struct BridgeNetwork {
    // Steps on several networks may run side by side, but what forwarded before is one fact for all of them.
    changing: tokio::sync::Mutex<()>,
}

impl BridgeNetwork {
    /// The driver. It holds nothing.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A link, as `ip -json -details address show` prints it. What is not named here is not of interest.
#[derive(Debug, Deserialize)]
struct Link {
    ifname: String,
    #[serde(default)]
    ifalias: Option<String>,
    #[serde(default)]
    master: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    linkinfo: Option<LinkInfo>,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Debug, Deserialize)]
struct LinkInfo {
    #[serde(default)]
    info_kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Address {
    #[serde(default)]
    local: Option<String>,
    #[serde(default)]
    prefixlen: u8,
}

impl Link {
    fn is(&self, kind: &str) -> bool {
        self.linkinfo.as_ref().and_then(|info| info.info_kind.as_deref()) == Some(kind)
    }

    fn is_bridge(&self) -> bool {
        self.is("bridge")
    }

    fn mark(&self) -> Option<(Uuid, Uuid)> {
        self.ifalias.as_deref().filter(|_| self.is_bridge()).and_then(read_mark)
    }

    fn is_up(&self) -> bool {
        self.flags.iter().any(|flag| flag == "UP")
    }

    fn addresses(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.addr_info.iter().filter_map(|address| {
            let local: IpAddr = address.local.as_ref()?.parse().ok()?;
            IpNet::new(local, address.prefixlen).ok()
        })
    }
}

async fn links() -> DriverResult<BTreeMap<String, Link>> {
    let printed = ip(&["-json", "-details", "address", "show"]).await?;
    let links: Vec<Link> = serde_json::from_str(&printed)
        .map_err(|error| DriverError::Later(format!("ip prints what is no list of links: {error}")))?;
    Ok(links.into_iter().map(|link| (link.ifname.clone(), link)).collect())
}

/// The id in a bridge's name, if it is written as [`bridge_name`] writes it.
fn network_of_bridge(name: &str) -> Option<NetworkId> {
    let id = NetworkId(i64::from_str_radix(name.strip_prefix("hb")?, 36).ok()?);
    (bridge_name(id) == name).then_some(id)
}

/// A bridge's name until it carries its mark.
fn unfinished(bridge: &str) -> String {
    format!("{bridge}~")
}

#[async_trait]
impl Network for BridgeNetwork {
    async fn look(
        &self,
        _brain: Uuid,
        wanted: &[NetworkWanted],
        interfaces: &[(InterfaceId, NetworkId)],
    ) -> DriverResult<Vec<BridgeSeen>> {
        let (links, tables) = tokio::try_join!(links(), nat::look())?;
        let forwarded: Vec<Family> =
            [(Family::Ipv4, forwards(Family::Ipv4)?), (Family::Ipv6, forwards(Family::Ipv6)?)]
                .into_iter()
                .filter_map(|(family, forwards)| forwards.then_some(family))
                .collect();
        let seen = links.values().filter_map(|link| {
            let id = network_of_bridge(&link.ifname)?;
            let mark = link.mark();
            let wanted = wanted.iter().find(|network| network.id == id);
            let plugged_in = || {
                let of_this = interfaces.iter().filter(|(_, network)| *network == id);
                unplugged(&links, of_this.map(|(interface, _)| *interface)).is_empty()
            };
            let ready = plugged_in()
                && wanted.is_some_and(|network| {
                    families(&network.kind).iter().all(|family| forwarded.contains(family))
                        && mark.is_some_and(|mark| is_ready(link, tables.get(&link.ifname), mark, network))
                });
            Some(BridgeSeen { id, mark, ready })
        });
        Ok(seen.collect())
    }

    async fn ensure(
        &self,
        brain: Uuid,
        network: &NetworkWanted,
        interfaces: &[InterfaceId],
    ) -> DriverResult<()> {
        let _changing = self.changing.lock().await;
        let bridge = bridge_name(network.id);
        let links = links().await?;
        refuse_foreign(&links, &bridge, (brain, network.uuid))?;
        refuse_overlap(&links, &bridge, &network.kind)?;
        if !links.contains_key(&bridge) {
            make_bridge(&links, &bridge, &mark(brain, network.uuid)).await?;
        }
        give_addresses(links.get(&bridge), &bridge, &network.kind).await?;
        ip(&["link", "set", "dev", &bridge, "up"]).await?;
        let families = families(&network.kind);
        let tables = nat::look().await?;
        if !tables
            .get(&bridge)
            .is_some_and(|table| table.serves((brain, network.uuid), &bridge, &network.kind))
        {
            let before = forwarded_before(&tables, &families)?;
            put_back(&tables, &bridge, &families).await?;
            nat::install(brain, network.uuid, &bridge, &network.kind, &before).await?;
        }
        // After the table, which remembers how it was.
        for family in families {
            forwarding::switch_on(family).await?;
        }
        // Last, so that no guest speaks before the rules stand.
        for tap in unplugged(&links, interfaces.iter().copied()) {
            ip(&["link", "set", "dev", &tap, "master", &bridge]).await?;
        }
        Ok(())
    }

    async fn remove(&self, brain: Uuid, id: NetworkId, uuid: Uuid) -> DriverResult<()> {
        let _changing = self.changing.lock().await;
        let links = links().await?;
        remove_one(&links, &bridge_name(id), (brain, uuid)).await
    }
}

fn families(kind: &NetworkKind) -> Vec<Family> {
    gateways(kind).iter().map(|gateway| Family::of(gateway.addr())).collect()
}

/// How it was before our first network of each of these families came.
fn forwarded_before(
    tables: &BTreeMap<String, TableSeen>,
    families: &[Family],
) -> DriverResult<BTreeMap<Family, bool>> {
    let before = |family: &Family| {
        let remembered = tables.values().find_map(|table| table.forwarded_before.get(family));
        remembered.map_or_else(|| forwards(*family), |before| Ok(*before)).map(|before| (*family, before))
    };
    families.iter().map(before).collect()
}

/// Turns off what this network needed before it was to have only these families, unless it was on before us or another
/// network needs it. Before the table goes or changes, for it is what remembers.
async fn put_back(
    tables: &BTreeMap<String, TableSeen>,
    bridge: &str,
    families: &[Family],
) -> DriverResult<()> {
    let Some(table) = tables.get(bridge) else { return Ok(()) };
    for (family, before) in &table.forwarded_before {
        let mut others = tables.iter().filter(|(name, _)| *name != bridge);
        let needed =
            families.contains(family) || others.any(|(_, table)| table.forwarded_before.contains_key(family));
        if !needed && !before {
            forwarding::switch_off(*family).await?;
        }
    }
    Ok(())
}

/// Every address that a network's bridge has.
fn addresses(kind: &NetworkKind) -> Vec<IpNet> {
    let gateways = gateways(kind);
    let link_local = gateways.iter().any(|gateway| gateway.addr().is_ipv6()).then(link_local);
    gateways.into_iter().chain(link_local).collect()
}

fn is_ready(link: &Link, table: Option<&TableSeen>, mark: (Uuid, Uuid), network: &NetworkWanted) -> bool {
    let (mut has, mut wanted) = (link.addresses().collect::<Vec<_>>(), addresses(&network.kind));
    has.sort_unstable();
    wanted.sort_unstable();
    mark.1 == network.uuid
        && link.is_up()
        && has == wanted
        && table.is_some_and(|table| table.serves(mark, &link.ifname, &network.kind))
}

/// Taps of running guests that hang on no bridge: theirs was deleted. One that libvirt is just making is not up before it
/// is plugged in, and one that hangs elsewhere was plugged in there by somebody.
fn unplugged(links: &BTreeMap<String, Link>, interfaces: impl Iterator<Item = InterfaceId>) -> Vec<String> {
    let lost = |link: &&Link| link.is("tun") && link.is_up() && link.master.is_none();
    interfaces
        .filter_map(|interface| links.get(&tap_name(interface)))
        .filter(lost)
        .map(|link| link.ifname.clone())
        .collect()
}

fn refuse_foreign(links: &BTreeMap<String, Link>, bridge: &str, ours: (Uuid, Uuid)) -> DriverResult<()> {
    match links.get(bridge) {
        Some(link) if link.mark() != Some(ours) => Err(DriverError::Later(format!(
            "the name {bridge} is taken by somebody else: it does not carry this network's mark. Remove it (ip link \
             delete {bridge}) or give it another name (ip link set {bridge} down; ip link set {bridge} name NEWNAME)"
        ))),
        _ => Ok(()),
    }
}

/// Two interfaces in one subnet would cut the host off from one of them.
fn refuse_overlap(links: &BTreeMap<String, Link>, bridge: &str, kind: &NetworkKind) -> DriverResult<()> {
    let gateways = gateways(kind);
    for link in links.values().filter(|link| link.ifname != bridge && link.ifname != "lo") {
        for address in link.addresses().filter(|address| !is_link_local(address)) {
            if let Some(gateway) = gateways.iter().find(|gateway| overlap(gateway, &address)) {
                return Err(DriverError::Later(format!(
                    "subnet {} overlaps {address}, which {} of this host has: guests and host could not tell the two \
                     apart. Give the network another subnet, or {} another address",
                    gateway.trunc(),
                    link.ifname,
                    link.ifname
                )));
            }
        }
    }
    Ok(())
}

async fn make_bridge(links: &BTreeMap<String, Link>, bridge: &str, mark: &str) -> DriverResult<()> {
    let unfinished = unfinished(bridge);
    if links.contains_key(&unfinished) {
        ip(&["link", "delete", "dev", &unfinished]).await?;
    }
    // It has the addresses that it is given and no other, whatever the kernel or a guest would like to add.
    let script = format!(
        "link add name {unfinished} type bridge\n\
         link set dev {unfinished} addrgenmode none\n"
    );
    must("ip", &["-batch", "-"], &script).await?;
    set_of_interface(&unfinished, "accept_ra", "0")?;
    let script = format!(
        "link set dev {unfinished} alias {mark}\n\
         link set dev {unfinished} name {bridge}\n"
    );
    must("ip", &["-batch", "-"], &script).await.map(drop)
}

/// Gives the bridge its gateway addresses and takes away any other.
async fn give_addresses(link: Option<&Link>, bridge: &str, kind: &NetworkKind) -> DriverResult<()> {
    let wanted = addresses(kind);
    let has: Vec<IpNet> = link.map(|link| link.addresses().collect()).unwrap_or_default();
    for address in has.iter().filter(|has| !wanted.contains(has)) {
        ip(&["address", "delete", &address.to_string(), "dev", bridge]).await?;
    }
    if wanted.iter().any(|address| address.addr().is_ipv6()) {
        // A host may have turned IPv6 off for interfaces to come.
        set_of_interface(bridge, "disable_ipv6", "0")?;
    }
    for address in &wanted {
        let address_text = address.to_string();
        let mut words = vec!["address", "replace", &address_text, "dev", bridge];
        if address.addr().is_ipv6() {
            // Looking for another holder needs a guest that is plugged in; until then the address would be unusable.
            words.push("nodad");
        }
        ip(&words).await?;
    }
    Ok(())
}

/// Removes what carries this mark: NAT first, so that what is left when killed is a bridge that still says whose it is.
async fn remove_one(links: &BTreeMap<String, Link>, bridge: &str, ours: (Uuid, Uuid)) -> DriverResult<()> {
    let link = links.get(bridge).filter(|link| link.mark() == Some(ours));
    if link.is_some() {
        let ports: Vec<&str> = links
            .values()
            .filter(|port| port.master.as_deref() == Some(bridge))
            .map(|port| port.ifname.as_str())
            .collect();
        if !ports.is_empty() {
            return Err(DriverError::Later(format!(
                "{bridge} cannot be removed while {} is plugged into it: stop the guest that has it, or unplug it (ip \
                 link set {} nomaster)",
                ports.join(", "),
                ports[0]
            )));
        }
    }
    let tables = nat::look().await?;
    if tables.get(bridge).is_some_and(|table| table.mark == ours) {
        put_back(&tables, bridge, &[]).await?;
        nat::uninstall(bridge).await?;
    }
    if link.is_some() {
        ip(&["link", "delete", "dev", bridge]).await?;
    }
    Ok(())
}

/// Removes every network of this brain from this host, for `./run --wipe`. Guests have to be gone.
pub async fn wipe(brain: Uuid) -> DriverResult<()> {
    let links = links().await?;
    for table in nat::look().await? {
        if table.1.mark.0 == brain {
            remove_one(&links, &table.0, table.1.mark).await?;
        }
    }
    for link in links.values().filter(|link| link.is_bridge()) {
        let name = link.ifname.trim_end_matches('~');
        let ours = link.mark().filter(|mark| mark.0 == brain && network_of_bridge(name).is_some());
        if let Some(ours) = ours
            && self::links().await?.contains_key(&link.ifname)
        {
            remove_one(&links, &link.ifname, ours).await?;
        }
    }
    Ok(())
}

/// The table of a network's NAT, for people who look at the host.
pub fn table_name(id: NetworkId) -> String {
    format!("{TABLE_PREFIX}{}", bridge_name(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_write_are_ours() {
        assert_eq!(network_of_bridge("hb1"), Some(NetworkId(1)));
        assert_eq!(network_of_bridge(&bridge_name(NetworkId(1 << 39))), Some(NetworkId(1 << 39)));
        for other in ["hb", "hb01", "hbZ", "hb1~", "hb+1", "hb-1", "br0", "hb zz"] {
            assert_eq!(network_of_bridge(other), None, "{other}");
        }
        assert!(unfinished(&bridge_name(NetworkId((1 << 40) - 1))).len() <= 15);
    }
}
