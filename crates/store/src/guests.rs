//! Guests as people see them: desired, observed and derived in one statement.

use crate::cells::{FromCells as _, cells};
use crate::list::{Column, Filters, Select};
use crate::sql::{Connection, Reach, from_json, read, rows, time, values};
use crate::{Refusal, Scope, StoreError, StoreResult, addresses};
use honcho_api::{Guest, Interface};
use honcho_model::guest::{Condition, Fact, GuestStatus, Power, RULES};
use honcho_model::{GuestId, InterfaceId, Mac, Timestamp};
use honcho_wire::{Failure, Progress};
use sea_orm::{FromQueryResult, Value};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::OnceLock;
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
        Fact::HostFrozen => "(h.frozen_at IS NOT NULL OR h.unaccepted_since IS NOT NULL)",
        Fact::Damaged => "COALESCE(o.volume_state IN ('missing', 'unknown'), FALSE)",
        Fact::Failing => "o.failure IS NOT NULL",
        Fact::GivenUp => "g.given_up_operation IS NOT NULL",
        Fact::Built => "COALESCE(v.existing, FALSE)",
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

cells! {
    struct Row {
        id: i64 = "g.id",
        uuid: Uuid = "g.uuid",
        account_id: i64 = "g.account_id",
        name: String = "g.name",
        reference: Option<String> = "g.reference",
        status: String = "{status}",
        power: String = "g.power",
        start_alone: bool = "g.start_alone",
        host_id: Option<i64> = "g.host_id",
        image_id: i64 = "g.image_id",
        cluster: Option<String> = "g.cluster",
        role: Option<String> = "g.role",
        vcpus: i64 = "CAST(g.vcpus AS BIGINT)",
        memory: i64 = "g.memory",
        disk: Option<i64> = "v.size",
        ssh_keys: Option<String> = "g.ssh_keys",
        ssh_host_key: Option<String> = "o.ssh_host_key",
        epoch: i64 = "g.epoch",
        generation: i64 = "g.generation",
        observed_generation: Option<i64> = "o.generation",
        boots_wanted: i64 = "g.boots_wanted",
        unexpected_stops: Option<i64> = "o.unexpected_stops",
        operation_id: Option<i64> = "(SELECT MAX(p.id) FROM operations p WHERE p.guest_id = g.id)",
        lock_version: i64 = "g.lock_version",
        created_at: i64 = "g.created_at",
        cancelled_at: Option<i64> = "g.cancelled_at",
        deletes_at: Option<i64> = "g.deletes_at",
        deleted_at: Option<i64> = "g.deleted_at",
        volume_state: Option<String> = "o.volume_state",
        pool_problem: Option<String> = "po.problem",
        progress: Option<String> = "o.progress",
        failure: Option<String> = "o.failure",
        frozen_reason: Option<String> = "{frozen_reason}",
        memory_claimed: bool = "g.memory_claimed",
        given_up_operation: Option<i64> = "g.given_up_operation",
        given_up_kind: Option<String> = "(CASE WHEN g.given_up_operation IS NOT NULL THEN \
            (SELECT p.kind FROM operations p WHERE p.id = g.given_up_operation) END)",
        suspended_reason: Option<String> = "(CASE WHEN g.suspended_at IS NOT NULL THEN \
            (SELECT a.suspended_reason FROM accounts a WHERE a.id = g.account_id) END)",
    }
}

/// The select with all that is worked out in it, made once: it is the same for every list.
fn select_sql() -> &'static str {
    static SELECT: OnceLock<String> = OnceLock::new();
    SELECT.get_or_init(|| {
        let columns = Row::select_list().replace("{status}", status_column());
        format!("SELECT {} {FROM}", columns.replace("{frozen_reason}", crate::hosts::FROZEN_REASON))
    })
}

fn select(now: Timestamp) -> Select {
    Select::new(select_sql(), values![heard_since(now)]).of_table("guests g")
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
        Column::Text("cluster", "g.cluster"),
        Column::Text("role", "g.role"),
        Column::Derived("status", status),
    ];
    let mut select = select(now);
    if !filters.with_cancelled {
        select.only("g.cancelled_at IS NULL AND g.deleting_at IS NULL AND g.deleted_at IS NULL");
    }
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    select.filter(filters, "g.id", &columns)?;
    let found: Vec<Row> = select.read_all(connection, "g.id", filters).await?;
    complete(connection, scope, found).await
}

