//! IPv4 subnets: which addresses of one may be given to guests.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

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

/// The gateway: the first usable address, as is customary.
pub fn gateway(net: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(net.network()) + 1)
}

/// Every address that a guest may get, ascending: without network address, gateway and broadcast address.
pub fn guest_addresses(net: Ipv4Net) -> impl Iterator<Item = Ipv4Addr> {
    (u32::from(net.network()) + 2..u32::from(net.broadcast())).map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_29_holds_five_guests() {
        let net = parse("10.0.0.8/29").unwrap();
        assert_eq!(gateway(net).to_string(), "10.0.0.9");
        let all: Vec<_> = guest_addresses(net).map(|a| a.to_string()).collect();
        assert_eq!(all, ["10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14"]);
        assert_eq!(parse("10.0.0.9/29"), Err(SubnetError::HostBits));
        assert_eq!(parse("10.0.0.0/8"), Err(SubnetError::BadPrefix));
        assert_eq!(parse("::/64"), Err(SubnetError::Malformed));
    }
}
