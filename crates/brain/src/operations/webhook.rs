//! Webhooks: make, change, delete; rotate the secret, switch on; note what came of an attempt.

use super::account::refuse_stale;
use super::problems::Problems;
use crate::webhooks::check_url;
use honcho_api::Webhook;
use honcho_model::event::{ResourceKind, is_kind_pattern};
use honcho_model::{AccountId, Timestamp, WebhookId};
use honcho_store::events::{self, NewEvent};
use honcho_store::webhooks::{self, Attempt, From, WebhookFields};
use honcho_store::{Change, Cursor, Filters, Refusal, Scope, StoreResult, Tx, accounts};
use std::time::Duration;

/// So many webhooks an account can have: each is told everything, and each of ours costs an attempt.
const MOST_PER_ACCOUNT: usize = 20;

/// How long the secret before the current one signs too.
const ROTATION: Duration = Duration::from_hours(24);

/// After so long without success it is switched off.
pub(crate) const GIVES_UP_AFTER: Duration = Duration::from_hours(7 * 24);

async fn record(
    tx: &Tx,
    kind: &str,
    hook: &Webhook,
    text: &str,
    before: Option<&Webhook>,
) -> StoreResult<()> {
    let resource = (ResourceKind::Webhook, hook.id, hook.url.as_str());
    let event = NewEvent::info(kind, resource, text).of(hook.account_id.map(AccountId));
    let json = |hook: &Webhook| serde_json::to_value(hook).ok();
    events::record(tx, event.change(before.and_then(json), json(hook))).await?;
    Ok(())
}

/// What a webhook would be, or what is wrong with it.
fn fields(
    scope: Scope,
    body: &honcho_api::WebhookCreate,
    before: Option<&Webhook>,
    problems: &mut Problems,
) -> Option<WebhookFields> {
    let allow_http = body.allow_http.or(before.map(|before| before.allow_http)).unwrap_or(false);
    if allow_http && !before.is_some_and(|before| before.allow_http) && !scope.is_operator() {
        problems.add("allow_http", "can be set by operators only");
    }
    let url = body.url.as_deref().or(before.map(|before| before.url.as_str())).filter(|url| !url.is_empty());
    let url = problems.needed("url", url).and_then(|url| problems.check("url", check_url(url, allow_http)));
    let description =
        body.description.clone().or(before.map(|before| before.description.clone())).unwrap_or_default();
    problems.line("description", Some(&description));
    let events = body.events.clone().or(before.map(|before| before.events.clone()));
    let events = events.unwrap_or_else(|| vec!["*".to_owned()]);
    if events.is_empty() || events.len() > 100 {
        problems.add("events", "must be a list of 1 to 100 kinds");
    }
    if let Some(wrong) = events.iter().find(|kind| !is_kind_pattern(kind)) {
        problems
            .add("events", format!("holds {wrong:?}, which is no kind: write guest.create, guest.* or *"));
    }
    Some(WebhookFields { url: url?.to_string(), description, events, allow_http })
}

/// Makes a webhook.
pub(crate) struct WebhookCreate {
    pub(crate) scope: Scope,
    /// Random; shown in the answer and never again.
    pub(crate) secret: String,
    pub(crate) body: honcho_api::WebhookCreate,
}

impl Change for WebhookCreate {
    type Out = Webhook;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Webhook> {
        let mut problems = Problems::default();
        // Whoever may see one account alone means that one.
        let account = self.body.account_id.map(AccountId).or(self.scope.sole_account());
        if let Some(account) = account {
            problems.found("account_id", accounts::get(tx, self.scope, account).await)?;
            let has = Filters::default().and("account_id", account);
            if webhooks::list(tx, Scope::System, &has).await?.len() >= MOST_PER_ACCOUNT {
                problems.add("base", format!("the account has {MOST_PER_ACCOUNT} webhooks already"));
            }
        }
        if account.is_none() && !self.scope.is_operator() {
            problems.needed::<()>("account_id", None);
        }
        let fields = fields(self.scope, &self.body, None, &mut problems);
        problems.none()?;
        let Some(fields) = fields else { return Err(Refusal::invalid("url", "can't be blank").into()) };
        let id = webhooks::create(tx, account, &fields, &self.secret).await?;
        let hook = webhooks::get(tx, self.scope, id).await?;
        record(tx, "webhook.create", &hook, "was made", None).await?;
        Ok(Webhook { secret: Some(self.secret.clone()), ..hook })
    }
}

/// Changes a webhook.
pub(crate) struct WebhookUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: WebhookId,
    pub(crate) body: honcho_api::WebhookCreate,
    pub(crate) lock_version: Option<i64>,
}

