//! The archive that this brain serves and takes uploads into: a directory of [`honcho_archive`], with a place for what is
//! being uploaded.
//!
//! ```text
//! ARCHIVE/uploads/SUITE/UPLOAD/FILE     until the upload is added or a day has passed
//! ```
//!
//! Its calls block, and each that changes it waits for those before: in a thread of their own, one after the other.

use crate::installed::Served;
use anyhow::Context as _;
use honcho_api::{ImagePackage, Suite};
use honcho_archive::{
    Archive, ArchiveError, ArchiveResult, Change, Changing, Loose, Pruned, Pruning, Publication, Published,
    Retention, SuiteName, SuiteSettings, Which,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// An upload that nobody went on with for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// The archive of a brain.
pub(crate) struct OwnArchive {
    root: PathBuf,
    /// Whose turn it is among this brain's own; others of the same directory wait for its lock.
    turn: tokio::sync::Mutex<()>,
    /// What each suite serves, as it was read last.
    served: Arc<Mutex<HashMap<SuiteName, Arc<Served>>>>,
    /// What is kept, if not all is.
    keeps: Option<ArchiveKeep>,
    /// When something was last removed by that, in seconds since 1970.
    pruned_at: AtomicI64,
}

/// What of an archive's past a brain keeps.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveKeep {
    /// Of each suite the newest so many publications,
    pub newest: usize,
    /// and those that are so many days old or younger.
    pub days: u32,
}

/// A day has so many seconds.
const DAY: i64 = 86_400;

impl OwnArchive {
    pub(crate) fn open(root: &Path, keeps: Option<ArchiveKeep>) -> anyhow::Result<Self> {
        let root =
            root.canonicalize().with_context(|| format!("looking for the archive {}", root.display()))?;
        Archive::open(&root)?;
        let (turn, served, pruned_at) = (tokio::sync::Mutex::new(()), Arc::default(), AtomicI64::new(0));
        Ok(OwnArchive { root, turn, served, keeps, pruned_at })
    }

    /// What is served of it.
    pub(crate) fn public(&self) -> PathBuf {
        self.root.join("public")
    }

    /// Where the files of an upload wait.
    pub(crate) fn uploads(&self, suite: &SuiteName) -> PathBuf {
        self.root.join("uploads").join(suite.as_str())
    }

    /// Whether there is such a suite.
    pub(crate) async fn has(&self, suite: SuiteName) -> ArchiveResult<bool> {
        let root = self.root.clone();
        blocking(move || Ok(Archive::open(&root)?.settings().suites.contains_key(&suite))).await
    }

    /// What each suite serves. It is read once for each publication.
    pub(crate) async fn all_served(&self) -> ArchiveResult<BTreeMap<SuiteName, Arc<Served>>> {
        let (root, known) = (self.root.clone(), self.served.clone());
        blocking(move || {
            let archive = Archive::open(&root)?;
            let all = archive.settings().suites.keys();
            all.map(|suite| Ok((suite.clone(), served(&archive, suite.clone(), &known)?))).collect()
        })
        .await
    }

    /// Its suites, and what each serves.
    pub(crate) async fn suites(&self) -> ArchiveResult<Vec<Suite>> {
        let (root, known) = (self.root.clone(), self.served.clone());
        blocking(move || {
            let archive = Archive::open(&root)?;
            let mut suites = Vec::new();
            for (name, settings) in &archive.settings().suites {
                let publication = match archive.current(name)? {
                    Some(_) => Some(archive.publication(&Which { suite: name.clone(), number: None })?),
                    None => None,
                };
                let served = served(&archive, name.clone(), &known)?;
                suites.push(told(name, settings, publication.as_ref(), &served));
            }
            Ok(suites)
        })
        .await
    }

    /// Fingerprints of the keys that sign.
    pub(crate) async fn keys(&self) -> ArchiveResult<Vec<String>> {
        let root = self.root.clone();
        blocking(move || Ok(Archive::open(&root)?.settings().keys.clone())).await
    }

    /// A suite's publications that are kept, oldest first; and which of them is served.
    pub(crate) async fn history(&self, suite: SuiteName) -> ArchiveResult<(Option<u64>, Vec<Publication>)> {
        let root = self.root.clone();
        blocking(move || {
            let archive = Archive::open(&root)?;
            Ok((archive.current(&suite)?, archive.history(&suite)?))
        })
        .await
    }

    /// What changed from one publication to another.
    pub(crate) async fn changes(&self, suite: SuiteName, from: u64, to: u64) -> ArchiveResult<Vec<Change>> {
        let root = self.root.clone();
        let which = move |number| Which { suite: suite.clone(), number: Some(number) };
        blocking(move || Archive::open(&root)?.changes(&which(from), &which(to))).await
    }

