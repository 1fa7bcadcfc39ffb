//! Subnets: which addresses of one may be given to guests.

use crate::range::{self, AddressRange};
use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why a subnet cannot be used; reads as the end of a sentence ("subnet …").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// Not `a.b.c.d/n`.
    #[error("is not an IPv4 subnet: write it as in 10.77.0.0/24")]
    Malformed,
    /// Bits are set to the right of the prefix.
    #[error("has bits set to the right of its prefix: write its first address, as in 10.77.0.0/24")]
    HostBits,
    /// Larger than a /16 or smaller than a /29.
    #[error("must have a prefix from /16 to /29")]
    BadPrefix,
    /// Not `a:b::/n`.
    #[error("is not an IPv6 subnet: write it as in 2001:db8:77::/64")]
    Malformed6,
    /// Bits are set to the right of the prefix.
    #[error("has bits set to the right of its prefix: write its first address, as in 2001:db8:77::/64")]
    HostBits6,
    /// Larger than a /48 or smaller than a /120.
    #[error("must have a prefix from /48 to /120")]
    BadPrefix6,
    /// Multicast, loopback, unspecified or link-local: no network is made of those.
    #[error("is not of addresses that machines can have")]
    Special,
}

/// Parses a subnet of /16 to /29 written by its first address.
pub fn parse(text: &str) -> Result<Ipv4Net, SubnetError> {
    let net: Ipv4Net = text.parse().map_err(|_| SubnetError::Malformed)?;
    if net.trunc() != net {
        Err(SubnetError::HostBits)
    } else if !(16..=29).contains(&net.prefix_len()) {
        Err(SubnetError::BadPrefix)
    } else {
        Ok(net)
    }
}

/// Parses an IPv6 subnet of /48 to /120 written by its first address.
pub fn parse6(text: &str) -> Result<Ipv6Net, SubnetError> {
    let net: Ipv6Net = text.parse().map_err(|_| SubnetError::Malformed6)?;
    let first = net.network();
    if net.trunc() != net {
        Err(SubnetError::HostBits6)
    } else if !(48..=120).contains(&net.prefix_len()) {
        Err(SubnetError::BadPrefix6)
    } else if first.is_multicast()
        || first.is_unicast_link_local()
        // ::/96 and ::ffff:0:0/96 among it: those are stored for IPv4.
        || first.segments()[..4] == [0; 4]
    {
        Err(SubnetError::Special)
    } else {
        Ok(net)
    }
}

/// The gateway unless somebody says otherwise: the first usable address, as is customary.
pub fn gateway(net: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(net.network()) + 1)
}

/// The same of an IPv6 subnet: its first address is every router's (RFC 4291, section 2.6.1).
pub fn gateway6(net: Ipv6Net) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(net.network()) + 1)
}

/// Every address that a guest may get, ascending: without network address, gateway and broadcast address.
pub fn guest_addresses(net: Ipv4Net, gateway: Ipv4Addr) -> impl Iterator<Item = Ipv4Addr> {
    (u32::from(net.network()) + 1..u32::from(net.broadcast()))
        .map(Ipv4Addr::from)
        .filter(move |address| *address != gateway)
}

/// The first address behind `after` (or behind the subnet's own) that may be given out by itself: neither the gateway nor
/// reserved. `None` where the subnet ends.
pub fn next6(
    net: Ipv6Net,
    gateway: Ipv6Addr,
    reserved: &[AddressRange],
    after: Option<Ipv6Addr>,
) -> Option<Ipv6Addr> {
    let mut number = u128::from(after.unwrap_or(net.network())).checked_add(1)?;
    loop {
        let address = Ipv6Addr::from(number);
        if !net.contains(&address) {
            return None;
        }
        number = match range::holding(reserved, address.into()).map(AddressRange::last) {
            Some(IpAddr::V6(last)) => u128::from(last).checked_add(1)?,
            _ if address == gateway => number.checked_add(1)?,
            _ => return Some(address),
        };
    }
}

/// Whether a machine in the subnet can have this address: neither its first nor (IPv4) its last.
pub fn is_usable(net: ipnet::IpNet, address: IpAddr) -> bool {
    net.contains(&address) && address != net.network() && (address.is_ipv6() || address != net.broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_29_holds_five_guests() {
        let net = parse("10.0.0.8/29").unwrap();
        assert_eq!(gateway(net).to_string(), "10.0.0.9");
        let all = |gateway| guest_addresses(net, gateway).map(|a| a.to_string()).collect::<Vec<_>>();
        assert_eq!(all(gateway(net)), ["10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14"]);
        assert_eq!(all(Ipv4Addr::new(10, 0, 0, 14))[0], "10.0.0.9", "the gateway may be another one");
        assert_eq!(parse("10.0.0.9/29"), Err(SubnetError::HostBits));
        assert_eq!(parse("10.0.0.0/8"), Err(SubnetError::BadPrefix));
        assert_eq!(parse("::/64"), Err(SubnetError::Malformed));
    }

    #[test]
    fn ipv6_subnets_are_of_addresses_that_machines_can_have() {
        let net = parse6("2001:db8:77::/64").unwrap();
        assert_eq!(gateway6(net).to_string(), "2001:db8:77::1");
        for (bad, why) in [
            ("10.0.0.0/24", SubnetError::Malformed6),
            ("2001:db8::1/64", SubnetError::HostBits6),
            ("2001:db8::/32", SubnetError::BadPrefix6),
            ("2001:db8::/124", SubnetError::BadPrefix6),
            ("ff02::/64", SubnetError::Special),
            ("fe80::/64", SubnetError::Special),
            ("::/64", SubnetError::Special),
            ("::ffff:0:0/96", SubnetError::Special),
        ] {
            assert_eq!(parse6(bad), Err(why), "{bad}");
        }
        assert!(is_usable(net.into(), "2001:db8:77::2".parse().unwrap()));
        assert!(!is_usable(net.into(), "2001:db8:77::".parse().unwrap()));
        assert!(!is_usable(net.into(), "2001:db8:78::2".parse().unwrap()));
    }
}
