//! What waits, and since when.

use super::{Doing as _, Spool, SpoolResult, names, read, understood};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use uuid::Uuid;

/// How the last attempt to hand over went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTry {
    /// When, in microseconds since 1970.
    pub at: i64,
    /// How many mails were taken.
    pub handed: u64,
    /// Why the next one was not.
    pub refused: Option<String>,
}

/// What waits in a spool. Times are in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Who it is.
    pub spool: Uuid,
    /// Logs that are in and not cut yet.
    pub logs: u64,
    /// Bytes of them.
    pub log_bytes: u64,
    /// Mails that no mail daemon has.
    pub mails: u64,
    /// Bytes of them.
    pub mail_bytes: u64,
    /// Since when the oldest of all these waits.
    pub since: Option<i64>,
    /// The number of the next mail.
    pub next: u64,
    /// How the last attempt went.
    pub last: Option<LastTry>,
}

impl Spool {
    /// Looks, and changes nothing. What another program does meanwhile may be counted before or after.
    pub fn status(&self) -> SpoolResult<Status> {
        let mut status = Status {
            spool: self.id,
            logs: 0,
            log_bytes: 0,
            mails: 0,
            mail_bytes: 0,
            since: None,
            next: self.next()?,
            last: None,
        };
        let mut waits =
            |since: i64| status.since = Some(status.since.map_or(since, |other| other.min(since)));
        for (log, record) in self.taken()? {
            status.logs += 1;
            status.log_bytes += fs::metadata(&log).doing("looking at", &log)?.len();
            waits(record.taken_at);
        }
        let queue = self.path("queue");
        for name in names(&queue, "")? {
            let directory = queue.join(name);
            let description = directory.join("log.json");
            if !description.exists() {
                continue;
            }
            let record: super::Record = read(&description)?;
            for name in names(&directory, ".mail")? {
                let mail = directory.join(name);
                status.mails += 1;
                status.mail_bytes += fs::metadata(&mail).doing("looking at", &mail)?.len();
                waits(record.taken_at);
            }
        }
        let path = self.path("last.json");
        status.last = match fs::read(&path) {
            Ok(text) => Some(understood(&path, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).doing("reading", &path),
        };
        Ok(status)
    }
}
