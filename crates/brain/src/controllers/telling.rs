//! Tells webhooks the event log: each its own events, in order, one at a time; one that fails pauses and holds up no
//! other. Where each has got is a row, so that it goes on from there after whatever end this brain had.

use crate::app::App;
use crate::operations::{WebhookCarryOver, WebhookNote, WebhookPass};
use crate::webhooks::Message;
use honcho_api::{Event, Webhook};
use honcho_model::event::kind_matches;
use honcho_model::{AccountId, WebhookId};
use honcho_store::webhooks::{Attempt, Told};
use honcho_store::{Actor, Cursor, Filters, Scope, StoreError, StoreResult, events, webhooks};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long at most until somebody looks again: for pauses that end.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Commits come in bursts; one look serves many of them.
const GATHER: Duration = Duration::from_millis(20);

/// Events that are read at a time.
const BATCH: i64 = 100;

/// Events that are none of a webhook's business are passed over in memory, and written down after so many.
const PASSED_IN_MEMORY: i64 = 1000;

/// The pause after the first failure; each one after is twice as long as the one before, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// The pause after so many failures, before jitter.
pub(super) fn pause(failures: i64) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or(0).min(16);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

#[derive(Clone, Default)]
struct Tellers {
    /// Webhooks that somebody is telling just now.
    busy: Arc<Mutex<HashSet<i64>>>,
    /// Up to where events were read, for webhooks that had no business with the last of them.
    read: Arc<Mutex<HashMap<i64, Cursor>>>,
}

impl Tellers {
    fn begin(&self, hook: i64) -> bool {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(hook)
    }
    fn end(&self, hook: i64) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&hook);
    }
    fn read_to(&self, told: &Told) -> Cursor {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let further = read.get(&told.hook.id).copied();
        let further =
            further.filter(|read| read.is_of_the_same_life(&told.place) && told.place.is_before(read));
        further.unwrap_or(told.place)
    }
    fn note_read(&self, hook: i64, place: Cursor) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(hook, place);
    }
}

/// Goes on until the brain ends.
pub(crate) async fn run(app: App) {
    let tellers = Tellers::default();
    let mut changes = app.store.wakeups().anything();
    loop {
        changes.mark_unchanged();
        // Of several brains on one database one tells: the one that has the lead.
        let outcome = if app.lead.is_ours().await { look(&app, &tellers).await } else { Ok(()) };
        if let Err(error) = outcome {
            tracing::error!(controller = "telling", %error, "a controller's step failed; it is tried again");
        }
        tokio::select! {
            () = app.ending.cancelled() => return,
            _ = tokio::time::timeout(LOOK_AGAIN, changes.changed()) => tokio::time::sleep(GATHER).await,
        }
    }
}

/// Begins to tell every webhook for which there may be something.
async fn look(app: &App, tellers: &Tellers) -> StoreResult<()> {
    let newest = webhooks::newest(app.store.reader()).await?;
    for told in webhooks::due(app.store.reader(), app.now()).await? {
        let id = told.hook.id;
        if !told.place.is_of_the_same_life(&newest) {
            let carry_over = WebhookCarryOver { id: WebhookId(id), life: newest };
            app.write(Actor::honcho(), &carry_over).await?;
            continue;
        }
        if !tellers.read_to(&told).is_before(&newest) || !tellers.begin(id) {
            continue;
        }
        let (app, tellers) = (app.clone(), tellers.clone());
        tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = tell(&app, &tellers, &told) => outcome,
                () = app.ending.cancelled() => Ok(()),
            };
            tellers.end(id);
            if let Err(error) = outcome {
                tracing::error!(webhook = id, %error, "a webhook could not be told; it is tried again");
            }
        });
    }
    Ok(())
}

fn scope(hook: &Webhook) -> Scope {
    hook.account_id.map_or(Scope::Operator, |account| Scope::Account(AccountId(account)))
}

/// Tells one webhook all there is, or up to the first failure.
async fn tell(app: &App, tellers: &Tellers, told: &Told) -> StoreResult<()> {
    let id = WebhookId(told.hook.id);
    let mut after = tellers.read_to(told);
    loop {
        // Before reading: what is committed while we read is for the next look.
        let newest = webhooks::newest(app.store.reader()).await?;
        let filters = Filters { cursor: Some(after), limit: Some(BATCH), ..Filters::default() };
        let batch = events::list(app.store.reader(), scope(&told.hook), &filters).await?;
        let all = i64::try_from(batch.len()).is_ok_and(|read| read < BATCH);
        for event in batch {
            after = place_of(&event)?;
            // It may have been changed, switched off or deleted since the last one.
            let Some(current) = webhooks::is_due(app.store.reader(), id, app.now()).await? else {
                return Ok(());
            };
            // Somebody else may have told it already.
            if !current.place.is_before(&after) || !kind_matches(&current.hook.events, &event.kind) {
                continue;
            }
            if !deliver(app, &current.hook, &event, after).await? {
                return Ok(());
            }
        }
        if all && after.is_before(&newest) {
            after = newest;
        }
        tellers.note_read(id.0, after);
        if after.event().0 - told.hook.position > PASSED_IN_MEMORY {
            let pass = WebhookPass { id, place: after };
            app.write(Actor::honcho(), &pass).await?;
        }
        if all {
            return Ok(());
        }
    }
}

/// Where an event stands in the log.
fn place_of(event: &Event) -> StoreResult<Cursor> {
    let damaged = |_| StoreError::Damaged { what: "event's cursor", why: event.cursor.clone() };
    event.cursor.parse().map_err(damaged)
}

/// Tries to deliver one event and writes down what came of it; whether it was delivered.
async fn deliver(app: &App, hook: &Webhook, event: &Event, place: Cursor) -> StoreResult<bool> {
    let life = honcho_store::brain::get(app.store.reader()).await?.map_or(0, |brain| brain.incarnation.0);
    let body = serde_json::to_vec(event).unwrap_or_default();
    // An id is used once within an incarnation of the brain.
    let message = Message { id: format!("{life}-{}", event.id), body };
    let attempted = app.webhooks.attempt(hook, &message).await;
    let delivered = attempted.error.is_none();
    app.watching.delivery(if delivered { "delivered" } else { "failed" });
    let wait = app.outside.about(pause(hook.failures));
    let attempt = Attempt {
        webhook: WebhookId(hook.id),
        event: Some(place),
        kind: event.kind.clone(),
        status: attempted.status,
        latency: attempted.latency,
        error: attempted.error,
        next_try_at: (!delivered).then(|| app.now().plus(wait)),
    };
    tracing::debug!(
        webhook = hook.id,
        event = event.id,
        delivered,
        status = attempt.status,
        "a webhook was told"
    );
    app.write(Actor::honcho(), &WebhookNote { attempt }).await?;
    Ok(delivered)
}
