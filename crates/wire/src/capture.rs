//! What agents and the brain exchange while an image is made of a guest's disk.

use honcho_model::{Bytes, Digest};
use serde::{Deserialize, Serialize};

/// How far a capture is: the answer to each request about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureState {
    /// Whether more of it is wanted. If not, it has ended, or all of it has come.
    pub wanted: bool,
    /// How much of it has come: what is sent next begins there.
    pub received: u64,
}

/// How it ends for the host: `POST /agent/captures/UUID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", deny_unknown_fields)]
pub enum CaptureEnd {
    /// All of it was sent.
    Whole {
        /// How long it is.
        size: Bytes,
        /// SHA-256 of it.
        digest: Digest,
    },
    /// No image can be made of this disk.
    Impossible {
        /// Why: reads on from the guest's name.
        problem: String,
    },
}
