//! Networks: how their frames travel, and the numbers by which switches tell them apart.

/// A VLAN id (IEEE 802.1Q, section 9.6): 0 and 4095 mean something else there.
pub const VLAN_IDS: std::ops::RangeInclusive<i64> = 1..=4094;

/// A VXLAN network identifier (RFC 7348, section 5): 24 bits; 0 is left out, for many switches mean none by it.
pub const VXLAN_IDS: std::ops::RangeInclusive<i64> = 1..=(1 << 24) - 1;

/// How frames of a network travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkKind {
    /// On one host alone, hidden behind its address.
    Local,
    /// Tagged, through the hosts' uplinks (802.1Q).
    Vlan,
    /// In UDP, between hosts (RFC 7348).
    Vxlan,
}

impl NetworkKind {
    /// Every kind.
    pub const ALL: [NetworkKind; 3] = [NetworkKind::Local, NetworkKind::Vlan, NetworkKind::Vxlan];

    /// The word used in the store, the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            NetworkKind::Local => "local",
            NetworkKind::Vlan => "vlan",
            NetworkKind::Vxlan => "vxlan",
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            NetworkKind::Local => "local",
            NetworkKind::Vlan => "VLAN",
            NetworkKind::Vxlan => "VXLAN",
        }
    }

    /// The kind whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What an agent that can carry it says it can do.
    pub fn capability(self) -> &'static str {
        match self {
            NetworkKind::Local => "network.local",
            NetworkKind::Vlan => "network.vlan",
            NetworkKind::Vxlan => "network.vxlan",
        }
    }
}

/// Which kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address.
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The number by which the store and the API call it: 4 or 6.
    pub fn number(self) -> i64 {
        match self {
            Family::V4 => 4,
            Family::V6 => 6,
        }
    }

    /// The family with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        [Family::V4, Family::V6].into_iter().find(|family| family.number() == number)
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IPv{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_read_back() {
        for kind in NetworkKind::ALL {
            assert_eq!(NetworkKind::parse(kind.as_str()), Some(kind));
        }
        for family in [Family::V4, Family::V6] {
            assert_eq!(Family::from_number(family.number()), Some(family));
        }
        assert_eq!((NetworkKind::parse("bridge"), Family::from_number(5)), (None, None));
    }
}
