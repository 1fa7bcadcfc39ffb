//! Guests as people see them: desired, observed and derived in one statement.

use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, from_json, rows, time, values};
use crate::{Refusal, Scope, StoreError, StoreResult, addresses};
use honcho_api::{Guest, Interface};
use honcho_model::guest::{Condition, Fact, GuestStatus, Power, RULES};
use honcho_model::{GuestId, InterfaceId, Mac, Timestamp};
use honcho_wire::{Failure, Progress};
use sea_orm::{FromQueryResult, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// The joins that the facts below are about.
pub(crate) const FROM: &str = "FROM guests g \
    LEFT JOIN volumes v ON v.guest_id = g.id \
    LEFT JOIN guest_observed o ON o.guest_id = g.id AND o.epoch = g.epoch \
    LEFT JOIN hosts h ON h.id = g.host_id \
    LEFT JOIN host_observed ho ON ho.host_id = g.host_id \
    LEFT JOIN pool_observed po ON po.pool_id = v.pool_id";

/// A fact, as SQL over [`FROM`]. `$1` is the earliest time at which a host that is not silent was heard.
fn fact_sql(fact: Fact) -> &'static str {
    match fact {
        Fact::Deleted => "g.deleted_at IS NOT NULL",
        Fact::Deleting => "g.deleting_at IS NOT NULL",
        Fact::Cancelled => "g.cancelled_at IS NOT NULL",
        Fact::Suspended => "g.suspended_at IS NOT NULL",
        Fact::Placed => "g.host_id IS NOT NULL",
        Fact::HostSilent => "COALESCE(ho.last_seen_at, 0) < $1",
        Fact::HostFrozen => "h.frozen_at IS NOT NULL",
        Fact::Damaged => "COALESCE(o.volume_state IN ('missing', 'unknown'), FALSE)",
        Fact::Failing => "o.failure IS NOT NULL",
        Fact::Built => "COALESCE(v.existing, FALSE)",
        Fact::WantedRunning => "(g.power = 'running' AND g.cancelled_at IS NULL AND g.suspended_at IS NULL)",
        Fact::SeenRunning => "COALESCE(o.power = 'running', FALSE)",
        Fact::BootDue => "COALESCE(o.boots_done < g.boots_wanted, FALSE)",
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

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    account_id: i64,
    name: String,
    reference: Option<String>,
    status: String,
    power: String,
    start_alone: bool,
    host_id: Option<i64>,
    image_id: i64,
    vcpus: i64,
    memory: i64,
    disk: Option<i64>,
    ssh_keys: Option<String>,
    ssh_host_key: Option<String>,
    epoch: i64,
    generation: i64,
    observed_generation: Option<i64>,
    boots_wanted: i64,
    unexpected_stops: Option<i64>,
    operation_id: Option<i64>,
    lock_version: i64,
    created_at: i64,
    cancelled_at: Option<i64>,
    deletes_at: Option<i64>,
    deleted_at: Option<i64>,
    volume_state: Option<String>,
    pool_problem: Option<String>,
    progress: Option<String>,
    failure: Option<String>,
    frozen_reason: Option<String>,
    suspended_reason: Option<String>,
    memory_claimed: bool,
}

fn select(now: Timestamp) -> Select {
    let status = status_sql(|fact| fact_sql(fact).to_owned());
    let sql = format!(
        "SELECT g.id, g.uuid, g.account_id, g.name, g.reference, {status} AS status, g.power, g.start_alone, g.host_id, \
         g.image_id, CAST(g.vcpus AS BIGINT) AS vcpus, g.memory, v.size AS disk, g.ssh_keys, o.ssh_host_key, g.epoch, \
         g.generation, o.generation AS observed_generation, g.boots_wanted, o.unexpected_stops, \
         (SELECT MAX(p.id) FROM operations p WHERE p.guest_id = g.id) AS operation_id, \
         g.lock_version, g.created_at, g.cancelled_at, g.deletes_at, g.deleted_at, o.volume_state, \
         po.problem AS pool_problem, o.progress, o.failure, h.frozen_reason, g.memory_claimed, \
         (CASE WHEN g.suspended_at IS NOT NULL THEN (SELECT a.suspended_reason FROM accounts a \
         WHERE a.id = g.account_id) END) AS suspended_reason {FROM}"
    );
    Select::new(sql, values![heard_since(now)]).of_table("guests g")
}

/// How many guests have each status; those that are deleted are not counted.
pub(crate) async fn counted(connection: &impl Connection, now: Timestamp) -> StoreResult<Vec<(String, i64)>> {
    #[derive(FromQueryResult)]
    struct Count {
        status: String,
        n: i64,
    }
    let sql = format!(
        "SELECT {} AS status, COUNT(*) AS n {FROM} WHERE g.deleted_at IS NULL GROUP BY 1",
        status_column()
    );
    let found: Vec<Count> = rows(connection, &sql, values![heard_since(now)]).await?;
    Ok(found.into_iter().map(|row| (row.status, row.n)).collect())
}

/// Guests in scope. What is cancelled or deleted is left out unless the filters say otherwise.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
    now: Timestamp,
) -> StoreResult<Vec<Guest>> {
    let status: &'static str = status_column();
    let columns = [
        Column::Integer("id", "g.id"),
        Column::Text("name", "g.name"),
        Column::Integer("account_id", "g.account_id"),
        Column::Integer("host_id", "g.host_id"),
        Column::Integer("image_id", "g.image_id"),
        Column::Text("reference", "g.reference"),
        Column::Text("power", "g.power"),
        Column::Derived("status", status),
    ];
    let mut select = select(now);
    if !filters.with_cancelled {
        select.only("g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.deleted_at IS NULL");
    }
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    select.filter(filters, "g.id", &columns)?;
    let found: Vec<Row> = select.all(connection, "g.id", filters).await?;
    let mut interfaces = interfaces_of(connection, &found).await?;
    found
        .into_iter()
        .map(|row| {
            let own = interfaces.remove(&row.id).unwrap_or_default();
            to_api(row, own, scope)
        })
        .collect()
}

