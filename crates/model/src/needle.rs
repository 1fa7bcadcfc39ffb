//! What somebody typed into the search box, read in every way that makes sense: as text, as a number, as a uuid, as a
//! MAC address in any spelling, as an IP address or the beginning of one.
//!
//! Reading decides nothing: one text may be several of these ("10.77" begins addresses, and may stand in a name).

use crate::text::{TextError, one_line};
use crate::{InterfaceId, Mac};
use std::net::{IpAddr, Ipv6Addr};
use uuid::Uuid;

/// Why a text cannot be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedleError {
    /// Nothing but spaces.
    #[error("can't be blank")]
    Blank,
    /// No line of text.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    /// As it was typed, without the spaces around it.
    pub text: String,
    /// The number that it is.
    pub id: Option<i64>,
    /// The first and the last uuid that it begins.
    pub uuid: Option<(Uuid, Uuid)>,
    /// The MAC addresses in which it stands.
    pub mac: Option<MacPart>,
    /// The one address that it is; IPv4 mapped into IPv6, as everywhere.
    pub address: Option<Ipv6Addr>,
    /// First and last of each stretch of addresses that it begins, or that lie in the subnet that it is.
    pub addresses: Vec<(Ipv6Addr, Ipv6Addr)>,
}

/// A part of a MAC address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacPart {
    /// Hexadecimal digits in lower case; twelve of them are the whole.
    pub digits: String,
}

impl MacPart {
    /// First and last interface whose address begins so; see [`Mac::of_interface`].
    pub fn interfaces(&self) -> Option<(InterfaceId, InterfaceId)> {
        let end = |digit: &str| {
            let digits =
                format!("{}{}", self.digits, digit.repeat(12_usize.saturating_sub(self.digits.len())));
            Mac::of_any_spelling(&digits).ok()?.interface()
        };
        Some((end("0")?, end("f")?))
    }

    /// A mask and what it leaves of the id of an interface whose address ends so.
    pub fn low_bits(&self) -> Option<(i64, i64)> {
        if self.digits.len() > 10 {
            return None;
        }
        let value = i64::from_str_radix(&self.digits, 16).ok()?;
        Some(((1 << (4 * self.digits.len())) - 1, value))
    }
}

impl Needle {
    /// Reads what was typed.
    pub fn parse(text: &str) -> Result<Self, NeedleError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NeedleError::Blank);
        }
        let text = one_line(text)?;
        let address = address(text);
        Ok(Needle {
            text: text.to_owned(),
            id: text.parse().ok().filter(|id| *id > 0),
            uuid: uuids(text),
            mac: mac_part(text),
            address,
            addresses: stretches(text),
        })
    }

    /// Every subnet in which the one address lies, as subnets are written.
    pub fn subnets(&self) -> Vec<String> {
        let Some(address) = self.address.map(|address| address.to_canonical()) else { return Vec::new() };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let net = |prefix| Some(ipnet::IpNet::new(address, prefix).ok()?.trunc().to_string());
        (0..=longest).filter_map(net).collect()
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The one address that a text is, also with the length of its subnet's prefix behind it (`10.77.0.5/24`).
fn address(text: &str) -> Option<Ipv6Addr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(mapped(address));
    }
    let net: ipnet::IpNet = text.parse().ok()?;
    (net.trunc() != net || net.prefix_len() == net.max_prefix_len()).then(|| mapped(net.addr()))
}

/// The addresses that a text begins, or that lie in the subnet that it is.
fn stretches(text: &str) -> Vec<(Ipv6Addr, Ipv6Addr)> {
    if let Ok(net) = text.parse::<ipnet::IpNet>() {
        return match address(text) {
            Some(address) => vec![(address, address)],
            None => vec![(mapped(net.network()), mapped(net.broadcast()))],
        };
    }
    if text.contains(':') { stretches_of_groups(text) } else { stretches_of_octets(text) }
}

