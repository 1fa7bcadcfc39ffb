//! Clusters: guests of one account that belong together.
//!
//! A guest names its cluster by its word. The row is there so that a cluster has an id: it is made with the first guest of
//! that word and ends with the last. Whether it is cancelled follows from its guests.

use crate::list::{Column, Filters, Select, Shared};
use crate::sql::{Connection, execute, insert, number, rows, time, values};
use crate::{Refusal, Scope, StoreResult, Tx};
use honcho_api::{Cluster, ClusterRole};
use honcho_model::{AccountId, ClusterId, GuestId, Name, Timestamp};
use sea_orm::{FromQueryResult, Value};
use std::collections::HashMap;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    account_id: i64,
    name: String,
    reference: Option<String>,
    created_at: i64,
    deleted_at: Option<i64>,
    lives: bool,
    cancelled_at: Option<i64>,
    deletes_at: Option<i64>,
}

/// What makes `guests g` one of `clusters c`.
const OF_IT: &str =
    "g.account_id = c.account_id AND g.cluster = c.name AND g.deleted_at IS NULL AND c.deleted_at IS NULL";

const LIVES: &str = "EXISTS (SELECT 1 FROM guests g WHERE OF_IT AND g.cancelled_at IS NULL)";

const COLUMNS: &[Column] = &[
    Column::Integer("id", "c.id"),
    Column::Integer("account_id", "c.account_id"),
    Column::Text("name", "c.name"),
    Column::Text("reference", "c.reference"),
];

/// Clusters in scope. Those without a guest that lives are left out unless the filters say otherwise.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<Cluster>> {
    let lives = LIVES.replace("OF_IT", OF_IT);
    let mut select = Select::new(
        format!(
            "SELECT c.id, c.uuid, c.account_id, c.name, c.reference, c.created_at, c.deleted_at, {lives} AS lives, \
             (SELECT MAX(g.cancelled_at) FROM guests g WHERE {OF_IT}) AS cancelled_at, \
             (SELECT MAX(g.deletes_at) FROM guests g WHERE {OF_IT}) AS deletes_at FROM clusters c"
        ),
        values![],
    );
    if !filters.with_cancelled {
        select.only(&lives);
    }
    select.scope(scope, "c.account_id", Shared::No);
    select.filter(filters, "c.id", COLUMNS)?;
    let found: Vec<Row> = select.all(connection, "c.id", filters).await?;
    let mut roles = roles_of(connection, &found).await?;
    Ok(found.into_iter().map(|row| to_api(&roles.remove(&row.id).unwrap_or_default(), row)).collect())
}

/// The guests of one role, added up.
#[derive(FromQueryResult)]
struct RoleRow {
    cluster_id: i64,
    role: Option<String>,
    living: i64,
    cancelled: i64,
    running: i64,
    open_operations: i64,
}

/// So many clusters are named in a statement.
const MOST_NAMED: usize = 1_000;

/// The roles of all these clusters, as many of them in one statement as can be named.
async fn roles_of(connection: &impl Connection, of: &[Row]) -> StoreResult<HashMap<i64, Vec<RoleRow>>> {
    let mut roles: HashMap<i64, Vec<RoleRow>> = HashMap::new();
    for named in of.chunks(MOST_NAMED) {
        let places: Vec<String> = (1..=named.len()).map(|number| format!("${number}")).collect();
        let sum = |condition: &str| {
            format!("CAST(COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) AS BIGINT)")
        };
        let sql = format!(
            "SELECT c.id AS cluster_id, g.role, {living} AS living, {cancelled} AS cancelled, {running} AS running, \
             CAST(COALESCE(SUM((SELECT COUNT(*) FROM operations p WHERE p.guest_id = g.id AND p.state = 'open')), 0) AS BIGINT) \
             AS open_operations FROM clusters c JOIN guests g ON {OF_IT} \
             LEFT JOIN guest_observed o ON o.guest_id = g.id AND o.epoch = g.epoch \
             WHERE c.id IN ({places}) GROUP BY c.id, g.role ORDER BY c.id, g.role",
            living = sum("g.cancelled_at IS NULL"),
            cancelled = sum("g.cancelled_at IS NOT NULL"),
            running = sum("o.power = 'running'"),
            places = places.join(", ")
        );
        let ids: Vec<Value> = named.iter().map(|row| row.id.into()).collect();
        for row in rows::<RoleRow>(connection, &sql, ids).await? {
            roles.entry(row.cluster_id).or_default().push(row);
        }
    }
    Ok(roles)
}

