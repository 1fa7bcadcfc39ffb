//! What can go wrong while an image is made.

use std::path::PathBuf;

/// Why an image was not built; reads as a sentence that ends with the next thing to do.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A program that the build needs is not installed.
    #[error(transparent)]
    Tool(#[from] crate::tool::ToolMissing),
    /// mmdebstrap ended in failure.
    #[error("building failed while {stage}: {reason}\n{hint}\nthe whole log is in {}; its end:\n{tail}", log.display())]
    Build {
        /// The stage it was in, as in "downloading packages".
        stage: String,
        /// What it said.
        reason: String,
        /// What to do next.
        hint: String,
        /// The last lines of the log.
        tail: String,
        /// The log.
        log: PathBuf,
    },
    /// The image that it is to be built upon cannot be.
    #[error("the image that it is built upon: {0}")]
    Base(String),
    /// What a package is to be built from is none, or cannot be.
    #[error("{0}")]
    Package(String),
    /// The image was made, but guests could not boot or be reached with it.
    #[error("the image lacks {missing}, which its recipe says it must have: add the package that brings it to `packages`, or correct `must_have` (log: {})", log.display())]
    Incomplete {
        /// Paths, separated by commas.
        missing: String,
        /// The log.
        log: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Why not.
        source: std::io::Error,
    },
}

impl ImageError {
    /// The same, where the log has been moved there.
    pub(crate) fn with_log(self, path: PathBuf) -> Self {
        match self {
            ImageError::Build { stage, reason, hint, tail, .. } => {
                ImageError::Build { stage, reason, hint, tail, log: path }
            }
            ImageError::Incomplete { missing, .. } => ImageError::Incomplete { missing, log: path },
            other => other,
        }
    }

    /// Wraps an I/O error together with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> ImageError {
        let doing = doing.into();
        move |source| ImageError::Io { doing, source }
    }
}
