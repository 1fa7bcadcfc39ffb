//! What people's programs exchange with the brain: bodies, the error shape, OpenAPI schemas, and a typed client.
//!
//! The shapes obey what a stock ActiveResource client needs: flat objects without a root, absent attributes `null`
//! and never left out, times in ISO 8601, no attribute with a name that client cannot bear. Sizes are bytes.
#![forbid(unsafe_code)]

mod account;
mod archive;
mod cluster;
mod error;
mod event;
mod guest;
mod host;
mod image;
mod import;
mod inventory;
mod load;
mod network;
mod operation;
mod person;
mod placement;
mod restore;
mod search;
mod slow;
mod token;
mod usage;
mod webhook;

#[cfg(feature = "client")]
pub mod client;

pub use account::*;
pub use archive::*;
pub use cluster::*;
pub use error::*;
pub use event::*;
pub use guest::*;
pub use host::*;
pub use image::*;
pub use import::*;
pub use inventory::*;
pub use load::*;
pub use network::*;
pub use operation::*;
pub use person::*;
pub use placement::*;
pub use restore::*;
pub use search::*;
pub use slow::*;
pub use token::*;
pub use usage::*;

/// What is there and null is `Some(None)`, so that it differs from what is not there.
#[expect(clippy::option_option, reason = "absent leaves an attribute as it is, null forgets it")]
fn there<'de, D: serde::Deserializer<'de>, T: serde::Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    <Option<T> as serde::Deserialize>::deserialize(deserializer).map(Some)
}
pub use webhook::*;

/// A kind of thing that has a collection in the API.
pub trait Resource: serde::de::DeserializeOwned + serde::Serialize {
    /// The collection's path under `/v1/`.
    const PATH: &'static str;
    /// The word for one of it.
    const WORD: &'static str;
    /// Its id.
    fn id(&self) -> i64;
    /// What people call it.
    fn name(&self) -> &str;
}

macro_rules! resources {
    ($($type:ty, $path:literal, $word:literal;)*) => {$(
        impl Resource for $type {
            const PATH: &'static str = $path;
            const WORD: &'static str = $word;
            fn id(&self) -> i64 { self.id }
            fn name(&self) -> &str { &self.name }
        }
    )*};
}

resources! {
    Account, "accounts", "account";
    Host, "hosts", "host";
    Pool, "pools", "pool";
    Site, "sites", "site";
    Rack, "racks", "rack";
    San, "sans", "SAN";
    Network, "networks", "network";
    Image, "images", "image";
    ImageUpload, "image_uploads", "upload";
    ImageKey, "image_keys", "key";
    Guest, "guests", "guest";
    Cluster, "clusters", "cluster";
    Token, "tokens", "token";
    Person, "people", "person";
}

impl Resource for SlowServer {
    const PATH: &'static str = "slow_servers";
    const WORD: &'static str = "slow server";
    fn id(&self) -> i64 {
        self.id
    }
    fn name(&self) -> &str {
        &self.node
    }
}

impl Resource for SlowMark {
    const PATH: &'static str = "slow_marks";
    const WORD: &'static str = "slow mark";
    fn id(&self) -> i64 {
        self.id
    }
    fn name(&self) -> &str {
        &self.text
    }
}

impl Resource for SlowQueryDetails {
    const PATH: &'static str = "slow_queries";
    const WORD: &'static str = "slow query";
    fn id(&self) -> i64 {
        self.query.id
    }
    fn name(&self) -> &str {
        &self.query.fingerprint
    }
}

impl Resource for Session {
    const PATH: &'static str = "sessions";
    const WORD: &'static str = "session";
    fn id(&self) -> i64 {
        self.id
    }
    fn name(&self) -> &str {
        &self.person_name
    }
}

impl Resource for Address {
    const PATH: &'static str = "addresses";
    const WORD: &'static str = "address";
    fn id(&self) -> i64 {
        self.id
    }
    fn name(&self) -> &str {
        &self.address
    }
}

impl Resource for Webhook {
    const PATH: &'static str = "webhooks";
    const WORD: &'static str = "webhook";
    fn id(&self) -> i64 {
        self.id
    }
    fn name(&self) -> &str {
        &self.url
    }
}
