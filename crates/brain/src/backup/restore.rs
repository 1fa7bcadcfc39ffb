//! Restoring: into an empty directory, and into an empty database if that is PostgreSQL.
//!
//! Everything is unpacked and checked in `DATA/.restoring`. Then the small parts take their places, and the database last;
//! a brain does not start while `.restoring` is there, so that one that was killed half-way serves nobody.

use super::archive::{self, AUTHORITY, BLOBS, BackupManifest, DATABASE, Part, Receiver, TOKENS};
use super::{Told, remove_database};
use crate::serve::database_in;
use anyhow::{Context as _, bail, ensure};
use honcho_model::Timestamp;
use honcho_store::copying::{Contents, look_into, schema};
use honcho_store::moving::move_everything;
use honcho_store::{Engine, Refusal, StoreError, restoring};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where everything is until it is whole.
const UNFINISHED: &str = ".restoring";

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Read the backup to its end and say what would be done.
    DryRun,
    /// Do it.
    Whole,
}

/// What to restore, and where to.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The backup.
    pub file: PathBuf,
    /// The directory, which is empty or not there yet.
    pub data: PathBuf,
    /// An empty PostgreSQL database; a file in `data`, when `None`.
    pub database: Option<Engine>,
    /// How far to go.
    pub extent: Extent,
}

/// What was restored, or would be.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Restored {
    /// What the backup holds.
    pub backup: BackupManifest,
    /// The new life's incarnation; none after a dry run.
    pub incarnation: Option<i64>,
    /// The database that was filled.
    pub database: String,
    /// Blobs that images need and that are not in the backup.
    pub missing_blobs: Vec<MissingBlob>,
}

/// A blob that has to come from elsewhere.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MissingBlob {
    /// Its SHA-256.
    pub digest: String,
    /// Its length.
    pub bytes: u64,
    /// The images that need it; not known after a dry run.
    pub images: Vec<String>,
    /// Where it is to be put.
    pub path: PathBuf,
}

/// Refuses a directory into which something is being restored, or was and broke off.
pub(crate) fn refuse_unfinished(data: &Path) -> anyhow::Result<()> {
    ensure!(
        !data.join(UNFINISHED).exists(),
        "a restore into {} is under way or was broken off: empty the directory and restore again",
        data.display()
    );
    Ok(())
}

/// Restores a backup as the beginning of a new life of its brain. No brain may run on `data` or the database.
pub async fn restore(options: RestoreOptions, now: Timestamp, told: Told) -> anyhow::Result<Restored> {
    let RestoreOptions { file, data, .. } = &options;
    refuse_unfinished(data)?;
    refuse_full(data)?;
    let database = options.database.clone().unwrap_or_else(|| database_in(data));
    if let Engine::Sqlite(path) = &database {
        ensure!(
            *path == database_in_path(data),
            "--database names an empty PostgreSQL database, or is left out"
        );
    }
    if options.extent == Extent::DryRun {
        let backup = read(file, None, &told).await?;
        let missing = missing(&backup, &[], data);
        return Ok(Restored {
            backup,
            incarnation: None,
            database: database.to_string(),
            missing_blobs: missing,
        });
    }
    let made_here = !data.exists();
    let staged = data.join(UNFINISHED);
    let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    make(&staged).with_context(|| format!("making {}", staged.display()))?;
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700))?;
    let outcome = unpack_and_place(&options, &database, &staged, now, &told).await;
    if outcome.is_err() {
        take_back(data, made_here);
    }
    outcome
}

fn database_in_path(data: &Path) -> PathBuf {
    match database_in(data) {
        Engine::Sqlite(path) => path,
        Engine::Postgres(_) => data.to_owned(),
    }
}

/// Refuses a directory that holds anything; what every filesystem has at its root is nothing.
fn refuse_full(data: &Path) -> anyhow::Result<()> {
    let entries = match std::fs::read_dir(data) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("looking into {}", data.display()))?,
    };
    for entry in entries {
        let name = entry?.file_name();
        ensure!(
            name == "lost+found",
            "{} is not empty: it holds {}; give a directory that is empty or not there",
            data.display(),
            name.to_string_lossy()
        );
    }
    Ok(())
}

