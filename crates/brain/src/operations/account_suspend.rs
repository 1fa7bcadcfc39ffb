//! Suspending an account (it has not paid), and ending that.
//!
//! A suspended guest is wanted stopped whatever its own power says, which stays as it was: that is how those come back
//! that should run, and no others.

use super::account::record;
use super::guest_power::save;
use super::operators_only;
use super::problems::Problems;
use honcho_api::Account;
use honcho_model::AccountId;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, accounts, guests_desired};

/// Stops all guests of an account and forbids to start them.
pub(crate) struct AccountSuspend {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
    /// Why, for people.
    pub(crate) reason: Option<String>,
}

impl Change for AccountSuspend {
    type Out = Account;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Account> {
        operators_only(self.scope)?;
        let before = accounts::get(tx, self.scope, self.id).await?;
        let mut problems = Problems::default();
        let reason = self.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
        problems.line("reason", reason);
        problems.none()?;
        if before.suspended_at.is_some() {
            return Err(Refusal::Conflict("it is suspended already".to_owned()).into());
        }
        accounts::suspend(tx, self.id, Some(tx.now), reason).await?;
        for id in guests_desired::of_account(tx, self.id).await? {
            let before = guests_desired::get(tx, Scope::System, id).await?;
            let mut guest = before.clone();
            guest.suspended_at = Some(tx.now);
            // It may come back: its filesystem deserves to be told.
            guest.stop_hard = false;
            save(tx, self.scope, OperationKind::Suspend, &before, &mut guest).await?;
        }
        let after = accounts::get(tx, self.scope, self.id).await?;
        record(tx, "account.suspend", &after, "was suspended", Some(&before)).await?;
        Ok(after)
    }
}

/// Lets the guests of a suspended account run again, and starts those that should.
pub(crate) struct AccountUnsuspend {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
}

impl Change for AccountUnsuspend {
    type Out = Account;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Account> {
        operators_only(self.scope)?;
        let before = accounts::get(tx, self.scope, self.id).await?;
        if before.suspended_at.is_none() {
            return Err(Refusal::Conflict("it is not suspended".to_owned()).into());
        }
        accounts::suspend(tx, self.id, None, None).await?;
        for id in guests_desired::of_account(tx, self.id).await? {
            let before = guests_desired::get(tx, Scope::System, id).await?;
            let mut guest = before.clone();
            guest.suspended_at = None;
            if guest.power == Power::Running && guest.cancelled_at.is_none() {
                // The domain that may still be stopping carries a lower number, so this start is one of its own.
                guest.boots_wanted += 1;
                guest.boot_hard = guest.stop_hard;
                guest.given_up = None;
            }
            save(tx, self.scope, OperationKind::Unsuspend, &before, &mut guest).await?;
        }
        let after = accounts::get(tx, self.scope, self.id).await?;
        record(tx, "account.unsuspend", &after, "is suspended no more", Some(&before)).await?;
        Ok(after)
    }
}
