//! Uploads into the archive.

use crate::ImagePackage;
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

/// A suite of the archive that the brain serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suite {
    /// What it is called.
    pub name: String,
    /// One line of what it is.
    pub description: Option<String>,
    /// The number of the publication that is served; absent where nothing was published.
    pub publication: Option<i64>,
    /// When it was published.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub published_at: Option<jiff::Timestamp>,
    /// Until when apt believes it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub valid_until: Option<jiff::Timestamp>,
    /// Its parts.
    pub components: Vec<String>,
    /// For which machines.
    pub architectures: Vec<String>,
    /// How many packages it serves, several versions of one counted once.
    pub packages_count: i64,
    /// Of how many guests it is known what they have: those that said so,
    pub guests_said_count: i64,
    /// those that never said anything, whose image's packages are known,
    pub guests_by_image_count: i64,
    /// and those of which nothing is known.
    pub guests_unknown_count: i64,
}

/// A package that a suite serves, and what guests have of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuitePackage {
    /// What it is called.
    pub package: String,
    /// `amd64`, `all`.
    pub architectures: Vec<String>,
    /// The versions that are served, oldest first.
    pub versions: Vec<String>,
    /// How many guests have it, in whichever version.
    pub guests_count: i64,
    /// How many of them have an older version than the suite serves for their architecture.
    pub outdated_count: i64,
    /// What they have, oldest first. At most 50 versions are told apart.
    pub installed: Vec<InstalledVersion>,
}

/// A version of a package that guests have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstalledVersion {
    /// Which version.
    pub version: String,
    /// `amd64`, `all`.
    pub architecture: String,
    /// How many guests have it.
    pub guests_count: i64,
    /// Whether it is older than what the suite serves for its architecture.
    pub is_outdated: bool,
    /// Whether the suite serves it.
    pub is_served: bool,
}

/// A guest that has a package that a suite serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuitePackageGuest {
    /// The guest.
    pub guest_id: i64,
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub account_id: i64,
    /// Whether what it has is older than what the suite serves for its architecture.
    pub is_outdated: bool,
    /// What it has: one, or one for each architecture.
    pub installed: Vec<ImagePackage>,
    /// When it said so; absent where it never said anything: its image was made with it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reported_at: Option<jiff::Timestamp>,
}

/// Which packages are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct InstalledPackagesAsked {
    /// At most 5000.
    pub packages: Option<Vec<ImagePackage>>,
}

/// Those of packages that guests have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstalledPackages {
    /// What some guest has, of what was asked for.
    pub packages: Vec<InstalledPackage>,
    /// Of how many guests it is known what they have: those that said so,
    pub guests_said_count: i64,
    /// those that never said anything, whose image's packages are known,
    pub guests_by_image_count: i64,
    /// and those of which nothing is known.
    pub guests_unknown_count: i64,
}

/// A package that guests have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstalledPackage {
    /// What it is called.
    pub name: String,
    /// Which version.
    pub version: String,
    /// `amd64`, `all`.
    pub architecture: String,
    /// How many guests have it.
    pub guests_count: i64,
}
