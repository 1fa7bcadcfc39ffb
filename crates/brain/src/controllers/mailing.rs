//! Hands mails to the local mail daemon. A mail is a row until it has it, so that none is lost while that (or this brain) is down.
//! One that was handed over by a brain that died before it could forget it goes twice, with the same Message-ID.

use super::telling::pause;
use crate::app::App;
use crate::operations::MailNote;
use crate::slow::mail::whole;
use honcho_post::{Answer, Sendmail};
use honcho_store::outgoing_mails::{self, OutgoingMail};
use honcho_store::{Actor, StoreResult, brain};
use std::io::Write as _;
use std::time::Duration;

/// How long the command may take for one mail.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn step(app: App) -> StoreResult<()> {
    for mail in outgoing_mails::due(app.store.reader(), app.now()).await? {
        let again_at = match hand_over(&app, &mail).await? {
            Ok(()) => None,
            Err(why) => {
                tracing::warn!(
                    mail = mail.id,
                    recipient = mail.recipient,
                    why,
                    "a mail waits for the mail daemon"
                );
                Some(app.now().plus(pause(mail.failures)))
            }
        };
        let id = mail.id;
        app.write(Actor::honcho(), &MailNote { id, again_at }).await?;
        if again_at.is_some() {
            // What it says of one it will say of all.
            return Ok(());
        }
    }
    Ok(())
}

async fn hand_over(app: &App, mail: &OutgoingMail) -> StoreResult<Result<(), String>> {
    let brain = brain::get(app.store.reader())
        .await?
        .map_or_else(String::new, |known| known.uuid.simple().to_string());
    let text = whole(mail, &app.slow.mail_from, &brain);
    let file = app.data.join("outgoing.mail");
    let sendmail = Sendmail { program: app.slow.sendmail.clone(), patience: PATIENCE };
    let (from, to) = (app.slow.mail_from.clone(), mail.recipient.clone());
    let run = move || -> std::io::Result<Answer> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)?
            .write_all(text.as_bytes())?;
        let answer = sendmail.hand_over(&file, &from, &to)?;
        std::fs::remove_file(&file)?;
        Ok(answer)
    };
    Ok(match tokio::task::spawn_blocking(run).await {
        Ok(Ok(Answer::Queued)) => Ok(()),
        Ok(Ok(Answer::Refused(why))) => Err(why),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    })
}
