//! `honcho archive publish --to`: a copy of what is served, in another directory or in a bucket. What is put there when, and what goes,
//! says [`honcho_archive::CopyPlan`].

mod bucket;
mod directory;
mod s3;
mod s3_settings;
mod target;

pub(super) use target::Target;

use crate::command_error::CommandError;
use crate::context::Context;
use crate::progress::bytes_bar;
use bucket::Bucket;
use directory::Directory;
use futures::{StreamExt as _, TryStreamExt as _};
use honcho_archive::{About, Archive, CopyNotes, CopyPlan, NOTES, Served, SuiteName};
use indicatif::ProgressBar;
use s3::{Refusal, S3};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

/// So many files are on their way at once.
const AT_ONCE: usize = 8;

/// So much is put again at most where somebody was killed before the place had noted it.
const PART_FILES: usize = 1000;
const PART_BYTES: u64 = 1 << 30;

/// What copying came to.
#[derive(Debug, Serialize)]
pub(super) struct Copied {
    to: String,
    files: usize,
    bytes: u64,
    deleted: usize,
    /// What is wanted no more and stays until a day is over.
    waiting: usize,
}

impl Copied {
    /// In words.
    pub(super) fn told(&self) -> String {
        format!(
            "{}: {} files copied, {} deleted, {} to be deleted a day after they were replaced",
            self.to, self.files, self.deleted, self.waiting
        )
    }
}

/// What copying would do.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) to: String,
    pub(super) action: Action,
    pub(super) path: String,
    /// Of what is copied.
    pub(super) bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Copy,
    Delete,
}

/// Who copies to one place.
pub(super) struct Copying {
    /// As people say it.
    to: String,
    place: Place,
}

impl Copying {
    /// Nothing is asked of anybody yet: what the environment lacks is told before anything is done.
    pub(super) fn to(context: &Context, target: &Target) -> Result<Self, CommandError> {
        let place = match target {
            Target::Directory(path) => Place::Directory(Directory::new(path.clone())),
            Target::Bucket { name, prefix } => {
                Place::Bucket(Box::new(Bucket::new(S3::of_environment(context, name)?, prefix.clone())))
            }
        };
        Ok(Copying { to: target.to_string(), place })
    }

    /// Copies what is served, after whoever is copying from here.
    pub(super) async fn copy(&self, archive: &Archive, now: i64) -> Result<Copied, CommandError> {
        // Two at once would take each other's files for what is wanted no more.
        let lock = File::create(archive.root().join("copy.lock")).and_then(|file| file.lock().map(|()| file));
        let _lock = lock.map_err(|error| {
            CommandError::failed("cannot tell whether somebody else is copying from here").cause(&error)
        })?;
        let plan = self.plan(archive, now).await?;
        self.place.make(&plan).await.map_err(|error| {
            failed(format!("{} is no whole copy yet", self.to), &error)
                .hint("nobody who reads it sees a mixture; the same command goes on with it")
        })?;
        Ok(Copied {
            to: self.to.clone(),
            files: plan.put.len(),
            bytes: plan.put.iter().map(|one| one.about.length).sum(),
            deleted: plan.delete.len(),
            waiting: plan.notes.unwanted.len() - plan.delete.len(),
        })
    }

    /// What [`Copying::copy`] would do now.
    pub(super) async fn look(&self, archive: &Archive, now: i64) -> Result<Vec<Step>, CommandError> {
        let plan = self.plan(archive, now).await?;
        let step = |action, path, bytes| Step { to: self.to.clone(), action, path, bytes };
        let put = plan.put.into_iter().map(|one| step(Action::Copy, one.path, Some(one.about.length)));
        let delete = plan.delete.into_iter().map(|path| step(Action::Delete, path, None));
        Ok(put.chain(delete).collect())
    }

    async fn plan(&self, archive: &Archive, now: i64) -> Result<CopyPlan, CommandError> {
        let looked = self.place.look(archive).await;
        let looked = looked.map_err(|error| failed(format!("cannot see what is in {}", self.to), &error))?;
        Ok(archive.plan_copy(&looked.there, looked.notes, &looked.same, now)?)
    }
}

