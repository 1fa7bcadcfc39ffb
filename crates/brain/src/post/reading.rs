//! A mail's events, added up day by day, in bounded memory.

use honcho_model::Timestamp;
use honcho_post::{Letter, Unreadable};
use honcho_slowlog::{Digest, Event, Resolution, Samples, Settings};
use honcho_store::slow::{Day, Mail, MailImport};

const DAY: i64 = 86_400_000_000;
/// The year 2000: no log is older.
const EARLIEST: i64 = 946_684_800_000_000;
/// A mail that says to hold more days than this has the rest of them in the day of its cutting.
const MOST_DAYS: usize = 40;
/// The same of one whose days hold more classes than this: each is rows to be written, in one transaction.
const MOST_CLASSES: usize = 10_000;

/// What one day of a mail may take of memory; forty of them are bounded, too.
const SETTINGS: Settings = Settings {
    dialect: honcho_slowlog::Dialect {
        quoting: honcho_slowlog::Quoting::Toolkit35,
        numbers: honcho_slowlog::Numbers::Everywhere,
        checksums: honcho_slowlog::Checksums::Kept,
    },
    samples: Samples::Redacted,
    most_classes: 5_000,
    most_text: 4 << 20,
    most_periods: 20_000,
    most_statements: 2 << 20,
};

/// Reads a mail. What it says of times that cannot be is counted in the hour in which it was cut; if that cannot be either,
/// in this one.
pub(super) fn read(mail: &[u8], now: Timestamp) -> Result<MailImport, Unreadable> {
    let letter = Letter::read(mail)?;
    let latest = now.0.saturating_add(DAY);
    let plausible = |time: &i64| *time >= EARLIEST && *time <= latest;
    let fallback = Some(letter.cut_at).filter(plausible).unwrap_or(now.0);
    let mut days: Vec<Day> = Vec::new();
    let (mut current, mut left_out) = (0, 0);
    letter.log(|batch| {
        let reading = batch.events(|event| {
            let mut time = event.time.filter(plausible).unwrap_or(fallback);
            let mut begins = begin(time);
            if days.get(current).is_none_or(|day| day.begins != begins) {
                let known = days.iter().any(|day| day.begins == begins);
                let classes = || days.iter().map(|day| day.digest.classes().len()).sum::<usize>();
                if !known && (days.len() >= MOST_DAYS || classes() >= MOST_CLASSES) {
                    (time, begins) = (fallback, begin(fallback));
                }
                current = days.iter().position(|day| day.begins == begins).unwrap_or_else(|| {
                    days.push(Day { begins, digest: Digest::new(SETTINGS) });
                    days.len() - 1
                });
            }
            if event.time == Some(time) {
                days[current].digest.add(event);
            } else {
                days[current].digest.add(&Event { time: Some(time), ..event.clone() });
            }
        });
        left_out += reading.left_out;
    })?;
    let mail = Mail {
        node: letter.node.as_str().to_owned(),
        reported_name: letter.server.clone(),
        spool: letter.spool,
        sequence: i64::try_from(letter.sequence).unwrap_or(i64::MAX),
        digest: letter.digest,
        cut_at: letter.cut_at,
        logging: letter.logging,
        bytes: letter.length,
        left_out,
    };
    Ok(MailImport { mail, days })
}

fn begin(time: i64) -> i64 {
    Resolution::Day.period_of(time)
}