fn to_api(roles: &[RoleRow], row: Row) -> Cluster {
    // Of one that is cancelled those are told that it had.
    let count = |role: &RoleRow| if row.lives { role.living } else { role.cancelled };
    let of_role = |role: &RoleRow| ClusterRole {
        role: role.role.clone(),
        guests_count: count(role),
        running_count: role.running,
    };
    Cluster {
        id: row.id,
        uuid: row.uuid,
        account_id: row.account_id,
        guests_count: roles.iter().map(count).sum(),
        running_count: roles.iter().map(|role| role.running).sum(),
        open_operations_count: roles.iter().map(|role| role.open_operations).sum(),
        roles: roles.iter().filter(|role| count(role) > 0).map(of_role).collect(),
        name: row.name,
        reference: row.reference,
        created_at: time(row.created_at),
        cancelled_at: row.cancelled_at.filter(|_| !row.lives).map(time),
        deletes_at: row.deletes_at.filter(|_| !row.lives).map(time),
        deleted_at: row.deleted_at.map(time),
    }
}

/// One cluster, also when it is cancelled or deleted.
pub async fn get(connection: &impl Connection, scope: Scope, id: ClusterId) -> StoreResult<Cluster> {
    let filters = Filters { with_cancelled: true, ..Filters::default() }.and("id", id);
    let found = list(connection, scope, &filters).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("cluster").into())
}

/// The cluster of this account that was made with this reference, also when it is gone.
pub async fn by_reference(
    connection: &impl Connection,
    account: AccountId,
    reference: &str,
) -> StoreResult<Option<Cluster>> {
    let filters = Filters { with_cancelled: true, ..Filters::default() }
        .and("account_id", account)
        .and("reference", reference);
    Ok(list(connection, Scope::System, &filters).await?.into_iter().next())
}

/// The cluster of this name whose last guest is not gone yet.
pub async fn living(
    connection: &impl Connection,
    account: AccountId,
    name: &Name,
) -> StoreResult<Option<ClusterId>> {
    let sql = "SELECT id AS n FROM clusters WHERE account_id = $1 AND name = $2 AND deleted_at IS NULL";
    Ok(number(connection, sql, values![account.0, name.as_str()]).await?.map(ClusterId))
}

/// What a new cluster is made of.
pub struct NewCluster<'a> {
    /// Random.
    pub uuid: Uuid,
    /// Who owns it.
    pub account: AccountId,
    /// Unique in its account.
    pub name: &'a Name,
    /// The creator's own key.
    pub reference: Option<&'a str>,
}

/// Makes one, whose guests are made next.
pub async fn create(tx: &Tx, new: &NewCluster<'_>) -> StoreResult<ClusterId> {
    let id = insert(
        tx,
        "INSERT INTO clusters (uuid, account_id, name, reference, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id AS n",
        values![new.uuid, new.account.0, new.name.as_str(), new.reference, tx.now.0],
    )
    .await?;
    Ok(ClusterId(id))
}

/// Makes the cluster of a guest that is made, unless it is there.
pub async fn have(tx: &Tx, uuid: Uuid, account: AccountId, name: &Name) -> StoreResult<()> {
    if living(tx, account, name).await?.is_none() {
        create(tx, &NewCluster { uuid, account, name, reference: None }).await?;
    }
    Ok(())
}

/// A guest of a cluster that is not being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub guest: GuestId,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
}

/// The guests of a cluster that are not being deleted, the cancelled ones included.
pub async fn members(connection: &impl Connection, id: ClusterId) -> StoreResult<Vec<Member>> {
    #[derive(FromQueryResult)]
    struct MemberRow {
        id: i64,
        cancelled_at: Option<i64>,
    }
    let sql = format!(
        "SELECT g.id, g.cancelled_at FROM clusters c JOIN guests g ON {OF_IT} \
         WHERE c.id = $1 AND g.deleting_at IS NULL ORDER BY g.id"
    );
    let found: Vec<MemberRow> = rows(connection, &sql, values![id.0]).await?;
    let member =
        |row: MemberRow| Member { guest: GuestId(row.id), cancelled_at: row.cancelled_at.map(Timestamp) };
    Ok(found.into_iter().map(member).collect())
}

/// Ends a cluster whose last guest is gone: its name may be given again.
pub(crate) async fn end_without_guests(tx: &Tx, account: AccountId, name: &str) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE clusters SET deleted_at = $1 WHERE account_id = $2 AND name = $3 AND deleted_at IS NULL AND NOT EXISTS \
         (SELECT 1 FROM guests g WHERE g.account_id = $2 AND g.cluster = $3 AND g.deleted_at IS NULL)",
        values![tx.now.0, account.0, name],
    )
    .await?;
    Ok(())
}
