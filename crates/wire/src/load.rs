//! What guests and the machine took, minute by minute.
//!
//! ```text
//!   agent                                       brain
//!     | POST /agent/load  samples 7, 8, 9  ------>|   8 and 9 are held in memory; 7 was written in the meantime
//!     |<------------------------------ kept: 7 ---|
//!     | POST /agent/load  samples 8, 9, 10 ------>|   the agent forgets what is kept, and nothing else
//! ```
//!
//! No part of reports: those are what the brain decides by, and a machine's graphs must never hold one up. A sample is known
//! by its number within a run, so that one that is told twice counts once. As in reports times are durations: the agent's
//! clock is not trusted.

use honcho_model::{Bytes, GuestId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An agent tells no more samples at once, and keeps no more while the brain is away: the oldest go first.
pub const SAMPLES_KEPT: usize = 15;

/// The body of `POST /agent/load`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// As in [`crate::Report`].
    pub run_id: Uuid,
    /// All that is not known to be kept, oldest first.
    pub samples: Vec<LoadSample>,
}

/// What was taken within an interval, about a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadSample {
    /// Rises by one with each of a run, from 1.
    pub number: u64,
    /// Milliseconds from its end until this was sent.
    pub ended_ms_ago: u64,
    /// How long it was, in milliseconds.
    pub lasted_ms: u64,
    /// The machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Taken>,
    /// Those of guests that ran all through it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guests: Vec<GuestTaken>,
}

/// What a guest took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestTaken {
    /// Which.
    pub id: GuestId,
    /// What.
    #[serde(flatten)]
    pub taken: Taken,
}

/// What was taken within an interval. What is not counted where it runs is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Taken {
    /// Milliseconds of processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Memory held at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Bytes read from disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_read: Option<u64>,
    /// Bytes written to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_written: Option<u64>,
    /// Read operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_reads: Option<u64>,
    /// Write operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_writes: Option<u64>,
    /// Bytes received from networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// Bytes sent into them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Of a machine: filled of its pools, at the interval's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filled: Option<Bytes>,
}

/// The answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadAnswer {
    /// The number up to which this run's samples would outlast the brain's death. They need not be told again.
    pub kept: u64,
}
