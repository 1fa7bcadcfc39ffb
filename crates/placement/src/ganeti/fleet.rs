//! A node group as a [`Fleet`], so that placing and capacity can be asked of a file.

use super::cluster::{Cluster, InstanceStatus, NodeState};
use crate::fleet::{Draining, Fleet, Guest, Holds, Host, HostLoad, Pool, Reach, Request, Rules};
use honcho_model::host::{Duty, HostStatus};
use honcho_model::{AccountId, Bytes, GuestId, HostId, PoolId};
use std::sync::Arc;

/// As near as a number of the fleet's kind comes to an index of the file's.
fn id(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX - 1) + 1
}

fn mib(amount: i64) -> Bytes {
    Bytes(u64::try_from(amount.max(0)).unwrap_or(0) << 20)
}

impl Cluster {
    /// A node group as a fleet: host and guest ids count nodes and instances from 1. Stopped instances take memory
    /// here as in Honcho, for they may be started.
    pub fn fleet(&self, group: usize, rules: Rules) -> Fleet {
        let taken = self.memory_taken();
        let (vcpu_ratio, _) = self.ratios(group);
        let mut guests = Vec::new();
        let (mut memory, mut disk) = (vec![0; self.nodes.len()], vec![0; self.nodes.len()]);
        for (index, instance) in self.instances.iter().enumerate() {
            let lives = instance.status != InstanceStatus::Offline;
            let (memory_needed, vcpus) = if lives { (instance.memory, instance.vcpus) } else { (0, 0) };
            memory[instance.primary] += memory_needed;
            disk[instance.primary] += instance.disk_on_nodes();
            let vcpus = u32::try_from(vcpus.max(0)).unwrap_or(u32::MAX);
            guests.push(Guest {
                id: GuestId(id(index)),
                host: HostId(id(instance.primary)),
                pool: PoolId(id(instance.primary)),
                holds: Holds::All,
                load: 1.0,
                needs: Request {
                    // Who owns it the file does not say: each its own.
                    account: AccountId(id(index)),
                    ..Request::of_size(mib(memory_needed), vcpus, mib(instance.disk_on_nodes()))
                },
            });
        }
        let hosts = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].group == group)
            .map(|node| self.fleet_host(node, taken[node], memory[node], disk[node]));
        let rules = Rules { vcpus_per_cpu: (vcpu_ratio >= 0.0).then_some(vcpu_ratio), ..rules };
        Fleet::new(hosts.collect(), guests, rules)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the reader has bounded them"
    )]
    fn fleet_host(&self, index: usize, running: i64, memory: i64, disk: i64) -> Host {
        let node = &self.nodes[index];
        let online = node.state == NodeState::Online;
        let total = node.memory as i64;
        // What is free beside the instances that run is fixed; the fleet takes off those that do not as well.
        let reserved = total - self.memory_unallocated(index, running) - running;
        let pool = Pool {
            id: PoolId(id(index)),
            name: "disk".to_owned(),
            size: mib(node.disk as i64),
            taken: mib(node.disk as i64 - node.disk_free - disk),
        };
        debug_assert!(memory >= running || !online, "running instances are a part of all");
        Host {
            id: HostId(id(index)),
            name: node.name.clone(),
            site: None,
            rack: None,
            status: if online { HostStatus::Up } else { HostStatus::Silent },
            duties: vec![Duty::Hypervisor],
            draining: Draining::No,
            capabilities: Arc::default(),
            memory: mib(total),
            memory_reserved: mib(reserved),
            cpus: node.cpus as u32,
            load: HostLoad::default(),
            pools: if node.disk > 0.0 { vec![pool] } else { Vec::new() },
            networks: Reach::All,
        }
    }
}
