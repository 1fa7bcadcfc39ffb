//! Blobs: one came, those without a name are noted, one of them is to go.

use honcho_model::{Digest, Timestamp};
use honcho_store::{Change, StoreResult, Tx, blobs};
use std::collections::BTreeSet;

/// A blob is being sent, or has come.
pub(crate) struct BlobCame(pub(crate) Digest);

impl Change for BlobCame {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        blobs::came(tx, self.0).await
    }
}

/// These are kept: which of them does nothing name?
pub(crate) struct BlobsLook(pub(crate) BTreeSet<Digest>);

impl Change for BlobsLook {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        blobs::look(tx, &self.0).await
    }
}

/// One is to be deleted. Gives since when, if it may be.
pub(crate) struct BlobCollect(pub(crate) Digest);

impl Change for BlobCollect {
    type Out = Option<Timestamp>;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Option<Timestamp>> {
        blobs::begin_collecting(tx, self.0).await
    }
}
