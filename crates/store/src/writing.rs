//! Changing: one transaction, which happens whole or not at all.
//!
//! ```text
//!   Store::write(change) -> BEGIN -> change.run(&tx) -> generations of touched hosts rise, in id order
//!                        -> COMMIT -> whoever waits for those hosts, or for events, is woken
//! ```
//!
//! SQLite has one writer and `BEGIN IMMEDIATE`: nobody gets in another's way. PostgreSQL is asked for serializable
//! transactions, and refuses one of two that got in each other's way (`40001`, `40P01`); that one is run again, after a
//! pause that grows. From the [`ALONE_AFTER`]th time on it runs alone: it holds a lock that every other change needs a
//! weaker one of, so that a busy moment ends with everybody served instead of with everybody trying. So does one that met a
//! key that is taken: what it met may be younger than what it sees. Changes that give out addresses, or room on hosts, take
//! turns from the start ([`Turn`]), by the same lock.

use crate::error::FailureKind;
use crate::{Change, Store, StoreError, StoreResult, Turn, Tx, hosts};
use honcho_model::{HostId, Timestamp};
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _,
};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a change is tried before its caller is told to come back later.
const ATTEMPTS: u32 = 8;

/// How often it is tried side by side with others.
const ALONE_AFTER: u32 = 3;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How long to wait before the next attempt: twice as long each time, and between half of that and all of it, so that
/// those who met once do not meet again. `lot` is any number that others do not have.
fn pause(attempt: u32, lot: u64) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE);
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbouring numbers give unlike ones.
    let mut mixed = lot.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let thousandths = u32::try_from((mixed >> 33) % 500).unwrap_or(0);
    whole * (500 + thousandths) / 1000
}

/// What becomes of a change that was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It is kept.
    Commit,
    /// It is taken back.
    Rollback,
}

impl Store {
    /// Tries a change and takes it back: gives what making it would give, and leaves everything as it is.
    pub async fn rehearse<C: Change>(
        &self,
        actor: crate::Actor,
        now: Timestamp,
        change: &C,
    ) -> StoreResult<C::Out> {
        self.write_to(actor, now, change, Ending::Rollback).await
    }

    /// Makes a change, or nothing. What others changed at the same time makes it run again, so `change` has no effect
    /// outside its transaction.
    pub async fn write<C: Change>(
        &self,
        actor: crate::Actor,
        now: Timestamp,
        change: &C,
    ) -> StoreResult<C::Out> {
        self.write_to(actor, now, change, Ending::Commit).await
    }

    async fn write_to<C: Change>(
        &self,
        actor: crate::Actor,
        now: Timestamp,
        change: &C,
        ending: Ending,
    ) -> StoreResult<C::Out> {
        static LOTS: AtomicU64 = AtomicU64::new(0);
        let (mut attempt, mut alone) = (1, false);
        loop {
            let contended = match self.attempt(actor.clone(), now, change, alone, ending).await {
                Err(StoreError::Contended(error)) => error,
                // Once it is alone it sees everything, and is refused for good or not at all.
                Err(StoreError::Overtaken(_)) => {
                    alone = true;
                    continue;
                }
                outcome => return outcome,
            };
            if attempt == ATTEMPTS {
                tracing::warn!(error = %contended, attempts = attempt, "a change was given up: others always came first");
                return Err(StoreError::Contended(contended));
            }
            tracing::debug!(error = %contended, attempt, "a change is tried again: another came first");
            self.retries.fetch_add(1, Ordering::Relaxed);
            let lot = (u64::from(std::process::id()) << 40) ^ LOTS.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(pause(attempt, lot)).await;
            attempt += 1;
            alone = attempt > ALONE_AFTER;
        }
    }

    async fn attempt<C: Change>(
        &self,
        actor: crate::Actor,
        now: Timestamp,
        change: &C,
        alone: bool,
        ending: Ending,
    ) -> StoreResult<C::Out> {
        let tx = Tx::new(self.begin(alone, C::TURN).await?, self.for_changes.clone(), now, actor);
        let outcome = change.run(&tx).await;
        // A change may have made something else of an error, or nothing; whether to try again is not for it to say.
        let outcome = match tx.failure().map(|error| (FailureKind::of(&error), error)) {
            Some((FailureKind::Contention, error)) => Err(StoreError::Contended(error)),
            Some((FailureKind::Key, error)) if !alone && self.is_shared() => {
                Err(StoreError::Overtaken(error))
            }
            // PostgreSQL would answer COMMIT with ROLLBACK and call that a success.
            Some((_, error)) => outcome.and(Err(StoreError::Database(error))),
            None => outcome,
        };
        let Tx { inner, touched, .. } = tx;
        match outcome {
            Ok(out) if ending == Ending::Rollback => {
                inner.rollback().await?;
                Ok(out)
            }
            Ok(out) => {
                let touched = touched.into_inner().unwrap_or_else(PoisonError::into_inner);
                for host in &touched {
                    hosts::raise_generation(&inner, *host).await?;
                }
                self.commit(inner, touched).await?;
                Ok(out)
            }
            Err(error) => {
                // A connection that is gone has rolled back; why it is gone says more than that it is.
                if let Err(second) = inner.rollback().await {
                    tracing::debug!(error = %second, "rolling back failed too");
                }
                Err(error)
            }
        }
    }

    async fn begin(&self, alone: bool, turn: Turn) -> StoreResult<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let inner = self.writer.begin_with_options(options).await?;
        if inner.get_database_backend() == DbBackend::Postgres {
            // LOCK takes no snapshot, so whoever had to wait here sees what those before it did.
            // The middle one keeps out its own kind, and those who are alone, and nobody else.
            let mode = match turn {
                _ if alone => "EXCLUSIVE",
                Turn::Addresses | Turn::Room => "SHARE UPDATE EXCLUSIVE",
                Turn::None => "ROW SHARE",
            };
            inner.execute_unprepared(&format!("LOCK TABLE brain IN {mode} MODE")).await?;
        }
        Ok(inner)
    }

    /// Commits and wakes, in a task of its own: whoever asked for the change may hang up while it is being committed,
    /// and those who wait for it must be woken all the same.
    async fn commit(&self, inner: DatabaseTransaction, touched: BTreeSet<HostId>) -> StoreResult<()> {
        let wakeups = self.wakeups.clone();
        let commit = tokio::spawn(async move {
            inner.commit().await.map_err(StoreError::of_commit)?;
            wakeups.wake(touched);
            Ok(())
        });
        commit.await.map_err(|error| StoreError::OutcomeUnknown(DbErr::Custom(error.to_string())))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        for attempt in 1..ATTEMPTS {
            let pauses: Vec<Duration> = (0..1000).map(|lot| pause(attempt, lot)).collect();
            let whole = FIRST_PAUSE.saturating_mul(1 << attempt).min(LONGEST_PAUSE);
            assert!(pauses.iter().all(|pause| *pause >= whole / 2 && *pause <= whole), "{attempt}");
            let distinct: BTreeSet<_> = pauses.iter().collect();
            assert!(distinct.len() > 300, "{attempt}: {}", distinct.len());
        }
    }
}
