//! Load over time: what a guest or a host took of its machine.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a guest or a host took, over time. Each list has a value for each step from `begins_at` on, the last of which is not over;
/// `null` where nobody looked: it did not run, or its host was silent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    /// Which guest, if it is one.
    pub guest_id: Option<i64>,
    /// Which host, if it is one.
    pub host_id: Option<i64>,
    /// How far back: `6h`, `2d` or `90d`.
    pub span: String,
    /// Seconds from one value to the next: 60, 300 or 3600. Longer steps hold the mean of what there is.
    pub step_seconds: i64,
    /// When the first step begins.
    #[schema(value_type = String, format = DateTime)]
    pub begins_at: Timestamp,
    /// Processors kept busy: 1.5 is one and a half.
    pub cpus: Vec<Option<f64>>,
    /// The busiest minute within each step.
    pub cpus_peak: Vec<Option<f64>>,
    /// Memory held, in bytes: of a guest what its process holds on the host, of a host what is not available.
    pub memory_bytes: Vec<Option<f64>>,
    /// Read from disks, bytes per second.
    pub disk_read: Vec<Option<f64>>,
    /// Written to disks, bytes per second.
    pub disk_written: Vec<Option<f64>>,
    /// Read operations per second.
    pub disk_reads: Vec<Option<f64>>,
    /// Write operations per second.
    pub disk_writes: Vec<Option<f64>>,
    /// Received from networks, bytes per second.
    pub received: Vec<Option<f64>>,
    /// Sent into networks, bytes per second.
    pub sent: Vec<Option<f64>>,
    /// Of a host: filled of its pools, in bytes.
    pub filled_bytes: Option<Vec<Option<f64>>>,
}
