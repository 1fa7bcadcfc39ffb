//! Taking a rotated log: from then on it is here, whatever becomes of the file.

use super::{Doing as _, Record, Spool, SpoolError, SpoolResult, written};
use crate::durable;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// What becomes of the file that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// It stays: who rotates logs removes them too.
    Keep,
    /// It goes, once what it holds is here.
    Remove,
}

/// What was taken of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many bytes.
    Bytes(u64),
    /// Nothing: all of it had been taken before, at this time.
    Known(i64),
    /// Nothing: it is empty.
    Empty,
}

impl Spool {
    /// Takes what a file holds and was not taken before. The same file given twice is taken once, under whatever name, and of
    /// one that has grown only what it has grown by. `now` is in microseconds since 1970.
    pub fn take(&self, path: &Path, original: Original, now: i64) -> SpoolResult<Taken> {
        let _taking = self.lock("taking.lock")?;
        let look = || -> SpoolResult<_> {
            let about = fs::metadata(path).doing("looking at", path)?;
            Ok((about.dev(), about.ino(), about.len(), modified(&about)))
        };
        let before = look()?;
        let taken = self.take_alone(path, now)?;
        // What was written meanwhile is taken the next time: the file stays until nothing of it is new.
        if original == Original::Remove && look()? == before {
            fs::remove_file(path).doing("removing", path)?;
        }
        Ok(taken)
    }

    /// What [`Spool::take`] would take of a file.
    pub fn would_take(&self, path: &Path, now: i64) -> SpoolResult<Taken> {
        let known = self.known()?;
        let Found::New { mut file, begins, mut hasher, .. } = find(path, &known)? else {
            return Ok(find(path, &known)?.taken());
        };
        let came = io::copy(&mut file, &mut hasher).doing("reading", path)?;
        let digest = hex::encode(hasher.finalize());
        Ok(already(&known, &digest, begins, begins + came, now).unwrap_or(Taken::Bytes(came)))
    }

    fn take_alone(&self, path: &Path, now: i64) -> SpoolResult<Taken> {
        let known = self.known()?;
        let (mut file, about, begins, mut hasher) = match find(path, &known)? {
            Found::New { file, about, begins, hasher } => (file, about, begins, hasher),
            found => return Ok(found.taken()),
        };
        let modified = modified(&about);
        let directory = self.sweep("taking")?;
        let partial = directory.join("incoming");
        let ends = begins + copy(&mut file, &mut hasher, &partial).doing("copying to the spool", path)?;
        let digest = hex::encode(hasher.finalize());
        if let Some(taken) = already(&known, &digest, begins, ends, now) {
            fs::remove_file(&partial).doing("removing", &partial)?;
            return Ok(taken);
        }
        let record = Record {
            digest,
            begins,
            ends,
            device: about.dev(),
            inode: about.ino(),
            modified,
            path: path.display().to_string(),
            taken_at: now,
            first: None,
            mails: None,
        };
        let name = format!("{now:020}-{}", record.digest);
        let taken = self.path("taken");
        let log = taken.join(format!("{name}.log"));
        let described = taken.join(format!("{name}.json"));
        durable::write(&described, &written(&record)).doing("writing", &described)?;
        fs::rename(&partial, &log).doing("renaming to", &log)?;
        durable::sync_directory(&taken).doing("writing", &taken)?;
        Ok(Taken::Bytes(ends - begins))
    }
}

/// What there is to a file.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Found {
    /// All of it is known.
    Known(i64),
    /// There is nothing in it.
    Empty,
    /// From here on it may be new.
    New {
        /// Read up to what is new.
        file: File,
        about: Metadata,
        begins: u64,
        /// Of what stands before.
        hasher: Sha256,
    },
}

impl Found {
    fn taken(&self) -> Taken {
        match self {
            Found::Known(at) => Taken::Known(*at),
            Found::Empty | Found::New { .. } => Taken::Empty,
        }
    }
}

fn modified(about: &Metadata) -> i64 {
    about.mtime().saturating_mul(1_000_000_000).saturating_add(about.mtime_nsec())
}

fn find(path: &Path, known: &[Record]) -> SpoolResult<Found> {
    let mut file = File::open(path).doing("opening", path)?;
    let about = file.metadata().doing("looking at", path)?;
    if !about.is_file() {
        return Err(SpoolError::NoFile(path.to_owned()));
    }
    if about.len() == 0 {
        return Ok(Found::Empty);
    }
    // The number of a device may be another after a boot; of what has grown the beginning is compared.
    let is_this = |record: &&Record| record.inode == about.ino();
    let untouched = |record: &&Record| {
        record.device == about.dev() && record.ends == about.len() && record.modified == modified(&about)
    };
    if let Some(record) = known.iter().filter(is_this).find(untouched) {
        return Ok(Found::Known(record.taken_at));
    }
    // An inode may have been used again: what it held is compared.
    let before: Vec<&Record> = known.iter().filter(is_this).collect();
    let (begins, hasher) = beginning(&mut file, &before).doing("reading", path)?;
    Ok(Found::New { file, about, begins, hasher })
}

/// Whether what was read turned out to be nothing, or to be known: a copy has another inode and the same contents.
fn already(known: &[Record], digest: &str, begins: u64, ends: u64, now: i64) -> Option<Taken> {
    let same = known.iter().find(|record| record.digest == digest && record.ends == ends);
    same.map(|record| record.taken_at).or((ends == begins).then_some(now)).map(Taken::Known)
}

/// Where what is new in this file begins: behind the longest of these that it still begins with. It is read up to there.
fn beginning(file: &mut File, before: &[&Record]) -> io::Result<(u64, Sha256)> {
    let mut before: Vec<&&Record> = before.iter().collect();
    before.sort_by_key(|record| std::cmp::Reverse(record.ends));
    for record in before {
        let mut hasher = Sha256::new();
        file.rewind()?;
        let read = io::copy(&mut (&*file).take(record.ends), &mut hasher)?;
        if read == record.ends && hex::encode(hasher.clone().finalize()) == record.digest {
            file.seek(SeekFrom::Start(record.ends))?;
            return Ok((record.ends, hasher));
        }
    }
    file.rewind()?;
    Ok((0, Sha256::new()))
}

/// Copies the rest of a file, so that it is there after a power cut.
fn copy(from: &mut File, hasher: &mut Sha256, to: &Path) -> io::Result<u64> {
    let mut copy = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let mut buffer = vec![0; 1 << 20];
    let mut copied = 0;
    loop {
        let came = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(came) => came,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..came]);
        copy.write_all(&buffer[..came]).inspect_err(|_| {
            // Whoever is next finds the room that this took; what cannot be removed is swept by the next taking.
            let _ = fs::remove_file(to);
        })?;
        copied += came as u64;
    }
    copy.sync_all()?;
    Ok(copied)
}
