//! Images: sealed tarballs with their package lists.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A sealed tarball, known by its digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Who may use it; everybody, when null.
    pub account_id: Option<i64>,
    /// Unique among the living.
    pub name: String,
    /// SHA-256 of the tar.zst.
    pub digest: String,
    /// Its size in bytes.
    pub compressed_bytes: i64,
    /// The sum of the sizes of the files in it, in bytes; a guest's disk must be larger.
    pub unpacked_bytes: i64,
    /// How many packages are in it; `GET /v1/images/ID/packages` lists them.
    #[schema(read_only)]
    pub packages_count: i64,
    /// Whose processors its programs are made for, as its packages say: `x86_64`. Guests of it are placed on such hosts; null
    /// where no package says so.
    #[schema(read_only)]
    #[serde(default)]
    pub architecture: Option<String>,
    /// When it was registered.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Rises when a writable attribute changes.
    pub lock_version: i64,
}

/// What registers an image, after its blob was sent to `PUT /v1/blobs/DIGEST`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ImageCreate {
    /// A DNS label.
    pub name: Option<String>,
    /// See [`Image::account_id`].
    pub account_id: Option<i64>,
    /// SHA-256 of the tar.zst, 64 hexadecimal digits.
    pub digest: Option<String>,
    /// The sum of the sizes of the files in it, in bytes.
    pub unpacked_bytes: Option<i64>,
    /// The packages in it.
    pub packages: Option<Vec<ImagePackage>>,
    /// The text of the recipe it was built from.
    pub recipe: Option<String>,
}

/// What an image was built from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageRecipe {
    /// The image.
    pub image_id: i64,
    /// The text of its recipe; null for one that was built from none.
    pub recipe: Option<String>,
}

/// A package in an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImagePackage {
    /// As in `openssl`.
    pub name: String,
    /// As in `3.0.15-1~deb12u1`.
    pub version: String,
    /// As in `amd64`.
    pub architecture: String,
}

/// A blob that was received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Blob {
    /// Its SHA-256.
    pub digest: String,
    /// Its size in bytes.
    pub size_bytes: i64,
}
