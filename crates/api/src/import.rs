//! What an import of a CSV file came to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was made and changed by an import, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportOutcome {
    /// Whether it was only tried: then nothing was kept, and ids of what would be made are null.
    pub dry_run: bool,
    /// How many things were made.
    pub created_count: i64,
    /// How many were changed.
    pub updated_count: i64,
    /// How many lines say what is so already.
    pub unchanged_count: i64,
    /// Each thing that was made or changed, in the order of the lines.
    pub changes: Vec<ImportChange>,
    /// What else is to be known: what the file says and Honcho has no place for.
    pub notes: Vec<String>,
}

/// A thing that was made or changed by a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportChange {
    /// The line of the file; the first is 1.
    pub line: i64,
    /// The file, when there are several.
    pub file_name: Option<String>,
    /// `create` or `update`.
    pub action: String,
    /// `host`, `network`, `address`, `site` or `rack`.
    pub kind: String,
    /// Its id; null when it was only tried.
    pub id: Option<i64>,
    /// What people call it.
    pub name: String,
    /// What changed, as in `serial: S1 -> S2`.
    pub details: Vec<String>,
}

/// Files of another program, to be imported together.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ImportFiles {
    /// Each of them; what they are is known by their first lines.
    pub files: Option<Vec<ImportFile>>,
}

/// A file of another program.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ImportFile {
    /// What errors call it.
    pub name: String,
    /// All that is in it.
    pub text: String,
}
