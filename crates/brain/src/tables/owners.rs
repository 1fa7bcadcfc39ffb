//! Accounts by their names, which is how tables say whose a thing is.

use super::read::clipped;
use super::{Line, LineProblems};
use honcho_store::{Connection, Filters, Scope, StoreResult, accounts};
use std::collections::HashMap;

/// Names of accounts by their ids: also of those that are cancelled, for they hold what they had.
pub(crate) struct Owners {
    names: HashMap<i64, String>,
    ids: HashMap<String, i64>,
}

impl Owners {
    /// All that are in scope.
    pub(crate) async fn read(connection: &impl Connection, scope: Scope) -> StoreResult<Self> {
        let filters = Filters { with_cancelled: true, ..Filters::default() };
        let all = accounts::list(connection, scope, &filters).await?;
        let living = all.into_iter().filter(|account| account.deleted_at.is_none());
        let names: HashMap<i64, String> = living.map(|account| (account.id, account.name)).collect();
        let ids = names.iter().map(|(id, name)| (name.clone(), *id)).collect();
        Ok(Owners { names, ids })
    }

    /// The name of one; an empty text for nobody.
    pub(crate) fn name(&self, id: Option<i64>) -> &str {
        id.and_then(|id| self.names.get(&id)).map_or("", String::as_str)
    }

    /// The id of the one with a name.
    pub(super) fn id(&self, name: &str) -> Option<i64> {
        self.ids.get(name).copied()
    }

    /// The same; noted when there is none.
    pub(super) fn find(&self, name: &str, line: &Line, problems: &mut LineProblems) -> Option<i64> {
        let found = self.id(name);
        if found.is_none() {
            let text = format!("there is no account {}: `honcho account create` makes one", clipped(name));
            problems.cell(line, "account", text);
        }
        found
    }
}
