//! Importing a Maildir as mails arrive: told by inotify, and looked through at the start and now and then, for what tells can
//! fail. Blocking: it has a thread of its own.

use crate::maildir::{Maildir, Tally, Verdict};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// How often the whole directory is looked through though nothing was told.
const NOW_AND_THEN: Duration = Duration::from_secs(30);
/// How often it is looked whether to end.
const GLANCE: Duration = Duration::from_millis(250);
/// How long it waits after a mail that could not be imported yet: twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// One mail that cannot be imported yet is passed by, for it may be that mail; of so many in a row it is the brain.
const MOST_IN_A_ROW: u32 = 3;

/// Whether it goes on once all mails that are there are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It ends.
    Once,
    /// It waits for more.
    On,
}

/// What happened, for whoever keeps a log.
#[derive(Clone, Debug)]
pub enum Notice<'run> {
    /// A mail was put into quarantine: why.
    Refused(&'run Path, &'run str),
    /// A mail waits: why.
    Later(&'run Path, &'run str),
    /// A mail could not be read, or not be removed.
    Failed(&'run Path, &'run io::Error),
}

/// Imports what is there, and with [`Follow::On`] what comes, until `stop`.
pub fn import(
    maildir: &Maildir,
    follow: Follow,
    stop: &AtomicBool,
    now: impl Fn() -> SystemTime,
    hand_in: &mut dyn FnMut(&[u8]) -> Verdict,
    tell: &mut dyn FnMut(Notice<'_>),
) -> io::Result<Tally> {
    // Watched before it is looked through: nothing arrives in between unseen.
    let watch = watch(maildir)?;
    let mut tally = Tally::default();
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some((path, error)) = maildir.sweep(now()) {
            tell(Notice::Failed(&path, &error));
        }
        let waiting = pass(maildir, stop, hand_in, tell, &mut tally)?;
        tally.waiting = waiting;
        if follow == Follow::Once || stop.load(Ordering::Relaxed) {
            return Ok(tally);
        }
        if waiting > 0 {
            rest(stop, pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        } else {
            pause = FIRST_PAUSE;
            wait(&watch, stop)?;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(tally);
        }
    }
}

/// One pass through the mails that are there. Answers with how many wait.
fn pass(
    maildir: &Maildir,
    stop: &AtomicBool,
    hand_in: &mut dyn FnMut(&[u8]) -> Verdict,
    tell: &mut dyn FnMut(Notice<'_>),
    tally: &mut Tally,
) -> io::Result<u64> {
    let mails = maildir.mails()?;
    let (mut waiting, mut in_a_row) = (0, 0);
    for (at, mail) in mails.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match maildir.import(mail, hand_in) {
            Ok(Verdict::Done) => tally.done += 1,
            Ok(Verdict::Refused(why)) => {
                tally.refused += 1;
                tell(Notice::Refused(mail, &why));
            }
            Ok(Verdict::Later(why)) => {
                tell(Notice::Later(mail, &why));
                (waiting, in_a_row) = (waiting + 1, in_a_row + 1);
                // What keeps so many back keeps the others back.
                if in_a_row == MOST_IN_A_ROW {
                    return Ok(waiting + (mails.len() - at - 1) as u64);
                }
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                waiting += 1;
                tell(Notice::Failed(mail, &error));
            }
        }
        in_a_row = 0;
    }
    Ok(waiting)
}

fn watch(maildir: &Maildir) -> io::Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    // Postfix links a mail into new/, others rename it.
    inotify::add_watch(&watch, maildir.new_directory(), WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
    Ok(watch)
}

/// Waits until something arrives, or it is time to look anyway, or to end.
fn wait(watch: &OwnedFd, stop: &AtomicBool) -> io::Result<()> {
    let glances = NOW_AND_THEN.as_millis() / GLANCE.as_millis();
    let glance = Timespec { tv_sec: 0, tv_nsec: i64::from(GLANCE.subsec_nanos()) };
    for _ in 0..glances {
        let mut polled = [PollFd::new(watch, PollFlags::IN)];
        let told = match poll(&mut polled, Some(&glance)) {
            Ok(told) => told > 0,
            Err(Errno::INTR) => false,
            Err(error) => return Err(error.into()),
        };
        if told {
            return drain(watch);
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// What was told says only that the directory is to be looked through.
fn drain(watch: &OwnedFd) -> io::Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(watch, &mut buffer);
    loop {
        match reader.next() {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn rest(stop: &AtomicBool, pause: Duration) {
    let mut left = pause;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        let glance = left.min(GLANCE);
        std::thread::sleep(glance);
        left -= glance;
    }
}
