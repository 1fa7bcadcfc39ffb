//! The post: mails with slow logs, read and counted. One way for those that a receiver hands in by the API and those of this
//! brain's own Maildir.
//!
//! ```text
//!   a mail's bytes -> Letter (whose, which) -> its events, day by day -> one transaction -> only then may the file go
//! ```

mod own;
mod reading;

pub(crate) use own::{contradiction, start};

use crate::app::App;
use honcho_post::Unreadable;
use honcho_store::slow::Came;
use honcho_store::{Actor, StoreError};

/// Why a mail was not counted.
#[derive(Debug)]
pub(crate) enum NotCounted {
    /// It cannot be read, ever.
    Unreadable(Unreadable),
    /// Another mail of its number was counted.
    Contradicts(i64),
    /// The store could not.
    Store(StoreError),
    /// A thread failed.
    Failed,
}

/// A mail that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) came: Came,
    pub(crate) sequence: i64,
}

/// Counts a mail, once, however often it comes.
pub(crate) async fn import(app: &App, actor: Actor, mail: Vec<u8>) -> Result<Counted, NotCounted> {
    let now = app.now();
    let read = tokio::task::spawn_blocking(move || reading::read(&mail, now)).await;
    let import = read.map_err(|_| NotCounted::Failed)?.map_err(NotCounted::Unreadable)?;
    let sequence = import.mail.sequence;
    match app.write(actor, &import).await.map_err(NotCounted::Store)? {
        Came::AsAnother(_) => Err(NotCounted::Contradicts(sequence)),
        came => Ok(Counted { came, sequence }),
    }
}
