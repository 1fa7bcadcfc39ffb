//! Locks of volumes.
//!
//! e2fsck and resize2fs hold their volume's themselves, and go on when their agent does not: so whoever reads a volume, boots from it
//! or gives it away asks for its lock first.

use crate::drivers::{DriverError, DriverResult};
use honcho_model::VolumeId;
use rustix::fs::FlockOperation;
use std::fs::File;
use std::time::Duration;

/// A process that is just being started has what its parent had open, until it runs a program of its own.
const BEING_STARTED: Duration = Duration::from_millis(20);
const TRIES: u32 = 10;

/// Takes the lock for as long as the file, or a copy of it, is open. Blocks for a fraction of a second.
pub(super) fn alone(file: &File, id: VolumeId) -> DriverResult<()> {
    take(file, id, FlockOperation::NonBlockingLockExclusive)
}

/// Takes it beside others that only read.
pub(super) fn with_readers(file: &File, id: VolumeId) -> DriverResult<()> {
    take(file, id, FlockOperation::NonBlockingLockShared)
}

fn take(file: &File, id: VolumeId, how: FlockOperation) -> DriverResult<()> {
    for _ in 0..TRIES {
        match rustix::fs::flock(file, how) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(BEING_STARTED),
            Err(error) => return Err(DriverError::Later(format!("locking volume {id}: {error}"))),
        }
    }
    let text = format!("volume {id} is still being worked on by e2fsck or resize2fs: it is waited for");
    Err(DriverError::Later(text))
}