/// The status expression, made once: it is the same for every list.
fn status_column() -> &'static str {
    static STATUS: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    STATUS.get_or_init(|| format!("({})", status_sql(|fact| fact_sql(fact).to_owned())))
}

/// One guest, also when it is cancelled or deleted.
pub async fn get(
    connection: &impl Connection,
    scope: Scope,
    id: GuestId,
    now: Timestamp,
) -> StoreResult<Guest> {
    let filters = Filters { with_cancelled: true, ..Filters::default() }.and("id", id);
    let found = list(connection, scope, &filters, now).await?;
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

#[derive(FromQueryResult)]
struct InterfaceRow {
    id: i64,
    guest_id: i64,
    network_id: i64,
    address: Option<Vec<u8>>,
}

/// So many guests are named in a statement; of more, every interface between the first and the last is read.
const MOST_NAMED: usize = 1_000;

/// The interfaces of all these guests, in one statement however many there are.
async fn interfaces_of(
    connection: &impl Connection,
    guests: &[Row],
) -> StoreResult<HashMap<i64, Vec<Interface>>> {
    let ids = || guests.iter().map(|guest| guest.id);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(HashMap::new()) };
    let (of_these, values) = if guests.len() <= MOST_NAMED {
        let named: Vec<String> = (1..=guests.len()).map(|number| format!("${number}")).collect();
        (format!("IN ({})", named.join(", ")), ids().map(Value::from).collect())
    } else {
        ("BETWEEN $1 AND $2".to_owned(), values![first, last])
    };
    let sql = format!(
        "SELECT i.id, i.guest_id, i.network_id, a.address FROM interfaces i \
         LEFT JOIN addresses a ON a.interface_id = i.id WHERE i.guest_id {of_these} ORDER BY i.id"
    );
    let found: Vec<InterfaceRow> = rows(connection, &sql, values).await?;
    let mut interfaces: HashMap<i64, Vec<Interface>> = HashMap::new();
    for row in found {
        let address = row.address.as_deref().map(addresses::from_bytes).transpose()?;
        interfaces.entry(row.guest_id).or_default().push(Interface {
            id: row.id,
            network_id: row.network_id,
            mac: Mac::of_interface(InterfaceId(row.id)).to_string(),
            address: address.map(|address| address.to_string()),
        });
    }
    Ok(interfaces)
}

