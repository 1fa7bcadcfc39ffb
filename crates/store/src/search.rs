//! The search: one statement for each kind of thing, each bounded, over what people type to find it.
//!
//! A kind is a row of [`KINDS`]: its table, who may see it, and its attributes, the telling ones first. Of these and
//! the needle one SQL expression is made that gives each row its *place*: how near the best of its attributes comes
//! (exact, then the beginning, then anywhere), and which attribute that is. The database sorts and cuts by it, so that
//! what is said of a row is what the row was found by.
//!
//! ```text
//!   needle ---> [exact, prefix, contains] of each attribute ---> CASE … END AS place ---.
//!                                           narrow inner select: place, id; LIMIT n <---'
//!                                                  outer: names, owners, values of n rows
//! ```

mod addresses;
mod conditions;
mod kinds;

use crate::addresses::from_bytes;
use crate::list::Select;
use crate::sql::{Connection, rows};
use crate::{Scope, StoreError, StoreResult};
pub(crate) use conditions::literal;
use conditions::{Bound, Conditions};
use honcho_api::SearchHit;
use honcho_model::needle::Needle;
use honcho_model::{InterfaceId, Mac};
use kinds::{KINDS, Kind, Look, Seen};
use sea_orm::{DbErr, FromQueryResult, QueryResult};
use std::fmt::Write as _;
use uuid::Uuid;

/// How near an attribute comes to what is looked for.
const NEARNESS: [&str; 3] = ["exact", "prefix", "contains"];

/// Places count attributes within each nearness; no kind has as many.
const ATTRIBUTES_MOST: usize = 100;

/// What is in scope and comes near the needle, the nearest first; so many of each kind at most.
pub async fn search(
    connection: &impl Connection,
    scope: Scope,
    needle: &Needle,
    limit: u32,
) -> StoreResult<Vec<SearchHit>> {
    let mut found: Vec<(i64, SearchHit)> = Vec::new();
    for kind in KINDS {
        found.extend(of_kind(connection, scope, needle, limit, kind).await?);
    }
    found.extend(addresses::search(connection, scope, needle, limit).await?);
    // Stable: within a place, kinds stay in their order, and rows in that of their ids.
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, hit)| hit).collect())
}

async fn of_kind(
    connection: &impl Connection,
    scope: Scope,
    needle: &Needle,
    limit: u32,
    kind: &Kind,
) -> StoreResult<Vec<(i64, SearchHit)>> {
    let mut bound = Bound::new(needle);
    let each: Vec<(Look, Conditions)> =
        kind.attributes.iter().map(|(_, look)| (*look, look.conditions(needle, &mut bound))).collect();
    let mut place = String::from("CASE");
    for nearness in 0..NEARNESS.len() {
        for (attribute, (look, conditions)) in each.iter().enumerate() {
            if let Some(condition) = &conditions[nearness] {
                let number = nearness * ATTRIBUTES_MOST + attribute;
                // Writing to a String cannot fail.
                let _ = write!(place, " WHEN {} THEN {number}", look.about_row(condition));
            }
        }
    }
    let widest = each.iter().flat_map(|(look, conditions)| {
        let conditions = if look.holds_what_begins() { &conditions[2..] } else { &conditions[..] };
        conditions.iter().flatten().map(|condition| look.about_row(condition))
    });
    let widest = widest.collect::<Vec<_>>().join(" OR ");
    let mut values = String::new();
    for (attribute, (look, conditions)) in each.iter().enumerate() {
        let (letter, value) = look.value(conditions);
        let _ = write!(values, ", {value} AS {letter}{attribute}");
    }
    let mut select = Select::new("", bound.values);
    select.only("t.deleted_at IS NULL");
    select.only(&format!("({widest})"));
    match kind.seen {
        Seen::Operators if scope.is_operator() => {}
        Seen::Operators => return Ok(Vec::new()),
        Seen::Account(column, shared) => select.scope(scope, column, shared),
        Seen::Guests => select.scope_of_machine(scope, "t.account_id", "t.id = ?"),
    }
    let (conditions, bound) = select.into_conditions();
    let Kind { table, name, account, host, .. } = kind;
    let sql = format!(
        "SELECT f.place, t.id, t.uuid, {name} AS name, {account} AS account_id, \
         (SELECT o.name FROM accounts o WHERE o.id = {account}) AS account_name, {host} AS host_id, \
         {} AS host_name{values} \
         FROM (SELECT CAST({place} END AS BIGINT) AS place, t.id AS id FROM {table} t WHERE {conditions} \
         ORDER BY 1, 2 LIMIT {limit}) f JOIN {table} t ON t.id = f.id ORDER BY f.place, f.id",
        host_name(scope, host)
    );
    let found: Vec<Row> = rows(connection, &sql, bound).await?;
    found.into_iter().map(|row| row.into_hit(kind)).collect()
}

