//! Accounts: make, change.

use super::operators_only;
use super::problems::Problems;
use honcho_api::Account;
use honcho_model::AccountId;
use honcho_model::event::ResourceKind;
use honcho_model::quota::Limits;
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Filters, Refusal, Scope, StoreResult, Tx, accounts, quotas};
use uuid::Uuid;

/// 14 days: how long a cancelled guest's disk is kept, unless the account says otherwise.
const GRACE_SECONDS: i64 = 14 * 24 * 3600;

/// Ten years at most.
const GRACE: std::ops::RangeInclusive<i64> = 0..=10 * 365 * 24 * 3600;

/// Limits that can be set; the highest is more than any data centre has of anything.
const LIMIT: std::ops::RangeInclusive<i64> = 0..=1 << 60;

/// The limits `before` with those that a body names; one that is null there is lifted.
fn limits(body: &honcho_api::AccountCreate, before: Limits, problems: &mut Problems) -> Limits {
    let mut limit = |attribute: &str, wanted: Option<Option<i64>>, before: Option<i64>| {
        if let Some(Some(wanted)) = wanted {
            problems.within(attribute, wanted, LIMIT);
        }
        wanted.unwrap_or(before)
    };
    Limits {
        guests: limit("limit_guests", body.limit_guests, before.guests),
        vcpus: limit("limit_vcpus", body.limit_vcpus, before.vcpus),
        memory: limit("limit_memory_bytes", body.limit_memory_bytes, before.memory),
        disk: limit("limit_disk_bytes", body.limit_disk_bytes, before.disk),
        public_addresses: limit(
            "limit_public_addresses",
            body.limit_public_addresses,
            before.public_addresses,
        ),
        images: limit("limit_image_bytes", body.limit_image_bytes, before.images),
    }
}

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
        let mut problems = Problems::default();
        if let Some(reference) = problems.line("reference", self.body.reference.as_deref()) {
            let known =
                accounts::list(tx, Scope::System, &Filters::default().and("reference", reference)).await?;
            if let Some(known) = known.into_iter().next() {
                return Ok(known);
            }
        }
        let grace = self.body.grace_seconds.unwrap_or(GRACE_SECONDS);
        problems.within("grace_seconds", grace, GRACE);
        let limits = limits(&self.body, Limits::default(), &mut problems);
        let Some(name) = problems.name(self.body.name.as_deref()) else { return Err(problems.into()) };
        problems.none()?;
        let reference = self.body.reference.clone();
        let new = accounts::NewAccount { uuid: self.uuid, name, reference, grace_seconds: grace, limits };
        let id = accounts::create(tx, &new).await?;
        let account = accounts::get(tx, Scope::System, id).await?;
        record(tx, "account.create", &account, "was made", None).await?;
        Ok(account)
    }
}

pub(super) async fn record(
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

/// Changes an account's name, grace period or limits.
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
        problems.within("grace_seconds", grace, GRACE);
        let (_, known) = quotas::limits(tx, self.id).await?;
        let limits = limits(&self.body, known, &mut problems);
        let name = problems.name(Some(self.body.name.as_deref().unwrap_or(&before.name)));
        let Some(name) = name else { return Err(problems.into()) };
        problems.none()?;
        if name.as_str() == before.name && grace == before.grace_seconds && limits == known {
            return Ok(before);
        }
        refuse_stale(self.lock_version, before.lock_version)?;
        accounts::update(tx, self.id, &name, grace, &limits).await?;
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
