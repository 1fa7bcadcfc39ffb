//! Where a new guest goes. Pure: the rooms there are, and the size that is wanted.
//!
//! Guests are spread out evenly rather than crammed: of the hosts that fit, the one whose memory is the least filled
//! afterwards.

use honcho_model::host::{Duty, HostStatus};
use honcho_model::{Bytes, HostId, NetworkKind, PoolId};
use honcho_store::Scope;
use honcho_store::hosts::{PoolRoom, Room};

/// Memory of every host that guests never get: for its kernel, its agent and libvirt.
const HOST_RESERVE: i64 = 512 << 20;

/// What a guest needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) memory: Bytes,
    pub(crate) disk: Bytes,
    /// Only this host will do.
    pub(crate) host: Option<HostId>,
}

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) host: HostId,
    pub(crate) pool: PoolId,
}

/// Whether there is a host at all whose agent can carry networks of each of these kinds.
pub(crate) fn carried(rooms: &[Room], kinds: &[NetworkKind]) -> Result<(), String> {
    let can = |kind: &NetworkKind| rooms.iter().any(|room| room.capabilities.contains(kind.capability()));
    match kinds.iter().find(|kind| !rooms.is_empty() && !can(kind)) {
        None => Ok(()),
        Some(kind) => Err(format!(
            "no host can carry a {} network yet: no agent has said that it can. Its addresses may be allocated all the same",
            kind.words()
        )),
    }
}

/// Chooses, or says for every host why not. The guest is to be in networks of these kinds.
pub(crate) fn choose(rooms: &[Room], need: Need, kinds: &[NetworkKind]) -> Result<Choice, String> {
    let mut refusals = Vec::new();
    let mut best: Option<(i128, Choice)> = None;
    for room in rooms.iter().filter(|room| need.host.is_none_or(|host| host == room.host)) {
        match carries(room, kinds).and_then(|()| fit(room, need)) {
            Ok(pool) => {
                let filled = i128::from(room.memory_placed) + i128::from(need.memory.0);
                // Parts in a million, so that hosts of different sizes compare.
                let share = filled * 1_000_000 / i128::from(room.memory.max(1));
                let choice = Choice { host: room.host, pool };
                if best.is_none_or(|(known, _)| share < known) {
                    best = Some((share, choice));
                }
            }
            Err(why) => refusals.push(format!("{}: {why}", room.host_name)),
        }
    }
    best.map(|(_, choice)| choice).ok_or_else(|| match refusals.len() {
        0 => "there is no host to place it on: add one with \"honcho host add\"".to_owned(),
        _ => format!("no host has room for it ({})", refusals.join("; ")),
    })
}

fn carries(room: &Room, kinds: &[NetworkKind]) -> Result<(), String> {
    match kinds.iter().find(|kind| !room.capabilities.contains(kind.capability())) {
        // What its agent can do is known once it has spoken; of one that does not speak, that is the reason.
        Some(kind) if room.status == HostStatus::Up => {
            Err(format!("its agent cannot carry a {} network", kind.words()))
        }
        _ => Ok(()),
    }
}

fn fit(room: &Room, need: Need) -> Result<PoolId, String> {
    match room.status {
        HostStatus::Up => {}
        other => return Err(format!("is {}", other.as_str())),
    }
    if !room.duties.contains(&Duty::Hypervisor) {
        return Err("has not the duty hypervisor".to_owned());
    }
    let free = room.memory - HOST_RESERVE - room.memory_placed;
    let memory = i64::try_from(need.memory.0).unwrap_or(i64::MAX);
    if free < memory {
        return Err(format!("{} of memory free, {} needed", show(free), need.memory));
    }
    if room.pools.is_empty() {
        return Err("has no ready pool".to_owned());
    }
    let disk = i64::try_from(need.disk.0).unwrap_or(i64::MAX);
    let unplaced = |pool: &&PoolRoom| pool.size - pool.placed;
    let roomiest = room.pools.iter().max_by_key(unplaced);
    match roomiest {
        Some(pool) if unplaced(&pool) >= disk => Ok(pool.pool),
        Some(pool) => Err(format!(
            "{} of disk not yet promised in pool {}, {} needed",
            show(unplaced(&pool)),
            pool.name,
            need.disk
        )),
        None => Err("has no ready pool".to_owned()),
    }
}

