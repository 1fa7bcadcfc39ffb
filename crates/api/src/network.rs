//! Networks and their addresses.

use crate::there;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Who may use it; everybody, when null.
    pub account_id: Option<i64>,
    /// Unique among networks.
    pub name: String,
    /// The creator's own key: a repeated POST with it answers with the same object.
    pub reference: Option<String>,
    /// `local`: a bridge on each host, hidden behind the host's address. `vlan` or `vxlan`: shared by hosts; it is written
    /// down and its addresses are given out, but no guest is placed in one until agents can carry it.
    pub kind: String,
    /// The VLAN id of a `vlan`, 1 to 4094; unique among networks.
    #[serde(default)]
    pub vlan_id: Option<i64>,
    /// The network identifier of a `vxlan`, 1 to 16777215; unique among networks.
    #[serde(default)]
    pub vxlan_id: Option<i64>,
    /// Its IPv4 addresses, as in `10.77.0.0/24`.
    pub subnet: Option<String>,
    /// Its IPv6 addresses, as in `2001:db8:77::/64`.
    #[serde(default)]
    pub subnet6: Option<String>,
    /// The way out of it; of a local network the host's address on the bridge.
    pub gateway: Option<String>,
    /// The same for IPv6.
    #[serde(default)]
    pub gateway6: Option<String>,
    /// Addresses that are not given out unless an operator names one: ranges as in `10.77.0.2-10.77.0.20`, or single ones.
    #[serde(default)]
    pub reserved_ranges: Vec<String>,
    /// IPv4 addresses that guests can have, reserved ones included.
    #[schema(read_only)]
    pub addresses_count: i64,
    /// Of these, how many are free to be given out: neither held nor reserved.
    #[schema(read_only)]
    pub addresses_free: i64,
    /// IPv6 addresses that are held.
    #[serde(default)]
    #[schema(read_only)]
    pub addresses6_held: i64,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
}

/// What makes a network, or changes one: only name and reserved ranges can change.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct NetworkCreate {
    /// A DNS label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`Network::reference`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// See [`Network::kind`]; `local`, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// See [`Network::vlan_id`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan_id: Option<i64>,
    /// See [`Network::vxlan_id`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vxlan_id: Option<i64>,
    /// IPv4, /16 to /29, written by its first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// IPv6, /48 to /120, written by its first address; beside `subnet` or instead of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet6: Option<String>,
    /// See [`Network::gateway`]; the first usable address, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// See [`Network::gateway6`]; the first usable address, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway6: Option<String>,
    /// See [`Network::reserved_ranges`]. What is held already stays held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_ranges: Option<Vec<String>>,
    /// See [`Network::account_id`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<i64>,
}

/// One address of a network. Of IPv4 every one that a guest can have is there; of IPv6 those that were ever held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Address {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// The network it is of.
    pub network_id: i64,
    /// Who holds it; nobody, when null.
    #[serde(default)]
    pub account_id: Option<i64>,
    /// 4 or 6.
    #[serde(default)]
    #[schema(read_only)]
    pub family: i64,
    /// As in `10.77.0.2`.
    pub address: String,
    /// `free`, `reserved` (held back, and free), `allocated` (an account's, on no guest) or `used` (on a guest).
    #[serde(default)]
    #[schema(read_only)]
    pub status: String,
    /// Whether it is reachable across the internet, by IANA's registries.
    #[serde(default)]
    #[schema(read_only)]
    pub public: bool,
    /// Whether it lies in a reserved range of its network.
    #[serde(default)]
    #[schema(read_only)]
    pub reserved: bool,
    /// Whether it stays its account's when the guest that has it goes: it was allocated by itself.
    #[serde(default)]
    #[schema(read_only)]
    pub kept: bool,
    /// Its name in the DNS, as in `www.example.com`.
    #[serde(default)]
    pub name: Option<String>,
    /// The name that the DNS gives for it.
    #[serde(default)]
    pub reverse_name: Option<String>,
    /// The creator's own key: a repeated POST with it answers with the same object.
    #[serde(default)]
    pub reference: Option<String>,
    /// The guest that has it, if one does.
    #[schema(read_only)]
    pub guest_id: Option<i64>,
    /// The network card that has it.
    #[serde(default)]
    #[schema(read_only)]
    pub interface_id: Option<i64>,
    /// Since when it is held.
    #[serde(default)]
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub allocated_at: Option<Timestamp>,
    /// When it was last freed; null if it never was held.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub freed_at: Option<Timestamp>,
    /// Rises when a writable attribute changes.
    #[serde(default)]
    pub lock_version: i64,
}

/// What allocates an address for an account.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AddressCreate {
    /// The network it is to be of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_id: Option<i64>,
    /// Who is to hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<i64>,
    /// This one and no other; the longest-freed, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// 4 or 6; 4, when absent, if the network has IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<i64>,
    /// See [`Address::name`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`Address::reverse_name`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverse_name: Option<String>,
    /// See [`Address::reference`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What changes an address: absent attributes stay as they are, and null forgets.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AddressUpdate {
    /// See [`Address::name`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub name: Option<Option<String>>,
    /// See [`Address::reverse_name`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reverse_name: Option<Option<String>>,
    /// See [`Address::lock_version`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_version: Option<i64>,
}
