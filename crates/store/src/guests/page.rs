//! A list of guests, written as JSON where its rows lie.
//!
//! A page of a hundred is asked for all day long. Its texts go from the database into the answer without being copied into
//! a [`honcho_api::Guest`] in between, of which this writes exactly what that would have written: a test holds them equal.

use super::row::{Card, Row, Takes};
use super::words::{reason, reason_for_customers};
use crate::shortcut::Page;
use crate::sql::time;
use crate::{Scope, StoreError, StoreResult};
use honcho_model::guest::{GuestStatus, Power};
use honcho_model::{InterfaceId, Mac};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// About as long is a guest in JSON.
const GUEST_BYTES: usize = 800;

/// Room is made for so many guests at once.
const MOST_AT_ONCE: usize = 500;

/// What takes guests to write them.
pub(super) struct Written {
    scope: Scope,
    /// Each guest with a comma before it.
    json: Vec<u8>,
    count: usize,
    last: Option<i64>,
    /// The cards of one guest; kept to be used again.
    interfaces: Vec<Interface>,
}

impl Written {
    pub(super) fn new(scope: Scope, limit: Option<i64>) -> Self {
        let count = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MOST_AT_ONCE);
        let json = Vec::with_capacity(count.min(MOST_AT_ONCE) * GUEST_BYTES);
        Written { scope, json, count: 0, last: None, interfaces: Vec::new() }
    }

    pub(super) fn page(self) -> Page {
        let Written { mut json, count, last, .. } = self;
        match json.first_mut() {
            Some(comma) => *comma = b'[',
            None => json.push(b'['),
        }
        json.push(b']');
        Page { json: json.into(), count, last }
    }
}

/// Writes an object. Its keys are written as they stand here: looking for what must be escaped in each takes longer than writing
/// its value.
macro_rules! object {
    ($json:expr, $first:ident: $first_value:expr, $($field:ident: $value:expr,)*) => {{
        let json: &mut Vec<u8> = $json;
        json.extend_from_slice(concat!("{\"", stringify!($first), "\":").as_bytes());
        serde_json::to_writer(&mut *json, &$first_value)?;
        $(
            json.extend_from_slice(concat!(",\"", stringify!($field), "\":").as_bytes());
            serde_json::to_writer(&mut *json, &$value)?;
        )*
        json.push(b'}');
    }};
}

impl Takes for Written {
    fn take(&mut self, row: &Row<'_>, cards: &[Card]) -> StoreResult<()> {
        self.interfaces.clear();
        self.interfaces.extend(Interfaces::of(cards));
        self.json.push(b',');
        let seen = Seen::new(row, self.scope)?;
        write(&mut self.json, row, &seen, &self.interfaces)
            .map_err(|error| StoreError::Damaged { what: "guest", why: error.to_string() })?;
        self.count += 1;
        self.last = Some(row.id);
        Ok(())
    }
}

fn write(json: &mut Vec<u8>, row: &Row<'_>, seen: &Seen, interfaces: &[Interface]) -> serde_json::Result<()> {
    let first = interfaces.first();
    // They are JSON already.
    let ssh_keys: &RawValue = serde_json::from_str(row.ssh_keys.as_deref().unwrap_or("[]"))?;
    object! {
        json,
        id: row.id,
        uuid: row.uuid,
        account_id: row.account_id,
        name: row.name,
        reference: row.reference,
        status: seen.status,
        status_reason: seen.status_reason,
        power: seen.power,
        start_alone: row.start_alone,
        host_id: row.host_id,
        moving_to_host_id: row.moving_to,
        image_id: row.image_id,
        cluster: row.cluster,
        role: row.role,
        cpu_features: row.cpu_features.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>(),
        vcpus: row.vcpus,
        memory_bytes: row.memory,
        disk_bytes: row.disk.unwrap_or(0),
        interfaces: interfaces,
        address: first.and_then(|card| card.address.map(IpAddr::V4).or(card.address6.map(IpAddr::V6))),
        ssh_keys: ssh_keys,
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
    }
    Ok(())
}

/// What is worked out of a row, as this caller may see it.
pub(super) struct Seen {
    pub(super) status: GuestStatus,
    pub(super) status_reason: Option<String>,
    pub(super) power: Power,
}

impl Seen {
    pub(super) fn new(row: &Row<'_>, scope: Scope) -> StoreResult<Self> {
        let damaged = |what, why: &str| StoreError::Damaged { what, why: why.to_owned() };
        let status = GuestStatus::parse(&row.status).ok_or_else(|| damaged("status", &row.status))?;
        let status_reason =
            if scope.is_operator() { reason(status, row)? } else { reason_for_customers(status, row)? };
        let power = Power::parse(&row.power).ok_or_else(|| damaged("power", &row.power))?;
        Ok(Seen { status, status_reason, power })
    }
}

/// A network card.
#[derive(Serialize)]
pub(super) struct Interface {
    pub(super) id: i64,
    pub(super) network_id: i64,
    #[serde(serialize_with = "as_text")]
    pub(super) mac: Mac,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) address6: Option<Ipv6Addr>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn as_text<S: Serializer>(mac: &Mac, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(mac)
}

/// The cards of a guest, of which each stands once for every address that it has.
pub(super) struct Interfaces<'c>(&'c [Card]);

impl<'c> Interfaces<'c> {
    pub(super) fn of(cards: &'c [Card]) -> Self {
        Interfaces(cards)
    }
}

impl Iterator for Interfaces<'_> {
    type Item = Interface;

    fn next(&mut self) -> Option<Interface> {
        let Card { id, network_id, .. } = *self.0.first()?;
        let (own, rest) = self.0.split_at(self.0.partition_point(|card| card.id == id));
        self.0 = rest;
        let mac = Mac::of_interface(InterfaceId(id));
        let mut interface = Interface { id, network_id, mac, address: None, address6: None };
        for address in own.iter().filter_map(|card| card.address) {
            match address.address() {
                IpAddr::V4(address) => interface.address = Some(address),
                IpAddr::V6(address) => interface.address6 = Some(address),
            }
        }
        Some(interface)
    }
}
