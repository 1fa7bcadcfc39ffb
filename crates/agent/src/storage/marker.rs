//! What makes a directory a pool: a small file in it that names the pool and its brain.
//!
//! Looked at before every step. A disk that was not mounted shows the empty directory below it, and a reinstalled host
//! another one: in both nothing is made, however empty it looks, once the pool has been seen.

use super::layout::Layout;
use crate::drivers::{DriverError, DriverResult};
use honcho_wire::{Existence, PoolState, PoolWanted};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;
use uuid::Uuid;

/// The content of the marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) brain: Uuid,
    pub(super) pool: Uuid,
}

/// What a directory is, and why, if it is not the pool.
pub(super) type Verdict = (PoolState, Option<String>);

/// Looks at the directory of a pool. Without a `brain` only the pool's own uuid is compared.
pub(super) fn inspect(brain: Option<Uuid>, pool: &PoolWanted) -> Verdict {
    let layout = Layout::of(pool);
    let root = &layout.root;
    let wrong = |problem: String| (PoolState::Wrong, Some(problem));
    if !root.is_absolute() {
        return wrong(format!("{} is not an absolute path: correct the pool's path", root.display()));
    }
    match read(&layout.marker()) {
        Ok(Some(marker)) => judge(marker, brain, pool, root),
        Ok(None) => without_marker(pool, root),
        Err(problem) => wrong(problem),
    }
}

fn judge(marker: Marker, brain: Option<Uuid>, pool: &PoolWanted, root: &Path) -> Verdict {
    let at = root.display();
    if marker.pool != pool.uuid {
        let problem = format!(
            "{at} holds another pool ({}, not {}): is another disk mounted there? mount the right one, or add this one \
             as a pool of its own",
            marker.pool, pool.uuid
        );
        return (PoolState::Wrong, Some(problem));
    }
    match brain {
        Some(brain) if brain != marker.brain => {
            let problem = format!(
                "{at} belongs to another brain ({}, not {brain}): give this host's pool another directory",
                marker.brain
            );
            (PoolState::Wrong, Some(problem))
        }
        _ => (PoolState::Ready, None),
    }
}

fn without_marker(pool: &PoolWanted, root: &Path) -> Verdict {
    let at = root.display();
    let empty = match std::fs::read_dir(root) {
        Ok(mut entries) => entries.all(|entry| entry.is_ok_and(|entry| is_nobodys(&entry.file_name()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => {
            return (PoolState::Wrong, Some(format!("{at} cannot be looked into ({error}): mend that")));
        }
    };
    match (pool.existence, empty) {
        (Existence::Make, true) => (PoolState::Blank, None),
        (Existence::Make, false) => {
            let problem =
                format!("{at} is not empty and is no pool: empty it, or give the pool another directory");
            (PoolState::Wrong, Some(problem))
        }
        (Existence::Existing, _) => {
            let problem = format!(
                "{at} carries no pool, but it did: is its disk mounted? Mount it and all goes on; nothing is made here \
                 meanwhile"
            );
            (PoolState::Wrong, Some(problem))
        }
    }
}

/// A fresh filesystem's own directory, and a marker in the making by somebody who was killed, leave a pool blank.
fn is_nobodys(name: &std::ffi::OsStr) -> bool {
    name == "lost+found"
        || name
            .to_str()
            .is_some_and(|name| name.starts_with(super::layout::MARKER) && name.ends_with(".partial"))
}

/// Reads a marker; `None` when there is none. Errors are sentences for people.
fn read(path: &Path) -> Result<Option<Marker>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        // Something that is no directory where one should be is told by `without_marker`.
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(format!("{} cannot be read ({error}): is the disk all right?", path.display()));
        }
    };
    let mut text = String::new();
    file.take(64 << 10)
        .read_to_string(&mut text)
        .map_err(|error| format!("{} cannot be read ({error}): is the disk all right?", path.display()))?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| format!("{} is damaged ({error}): restore it, or its pool is lost", path.display()))
}

/// Makes an empty directory a pool. Doing it again is fine.
pub(super) fn init(brain: Uuid, pool: &PoolWanted) -> DriverResult<()> {
    let layout = Layout::of(pool);
    match inspect(Some(brain), pool) {
        (PoolState::Ready | PoolState::Blank, _) => {}
        (PoolState::Wrong, problem) => return Err(DriverError::Later(problem.unwrap_or_default())),
    }
    let root = &layout.root;
    let failed =
        |error: std::io::Error| DriverError::Later(format!("making a pool in {}: {error}", root.display()));
    std::fs::create_dir_all(root).map_err(failed)?;
    // The marker comes first: a directory that holds anything else is no blank one any more.
    if inspect(Some(brain), pool).0 == PoolState::Blank {
        let content = serde_json::to_vec_pretty(&Marker { brain, pool: pool.uuid })
            .map_err(|error| DriverError::Never(error.to_string()))?;
        write_marker(root, &content).map_err(failed)?;
    }
    layout.make_directories().map_err(failed)?;
    honcho_images::partial::sync_directory(root).map_err(failed)
}

/// Written beside the directory's content under a temporary name, and renamed: killed in between, the leftover would
/// make the directory "not empty", so a stale one is removed first.
fn write_marker(root: &Path, content: &[u8]) -> std::io::Result<()> {
    honcho_images::partial::remove_stale(root)?;
    honcho_images::partial::write_whole(root, super::layout::MARKER, 0o644, content)
}

/// Refuses a step on a directory that is not the pool.
pub(super) fn require_ready(pool: &PoolWanted) -> DriverResult<Layout> {
    match inspect(None, pool) {
        (PoolState::Ready, _) => Ok(Layout::of(pool)),
        (_, problem) => Err(DriverError::Later(problem.unwrap_or_else(|| {
            format!("{} is not a pool yet: it is initialised first", Layout::of(pool).root.display())
        }))),
    }
}
