//! The file that a backup is: a tar archive, packed with zstd.
//!
//! ```text
//!   backup.json         first: what the rest must be, each part with its length and SHA-256
//!   database.sqlite     everything the brain remembers
//!   ca/key.pem  ca/certificate.pem  operator.token  metrics.token
//!   blobs/sha256/…      only if they were asked for
//! ```
//!
//! Whoever reads one does not trust it: a part has one of these names and no other, is a plain file, comes once, in the
//! order and of the length that were announced, and has the digest that was. So nothing leads out of the directory that
//! it is unpacked into, and nothing is larger than was said before it began. Digests find damage; they prove no origin.

use anyhow::{Context as _, bail, ensure};
use honcho_model::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use uuid::Uuid;

/// The version of what is described here.
const FORMAT: u32 = 1;

/// The name of the first part.
const FIRST: &str = "backup.json";

/// The first part is no longer than this; a list of 100,000 blobs takes 20 MB.
const LONGEST_FIRST: u64 = 64 << 20;

/// Keys, certificates and tokens are no longer than this.
const LONGEST_SMALL: u64 = 1 << 20;

/// The database.
pub(super) const DATABASE: &str = "database.sqlite";

/// What must be there besides.
pub(super) const AUTHORITY: [&str; 2] = ["ca/key.pem", "ca/certificate.pem"];

/// What may be there.
pub(super) const TOKENS: [&str; 2] = ["operator.token", "metrics.token"];

/// Where blobs are in it.
pub(super) const BLOBS: &str = "blobs/sha256/";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupManifest {
    /// The version of the format.
    pub format: u32,
    /// The version of the program that made it.
    pub honcho: String,
    /// When the database was read.
    pub made_at: jiff::Timestamp,
    /// The brain's uuid.
    pub brain: Uuid,
    /// Which life of it.
    pub incarnation: i64,
    /// The database it was made from: `sqlite` or `postgres`.
    pub engine: String,
    /// The migrations of its schema, oldest first.
    pub schema: Vec<String>,
    /// How many rows each table has.
    pub tables: BTreeMap<String, i64>,
    /// What follows, in this order.
    pub parts: Vec<Part>,
    /// The blobs that the brain had, whether they are in it or not.
    pub blobs: Vec<BlobListed>,
}

/// A file in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Hex SHA-256 of it.
    pub sha256: String,
}

/// A blob that the brain had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobListed {
    /// Its SHA-256, which is its name.
    pub digest: String,
    /// Its length.
    pub bytes: u64,
}

impl BackupManifest {
    pub(super) fn format() -> u32 {
        FORMAT
    }

    /// How many bytes it unpacks to.
    pub fn unpacked(&self) -> u64 {
        self.parts.iter().fold(0, |all, part| all.saturating_add(part.bytes))
    }

    fn check(&self) -> anyhow::Result<()> {
        let mut names = BTreeSet::new();
        for part in &self.parts {
            part.check()?;
            ensure!(names.insert(part.name.as_str()), "it announces {:?} twice", part.name);
        }
        for needed in [DATABASE].into_iter().chain(AUTHORITY) {
            ensure!(names.contains(needed), "it lacks {needed}");
        }
        Ok(())
    }
}

impl Part {
    fn check(&self) -> anyhow::Result<()> {
        let name = self.name.as_str();
        let digest: Digest =
            self.sha256.parse().map_err(|_| anyhow::anyhow!("the digest of {name:?} is none"))?;
        if name == DATABASE {
            return Ok(());
        }
        if AUTHORITY.contains(&name) || TOKENS.contains(&name) {
            ensure!(self.bytes <= LONGEST_SMALL, "{name} would be {} bytes long", self.bytes);
            return Ok(());
        }
        let blob = name.strip_prefix(BLOBS).and_then(|hex| hex.parse::<Digest>().ok());
        ensure!(
            blob == Some(digest) && name.len() == BLOBS.len() + 64,
            "it announces {name:?}, which no backup holds"
        );
        Ok(())
    }
}

/// Writes an archive; `told` hears how many bytes of the parts are written.
pub(super) fn write(
    manifest: &BackupManifest,
    sources: &BTreeMap<String, PathBuf>,
    to: &File,
    told: &dyn Fn(u64),
) -> anyhow::Result<()> {
    let mut packed = zstd::Encoder::new(to, 3)?;
    packed.include_checksum(true)?;
    let mut archive = tar::Builder::new(packed);
    let first = serde_json::to_vec_pretty(manifest)?;
    archive.append_data(&mut header(first.len() as u64, manifest), FIRST, first.as_slice())?;
    let mut written = 0;
    for part in &manifest.parts {
        let path = sources.get(&part.name).context("a part without a source")?;
        let source = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut hashed = Hashed::new(source.take(part.bytes), |bytes| told(written + bytes));
        archive
            .append_data(&mut header(part.bytes, manifest), &part.name, &mut hashed)
            .with_context(|| format!("writing {}", part.name))?;
        let (bytes, digest) = hashed.end();
        ensure!(
            bytes == part.bytes && digest == part.sha256,
            "{} is not what it was, or should be: it changed meanwhile, or is damaged",
            path.display()
        );
        written += bytes;
    }
    archive.into_inner()?.finish()?.flush()?;
    Ok(())
}

