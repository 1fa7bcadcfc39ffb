//! Quotas: how much an account may have, has, and asks for.
//!
//! What counts is what Honcho promises. A guest that is not cancelled counts as a guest, with its vCPUs and its memory,
//! also while it is stopped: they are kept for it. A cancelled one keeps its disk and its addresses, so those count
//! until it is gone, and nothing else of it does. Placement counts memory and disk by the same rule.

use crate::Bytes;

/// What there is a limit to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Guests that are not cancelled.
    Guests,
    /// Their virtual processors.
    Vcpus,
    /// Their memory in bytes.
    Memory,
    /// The disk of all guests in bytes, also of cancelled ones.
    Disk,
    /// Public addresses that are held, also by cancelled guests.
    PublicAddresses,
    /// Its own images, and what is being uploaded to become one, in bytes.
    Images,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Guests, Kind::Vcpus, Kind::Memory, Kind::Disk, Kind::PublicAddresses, Kind::Images];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Guests => "guests",
            Kind::Vcpus => "vCPUs",
            Kind::Memory => "memory",
            Kind::Disk => "disk",
            Kind::PublicAddresses => "public addresses",
            Kind::Images => "images",
        }
    }

    /// An amount of it, for people.
    pub fn show(self, amount: i64) -> String {
        match self {
            Kind::Memory | Kind::Disk | Kind::Images => Bytes(u64::try_from(amount).unwrap_or(0)).to_string(),
            Kind::Guests | Kind::Vcpus | Kind::PublicAddresses => amount.to_string(),
        }
    }
}

/// An amount of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// See [`Kind::Guests`].
    pub guests: i64,
    /// See [`Kind::Vcpus`].
    pub vcpus: i64,
    /// See [`Kind::Memory`].
    pub memory: i64,
    /// See [`Kind::Disk`].
    pub disk: i64,
    /// See [`Kind::PublicAddresses`].
    pub public_addresses: i64,
    /// See [`Kind::Images`].
    pub images: i64,
}

impl Amounts {
    /// The amount of one kind.
    pub fn of(&self, kind: Kind) -> i64 {
        match kind {
            Kind::Guests => self.guests,
            Kind::Vcpus => self.vcpus,
            Kind::Memory => self.memory,
            Kind::Disk => self.disk,
            Kind::PublicAddresses => self.public_addresses,
            Kind::Images => self.images,
        }
    }
}

/// How much an account may have; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// See [`Kind::Guests`].
    pub guests: Option<i64>,
    /// See [`Kind::Vcpus`].
    pub vcpus: Option<i64>,
    /// See [`Kind::Memory`].
    pub memory: Option<i64>,
    /// See [`Kind::Disk`].
    pub disk: Option<i64>,
    /// See [`Kind::PublicAddresses`].
    pub public_addresses: Option<i64>,
    /// See [`Kind::Images`].
    pub images: Option<i64>,
}

impl Limits {
    /// The limit of one kind.
    pub fn of(&self, kind: Kind) -> Option<i64> {
        match kind {
            Kind::Guests => self.guests,
            Kind::Vcpus => self.vcpus,
            Kind::Memory => self.memory,
            Kind::Disk => self.disk,
            Kind::PublicAddresses => self.public_addresses,
            Kind::Images => self.images,
        }
    }

    /// Everything of which more is asked than is left. Asking for none of a kind is never too much, also where more is
    /// used than is allowed by now.
    pub fn exceeded(&self, used: &Amounts, asked: &Amounts) -> Vec<Exceeded> {
        let exceeded = |kind: Kind| {
            let (limit, used, asked) = (self.of(kind)?, used.of(kind), asked.of(kind));
            let fits = asked <= 0 || used.checked_add(asked).is_some_and(|sum| sum <= limit);
            (!fits).then_some(Exceeded { kind, limit, used, asked })
        };
        Kind::ALL.into_iter().filter_map(exceeded).collect()
    }
}

/// A limit that stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Of what.
    pub kind: Kind,
    /// How much is allowed.
    pub limit: i64,
    /// How much is used.
    pub used: i64,
    /// How much more was asked for.
    pub asked: i64,
}

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |amount: i64| self.kind.show(amount);
        write!(
            f,
            "is over the account's quota of {}: {} asked for, {} left ({} of {} used)",
            self.kind.words(),
            show(self.asked),
            show((self.limit - self.used).max(0)),
            show(self.used),
            show(self.limit)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_limit_and_how_far() {
        let limits = Limits { memory: Some(4 << 30), guests: Some(2), ..Limits::default() };
        let used = Amounts { guests: 1, memory: 3 << 30, vcpus: 90, ..Amounts::default() };
        let asked = |guests, memory| {
            let asked = Amounts { guests, memory, vcpus: 1, disk: 1 << 50, ..Amounts::default() };
            limits.exceeded(&used, &asked).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(asked(1, 1 << 30).is_empty(), "to the limit exactly");
        assert_eq!(
            asked(2, 2 << 30),
            [
                "is over the account's quota of guests: 2 asked for, 1 left (1 of 2 used)",
                "is over the account's quota of memory: 2G asked for, 1G left (3G of 4G used)"
            ]
        );
        // A limit that was lowered below what is used forbids more and takes nothing away.
        let lowered = Limits { memory: Some(1 << 30), ..Limits::default() };
        assert!(lowered.exceeded(&used, &Amounts { memory: -1, ..Amounts::default() }).is_empty());
        assert_eq!(
            lowered.exceeded(&used, &Amounts { memory: 1 << 20, ..Amounts::default() })[0].to_string(),
            "is over the account's quota of memory: 1M asked for, 0 left (3G of 1G used)"
        );
    }
}
