//! Which addresses are public: reachable across the internet, and so neither this machine, nor its neighbours, nor
//! anybody's private network.
//!
//! Placing uses it to tell public addresses from private ones; webhooks, to refuse to be sent inside. The tables are
//! IANA's special-purpose address registries (RFC 6890), read as strictly as that second use wants:
//!
//! - <https://www.iana.org/assignments/iana-ipv4-special-registry>
//! - <https://www.iana.org/assignments/iana-ipv6-special-registry>
//! - multicast: RFC 5771 (IPv4), RFC 4291 section 2.7 (IPv6)
//!
//! An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4) is as public as the one it carries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 block that is not globally reachable: network, prefix length, what it is.
type Block4 = (Ipv4Addr, u32, &'static str);
/// The same for IPv6.
type Block6 = (Ipv6Addr, u32, &'static str);

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}
const fn v6(a: u16, b: u16, c: u16, d: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

const NOT_GLOBAL_4: &[Block4] = &[
    (v4(0, 0, 0, 0), 8, "this network (RFC 791)"),
    (v4(10, 0, 0, 0), 8, "private (RFC 1918)"),
    (v4(100, 64, 0, 0), 10, "shared by carriers (RFC 6598)"),
    (v4(127, 0, 0, 0), 8, "loopback (RFC 1122)"),
    // Cloud metadata (169.254.169.254) is in here.
    (v4(169, 254, 0, 0), 16, "link-local (RFC 3927)"),
    (v4(172, 16, 0, 0), 12, "private (RFC 1918)"),
    // Two addresses in it are reachable anycast (192.0.0.9, 192.0.0.10); nobody's server is.
    (v4(192, 0, 0, 0), 24, "protocol assignments (RFC 6890)"),
    (v4(192, 0, 2, 0), 24, "documentation (RFC 5737)"),
    (v4(192, 31, 196, 0), 24, "AS112 (RFC 7535)"),
    (v4(192, 52, 193, 0), 24, "AMT relays (RFC 7450)"),
    (v4(192, 88, 99, 0), 24, "6to4 relays (RFC 7526)"),
    (v4(192, 168, 0, 0), 16, "private (RFC 1918)"),
    (v4(192, 175, 48, 0), 24, "AS112 (RFC 7534)"),
    (v4(198, 18, 0, 0), 15, "benchmarks (RFC 2544)"),
    (v4(198, 51, 100, 0), 24, "documentation (RFC 5737)"),
    (v4(203, 0, 113, 0), 24, "documentation (RFC 5737)"),
    (v4(224, 0, 0, 0), 4, "multicast (RFC 5771)"),
    (v4(240, 0, 0, 0), 4, "reserved, and broadcast (RFC 1112)"),
];

/// Only `2000::/3` is assigned for global unicast at all, so these are the exceptions inside it.
const NOT_GLOBAL_6: &[Block6] = &[
    (v6(0x2001, 0, 0, 0), 23, "protocol assignments, Teredo among them (RFC 2928)"),
    (v6(0x2001, 0xdb8, 0, 0), 32, "documentation (RFC 3849)"),
    (v6(0x2620, 0x4f, 0x8000, 0), 48, "AS112 (RFC 7534)"),
    (v6(0x3fff, 0, 0, 0), 20, "documentation (RFC 9637)"),
];

fn outside_unicast(address: Ipv6Addr) -> &'static str {
    match address.segments()[0] {
        0 if address.is_loopback() => "loopback (RFC 4291)",
        0 => "unspecified, or IPv4-compatible (RFC 4291)",
        0x0100 => "discard only (RFC 6666)",
        0x5f00 => "segment routing (RFC 9602)",
        0xfc00..=0xfdff => "unique local (RFC 4193)",
        0xfe80..=0xfebf => "link-local (RFC 4291)",
        0xfec0..=0xfeff => "site-local (RFC 3879)",
        0xff00..=0xffff => "multicast (RFC 4291)",
        _ => "not assigned for global unicast (RFC 4291)",
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped (RFC 4291), NAT64 with the well-known prefix (RFC 6052) or
/// the local one (RFC 8215, read as a /96), 6to4 (RFC 3056).
pub fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, bottom]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, bottom]
        | [0x2002, high, bottom, ..] => Some(low(high, bottom)),
        _ => None,
    }
}

/// Why an address is not public, in a few words; `None` when it is.
///
/// ```
/// # use honcho_model::address::not_global;
/// assert_eq!(not_global("127.0.0.1".parse().unwrap()), Some("loopback (RFC 1122)"));
/// assert_eq!(not_global("::ffff:10.0.0.1".parse().unwrap()), Some("private (RFC 1918)"));
/// assert_eq!(not_global("9.9.9.9".parse().unwrap()), None);
/// ```
pub fn not_global(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => NOT_GLOBAL_4
            .iter()
            .find(|(block, prefix, _)| (address.to_bits() ^ block.to_bits()) >> (32 - prefix) == 0)
            .map(|(_, _, what)| *what),
        IpAddr::V6(address) => {
            if let Some(inner) = carried(address) {
                return not_global(IpAddr::V4(inner));
            }
            if matches!(address.segments(), [0x64, 0xff9b, ..]) {
                return Some("NAT64 of a local network (RFC 8215)");
            }
            if address.segments()[0] >> 13 != 0b001 {
                return Some(outside_unicast(address));
            }
            NOT_GLOBAL_6
                .iter()
                .find(|(block, prefix, _)| (address.to_bits() ^ block.to_bits()) >> (128 - prefix) == 0)
                .map(|(_, _, what)| *what)
        }
    }
}

