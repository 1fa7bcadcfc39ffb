//! Handing mails over, and forgetting those that the mail daemon has.

use super::status::LastTry;
use super::{Doing as _, Spool, SpoolResult, names, written};
use crate::durable;
use crate::envelope::Letterhead;
use crate::part::Limits;
use crate::sendmail::{Answer, Sendmail};
use std::fs;
use std::path::Path;

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// So many mails were handed over, and nothing waits.
    All(u64),
    /// So many were; the mail daemon did not take the next one, and it waits with all behind it.
    Waiting(u64, String),
    /// Another program is at it, and takes along what is in.
    Busy,
}

impl Spool {
    /// Hands over everything that is in, the oldest first, and stops at the first mail that is not taken. `clock` gives
    /// microseconds since 1970.
    pub fn hand_over(
        &self,
        head: &Letterhead,
        limits: Limits,
        sendmail: &Sendmail,
        clock: impl Fn() -> i64,
    ) -> SpoolResult<Handed> {
        let Some(_sending) = self.try_lock("sending.lock")? else { return Ok(Handed::Busy) };
        let mut handed = 0;
        let refused = loop {
            if let Some(why) = self.send_queue(head, sendmail, &mut handed)? {
                break Some(why);
            }
            if !self.cut_next(head, limits, clock())? {
                break None;
            }
        };
        self.forget_old(clock())?;
        let path = self.path("last.json");
        let last = LastTry { at: clock(), handed, refused: refused.clone() };
        durable::write(&path, &written(&last)).doing("writing", &path)?;
        Ok(match refused {
            None => Handed::All(handed),
            Some(why) => Handed::Waiting(handed, why),
        })
    }

    /// Hands over all that is queued. Says why if a mail is not taken.
    fn send_queue(
        &self,
        head: &Letterhead,
        sendmail: &Sendmail,
        handed: &mut u64,
    ) -> SpoolResult<Option<String>> {
        let queue = self.path("queue");
        for name in names(&queue, "")? {
            let directory = queue.join(name);
            self.settle(&directory)?;
            if let Some(why) = send_log(&directory, head, sendmail, handed)? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }
}

fn send_log(
    directory: &Path,
    head: &Letterhead,
    sendmail: &Sendmail,
    handed: &mut u64,
) -> SpoolResult<Option<String>> {
    for name in names(directory, ".mail")? {
        let mail = directory.join(name);
        match sendmail.hand_over(&mail, &head.from, &head.to).doing("handing over", &mail)? {
            Answer::Queued => fs::remove_file(&mail).doing("removing", &mail)?,
            Answer::Refused(why) | Answer::None(why) => return Ok(Some(why)),
        }
        *handed += 1;
    }
    // The removals of mails come first: a power cut must not leave them without what they belong to.
    durable::sync_directory(directory).doing("writing", directory)?;
    let description = directory.join("log.json");
    durable::remove(&description).doing("removing", &description)?;
    fs::remove_dir(directory).doing("removing", directory)?;
    Ok(None)
}
