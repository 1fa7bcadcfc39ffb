//! Guests as people see them: desired, observed and derived in one statement.
//!
//! `row` reads them, `page` writes a list of them as JSON, `words` says why one is what it is.

mod page;
mod row;
mod words;

use crate::cells::Text;
use crate::list::{Column, Filters, Reading, Select};
use crate::shortcut::Lent;
pub use crate::shortcut::Page;
use crate::sql::{Connection, from_json, rows, time, values};
use crate::{Refusal, Scope, StoreResult};
use honcho_api::{Guest, Interface};
use honcho_model::guest::{Condition, Fact, GuestStatus, RULES};
use honcho_model::{GuestId, Timestamp};
use page::{Interfaces, Seen, Written};
use row::{Card, Row, Takes};
use sea_orm::FromQueryResult;
use std::collections::HashMap;
use std::sync::OnceLock;
pub use words::NO_ROOM;
pub(crate) use words::{describe_failure, failure_for_customers};

/// In microseconds.
const SECOND: i64 = 1_000_000;

/// The joins that the facts below are about.
pub(crate) const FROM: &str = "FROM guests g \
    LEFT JOIN volumes v ON v.guest_id = g.id \
    LEFT JOIN guest_observed o ON o.guest_id = g.id AND o.epoch = g.epoch \
    LEFT JOIN hosts h ON h.id = g.host_id \
    LEFT JOIN host_observed ho ON ho.host_id = g.host_id \
    LEFT JOIN moves m ON m.guest_id = g.id AND m.moved_at IS NULL AND m.given_up_at IS NULL";

/// A fact, as SQL over [`FROM`]. `$1` is the earliest time at which a host that is not silent was heard.
fn fact_sql(fact: Fact) -> &'static str {
    match fact {
        Fact::Deleted => "g.deleted_at IS NOT NULL",
        Fact::Deleting => "g.deleting_at IS NOT NULL",
        Fact::Cancelled => "g.cancelled_at IS NOT NULL",
        Fact::Suspended => "g.suspended_at IS NOT NULL",
        Fact::Placed => "g.host_id IS NOT NULL",
        Fact::HostSilent => "COALESCE(ho.last_seen_at, 0) < $1",
        Fact::HostFrozen => "(h.frozen_at IS NOT NULL OR h.unaccepted_since IS NOT NULL)",
        Fact::Damaged => "COALESCE(o.volume_state IN ('missing', 'unknown'), FALSE)",
        Fact::Failing => {
            "(o.failure IS NOT NULL OR (m.id IS NOT NULL AND EXISTS \
             (SELECT 1 FROM move_observed mo WHERE mo.move_id = m.id AND mo.failure IS NOT NULL)))"
        }
        Fact::GivenUp => "g.given_up_operation IS NOT NULL",
        Fact::Built => "COALESCE(v.existing, FALSE)",
        Fact::Moving => "m.begun_at IS NOT NULL",
        Fact::WantedRunning => "(g.power = 'running' AND g.cancelled_at IS NULL AND g.suspended_at IS NULL)",
        Fact::SeenRunning => "COALESCE(o.power = 'running', FALSE)",
        Fact::BootDue => "COALESCE(o.boots_done < g.boots_wanted AND g.boots_wanted > g.boots_waived, FALSE)",
        Fact::Settled => "COALESCE(o.settled AND o.generation >= g.generation, FALSE)",
    }
}

/// [`RULES`] as one SQL expression; `fact` gives each fact's SQL.
fn status_sql(fact: impl Fn(Fact) -> String) -> String {
    let condition = |condition: &Condition| match *condition {
        Condition::Is(is) => fact(is),
        Condition::Not(not) => format!("NOT ({})", fact(not)),
    };
    let mut sql = String::from("CASE");
    for (conditions, status) in RULES {
        let all: Vec<String> = conditions.iter().map(condition).collect();
        let all = if all.is_empty() { "TRUE".to_owned() } else { all.join(" AND ") };
        sql.extend([" WHEN ", &all, " THEN '", status.as_str(), "'"]);
    }
    sql + " END"
}

/// The earliest time at which a host that is not silent at `now` was heard.
fn heard_since(now: Timestamp) -> i64 {
    now.0 - i64::try_from(honcho_model::host::SILENT_AFTER.as_micros()).unwrap_or(i64::MAX)
}

