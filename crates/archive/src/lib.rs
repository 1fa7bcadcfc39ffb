//! An apt repository: packages in a pool, suites that list them, and what is signed and served of that.
//!
//! What lies where under an archive's root:
//!
//! ```text
//! archive.toml                what it is called, which suites there are, which keys sign
//! lock                        held by whoever changes something; others wait
//! keys/FINGERPRINT.asc        secret keys, for root's eyes
//! chunks/ab/abcd….{txt,gz,zst}   pieces of indexes, named by their digest, shared by all suites and publications
//! files/ab/abcd….zst         which files a package holds, by its digest, for suites with Contents
//! drafts/SUITE.json           what the next publication of a suite will list
//! publications/SUITE/12.json  what the twelfth lists; never changed once written
//! public/                     what a web server serves
//!   pool/main/h/hello/hello_2.10-3_amd64.deb
//!   dists/SUITE -> ../.publications/SUITE/12
//! ```
//!
//! Packages are added to a suite's *draft*; publishing writes a whole directory of indexes, signs it, and renames one
//! symbolic link. Until then nobody sees anything of it, and a publisher that is killed leaves what was. A suite's earlier
//! publications stay, so that one can be gone back to, two compared, and one suite's taken over by another.
//!
//! An index of thousands of packages is kept in chunks whose ends their contents decide ([`index`]): adding one package
//! rewrites one of them. An index that is served is its chunks, one after the other.
//!
//! It never runs what is in a package, and never trusts what a package says of itself with a path.

mod archive;
mod contents;
mod copying;
mod deb;
mod digests;
mod draft;
mod error;
mod files;
pub mod index;
pub mod keyring;
mod members;
mod names;
mod paragraph;
mod prune;
mod publication;
mod publish;
mod release;
pub mod serving;
mod settings;
mod signing;
mod source;

pub use archive::{Archive, Changing};
pub use copying::{About, CopyNotes, CopyPlan, NOTES, STAYS_FOR, Served, Turn};
pub use deb::{Deb, For, files as files_of_package};
pub use digests::Digest;
pub use draft::{Added, Taken};
pub use error::{ArchiveError, ArchiveResult};
pub use index::compare_versions;
pub use names::{Architecture, Component, PackageName, SuiteName};
pub use paragraph::Paragraph;
pub use prune::{Loose, Pruned, Pruning, Retention};
pub use publication::{Change, Publication, Which};
pub use publish::Published;
pub use settings::{Settings, SuiteSettings};
pub use source::{Source, is_file_name, named_beside};
