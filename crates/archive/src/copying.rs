//! A copy of what is served, at another place: a directory of a web server.
//!
//! Such a place has no renaming of a whole directory, and whoever reads it may do so between any two files. So there is an order:
//!
//! ```text
//!   packages -> indexes by their digest -> indexes by name -> Release, Release.gpg -> InRelease
//! ```
//!
//! What a release names is there before it, and what the release before it named stays: apt asks by digest. What is wanted no more
//! goes a day after that was first found; the place itself remembers since when, so that whoever is killed loses nothing of it.

use crate::archive::Archive;
use crate::error::Tried as _;
use crate::{ArchiveError, ArchiveResult, SuiteName, files};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// So many seconds what is wanted no more stays in a copy: longer than the slowest `apt upgrade` takes.
pub const STAYS_FOR: i64 = 24 * 3600;

/// The file in which a copy remembers of whom it is, and since when what is wanted no more.
pub const NOTES: &str = ".honcho-copy.json";

/// When a file has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// A package, a source, the keyring: before whatever lists it.
    Package,
    /// An index by its digest.
    ByDigest,
    /// An index by its name, for those that do not ask by digest.
    Index,
    /// `Release` and its signature.
    Release,
    /// The release that apt reads: from then on the rest is asked for.
    InRelease,
}

/// What tells a file from another of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// How long it is, in bytes.
    pub length: u64,
    /// When it was changed, in seconds since 1970: a copy is as old as its original.
    pub modified: i64,
}

impl About {
    /// Of a file whose metadata are these.
    pub fn of(metadata: &fs::Metadata) -> Self {
        About { length: metadata.len(), modified: metadata.mtime() }
    }
}

/// A file that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its path below what is served.
    pub path: String,
    /// Where it is.
    pub from: PathBuf,
    /// How long it is, and how old.
    pub about: About,
    /// When it has to be there.
    pub turn: Turn,
}

/// What a copy remembers of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyNotes {
    /// The keys of the archive that it is a copy of.
    pub keys: Vec<String>,
    /// What is wanted no more, and at which second since 1970 that was first found.
    pub unwanted: BTreeMap<String, i64>,
}

/// What is to be done with a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlan {
    /// What is to be put there, in this order; what is of one turn in any.
    pub put: Vec<Served>,
    /// What goes, after that.
    pub delete: Vec<String>,
    /// What is to be remembered, before anything goes.
    pub notes: CopyNotes,
}

impl Archive {
    /// All that is served, in the order in which it has to be there.
    pub fn all_served(&self) -> ArchiveResult<Vec<Served>> {
        let public = self.public();
        let mut served = Vec::new();
        let mut serve = |path: String, from: PathBuf, turn: Turn| -> ArchiveResult<()> {
            let about = About::of(&fs::metadata(&from).tried("looking at", &from)?);
            served.push(Served { path, from, about, turn });
            Ok(())
        };
        for from in files::below(&public.join("pool"))? {
            serve(below(&public, &from)?, from, Turn::Package)?;
        }
        let keyring = public.join(crate::keyring::FILE);
        if keyring.exists() {
            serve(crate::keyring::FILE.to_owned(), keyring, Turn::Package)?;
        }
        for suite in self.settings().suites.keys() {
            let Some(number) = self.current(suite)? else { continue };
            let directory = self.served(suite, number);
            let as_served = |path: &str| format!("dists/{suite}/{path}");
            for from in files::below(&directory)? {
                let path = below(&directory, &from)?;
                // A link to what is found by its digest.
                if path.ends_with("/by-hash") {
                    for found in files::below(&from)? {
                        let name = below(&from, &found)?;
                        serve(as_served(&format!("{path}/{name}")), found, Turn::ByDigest)?;
                    }
                    continue;
                }
                let turn = match path.as_str() {
                    "InRelease" => Turn::InRelease,
                    "Release" | "Release.gpg" => Turn::Release,
                    _ => Turn::Index,
                };
                serve(as_served(&path), from, turn)?;
            }
        }
        served.sort_by(|one, other| (one.turn, &one.path).cmp(&(other.turn, &other.path)));
        Ok(served)
    }

    /// What to do with a copy in which there are these files (below `dists/` and `pool/`), and in which these suites' releases are
    /// already those that are served.
    pub fn plan_copy(
        &self,
        there: &BTreeMap<String, About>,
        notes: Option<CopyNotes>,
        same: &BTreeSet<SuiteName>,
        now: i64,
    ) -> ArchiveResult<CopyPlan> {
        let keys = &self.settings().keys;
        let notes = match notes {
            Some(notes) if notes.keys.iter().any(|key| keys.contains(key)) => notes,
            None if there.is_empty() => CopyNotes::default(),
            _ => {
                return Err(ArchiveError::Refused(
                    "what is there is no copy of this archive, and would be deleted: name a place that is empty"
                        .to_owned(),
                ));
            }
        };
        let suites: Vec<&SuiteName> = self.settings().suites.keys().collect();
        Ok(plan(self.all_served()?, there, &notes, Whose { keys, suites: &suites, same }, now))
    }
}

#[derive(Clone, Copy)]
struct Whose<'a> {
    keys: &'a [String],
    suites: &'a [&'a SuiteName],
    same: &'a BTreeSet<SuiteName>,
}

