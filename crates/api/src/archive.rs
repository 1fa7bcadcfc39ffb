//! Uploads into the archive.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A file of an upload, as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UploadedFile {
    /// What it is called.
    pub name: String,
    /// Its length.
    pub size_bytes: i64,
}

/// How what was uploaded is added.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ArchiveUploadCreate {
    /// The part of the suite; `main`, when absent.
    pub component: Option<String>,
    /// Whether it is published in the same step; it is, when absent.
    pub publish: Option<bool>,
    /// What the publication is for, kept in the history.
    pub note: Option<String>,
}

/// What became of an upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArchiveUpload {
    /// The suite.
    pub suite: String,
    /// The client's own name for the upload.
    pub upload: String,
    /// The number of the suite's publication that has it, if that changed anything.
    pub publication: Option<i64>,
    /// What was in it.
    pub packages: Vec<ArchivePackage>,
}

/// A package that was uploaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArchivePackage {
    /// What it is called.
    pub package: String,
    /// Which version.
    pub version: String,
    /// `amd64`, `all`; of a source, `source`.
    pub architecture: String,
    /// Where it lies, below what is served.
    pub place: String,
    /// Whether the suite did not have it before.
    pub is_new: bool,
}

/// What a guest has said of what it has installed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuestPackages {
    /// The guest.
    pub guest_id: i64,
    /// How many packages.
    pub count: i64,
    /// When it said so.
    #[schema(value_type = String, format = DateTime)]
    pub reported_at: jiff::Timestamp,
}