/// What failed leaves nothing behind. Why it failed says more than that something could not be removed.
fn take_back(data: &Path, made_here: bool) {
    for name in ["ca", "blobs", UNFINISHED] {
        let _ = std::fs::remove_dir_all(data.join(name));
    }
    for name in TOKENS {
        let _ = std::fs::remove_file(data.join(name));
    }
    if made_here {
        let _ = std::fs::remove_dir(data);
    }
}

async fn unpack_and_place(
    options: &RestoreOptions,
    database: &Engine,
    staged: &Path,
    now: Timestamp,
    told: &Told,
) -> anyhow::Result<Restored> {
    let backup = read(&options.file, Some(staged.to_owned()), told).await?;
    told("checking the database", None);
    let file = staged.join(DATABASE);
    let contents = match look_into(&file).await {
        Err(StoreError::Newer(version)) => bail!(newer(&backup, &version)),
        contents => contents.context("the database in the backup")?,
    };
    refuse_other_contents(&backup, &contents)?;
    let fingerprint = crate::authority::fingerprint_of(&staged.join(AUTHORITY[1]))?;
    ensure!(
        contents.ca_fingerprint.as_ref().is_none_or(|bound| *bound == fingerprint),
        "the database and the authority in it are of two brains"
    );
    told("beginning a new life", None);
    let made_at = Timestamp(backup.made_at.as_microsecond());
    let incarnation = restoring::begin_life(&file, made_at, now).await.context("bringing the database up")?;
    place_files(&backup, staged, &options.data)?;
    place_database(&file, database, &options.data, told).await?;
    std::fs::remove_dir_all(staged).with_context(|| format!("removing {}", staged.display()))?;
    File::open(&options.data)?.sync_all()?;
    Ok(Restored {
        incarnation: Some(incarnation.0),
        database: database.to_string(),
        missing_blobs: missing(&backup, &contents.images, &options.data),
        backup,
    })
}

fn newer(backup: &BackupManifest, version: &str) -> String {
    format!(
        "the backup is of a newer Honcho ({}): it has {version}, which this program does not know; restore it with that one",
        backup.honcho
    )
}

/// The database must be the one that was announced.
fn refuse_other_contents(backup: &BackupManifest, contents: &Contents) -> anyhow::Result<()> {
    ensure!(
        (contents.brain, contents.incarnation) == (backup.brain, backup.incarnation)
            && contents.schema == backup.schema,
        "the database in it is of another brain, life or schema than was announced"
    );
    let differing = contents.tables.iter().find(|(table, rows)| backup.tables.get(*table) != Some(rows));
    if let Some((table, rows)) = differing {
        bail!("table {table} has {rows} rows, and {:?} were announced", backup.tables.get(table));
    }
    ensure!(contents.tables.len() == backup.tables.len(), "a table that was announced is not there");
    Ok(())
}

