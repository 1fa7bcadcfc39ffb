//! The manifest of a host, made of its desired rows at one moment.

use crate::guest_moves::{self, Told};
use crate::networks::Subnets;
use crate::sql::{Connection, from_json, row, rows, unsigned, values};
use crate::{StoreError, StoreResult, addresses, brain, hosts, image_uploads};
use honcho_model::guest::Power;
use honcho_model::{
    AccountId, Bytes, Digest, Epoch, Generation, GuestId, HostId, InterfaceId, Mac, Name, NetworkId, PoolId,
    VolumeId,
};
use honcho_wire::{
    Absent, AddressWanted, Arriving, Capture, Existence, GuestWanted, ImageWanted, InterfaceWanted, Leaving,
    Manifest, NetworkKind, NetworkWanted, PROTOCOL, PoolKind, PoolWanted, StopMode, SubnetWanted,
    VolumeAbsent, VolumeWanted,
};
use sea_orm::FromQueryResult;
use std::collections::HashMap;
use uuid::Uuid;

fn damaged(what: &'static str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { what, why: why.to_string() }
}

/// Renders the manifest of a host. Give it a snapshot: generation and contents must be of one moment.
pub async fn render(snapshot: &impl Connection, host: HostId) -> StoreResult<Option<Manifest>> {
    #[derive(FromQueryResult)]
    struct Row {
        generation: i64,
        frozen_reason: Option<String>,
        unaccepted_since: Option<i64>,
    }
    let Some(identity) = brain::get(snapshot).await? else { return Ok(None) };
    let found: Option<Row> = row(
        snapshot,
        "SELECT generation, frozen_reason, unaccepted_since FROM hosts WHERE id = $1",
        values![host.0],
    )
    .await?;
    let Some(found) = found else { return Ok(None) };
    let mut interfaces = interfaces(snapshot, host).await?;
    let leaving = guest_moves::leaving(snapshot, host).await?;
    let (mut guests, absent_guests) = guests(snapshot, host, &mut interfaces, &leaving).await?;
    let captures = image_uploads::captures_on(snapshot, host).await?;
    // An agent that knows nothing of it would refuse all of the manifest.
    let can = !captures.is_empty() && hosts::can(snapshot, host, honcho_wire::CAPTURES).await?;
    for (captured, upload) in captures.into_iter().filter(|_| can) {
        if let Some(guest) = guests.iter_mut().find(|guest| guest.id == captured) {
            guest.capture = Some(Capture { upload });
        }
    }
    let copies = guest_moves::copies_on(snapshot, host).await?;
    let (networks, absent_networks) = networks(snapshot, host).await?;
    Ok(Some(Manifest {
        protocol: PROTOCOL,
        brain: identity.uuid,
        incarnation: identity.incarnation,
        generation: Generation(found.generation),
        host,
        frozen: found.frozen_reason,
        unaccepted: found.unaccepted_since.map(|_| hosts::UNACCEPTED.to_owned()),
        pools: pools(snapshot, host).await?,
        networks,
        guests,
        arrivals: guest_moves::arriving(snapshot, host).await?.into_iter().map(arriving).collect(),
        absent: absent_guests
            .into_iter()
            .chain(copies.iter().map(absent_copy))
            .chain(absent_networks)
            .collect(),
    }))
}

fn existence(existing: bool) -> Existence {
    if existing { Existence::Existing } else { Existence::Make }
}

fn mode(hard: bool) -> StopMode {
    if hard { StopMode::Hard } else { StopMode::Soft }
}

async fn pools(snapshot: &impl Connection, host: HostId) -> StoreResult<Vec<PoolWanted>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        uuid: Uuid,
        generation: i64,
        existing: bool,
        path: String,
    }
    let found: Vec<Row> = rows(
        snapshot,
        "SELECT id, uuid, generation, existing, path FROM pools WHERE host_id = $1 AND deleted_at IS NULL ORDER BY id",
        values![host.0],
    )
    .await?;
    let pool = |row: Row| PoolWanted {
        id: PoolId(row.id),
        uuid: row.uuid,
        generation: Generation(row.generation),
        existence: existence(row.existing),
        kind: PoolKind::Directory { path: row.path },
    };
    Ok(found.into_iter().map(pool).collect())
}

