//! How full each host is, and what would become of its guests: what a map of the fleet is coloured by.

use crate::fleet::Fleet;
use crate::survive::Survival;
use crate::tallies::signed;
use honcho_model::HostId;

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heat {
    /// Which.
    pub host: HostId,
    /// Whether it takes guests.
    pub open: bool,
    /// Bytes of memory that guests may have, and that are promised of them.
    pub memory: (i64, i64),
    /// The same of its ready pools, all together.
    pub disk: (i64, i64),
    /// Its CPUs (0 if unknown), and vCPUs that are promised.
    pub cpus: (u32, i64),
    /// Bytes of its guests' memory that would fit nowhere if it were lost.
    pub short: i64,
}

/// Every host, in the fleet's order.
pub fn heat(fleet: &Fleet) -> Vec<Heat> {
    let survival = Survival::new(&fleet.hosts, &fleet.tallies, 0);
    let one = |(position, host): (usize, &crate::fleet::Host)| {
        let tally = &fleet.tallies.hosts[position];
        let memory = signed(host.memory) - signed(host.memory_reserved);
        let disk: i64 = host.pools.iter().map(|pool| signed(pool.size)).sum();
        let free: i64 = tally.pools_free.iter().sum();
        Heat {
            host: host.id,
            open: tally.open,
            memory: (memory.max(0), memory - tally.memory_free),
            disk: (disk, disk - free),
            cpus: (host.cpus, tally.vcpus),
            short: survival.short(position),
        }
    };
    fleet.hosts.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Alike, Draining, Host, HostLoad, NPlusOne, Pool, Reach, Rules, Sums};
    use honcho_model::host::{Duty, HostStatus};
    use honcho_model::{Bytes, PoolId};
    use std::sync::Arc;

    fn host(id: i64, memory: u64) -> Host {
        Host {
            id: HostId(id),
            name: format!("h{id}"),
            site: None,
            rack: None,
            status: HostStatus::Up,
            duties: vec![Duty::Hypervisor],
            draining: Draining::No,
            capabilities: Arc::default(),
            memory: Bytes(memory),
            memory_reserved: Bytes(8),
            cpus: 4,
            load: HostLoad::default(),
            pools: vec![Pool { id: PoolId(id), name: "local".into(), size: Bytes(1000), taken: Bytes(250) }],
            networks: Reach::All,
        }
    }

    #[test]
    fn what_is_promised_and_what_would_find_no_room() {
        let alike =
            |host, memory, guests| Alike { host: HostId(host), memory: Bytes(memory), guests, vcpus: 2 };
        let sums = Sums { alike: vec![alike(1, 30, 2), alike(2, 10, 1)], ..Sums::default() };
        let rules = Rules { vcpus_per_cpu: None, n_plus_one: NPlusOne::Prefer };
        let silent = Host { status: HostStatus::Silent, ..host(3, 500) };
        let found = heat(&Fleet::of_sums(vec![host(1, 108), host(2, 58), silent], &sums, rules));
        assert_eq!((found[0].memory, found[0].disk, found[0].cpus), ((100, 60), (1000, 250), (4, 2)));
        // Of the two guests of the first host one finds 40 free on the second; nobody relies on the silent one.
        assert_eq!(
            found.iter().map(|host| (host.open, host.short)).collect::<Vec<_>>(),
            [(true, 30), (true, 0), (false, 0)]
        );
    }
}
