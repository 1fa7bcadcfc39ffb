//! What a guest that grows, comes back or starts claims of the host it is on: the room that an order would claim, where the
//! guest is. There is no other host to choose, so what an order only prefers is not asked here.

use super::{HOST_RESERVE, fleet, show, signed};
use honcho_model::host::HostStatus;
use honcho_model::{Bytes, HostId, PoolId};
use honcho_placement::{Host, NPlusOne, Request, Rules, stranded_more, unfit};
use honcho_store::rooms::{Claimed, Room};

/// How much is claimed beyond what counts already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) memory: Bytes,
    pub(crate) vcpus: u32,
    pub(crate) disk: Bytes,
}

/// A claim on the host where a guest is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    /// Every host that is looked at: see [`to_be_read`].
    pub(crate) rooms: &'a [Room],
    /// Where it is.
    pub(crate) host: Option<HostId>,
    /// Where its disk is.
    pub(crate) pool: PoolId,
    /// Its memory that counts already: none of one that comes back.
    pub(crate) counted: Bytes,
    /// What is claimed besides.
    pub(crate) growth: Growth,
    /// What placing holds to.
    pub(crate) rules: Rules,
}

/// Which hosts have to be read for a claim on this one: all of them (`None`), where N+1 is kept.
pub(crate) fn to_be_read(host: HostId, rules: Rules) -> Option<HostId> {
    (rules.n_plus_one != NPlusOne::Keep).then_some(host)
}

impl Claim<'_> {
    /// Whether a guest may grow like this where it is, or why not: a host that takes no new guest lets none grow either.
    pub(crate) fn may_grow(&self) -> Result<(), String> {
        if self.growth == Growth::default() {
            return Ok(());
        }
        let room = self.room()?;
        // That its agent does not speak just now is no reason: it grows once it does.
        let host = Host {
            status: HostStatus::Up,
            ..fleet::host(room, fleet::Busy::of(self.rooms), &mut fleet::Kinds::default(), |_, _| Bytes(0))
        };
        let wanted = Request::of_size(self.growth.memory, self.growth.vcpus, self.growth.disk);
        match unfit(&host, &wanted) {
            None => self.has_room(),
            Some(refusal) => {
                Err(format!("its host {}", refusal.text(&host, &wanted, |id| format!("host {id}"))))
            }
        }
    }

    /// Whether there is room for it, or what is short. What is not claimed is not looked at.
    pub(crate) fn has_room(&self) -> Result<(), String> {
        let (room, growth) = (self.room()?, self.growth);
        let free = room.memory - signed(HOST_RESERVE) - room.memory_placed();
        if growth.memory.0 > 0 && free < signed(growth.memory) {
            return Err(format!("its host has {} of memory free, {} more needed", show(free), growth.memory));
        }
        if let Some(ratio) = self.rules.vcpus_per_cpu
            && growth.vcpus > 0
        {
            #[expect(clippy::cast_possible_truncation, reason = "a ratio of CPUs is far below 2^63")]
            let free = (ratio * f64::from(room.cpus)).floor() as i64 - room.vcpus_placed();
            if free < i64::from(growth.vcpus) {
                let (free, needed) = (free.max(0), growth.vcpus);
                return Err(format!("its host has {free} vCPUs that may be promised, {needed} more needed"));
            }
        }
        let pool = room.pools.iter().find(|known| known.pool == self.pool);
        let unplaced = pool.map_or(0, |known| known.size - known.placed);
        if growth.disk.0 > 0 && unplaced < signed(growth.disk) {
            return Err(format!(
                "its pool has {} not yet promised, {} more needed",
                show(unplaced),
                growth.disk
            ));
        }
        match self.stranded() {
            None => Ok(()),
            Some(lost) => {
                let name =
                    self.rooms.iter().find(|room| room.host == lost).map(|room| room.host_name.as_str());
                let name = name.unwrap_or("one host");
                Err(format!("if {name} were lost, its guests would not all fit elsewhere any more"))
            }
        }
    }

    fn room(&self) -> Result<&Room, String> {
        let room = self.rooms.iter().find(|room| Some(room.host) == self.host);
        room.ok_or_else(|| "has no host".to_owned())
    }

    /// The host whose guests could not all be restarted elsewhere because of this, where that is to be kept.
    fn stranded(&self) -> Option<HostId> {
        if self.rules.n_plus_one != NPlusOne::Keep || self.growth.memory.0 == 0 {
            return None;
        }
        let mut grown = self.rooms.to_vec();
        let room = grown.iter_mut().find(|room| Some(room.host) == self.host)?;
        let counted = signed(self.counted);
        if let Some(size) = room.claimed.iter_mut().find(|size| counted > 0 && size.memory == counted) {
            size.guests -= 1;
        }
        let memory = counted + signed(self.growth.memory);
        room.claimed.push(Claimed { memory, vcpus: 0, guests: 1 });
        let fleet_of = |rooms: &[Room]| fleet::summed(rooms, &super::Kin::default(), self.rules);
        stranded_more(&fleet_of(self.rooms), &fleet_of(&grown))
    }
}
