//! What machines exchange: the manifest the brain gives an agent, and the report the agent gives back.
//!
//! ```text
//!   agent                                brain
//!     | GET /agent/manifest?after=I,G      |   held until the host's generation passes G, 30 s at most
//!     |<---------------- ManifestAnswer ---|
//!     | observe, converge, act             |
//!     | POST /agent/report ------ Report ->|   applied only if newer: (boot id, run id, sequence)
//!     |<------------------- ReportAnswer --|
//!     | POST /agent/load -- LoadReport --->|   what guests and machine took, each minute
//!     |<--------------------- LoadAnswer --|
//!     | PUT /agent/captures/UUID --------->|   what is on a stopped guest's disk, piece by piece
//!     |<------------------- CaptureState --|
//! ```
//!
//! serde and nothing else. Times never cross: the agent's clock is not trusted, so a report holds durations and the
//! brain notes when it received them. **Absence is never an instruction**: what is to go is listed in
//! [`Manifest::absent`]. Every shape has a golden file per protocol version under `golden/`.
#![forbid(unsafe_code)]

mod capture;
mod join;
mod load;
mod manifest;
mod report;

pub use capture::*;
pub use join::*;
pub use load::*;
pub use manifest::*;
pub use report::*;

/// The protocol this build speaks. A manifest of another one is refused by the agent.
pub const PROTOCOL: u32 = 1;

/// The header in which an agent says, with each request, what /etc/machine-id holds where it runs; left out where nothing does.
pub const MACHINE_ID_HEADER: &str = "honcho-machine-id";

/// The header for the uuid that the machine's firmware tells (DMI), likewise.
pub const DMI_UUID_HEADER: &str = "honcho-dmi-uuid";

/// The capability to give guests to other hosts and to take theirs.
pub const MOVES: &str = "guest.move";

/// The capability to make images of guests' disks.
pub const CAPTURES: &str = "guest.capture";

/// Names in `honcho-capabilities`: what an agent can do beyond the protocol's first day.
pub const CAPABILITIES: &[&str] =
    &["pool.directory", "network.local", "volume.ext4", "stream.console", MOVES, CAPTURES];
