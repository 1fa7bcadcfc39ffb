//! How an account ends: cancelled, taken back, deleted.
//!
//! ```text
//!   active --cancel--> cancelled: its guests are cancelled with it, all it owns is kept
//!      ^                  |   \
//!      '----restore-------'    '--grace period over, or cancelled with now--> deleting
//!                                                                                |
//!        each guest is deleted; its agent says that it is gone; then networks, as their agents remove them; images
//!                                                                                |
//!                                                                             deleted
//! ```
//!
//! Each step is a transaction of its own and finds by itself what is left to do, so that it can be broken off anywhere.

use super::account::record;
use super::guest_end::{Rooms, take_back};
use super::guest_power::save;
use super::operators_only;
use honcho_api::Account;
use honcho_model::AccountId;
use honcho_model::operation::OperationKind;
use honcho_placement::Rules;
use honcho_store::accounts::Standing;
use honcho_store::{Change, Refusal, Scope, StoreResult, Turn, Tx, accounts, guests_desired, operations};
use std::time::Duration;

/// Whether what is cancelled is kept for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grace {
    /// As long as the account says.
    Kept,
    /// It is deleted at once.
    None,
}

/// Stops all guests of an account, and keeps what it owns until its grace period ends.
pub(crate) struct AccountCancel {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
    pub(crate) grace: Grace,
}

impl Change for AccountCancel {
    type Out = Account;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Account> {
        operators_only(self.scope)?;
        let before = accounts::find(tx, self.scope, self.id).await?;
        let standing = accounts::standing(tx, self.id).await?;
        if before.deleted_at.is_some() || standing.deleting_at.is_some() {
            return Err(Refusal::Conflict("it is deleted".to_owned()).into());
        }
        if standing.cancelled_at.is_some() && self.grace == Grace::Kept {
            return Err(Refusal::Conflict("it is cancelled already".to_owned()).into());
        }
        let grace = Duration::from_secs(u64::try_from(before.grace_seconds).unwrap_or(0));
        let next = match self.grace {
            Grace::Kept => Standing {
                cancelled_at: Some(tx.now),
                deletes_at: Some(tx.now.plus(grace)),
                deleting_at: None,
            },
            Grace::None => Standing {
                cancelled_at: standing.cancelled_at.or(Some(tx.now)),
                deletes_at: Some(tx.now),
                deleting_at: Some(tx.now),
            },
        };
        accounts::stand(tx, self.id, next).await?;
        for id in guests_desired::of_account(tx, self.id).await? {
            let before = guests_desired::get(tx, Scope::System, id).await?;
            if before.cancelled_at.is_some() {
                continue;
            }
            let mut guest = before.clone();
            guest.cancelled_at = Some(tx.now);
            guest.cancelled_with_account = true;
            guest.deletes_at = next.deletes_at;
            // It may be taken back: its filesystem deserves to be told.
            guest.stop_hard = false;
            save(tx, self.scope, OperationKind::Cancel, &before, &mut guest).await?;
        }
        let after = accounts::find(tx, self.scope, self.id).await?;
        let (kind, text) = match self.grace {
            Grace::Kept => ("account.cancel", "was cancelled"),
            Grace::None => ("account.delete", "is being deleted, with all it owns"),
        };
        record(tx, kind, &after, text, Some(&before)).await?;
        Ok(after)
    }
}

/// Takes a cancelled account back, with exactly those guests that its cancellation cancelled.
pub(crate) struct AccountRestore {
    pub(crate) scope: Scope,
    pub(crate) id: AccountId,
    /// What placing holds to.
    pub(crate) rules: Rules,
}

impl Change for AccountRestore {
    type Out = Account;
    // What its guests had was given up, and is claimed again.
    const TURN: Turn = Turn::Room;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Account> {
        operators_only(self.scope)?;
        let before = accounts::find(tx, self.scope, self.id).await?;
        let standing = accounts::standing(tx, self.id).await?;
        if before.deleted_at.is_some() || standing.deleting_at.is_some() {
            return Err(Refusal::Conflict("it is deleted".to_owned()).into());
        }
        if standing.cancelled_at.is_none() {
            return Err(Refusal::Conflict("it is not cancelled".to_owned()).into());
        }
        accounts::stand(tx, self.id, Standing::default()).await?;
        let (mut rooms, mut stopped) = (Rooms::read(tx, self.rules).await?, Vec::new());
        for id in guests_desired::of_account(tx, self.id).await? {
            let before = guests_desired::get(tx, Scope::System, id).await?;
            if !before.cancelled_with_account {
                continue;
            }
            let mut guest = before.clone();
            let said = take_back(&mut guest, &mut rooms);
            let operation = save(tx, self.scope, OperationKind::Restore, &before, &mut guest).await?;
            if let Some(said) = said {
                operations::note(tx, operation.id.into(), said).await?;
                stopped.push(guest.name.to_string());
            }
        }
        let after = accounts::get(tx, self.scope, self.id).await?;
        let text = match stopped.as_slice() {
            [] => "was taken back".to_owned(),
            names => format!("was taken back; no room, and so stopped: {}", names.join(", ")),
        };
        record(tx, "account.restore", &after, &text, Some(&before)).await?;
        Ok(after)
    }
}

/// Begins to delete an account whose grace period has ended, if that still is so.
pub(crate) struct AccountLapse {
    pub(crate) id: AccountId,
}

impl Change for AccountLapse {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let standing = accounts::standing(tx, self.id).await?;
        let lapsed = standing.cancelled_at.is_some() && standing.deletes_at.is_some_and(|at| at <= tx.now);
        if !lapsed || standing.deleting_at.is_some() {
            return Ok(());
        }
        accounts::stand(tx, self.id, Standing { deleting_at: Some(tx.now), ..standing }).await?;
        let account = accounts::find(tx, Scope::System, self.id).await?;
        let text = "its grace period is over: it is being deleted, with all it owns";
        record(tx, "account.delete", &account, text, None).await
    }
}

/// Ends an account that is to go and owns nothing any more.
pub(crate) struct AccountBury {
    pub(crate) id: AccountId,
}

impl Change for AccountBury {
    /// Whether it is gone.
    type Out = bool;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<bool> {
        let account = accounts::find(tx, Scope::System, self.id).await?;
        let standing = accounts::standing(tx, self.id).await?;
        if account.deleted_at.is_some() || standing.deleting_at.is_none() {
            return Ok(account.deleted_at.is_some());
        }
        if accounts::owned(tx, self.id).await? > 0 {
            return Ok(false);
        }
        accounts::delete(tx, self.id).await?;
        record(tx, "account.deleted", &account, "is gone, with all it owned", None).await?;
        Ok(true)
    }
}