fn plan(
    served: Vec<Served>,
    there: &BTreeMap<String, About>,
    notes: &CopyNotes,
    whose: Whose<'_>,
    now: i64,
) -> CopyPlan {
    let suite_of = |path: &str| path.strip_prefix("dists/")?.split('/').next()?.parse::<SuiteName>().ok();
    let wanted: BTreeSet<String> = served.iter().map(|one| one.path.clone()).collect();
    let put = served.into_iter().filter(|one| match one.turn {
        // One that was removed from the archive and added anew, with other contents, is younger.
        Turn::Package if one.path.starts_with("pool/") => there.get(&one.path) != Some(&one.about),
        // What has a digest for its name has the same contents everywhere; what was cut off has another length.
        Turn::ByDigest => there.get(&one.path).map(|about| about.length) != Some(one.about.length),
        Turn::Package => true,
        _ => suite_of(&one.path).is_none_or(|suite| !whose.same.contains(&suite)),
    });
    let put = put.collect();
    // Of suites that the archive does not have (any more) nothing is known.
    let ours = |path: &str| {
        path.starts_with("pool/") || suite_of(path).is_some_and(|suite| whose.suites.contains(&&suite))
    };
    let unwanted: BTreeMap<String, i64> = there
        .keys()
        .filter(|path| ours(path) && !wanted.contains(*path))
        .map(|path| (path.clone(), notes.unwanted.get(path).copied().unwrap_or(now)))
        .collect();
    let delete = unwanted.iter().filter(|(_, since)| **since <= now - STAYS_FOR);
    let delete = delete.map(|(path, _)| path.clone()).collect();
    CopyPlan { put, delete, notes: CopyNotes { keys: whose.keys.to_vec(), unwanted } }
}

/// A path below a directory, as in an URL.
fn below(directory: &Path, path: &Path) -> ArchiveResult<String> {
    let relative = path.strip_prefix(directory).ok().and_then(Path::to_str);
    relative.map(str::to_owned).ok_or_else(|| ArchiveError::Damaged {
        path: path.to_owned(),
        why: "it is not called as an archive calls its files".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About = About { length: 1, modified: 500 };

    fn served(path: &str, turn: Turn) -> Served {
        Served { path: path.to_owned(), from: PathBuf::from(path), about: ABOUT, turn }
    }

    fn planned(
        there: &[&str],
        unwanted: &[(&str, i64)],
        same: &[&str],
        now: i64,
    ) -> (Vec<String>, Vec<String>, CopyNotes) {
        let all = vec![
            served("pool/main/h/hello/hello_2_all.deb", Turn::Package),
            served("dists/stable/main/binary-amd64/by-hash/SHA256/b", Turn::ByDigest),
            served("dists/stable/main/binary-amd64/Packages.gz", Turn::Index),
            served("dists/stable/InRelease", Turn::InRelease),
        ];
        let there = there.iter().map(|path| ((*path).to_owned(), ABOUT)).collect();
        let notes = CopyNotes {
            keys: Vec::new(),
            unwanted: unwanted.iter().map(|(path, since)| ((*path).to_owned(), *since)).collect(),
        };
        let stable: SuiteName = "stable".parse().unwrap();
        let same = same.iter().map(|suite| suite.parse().unwrap()).collect();
        let whose = Whose { keys: &[], suites: &[&stable], same: &same };
        let plan = plan(all, &there, &notes, whose, now);
        (plan.put.into_iter().map(|one| one.path).collect(), plan.delete, plan.notes)
    }

    #[test]
    fn what_is_there_is_not_put_again_and_what_is_wanted_no_more_goes_a_day_later() {
        let old = "pool/main/h/hello/hello_1_all.deb";
        let (put, delete, notes) = planned(&[old, "dists/other/InRelease"], &[], &[], 1000);
        assert_eq!(put.len(), 4);
        assert!(delete.is_empty());
        assert_eq!(notes.unwanted, BTreeMap::from([(old.to_owned(), 1000)]));
        let there =
            [old, "pool/main/h/hello/hello_2_all.deb", "dists/stable/main/binary-amd64/by-hash/SHA256/b"];
        let (put, delete, notes) = planned(&there, &[(old, 1000)], &["stable"], 1000 + STAYS_FOR - 1);
        assert!(put.is_empty() && delete.is_empty() && notes.unwanted[old] == 1000);
        let (_, delete, _) = planned(&there, &[(old, 1000)], &[], 1000 + STAYS_FOR);
        assert_eq!(delete, [old]);
    }

    #[test]
    fn a_package_that_was_added_anew_takes_the_place_of_the_one_before() {
        let path = "pool/main/h/hello/hello_2_all.deb";
        let digest = "dists/stable/main/binary-amd64/by-hash/SHA256/b";
        let put = |there: About| {
            let all = vec![served(path, Turn::Package), served(digest, Turn::ByDigest)];
            let there = [path, digest].map(|path| (path.to_owned(), there)).into();
            let whose = Whose { keys: &[], suites: &[], same: &BTreeSet::new() };
            let put = plan(all, &there, &CopyNotes::default(), whose, 0).put;
            put.into_iter().map(|one| one.path).collect::<Vec<_>>()
        };
        assert_eq!(put(ABOUT), [""; 0]);
        assert_eq!(put(About { modified: 499, ..ABOUT }), [path]);
        assert_eq!(put(About { length: 0, ..ABOUT }), [path, digest]);
    }
}
