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
    /// A cluster.
    Cluster,
    /// A token.
    Token,
    /// Somebody who logs in.
    Person,
    /// A webhook.
    Webhook,
    /// An address of a network.
    Address,
    /// A server that sends slow logs.
    SlowServer,
    /// A query of one of those.
    SlowQuery,
    /// A root filesystem on its way to become an image.
    ImageUpload,
    /// A key by which images are signed.
    ImageKey,
    /// A suite of the archive; its number is that of a publication.
    Suite,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [ResourceKind; 19] = {
        use ResourceKind::{
            Account, Address, Cluster, Guest, Host, Image, ImageKey, ImageUpload, Network, Person, Pool,
            Rack, San, Site, SlowQuery, SlowServer, Suite, Token, Webhook,
        };
        [
            Account,
            Host,
            Pool,
            Network,
            Image,
            Guest,
            Token,
            Person,
            Site,
            Rack,
            San,
            Webhook,
            Address,
            Cluster,
            SlowServer,
            SlowQuery,
            ImageUpload,
            ImageKey,
            Suite,
        ]
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
            ResourceKind::Cluster => "cluster",
            ResourceKind::Token => "token",
            ResourceKind::Person => "person",
            ResourceKind::Webhook => "webhook",
            ResourceKind::Address => "address",
            ResourceKind::SlowServer => "slow_server",
            ResourceKind::SlowQuery => "slow_query",
            ResourceKind::ImageUpload => "image_upload",
            ResourceKind::ImageKey => "image_key",
            ResourceKind::Suite => "suite",
        }
    }

    /// The kind whose word this is.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Whether a text names kinds of events: one (`guest.create`), all that begin alike (`guest.*`), or all (`*`).
pub fn is_kind_pattern(text: &str) -> bool {
    let name = text.strip_suffix(".*").unwrap_or(text);
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    text == "*" || (text.len() <= 100 && name.split('.').all(word))
}

/// Whether one of these patterns names this kind.
pub fn kind_matches(patterns: &[String], kind: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => kind.starts_with(beginning),
        None => pattern == kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_one_by_one_or_by_their_beginning() {
        for good in ["*", "guest.*", "guest.create", "guest.stopped_by_itself", "webhook.off"] {
            assert!(is_kind_pattern(good), "{good}");
        }
        for bad in [
            "",
            "*.create",
            "guest*",
            "guest.",
            ".*",
            "guest..x",
            "Guest.create",
            "guest create",
            "guest.*.x",
        ] {
            assert!(!is_kind_pattern(bad), "{bad}");
        }
        let matches = |pattern: &str, kind: &str| kind_matches(&[pattern.to_owned()], kind);
        assert!(matches("*", "guest.create") && matches("guest.*", "guest.create"));
        assert!(matches("guest.create", "guest.create"));
        assert!(!matches("guest.*", "guests.create") && !matches("guest.create", "guest.created"));
        assert!(!kind_matches(&[], "guest.create"));
    }
}
