//! A PostgreSQL for tests: a private cluster of the installed programs, reached by a Unix socket in a directory of its
//! own, gone with the process that asked for it. Nothing is downloaded.
//!
//! Tests say nothing of engines. They ask [`engine`] which one they run on, and one test of each binary calls
//! [`run_again`], which runs that binary once more with [`ENGINE`] set to `postgres`. So `cargo test` runs every test on
//! both (`./test unit` leaves that to `./test postgres`), and `HONCHO_TEST_ENGINE=postgres cargo test -p honcho-store listing` runs some of them on PostgreSQL.
//!
//! Where PostgreSQL is not installed they fail and say so.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio::sync::OnceCell;

/// The environment variable that says which engine tests run on: `sqlite` (also when unset) or `postgres`.
pub const ENGINE: &str = "HONCHO_TEST_ENGINE";

/// The environment variable that names the directory of a cluster that runs already.
const CLUSTER: &str = "HONCHO_TEST_CLUSTER";

/// What a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// Which engine the tests of this process run on.
///
/// # Panics
/// If [`ENGINE`] holds another word.
pub fn engine() -> Engine {
    match std::env::var(ENGINE).as_deref() {
        Err(_) | Ok("sqlite") => Engine::Sqlite,
        Ok("postgres") => Engine::Postgres,
        Ok(other) => panic!("{ENGINE} is {other:?}; it may be sqlite or postgres"),
    }
}

/// A running PostgreSQL of its own.
pub struct Cluster {
    directory: PathBuf,
    binaries: PathBuf,
    /// `None` when somebody else keeps it.
    keeper: Option<Child>,
}

impl Cluster {
    /// Starts one.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub fn start() -> Cluster {
        let binaries = binaries();
        // A socket's path may have 107 bytes, which what TMPDIR names may use up.
        let directory = tempfile::Builder::new().prefix("honcho-pg-").tempdir_in("/tmp");
        let directory = directory.expect("a directory in /tmp").keep();
        // PostgreSQL refuses to run as root.
        let root = std::fs::metadata("/proc/self").expect("/proc").uid() == 0;
        let mut command = if root {
            let ids = postgres_user();
            std::os::unix::fs::chown(&directory, Some(ids.0), Some(ids.1)).expect("chown");
            let mut command = Command::new("setpriv");
            command.args([
                &format!("--reuid={}", ids.0),
                &format!("--regid={}", ids.1),
                "--clear-groups",
                "sh",
            ]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", include_str!("keeper.sh"), "keeper"]).arg(&binaries).arg(&directory);
        let mut keeper =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starting PostgreSQL");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().expect("it is piped")).read_line(&mut line).expect("its word");
        assert_eq!(line.trim(), "ready", "PostgreSQL does not start; what it said is above");
        Cluster { directory, binaries, keeper: Some(keeper) }
    }

    /// The URL of a database of it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://honcho@localhost/{database}?host={}", self.directory.display())
    }

    /// Makes a database, as a copy of `template` if there is one (which nobody may be connected to), and gives its URL.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn create(&self, database: &str, template: Option<&str>) -> String {
        let mut command = Command::new(self.binaries.join("createdb"));
        command.arg("--host").arg(&self.directory).args(["--username", "honcho"]);
        if let Some(template) = template {
            command.args(["--template", template]);
        }
        let output = command.arg(database).output().expect("createdb");
        assert!(output.status.success(), "createdb: {}", String::from_utf8_lossy(&output.stderr));
        self.url(database)
    }

    /// Makes an empty database with a name that no other has, and gives its URL.
    pub fn create_empty(&self) -> String {
        self.create_unused(None)
    }

    /// Makes a database with a name that no other has, and drops those of tests that have long ended: a hundred and fifty
    /// of them are gigabytes, and writing those to the disk took longer than the tests.
    fn create_unused(&self, template: Option<&str>) -> String {
        static MADE: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
        let name = unused_name();
        let url = self.create(&name, template);
        let oldest = {
            let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
            made.push_back(name);
            if made.len() > most_kept() { made.pop_front() } else { None }
        };
        if let Some(oldest) = oldest {
            let mut command = Command::new(self.binaries.join("dropdb"));
            command.arg("--host").arg(&self.directory).args(["--username", "honcho", &oldest]);
            let output = command.output().expect("dropdb");
            // One that a test still uses is kept: its turn comes again.
            if !output.status.success() {
                MADE.lock().unwrap_or_else(PoisonError::into_inner).push_back(oldest);
            }
        }
        url
    }
}

/// So many databases are kept for each test that can run at once; the older ones are dropped.
const KEPT_FOR_EACH: usize = 32;

fn most_kept() -> usize {
    KEPT_FOR_EACH * std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            drop(keeper.stdin.take());
            // It ends by itself now; what could not be waited for ends all the same.
            let _ = keeper.wait();
        }
    }
}

fn unused_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The cluster that all tests of this process share, started when it is first asked for.
pub fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| match std::env::var_os(CLUSTER) {
        Some(directory) => Cluster { directory: directory.into(), binaries: binaries(), keeper: None },
        None => Cluster::start(),
    })
}

/// Gives a database that is this test's own. `migrate` is called once per process, with the URL of the one that all are
/// copies of; it must have let go of it when it is done.
pub async fn migrated_database<F: Future<Output = ()>>(migrate: impl FnOnce(String) -> F) -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(|| async {
        let name = format!("template_{}", std::process::id());
        migrate(cluster().create(&name, None)).await;
        name
    });
    cluster().create_unused(Some(template.await))
}

/// Runs the tests of this binary whose names hold `filter` again on PostgreSQL. `without` are tests that are about SQLite's
/// files; the caller's own name must be among them. Does nothing when it runs there itself.
///
/// # Panics
/// If one fails, with the output of all; or if there was none to run.
pub fn run_again(filter: &str, without: &[&str]) {
    if engine() == Engine::Postgres {
        return;
    }
    let cluster = Cluster::start();
    let mut command = Command::new(std::env::current_exe().expect("this test's own program"));
    command.env(ENGINE, "postgres").env(CLUSTER, &cluster.directory).arg(filter);
    for name in without {
        command.args(["--skip", name]);
    }
    let output = command.stdin(Stdio::null()).output().expect("this test's own program");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "on PostgreSQL:\n{text}\n{errors}");
    assert!(!text.contains(" 0 passed"), "there was nothing to run on PostgreSQL:\n{text}");
}

/// The directory of the newest PostgreSQL programs that are installed.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut anywhere = std::env::split_paths(&on_path).filter(|path| path.join("initdb").exists());
    found.pop().map(|(_, path)| path).or_else(|| anywhere.next()).unwrap_or_else(|| {
        panic!(
            "PostgreSQL is not installed, and half of these tests need it: packaging/install-packages.sh test"
        )
    })
}

/// User and group that Debian's package makes.
fn postgres_user() -> (u32, u32) {
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let ids = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields.as_slice() else { return None };
        (*name == "postgres").then_some((uid.parse().ok()?, gid.parse().ok()?))
    });
    ids.expect(
        "a user named postgres: packaging/install-packages.sh test installs PostgreSQL, which brings it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_goes_with_whoever_started_it() {
        let cluster = Cluster::start();
        let directory = cluster.directory.clone();
        let url = cluster.create_empty();
        assert!(url.contains("/test_") && directory.join("data/PG_VERSION").exists(), "{url}");
        drop(cluster);
        assert!(!directory.exists());
    }
}
