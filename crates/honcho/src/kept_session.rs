//! The session that `honcho login` keeps for later commands: one file per brain, which its owner alone can read.
//!
//! ```text
//!   $XDG_STATE_HOME/honcho/sessions/http%3A%2F%2F127.0.0.1%3A7070.json     (~/.local/state, when that is not set)
//! ```
//!
//! The file holds a secret as good as the password until the session ends, so it is written under another name and renamed
//! (a reader never sees half of it), and one that others could read is refused until somebody has looked. The brain it is
//! for stands in its name and inside: a secret is never shown to another brain.

use crate::command_error::CommandError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What is kept of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptSession {
    /// The brain it is for.
    pub(crate) url: String,
    /// Whose it is, as they log in.
    pub(crate) person: String,
    /// Its id.
    pub(crate) session_id: i64,
    /// When it ends at the latest.
    pub(crate) expires_at: Timestamp,
    /// What is shown to the brain.
    pub(crate) secret: String,
}

/// Whether a file that others can read will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Openness {
    /// It is refused: somebody else may have read the secret.
    Refused,
    /// It will do, to end the session.
    Allowed,
}

/// How a brain is named in files: its URL without whatever says the same in another way.
pub(crate) fn brain_name(url: &reqwest::Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default())
}

/// A name that is a file's: two brains never have the same.
fn file_name(brain: &str) -> String {
    let mut name = String::with_capacity(brain.len() + 16);
    for byte in brain.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => name.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(name, "%{byte:02X}"),
        }
    }
    name + ".json"
}

/// Where this program keeps what is to last. As the XDG Base Directory Specification has it, a path that is not absolute does not count.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|directory| directory.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("honcho"))
}

/// The file for this brain, if there is a place for it.
pub(crate) fn path(url: &reqwest::Url) -> Option<PathBuf> {
    Some(state_directory()?.join("sessions").join(file_name(&brain_name(url))))
}

/// The session kept for this brain.
pub(crate) fn load(url: &reqwest::Url, openness: Openness) -> Result<Option<KeptSession>, CommandError> {
    match path(url) {
        Some(path) => read(&path, &brain_name(url), openness),
        None => Ok(None),
    }
}

fn read(path: &Path, brain: &str, openness: Openness) -> Result<Option<KeptSession>, CommandError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        CommandError::usage(format!("cannot read the session file {shown}")).cause(&error)
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let about = file.metadata().map_err(unreadable)?;
    if openness == Openness::Refused {
        refuse_open(path, about.mode() & 0o7777, about.uid())?;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(unreadable)?;
    let damaged = || {
        CommandError::usage(format!("the session file {shown} is damaged"))
            .hint("`honcho login` writes it anew; `honcho logout --forget` removes it")
    };
    let kept: KeptSession = serde_json::from_str(&text).map_err(|error| damaged().cause(&error))?;
    if kept.url != brain {
        return Err(damaged().hint(format!("it is for the brain at {}", kept.url)));
    }
    Ok(Some(kept))
}

fn refuse_open(path: &Path, mode: u32, owner: u32) -> Result<(), CommandError> {
    let shown = path.display();
    let me = rustix::process::geteuid().as_raw();
    if owner != me && me != 0 {
        let error = CommandError::usage(format!("the session file {shown} belongs to somebody else"));
        return Err(error.hint("move it away, and `honcho login`"));
    }
    if mode.trailing_zeros() >= 6 {
        // Neither group nor others may do anything with it.
        return Ok(());
    }
    let error = CommandError::usage(format!(
        "the session file {shown} is open to others (its mode is {mode:04o}): its secret is not used"
    ));
    Err(error
        .hint("somebody may have read it: `honcho logout` ends that session, `honcho login` begins another")
        .hint(format!("if nobody can have: chmod 600 {shown}")))
}

/// Keeps a session, in place of the one before; gives the file.
pub(crate) fn keep(url: &reqwest::Url, kept: &KeptSession) -> Result<PathBuf, CommandError> {
    let Some(path) = path(url) else {
        return Err(CommandError::usage("there is no place to keep a session in")
            .hint("set HOME or XDG_STATE_HOME to an absolute path"));
    };
    let error = |cause: std::io::Error| {
        CommandError::failed(format!("cannot write the session file {}", path.display())).cause(&cause)
    };
    // The path was made of a directory and a name.
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(error)?;
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(error)?;
    let text = serde_json::to_string_pretty(kept)
        .map_err(|cause| CommandError::failed("cannot write JSON").cause(&cause))?;
    file.write_all(text.as_bytes()).map_err(error)?;
    file.as_file().sync_all().map_err(error)?;
    file.persist(&path).map_err(|failed| error(failed.error))?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(error)?;
    Ok(path)
}

/// Removes what is kept for this brain, if there is anything.
pub(crate) fn forget(url: &reqwest::Url) -> Result<(), CommandError> {
    let Some(path) = path(url) else { return Ok(()) };
    match std::fs::remove_file(&path) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(CommandError::failed(format!("cannot remove the session file {}", path.display()))
                .cause(&error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_brain_has_one_file_and_two_brains_two() {
        let name = |url: &str| file_name(&brain_name(&reqwest::Url::parse(url).unwrap()));
        assert_eq!(name("http://127.0.0.1:7070"), "http%3A%2F%2F127.0.0.1%3A7070.json");
        assert_eq!(name("https://Brain.example.com:443/"), name("https://brain.example.com"));
        let others = ["http://[::1]:7070", "http://a/b", "http://a", "https://a", "http://a:1"];
        let mut names: Vec<String> = others.map(name).into();
        assert!(names.iter().all(|name| !name.contains('/')), "{names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), others.len());
    }
}
