//! How a guest's volume gets from one host to another: agent to agent, by mutual TLS.
//!
//! ```text
//!   the host that it arrives at                     the host that it leaves
//!     | connects; each shows its host certificate, and each takes only those that its manifest names
//!     | Question: ticket, "I have so much" ---------> |  is a guest leaving by this ticket, and held still?
//!     | <--------------- Answer: size, SSH host key   |
//!     | <--- Block: offset, length, SHA-256, bytes    |  holes are left out
//!     |      writes it; syncs and notes how far, every [`KEPT_EVERY`] bytes
//!     | <------------------ End: digest of the whole  |
//!     | reads all of it back, compares, syncs, renames
//! ```
//!
//! Nothing here decides that a guest moves, or when its volume may be read: the manifests and `converge` do. A connection
//! that is cut costs what came since the last sync. What comes is not trusted before the whole was compared.

mod blocks;
mod fetch;
mod frames;
mod half;
mod serve;
#[cfg(test)]
mod tests;

pub(crate) use fetch::fetch;
pub use serve::MoversOptions;
pub(crate) use serve::{Server, serve_forever};

use crate::drivers::{DriverError, DriverResult, Duplex};
use crate::identity::Identity;
use crate::tls;
use async_trait::async_trait;
use honcho_model::{Digest, VolumeId};
use honcho_wire::{Arriving, PoolWanted};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use uuid::Uuid;

/// How much is sent and checked at once. Offsets are multiples of it.
const BLOCK: u64 = 1 << 20;
/// So much is received between two syncs: what a cut costs at most.
const KEPT_EVERY: u64 = 32 << 20;
/// How long the other side may take to connect, or to say anything.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a handshake and the first words may take.
const GREETING: Duration = Duration::from_secs(10);

/// A volume that may be read out just now: its guest is leaving, stopped for good, and nothing works on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) pool: PoolWanted,
    pub(crate) volume: VolumeId,
    pub(crate) uuid: Uuid,
    /// Of the certificates that may fetch it.
    pub(crate) certificates: Vec<String>,
}

/// Those volumes, by the SHA-256 of their tickets.
pub(crate) type Departures = Arc<BTreeMap<Digest, Departure>>;

/// The SHA-256 by which a ticket is known to whoever checks it.
pub(crate) fn ticket_hash(ticket: &str) -> Digest {
    Digest(Sha256::digest(ticket).into())
}

/// Reaches other hosts' agents.
#[async_trait]
pub trait Peers: Send + Sync {
    /// Connects to the host that a volume comes from. Whoever answers has proved to be that host.
    async fn connect(&self, arriving: &Arriving) -> DriverResult<Box<dyn Duplex>>;
}

/// Who this host is, as its certificate is just now: it is renewed from time to time.
pub(crate) trait OwnIdentity: Send + Sync {
    /// Tells it.
    fn identity(&self) -> Arc<Identity>;
}

/// Reaches them by TCP and TLS.
pub(crate) struct TlsPeers {
    /// Who this host is.
    pub(crate) identity: Arc<dyn OwnIdentity>,
}

#[async_trait]
impl Peers for TlsPeers {
    async fn connect(&self, arriving: &Arriving) -> DriverResult<Box<dyn Duplex>> {
        let address = &arriving.address;
        let later = |why: String| {
            DriverError::Later(format!(
                "the agent of the host that it comes from cannot be reached at {address}: {why}"
            ))
        };
        let identity = self.identity.identity();
        let config =
            tls::of_mover(&identity, &arriving.certificates).map_err(|error| later(format!("{error:#}")))?;
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            connector.connect(tls::mover_name(), stream).await
        };
        match tokio::time::timeout(GREETING, connecting).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(later(error.to_string())),
            Err(_) => Err(later(format!("no answer within {} s", GREETING.as_secs()))),
        }
    }
}
