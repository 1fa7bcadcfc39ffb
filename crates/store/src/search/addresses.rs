//! Addresses, found by what they are: the one that was typed, whoever holds it or nobody; and those that begin so and
//! that an account holds, with a guest or without, from the lowest. Of a network's thousands that nobody holds, none is
//! shown unasked.

use super::conditions::{Bound, bytes};
use super::{ATTRIBUTES_MOST, host_name, read_place};
use crate::addresses::from_bytes;
use crate::list::Select;
use crate::sql::{Connection, rows};
use crate::{Scope, StoreResult};
use honcho_api::SearchHit;
use honcho_model::needle::Needle;
use sea_orm::FromQueryResult;

#[derive(FromQueryResult)]
struct Row {
    place: i64,
    id: i64,
    address: Vec<u8>,
    network_id: i64,
    guest_id: Option<i64>,
    account_id: Option<i64>,
    account_name: Option<String>,
    host_id: Option<i64>,
    host_name: Option<String>,
    network_name: String,
    guest_name: Option<String>,
}

const JOINS: &str = "FROM addresses a JOIN networks n ON n.id = a.network_id AND n.deleted_at IS NULL \
    LEFT JOIN interfaces i ON i.id = a.interface_id LEFT JOIN guests g ON g.id = i.guest_id";

pub(super) async fn search(
    connection: &impl Connection,
    scope: Scope,
    needle: &Needle,
    limit: u32,
) -> StoreResult<Vec<(i64, SearchHit)>> {
    if needle.addresses.is_empty() {
        return Ok(Vec::new());
    }
    let mut bound = Bound::new(needle);
    let mut parts: Vec<(usize, String, String)> = Vec::new();
    if let Some(address) = needle.address {
        let address = bound.bind(bytes(address));
        parts.push((0, format!("a.address = {address}"), String::new()));
    }
    let itself = needle.address.map(|address| (address, address));
    for stretch in needle.addresses.iter().filter(|stretch| Some(**stretch) != itself) {
        if let Some(within) = bound.within("a.address", &[*stretch]) {
            let cut = format!(" ORDER BY a.address LIMIT {limit}");
            parts.push((ATTRIBUTES_MOST, format!("a.account_id IS NOT NULL AND {within}"), cut));
        }
    }
    // Bound in each part anew: a scope's condition binds what it names.
    let mut selects = Vec::new();
    let mut values = bound.values;
    for (number, (place, condition, cut)) in parts.into_iter().enumerate() {
        let mut select = Select::new("", values);
        select.only(&condition);
        select.scope_of_machine(scope, "a.account_id", "g.id = ?");
        let (conditions, bound) = select.into_conditions();
        values = bound;
        selects.push(format!(
            "SELECT * FROM (SELECT CAST({place} AS BIGINT) AS place, a.id, a.address, a.network_id, i.guest_id, \
             a.account_id, (SELECT o.name FROM accounts o WHERE o.id = a.account_id) AS account_name, g.host_id, \
             {} AS host_name, n.name AS network_name, g.name AS guest_name {JOINS} WHERE {conditions}{cut}) part{number}",
            host_name(scope, "g.host_id")
        ));
    }
    let sql = format!("{} ORDER BY 1, 3, 2 LIMIT {limit}", selects.join(" UNION ALL "));
    let found: Vec<Row> = rows(connection, &sql, values).await?;
    found.into_iter().map(to_api).collect()
}

fn to_api(row: Row) -> StoreResult<(i64, SearchHit)> {
    let (nearness, _) = read_place(row.place)?;
    let address = from_bytes(&row.address)?.to_string();
    let hit = SearchHit {
        kind: "address".to_owned(),
        id: row.id,
        uuid: None,
        name: address.clone(),
        account_id: row.account_id,
        account_name: row.account_name,
        host_id: row.host_id,
        host_name: row.host_name,
        network_id: Some(row.network_id),
        network_name: Some(row.network_name),
        guest_id: row.guest_id,
        guest_name: row.guest_name,
        attribute: "address".to_owned(),
        value: address,
        nearness: nearness.to_owned(),
    };
    Ok((row.place, hit))
}
