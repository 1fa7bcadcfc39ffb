//! Accounts: who owns things.

use crate::there;
use honcho_model::account::{AccountStatus, SampleValues};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An owner of guests and networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Unique among the living.
    pub name: String,
    /// The creator's own key: a repeated POST with it answers with the same object.
    pub reference: Option<String>,
    /// `active`, `suspended`, `cancelled`, `deleting` or `deleted`; derived, never stored.
    #[schema(read_only, value_type = String)]
    pub status: AccountStatus,
    /// How long what is cancelled is kept, in seconds. 14 days unless said otherwise.
    pub grace_seconds: i64,
    /// How many guests it may have that are not cancelled; `null` is no limit, here and below.
    pub limit_guests: Option<i64>,
    /// How many vCPUs those may have together.
    pub limit_vcpus: Option<i64>,
    /// How much memory those may have together.
    pub limit_memory_bytes: Option<i64>,
    /// How much disk its guests may have together, the cancelled ones included.
    pub limit_disk_bytes: Option<i64>,
    /// How many public addresses it may hold.
    pub limit_public_addresses: Option<i64>,
    /// How many bytes its own images may have together, as they are kept, and those that are being uploaded.
    pub limit_image_bytes: Option<i64>,
    /// `redacted`, or `kept`: whether samples of its slow queries show their values.
    #[schema(read_only, value_type = String)]
    pub sample_values: SampleValues,
    /// When it was suspended.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub suspended_at: Option<Timestamp>,
    /// Why, if whoever suspended it said so.
    #[schema(read_only)]
    pub suspended_reason: Option<String>,
    /// When it was made.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was cancelled.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub cancelled_at: Option<Timestamp>,
    /// When its grace period ends.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub deletes_at: Option<Timestamp>,
    /// When it was gone, with all it owned.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Timestamp>,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
}

/// What makes an account, or changes one: absent attributes stay as they are, and a limit that is `null` is lifted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AccountCreate {
    /// A DNS label.
    pub name: Option<String>,
    /// See [`Account::reference`].
    pub reference: Option<String>,
    /// See [`Account::grace_seconds`].
    pub grace_seconds: Option<i64>,
    /// See [`Account::limit_guests`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub limit_guests: Option<Option<i64>>,
    /// See [`Account::limit_vcpus`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub limit_vcpus: Option<Option<i64>>,
    /// See [`Account::limit_memory_bytes`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub limit_memory_bytes: Option<Option<i64>>,
    /// See [`Account::limit_disk_bytes`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub limit_disk_bytes: Option<Option<i64>>,
    /// See [`Account::limit_public_addresses`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub limit_public_addresses: Option<Option<i64>>,
    /// See [`Account::limit_image_bytes`].
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub limit_image_bytes: Option<Option<i64>>,
}

/// How much of what it may have an account has. What is used counts by what Honcho keeps for it: a cancelled guest
/// counts with its disk and its addresses alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quota {
    /// Whose.
    pub account_id: i64,
    /// Guests that are not cancelled.
    pub guests_used: i64,
    /// `null` is no limit, here and below.
    pub guests_limit: Option<i64>,
    /// Their vCPUs.
    pub vcpus_used: i64,
    /// See [`Quota::guests_limit`].
    pub vcpus_limit: Option<i64>,
    /// Their memory, also of those that are stopped.
    pub memory_used_bytes: i64,
    /// See [`Quota::guests_limit`].
    pub memory_limit_bytes: Option<i64>,
    /// The disk of all its guests, also of cancelled ones, until they are gone.
    pub disk_used_bytes: i64,
    /// See [`Quota::guests_limit`].
    pub disk_limit_bytes: Option<i64>,
    /// The public addresses it holds, also by cancelled guests.
    pub public_addresses_used: i64,
    /// See [`Quota::guests_limit`].
    pub public_addresses_limit: Option<i64>,
    /// Its own images, and what is being uploaded to become one.
    pub images_used_bytes: i64,
    /// See [`Quota::guests_limit`].
    pub images_limit_bytes: Option<i64>,
}
