//! Backups: made while brains run, and restored into an empty directory as the beginning of a new life.
//!
//! A backup is one file ([`archive`]). It appears under its name only when it is whole and on disk: until then it is
//! `FILE.partial`, which the next backup of that name replaces. It holds the authority's key and everybody's secrets as the
//! database has them, so nobody else may read it.

pub(crate) mod archive;
mod restore;

pub use archive::{BackupManifest, BlobListed, Part};
pub use restore::{Extent, MissingBlob, RestoreOptions, Restored, restore};

pub(crate) use restore::refuse_unfinished;

use crate::serve::database_in;
use anyhow::{Context as _, bail, ensure};
use archive::{AUTHORITY, BLOBS, DATABASE, Hashed, TOKENS};
use honcho_images::BlobStore;
use honcho_model::Timestamp;
use honcho_store::copying::{Contents, copy_database};
use honcho_store::{Engine, StoreError};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Hears of each step, and how far it is in per cent where that is known.
pub type Told = Arc<dyn Fn(&str, Option<u64>) + Send + Sync>;

/// What of blobs a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blobs {
    /// A list of them.
    Listed,
    /// All of them.
    Included,
}

/// What becomes of a file that has the backup's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and there is no backup.
    Kept,
    /// The backup takes its place once it is whole.
    Replaced,
}

/// What to back up, and where to.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// The brain's directory.
    pub data: PathBuf,
    /// Its database; the file in `data`, when `None`.
    pub database: Option<Engine>,
    /// The backup.
    pub file: PathBuf,
    /// Whether blobs are in it.
    pub blobs: Blobs,
    /// Whether it may take another's place.
    pub existing: Existing,
}

