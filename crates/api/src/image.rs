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
    /// Which distribution it is, as its os-release has it: `debian`. Null where it does not say so, or nobody looked.
    #[serde(default)]
    pub distribution: Option<String>,
    /// As in `12`; null for those that have no versions.
    #[serde(default)]
    pub distribution_version: Option<String>,
    /// As in `Debian GNU/Linux 12 (bookworm)`.
    #[serde(default)]
    pub distribution_name: Option<String>,
    /// Where its first program is.
    #[serde(default)]
    pub init: Option<String>,
    /// Where the kernel is that its guests boot.
    #[serde(default)]
    pub kernel: Option<String>,
    /// How many files, directories and links it holds.
    #[serde(default)]
    pub files_count: Option<i64>,
    /// `none`; `trusted`, by a key that operators trust; `untrusted`, by one that they do not trust any more. Whether what is kept
    /// still is what was signed, `GET /v1/images/ID/signature` tells.
    #[schema(read_only)]
    #[serde(default)]
    pub signature: String,
    /// The name of the trusted key by which it is signed.
    #[schema(read_only)]
    #[serde(default)]
    pub signed_by: Option<String>,
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
    /// The packages in it; those of the manifest, when absent.
    pub packages: Option<Vec<ImagePackage>>,
    /// The text of its manifest, which says what it is.
    pub manifest: Option<String>,
    /// The signature of the manifest, by a key that is trusted here.
    pub signature: Option<String>,
    /// The text of the recipe it was built from.
    pub recipe: Option<String>,
    /// See [`Image::architecture`]; what its packages say, when absent.
    pub architecture: Option<String>,
    /// See [`Image::distribution`].
    pub distribution: Option<String>,
    /// See [`Image::distribution_version`].
    pub distribution_version: Option<String>,
    /// See [`Image::distribution_name`].
    pub distribution_name: Option<String>,
    /// See [`Image::init`].
    pub init: Option<String>,
    /// See [`Image::kernel`].
    pub kernel: Option<String>,
    /// See [`Image::files_count`].
    pub files_count: Option<i64>,
}

/// A root filesystem on its way to become an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageUpload {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Whose image it becomes; everybody's, when null.
    pub account_id: Option<i64>,
    /// What the image will be called.
    pub name: String,
    /// The guest whose disk it comes from, sent by its host; null for what a person uploads.
    #[schema(read_only)]
    #[serde(default)]
    pub guest_id: Option<i64>,
    /// How long the file is; 0 while that is not known, of a guest's disk.
    pub size_bytes: i64,
    /// SHA-256 of the file; empty while that is not known.
    pub digest: String,
    /// Whether the kernel of the brain's machine is put into it.
    pub host_kernel: bool,
    /// How much of it has come: what is sent next begins there.
    #[schema(read_only)]
    pub received_bytes: i64,
    /// `receiving`, `sealing`, `done` or `refused`; derived, never stored.
    #[schema(read_only)]
    pub status: String,
    /// What is being done while it is sealed, or a disk is read.
    #[schema(read_only)]
    pub stage: Option<String>,
    /// How far that is.
    #[schema(read_only)]
    pub progress_percent: Option<i64>,
    /// Why it became no image.
    #[schema(read_only)]
    pub problem: Option<String>,
    /// What its owner should know of the image, a sentence each.
    #[schema(read_only)]
    pub notes: Vec<String>,
    /// The image that it became.
    #[schema(read_only)]
    pub image_id: Option<i64>,
    /// When it was begun.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When all of it had come, and it was to be sealed.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// When it became an image, or was refused.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// When it is given up, unless more of it comes.
    #[schema(read_only, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// What begins an upload. The same account, name, size and digest again are the same upload, until it has ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ImageUploadCreate {
    /// See [`ImageUpload::account_id`].
    pub account_id: Option<i64>,
    /// A DNS label.
    pub name: Option<String>,
    /// See [`ImageUpload::size_bytes`].
    pub size_bytes: Option<i64>,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub digest: Option<String>,
    /// See [`ImageUpload::host_kernel`].
    pub host_kernel: Option<bool>,
}

/// What an image was built from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageRecipe {
    /// The image.
    pub image_id: i64,
    /// The text of its recipe; null for one that was built from none.
    pub recipe: Option<String>,
}

/// Who vouches for an image, checked anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageSignature {
    /// The image.
    pub image_id: i64,
    /// `none`; `trusted`: what is kept is what was signed, by a trusted key; `untrusted`: by one that is not trusted any more;
    /// `broken`: something is another than what was signed.
    pub status: String,
    /// Why it is not trusted.
    pub problem: Option<String>,
    /// By which the key is known: `SHA256:…`.
    pub fingerprint: Option<String>,
    /// The key's name, if it is trusted.
    pub signed_by: Option<String>,
    /// The key, if it is trusted, in OpenSSH's form.
    pub public_key: Option<String>,
    /// The text that was signed: name, digest, sizes, distribution, recipe's digest, packages, when.
    pub manifest: Option<String>,
    /// As `ssh-keygen -Y sign -n honcho-image` makes one.
    pub signature: Option<String>,
}

/// A key whose signatures of images are trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageKey {
    /// Never used twice.
    #[schema(read_only)]
    pub id: i64,
    /// Random.
    #[schema(read_only)]
    pub uuid: Uuid,
    /// Unique among the trusted.
    pub name: String,
    /// In OpenSSH's form: `ssh-ed25519 AAAA…`.
    pub public_key: String,
    /// By which it is known: `SHA256:…`.
    #[schema(read_only)]
    pub fingerprint: String,
    /// When somebody began to trust it.
    #[schema(read_only, value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Has a key trusted. The same key again is that one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ImageKeyCreate {
    /// A DNS label.
    pub name: Option<String>,
    /// See [`ImageKey::public_key`].
    pub public_key: Option<String>,
    /// Also one that was trusted before and then not any more.
    pub again: Option<bool>,
}

/// A package in an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
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
