//! The subnets of a network, whatever their family.

use honcho_wire::{NetworkKind, SubnetWanted};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// The host's own address in each subnet of a network, with the prefix's length. `accept` has refused prefixes that are
/// too long.
pub(super) fn gateways(kind: &NetworkKind) -> Vec<IpNet> {
    fn net<Address: Into<IpAddr>>(subnet: SubnetWanted<Address>) -> Option<IpNet> {
        IpNet::new(subnet.gateway.into(), subnet.prefix).ok()
    }
    let NetworkKind::Local { ipv4, ipv6 } = *kind;
    ipv4.and_then(net).into_iter().chain(ipv6.and_then(net)).collect()
}

/// The subnets of a network, by their first addresses.
pub(super) fn subnets(kind: &NetworkKind) -> Vec<IpNet> {
    gateways(kind).iter().map(IpNet::trunc).collect()
}

/// Whether an address is in both.
pub(super) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// What every bridge with IPv6 has besides its gateway: who sends on behalf of others what a guest has not asked for must
/// first find the guest, and asks for it from an address of this kind alone.
pub(super) fn link_local() -> IpNet {
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)), 64)
}

/// Whether an address is of one link alone, so that others may have it on theirs.
pub(super) fn is_link_local(net: &IpNet) -> bool {
    matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_that_share_an_address_overlap() {
        let check = |one: &str, other: &str, expected: bool| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap(&one, &other), expected, "{one} {other}");
            assert_eq!(overlap(&other, &one), expected, "{other} {one}");
        };
        check("10.77.1.1/24", "10.77.2.7/16", true);
        check("10.77.1.1/24", "10.77.2.1/24", false);
        check("fd77::1/64", "fd77::ffff:9/128", true);
        check("fd77::1/64", "fd77:0:0:1::1/64", false);
        check("0.0.0.0/0", "fd77::1/64", false);
    }

    #[test]
    fn a_subnet_is_named_by_its_first_address() {
        let ipv4 = SubnetWanted { gateway: "10.77.3.9".parse().unwrap(), prefix: 22 };
        let ipv6 = SubnetWanted { gateway: "fd77::9".parse().unwrap(), prefix: 64 };
        let kind = NetworkKind::Local { ipv4: Some(ipv4), ipv6: Some(ipv6) };
        let shown: Vec<String> = subnets(&kind).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.77.0.0/22", "fd77::/64"]);
    }
}