/// Why there is no room, in the words that the caller may hear: customers are not shown the machine room.
pub(crate) fn said_to(scope: Scope, why: String) -> String {
    if scope.is_operator() { why } else { "there is no room for that just now".to_owned() }
}

/// Whether a guest that is placed can grow by `need` where it is, or why not.
pub(crate) fn room_to_grow(rooms: &[Room], pool: PoolId, need: Need) -> Result<(), String> {
    let Some(room) = rooms.iter().find(|room| need.host == Some(room.host)) else {
        return Err("has no host".to_owned());
    };
    let free = room.memory - HOST_RESERVE - room.memory_placed;
    if need.memory.0 > 0 && free < i64::try_from(need.memory.0).unwrap_or(i64::MAX) {
        return Err(format!("its host has {} of memory free, {} more needed", show(free), need.memory));
    }
    let unplaced =
        room.pools.iter().find(|known| known.pool == pool).map_or(0, |known| known.size - known.placed);
    if need.disk.0 > 0 && unplaced < i64::try_from(need.disk.0).unwrap_or(i64::MAX) {
        return Err(format!("its pool has {} not yet promised, {} more needed", show(unplaced), need.disk));
    }
    Ok(())
}

fn show(bytes: i64) -> Bytes {
    Bytes(u64::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(id: i64, memory_gib: i64, placed_gib: i64) -> Room {
        let pool = PoolRoom {
            pool: PoolId(id * 10),
            name: "default".into(),
            size: 100 << 30,
            placed: 0,
            free: 90 << 30,
        };
        Room {
            host: HostId(id),
            host_name: format!("h{id}"),
            status: HostStatus::Up,
            duties: vec![Duty::Hypervisor],
            capabilities: [NetworkKind::Local.capability()].into(),
            memory: memory_gib << 30,
            memory_placed: placed_gib << 30,
            pools: vec![pool],
        }
    }

    const NEED: Need = Need { memory: Bytes::gib(1), disk: Bytes::gib(10), host: None };

    const LOCAL: &[NetworkKind] = &[NetworkKind::Local];

    #[test]
    fn a_network_is_carried_where_the_agent_can() {
        let both = [NetworkKind::Local, NetworkKind::Vlan];
        let mut rooms = [room(1, 64, 0), room(2, 16, 0)];
        let refusal = carried(&rooms, &both).unwrap_err();
        assert!(refusal.starts_with("no host can carry a VLAN network yet"), "{refusal}");
        rooms[1].capabilities.insert("network.vlan");
        assert_eq!(carried(&rooms, &both), Ok(()));
        assert_eq!(choose(&rooms, NEED, &both).unwrap().host, HostId(2), "though the other is emptier");
        rooms[1].status = HostStatus::Silent;
        assert_eq!(
            choose(&rooms, NEED, &both).unwrap_err(),
            "no host has room for it (h1: its agent cannot carry a VLAN network; h2: is silent)"
        );
    }

    #[test]
    fn the_emptiest_host_is_chosen() {
        let choice = choose(&[room(1, 16, 8), room(2, 64, 8), room(3, 16, 4)], NEED, LOCAL);
        assert_eq!(choice, Ok(Choice { host: HostId(2), pool: PoolId(20) }));
    }

    #[test]
    fn a_refusal_says_why_for_every_host() {
        let mut silent = room(1, 16, 0);
        silent.status = HostStatus::Silent;
        let mut no_disk = room(3, 16, 0);
        no_disk.pools[0].placed = 95 << 30;
        let refusal = choose(&[silent, room(2, 4, 3), no_disk], NEED, LOCAL).unwrap_err();
        assert_eq!(
            refusal,
            "no host has room for it (h1: is silent; h2: 512M of memory free, 1G needed; \
             h3: 5G of disk not yet promised in pool default, 10G needed)"
        );
        let mut firewall = room(4, 64, 0);
        firewall.duties = vec![Duty::Firewall, Duty::Storage];
        let refusal = choose(&[firewall], NEED, LOCAL).unwrap_err();
        assert_eq!(refusal, "no host has room for it (h4: has not the duty hypervisor)");
        assert!(choose(&[], NEED, LOCAL).unwrap_err().starts_with("there is no host"));
    }
}
