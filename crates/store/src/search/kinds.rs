//! What can be found, and by what: the telling attributes of each kind first, its owner last.

use crate::list::Shared;

/// How an attribute is looked into.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// A text, in letters of either case.
    Text(&'static str),
    /// A text that may be an IP address, also in another spelling.
    AddressText(&'static str),
    /// The subnet of a network: as text, and by what lies in it.
    Subnet(&'static str),
    /// The id.
    Id,
    /// The uuid.
    Uuid,
    /// The MAC addresses of a host's cards.
    HostMac,
    /// The MAC addresses of a guest's cards.
    GuestMac,
    /// The addresses that a guest holds.
    GuestAddress,
    /// The name of the account that owns it.
    Owner,
}

/// Who sees things of a kind.
#[derive(Clone, Copy)]
pub(super) enum Seen {
    /// Operators.
    Operators,
    /// Whoever has the account in this column; with [`Shared::Yes`] everybody what belongs to nobody.
    Account(&'static str, Shared),
    /// The same, and a machine itself.
    Guests,
}

/// A kind of thing, as the alias `t` of its table. Rows that are deleted are never found.
pub(super) struct Kind {
    pub(super) word: &'static str,
    pub(super) table: &'static str,
    pub(super) name: &'static str,
    pub(super) account: &'static str,
    pub(super) host: &'static str,
    pub(super) seen: Seen,
    pub(super) attributes: &'static [(&'static str, Look)],
}

const NONE: &str = "CAST(NULL AS BIGINT)";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        word: "account",
        table: "accounts",
        name: "t.name",
        account: "t.id",
        host: NONE,
        seen: Seen::Account("t.id", Shared::No),
        attributes: &[
            ("name", Look::Text("t.name")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("reference", Look::Text("t.reference")),
        ],
    },
    Kind {
        word: "guest",
        table: "guests",
        name: "t.name",
        account: "t.account_id",
        host: "t.host_id",
        seen: Seen::Guests,
        attributes: &[
            ("name", Look::Text("t.name")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("reference", Look::Text("t.reference")),
            ("address", Look::GuestAddress),
            ("mac", Look::GuestMac),
            ("account", Look::Owner),
        ],
    },
    Kind {
        word: "host",
        table: "hosts",
        name: "t.name",
        account: NONE,
        host: "t.id",
        seen: Seen::Operators,
        attributes: &[
            ("name", Look::Text("t.name")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("serial", Look::Text("t.serial")),
            ("mac", Look::HostMac),
            ("bmc_address", Look::AddressText("t.bmc_address")),
            ("model", Look::Text("t.model")),
        ],
    },
    Kind {
        word: "network",
        table: "networks",
        name: "t.name",
        account: "t.account_id",
        host: NONE,
        seen: Seen::Account("t.account_id", Shared::Yes),
        attributes: &[
            ("name", Look::Text("t.name")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("reference", Look::Text("t.reference")),
            ("subnet", Look::Subnet("t.subnet")),
            ("subnet6", Look::Subnet("t.subnet6")),
            ("account", Look::Owner),
        ],
    },
    Kind {
        word: "image",
        table: "images",
        name: "t.name",
        account: "t.account_id",
        host: NONE,
        seen: Seen::Account("t.account_id", Shared::Yes),
        attributes: &[
            ("name", Look::Text("t.name")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("digest", Look::Text("t.digest")),
            ("account", Look::Owner),
        ],
    },
    Kind {
        word: "pool",
        table: "pools",
        name: "t.name",
        account: NONE,
        host: "t.host_id",
        seen: Seen::Operators,
        attributes: &[
            ("name", Look::Text("t.name")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("path", Look::Text("t.path")),
        ],
    },
    Kind {
        word: "rack",
        table: "racks",
        name: "t.name",
        account: NONE,
        host: NONE,
        seen: Seen::Operators,
        attributes: &[("name", Look::Text("t.name")), ("id", Look::Id), ("uuid", Look::Uuid)],
    },
    Kind {
        word: "site",
        table: "sites",
        name: "t.name",
        account: NONE,
        host: NONE,
        seen: Seen::Operators,
        attributes: &[
            ("name", Look::Text("t.name")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("location", Look::Text("t.location")),
        ],
    },
    Kind {
        word: "san",
        table: "sans",
        name: "t.name",
        account: NONE,
        host: NONE,
        seen: Seen::Operators,
        attributes: &[
            ("name", Look::Text("t.name")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("serial", Look::Text("t.serial")),
            ("target", Look::AddressText("t.target")),
            ("model", Look::Text("t.model")),
        ],
    },
    Kind {
        word: "cluster",
        table: "clusters",
        name: "t.name",
        account: "t.account_id",
        host: NONE,
        seen: Seen::Account("t.account_id", Shared::No),
        attributes: &[
            ("name", Look::Text("t.name")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("reference", Look::Text("t.reference")),
            ("account", Look::Owner),
        ],
    },
    Kind {
        word: "person",
        table: "people",
        name: "t.login",
        account: NONE,
        host: NONE,
        seen: Seen::Operators,
        attributes: &[
            ("name", Look::Text("t.login")),
            ("id", Look::Id),
            ("uuid", Look::Uuid),
            ("full_name", Look::Text("t.name")),
        ],
    },
];
