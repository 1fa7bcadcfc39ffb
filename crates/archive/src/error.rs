//! What goes wrong with an archive.

use std::path::{Path, PathBuf};

/// What an archive's functions give.
pub type ArchiveResult<T> = Result<T, ArchiveError>;

/// Why something was not done. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The system said no.
    #[error("{what} {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is not allowed, or makes no sense: the words say what to do instead.
    #[error("{0}")]
    Refused(String),
    /// A package that is none.
    #[error("{}: {why}", path.display())]
    NoPackage {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such thing here.
    #[error("there is no {0}")]
    NotFound(String),
    /// What the archive wrote once does not read back.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A key does not sign, or is none.
    #[error("the key {key}: {why}")]
    Key {
        /// Its fingerprint or file.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Says of an I/O error what was tried with which file.
pub(crate) trait Tried<T> {
    fn tried(self, what: &'static str, path: &Path) -> ArchiveResult<T>;
}

impl<T, E: Into<std::io::Error>> Tried<T> for Result<T, E> {
    fn tried(self, what: &'static str, path: &Path) -> ArchiveResult<T> {
        self.map_err(|error| ArchiveError::Io { what, path: path.to_owned(), error: error.into() })
    }
}
