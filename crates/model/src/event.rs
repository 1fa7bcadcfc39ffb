//! The event log: every change, and everything an operator should hear of. It is also the audit log.

/// What an event is about; with an id, the thing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// An account.
    Account,
    /// A physical machine.
    Host,
    /// A site.
    Site,
    /// A rack.
    Rack,
    /// A SAN.
    San,
    /// A pool.
    Pool,
    /// A network.
    Network,
    /// An image.
    Image,
    /// A guest.
    Guest,
    /// A token.
    Token,
    /// Somebody who logs in.
    Person,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [ResourceKind; 11] = {
        use ResourceKind::{Account, Guest, Host, Image, Network, Person, Pool, Rack, San, Site, Token};
        [Account, Host, Pool, Network, Image, Guest, Token, Person, Site, Rack, San]
    };

    /// The word used in the store, the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceKind::Account => "account",
            ResourceKind::Host => "host",
            ResourceKind::Site => "site",
            ResourceKind::Rack => "rack",
            ResourceKind::San => "san",
            ResourceKind::Pool => "pool",
            ResourceKind::Network => "network",
            ResourceKind::Image => "image",
            ResourceKind::Guest => "guest",
            ResourceKind::Token => "token",
            ResourceKind::Person => "person",
        }
    }

    /// The kind whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}
