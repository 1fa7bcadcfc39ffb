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
use super::nat::{self, TABLE_PREFIX, TableSeen, mark, read_mark};
use crate::drivers::{BridgeSeen, DriverError, DriverResult, Network, bridge_name, tap_name};
use async_trait::async_trait;
use honcho_model::{InterfaceId, NetworkId};
use honcho_wire::{NetworkKind, NetworkWanted};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// The kernel's switch for forwarding IPv4, of this network namespace.
const FORWARD_SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";

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

    fn ipv4(&self) -> impl Iterator<Item = (Ipv4Addr, u8)> + '_ {
        self.addr_info
            .iter()
            .filter_map(|address| Some((address.local.as_ref()?.parse().ok()?, address.prefixlen)))
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

fn forwards() -> DriverResult<bool> {
    let text = std::fs::read_to_string(FORWARD_SWITCH)
        .map_err(|error| DriverError::Later(format!("{FORWARD_SWITCH}: {error}")))?;
    Ok(text.trim() != "0")
}

fn set_forwarding(on: &str) -> DriverResult<()> {
    std::fs::write(FORWARD_SWITCH, on).map_err(|error| {
        DriverError::Later(format!(
            "{FORWARD_SWITCH}: {error}; without it guests reach nothing but this host"
        ))
    })
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
        let forwards = forwards()?;
        let seen = links.values().filter_map(|link| {
            let id = network_of_bridge(&link.ifname)?;
            let mark = link.mark();
            let wanted = wanted.iter().find(|network| network.id == id);
            let plugged_in = || {
                let of_this = interfaces.iter().filter(|(_, network)| *network == id);
                unplugged(&links, of_this.map(|(interface, _)| *interface)).is_empty()
            };
            let ready = forwards
                && plugged_in()
                && wanted.is_some_and(|network| {
                    mark.is_some_and(|mark| is_ready(link, tables.get(&link.ifname), mark, network))
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
        give_address(links.get(&bridge), &bridge, &network.kind).await?;
        ip(&["link", "set", "dev", &bridge, "up"]).await?;
        let tables = nat::look().await?;
        let forwarded_before = match tables.values().next() {
            Some(table) => table.forwarded_before,
            None => forwards()?,
        };
        if !tables
            .get(&bridge)
            .is_some_and(|table| table.serves((brain, network.uuid), &bridge, &network.kind))
        {
            nat::install(brain, network.uuid, &bridge, &network.kind, forwarded_before).await?;
        }
        // After the table, which remembers how it was.
        set_forwarding("1")?;
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

fn is_ready(link: &Link, table: Option<&TableSeen>, mark: (Uuid, Uuid), network: &NetworkWanted) -> bool {
    let NetworkKind::Local { gateway, prefix } = network.kind;
    mark.1 == network.uuid
        && link.is_up()
        && link.ipv4().eq([(gateway, prefix)])
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
    let NetworkKind::Local { gateway, prefix } = *kind;
    for link in links.values().filter(|link| link.ifname != bridge && link.ifname != "lo") {
        for (address, length) in link.ipv4() {
            let shorter = length.min(prefix);
            if nat::subnet(address, shorter) == nat::subnet(gateway, shorter) {
                let subnet = nat::subnet(gateway, prefix);
                return Err(DriverError::Later(format!(
                    "subnet {subnet}/{prefix} overlaps {address}/{length}, which {} of this host has: guests and host \
                     could not tell the two apart. Give the network another subnet, or {} another address",
                    link.ifname, link.ifname
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
    // No link-local address: the host offers guests nothing by IPv6.
    let script = format!(
        "link add name {unfinished} type bridge\n\
         link set dev {unfinished} addrgenmode none\n\
         link set dev {unfinished} alias {mark}\n\
         link set dev {unfinished} name {bridge}\n"
    );
    must("ip", &["-batch", "-"], &script).await.map(drop)
}

/// Gives the bridge its gateway address and takes away any other.
async fn give_address(link: Option<&Link>, bridge: &str, kind: &NetworkKind) -> DriverResult<()> {
    let NetworkKind::Local { gateway, prefix } = *kind;
    let has: Vec<(Ipv4Addr, u8)> = link.map(|link| link.ipv4().collect()).unwrap_or_default();
    for (address, length) in has.iter().filter(|has| **has != (gateway, prefix)) {
        ip(&["address", "delete", &format!("{address}/{length}"), "dev", bridge]).await?;
    }
    ip(&["address", "replace", &format!("{gateway}/{prefix}"), "dev", bridge]).await.map(drop)
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
    if let Some(table) = tables.get(bridge).filter(|table| table.mark == ours) {
        if tables.len() == 1 && !table.forwarded_before {
            set_forwarding("0")?;
        }
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
