//! Where the agent keeps what it must not forget, so that it outlives the agent.
//!
//! In earnest that is [`crate::journal_file`], in the agent's data directory. A simulated host keeps it itself: ten
//! thousand agents in one process have no ten thousand directories to sync.

use crate::identity::Identity;
use crate::journal::Journal;
use honcho_wire::Manifest;
use std::io;

/// Keeps what the agent remembers. What a call has returned from is there after a crash.
pub trait Memory: Send + Sync {
    /// Keeps everything but the manifests.
    fn keep(&self, journal: &Journal) -> io::Result<()>;
    /// Keeps a manifest. Before this has returned there must be no step for it.
    fn keep_manifest(&self, manifest: &Manifest) -> io::Result<()>;
    /// Keeps the last manifest of the brain's earlier life, before one of the present life takes its place.
    fn keep_former(&self, manifest: &Manifest) -> io::Result<()>;
    /// Forgets it, now that a manifest of the present life is acted on.
    fn forget_former(&self) -> io::Result<()>;
    /// Keeps who the machine is, with a renewed certificate.
    fn keep_identity(&self, identity: &Identity) -> anyhow::Result<()>;
}
