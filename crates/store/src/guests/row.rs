//! Guests as the database holds them, one after the other, each with its cards.

use crate::StoreResult;
use crate::addresses::Octets;
use crate::cells::{Cells, FromCells as _, Text, cells};
use crate::list::Reading;
use crate::shortcut::Lent;
use crate::sql::{Connection, query};
use sea_orm::{QueryResult, Value};
use std::fmt::Write as _;
use std::sync::OnceLock;
use uuid::Uuid;

cells! {
    /// A guest.
    struct Row<'r> {
        id: i64 = "g.id",
        uuid: Uuid = "g.uuid",
        account_id: i64 = "g.account_id",
        name: Text<'r> = "g.name",
        reference: Option<Text<'r>> = "g.reference",
        status: Text<'r> = "{status}",
        power: Text<'r> = "g.power",
        start_alone: bool = "g.start_alone",
        host_id: Option<i64> = "g.host_id",
        image_id: i64 = "g.image_id",
        cluster: Option<Text<'r>> = "g.cluster",
        role: Option<Text<'r>> = "g.role",
        cpu_features: Option<Text<'r>> = "g.cpu_features",
        vcpus: i64 = "CAST(g.vcpus AS BIGINT)",
        memory: i64 = "g.memory",
        disk: Option<i64> = "v.size",
        ssh_keys: Option<Text<'r>> = "g.ssh_keys",
        ssh_host_key: Option<Text<'r>> = "o.ssh_host_key",
        epoch: i64 = "g.epoch",
        generation: i64 = "g.generation",
        observed_generation: Option<i64> = "o.generation",
        boots_wanted: i64 = "g.boots_wanted",
        unexpected_stops: Option<i64> = "o.unexpected_stops",
        operation_id: Option<i64> = "g.operation_id",
        lock_version: i64 = "g.lock_version",
        created_at: i64 = "g.created_at",
        cancelled_at: Option<i64> = "g.cancelled_at",
        deletes_at: Option<i64> = "g.deletes_at",
        deleted_at: Option<i64> = "g.deleted_at",
        volume_state: Option<Text<'r>> = "o.volume_state",
        pool_problem: Option<Text<'r>> = "(CASE WHEN o.volume_state IN ('missing', 'unknown') THEN \
            (SELECT po.problem FROM pool_observed po WHERE po.pool_id = v.pool_id) END)",
        moving_to: Option<i64> = "m.to_host_id",
        moving_to_name: Option<Text<'r>> = "(CASE WHEN m.id IS NOT NULL THEN \
            (SELECT t.name FROM hosts t WHERE t.id = m.to_host_id) END)",
        progress: Option<Text<'r>> = "COALESCE((CASE WHEN m.id IS NOT NULL THEN \
            (SELECT mo.progress FROM move_observed mo WHERE mo.move_id = m.id) END), o.progress)",
        failure: Option<Text<'r>> = "COALESCE((CASE WHEN m.id IS NOT NULL THEN \
            (SELECT mo.failure FROM move_observed mo WHERE mo.move_id = m.id) END), o.failure)",
        frozen_reason: Option<Text<'r>> = "{frozen_reason}",
        memory_claimed: bool = "g.memory_claimed",
        given_up_operation: Option<i64> = "g.given_up_operation",
        given_up_kind: Option<Text<'r>> = "(CASE WHEN g.given_up_operation IS NOT NULL THEN \
            (SELECT p.kind FROM operations p WHERE p.id = g.given_up_operation) END)",
        suspended_reason: Option<Text<'r>> = "(CASE WHEN g.suspended_at IS NOT NULL THEN \
            (SELECT a.suspended_reason FROM accounts a WHERE a.id = g.account_id) END)",
    }
}

cells! {
    /// An address of a network card, or a card that has none. Those of a card follow each other.
    #[derive(Clone, Copy)]
    struct Card {
        guest_id: i64 = "i.guest_id",
        id: i64 = "i.id",
        network_id: i64 = "i.network_id",
        address: Option<Octets> = "a.address",
    }
}

/// Takes guests, one after the other.
pub(super) trait Takes: Send + 'static {
    /// Takes this one.
    fn take(&mut self, row: &Row<'_>, cards: &[Card]) -> StoreResult<()>;
}

/// Gives what is read to `taker`, and that back.
pub(super) async fn read<T: Takes>(
    connection: &impl Connection,
    reading: Reading,
    mut taker: T,
) -> StoreResult<T> {
    let Reading { reach, sql, values } = reading;
    if let Some(shortcut) = connection.shortcut() {
        return shortcut.lend(reach, move |lent| taken(lent, &sql, &values, taker)).await;
    }
    let rows = query(connection, &sql, values).await?;
    let ids = rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect::<StoreResult<Vec<i64>>>()?;
    let cards = cards_of_all(connection, &ids).await?;
    for (row, id) in rows.iter().zip(ids) {
        let row = Row::from_cells(&mut Cells::of_orm(row))?;
        let first = cards.partition_point(|card| card.guest_id < id);
        let count = cards[first..].partition_point(|card| card.guest_id == id);
        taker.take(&row, &cards[first..first + count])?;
    }
    Ok(taker)
}

/// On SQLite, where a row is read where it lies, and its cards by a statement that stays ready.
pub(super) fn taken<T: Takes>(lent: &Lent<'_>, sql: &str, values: &[Value], mut taker: T) -> StoreResult<T> {
    static CARDS: OnceLock<String> = OnceLock::new();
    let cards_of_one = CARDS.get_or_init(|| cards_sql("= $1"));
    let (mut guests, mut cards_of_one) = (lent.statement(sql)?, lent.statement(cards_of_one)?);
    let mut cards = Vec::new();
    let mut found = guests.rows(values)?;
    while let Some(row) = found.next()? {
        let row = Row::from_cells(&mut Cells::of_sqlite(row))?;
        cards.clear();
        let mut own = cards_of_one.rows(&[Value::from(row.id)])?;
        while let Some(card) = own.next()? {
            cards.push(Card::from_cells(&mut Cells::of_sqlite(card))?);
        }
        taker.take(&row, &cards)?;
    }
    Ok(taker)
}

fn cards_sql(of_these: &str) -> String {
    format!(
        "SELECT {} FROM interfaces i LEFT JOIN addresses a ON a.interface_id = i.id \
         WHERE i.guest_id {of_these} ORDER BY i.guest_id, i.id",
        Card::COLUMNS.join(", ")
    )
}

/// So many guests are named in a statement; of more, every card between the first and the last is read.
const MOST_NAMED: usize = 1_000;

/// The cards of all these guests, by the guest's id in rising order, in one statement however many there are.
async fn cards_of_all(connection: &impl Connection, guests: &[i64]) -> StoreResult<Vec<Card>> {
    let (Some(first), Some(last)) = (guests.iter().min(), guests.iter().max()) else { return Ok(Vec::new()) };
    let (of_these, values) = if guests.len() <= MOST_NAMED {
        let mut named = String::from("IN ($1");
        for number in 2..=guests.len() {
            // Nothing can fail where text is written into memory.
            let _ = write!(named, ", ${number}");
        }
        (named + ")", guests.iter().copied().map(Value::from).collect())
    } else {
        ("BETWEEN $1 AND $2".to_owned(), vec![Value::from(*first), Value::from(*last)])
    };
    let found: Vec<QueryResult> = query(connection, &cards_sql(&of_these), values).await?;
    found.iter().map(|row| Card::from_cells(&mut Cells::of_orm(row))).collect()
}