/// Whether an address is public: globally reachable unicast, by IANA's registries.
pub fn is_global(address: IpAddr) -> bool {
    not_global(address).is_none()
}

/// Whether an address counts where public addresses are counted, in quotas and usage: IPv4 alone, of which there are too few.
/// An IPv6 address comes beside each by itself, and nobody is to pay or ask for that.
pub fn is_counted(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_ipv4() && is_global(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(expected: bool, addresses: &str) {
        for text in addresses.split_whitespace() {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(is_global(address), expected, "{text}: {:?}", not_global(address));
        }
    }

    /// The first and last address of each block of the IPv4 registry, and their public neighbours.
    #[test]
    fn the_ipv4_registry() {
        check(false, "0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255");
        check(true, "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0");
        check(false, "127.0.0.0 127.0.0.1 127.255.255.255 169.254.0.0 169.254.169.254 169.254.255.255");
        check(true, "126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0");
        check(
            false,
            "172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.8 192.0.0.170 192.0.0.255 192.0.2.0 192.0.2.255",
        );
        check(true, "172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0");
        check(false, "192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.0 192.168.255.255 192.175.48.1");
        check(true, "192.31.195.255 192.31.197.0 192.167.255.255 192.169.0.0");
        check(false, "198.18.0.0 198.19.255.255 198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255");
        check(true, "198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0");
        check(false, "224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.254 255.255.255.255");
        check(true, "8.8.8.8 9.9.9.9 93.184.216.34 223.255.255.255");
    }

    #[test]
    fn the_ipv6_registry() {
        check(false, ":: ::1 ::2 ::7f00:1 100:: 100::1 100:0:0:1:: 5f00:: 5f00:ffff::1");
        check(
            false,
            "2001:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10:: 2001:20::1 2001:1ff:ffff::",
        );
        check(true, "2001:200:: 2001:4860:4860::8888 2a00:1450:4001:800::200e 2606:4700:4700::1111");
        check(
            false,
            "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2620:4f:8000::1 3fff:: 3fff:fff:ffff::",
        );
        check(true, "2001:db7:ffff:: 2001:db9:: 2620:4f:7fff:: 2620:4f:8001:: 3fff:1000:: 3ffe::1 2000::1");
        check(
            false,
            "fc00:: fd12:3456:789a::1 fdff:ffff:: fe80:: fe80::1 febf:ffff:: fec0::1 ff00:: ff02::1 ffff::",
        );
        check(false, "4000:: 8000::1 1fff:ffff::");
        // Amazon's metadata service over IPv6.
        check(false, "fd00:ec2::254");
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_one_is_looked_at_itself() {
        check(
            false,
            "::ffff:127.0.0.1 ::ffff:10.1.2.3 ::ffff:169.254.169.254 ::ffff:0.0.0.0 ::ffff:192.168.1.1",
        );
        check(true, "::ffff:8.8.8.8");
        check(false, "64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254");
        check(true, "64:ff9b::8.8.8.8");
        check(false, "64:ff9b:1::8.8.8.8 64:ff9b:1:ffff::10.0.0.1 64:ff9b::1:0:0");
        check(false, "2002:7f00:1:: 2002:a00:1::1 2002:c0a8:101:: 2002:a9fe:a9fe::");
        check(true, "2002:808:808::");
        // IPv4-compatible (deprecated): no address at all nowadays.
        check(false, "::127.0.0.1 ::8.8.8.8");
    }

    proptest! {
        /// std's own (stable) predicates never call special what we call public.
        #[test]
        fn std_agrees(four in any::<u32>(), six in any::<u128>()) {
            let four = Ipv4Addr::from_bits(four);
            let special = four.is_private() || four.is_loopback() || four.is_link_local() || four.is_multicast()
                || four.is_broadcast() || four.is_documentation() || four.is_unspecified();
            prop_assert!(!(special && is_global(four.into())), "{four}");
            prop_assert_eq!(is_global(four.into()), is_global(four.to_ipv6_mapped().into()));
            for six in [six, six | (0xfe << 120), six | (0xff << 120), six & 0xffff_ffff] {
                let six = Ipv6Addr::from_bits(six);
                let special = six.is_loopback() || six.is_unspecified() || six.is_multicast() || six.is_unique_local()
                    || six.is_unicast_link_local();
                prop_assert!(!(special && is_global(six.into())), "{six}");
            }
        }
    }
}
