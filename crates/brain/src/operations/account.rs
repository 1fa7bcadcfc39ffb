//! Accounts: make, change, delete.

use super::operators_only;
use super::problems::Problems;
use honcho_api::Account;
use honcho_model::AccountId;
use honcho_model::event::ResourceKind;
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Filters, Refusal, Scope, StoreResult, Tx, accounts};
use uuid::Uuid;

/// 14 days: how long a cancelled guest's disk is kept, unless the account says otherwise.
const GRACE_SECONDS: i64 = 14 * 24 * 3600;

/// Makes an account.
pub(crate) struct AccountCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) body: honcho_api::AccountCreate,
}

impl Change for AccountCreate {
    type Out = Account;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Account> {
        operators_only(self.scope)?;
        if let Some(reference) = &self.body.reference {
            let known =
                accounts::list(tx, Scope::System, &Filters::default().and("reference", reference)).await?;
            if let Some(known) = known.into_iter().next() {
                return Ok(known);
            }
        }
        let mut problems = Problems::default();
        let grace = self.body.grace_seconds.unwrap_or(GRACE_SECONDS);
        problems.within("grace_seconds", grace, 0..=10 * 365 * 24 * 3600);
        let Some(name) = problems.name(self.body.name.as_deref()) else { return Err(problems.into()) };
        problems.none()?;
        let reference = self.body.reference.clone();
        let new = accounts::NewAccount { uuid: self.uuid, name, reference, grace_seconds: grace };
        let id = accounts::create(tx, &new).await?;
        let account = accounts::get(tx, Scope::System, id).await?;
        record(tx, "account.create", &account, "was made", None).await?;
        Ok(account)
    }
}

async fn record(
    tx: &Tx,
    kind: &str,
    account: &Account,
    text: &str,
    before: Option<&Account>,
) -> StoreResult<()> {
    let resource = (ResourceKind::Account, account.id, account.name.as_str());
    let before = before.and_then(|before| serde_json::to_value(before).ok());
    let event = NewEvent::info(kind, resource, text).of(Some(AccountId(account.id)));
    events::record(tx, event.change(before, serde_json::to_value(account).ok())).await?;
    Ok(())
}

/// Changes an account's name or grace period.
pub(crate) struct AccountUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
    pub(crate) body: honcho_api::AccountCreate,
    pub(crate) lock_version: Option<i64>,
}

impl Change for AccountUpdate {
    type Out = Account;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Account> {
        operators_only(self.scope)?;
        let before = accounts::get(tx, self.scope, self.id).await?;
        let mut problems = Problems::default();
        let grace = self.body.grace_seconds.unwrap_or(before.grace_seconds);
        problems.within("grace_seconds", grace, 0..=10 * 365 * 24 * 3600);
        let name = problems.name(Some(self.body.name.as_deref().unwrap_or(&before.name)));
        let Some(name) = name else { return Err(problems.into()) };
        problems.none()?;
        if name.as_str() == before.name && grace == before.grace_seconds {
            return Ok(before);
        }
        refuse_stale(self.lock_version, before.lock_version)?;
        accounts::update(tx, self.id, &name, grace).await?;
        let after = accounts::get(tx, self.scope, self.id).await?;
        record(tx, "account.update", &after, "was changed", Some(&before)).await?;
        Ok(after)
    }
}

/// Refuses a change that was made from an old copy.
pub(super) fn refuse_stale(shown: Option<i64>, current: i64) -> StoreResult<()> {
    match shown {
        Some(shown) if shown != current => Err(Refusal::Conflict(format!(
            "it was changed meanwhile (lock_version is {current}, not {shown}): read it again and change that"
        ))
        .into()),
        _ => Ok(()),
    }
}

/// Deletes an account that owns nothing.
pub(crate) struct AccountDelete {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
}

impl Change for AccountDelete {
    type Out = Account;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Account> {
        operators_only(self.scope)?;
        let account = accounts::get(tx, self.scope, self.id).await?;
        accounts::delete(tx, self.id).await?;
        record(tx, "account.delete", &account, "was deleted", Some(&account)).await?;
        Ok(account)
    }
}