impl Change for WebhookUpdate {
    type Out = Webhook;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Webhook> {
        let before = webhooks::get(tx, self.scope, self.id).await?;
        let mut problems = Problems::default();
        let fields = fields(self.scope, &self.body, Some(&before), &mut problems);
        problems.none()?;
        let Some(fields) = fields else { return Err(Refusal::invalid("url", "can't be blank").into()) };
        let same = (&fields.url, &fields.description, &fields.events, fields.allow_http)
            == (&before.url, &before.description, &before.events, before.allow_http);
        if same {
            return Ok(before);
        }
        refuse_stale(self.lock_version, before.lock_version)?;
        webhooks::update(tx, self.id, &fields).await?;
        let after = webhooks::get(tx, self.scope, self.id).await?;
        record(tx, "webhook.update", &after, "was changed", Some(&before)).await?;
        Ok(after)
    }
}

/// Deletes a webhook.
pub(crate) struct WebhookDelete {
    pub(crate) scope: Scope,
    pub(crate) id: WebhookId,
}

impl Change for WebhookDelete {
    type Out = Webhook;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Webhook> {
        let hook = webhooks::get(tx, self.scope, self.id).await?;
        webhooks::delete(tx, self.id).await?;
        record(tx, "webhook.delete", &hook, "was deleted", Some(&hook)).await?;
        Ok(hook)
    }
}

/// Gives a webhook another secret; for a day, deliveries are signed with both.
pub(crate) struct WebhookRotate {
    pub(crate) scope: Scope,
    pub(crate) id: WebhookId,
    /// Random; shown in the answer and never again.
    pub(crate) secret: String,
}

impl Change for WebhookRotate {
    type Out = Webhook;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Webhook> {
        let hook = webhooks::get(tx, self.scope, self.id).await?;
        webhooks::rotate(tx, self.id, &self.secret, tx.now.plus(ROTATION)).await?;
        let text = "was given another secret; the one before signs too for a day";
        record(tx, "webhook.rotate", &hook, text, Some(&hook)).await?;
        Ok(Webhook { secret: Some(self.secret.clone()), ..hook })
    }
}

/// Switches a webhook on, or has what failed tried again at once.
pub(crate) struct WebhookEnable {
    pub(crate) scope: Scope,
    pub(crate) id: WebhookId,
    pub(crate) from: From,
}

impl Change for WebhookEnable {
    type Out = Webhook;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Webhook> {
        let before = webhooks::get(tx, self.scope, self.id).await?;
        webhooks::enable(tx, self.id, self.from).await?;
        let after = webhooks::get(tx, self.scope, self.id).await?;
        let text = match self.from {
            From::WhereItStopped => "was switched on, and goes on where it stopped",
            From::Now => "was switched on; what happened meanwhile is passed over",
        };
        record(tx, "webhook.enable", &after, text, Some(&before)).await?;
        Ok(after)
    }
}

/// Notes what came of an attempt: no event itself, for it would be told in turn. After a week of failures the webhook
/// is switched off, which is one.
pub(crate) struct WebhookNote {
    pub(crate) attempt: Attempt,
}

impl Change for WebhookNote {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let failing_since: Option<Timestamp> = webhooks::note(tx, &self.attempt).await?;
        if failing_since.is_none_or(|since| tx.now.since(since) < GIVES_UP_AFTER) {
            return Ok(());
        }
        // It may have been deleted while the attempt was under way.
        let found = Filters::default().and("id", self.attempt.webhook);
        let Some(before) = webhooks::list(tx, Scope::System, &found).await?.into_iter().next() else {
            return Ok(());
        };
        webhooks::disable(tx, self.attempt.webhook).await?;
        let after = webhooks::get(tx, Scope::System, self.attempt.webhook).await?;
        let why = after.problem.as_deref().unwrap_or_default();
        let text = format!("was switched off: nothing could be delivered for a week ({why})");
        let resource = (ResourceKind::Webhook, after.id, after.url.as_str());
        let event = NewEvent::info("webhook.off", resource, text).alarm().of(after.account_id.map(AccountId));
        let json = |hook: &Webhook| serde_json::to_value(hook).ok();
        events::record(tx, event.change(json(&before), json(&after))).await?;
        Ok(())
    }
}

/// Notes that events up to a place were none of a webhook's business.
pub(crate) struct WebhookPass {
    pub(crate) id: WebhookId,
    pub(crate) place: Cursor,
}

impl Change for WebhookPass {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        webhooks::pass(tx, self.id, &self.place).await
    }
}

/// Carries a webhook over into this life of the brain, with an alarm: what it was told of the one before, and what of that
/// the backup did not hold, nobody can know.
pub(crate) struct WebhookCarryOver {
    pub(crate) id: WebhookId,
    /// A place in the log of this life.
    pub(crate) life: Cursor,
}

impl Change for WebhookCarryOver {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let hook = webhooks::get(tx, Scope::System, self.id).await?;
        webhooks::carry_over(tx, self.id, &self.life).await?;
        let text = format!(
            "goes on after event {} of a brain that was restored from a backup: its receiver may be told things twice, and was \
             told things that this brain does not know",
            hook.position
        );
        let resource = (ResourceKind::Webhook, hook.id, hook.url.as_str());
        let event = NewEvent::info("webhook.carried_over", resource, text).alarm();
        events::record(tx, event.of(hook.account_id.map(AccountId))).await?;
        Ok(())
    }
}
