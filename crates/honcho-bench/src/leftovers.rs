//! What a measurement makes beside its figures, known by name alone: so it is found and removed also after a measurement
//! that was killed, at the beginning of the next.

use crate::domain::Libvirt;
use crate::order::Order;
use anyhow::{Context as _, Result, bail};
use honcho_api::client::{Client, ClientError};
use honcho_api::{Guest, Operation};
use honcho_model::operation::OperationState;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Guests, domains and the directory in the pool begin so.
pub(crate) const PREFIX: &str = "honcho-bench";

/// Stopping and deleting take seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// The directory in the pool for what `virsh create` needs. While it is held no other measurement runs there.
pub(crate) struct Workshop {
    path: PathBuf,
    _lock: File,
}

impl Workshop {
    /// Makes it, or takes over what was left of an earlier one.
    pub(crate) fn open(order: &Order) -> Result<Workshop> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = Path::new(&order.pool.path).join(PREFIX);
        let what = || format!("cannot work in {}: run this as root", path.display());
        // An unprivileged QEMU has to reach the disk in it.
        std::fs::DirBuilder::new().recursive(true).mode(0o711).create(&path).with_context(what)?;
        let lock = File::open(&path).with_context(what)?;
        if lock.try_lock().is_err() {
            bail!("another measurement holds {}: wait for it, or end it", path.display());
        }
        Ok(Workshop { path, _lock: lock })
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn empty(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(())
    }
}

/// Ends domains, deletes guests and empties the workshop.
pub(crate) async fn remove(
    client: &Client,
    libvirt: &Libvirt,
    order: &Order,
    workshop: &Workshop,
) -> Result<()> {
    // Each is tried, whatever became of the others.
    let domains = libvirt.end_all(PREFIX);
    let files = workshop.empty().with_context(|| format!("{} cannot be emptied", workshop.path.display()));
    let guests = delete_guests(client, order).await;
    domains.and(files).and(guests)
}

/// Removes the workshop itself.
pub(crate) fn close(workshop: &Workshop) -> Result<()> {
    let path = &workshop.path;
    std::fs::remove_dir(path).with_context(|| format!("cannot remove {}", path.display()))
}

async fn delete_guests(client: &Client, order: &Order) -> Result<()> {
    let query = [("account_id", order.account.id.to_string()), ("cancelled", "true".to_owned())];
    let guests: Vec<Guest> = client.list(&query).await.context("the brain does not tell its guests")?;
    for guest in guests.iter().filter(|guest| guest.name.starts_with(PREFIX) && guest.deleted_at.is_none()) {
        delete(client, guest).await?;
    }
    Ok(())
}

/// Deletes a guest and waits until it is gone.
pub(crate) async fn delete(client: &Client, guest: &Guest) -> Result<()> {
    let now = [("now", "true".to_owned())];
    let asked: Result<Operation, _> = client.delete::<Guest, _>(guest.id, &now).await;
    match asked {
        Ok(operation) => done(client, &operation).await,
        // Somebody else asked for it already.
        Err(ClientError::Refused(body)) if body.status == 410 => Ok(()),
        Err(error) => Err(error.into()),
    }
    .with_context(|| format!("guest {} is not deleted: honcho guest delete {} --now", guest.name, guest.name))
}

/// Waits until an operation is done.
pub(crate) async fn done(client: &Client, operation: &Operation) -> Result<()> {
    let begun = Instant::now();
    loop {
        let operation = client.operation(operation.id).await?;
        let what = format!("{} {}", operation.kind.as_str(), operation.guest_name);
        match operation.state {
            OperationState::Done => return Ok(()),
            OperationState::Open if begun.elapsed() < PATIENCE => {}
            OperationState::Open => {
                bail!("{what} takes too long: {}", operation.problem.as_deref().unwrap_or("nothing is wrong"))
            }
            state => {
                bail!("{what} was {}: {}", state.as_str(), operation.outcome.as_deref().unwrap_or_default())
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
