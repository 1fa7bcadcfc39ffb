//! Addresses, found by what they are: the one that was typed, whoever holds it or nobody; and those that begin so and
//! that an account holds, with a guest or without, from the lowest. Of a network's thousands that nobody holds, none is
//! shown unasked. And found by their names in the DNS, which only those have that somebody holds.

use super::conditions::{Bound, bytes, text_conditions};
use super::{ATTRIBUTES_MOST, NEARNESS, host_name, read_place};
use crate::addresses::from_bytes;
use crate::list::Select;
use crate::sql::{Connection, rows};
use crate::{Scope, StoreResult};
use honcho_api::SearchHit;
use honcho_model::needle::Needle;
use sea_orm::FromQueryResult;
use std::collections::HashSet;
use std::fmt::Write as _;

/// What an address is found by; places count them in this order.
const ATTRIBUTES: [&str; 3] = ["address", "name", "reverse_name"];

#[derive(FromQueryResult)]
struct Row {
    place: i64,
    id: i64,
    address: Vec<u8>,
    name: Option<String>,
    reverse_name: Option<String>,
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
    let mut bound = Bound::new(needle);
    let (place, condition) = by_name(&bound);
    let mut parts: Vec<(String, String, String)> =
        vec![(place, condition, format!(" ORDER BY 1, a.id LIMIT {limit}"))];
    if let Some(address) = needle.address {
        let address = bound.bind(bytes(address));
        parts.push(("0".to_owned(), format!("a.address = {address}"), String::new()));
    }
    let itself = needle.address.map(|address| (address, address));
    for stretch in needle.addresses.iter().filter(|stretch| Some(**stretch) != itself) {
        if let Some(within) = bound.within("a.address", &[*stretch]) {
            let cut = format!(" ORDER BY a.address LIMIT {limit}");
            parts.push((ATTRIBUTES_MOST.to_string(), format!("a.account_id IS NOT NULL AND {within}"), cut));
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
            "SELECT * FROM (SELECT CAST({place} AS BIGINT) AS place, a.id, a.address, a.name, a.reverse_name, \
             a.network_id, i.guest_id, a.account_id, (SELECT o.name FROM accounts o WHERE o.id = a.account_id) AS account_name, g.host_id, \
             {} AS host_name, n.name AS network_name, g.name AS guest_name {JOINS} WHERE {conditions}{cut}) part{number}",
            host_name(scope, "g.host_id")
        ));
    }
    let sql = format!("{} ORDER BY 1, 3, 2 LIMIT {limit}", selects.join(" UNION ALL "));
    let mut found: Vec<Row> = rows(connection, &sql, values).await?;
    // One that is found by itself and by a name made of the same digits is found by itself.
    let mut seen = HashSet::new();
    found.retain(|row| seen.insert(row.id));
    found.into_iter().map(to_api).collect()
}

/// The place of an address by its names, and the condition under which it has one. The names are read through by
/// themselves, in the index of what has any, and not network by network.
fn by_name(bound: &Bound) -> (String, String) {
    let each = [text_conditions(bound, "a.name"), text_conditions(bound, "a.reverse_name")];
    let mut place = String::from("CASE");
    for nearness in 0..NEARNESS.len() {
        for (attribute, conditions) in each.iter().enumerate() {
            if let Some(condition) = &conditions[nearness] {
                let number = nearness * ATTRIBUTES_MOST + attribute + 1;
                // Writing to a String cannot fail.
                let _ = write!(place, " WHEN {condition} THEN {number}");
            }
        }
    }
    // What holds the needle is also all that is it or begins with it.
    let [.., name] = text_conditions(bound, "x.name");
    let [.., reverse] = text_conditions(bound, "x.reverse_name");
    let widest = [name, reverse].into_iter().flatten().collect::<Vec<_>>().join(" OR ");
    let condition = format!(
        "a.id IN (SELECT x.id FROM addresses x WHERE (x.name IS NOT NULL OR x.reverse_name IS NOT NULL) AND ({widest}))"
    );
    (place + " END", condition)
}

fn to_api(row: Row) -> StoreResult<(i64, SearchHit)> {
    let (nearness, attribute) = read_place(row.place)?;
    let address = from_bytes(&row.address)?.to_string();
    let value = match attribute {
        1 => row.name.unwrap_or_default(),
        2 => row.reverse_name.unwrap_or_default(),
        _ => address.clone(),
    };
    let hit = SearchHit {
        kind: "address".to_owned(),
        id: row.id,
        uuid: None,
        name: address,
        account_id: row.account_id,
        account_name: row.account_name,
        host_id: row.host_id,
        host_name: row.host_name,
        network_id: Some(row.network_id),
        network_name: Some(row.network_name),
        guest_id: row.guest_id,
        guest_name: row.guest_name,
        attribute: ATTRIBUTES.get(attribute).copied().unwrap_or_default().to_owned(),
        value,
        nearness: nearness.to_owned(),
    };
    Ok((row.place, hit))
}
