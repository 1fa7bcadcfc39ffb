//! Ranges of addresses that allocation leaves alone: `10.0.0.1-10.0.0.20`, or one address.

use std::net::IpAddr;

/// From one address to another of the same family, both of them in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is no range; reads as the end of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Not two addresses with a hyphen between them, nor one.
    #[error("is no range: write it as in 10.0.0.1-10.0.0.20, or as one address")]
    Malformed,
    /// One end is IPv4 and the other IPv6.
    #[error("has ends of different families")]
    Mixed,
    /// The last comes before the first.
    #[error("ends before it begins")]
    Backwards,
}

/// Where an address stands among those of its family.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl AddressRange {
    /// A range, if it is one.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, RangeError> {
        if first.is_ipv4() != last.is_ipv4() {
            Err(RangeError::Mixed)
        } else if last < first {
            Err(RangeError::Backwards)
        } else {
            Ok(AddressRange { first, last })
        }
    }

    /// Its first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Its last address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// How many addresses it holds; of all of IPv6, one too few.
    pub fn len(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// Never: a range holds its first address.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether the two can be written as one: they overlap, or one begins right behind the other.
    fn touches(&self, other: &AddressRange) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4()
            && number(other.first) <= number(self.last).saturating_add(1)
            && number(self.first) <= number(other.last).saturating_add(1)
    }
}

/// The same addresses in as few ranges as can be, ascending.
pub fn merged(mut ranges: Vec<AddressRange>) -> Vec<AddressRange> {
    ranges.sort();
    let mut merged: Vec<AddressRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(before) if before.touches(&range) => before.last = before.last.max(range.last),
            _ => merged.push(range),
        }
    }
    merged
}

/// Whether one of these ranges, or none, holds an address.
pub fn holding(ranges: &[AddressRange], address: IpAddr) -> Option<&AddressRange> {
    ranges.iter().find(|range| range.contains(address))
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl std::str::FromStr for AddressRange {
    type Err = RangeError;
    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| RangeError::Malformed);
        AddressRange::new(address(first)?, address(last)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn a_range_is_two_addresses_or_one() {
        for (text, shown) in [
            ("10.0.0.1-10.0.0.20", "10.0.0.1-10.0.0.20"),
            (" 10.0.0.1 - 10.0.0.1 ", "10.0.0.1"),
            ("10.0.0.7", "10.0.0.7"),
            ("2001:DB8::1-2001:db8::ff", "2001:db8::1-2001:db8::ff"),
        ] {
            assert_eq!(text.parse::<AddressRange>().unwrap().to_string(), shown);
        }
        for (text, why) in [
            ("", RangeError::Malformed),
            ("10.0.0.1-", RangeError::Malformed),
            ("10.0.0.0/24", RangeError::Malformed),
            ("10.0.0.1-10.0.0.2-10.0.0.3", RangeError::Malformed),
            ("10.0.0.1-::1", RangeError::Mixed),
            ("10.0.0.2-10.0.0.1", RangeError::Backwards),
        ] {
            assert_eq!(text.parse::<AddressRange>(), Err(why), "{text}");
        }
    }

    /// Addresses of both families, of which many lie beside each other; the ends of both families too.
    fn address(number: u32) -> IpAddr {
        match number % 4 {
            0 => Ipv4Addr::from(number / 4).into(),
            1 => Ipv4Addr::from(u32::MAX - number / 4).into(),
            2 => Ipv6Addr::from(u128::from(number / 4)).into(),
            _ => Ipv6Addr::from(u128::MAX - u128::from(number / 4)).into(),
        }
    }

    fn ranges() -> impl Strategy<Value = Vec<AddressRange>> {
        let range = (0..4_u32, 0..40_u32, 0..6_u32).prop_map(|(family, start, length)| {
            let (a, b) = (address(start * 4 + family), address((start + length) * 4 + family));
            AddressRange::new(a.min(b), a.max(b)).unwrap()
        });
        proptest::collection::vec(range, 0..12)
    }

    proptest! {
        /// Merging changes the writing and no address; what is merged is ascending, apart, and merged already.
        #[test]
        fn merged_ranges_hold_the_same_addresses(ranges in ranges()) {
            let merged = merged(ranges.clone());
            let mut held = BTreeSet::new();
            for number in 0..200 {
                let address = address(number);
                prop_assert_eq!(holding(&ranges, address).is_some(), holding(&merged, address).is_some());
                held.extend(holding(&ranges, address).map(|_| address));
            }
            let counted: u128 = merged.iter().map(AddressRange::len).sum();
            prop_assert_eq!(counted, held.len() as u128);
            for pair in merged.windows(2) {
                prop_assert!(pair[0].last() < pair[1].first() && !pair[0].touches(&pair[1]));
            }
            prop_assert_eq!(super::merged(merged.clone()), merged);
        }

        #[test]
        fn a_range_reads_back(range in ranges()) {
            for range in range {
                prop_assert_eq!(range.to_string().parse(), Ok(range));
                prop_assert!(range.contains(range.first()) && range.contains(range.last()));
            }
        }
    }
}