    /// Changes it when its turn has come.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Changing) -> ArchiveResult<T> + Send + 'static,
    ) -> ArchiveResult<T> {
        let _turn = self.turn.lock().await;
        let root = self.root.clone();
        blocking(move || change(&mut Archive::open(&root)?.change(|| ())?)).await
    }

    /// Signs anew what would otherwise be believed no more, and forgets uploads that were given up. Tells which suites it signed.
    pub(crate) async fn keep(&self, now: i64) -> ArchiveResult<Vec<SuiteName>> {
        let root = self.root.clone();
        let (due, stale) = blocking(move || {
            let archive = Archive::open(&root)?;
            let mut due = Vec::new();
            for suite in archive.settings().suites.keys() {
                if archive.is_to_be_signed_anew(suite, now)? {
                    due.push(suite.clone());
                }
            }
            Ok((due, stale(&root.join("uploads"))?))
        })
        .await?;
        for upload in stale {
            blocking(move || removed(&upload)).await?;
        }
        let mut signed = Vec::new();
        for suite in due {
            let published = self.change({
                let suite = suite.clone();
                move |changing| changing.sign_anew(&suite, now)
            });
            // Another suite is signed all the same.
            match published.await {
                Ok(Published::New { .. }) => signed.push(suite),
                Ok(Published::Nothing) => {}
                Err(error) => tracing::error!(%error, %suite, "a suite of the archive cannot be signed anew"),
            }
        }
        Ok(signed)
    }
}

fn served(
    archive: &Archive,
    suite: SuiteName,
    known: &Mutex<HashMap<SuiteName, Arc<Served>>>,
) -> ArchiveResult<Arc<Served>> {
    let number = archive.current(&suite)?.unwrap_or(0);
    let known = || known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(served) = known().get(&suite).filter(|served| served.number == number) {
        return Ok(served.clone());
    }
    let served = Arc::new(Served::read(archive, &suite)?);
    known().insert(suite, served.clone());
    Ok(served)
}

fn told(
    name: &SuiteName,
    settings: &SuiteSettings,
    publication: Option<&Publication>,
    served: &Served,
) -> Suite {
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).ok();
    Suite {
        name: name.to_string(),
        description: settings.description.clone(),
        publication: publication.map(|one| i64::try_from(one.number).unwrap_or(i64::MAX)),
        published_at: publication.and_then(|one| at(one.made_at)),
        valid_until: publication.and_then(|one| at(one.valid_until)),
        components: settings.components.iter().map(ToString::to_string).collect(),
        architectures: settings.architectures.iter().map(ToString::to_string).collect(),
        packages_count: i64::try_from(served.count()).unwrap_or(i64::MAX),
        guests_said_count: 0,
        guests_by_image_count: 0,
        guests_unknown_count: 0,
    }
}

/// A package as guests tell of it.
pub(crate) fn as_guests_say(one: &Loose) -> ImagePackage {
    let Loose { package, version, architecture } = one.clone();
    ImagePackage { name: package, version, architecture }
}

impl OwnArchive {
    /// What is to be kept, if a day has passed since something was removed by that.
    pub(crate) fn due(&self, now: i64) -> Option<Retention> {
        let keeps = self.keeps.filter(|_| now - self.pruned_at.load(Ordering::Relaxed) >= DAY)?;
        Some(Retention { newest: keeps.newest, since: now - i64::from(keeps.days) * DAY })
    }

    /// What [`OwnArchive::prune`] would remove, if nobody had it installed.
    pub(crate) async fn loose(&self, retention: Retention) -> ArchiveResult<BTreeSet<Loose>> {
        self.change(move |changing| changing.loose(retention)).await
    }

    /// Removes what is not kept: old publications, and of these packages those that nobody has installed.
    pub(crate) async fn prune(
        &self,
        retention: Retention,
        loose: BTreeSet<Loose>,
        installed: HashSet<ImagePackage>,
        now: i64,
    ) -> ArchiveResult<Pruned> {
        // What became loose a moment ago was not asked for: it stays until tomorrow.
        let is_held = move |one: &Loose| !loose.contains(one) || installed.contains(&as_guests_say(one));
        let pruned = self.change(move |changing| changing.prune(retention, is_held, Pruning::Done)).await?;
        self.pruned_at.store(now, Ordering::Relaxed);
        Ok(pruned)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> ArchiveResult<T> + Send + 'static,
) -> ArchiveResult<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |error| ArchiveError::Io { what, path, error }
}

fn removed(upload: &Path) -> ArchiveResult<()> {
    match std::fs::remove_dir_all(upload) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("removing", upload)(error)),
        _ => Ok(()),
    }
}

/// The directories in a directory; none, where it is not there.
pub(crate) fn below(directory: &Path) -> ArchiveResult<Vec<PathBuf>> {
    match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(io("listing", directory)),
    }
}

fn stale(uploads: &Path) -> ArchiveResult<Vec<PathBuf>> {
    #[expect(clippy::disallowed_methods, reason = "compared with times of files, which are the machine's")]
    let now = SystemTime::now();
    let mut stale = Vec::new();
    for suite in below(uploads)? {
        for upload in below(&suite)? {
            let changed = std::fs::metadata(&upload).and_then(|metadata| metadata.modified());
            let changed = changed.map_err(io("looking at", &upload))?;
            if now.duration_since(changed).is_ok_and(|age| age > FORGOTTEN) {
                stale.push(upload);
            }
        }
    }
    Ok(stale)
}
