//! Hands mails to the local mail daemon. A mail is a row until it has it, so that none is lost while that (or this brain) is down.
//! One that was handed over by a brain that died before it could forget it goes twice, with the same Message-ID.

use super::telling::pause;
use crate::app::App;
use crate::operations::{MailEnd, MailNote};
use crate::slow::mail::whole;
use honcho_model::Timestamp;
use honcho_post::{Answer, Sendmail};
use honcho_store::outgoing_mails::{self, OutgoingMail};
use honcho_store::{Actor, StoreResult, brain};
use std::io::Write as _;
use std::time::Duration;

/// How long the command may take for one mail.
const PATIENCE: Duration = Duration::from_secs(30);
/// What no mail daemon took for so long is no news any more.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(14 * 24);

pub(crate) async fn step(app: App) -> StoreResult<()> {
    for mail in outgoing_mails::due(app.store.reader(), app.now()).await? {
        let answer = if mail.is_wanted() { Some(hand_over(&app, &mail).await?) } else { None };
        // What it says of one it need not say of others, as of an address that it does not know; what says nothing is not asked again.
        let goes_on = !matches!(answer, Some(Answer::None(_)));
        let end = match answer {
            None => MailEnd::Unwanted,
            Some(Answer::Queued) => MailEnd::HandedOver,
            Some(Answer::Refused(why) | Answer::None(why)) => {
                tracing::warn!(
                    mail = mail.id,
                    recipient = mail.recipient,
                    why,
                    "a mail waits for the mail daemon"
                );
                if app.now().since(Timestamp(mail.created_at)) > GIVEN_UP_AFTER {
                    MailEnd::GivenUp(why)
                } else {
                    MailEnd::PutOff(app.now().plus(pause(mail.failures)))
                }
            }
        };
        app.write(Actor::honcho(), &MailNote { mail: &mail, end }).await?;
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}

async fn hand_over(app: &App, mail: &OutgoingMail) -> StoreResult<Answer> {
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
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::None(error.to_string()),
        Err(error) => Answer::None(error.to_string()),
    })
}