fn to_api(row: Row, interfaces: Vec<Interface>, scope: Scope) -> StoreResult<Guest> {
    let damaged = |what, why: &str| StoreError::Damaged { what, why: why.to_owned() };
    let status = GuestStatus::parse(&row.status).ok_or_else(|| damaged("status", &row.status))?;
    let status_reason =
        if scope.is_operator() { reason(status, &row)? } else { reason_for_customers(status, &row)? };
    Ok(Guest {
        id: row.id,
        uuid: row.uuid,
        account_id: row.account_id,
        name: row.name,
        reference: row.reference,
        status,
        status_reason,
        power: Power::parse(&row.power).ok_or_else(|| damaged("power", &row.power))?,
        start_alone: row.start_alone,
        host_id: row.host_id,
        image_id: row.image_id,
        vcpus: row.vcpus,
        memory_bytes: row.memory,
        disk_bytes: row.disk.unwrap_or(0),
        address: interfaces.first().and_then(|first| first.address.clone()),
        interfaces,
        ssh_keys: from_json("SSH keys", row.ssh_keys.as_deref())?.unwrap_or_default(),
        ssh_host_key: row.ssh_host_key,
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
    })
}

/// Why a guest that was taken back stands still.
pub const NO_ROOM: &str =
    "there was no room for its memory when it was taken back, so it is stopped: start it when there is room";

/// Why a guest is what it is, where its status alone does not say.
fn reason(status: GuestStatus, row: &Row) -> StoreResult<Option<String>> {
    Ok(match status {
        GuestStatus::Frozen => row.frozen_reason.clone(),
        GuestStatus::Unknown => Some("its host is silent; it may well be running".to_owned()),
        GuestStatus::Damaged => Some(match (row.volume_state.as_deref(), &row.pool_problem) {
            (_, Some(problem)) => format!("its pool cannot be used: {problem}"),
            (Some("missing"), None) => {
                "its volume is missing from its pool; nothing is made in its place".to_owned()
            }
            _ => "its volume cannot be looked at".to_owned(),
        }),
        GuestStatus::Suspended => Some(match &row.suspended_reason {
            Some(reason) => format!("its account is suspended: {reason}"),
            None => "its account is suspended".to_owned(),
        }),
        GuestStatus::Stopped if !row.memory_claimed => Some(NO_ROOM.to_owned()),
        _ => match from_json::<Failure>("failure", row.failure.as_deref())? {
            Some(failure) => Some(describe_failure(&failure)),
            None => {
                from_json::<Progress>("progress", row.progress.as_deref())?.map(|progress| {
                    match progress.percent {
                        Some(percent) => format!("{} {percent}%", progress.step),
                        None => progress.step,
                    }
                })
            }
        },
    })
}

/// The same for customers, who are not shown the machine room: no host, no path, no driver's words.
fn reason_for_customers(status: GuestStatus, row: &Row) -> StoreResult<Option<String>> {
    let said = match status {
        GuestStatus::Frozen => "an operator has to look at its host first",
        GuestStatus::Unknown => "it cannot be looked at just now; it may well be running",
        GuestStatus::Damaged => "its disk cannot be used; an operator has to look at it",
        _ => match from_json::<Failure>("failure", row.failure.as_deref())? {
            Some(failure) => return Ok(Some(failure_for_customers(&failure))),
            None => return reason(status, row),
        },
    };
    Ok(Some(said.to_owned()))
}

/// A failure in words for customers.
pub(crate) fn failure_for_customers(failure: &Failure) -> String {
    match failure.next_try_ms {
        Some(_) => format!("{} failed and is tried again", failure.step),
        None => format!("{} failed; an operator has to look at it", failure.step),
    }
}

/// A failure as a sentence: what, how often, and what comes next.
pub(crate) fn describe_failure(failure: &Failure) -> String {
    if failure.step == honcho_wire::LOOK {
        return failure.error.clone();
    }
    let next = match failure.next_try_ms {
        Some(pause) => format!("it is tried again {} s after each failure", pause.div_ceil(1000).max(1)),
        None => "it is not tried again until something else is asked for".to_owned(),
    };
    let times = if failure.attempts > 1 { format!(" ({} times)", failure.attempts) } else { String::new() };
    format!("{} failed{times}: {}; {next}", failure.step, failure.error)
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