/// With the next thing to do, where it is plain from what was refused.
fn failed(what: String, error: &anyhow::Error) -> CommandError {
    let told = CommandError::failed(what).cause(error.as_ref());
    let hint = error.chain().find_map(|cause| cause.downcast_ref::<Refusal>()?.hint());
    hint.into_iter().fold(told, CommandError::hint)
}

enum Place {
    Directory(Directory),
    Bucket(Box<Bucket>),
}

/// What there is to know of a place before anything is done there.
struct Looked {
    there: BTreeMap<String, About>,
    notes: Option<CopyNotes>,
    /// The suites whose release is there as it is served.
    same: BTreeSet<SuiteName>,
}

impl Place {
    async fn look(&self, archive: &Archive) -> anyhow::Result<Looked> {
        let there = match self {
            Place::Directory(directory) => directory.list()?,
            Place::Bucket(bucket) => bucket.list().await?,
        };
        let notes = match self.read(NOTES).await? {
            Some(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| {
                anyhow::anyhow!("{NOTES}, which tells whose copy it is, is not as it was written: {error}")
            })?),
            None => None,
        };
        let mut same = BTreeSet::new();
        for suite in archive.settings().suites.keys() {
            let path = format!("dists/{suite}/InRelease");
            let own = Directory::new(archive.public()).read(&path)?;
            if own.is_some() && own == self.read(&path).await? {
                same.insert(suite.clone());
            }
        }
        Ok(Looked { there, notes, same })
    }

    /// In the plan's order: what is wanted no more is noted first, so that whoever is killed loses nothing of it.
    async fn make(&self, plan: &CopyPlan) -> anyhow::Result<()> {
        if let Place::Directory(directory) = self {
            directory.tidy()?;
        }
        self.write(NOTES, serde_json::to_vec_pretty(&plan.notes)?).await?;
        let bar = bytes_bar("copy", plan.put.iter().map(|one| one.about.length).sum());
        for turn in plan.put.chunk_by(|one, other| one.turn == other.turn) {
            for part in parts(turn) {
                let puts = futures::stream::iter(part).map(|served| self.put(served, &bar));
                puts.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
                if let Place::Bucket(bucket) = self {
                    bucket.remember().await?;
                }
            }
        }
        bar.finish_and_clear();
        let deletions = futures::stream::iter(&plan.delete).map(|path| self.delete(path));
        deletions.buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    async fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self {
            Place::Directory(directory) => directory.read(path),
            Place::Bucket(bucket) => bucket.read(path).await,
        }
    }

    async fn write(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        match self {
            Place::Directory(directory) => directory.write(path, &bytes),
            Place::Bucket(bucket) => bucket.write(path, bytes).await,
        }
    }

    async fn put(&self, served: &Served, sent: &ProgressBar) -> anyhow::Result<()> {
        match self {
            Place::Directory(directory) => {
                directory.put(served)?;
                sent.inc(served.about.length);
                Ok(())
            }
            Place::Bucket(bucket) => bucket.put(served, sent).await,
        }
    }

    async fn delete(&self, path: &str) -> anyhow::Result<()> {
        match self {
            Place::Directory(directory) => directory.delete(path),
            Place::Bucket(bucket) => bucket.delete(path).await,
        }
    }
}

/// A turn in parts, each of which is noted once it is there.
fn parts(turn: &[Served]) -> impl Iterator<Item = &[Served]> {
    let mut rest = turn;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |one: &&Served| {
            let fits = bytes < PART_BYTES;
            bytes += one.about.length;
            fits
        };
        let count = rest.iter().take(PART_FILES).take_while(fits).count();
        let (part, after) = rest.split_at(count);
        rest = after;
        Some(part).filter(|part| !part.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use honcho_archive::Turn;

    #[test]
    fn a_turn_is_noted_after_so_many_files_or_bytes() {
        let counts = |count: usize, length: u64| {
            let one = Served {
                path: "pool/a".to_owned(),
                from: "/a".into(),
                about: About { length, modified: 0 },
                turn: Turn::Package,
            };
            parts(&vec![one; count]).map(<[Served]>::len).collect::<Vec<_>>()
        };
        assert_eq!(counts(0, 1), [0; 0]);
        assert_eq!(counts(2500, 1), [1000, 1000, 500]);
        assert_eq!(counts(3, PART_BYTES), [1, 1, 1]);
        assert_eq!(counts(5, PART_BYTES / 2), [2, 2, 1]);
    }
}
