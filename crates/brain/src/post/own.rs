//! This brain's own Maildir, imported in a thread of its own: waiting for files blocks.

use super::{NotCounted, import};
use crate::app::App;
use anyhow::Context as _;
use honcho_post::{Follow, Maildir, Notice, Verdict};
use honcho_store::Actor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tokio::task::JoinHandle;

/// Begins to import it. It ends when the brain does.
pub(crate) fn start(app: &App, directory: &Path) -> anyhow::Result<JoinHandle<()>> {
    let maildir = Maildir::open(directory).with_context(|| {
        format!(
            "opening the Maildir {}: does a mail daemon deliver there, and may this user read it?",
            directory.display()
        )
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    let (ending, stopping) = (app.ending.clone(), stop.clone());
    tokio::spawn(async move {
        ending.cancelled().await;
        stopping.store(true, Ordering::Relaxed);
    });
    let (app, runtime) = (app.clone(), tokio::runtime::Handle::current());
    tracing::info!(directory = %directory.display(), "the post is imported");
    Ok(tokio::task::spawn_blocking(move || {
        let clock = app.clone();
        let now = move || UNIX_EPOCH + Duration::from_micros(u64::try_from(clock.now().0).unwrap_or(0));
        let mut hand_in =
            |mail: &[u8]| verdict(runtime.block_on(import(&app, Actor::honcho(), mail.to_vec())));
        // What could not be watched is tried again: a directory may come back.
        while !stop.load(Ordering::Relaxed) {
            let run = honcho_post::import(&maildir, Follow::On, &stop, &now, &mut hand_in, &mut tell);
            if let Err(error) = run {
                tracing::error!(%error, "the Maildir cannot be read; it is tried again");
                std::thread::sleep(Duration::from_secs(5));
            }
        }
    }))
}

/// What becomes of the file.
fn verdict(outcome: Result<super::Counted, NotCounted>) -> Verdict {
    match outcome {
        Ok(_) => Verdict::Done,
        Err(NotCounted::Unreadable(why)) => Verdict::Refused(why.to_string()),
        Err(NotCounted::Contradicts(sequence)) => Verdict::Refused(contradiction(sequence)),
        Err(NotCounted::Store(error)) => Verdict::Later(error.to_string()),
        Err(NotCounted::Failed) => {
            Verdict::Refused("reading it failed in a way that is a defect of Honcho's".to_owned())
        }
    }
}

/// For people.
pub(crate) fn contradiction(sequence: i64) -> String {
    format!("another mail {sequence} of its spool was counted before, with other contents")
}

#[expect(clippy::needless_pass_by_value, reason = "it is told, and kept by nobody")]
fn tell(notice: Notice<'_>) {
    match notice {
        Notice::Refused(mail, why) => {
            tracing::warn!(mail = %mail.display(), why, "a mail was put into quarantine");
        }
        Notice::Later(mail, why) => tracing::warn!(mail = %mail.display(), why, "the post waits"),
        Notice::Failed(mail, error) => {
            tracing::error!(mail = %mail.display(), %error, "a mail cannot be read");
        }
    }
}