async fn networks(
    snapshot: &impl Connection,
    host: HostId,
) -> StoreResult<(Vec<NetworkWanted>, Vec<Absent>)> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        uuid: Uuid,
        kind: String,
        subnet: Option<String>,
        gateway: Option<String>,
        subnet6: Option<String>,
        gateway6: Option<String>,
        generation: i64,
        absent: bool,
    }
    let found: Vec<Row> = rows(
        snapshot,
        "SELECT n.id, n.uuid, n.kind, n.subnet, n.gateway, n.subnet6, n.gateway6, p.generation, p.absent \
         FROM network_placements p JOIN networks n ON n.id = p.network_id WHERE p.host_id = $1 ORDER BY n.id",
        values![host.0],
    )
    .await?;
    let (mut wanted, mut absent) = (Vec::new(), Vec::new());
    for row in found {
        let (id, uuid, generation) = (NetworkId(row.id), row.uuid, Generation(row.generation));
        if row.absent {
            absent.push(Absent::Network { id, uuid, generation });
        } else {
            if row.kind != honcho_model::NetworkKind::Local.as_str() {
                // Placement puts no guest into one before agents have said that they can.
                return Err(damaged("network kind", format!("no manifest can say {}", row.kind)));
            }
            let subnets = Subnets::read(
                (row.subnet.as_deref(), row.gateway.as_deref()),
                (row.subnet6.as_deref(), row.gateway6.as_deref()),
            )?;
            let kind = NetworkKind::Local {
                ipv4: subnets
                    .ipv4
                    .map(|side| SubnetWanted { gateway: side.gateway, prefix: side.net.prefix_len() }),
                ipv6: subnets
                    .ipv6
                    .map(|side| SubnetWanted { gateway: side.gateway, prefix: side.net.prefix_len() }),
            };
            wanted.push(NetworkWanted { id, uuid, generation, kind });
        }
    }
    Ok((wanted, absent))
}

type Interfaces = HashMap<i64, Vec<InterfaceWanted>>;

async fn interfaces(snapshot: &impl Connection, host: HostId) -> StoreResult<Interfaces> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        guest_id: i64,
        network_id: i64,
        subnet: Option<String>,
        gateway: Option<String>,
        subnet6: Option<String>,
        gateway6: Option<String>,
        address: Vec<u8>,
    }
    let found: Vec<Row> = rows(
        snapshot,
        "SELECT i.id, i.guest_id, i.network_id, n.subnet, n.gateway, n.subnet6, n.gateway6, a.address FROM interfaces i \
         JOIN guests g ON g.id = i.guest_id JOIN networks n ON n.id = i.network_id \
         JOIN addresses a ON a.interface_id = i.id WHERE g.host_id = $1 AND g.deleted_at IS NULL \
         ORDER BY i.id, a.family",
        values![host.0],
    )
    .await?;
    let mut interfaces = Interfaces::new();
    for row in found {
        let subnets = Subnets::read(
            (row.subnet.as_deref(), row.gateway.as_deref()),
            (row.subnet6.as_deref(), row.gateway6.as_deref()),
        )?;
        let address = addresses::from_bytes(&row.address)?;
        let (net, gateway) = subnets.side_of(address).ok_or_else(|| damaged("address", address))?;
        let id = InterfaceId(row.id);
        let own = interfaces.entry(row.guest_id).or_default();
        if own.last().is_none_or(|last| last.id != id) {
            let (network, mac) = (NetworkId(row.network_id), Mac::of_interface(id));
            own.push(InterfaceWanted { id, network, mac, addresses: Vec::new() });
        }
        // One way out is enough: the first card's.
        let way_out = own.len() == 1;
        let wanted = AddressWanted { address, prefix: net.prefix_len(), gateway: way_out.then_some(gateway) };
        if let Some(interface) = own.last_mut() {
            interface.addresses.push(wanted);
        }
    }
    Ok(interfaces)
}

#[derive(FromQueryResult)]
struct GuestRow {
    id: i64,
    uuid: Uuid,
    name: String,
    account_id: i64,
    epoch: i64,
    generation: i64,
    power: String,
    cancelled_at: Option<i64>,
    suspended_at: Option<i64>,
    deleting_at: Option<i64>,
    start_alone: bool,
    boots_wanted: i64,
    boots_waived: i64,
    given_up: bool,
    boot_hard: bool,
    stop_hard: bool,
    vcpus: i64,
    memory: i64,
    ssh_keys: Option<String>,
    volume_id: i64,
    volume_uuid: Uuid,
    pool_id: i64,
    size: i64,
    existing: bool,
    digest: String,
    compressed: i64,
    unpacked: i64,
}