/// A backup that was made.
#[derive(Clone, Debug, serde::Serialize)]
pub struct BackedUp {
    /// Where it is.
    pub file: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// What it holds.
    pub backup: BackupManifest,
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A database of SQLite's, with the files beside it.
fn remove_database(path: &Path) -> std::io::Result<()> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(with_ending(path, ending)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A file that only its owner may read; it may be there.
fn private_file(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.with_context(|| format!("making {}", path.display()))?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Makes a backup of a brain, which may go on meanwhile.
pub async fn back_up(options: BackupOptions, now: Timestamp, told: Told) -> anyhow::Result<BackedUp> {
    let file = options.file.clone();
    ensure!(
        options.existing == Existing::Replaced || !file.exists(),
        "{} is there already: give another name, or --replace",
        file.display()
    );
    let partial = with_ending(&file, ".partial");
    let writing = private_file(&partial)?;
    match writing.try_lock() {
        Ok(()) => writing.set_len(0)?,
        Err(TryLockError::WouldBlock) => bail!("another backup is writing {}", partial.display()),
        Err(TryLockError::Error(error)) => return Err(error).context("locking the backup"),
    }
    let database = with_ending(&file, ".database.partial");
    let made = fill(&options, now, &told, &database, &writing).await;
    let cleaned = remove_database(&database);
    let backup = match made {
        Ok(backup) => backup,
        Err(error) => {
            // Why it failed says more than that it could not be cleaned up.
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
    };
    cleaned.with_context(|| format!("removing {}", database.display()))?;
    writing.sync_all().with_context(|| format!("writing {}", partial.display()))?;
    std::fs::rename(&partial, &file).with_context(|| format!("naming it {}", file.display()))?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).context("keeping its name")?;
    Ok(BackedUp { bytes: writing.metadata()?.len(), file, backup })
}

async fn fill(
    options: &BackupOptions,
    now: Timestamp,
    told: &Told,
    copy: &Path,
    writing: &File,
) -> anyhow::Result<BackupManifest> {
    let data = &options.data;
    let certificate = data.join(AUTHORITY[1]);
    ensure!(certificate.exists(), "there is no brain in {}: give its --data", data.display());
    let database = options.database.clone().unwrap_or_else(|| database_in(data));
    if let Engine::Sqlite(path) = &database {
        ensure!(path.exists(), "there is no database in {}: give its --database", data.display());
    }
    told("copying the database", None);
    remove_database(copy).with_context(|| format!("removing {}", copy.display()))?;
    private_file(copy)?;
    let progress = {
        let told = Arc::clone(told);
        move |_: &str, written: u64, all: u64| {
            told("copying the database", (written * 100).checked_div(all));
        }
    };
    let contents = match copy_database(&database, copy, &progress).await {
        Err(StoreError::Newer(version)) => bail!(
            "the database has {version}, which this program does not know: use the Honcho that serves from it"
        ),
        copied => copied.with_context(|| format!("copying {database}"))?,
    };
    let found = crate::authority::fingerprint_of(&certificate)?;
    if let Some(bound) = contents.ca_fingerprint.as_ref().filter(|bound| **bound != found) {
        bail!("the database belongs to the authority {bound}, and the one in {} is {found}", data.display());
    }
    let mut sources = BTreeMap::from([(DATABASE.to_owned(), copy.to_owned())]);
    for name in AUTHORITY.into_iter().chain(TOKENS) {
        let path = data.join(name);
        if AUTHORITY.contains(&name) || path.exists() {
            sources.insert(name.to_owned(), path);
        }
    }
    let store = BlobStore::in_directory(&data.join("blobs"))?;
    // A brain that deletes what nothing names waits until all that is listed here has been read.
    let held = match options.blobs {
        Blobs::Included => {
            let store = store.clone();
            let held = tokio::task::spawn_blocking(move || store.hold_all()).await?;
            Some(held.context("keeping blobs from being deleted")?)
        }
        Blobs::Listed => None,
    };
    let blobs = store.list().await?;
    let blobs: Vec<BlobListed> =
        blobs.into_iter().map(|(digest, bytes)| BlobListed { digest: digest.to_string(), bytes }).collect();
    let kind = if matches!(database, Engine::Sqlite(_)) { "sqlite" } else { "postgres" };
    let (included, root) = (options.blobs == Blobs::Included, data.join("blobs"));
    let (writing, told) = (writing.try_clone()?, Arc::clone(told));
    tokio::task::spawn_blocking(move || {
        let mut parts = Vec::new();
        for (name, path) in &sources {
            told("reading what is to be kept", None);
            parts.push(part(name, path)?);
        }
        if included {
            for blob in &blobs {
                let name = format!("{BLOBS}{}", blob.digest);
                sources.insert(name.clone(), root.join("blobs/sha256").join(&blob.digest));
                parts.push(Part { name, bytes: blob.bytes, sha256: blob.digest.clone() });
            }
        }
        let manifest = manifest_of(contents, kind, now, parts, blobs);
        let all = manifest.unpacked();
        archive::write(&manifest, &sources, &writing, &|written| {
            told("writing the backup", (written * 100).checked_div(all));
        })?;
        drop(held);
        Ok(manifest)
    })
    .await
    .context("the backup broke off")?
}

fn part(name: &str, path: &Path) -> anyhow::Result<Part> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut hashed = Hashed::new(file, |_| {});
    std::io::copy(&mut hashed, &mut std::io::sink())
        .with_context(|| format!("reading {}", path.display()))?;
    let (bytes, sha256) = hashed.end();
    Ok(Part { name: name.to_owned(), bytes, sha256 })
}

fn manifest_of(
    contents: Contents,
    engine: &str,
    now: Timestamp,
    parts: Vec<Part>,
    blobs: Vec<BlobListed>,
) -> BackupManifest {
    BackupManifest {
        format: BackupManifest::format(),
        honcho: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: jiff::Timestamp::from_microsecond(now.0).unwrap_or_default(),
        brain: contents.brain,
        incarnation: contents.incarnation,
        engine: engine.to_owned(),
        schema: contents.schema,
        tables: contents.tables,
        parts,
        blobs,
    }
}

#[cfg(test)]
mod tests;
