//! What hosts and guests did in the last day, for plans: what one minute saw is no reason to copy a disk.

use super::{PlacedGuest, Room};
use crate::StoreResult;
use crate::load::{Kind, busy_of_a_day};
use crate::sql::Connection;
use honcho_model::Timestamp;

/// Notes of guests how many processors they kept busy, and of hosts what part of theirs was, on average of the last day. Whatever
/// was not looked at for an hour keeps what is there.
pub async fn look_at_the_day(
    connection: &impl Connection,
    rooms: &mut [Room],
    guests: &mut [PlacedGuest],
    now: Timestamp,
) -> StoreResult<()> {
    let of_hosts = busy_of_a_day(connection, Kind::Host, None, now).await?;
    for room in rooms {
        if let Some(busy) = of_hosts.get(&room.host.0) {
            room.load = Some((busy / f64::from(room.cpus.max(1))).min(1.0));
        }
    }
    let of_guests = busy_of_a_day(connection, Kind::Guest, None, now).await?;
    for guest in guests {
        guest.busy = of_guests.get(&guest.id.0).copied();
    }
    Ok(())
}

/// Notes it of these guests alone.
pub async fn look_at_the_day_of(
    connection: &impl Connection,
    guests: &mut [PlacedGuest],
    now: Timestamp,
) -> StoreResult<()> {
    let ids: Vec<i64> = guests.iter().map(|guest| guest.id.0).collect();
    let busy = busy_of_a_day(connection, Kind::Guest, Some(&ids), now).await?;
    for guest in guests {
        guest.busy = busy.get(&guest.id.0).copied();
    }
    Ok(())
}
