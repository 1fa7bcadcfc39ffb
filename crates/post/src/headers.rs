//! The headers that a log travels under, written and read by these names alone.

/// The node's name, put in by the receiver that saw its certificate. It counts only above the topmost `Received`.
#[cfg(feature = "receive")]
pub(crate) const NODE: &str = "X-Verified-Node";
/// How all of this is written. Another number is another way, and refused.
pub(crate) const VERSION: &str = "X-Honcho-Post";
/// What the server calls itself: for people, and never for deciding whose a log is.
pub(crate) const SERVER: &str = "X-Honcho-Server";
/// The spool's uuid.
pub(crate) const SPOOL: &str = "X-Honcho-Spool";
/// Which mail of the spool it is, from 1.
pub(crate) const SEQUENCE: &str = "X-Honcho-Sequence";
/// `2/7`: which part of the log, of how many.
pub(crate) const PART: &str = "X-Honcho-Part";
/// When the log was cut, in microseconds since 1970.
pub(crate) const CUT_AT: &str = "X-Honcho-Cut-At";
/// The SHA-256 of what the mail carries, compressed.
pub(crate) const DIGEST: &str = "X-Honcho-Digest";
/// How long that is decompressed.
pub(crate) const LENGTH: &str = "X-Honcho-Length";
/// What the first events depend on that stood before them: `database=73686f70 time=1700000000000000 distrusted=0`.
pub(crate) const STATE: &str = "X-Honcho-State";
/// What the server logs as slow, as [`honcho_slowlog::Logging`] writes it; left out, if nobody could ask it.
pub(crate) const LOGGING: &str = "X-Honcho-Logging";

/// The version that is written.
pub(crate) const WRITTEN: &str = "1";
/// What the body is.
pub(crate) const KIND: &str = "application/zstd";

/// No mail carries more bytes of log than this: none that is sent, and one that says so is refused.
pub(crate) const LONGEST_LOG: u64 = 64 << 20;
