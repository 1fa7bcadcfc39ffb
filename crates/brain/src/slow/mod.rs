//! What this brain does with slow queries of its own accord: how long it keeps them, whom it tells, and in which words.

pub(crate) mod mail;
pub(crate) mod words;

use honcho_model::Timestamp;
use honcho_store::slow::Kept;
use std::path::PathBuf;

const DAY: i64 = 86_400_000_000;

/// How slow queries are kept, and how mails are sent.
#[derive(Clone, Debug)]
pub struct SlowOptions {
    /// For so many days what happened is known by the hour.
    pub hours_kept_days: u16,
    /// For so many days it is known by the day.
    pub days_kept_days: u16,
    /// The command of the local mail daemon.
    pub sendmail: PathBuf,
    /// Whom mails are from.
    pub mail_from: String,
}

/// Reads an address that mails are from.
pub fn mail_address(text: &str) -> Result<String, &'static str> {
    mail::address(text).map(str::to_owned)
}

impl Default for SlowOptions {
    fn default() -> Self {
        SlowOptions {
            hours_kept_days: 35,
            days_kept_days: 400,
            sendmail: PathBuf::from("/usr/sbin/sendmail"),
            mail_from: "honcho@localhost".to_owned(),
        }
    }
}

impl SlowOptions {
    /// What is kept at a moment: whole days.
    pub(crate) fn kept(&self, now: Timestamp) -> Kept {
        let since = |days: u16| (now.0 - i64::from(days) * DAY).div_euclid(DAY) * DAY;
        Kept { hours_since: since(self.hours_kept_days), days_since: since(self.days_kept_days) }
    }
}
