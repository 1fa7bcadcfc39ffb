//! Cutting a taken log into mails, once: what is in `queue/` is sent as it is, however often.

use super::{Doing as _, KNOWN_FOR, Record, Spool, SpoolResult, names, read, written};
use crate::durable;
use crate::envelope::{self, Identity, Letterhead};
use crate::part::{Limits, Part, parts};
use honcho_slowlog::State;
use std::fs::{self, File};
use std::io;
use std::path::Path;

impl Spool {
    /// Makes mails of the oldest log that is in. False if there is none. Called by whoever holds the lock.
    pub(super) fn cut_next(&self, head: &Letterhead, limits: Limits, now: i64) -> SpoolResult<bool> {
        let Some((log, mut record)) = self.taken()?.into_iter().next() else { return Ok(false) };
        let cutting = self.sweep("cutting")?;
        let first = self.next()?;
        let described = cut(&log, &cutting, limits).doing("cutting", &log)?;
        let mails = described.len() as u64;
        for (at, (state, raw)) in described.into_iter().enumerate() {
            let at = at as u64;
            let part = cutting.join(format!("{at}.part"));
            let identity =
                Identity { spool: self.id, sequence: first + at, part: at + 1, parts: mails, cut_at: now };
            let compressed = fs::read(&part).doing("reading", &part)?;
            let mail = envelope::write(head, &identity, Part { state, raw, compressed });
            let path = cutting.join(format!("{:020}.mail", first + at));
            durable::create(&path, &mail.doing("writing", &path)?).doing("writing", &path)?;
            fs::remove_file(&part).doing("removing", &part)?;
        }
        (record.first, record.mails) = (Some(first), Some(mails));
        let description = cutting.join("log.json");
        durable::create(&description, &written(&record)).doing("writing", &description)?;
        durable::sync_directory(&cutting).doing("writing", &cutting)?;
        let queued = self.path("queue").join(format!("{first:020}"));
        fs::rename(&cutting, &queued).doing("renaming to", &queued)?;
        fs::create_dir(&cutting).doing("making", &cutting)?;
        durable::sync_directory(&self.path("queue")).doing("writing", &queued)?;
        durable::sync_directory(&self.root).doing("writing", &self.root)?;
        self.settle(&queued)?;
        Ok(true)
    }

    /// Draws what follows from a log's mails being queued. It may have been done already, in part or in whole.
    pub(super) fn settle(&self, queued: &Path) -> SpoolResult<()> {
        let description = queued.join("log.json");
        if !description.exists() {
            // All its mails were handed over, and the directory was about to go.
            return Ok(());
        }
        let record: Record = read(&description)?;
        let known = self.path("logs").join(format!("{}.json", record.digest));
        if !known.exists() {
            durable::write(&known, &written(&record)).doing("writing", &known)?;
        }
        let next = record.first.unwrap_or(0) + record.mails.unwrap_or(0);
        if self.next()? < next {
            let path = self.path("next");
            durable::write(&path, next.to_string().as_bytes()).doing("writing", &path)?;
        }
        let name = format!("{:020}-{}", record.taken_at, record.digest);
        for ending in ["log", "json"] {
            let path = self.path("taken").join(format!("{name}.{ending}"));
            durable::remove(&path).doing("removing", &path)?;
        }
        // Before its mails go: a power cut must not bring back a log whose mails were sent.
        let taken = self.path("taken");
        durable::sync_directory(&taken).doing("writing", &taken)
    }

    /// The number of the next mail.
    pub(super) fn next(&self) -> SpoolResult<u64> {
        let path = self.path("next");
        match fs::read_to_string(&path) {
            Ok(text) => text
                .trim()
                .parse()
                .map_err(|_| super::SpoolError::Strange { path, why: "it holds no number".to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(1),
            Err(error) => Err(error).doing("reading", &path),
        }
    }

    /// Forgets logs that nobody will give again.
    pub(super) fn forget_old(&self, now: i64) -> SpoolResult<()> {
        let directory = self.path("logs");
        for name in names(&directory, "")? {
            let path = directory.join(name);
            let record: Record = read(&path)?;
            if now.saturating_sub(record.taken_at) > KNOWN_FOR {
                fs::remove_file(&path).doing("removing", &path)?;
            }
        }
        Ok(())
    }
}

/// Writes the parts of a log into a directory, and gives what each of them needs besides its bytes.
fn cut(log: &Path, into: &Path, limits: Limits) -> io::Result<Vec<(State, u64)>> {
    let mut described = Vec::new();
    parts(File::open(log)?, limits, |part| {
        fs::write(into.join(format!("{}.part", described.len())), &part.compressed)?;
        described.push((part.state, part.raw));
        Ok(())
    })?;
    Ok(described)
}