/// Every number up to `most` whose digits begin with these, in stretches: 7, 70 to 79, 700 to 799, …
fn begun(digits: &str, radix: u32, most: u32) -> Vec<(u32, u32)> {
    let Ok(number) = u32::from_str_radix(digits, radix) else { return Vec::new() };
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if leading_zero || digits.starts_with('+') || number > most {
        return Vec::new();
    }
    let mut found = vec![(number, number)];
    let (mut first, mut span) = (number * radix, radix);
    // Nothing but itself begins with a zero.
    while number > 0 && first <= most {
        found.push((first, (first + span - 1).min(most)));
        (first, span) = (first * radix, span * radix);
    }
    found
}

/// `10.`, `10.7`, `10.77.0.5`: what has a point after at least one whole octet.
fn stretches_of_octets(text: &str) -> Vec<(Ipv6Addr, Ipv6Addr)> {
    let parts: Vec<&str> = text.split('.').collect();
    let Some((last, whole)) = parts.split_last() else { return Vec::new() };
    let octet = |part: &&str| begun(part, 10, 255).first().map(|(octet, _)| *octet);
    let Some(whole) = whole.iter().map(octet).collect::<Option<Vec<u32>>>() else { return Vec::new() };
    if whole.is_empty() || whole.len() > 3 {
        return Vec::new();
    }
    let ends = if last.is_empty() { vec![(0, 255)] } else { begun(last, 10, 255) };
    let base = whole.iter().fold(0, |base, octet| base << 8 | octet);
    let free = 8 * (3 - u32::try_from(whole.len()).unwrap_or(3));
    let first = |octet: u32| (base << 8 | octet) << free;
    let at = |bits: u32| std::net::Ipv4Addr::from_bits(bits).to_ipv6_mapped();
    ends.into_iter().map(|(low, high)| (at(first(low)), at(first(high) | ((1 << free) - 1)))).collect()
}

/// The same of IPv6: `2001:db8:`, `2001:db8::`, `2001:db8::5`, `2001:db8:0:1f`.
fn stretches_of_groups(text: &str) -> Vec<(Ipv6Addr, Ipv6Addr)> {
    let span = |low: u128, high: u128| (Ipv6Addr::from_bits(low), Ipv6Addr::from_bits(high));
    if let Some(head) = text.strip_suffix("::") {
        // Written as canonical texts are, `::` stands for two groups or more.
        let Some(base) = whole_groups(head) else { return Vec::new() };
        let free = 128 - 16 * (base.len() + 2).min(8);
        let low = Ipv6Addr::from(filled(&base)).to_bits();
        return vec![span(low, low | low_ones(free))];
    }
    if let Some(head) = text.strip_suffix(':') {
        let Some(base) = whole_groups(head).filter(|base| (1..8).contains(&base.len())) else {
            return Vec::new();
        };
        let low = Ipv6Addr::from(filled(&base)).to_bits();
        return vec![span(low, low | low_ones(128 - 16 * base.len()))];
    }
    let Some((head, last)) = text.rsplit_once(':') else { return Vec::new() };
    let (base, free) = match text.parse::<Ipv6Addr>() {
        Ok(address) if !last.contains('.') => (address.to_bits() & !0xffff, 0),
        _ => match whole_groups(head) {
            Some(base) if (1..7).contains(&base.len()) => {
                (Ipv6Addr::from(filled(&base)).to_bits(), 16 * (7 - base.len()))
            }
            _ => return Vec::new(),
        },
    };
    let ends = begun(&last.to_ascii_lowercase(), 16, 0xffff);
    ends.into_iter()
        .map(|(low, high)| {
            span(base | u128::from(low) << free, base | u128::from(high) << free | low_ones(free))
        })
        .collect()
}

fn low_ones(bits: usize) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

fn filled(groups: &[u16]) -> [u16; 8] {
    let mut all = [0; 8];
    all.iter_mut().zip(groups).for_each(|(to, from)| *to = *from);
    all
}

