//! `honcho archive publish --to`: a copy of what is served, in another directory. Each file is complete under its name, or not at
//! all, and as old as its original.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::progress::bytes_bar;
use anyhow::Context as _;
use honcho_archive::{About, Archive, CopyNotes, CopyPlan, NOTES, Served, SuiteName};
use honcho_images::partial::{Partial, remove_stale};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Copies what is served, after whoever is copying from here.
pub(super) fn copy(context: &Context, archive: &Archive, to: &Path, now: i64) -> Result<(), CommandError> {
    let failed = |error: anyhow::Error| {
        CommandError::failed(format!("{} is no whole copy yet", to.display()))
            .cause(error.as_ref())
            .hint("nobody who reads it sees a mixture; the same command goes on with it")
    };
    // Two at once would take each other's files for what is wanted no more.
    let lock = File::create(archive.root().join("copy.lock")).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(|error| failed(error.into()))?;
    let there = list(to).map_err(failed)?;
    let notes = match read(to, NOTES).map_err(failed)? {
        Some(bytes) => {
            Some(serde_json::from_slice::<CopyNotes>(&bytes).map_err(|error| failed(error.into()))?)
        }
        None => None,
    };
    let plan = archive.plan_copy(&there, notes, &same(archive, to).map_err(failed)?, now)?;
    act(to, &plan).map_err(failed)?;
    let waiting = plan.notes.unwanted.len() - plan.delete.len();
    context.output.note(&format!(
        "{}: {} files copied, {} deleted, {waiting} to be deleted a day after they were replaced",
        to.display(),
        plan.put.len(),
        plan.delete.len()
    ));
    Ok(())
}

/// In the plan's order: what is wanted no more is noted first, so that whoever is killed loses nothing of it.
fn act(to: &Path, plan: &CopyPlan) -> anyhow::Result<()> {
    put_whole(to, NOTES, |file| Ok((&*file).write_all(&serde_json::to_vec_pretty(&plan.notes)?)?))?;
    let bar = bytes_bar("copy", plan.put.iter().map(|one| one.about.length).sum());
    for served in &plan.put {
        put(to, served)?;
        bar.inc(served.about.length);
    }
    bar.finish_and_clear();
    for path in &plan.delete {
        match fs::remove_file(to.join(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("deleting {}", to.join(path).display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The suites whose release is there as it is served.
fn same(archive: &Archive, to: &Path) -> anyhow::Result<BTreeSet<SuiteName>> {
    let mut same = BTreeSet::new();
    for suite in archive.settings().suites.keys() {
        let path = format!("dists/{suite}/InRelease");
        let own = read(&archive.public(), &path)?;
        if own.is_some() && own == read(to, &path)? {
            same.insert(suite.clone());
        }
    }
    Ok(same)
}

/// What is there below `dists/` and `pool/`. What a killed copy has left half-way goes.
fn list(root: &Path) -> anyhow::Result<BTreeMap<String, About>> {
    let mut found = BTreeMap::new();
    let mut directories = vec!["dists".to_owned(), "pool".to_owned()];
    while let Some(directory) = directories.pop() {
        let listing = || format!("listing {}", root.join(&directory).display());
        if !root.join(&directory).exists() {
            continue;
        }
        remove_stale(&root.join(&directory)).with_context(listing)?;
        for entry in fs::read_dir(root.join(&directory)).with_context(listing)? {
            let entry = entry.with_context(listing)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let about = entry.metadata().with_context(listing)?;
            let path = format!("{directory}/{name}");
            if about.is_dir() {
                directories.push(path);
            } else {
                found.insert(path, About::of(&about));
            }
        }
    }
    Ok(found)
}

fn read(root: &Path, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(root.join(path)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", root.join(path).display())),
    }
}

fn put(root: &Path, served: &Served) -> anyhow::Result<()> {
    put_whole(root, &served.path, |file| {
        let mut from = File::open(&served.from)?;
        std::io::copy(&mut from, &mut &*file)?;
        file.set_modified(from.metadata()?.modified()?)?;
        Ok(())
    })
}

fn put_whole(root: &Path, path: &str, fill: impl FnOnce(&File) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let directory = root.join(directory);
    let putting = || format!("writing {}", root.join(path).display());
    fs::create_dir_all(&directory).with_context(putting)?;
    let partial = Partial::create(&directory, &format!(".{name}")).with_context(putting)?;
    fill(partial.file()).with_context(putting)?;
    partial.file().set_permissions(fs::Permissions::from_mode(0o644)).with_context(putting)?;
    partial.finish(name).with_context(putting)?;
    Ok(())
}