fn header(bytes: u64, manifest: &BackupManifest) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(manifest.made_at.as_second()).unwrap_or(0));
    header.set_entry_type(tar::EntryType::Regular);
    header
}

/// Who an archive is read for.
pub(super) trait Receiver {
    /// Is told what is to come, and may refuse it.
    fn begin(&mut self, manifest: &BackupManifest) -> anyhow::Result<()>;
    /// Is given a part, and reads it to its end. Whether it is what was announced is known only when the archive has been
    /// read to its own end.
    fn part(&mut self, part: &Part, bytes: &mut dyn Read) -> anyhow::Result<()>;
}

/// Reads an archive to its end, or says why it is none.
pub(super) fn read(source: impl Read, receiver: &mut impl Receiver) -> anyhow::Result<BackupManifest> {
    let mut unpacked = zstd::Decoder::new(BufReader::new(source))?.single_frame();
    unpacked.window_log_max(27)?;
    read_unpacked(unpacked, receiver)
}

fn read_unpacked(unpacked: impl Read, receiver: &mut impl Receiver) -> anyhow::Result<BackupManifest> {
    let mut archive = tar::Archive::new(unpacked);
    let manifest = {
        // Raw: extensions of the format (long names, links, sparse files) are entries like others, and refused.
        let mut entries = archive.entries()?.raw(true);
        let first = next(&mut entries, FIRST, LONGEST_FIRST)?;
        let manifest: BackupManifest =
            serde_json::from_reader(first).with_context(|| format!("reading {FIRST}"))?;
        ensure!(
            manifest.format == FORMAT,
            "it is of format {}, and this program reads {FORMAT}: use the Honcho that made it ({})",
            manifest.format,
            manifest.honcho
        );
        manifest.check()?;
        receiver.begin(&manifest)?;
        for part in &manifest.parts {
            let entry = next(&mut entries, &part.name, part.bytes)?;
            ensure!(entry.size() == part.bytes, "{} is not as long as was announced", part.name);
            let mut hashed = Hashed::new(entry, |_| {});
            receiver.part(part, &mut hashed)?;
            let (bytes, digest) = hashed.end();
            ensure!(bytes == part.bytes, "it ends within {}: it was cut off", part.name);
            ensure!(digest == part.sha256, "{} is damaged: its digest is another", part.name);
        }
        ensure!(entries.next().is_none(), "something follows its last part");
        manifest
    };
    // What is left are the zeros at the end of a tar archive, and zstd's own checksum, which is checked with the last byte.
    let mut rest = archive.into_inner();
    let mut end = [0; 4096];
    for _ in 0..16 {
        let read = rest.read(&mut end).context("it is cut off or damaged")?;
        if read == 0 {
            return Ok(manifest);
        }
        ensure!(end[..read].iter().all(|byte| *byte == 0), "something follows its last part");
    }
    bail!("something follows its last part")
}

/// The next entry, which must be a plain file of this name.
fn next<'a, R: Read + 'a>(
    entries: &mut tar::Entries<'a, R>,
    name: &str,
    longest: u64,
) -> anyhow::Result<tar::Entry<'a, R>> {
    let entry = entries.next().with_context(|| format!("it ends before {name}: it was cut off"))?;
    let entry = entry.with_context(|| format!("where {name} should begin"))?;
    let found = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let kind = entry.header().entry_type();
    ensure!(
        kind == tar::EntryType::Regular && found == name,
        "it holds {found:?} (of kind {kind:?}) where {name} should be"
    );
    ensure!(entry.size() <= longest, "{name} is {} bytes long, which is too much", entry.size());
    Ok(entry)
}

/// Counts and hashes what is read through it.
pub(super) struct Hashed<R, F> {
    inner: R,
    hash: Sha256,
    bytes: u64,
    told: F,
}

impl<R: Read, F: FnMut(u64)> Hashed<R, F> {
    pub(super) fn new(inner: R, told: F) -> Self {
        Hashed { inner, hash: Sha256::new(), bytes: 0, told }
    }

    /// How many bytes there were, and their hex SHA-256.
    pub(super) fn end(self) -> (u64, String) {
        (self.bytes, hex::encode(self.hash.finalize()))
    }
}

impl<R: Read, F: FnMut(u64)> Read for Hashed<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        (self.told)(self.bytes);
        Ok(read)
    }
}

/// Reads one that is not packed for nobody: what a fuzzer tries.
pub(crate) fn read_for_nobody(source: impl Read) -> anyhow::Result<BackupManifest> {
    struct Nobody;
    impl Receiver for Nobody {
        fn begin(&mut self, manifest: &BackupManifest) -> anyhow::Result<()> {
            ensure!(manifest.unpacked() < 1 << 30, "too much for nobody");
            Ok(())
        }
        fn part(&mut self, _: &Part, bytes: &mut dyn Read) -> anyhow::Result<()> {
            std::io::copy(bytes, &mut std::io::sink())?;
            Ok(())
        }
    }
    read_unpacked(source, &mut Nobody)
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
