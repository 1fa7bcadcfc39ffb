//! Usage: what guests were, for whoever writes invoices.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a guest was for a while of a month. What that costs is not Honcho's business.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Whose.
    pub account_id: i64,
    /// Which guest.
    pub guest_id: i64,
    /// Its name now, or its last.
    pub guest_name: String,
    /// `running`, `stopped`, `suspended` or `cancelled`.
    pub state: String,
    /// Virtual processors.
    pub vcpus: i64,
    /// Memory in bytes.
    pub memory_bytes: i64,
    /// Disk in bytes.
    pub disk_bytes: i64,
    /// Addresses it held.
    pub addresses_count: i64,
    /// Those of them that are public.
    pub public_addresses_count: i64,
    /// Since when; not before the month.
    #[schema(value_type = String, format = DateTime)]
    pub begun_at: Timestamp,
    /// Until when; not after the month, and not after now.
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: Timestamp,
    /// Whole seconds, counted so that they add up over rows and over months.
    pub seconds: i64,
    /// The event that made it so; in the next month, a row that goes on has the same.
    pub event_id: i64,
}

impl Usage {
    /// The columns of the CSV form.
    pub const COLUMNS: &[&str] = &[
        "account_id",
        "guest_id",
        "guest_name",
        "state",
        "vcpus",
        "memory_bytes",
        "disk_bytes",
        "addresses_count",
        "public_addresses_count",
        "begun_at",
        "ended_at",
        "seconds",
        "event_id",
    ];

    /// One line of the CSV form. No value holds a comma or a quotation mark: numbers, times, words and DNS labels.
    pub fn csv_line(&self) -> String {
        format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
            self.account_id,
            self.guest_id,
            self.guest_name,
            self.state,
            self.vcpus,
            self.memory_bytes,
            self.disk_bytes,
            self.addresses_count,
            self.public_addresses_count,
            self.begun_at,
            self.ended_at,
            self.seconds,
            self.event_id
        )
    }
}
