//! The kernel's switches for forwarding, one per family, of this network namespace.
//!
//! A kernel that forwards IPv6 no longer listens to router advertisements, and forgets the default routes that it had from
//! them, on each interface whose `accept_ra` is 1, as it is by default; with 2 it goes on listening
//! (Documentation/networking/ip-sysctl.rst). So before the switch is turned on, each interface that listens is set to 2, and
//! remembered in a table of nftables' of its own, which lives just as long as the switch does:
//!
//! ```text
//! table inet honcho_accept_ra {
//!     set raised { type ifname; elements = { "eth0" } }
//! }
//! ```
//!
//! An interface that comes later is not changed: whoever adds it decides.

use super::commands::{must, run};
use crate::drivers::{DriverError, DriverResult};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// 32 bits.
    Ipv4,
    /// 128 bits.
    Ipv6,
}

impl Family {
    /// Both.
    pub(super) const BOTH: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    /// That of an address.
    pub(super) fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    fn switch(self) -> &'static str {
        match self {
            Family::Ipv4 => "/proc/sys/net/ipv4/ip_forward",
            Family::Ipv6 => "/proc/sys/net/ipv6/conf/all/forwarding",
        }
    }
}

/// What is set for each interface.
const INTERFACES: &str = "/proc/sys/net/ipv6/conf";

/// Which interfaces were told to go on listening.
const MEMORY: &str = "honcho_accept_ra";

/// Whether the host forwards this family.
pub(super) fn forwards(family: Family) -> DriverResult<bool> {
    let switch = family.switch();
    match std::fs::read_to_string(switch) {
        Ok(text) => Ok(text.trim() != "0"),
        // A kernel without the family.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && family == Family::Ipv6 => Ok(false),
        Err(error) => Err(DriverError::Later(format!("{switch}: {error}"))),
    }
}

/// Turns forwarding on.
pub(super) async fn switch_on(family: Family) -> DriverResult<()> {
    if forwards(family)? {
        return Ok(());
    }
    if family == Family::Ipv6 {
        go_on_listening().await?;
    }
    write(Path::new(family.switch()), "1").map_err(|error| {
        DriverError::Later(format!("{error}; without it guests reach nothing but this host"))
    })
}

/// Turns forwarding off, as it was before us.
pub(super) async fn switch_off(family: Family) -> DriverResult<()> {
    write(Path::new(family.switch()), "0")?;
    if family == Family::Ipv6 { listen_as_before().await } else { Ok(()) }
}

/// Sets what an interface does about IPv6; a kernel without IPv6 and an interface that is gone do nothing about it anyway.
pub(super) fn set_of_interface(interface: &str, name: &str, value: &str) -> DriverResult<()> {
    let path = of_interface(interface, name);
    if path.exists() { write(&path, value) } else { Ok(()) }
}

fn of_interface(interface: &str, name: &str) -> PathBuf {
    Path::new(INTERFACES).join(interface).join(name)
}

fn write(path: &Path, value: &str) -> DriverResult<()> {
    std::fs::write(path, value).map_err(|error| DriverError::Later(format!("{}: {error}", path.display())))
}

fn accepts(interface: &str, value: &str) -> bool {
    std::fs::read_to_string(of_interface(interface, "accept_ra")).is_ok_and(|text| text.trim() == value)
}

/// Interfaces of others that would stop listening. Guests' own never listen: a guest is no router of this host.
fn listening() -> DriverResult<Vec<String>> {
    let entries = std::fs::read_dir(INTERFACES).map_err(|error| {
        DriverError::Later(format!(
            "{INTERFACES}: {error}; this kernel has no IPv6: boot it without ipv6.disable=1, or take the IPv6 subnet from \
             the network"
        ))
    })?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let theirs = |name: &String| {
        !["all", "default", "lo"].contains(&name.as_str())
            && !name.starts_with("hb")
            && !name.starts_with("ht")
            && !name.contains(['"', '\\', '*'])
    };
    Ok(names.filter(theirs).filter(|name| accepts(name, "1")).collect())
}

async fn go_on_listening() -> DriverResult<()> {
    let listening = listening()?;
    if listening.is_empty() {
        return Ok(());
    }
    let names = listening.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let script = format!(
        "add table inet {MEMORY}\nadd set inet {MEMORY} raised {{ type ifname; }}\n\
         add element inet {MEMORY} raised {{ {names} }}\n"
    );
    must("nft", &["-f", "-"], &script).await?;
    listening.iter().try_for_each(|name| set_of_interface(name, "accept_ra", "2"))
}

async fn listen_as_before() -> DriverResult<()> {
    let listed = run("nft", &["-j", "list", "set", "inet", MEMORY, "raised"], "").await?;
    if !listed.success {
        return if listed.complaint.contains("No such file or directory") {
            Ok(())
        } else {
            Err(DriverError::Later(format!("nft list set inet {MEMORY} raised: {}", listed.complaint)))
        };
    }
    for name in raised(&listed.printed).iter().filter(|name| accepts(name, "2")) {
        set_of_interface(name, "accept_ra", "1")?;
    }
    must("nft", &["delete", "table", "inet", MEMORY], "").await.map(drop)
}

/// The interfaces in nft's listing of the set.
fn raised(listing: &str) -> Vec<String> {
    let listing: serde_json::Value = serde_json::from_str(listing).unwrap_or_default();
    let objects = listing["nftables"].as_array().into_iter().flatten();
    let elements = objects.filter_map(|object| object["set"]["elem"].as_array()).flatten();
    elements.filter_map(|element| element.as_str().map(str::to_owned)).collect()
}