/// What rows of guests are to people.
async fn complete(connection: &impl Connection, scope: Scope, found: Vec<Row>) -> StoreResult<Vec<Guest>> {
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
    let mut select = select(now);
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    let found: Option<Row> = select.read_one(connection, "g.id", id.0).await?;
    let found = complete(connection, scope, found.into_iter().collect()).await?;
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

cells! {
    struct InterfaceRow {
        id: i64 = "i.id",
        guest_id: i64 = "i.guest_id",
        network_id: i64 = "i.network_id",
        address: Option<Vec<u8>> = "a.address",
    }
}

/// So many guests are named in a statement; of more, every interface between the first and the last is read.
const MOST_NAMED: usize = 1_000;

/// The interfaces of so many are found by their keys sooner than another thread could be woken to do it.
const FEW: usize = 128;

/// The interfaces of all these guests, in one statement however many there are.
async fn interfaces_of(
    connection: &impl Connection,
    guests: &[Row],
) -> StoreResult<HashMap<i64, Vec<Interface>>> {
    let reach = if guests.len() <= FEW { Reach::Few } else { Reach::Many };
    let ids = || guests.iter().map(|guest| guest.id);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(HashMap::new()) };
    let (of_these, values) = if guests.len() <= MOST_NAMED {
        let mut named = String::from("IN ($1");
        for number in 2..=guests.len() {
            // Nothing can fail where text is written into memory.
            let _ = write!(named, ", ${number}");
        }
        (named + ")", ids().map(Value::from).collect())
    } else {
        ("BETWEEN $1 AND $2".to_owned(), values![first, last])
    };
    let sql = format!(
        "SELECT {} FROM interfaces i LEFT JOIN addresses a ON a.interface_id = i.id \
         WHERE i.guest_id {of_these} ORDER BY i.guest_id, i.id",
        InterfaceRow::select_list()
    );
    let found: Vec<InterfaceRow> = read(connection, reach, sql, values).await?;
    let mut interfaces: HashMap<i64, Vec<Interface>> = HashMap::new();
    for row in found {
        let own = interfaces.entry(row.guest_id).or_default();
        // One row for each address; those of a card follow each other.
        if own.last().is_none_or(|last| last.id != row.id) {
            own.push(Interface {
                id: row.id,
                network_id: row.network_id,
                mac: Mac::of_interface(InterfaceId(row.id)).to_string(),
                address: None,
                address6: None,
            });
        }
        if let (Some(bytes), Some(card)) = (&row.address, own.last_mut()) {
            let address = addresses::from_bytes(bytes)?;
            let place = if address.is_ipv4() { &mut card.address } else { &mut card.address6 };
            *place = Some(address.to_string());
        }
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
        cluster: row.cluster,
        role: row.role,
        vcpus: row.vcpus,
        memory_bytes: row.memory,
        disk_bytes: row.disk.unwrap_or(0),
        address: interfaces.first().and_then(|first| first.address.clone().or(first.address6.clone())),
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
        GuestStatus::GivenUp | GuestStatus::Stopped | GuestStatus::Running
            if row.given_up_operation.is_some() =>
        {
            given_up(status, row)
        }
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

/// What giving up on an operation has left it as, and the next thing to do.
fn given_up(status: GuestStatus, row: &Row) -> Option<String> {
    let operation = row.given_up_operation?;
    let left = match status {
        GuestStatus::GivenUp => "it was not made: start it to have it made, or delete it",
        GuestStatus::Running => "it runs on as it was",
        _ => "it stays stopped until it is started",
    };
    Some(match row.given_up_kind.as_deref() {
        Some(kind) => format!("operation {operation} ({kind}) was given up: {left}"),
        None => format!("somebody gave up on it before the brain was restored: {left}"),
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
        Some(pause) => {
            format!("{} failed; {}", failure.step, tried_again(pause))
        }
        None => format!("{} failed; an operator has to look at it", failure.step),
    }
}

fn tried_again(pause: u64) -> String {
    format!("it is tried again {} s after each failure", pause.div_ceil(1000).max(1))
}

/// A failure as a sentence: what, how often, and what comes next.
pub(crate) fn describe_failure(failure: &Failure) -> String {
    if failure.step == honcho_wire::LOOK {
        return failure.error.clone();
    }
    let next = match failure.next_try_ms {
        Some(pause) => tried_again(pause),
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
