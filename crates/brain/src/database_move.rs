//! Carrying a brain's database from its SQLite file to PostgreSQL.

use crate::serve::{database_in, hold};
use anyhow::Context as _;
use honcho_store::moving::{Progress, TableMoved, move_everything};
use honcho_store::{Engine, Refusal, StoreError};
use std::path::Path;

/// Moves the database of the brain whose directory is `data` to an empty PostgreSQL database. The file stays as it is.
/// Refused while a brain runs on it.
pub async fn move_database(
    data: &Path,
    to: &Engine,
    progress: Progress<'_>,
) -> anyhow::Result<Vec<TableMoved>> {
    let Engine::Sqlite(file) = database_in(data) else { anyhow::bail!("it is no file") };
    anyhow::ensure!(file.exists(), "there is no database in {}", data.display());
    let _alone = hold(data)?;
    match move_everything(&file, to, progress).await {
        Err(StoreError::Refused(Refusal::Invalid(errors))) => {
            let said = errors.into_values().flatten().collect::<Vec<_>>().join("; ");
            anyhow::bail!("{to} {said}")
        }
        outcome => outcome.with_context(|| format!("moving {} to {to}", file.display())),
    }
}