/// What the host with this id is called, for those who may know of hosts.
fn host_name(scope: Scope, id: &str) -> String {
    if scope.is_operator() {
        format!("(SELECT h.name FROM hosts h WHERE h.id = {id})")
    } else {
        "CAST(NULL AS TEXT)".to_owned()
    }
}

/// A row of any kind.
struct Row {
    place: i64,
    id: i64,
    uuid: Uuid,
    name: String,
    account_id: Option<i64>,
    account_name: Option<String>,
    host_id: Option<i64>,
    host_name: Option<String>,
    value: Value,
}

/// The attribute by which it was found, as it comes from the database.
enum Value {
    Text(String),
    Interface(i64),
    Address(Vec<u8>),
    /// The row's own.
    Uuid,
}

impl FromQueryResult for Row {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let place: i64 = row.try_get(prefix, "place")?;
        let attribute = usize::try_from(place).unwrap_or_default() % ATTRIBUTES_MOST;
        let column = |letter: char| format!("{letter}{attribute}");
        // Each attribute has one column, whose letter says of which kind it is.
        let value = if let Ok(Some(text)) = row.try_get(prefix, &column('t')) {
            Value::Text(text)
        } else if let Ok(Some(interface)) = row.try_get(prefix, &column('m')) {
            Value::Interface(interface)
        } else if let Ok(Some(address)) = row.try_get(prefix, &column('a')) {
            Value::Address(address)
        } else {
            Value::Uuid
        };
        Ok(Row {
            place,
            id: row.try_get(prefix, "id")?,
            uuid: row.try_get(prefix, "uuid")?,
            name: row.try_get(prefix, "name")?,
            account_id: row.try_get(prefix, "account_id")?,
            account_name: row.try_get(prefix, "account_name")?,
            host_id: row.try_get(prefix, "host_id")?,
            host_name: row.try_get(prefix, "host_name")?,
            value,
        })
    }
}

/// What a place says: the nearness and the number of the attribute.
fn read_place(place: i64) -> StoreResult<(&'static str, usize)> {
    let damaged = || StoreError::Damaged { what: "place", why: place.to_string() };
    let place = usize::try_from(place).map_err(|_| damaged())?;
    let nearness = NEARNESS.get(place / ATTRIBUTES_MOST).ok_or_else(damaged)?;
    Ok((nearness, place % ATTRIBUTES_MOST))
}

impl Row {
    fn into_hit(self, kind: &Kind) -> StoreResult<(i64, SearchHit)> {
        let (nearness, attribute) = read_place(self.place)?;
        let attribute = kind.attributes.get(attribute).map_or("", |(attribute, _)| *attribute);
        let value = match self.value {
            Value::Text(text) => text,
            Value::Interface(id) => Mac::of_interface(InterfaceId(id)).to_string(),
            Value::Address(bytes) => from_bytes(&bytes)?.to_string(),
            Value::Uuid => self.uuid.to_string(),
        };
        let hit = SearchHit {
            kind: kind.word.to_owned(),
            id: self.id,
            uuid: Some(self.uuid),
            name: self.name,
            account_id: self.account_id,
            account_name: self.account_name,
            host_id: self.host_id,
            host_name: self.host_name,
            network_id: None,
            network_name: None,
            guest_id: None,
            guest_name: None,
            attribute: attribute.to_owned(),
            value,
            nearness: nearness.to_owned(),
        };
        Ok((self.place, hit))
    }
}
