//! What people make of a slow query: its state, and notes.

use super::problems::Problems;
use honcho_model::SlowQueryId;
use honcho_model::event::ResourceKind;
use honcho_model::slow::QueryState;
use honcho_store::events::{self, NewEvent};
use honcho_store::slow::{self, Said};
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx};
use serde_json::json;

/// So many notes one query can have.
const MOST_NOTES: i64 = 200;

/// Says something of a query.
pub(crate) struct SlowQueryJudge {
    pub(crate) scope: Scope,
    pub(crate) id: SlowQueryId,
    /// Who says it.
    pub(crate) who: String,
    /// A word for a state; it stays as it is, if there is none.
    pub(crate) state: Option<String>,
    /// In a line.
    pub(crate) note: Option<String>,
}

impl Change for SlowQueryJudge {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let query = slow::find_query(tx, self.scope, self.id).await?;
        let mut problems = Problems::default();
        let words: Vec<&str> = QueryState::ALL.iter().map(|state| state.as_str()).collect();
        let state = self.state.as_deref().and_then(|word| {
            problems.needed_word(
                "state",
                QueryState::parse(word),
                &format!("must be one of {}", words.join(", ")),
            )
        });
        let note = problems.line("note", self.note.as_deref()).unwrap_or_default().trim();
        if self.state.is_none() && note.is_empty() {
            problems.add("base", "say a state, or a note, or both");
        }
        problems.none()?;
        let changes = state.filter(|state| *state != query.state);
        if changes.is_none() && note.is_empty() {
            return Ok(());
        }
        // What is made of it can change however much was said.
        if changes.is_none() && slow::notes_count(tx, self.id).await? >= MOST_NOTES {
            return Err(
                Refusal::invalid("base", format!("there are {MOST_NOTES} notes on it already")).into()
            );
        }
        let said = Said { actor: self.who.clone(), state: changes, text: note.to_owned() };
        slow::judge(tx, &query, &said).await?;
        let what = match changes {
            Some(QueryState::New) => "counts as new again",
            Some(QueryState::LookedAt) => "was looked at",
            Some(QueryState::Accepted) => "was accepted as it is",
            Some(QueryState::Ignored) => "is ignored from now on",
            None => "was given a note",
        };
        let text = if note.is_empty() { what.to_owned() } else { format!("{what}: {note}") };
        let name = slow::short_name(&query.fingerprint);
        let event = NewEvent::info("slow_query.judge", (ResourceKind::SlowQuery, self.id.0, &name), text);
        let (before, after) = (query.state, changes.unwrap_or(query.state));
        let change = |state: QueryState| Some(json!({ "state": state.as_str(), "slow_server": query.node }));
        events::record(tx, event.of(query.account).change(change(before), change(after))).await.map(drop)
    }
}