/// The select, but for the status, made once: it is the same for every list.
fn select_sql() -> &'static (String, String) {
    static SELECT: OnceLock<(String, String)> = OnceLock::new();
    SELECT.get_or_init(|| {
        let columns = Row::COLUMNS.join(", ").replace("{frozen_reason}", crate::hosts::FROZEN_REASON);
        let (before, after) = columns.split_once("{status}").unwrap_or((&columns, ""));
        (format!("SELECT {before}"), format!("{after} {FROM}"))
    })
}

/// Guests; `status` is SQL for what each one's is.
fn select(now: Timestamp, status: &str) -> Select {
    let (before, after) = select_sql();
    Select::new([before, status, after].concat(), values![heard_since(now)]).of_table("guests g")
}

/// How many guests in scope have each status; those that are deleted are not counted.
pub async fn counted(
    connection: &impl Connection,
    scope: Scope,
    now: Timestamp,
) -> StoreResult<Vec<(String, i64)>> {
    #[derive(FromQueryResult)]
    struct Count {
        status: String,
        n: i64,
    }
    let mut select = Select::new("", values![heard_since(now)]);
    select.only("g.deleted_at IS NULL");
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    let (conditions, bound) = select.into_conditions();
    let status = status_column();
    let sql = format!("SELECT {status} AS status, COUNT(*) AS n {FROM} WHERE {conditions} GROUP BY 1");
    let found: Vec<Count> = rows(connection, &sql, bound).await?;
    Ok(found.into_iter().map(|row| (row.status, row.n)).collect())
}

/// How many guests in scope are made of each image; those that are deleted are not counted.
pub async fn counted_by_image(connection: &impl Connection, scope: Scope) -> StoreResult<HashMap<i64, i64>> {
    #[derive(FromQueryResult)]
    struct Count {
        image_id: i64,
        n: i64,
    }
    let mut select = Select::new("", values![]);
    select.only("g.deleted_at IS NULL");
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    let (conditions, bound) = select.into_conditions();
    let sql =
        format!("SELECT g.image_id, COUNT(*) AS n FROM guests g WHERE {conditions} GROUP BY g.image_id");
    let found: Vec<Count> = rows(connection, &sql, bound).await?;
    Ok(found.into_iter().map(|row| (row.image_id, row.n)).collect())
}

/// Guests in scope. What is cancelled or deleted is left out unless the filters say otherwise.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
    now: Timestamp,
) -> StoreResult<Vec<Guest>> {
    let taker = Collected { scope, guests: Vec::new() };
    Ok(row::read(connection, listing(scope, filters, now)?, taker).await?.guests)
}

/// The same, written as JSON. A page that was read a moment ago is not read again while nothing has changed.
pub async fn page(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
    now: Timestamp,
) -> StoreResult<Page> {
    // To the second, so that the same is asked the same way for that long: a host's silence is told that much later at most.
    let reading = listing(scope, filters, Timestamp(now.0 - now.0.rem_euclid(SECOND)))?;
    let taker = Written::new(scope, filters.limit);
    let Some(shortcut) = connection.shortcut() else {
        return Ok(row::read(connection, reading, taker).await?.page());
    };
    let Reading { reach, sql, values } = reading;
    let question = format!("{} {values:?} {sql}", scope.is_operator());
    let read = move |lent: &Lent<'_>| Ok(row::taken(lent, &sql, &values, taker)?.page());
    shortcut.page(reach, question, read).await
}

fn listing(scope: Scope, filters: &Filters, now: Timestamp) -> StoreResult<Reading> {
    let status: &'static str = status_column();
    let columns = [
        Column::Key("id", "g.id"),
        Column::Text("name", "g.name"),
        Column::Key("account_id", "g.account_id"),
        Column::Integer("host_id", "g.host_id"),
        Column::Integer("image_id", "g.image_id"),
        Column::Text("reference", "g.reference"),
        Column::Text("power", "g.power"),
        Column::Text("cluster", "g.cluster"),
        Column::Text("role", "g.role"),
        Column::Derived("status", status),
    ];
    // Where only guests of one status are asked for, it need not be worked out again to be shown.
    let mut asked = filters.equals.iter().filter(|(attribute, _)| attribute == "status");
    let shown = match (asked.next().and_then(|(_, word)| GuestStatus::parse(word)), asked.next()) {
        (Some(only), None) => format!("'{}'", only.as_str()),
        _ => status.to_owned(),
    };
    let mut select = select(now, &shown);
    if !filters.with_cancelled {
        select.only("g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.deleted_at IS NULL");
    } else if filters.without_deleted {
        select.only("g.deleted_at IS NULL");
    }
    if let Some(having) = &filters.having {
        select.only(&having.condition());
    }
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    select.filter(filters, "g.id", &columns)?;
    Ok(select.reading("g.id", filters))
}

