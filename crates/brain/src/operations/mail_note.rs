//! What became of a mail that was to be sent.

use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, Timestamp};
use honcho_store::events::{self, NewEvent};
use honcho_store::outgoing_mails::{self, OutgoingMail};
use honcho_store::{Change, StoreResult, Tx};

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MailEnd {
    /// A mail daemon has it.
    HandedOver,
    /// Its account is gone, or gave another address.
    Unwanted,
    /// It is tried again then.
    PutOff(Timestamp),
    /// It was tried long enough: what the mail daemon said last.
    GivenUp(String),
}

/// Notes what became of a mail.
pub(crate) struct MailNote<'a> {
    pub(crate) mail: &'a OutgoingMail,
    pub(crate) end: MailEnd,
}

impl Change for MailNote<'_> {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        match &self.end {
            MailEnd::HandedOver | MailEnd::Unwanted => outgoing_mails::forget(tx, self.mail.id).await,
            MailEnd::PutOff(until) => outgoing_mails::put_off(tx, self.mail.id, *until).await,
            MailEnd::GivenUp(why) => {
                if let (Some(id), Some(name)) = (self.mail.account_id, &self.mail.account_name) {
                    let days = (tx.now.0 - self.mail.created_at) / 86_400_000_000;
                    let text = format!(
                        "the mail \"{}\" to {} was given up after {days} days: {why}",
                        self.mail.subject, self.mail.recipient
                    );
                    let resource = (ResourceKind::Account, id, name.as_str());
                    let event = NewEvent::info("account.mail_given_up", resource, text).alarm();
                    events::record(tx, event.of(Some(AccountId(id)))).await?;
                }
                outgoing_mails::forget(tx, self.mail.id).await
            }
        }
    }
}
