//! The road of a slow log: from a rotated file on a server into a mail, and out of a mail again.
//!
//! Owns: the [`Spool`] of a sender, which holds what was taken until a mail daemon has it; how a log is cut into [`parts`] and
//! written into mails; how a mail of a stranger is read ([`Letter`]); the [`Maildir`] of a receiver. It knows no store and no
//! HTTP, reads no clock, and draws nothing at random: times and ids come in.
//!
//! ```text
//!  rotated file -> taken/ -> cut and compressed, once -> queue/ -> sendmail        (feature `send`)
//!                                                                     | SMTP over TLS, by equal MXs
//!               store <- a brain <- Letter <- Maildir new/ <----------'            (feature `receive`)
//! ```
//!
//! Mail arrives at least once. So each mail has an identity (spool, sequence number) that is made when the log is cut and
//! written down before the mail is first handed over; it is sent again byte for byte, and counted by its identity.
#![forbid(unsafe_code)]

mod headers;

#[cfg(feature = "send")]
mod durable;
#[cfg(feature = "send")]
mod envelope;
#[cfg(feature = "send")]
mod part;
#[cfg(feature = "send")]
mod sendmail;
#[cfg(feature = "send")]
mod spool;

#[cfg(feature = "receive")]
mod letter;
#[cfg(feature = "receive")]
mod maildir;
#[cfg(feature = "receive")]
mod watch;

pub use honcho_slowlog::Logging;

#[cfg(feature = "send")]
pub use envelope::Letterhead;
#[cfg(feature = "send")]
pub use part::{Limits, Part, parts};
#[cfg(feature = "send")]
pub use sendmail::{Answer, Sendmail};
#[cfg(feature = "send")]
pub use spool::{Handed, LastTry, Original, Spool, SpoolError, Status, Taken};

#[cfg(feature = "receive")]
pub use letter::{LARGEST_MAIL, Letter, NodeName, Unreadable};
#[cfg(feature = "receive")]
pub use maildir::{Maildir, Tally, Verdict};
#[cfg(feature = "receive")]
pub use watch::{Follow, Notice, import};