/// The status expression, made once: it is the same for every list.
fn status_column() -> &'static str {
    static STATUS: OnceLock<String> = OnceLock::new();
    STATUS.get_or_init(|| format!("({})", status_sql(|fact| fact_sql(fact).to_owned())))
}

/// One guest, also when it is cancelled or deleted.
pub async fn get(
    connection: &impl Connection,
    scope: Scope,
    id: GuestId,
    now: Timestamp,
) -> StoreResult<Guest> {
    let mut select = select(now, status_column());
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    let taker = Collected { scope, guests: Vec::new() };
    let found = row::read(connection, select.reading_one("g.id", id.0), taker).await?.guests;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("guest").into())
}

/// The guest of this account that was made with this reference, also when it is gone.
pub async fn by_reference(
    connection: &impl Connection,
    account: honcho_model::AccountId,
    reference: &str,
    now: Timestamp,
) -> StoreResult<Option<Guest>> {
    let filters = Filters { with_cancelled: true, ..Filters::default() }
        .and("account_id", account)
        .and("reference", reference);
    Ok(list(connection, Scope::System, &filters, now).await?.into_iter().next())
}

/// Guests as the API shows them.
struct Collected {
    scope: Scope,
    guests: Vec<Guest>,
}

impl Takes for Collected {
    fn take(&mut self, row: &Row<'_>, cards: &[Card]) -> StoreResult<()> {
        let own = |text: &Option<Text<'_>>| text.as_deref().map(str::to_owned);
        let seen = Seen::new(row, self.scope)?;
        let interfaces: Vec<Interface> = Interfaces::of(cards)
            .map(|card| Interface {
                id: card.id,
                network_id: card.network_id,
                mac: card.mac.to_string(),
                address: card.address.map(|address| address.to_string()),
                address6: card.address6.map(|address| address.to_string()),
            })
            .collect();
        self.guests.push(Guest {
            id: row.id,
            uuid: row.uuid,
            account_id: row.account_id,
            name: row.name.clone().into_owned(),
            reference: own(&row.reference),
            status: seen.status,
            status_reason: seen.status_reason,
            power: seen.power,
            start_alone: row.start_alone,
            host_id: row.host_id,
            moving_to_host_id: row.moving_to,
            image_id: row.image_id,
            cluster: own(&row.cluster),
            role: own(&row.role),
            cpu_features: row
                .cpu_features
                .as_deref()
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            vcpus: row.vcpus,
            memory_bytes: row.memory,
            disk_bytes: row.disk.unwrap_or(0),
            address: interfaces.first().and_then(|first| first.address.clone().or(first.address6.clone())),
            interfaces,
            ssh_keys: from_json("SSH keys", row.ssh_keys.as_deref())?.unwrap_or_default(),
            ssh_host_key: own(&row.ssh_host_key),
            epoch: row.epoch,
            generation: row.generation,
            observed_generation: row.observed_generation,
            boots_wanted: row.boots_wanted,
            unexpected_stops: row.unexpected_stops.unwrap_or(0),
            operation_id: row.operation_id,
            lock_version: row.lock_version,
            created_at: time(row.created_at),
            cancelled_at: row.cancelled_at.map(time),
            deletes_at: row.deletes_at.map(time),
            deleted_at: row.deleted_at.map(time),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use honcho_model::guest::{Facts, status};
    use proptest::prelude::*;
    use sea_orm::{ConnectionTrait, Database};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        /// The SQL and the function come from one table of rules, and give the same for any facts.
        #[test]
        fn sql_and_function_give_the_same_status(holding in proptest::collection::vec(any::<bool>(), Fact::ALL.len())) {
            let pairs: Vec<_> = Fact::ALL.into_iter().zip(holding).collect();
            let facts = pairs.iter().fold(Facts::default(), |facts, (fact, holds)| facts.with(*fact, *holds));
            let sql = status_sql(|fact| if facts.holds(fact) { "TRUE".into() } else { "FALSE".into() });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let given: String = runtime.block_on(async {
                let database = Database::connect("sqlite::memory:").await.unwrap();
                database.query_one_raw(sea_orm::Statement::from_string(database.get_database_backend(), format!("SELECT {sql} AS status")))
                    .await.unwrap().unwrap().try_get("", "status").unwrap()
            });
            prop_assert_eq!(given, status(&facts).as_str());
        }
    }
}
