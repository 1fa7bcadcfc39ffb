//! What things are called, by their ids: for pages that name what rows of other tables are of. One statement for all of them.

use crate::StoreResult;
use crate::sql::{Connection, rows};
use sea_orm::{FromQueryResult, Value};
use std::collections::{BTreeSet, HashMap};

/// What has names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Who owns.
    Account,
    /// Virtual machines.
    Guest,
    /// Physical machines.
    Host,
    /// What guests are made of.
    Image,
    /// What guests are connected by.
    Network,
    /// What hosts are screwed into.
    Rack,
    /// Where racks stand.
    Site,
}

impl Named {
    fn table(self) -> &'static str {
        match self {
            Named::Account => "accounts",
            Named::Guest => "guests",
            Named::Host => "hosts",
            Named::Image => "images",
            Named::Network => "networks",
            Named::Rack => "racks",
            Named::Site => "sites",
        }
    }
}

/// So many are asked for by one statement; SQLite binds some 30,000.
const AT_ONCE: usize = 1000;

/// The names of those with these ids, also of what is gone. Whoever asks has seen the ids in rows of their own scope.
pub async fn of(
    connection: &impl Connection,
    named: Named,
    ids: impl IntoIterator<Item = i64>,
) -> StoreResult<HashMap<i64, String>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        name: String,
    }
    let ids: Vec<i64> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let mut called = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
        let sql = format!("SELECT id, name FROM {} WHERE id IN ({})", named.table(), places.join(", "));
        let found: Vec<Row> = rows(connection, &sql, ids.iter().copied().map(Value::from).collect()).await?;
        called.extend(found.into_iter().map(|row| (row.id, row.name)));
    }
    Ok(called)
}
