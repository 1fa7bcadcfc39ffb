//! Marks on the time line of slow queries: make, delete.

use super::problems::Problems;
use honcho_api::SlowMark;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, SlowMarkId, SlowServerId};
use honcho_store::events::{self, NewEvent};
use honcho_store::slow::{self, MarkOf};
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, accounts};

/// So many marks an account or a server can have.
const MOST_MARKS: i64 = 1_000;
/// The year 2000: no log is older. And how far ahead of now a mark may be.
const EARLIEST: i64 = 946_684_800_000_000;
const AHEAD: i64 = 366 * 86_400_000_000;

async fn record(tx: &Tx, kind: &str, mark: &SlowMark, text: String) -> StoreResult<()> {
    let account = mark.account_id.map(AccountId);
    let named = match (mark.slow_server_id, account) {
        (Some(id), _) => {
            let node = slow::find(tx, Scope::System, SlowServerId(id)).await?.node;
            Some((ResourceKind::SlowServer, id, node))
        }
        (None, Some(id)) => {
            Some((ResourceKind::Account, id.0, accounts::find(tx, Scope::System, id).await?.name))
        }
        (None, None) => None,
    };
    let Some((resource, id, name)) = named else { return Ok(()) };
    let json = serde_json::to_value(mark).ok();
    let event = NewEvent::info(kind, (resource, id, &name), text).of(account);
    events::record(tx, event.change(None, json)).await.map(drop)
}

/// Makes a mark.
pub(crate) struct SlowMarkCreate {
    pub(crate) scope: Scope,
    /// Who makes it.
    pub(crate) who: String,
    pub(crate) body: honcho_api::SlowMarkCreate,
}

impl SlowMarkCreate {
    /// Which servers it is of.
    async fn of(&self, tx: &Tx, problems: &mut Problems) -> StoreResult<Option<MarkOf>> {
        let body = &self.body;
        Ok(match (body.slow_server_id, body.account_id.map(AccountId)) {
            (Some(_), Some(_)) => {
                problems.add("base", "say of which account or of which server, and not both");
                None
            }
            (Some(id), None) => {
                let found = slow::find(tx, self.scope, SlowServerId(id)).await;
                problems.found("slow_server_id", found)?.map(|server| MarkOf::Server(SlowServerId(server.id)))
            }
            (None, account) => {
                let account = problems.needed("account_id", account.or(self.scope.sole_account()));
                match account {
                    Some(id) => problems
                        .found("account_id", accounts::get(tx, self.scope, id).await)?
                        .map(|account| MarkOf::Account(AccountId(account.id))),
                    None => None,
                }
            }
        })
    }
}

impl Change for SlowMarkCreate {
    type Out = SlowMark;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<SlowMark> {
        let mut problems = Problems::default();
        let of = self.of(tx, &mut problems).await?;
        let text =
            problems.line("text", self.body.text.as_deref()).map(str::trim).filter(|text| !text.is_empty());
        let text = if problems.is_empty() { problems.needed("text", text) } else { text };
        let at = match self.body.at.as_deref().filter(|at| !at.is_empty()) {
            None => tx.now.0,
            Some(text) => match text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond) {
                Ok(at) if (EARLIEST..=tx.now.0.saturating_add(AHEAD)).contains(&at) => at,
                _ => {
                    problems.add("at", "must be a time since 2000, as in 2026-11-27T06:00:00Z");
                    tx.now.0
                }
            },
        };
        problems.none()?;
        let (Some(of), Some(text)) = (of, text) else {
            return Err(Refusal::invalid("text", "can't be blank").into());
        };
        // A deploy must not fail for it: the oldest makes room.
        if slow::marks_count(tx, of).await? >= MOST_MARKS {
            slow::delete_oldest_mark(tx, of).await?;
        }
        let id = slow::create_mark(tx, of, at, text, &self.who).await?;
        let mark = slow::find_mark(tx, self.scope, id).await?;
        record(tx, "slow_mark.create", &mark, format!("a mark was made: {text}")).await?;
        Ok(mark)
    }
}

/// Deletes a mark.
pub(crate) struct SlowMarkDelete {
    pub(crate) scope: Scope,
    pub(crate) id: SlowMarkId,
}

impl Change for SlowMarkDelete {
    type Out = SlowMark;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<SlowMark> {
        let mark = slow::find_mark(tx, self.scope, self.id).await?;
        slow::delete_mark(tx, self.id).await?;
        record(tx, "slow_mark.delete", &mark, format!("a mark was deleted: {}", mark.text)).await?;
        Ok(mark)
    }
}