async fn guests(
    snapshot: &impl Connection,
    host: HostId,
    interfaces: &mut Interfaces,
    leaving: &[Told],
) -> StoreResult<(Vec<GuestWanted>, Vec<Absent>)> {
    let found: Vec<GuestRow> = rows(
        snapshot,
        "SELECT g.id, g.uuid, g.name, g.account_id, g.epoch, g.generation, g.power, g.cancelled_at, g.suspended_at, g.deleting_at, g.start_alone, \
         g.boots_wanted, g.boots_waived, (g.given_up_operation IS NOT NULL) AS given_up, g.boot_hard, g.stop_hard, CAST(g.vcpus AS BIGINT) AS vcpus, g.memory, g.ssh_keys, \
         v.id AS volume_id, v.uuid AS volume_uuid, v.pool_id, v.size, v.existing, m.digest, m.compressed, m.unpacked \
         FROM guests g JOIN volumes v ON v.guest_id = g.id JOIN images m ON m.id = g.image_id \
         WHERE g.host_id = $1 AND g.deleted_at IS NULL ORDER BY g.id",
        values![host.0],
    )
    .await?;
    let (mut wanted, mut absent) = (Vec::new(), Vec::new());
    for row in found {
        let interfaces = interfaces.remove(&row.id).unwrap_or_default();
        if row.deleting_at.is_some() {
            absent.push(absent_guest(&row, &interfaces));
        } else {
            let leaving = leaving.iter().find(|told| told.guest.0 == row.id);
            wanted.push(wanted_guest(&row, interfaces, leaving)?);
        }
    }
    Ok((wanted, absent))
}

fn arriving(told: Told) -> Arriving {
    Arriving {
        guest: told.guest,
        uuid: told.uuid,
        epoch: told.epoch,
        volume: told.volume,
        volume_uuid: told.volume_uuid,
        pool: told.pool,
        address: told.address,
        certificates: told.certificates,
        ticket: told.ticket,
    }
}

/// What is left of a guest that went elsewhere, or did not come. Its cards went with its domain, before it was held.
fn absent_copy(copy: &guest_moves::Copy) -> Absent {
    Absent::Guest {
        id: copy.guest,
        uuid: copy.uuid,
        epoch: copy.epoch,
        generation: Generation(copy.generation),
        volumes: vec![VolumeAbsent { id: copy.volume, uuid: copy.volume_uuid, pool: copy.pool }],
        interfaces: Vec::new(),
    }
}

fn absent_guest(row: &GuestRow, interfaces: &[InterfaceWanted]) -> Absent {
    Absent::Guest {
        id: GuestId(row.id),
        uuid: row.uuid,
        epoch: Epoch(row.epoch),
        generation: Generation(row.generation),
        volumes: vec![VolumeAbsent {
            id: VolumeId(row.volume_id),
            uuid: row.volume_uuid,
            pool: PoolId(row.pool_id),
        }],
        interfaces: interfaces.iter().map(|interface| interface.id).collect(),
    }
}

fn wanted_guest(
    row: &GuestRow,
    interfaces: Vec<InterfaceWanted>,
    leaving: Option<&Told>,
) -> StoreResult<GuestWanted> {
    let power = Power::parse(&row.power).ok_or_else(|| damaged("power", &row.power))?;
    let held_down = row.cancelled_at.or(row.suspended_at).is_some() || leaving.is_some();
    Ok(GuestWanted {
        id: GuestId(row.id),
        uuid: row.uuid,
        name: Name::new(&row.name).map_err(|error| damaged("name", error))?,
        account: AccountId(row.account_id),
        epoch: Epoch(row.epoch),
        generation: Generation(row.generation),
        power: if held_down { Power::Stopped } else { power },
        start_alone: row.start_alone,
        boots_wanted: unsigned(row.boots_wanted),
        boots_waived: unsigned(row.boots_waived),
        boot_mode: mode(row.boot_hard),
        stop_mode: mode(row.stop_hard),
        memory: Bytes(unsigned(row.memory)),
        vcpus: u32::try_from(row.vcpus).map_err(|error| damaged("vcpus", error))?,
        root: VolumeWanted {
            id: VolumeId(row.volume_id),
            uuid: row.volume_uuid,
            pool: PoolId(row.pool_id),
            size: Bytes(unsigned(row.size)),
            existence: existence(row.existing),
            given_up: row.given_up,
            image: ImageWanted {
                digest: row.digest.parse::<Digest>().map_err(|error| damaged("digest", error))?,
                compressed: Bytes(unsigned(row.compressed)),
                unpacked: Bytes(unsigned(row.unpacked)),
            },
        },
        interfaces,
        ssh_keys: from_json("SSH keys", row.ssh_keys.as_deref())?.unwrap_or_default(),
        leaving: leaving
            .map(|told| Leaving { ticket: told.ticket_hash, certificates: told.certificates.clone() }),
        capture: None,
    })
}
