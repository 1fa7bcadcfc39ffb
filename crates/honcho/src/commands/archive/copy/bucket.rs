//! A copy in a bucket. A PUT is whole or not at all, as a renaming is in a directory.
//!
//! An object cannot be given its original's age, and its tag (`ETag`) means something to the server alone: the MD5 of what was
//! sent, at some. So the copy itself notes, of each package, which tag it was given and how old its original was. An object
//! that has another tag now, or was never noted, is of no known age: it is put again.

use super::s3::{Headers, S3};
use anyhow::Context as _;
use honcho_archive::serving::{cache_control, content_type};
use honcho_archive::{About, Served};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What is noted of packages.
const PACKAGES: &str = ".honcho-copy-packages.json";

/// The age of what is not noted: no file's.
const UNKNOWN: i64 = i64::MIN;

pub(super) struct Bucket {
    s3: S3,
    prefix: String,
    packages: RefCell<Packages>,
}

#[derive(Default)]
struct Packages {
    noted: BTreeMap<String, Noted>,
    /// Whether there is more in it than in the bucket's.
    has_changed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    tag: String,
    modified: i64,
}

impl Bucket {
    pub(super) fn new(s3: S3, prefix: String) -> Self {
        Bucket { s3, prefix, packages: RefCell::default() }
    }

    /// What is there below `dists/` and `pool/`.
    pub(super) async fn list(&self) -> anyhow::Result<BTreeMap<String, About>> {
        let mut listed = Vec::new();
        // Before anything is read: it is the listing that says whether there is such a bucket, and who may use it.
        for below in ["dists/", "pool/"] {
            listed.extend(self.s3.list(&self.key(below)).await?);
        }
        let mut noted: BTreeMap<String, Noted> = match self.read(PACKAGES).await? {
            Some(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{PACKAGES} is not as it was written; without it all packages are copied anew")
            })?,
            None => BTreeMap::new(),
        };
        let (mut found, mut known) = (BTreeMap::new(), BTreeMap::new());
        for object in listed {
            let Some(path) = object.key.strip_prefix(&self.prefix).filter(|path| !path.ends_with('/')) else {
                continue;
            };
            let noted = noted.remove(path).filter(|noted| object.tag.as_ref() == Some(&noted.tag));
            let modified = noted.as_ref().map_or(UNKNOWN, |noted| noted.modified);
            known.extend(noted.map(|noted| (path.to_owned(), noted)));
            found.insert(path.to_owned(), About { length: object.length, modified });
        }
        *self.packages.borrow_mut() = Packages { noted: known, has_changed: false };
        Ok(found)
    }

    pub(super) async fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        self.s3.read(&self.key(path)).await
    }

    pub(super) async fn write(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        let headers = Headers { content_type: "application/json", cache_control: "no-store" };
        self.s3.write(&self.key(path), bytes.into(), headers).await
    }

    pub(super) async fn put(&self, served: &Served, sent: &ProgressBar) -> anyhow::Result<()> {
        let path = served.path.as_str();
        let headers = Headers { content_type: content_type(path), cache_control: cache_control(path) };
        let put = self.s3.put(&self.key(path), &served.from, headers, sent).await?;
        if path.starts_with("pool/") {
            let mut packages = self.packages.borrow_mut();
            match put.tag {
                Some(tag) => {
                    packages.noted.insert(path.to_owned(), Noted { tag, modified: put.about.modified })
                }
                None => packages.noted.remove(path),
            };
            packages.has_changed = true;
        }
        Ok(())
    }

    /// Notes what was put.
    pub(super) async fn remember(&self) -> anyhow::Result<()> {
        if !self.packages.borrow().has_changed {
            return Ok(());
        }
        let noted = serde_json::to_vec(&self.packages.borrow().noted)?;
        self.write(PACKAGES, noted).await?;
        self.packages.borrow_mut().has_changed = false;
        Ok(())
    }

    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.s3.delete(&self.key(path)).await
    }

    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}
