//! Typed ids and counters. All are 64-bit integers; an id is never used twice.

use serde::{Deserialize, Serialize};

macro_rules! integers {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(s: &str) -> Result<Self, Self::Err> { s.parse().map($name) }
        }
        impl From<i64> for $name { fn from(n: i64) -> Self { $name(n) } }
        impl From<$name> for i64 { fn from(n: $name) -> i64 { n.0 } }
    )*};
}

integers! {
    /// Who owns things.
    AccountId,
    /// A physical machine.
    HostId,
    /// Where racks stand.
    SiteId,
    /// What hosts are screwed into.
    RackId,
    /// Storage that several hosts reach.
    SanId,
    /// Storage of a host.
    PoolId,
    /// A server that sends slow logs.
    SlowServerId,
    /// All queries of a server that are alike but for their values.
    SlowQueryId,
    /// A mark on the time line of slow queries.
    SlowMarkId,
    /// A disk of a guest, in a pool.
    VolumeId,
    /// A network with its subnet.
    NetworkId,
    /// One address of a network.
    AddressId,
    /// A network card of a guest.
    InterfaceId,
    /// A sealed tarball.
    ImageId,
    /// A root filesystem on its way to become one.
    ImageUploadId,
    /// A key by which images are signed.
    ImageKeyId,
    /// A virtual machine.
    GuestId,
    /// Guests of an account that belong together.
    ClusterId,
    /// What a person watches until it ends.
    OperationId,
    /// A move of a guest from host to host.
    MoveId,
    /// A line of the event log; also its cursor.
    EventId,
    /// A token that a program shows.
    TokenId,
    /// Somebody who logs in.
    PersonId,
    /// What a person may do in one account.
    GrantId,
    /// A person's login, until it ends.
    SessionId,
    /// A receiver that is told events.
    WebhookId,
    /// Rises with every change of what is desired of a resource, or of anything on a host.
    Generation,
    /// Rises when a guest is placed anew; only one host may ever hold the current one.
    Epoch,
    /// Rises when the brain is restored from a backup.
    Incarnation,
}

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Generation(self.0 + 1)
    }
}