fn place_files(backup: &BackupManifest, staged: &Path, data: &Path) -> anyhow::Result<()> {
    let blobs = data.join("blobs/blobs/sha256");
    for directory in [data.join("ca"), blobs.clone()] {
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    }
    for part in backup.parts.iter().filter(|part| part.name != DATABASE) {
        let to = match part.name.strip_prefix(BLOBS) {
            Some(digest) => blobs.join(digest),
            None => data.join(&part.name),
        };
        std::fs::rename(staged.join(&part.name), &to).with_context(|| format!("placing {}", to.display()))?;
    }
    for directory in [data.join("ca"), blobs] {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

async fn place_database(file: &Path, database: &Engine, data: &Path, told: &Told) -> anyhow::Result<()> {
    if let Engine::Sqlite(path) = database {
        File::open(file)?.sync_all()?;
        std::fs::rename(file, path).with_context(|| format!("placing {}", path.display()))?;
        File::open(data)?.sync_all()?;
        return Ok(());
    }
    let progress = {
        let told = Arc::clone(told);
        move |_: &str, written: u64, all: u64| told("filling the database", (written * 100).checked_div(all))
    };
    match move_everything(file, database, &progress).await {
        Err(StoreError::Refused(Refusal::Invalid(errors))) => {
            let said = errors.into_values().flatten().collect::<Vec<_>>().join("; ");
            bail!("{database} {said}")
        }
        outcome => outcome.with_context(|| format!("filling {database}"))?,
    };
    remove_database(file)?;
    Ok(())
}

fn missing(
    backup: &BackupManifest,
    images: &[honcho_store::copying::ImageHeld],
    data: &Path,
) -> Vec<MissingBlob> {
    let held: BTreeSet<&str> = backup.parts.iter().filter_map(|part| part.name.strip_prefix(BLOBS)).collect();
    let mut missing: BTreeMap<String, (u64, Vec<String>)> = BTreeMap::new();
    for image in images {
        let entry = missing.entry(image.digest.to_string()).or_insert((image.size.0, Vec::new()));
        entry.1.push(image.name.clone());
    }
    if images.is_empty() {
        missing.extend(backup.blobs.iter().map(|blob| (blob.digest.clone(), (blob.bytes, Vec::new()))));
    }
    missing.retain(|digest, _| !held.contains(digest.as_str()));
    let listed = |(digest, (bytes, images)): (String, (u64, Vec<String>))| MissingBlob {
        path: data.join("blobs/blobs/sha256").join(&digest),
        digest,
        bytes,
        images,
    };
    missing.into_iter().map(listed).collect()
}

/// Reads a backup to its end; unpacks it into a directory, if one is given.
async fn read(file: &Path, into: Option<PathBuf>, told: &Told) -> anyhow::Result<BackupManifest> {
    let (file, told) = (file.to_owned(), Arc::clone(told));
    let reading = tokio::task::spawn_blocking(move || {
        let source = File::open(&file).with_context(|| format!("opening {}", file.display()))?;
        ensure!(source.metadata()?.is_file(), "{} is no file", file.display());
        let mut unpacking = Unpacking { into, told, done: 0, all: 0 };
        archive::read(source, &mut unpacking)
            .with_context(|| format!("{} cannot be restored", file.display()))
    });
    reading.await.context("reading broke off")?
}

struct Unpacking {
    into: Option<PathBuf>,
    told: Told,
    done: u64,
    all: u64,
}

impl Receiver for Unpacking {
    fn begin(&mut self, manifest: &BackupManifest) -> anyhow::Result<()> {
        let known = schema();
        if let Some(version) = manifest.schema.iter().find(|version| !known.contains(version)) {
            bail!(newer(manifest, version));
        }
        self.all = manifest.unpacked();
        let Some(into) = &self.into else { return Ok(()) };
        let space = rustix::fs::statvfs(into)?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        ensure!(
            self.all < free,
            "it unpacks to {} MiB, and {} MiB are free: make room, or give another --data",
            self.all >> 20,
            free >> 20
        );
        for directory in ["ca", BLOBS] {
            DirBuilder::new().recursive(true).mode(0o700).create(into.join(directory))?;
        }
        Ok(())
    }

    fn part(&mut self, part: &Part, bytes: &mut dyn Read) -> anyhow::Result<()> {
        // Its name is one of those that a backup holds, and so leads nowhere else.
        let mut file = match &self.into {
            Some(into) => {
                let mode = if part.name == AUTHORITY[1] { 0o644 } else { 0o600 };
                let path = into.join(&part.name);
                let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
                Some(file.with_context(|| format!("making {}", path.display()))?)
            }
            None => None,
        };
        let step = if file.is_some() { "unpacking" } else { "reading" };
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = bytes.read(&mut buffer).context("it is cut off or damaged")?;
            if read == 0 {
                break;
            }
            if let Some(file) = &mut file {
                file.write_all(&buffer[..read]).with_context(|| format!("writing {}", part.name))?;
            }
            self.done += read as u64;
            (self.told)(step, (self.done * 100).checked_div(self.all));
        }
        if let Some(file) = file {
            file.sync_all()?;
        }
        Ok(())
    }
}
