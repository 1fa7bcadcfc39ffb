//! What of slow queries an account is told, and where.

use super::problems::Problems;
use crate::slow::mail;
use honcho_api::{SlowSettings, SlowSettingsUpdate};
use honcho_model::AccountId;
use honcho_model::event::ResourceKind;
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Scope, StoreResult, Tx, accounts, slow};

/// Changes what an account is told.
pub(crate) struct SlowSettingsChange {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
    pub(crate) body: SlowSettingsUpdate,
}

impl Change for SlowSettingsChange {
    type Out = SlowSettings;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<SlowSettings> {
        let account = accounts::get(tx, self.scope, self.id).await?;
        let before = slow::settings(tx, self.id).await?;
        let mut problems = Problems::default();
        let top = self.body.top_queries_count.unwrap_or(before.top_queries_count);
        problems.within("top_queries_count", top, 0..=100);
        let mail_to = match self.body.mail_to.as_deref() {
            None => before.mail_to.clone(),
            Some("") => None,
            Some(text) => problems.check("mail_to", mail::address(text)).map(str::to_owned),
        };
        let weekly_mail = self.body.weekly_mail.unwrap_or(before.weekly_mail);
        if weekly_mail && mail_to.is_none() && problems.is_empty() {
            problems.add("mail_to", "can't be blank if there is to be a weekly mail");
        }
        problems.none()?;
        let after = SlowSettings { account_id: self.id.0, top_queries_count: top, mail_to, weekly_mail };
        if after == before {
            return Ok(before);
        }
        slow::set_settings(tx, &after).await?;
        let resource = (ResourceKind::Account, account.id, account.name.as_str());
        let event =
            NewEvent::info("account.slow_settings", resource, "what is told of its slow queries was changed");
        let json = |settings: &SlowSettings| serde_json::to_value(settings).ok();
        events::record(tx, event.of(Some(self.id)).change(json(&before), json(&after))).await?;
        Ok(after)
    }
}
