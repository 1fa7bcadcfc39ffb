//! A copy in a directory that somebody else serves. Each file is complete under its name, or not at all, and as old as its original.

use anyhow::Context as _;
use honcho_archive::{About, Served};
use honcho_images::partial::{Partial, remove_stale};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Directory { root }
    }

    /// What is there below `dists/` and `pool/`.
    pub(super) fn list(&self) -> anyhow::Result<BTreeMap<String, About>> {
        let mut found = BTreeMap::new();
        self.walk(
            |path, about| {
                found.insert(path, about);
            },
            |_| Ok(()),
        )?;
        Ok(found)
    }

    /// What a killed copy has left half-way goes.
    pub(super) fn tidy(&self) -> anyhow::Result<()> {
        self.walk(|_, _| {}, |directory| remove_stale(directory).map(drop))
    }

    fn walk(
        &self,
        mut file: impl FnMut(String, About),
        mut directory: impl FnMut(&Path) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut directories = vec!["dists".to_owned(), "pool".to_owned()];
        while let Some(below) = directories.pop() {
            let path = self.root.join(&below);
            let listing = || format!("listing {}", path.display());
            if !path.exists() {
                continue;
            }
            directory(&path).with_context(listing)?;
            for entry in fs::read_dir(&path).with_context(listing)? {
                let entry = entry.with_context(listing)?;
                // What is being made, here or by somebody else, is no part of a copy yet.
                let Some(name) =
                    entry.file_name().to_str().filter(|name| !name.starts_with('.')).map(str::to_owned)
                else {
                    continue;
                };
                let about = entry.metadata().with_context(listing)?;
                let path = format!("{below}/{name}");
                if about.is_dir() {
                    directories.push(path);
                } else {
                    file(path, About::of(&about));
                }
            }
        }
        Ok(())
    }

    pub(super) fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", self.root.join(path).display())),
        }
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.put_whole(path, |mut file| Ok(file.write_all(bytes)?))
    }

    pub(super) fn put(&self, served: &Served) -> anyhow::Result<()> {
        self.put_whole(&served.path, |mut file| {
            let mut from = File::open(&served.from)?;
            std::io::copy(&mut from, &mut file)?;
            file.set_modified(from.metadata()?.modified()?)?;
            Ok(())
        })
    }

    pub(super) fn delete(&self, path: &str) -> anyhow::Result<()> {
        match fs::remove_file(self.root.join(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("deleting {}", self.root.join(path).display()))
            }
            _ => Ok(()),
        }
    }

    fn put_whole(&self, path: &str, fill: impl FnOnce(&File) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let directory = self.root.join(directory);
        let putting = || format!("writing {}", self.root.join(path).display());
        fs::create_dir_all(&directory).with_context(putting)?;
        let partial = Partial::create(&directory, &format!(".{name}")).with_context(putting)?;
        fill(partial.file()).with_context(putting)?;
        partial.file().set_permissions(fs::Permissions::from_mode(0o644)).with_context(putting)?;
        partial.finish(name).with_context(putting)?;
        Ok(())
    }
}