/// Groups with a colon between them, none left out.
fn whole_groups(text: &str) -> Option<Vec<u16>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let group = |group: &str| {
        let plain = (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u16::from_str_radix(group, 16).ok()).flatten()
    };
    text.split(':').map(group).collect::<Option<Vec<u16>>>().filter(|groups| groups.len() <= 8)
}

/// Eight digits at least: people copy the first group of a uuid.
fn uuids(text: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if !(8..=32).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let end = |digit: &str| {
        let all = format!("{digits}{}", digit.repeat(32 - digits.len()));
        u128::from_str_radix(&all, 16).ok().map(Uuid::from_u128)
    };
    Some((end("0")?, end("f")?))
}

/// Six digits in a row, or three with separators where a MAC address has them.
fn mac_part(text: &str) -> Option<MacPart> {
    let separators = text.matches([':', '-', '.']).collect::<std::collections::BTreeSet<_>>();
    let groups: Vec<&str> = text.split([':', '-', '.']).collect();
    let (length, most, fewest) = match separators.into_iter().collect::<Vec<_>>().as_slice() {
        [] => (12, 1, 6),
        ["."] => (4, 3, 5),
        [_] => (2, 6, 3),
        _ => return None,
    };
    let (last, whole) = groups.split_last()?;
    let hexadecimal = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = whole.iter().all(|group| group.len() == length) && last.len() <= length;
    let digits = groups.concat().to_ascii_lowercase();
    if !fits || groups.len() > most + 1 || !(fewest..=12).contains(&digits.len()) || !hexadecimal(&digits) {
        return None;
    }
    Some(MacPart { digits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(text: &str) -> Vec<String> {
        let shown = |address: Ipv6Addr| address.to_canonical().to_string();
        let found = Needle::parse(text).unwrap().addresses;
        found.into_iter().map(|(first, last)| format!("{}-{}", shown(first), shown(last))).collect()
    }

    #[test]
    fn addresses_are_found_by_how_they_begin() {
        let check = |text: &str, expected: &[&str]| assert_eq!(addresses(text), expected, "{text}");
        check("10.77.0.5", &["10.77.0.5-10.77.0.5", "10.77.0.50-10.77.0.59"]);
        check("10.77.", &["10.77.0.0-10.77.255.255"]);
        check("10.2", &["10.2.0.0-10.2.255.255", "10.20.0.0-10.29.255.255", "10.200.0.0-10.255.255.255"]);
        check("10.77.0.0/24", &["10.77.0.0-10.77.0.255"]);
        check("10.77.0.5/24", &["10.77.0.5-10.77.0.5"]);
        check("2001:db8:", &["2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"]);
        check("2001:DB8::", &["2001:db8::-2001:db8::ffff:ffff:ffff:ffff"]);
        check(
            "2001:db8:0:1f",
            &[
                "2001:db8:0:1f::-2001:db8:0:1f:ffff:ffff:ffff:ffff",
                "2001:db8:0:1f0::-2001:db8:0:1ff:ffff:ffff:ffff:ffff",
                "2001:db8:0:1f00::-2001:db8:0:1fff:ffff:ffff:ffff:ffff",
            ],
        );
        check("2001:db8::c0de", &["2001:db8::c0de-2001:db8::c0de"]);
        check("2001:db8::c0d", &["2001:db8::c0d-2001:db8::c0d", "2001:db8::c0d0-2001:db8::c0df"]);
        for none in [
            "10",
            "web",
            "10..7",
            "256.1",
            "10.256",
            "10.7x",
            "1.2.3.4.5",
            "2001:db8::1:",
            ":",
            "a:b:c:d:e:f:1:2:3",
            "01.2.3",
        ] {
            check(none, &[]);
        }
        check("::", &["::-::ffff:ffff:ffff:ffff:ffff:ffff"]);
    }

    #[test]
    fn a_needle_is_all_that_it_can_be() {
        let needle = Needle::parse(" 42 ").unwrap();
        assert_eq!((needle.text.as_str(), needle.id, needle.mac, needle.uuid), ("42", Some(42), None, None));
        assert_eq!(Needle::parse("-3").unwrap().id, None);
        assert_eq!(Needle::parse("9223372036854775808").unwrap().id, None);
        let uuid = Needle::parse("0190A5e2-7c").unwrap().uuid.unwrap();
        assert_eq!(uuid.0.to_string(), "0190a5e2-7c00-0000-0000-000000000000");
        assert_eq!(uuid.1.to_string(), "0190a5e2-7cff-ffff-ffff-ffffffffffff");
        let subnets = Needle::parse("10.77.1.5").unwrap().subnets();
        assert!(subnets.contains(&"10.77.0.0/16".to_owned()) && subnets.contains(&"10.77.1.4/30".to_owned()));
        for bad in ["", "  \t", "a\0b", "a\u{202e}b", &"x".repeat(10_000)] {
            assert!(Needle::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn macs_are_found_in_every_spelling_and_in_part() {
        let digits = |text: &str| Needle::parse(text).unwrap().mac.map(|mac| mac.digits);
        for text in ["3c:ec:ef:00:00:07", "3C-EC-EF-00-00-07", "3cec.ef00.0007", "3cecef000007"] {
            assert_eq!(digits(text).as_deref(), Some("3cecef000007"), "{text}");
        }
        assert_eq!(digits("3c:ec:").as_deref(), Some("3cec"));
        assert_eq!(digits("3cec.e").as_deref(), Some("3cece"));
        for none in ["10.77.0.5", "web-1", "2001:db8::1", "3c", "dead", "3c:ec-ef", "3c:e:ef"] {
            assert_eq!(digits(none), None, "{none}");
        }
        let part = |digits: &str| MacPart { digits: digits.to_owned() };
        assert_eq!(part("0200000000").interfaces(), Some((InterfaceId(0), InterfaceId(0xff))));
        assert_eq!(part("3cecef").interfaces(), None);
        assert_eq!(part("0007").low_bits(), Some((0xffff, 7)));
        assert_eq!(part("3cecef00000").low_bits(), None);
    }

    proptest! {
        /// Whatever begins the text of an address finds it, once it can be an address at all.
        #[test]
        fn whatever_begins_an_address_finds_it(bits: u32, cut in 0_usize..16) {
            let address = std::net::Ipv4Addr::from_bits(bits);
            let text = address.to_string();
            let begun = &text[..cut.min(text.len())];
            prop_assume!(begun.contains('.'));
            let found = Needle::parse(begun).unwrap().addresses;
            let mapped = address.to_ipv6_mapped();
            prop_assert!(found.iter().any(|(first, last)| (*first..=*last).contains(&mapped)), "{begun}: {found:?}");
        }

        #[test]
        fn the_same_of_ipv6(bits: u128, zeroes in 0_u32..8, cut in 3_usize..40) {
            let address = Ipv6Addr::from_bits(bits & !(low_ones(16 * zeroes as usize)) | 1);
            let text = address.to_string();
            let begun = &text[..cut.min(text.len())];
            prop_assume!(begun.contains(':') && (begun.ends_with("::") || !begun.contains("::") || begun == text));
            let found = Needle::parse(begun).unwrap().addresses;
            prop_assert!(found.iter().any(|(first, last)| (*first..=*last).contains(&address)), "{begun} of {text}: {found:?}");
        }

        /// Any text is read or refused, and stretches go upwards.
        #[test]
        fn anything_is_read(text in "[0-9a-f.:/-]{1,40}|\\PC{0,30}") {
            if let Ok(needle) = Needle::parse(&text) {
                prop_assert!(needle.addresses.iter().all(|(first, last)| first <= last));
                let _ = (needle.subnets(), needle.mac.map(|mac| (mac.interfaces(), mac.low_bits())));
            }
        }
    }
}
