//! What a search finds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A thing that was found, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchHit {
    /// `account`, `person`, `site`, `rack`, `host`, `pool`, `san`, `network`, `address`, `image` or `guest`.
    pub kind: String,
    /// Its id among those of its kind.
    pub id: i64,
    /// Its uuid; addresses have none.
    pub uuid: Option<Uuid>,
    /// What people call it.
    pub name: String,
    /// Whose it is; everybody's or the machine room's, when null.
    pub account_id: Option<i64>,
    /// What that account is called.
    pub account_name: Option<String>,
    /// The host that it is on.
    pub host_id: Option<i64>,
    /// What that host is called; shown to operators.
    pub host_name: Option<String>,
    /// The network that it is of.
    pub network_id: Option<i64>,
    /// What that network is called.
    pub network_name: Option<String>,
    /// The guest that holds it.
    pub guest_id: Option<i64>,
    /// What that guest is called.
    pub guest_name: Option<String>,
    /// The attribute by which it was found: `name`, `id`, `uuid`, `reference`, `serial`, `mac`, `address`, `subnet`,
    /// `account`, …
    pub attribute: String,
    /// What that attribute is.
    pub value: String,
    /// `exact`, `prefix` or `contains`.
    pub nearness: String,
}
