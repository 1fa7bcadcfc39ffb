//! `honcho post`: the mails that servers send slow logs in.

use crate::clean::clean;
use crate::command_error::CommandError;
use crate::context::Context;
use honcho_api::SlowMail;
use honcho_api::client::{Client, ClientError};
use honcho_post::{Follow, Maildir, Notice, Tally, Verdict};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

const IMPORT_HELP: &str = "\
DIR is a Maildir, to which this machine's mail daemon delivers (`honcho mail config receiver` sets that up). Each mail in DIR/new is \
handed to the brain, counted once however often and by however many receivers it comes, and removed when the brain has said \
so. What can never be read goes to DIR/quarantine with a reason beside it; what the brain cannot take now stays. Run it as the user \
that owns the mails.

The token is an operator's, or one of this receiver alone: honcho token create mx1 --guest mx1 --receives-post
On the brain's own machine `honcho serve --post DIR` does the same.

Examples:
  honcho post import /var/mail/honcho/slowlog --once
  honcho --token-file /etc/honcho/receiver.token post import /var/mail/honcho/slowlog --follow";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum PostCommand {
    /// Hand the mails of a Maildir to the brain
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// The Maildir
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// End when all that is there was handed in, also when nothing is said
        #[arg(long, conflicts_with = "follow")]
        once: bool,
        /// Go on, and import what arrives, until SIGINT or SIGTERM
        #[arg(long)]
        follow: bool,
    },
}

pub(crate) async fn run(context: &Context, command: &PostCommand) -> Result<(), CommandError> {
    let PostCommand::Import { directory, follow, .. } = command;
    let follow = if *follow { Follow::On } else { Follow::Once };
    let maildir = Maildir::open(directory).map_err(|error| {
        let text = format!("{} cannot be used as a Maildir", clean(&directory.display().to_string()));
        CommandError::failed(text).cause(&error).hint(
            "it is a directory that a mail daemon delivers to, and this runs as the user that owns the mails",
        )
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(&stop)?;
    let client = context.client()?.clone();
    let runtime = tokio::runtime::Handle::current();
    let (stopping, output) = (stop.clone(), context.output.clone());
    let events = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = events.clone();
    let thread = tokio::task::spawn_blocking(move || {
        let now = || UNIX_EPOCH + Duration::from_secs(u64::try_from(output.now().as_second()).unwrap_or(0));
        let mut hand_in = |mail: &[u8]| {
            let answer = runtime.block_on(client.hand_in_mail(mail.to_vec()));
            if let Ok(answer) = &answer {
                counted.fetch_add(u64::try_from(answer.events_count).unwrap_or(0), Ordering::Relaxed);
            }
            verdict(&client, answer)
        };
        honcho_post::import(&maildir, follow, &stopping, now, &mut hand_in, &mut tell)
    });
    let tally = thread.await.map_err(|error| CommandError::failed("the import failed").cause(&error))?;
    let tally = tally.map_err(|error| CommandError::failed("the Maildir cannot be read").cause(&error))?;
    told(context, directory, tally, events.load(Ordering::Relaxed))
}

fn stop_on_signals(stop: &Arc<AtomicBool>) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| CommandError::failed("cannot listen for signals").cause(&error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// What becomes of a mail after this answer. Only what can never be counted is put aside.
fn verdict(client: &Client, answer: Result<SlowMail, ClientError>) -> Verdict {
    match answer {
        Ok(_) => Verdict::Done,
        Err(ClientError::Refused(body)) if body.code == "unreadable_mail" => {
            Verdict::Refused(body.sentence())
        }
        Err(error) => Verdict::Later(format!("{}: {error}", client.url())),
    }
}

#[expect(clippy::print_stderr, reason = "what a service says goes to its log")]
#[expect(clippy::needless_pass_by_value, reason = "it is told, and kept by nobody")]
fn tell(notice: Notice<'_>) {
    let name = |mail: &Path| clean(&mail.display().to_string());
    match notice {
        Notice::Refused(mail, why) => eprintln!("{}: put into quarantine: {}", name(mail), clean(why)),
        Notice::Later(mail, why) => eprintln!("{}: waits: {}", name(mail), clean(why)),
        Notice::Failed(mail, error) => eprintln!("{}: {error}", name(mail)),
    }
}

fn told(context: &Context, directory: &Path, tally: Tally, events: u64) -> Result<(), CommandError> {
    let Tally { done, refused, waiting } = tally;
    if context.output.json {
        let document = serde_json::json!({
            "mails": done, "events": events, "quarantined": refused, "waiting": waiting,
        });
        context.output.json(&document)?;
    } else {
        let aside = clean(&directory.join("quarantine").display().to_string());
        let refused = if refused > 0 { format!("; {refused} put into {aside}") } else { String::new() };
        let mails = if done == 1 { "mail" } else { "mails" };
        context.output.print(&format!("{done} {mails} handed in, {events} queries counted{refused}"))?;
    }
    if waiting > 0 {
        return Err(
            CommandError::failed(format!("{waiting} mails wait")).hint("why stands above; run it again")
        );
    }
    Ok(())
}
