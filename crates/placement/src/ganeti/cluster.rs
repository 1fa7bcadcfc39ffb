//! What a file says, and the same as a [`Spread`].

use crate::spread::{Compare, GuestIndex, Movable, Online, Place, Spread, SpreadGuest, SpreadHost, Step};
use std::collections::{BTreeSet, HashMap};

/// A cluster as a file describes it. Sizes are in MiB.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Node groups.
    pub groups: Vec<Group>,
    /// Physical machines.
    pub nodes: Vec<Node>,
    /// Virtual machines.
    pub instances: Vec<Instance>,
    /// Tags of the cluster.
    pub tags: Vec<String>,
    /// The policy lines; the one without an owner is the cluster's.
    pub policies: Vec<Policy>,
    /// Lines behind the policies, which htools leave alone too.
    pub rest: Vec<String>,
}

/// A node group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// By which nodes name it.
    pub uuid: String,
    /// The line it came from.
    pub(super) line: String,
}

/// A physical machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// All memory.
    pub memory: f64,
    /// Memory its own system takes.
    pub memory_of_node: i64,
    /// Memory that it says is free.
    pub memory_free: i64,
    /// All disk.
    pub disk: f64,
    /// Disk that is free.
    pub disk_free: i64,
    /// CPUs.
    pub cpus: f64,
    /// Whether it takes part.
    pub state: NodeState,
    /// A place in [`Cluster::groups`].
    pub group: usize,
    /// Spindles.
    pub spindles: i64,
    /// vCPUs its own system takes.
    pub cpus_of_node: i64,
    /// By how much a CPU is faster than usual.
    pub cpu_speed: f64,
    pub(super) fields: Vec<String>,
}

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It does.
    Online,
    /// It does not, or what it has is unknown.
    Offline,
}

/// Whether an instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceStatus {
    /// It runs, and takes memory and vCPUs.
    Running,
    /// It is stopped, and still takes vCPUs.
    Down,
    /// It is put away, and takes neither.
    Offline,
}

/// Where the disk of an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskTemplate {
    /// On its node alone, which it cannot leave.
    Plain,
    /// On its node, mirrored to another.
    Drbd,
    /// Outside the nodes, reached from every one.
    Shared,
    /// Outside what htools count, and not to be moved (`file`, `diskless`).
    Fixed,
}

/// A virtual machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Memory.
    pub memory: i64,
    /// Disk.
    pub disk: i64,
    /// vCPUs.
    pub vcpus: i64,
    /// Whether it runs.
    pub status: InstanceStatus,
    /// Whether it is moved to balance, and memory kept for it where it is mirrored.
    pub auto_balance: AutoBalance,
    /// A place in [`Cluster::nodes`].
    pub primary: usize,
    /// Likewise; where its mirror is.
    pub secondary: Option<usize>,
    /// Where its disk is.
    pub template: DiskTemplate,
    /// Its tags.
    pub tags: Vec<String>,
    /// Spindles it uses.
    pub spindles: i64,
    pub(super) fields: Vec<String>,
}

/// Whether an instance is moved to balance, and memory kept for it where it is mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoBalance {
    /// Both.
    Yes,
    /// Neither.
    No,
}

/// A line of policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The group it is for; empty for the cluster.
    pub owner: String,
    /// vCPUs per CPU, at most.
    pub vcpu_ratio: f64,
    /// Spindles of instances per spindle, at most.
    pub spindle_ratio: f64,
    pub(super) line: String,
}

/// Which prefixes make tags exclusive.
const EXCLUSION: &str = "htools:iextags:";
/// Ganeti's defaults, where a file has no policy.
const VCPU_RATIO: f64 = 4.0;
const SPINDLE_RATIO: f64 = 32.0;

/// Why no group could be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// There is no such group.
    #[error("there is no node group {name}: there is {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// There are several.
    #[error("there are several node groups ({}), and moves stay within one", known.join(", "))]
    Several {
        /// What there is.
        known: Vec<String>,
    },
    /// There is none.
    #[error("there is no node group")]
    None,
}

/// One group of a cluster as a [`Spread`], with the way back.
#[derive(Clone, Debug)]
pub struct GroupSpread {
    /// Its guests, spread as they are.
    pub spread: Spread,
    /// The node of each host.
    pub nodes: Vec<usize>,
    /// The instance of each guest.
    pub instances: Vec<usize>,
}

impl Cluster {
    /// The group of this name or uuid; if none is named the only one, or the only one that has nodes.
    pub fn group(&self, wanted: Option<&str>) -> Result<usize, GroupError> {
        let known = || self.groups.iter().map(|group| group.name.clone()).collect();
        let has_nodes = |group: &usize| self.nodes.iter().any(|node| node.group == *group);
        match wanted {
            Some(name) => self
                .groups
                .iter()
                .position(|group| group.name == name || group.uuid == name)
                .ok_or_else(|| GroupError::Unknown { name: name.to_owned(), known: known() }),
            None if self.groups.is_empty() => Err(GroupError::None),
            None if self.groups.len() == 1 => Ok(0),
            None => {
                let inhabited: Vec<usize> = (0..self.groups.len()).filter(has_nodes).collect();
                if let [only] = inhabited[..] {
                    return Ok(only);
                }
                Err(GroupError::Several { known: known() })
            }
        }
    }

    /// The policy of a group: its own, the cluster's, or Ganeti's defaults.
    pub(super) fn ratios(&self, group: usize) -> (f64, f64) {
        let owned = |owner: &str| self.policies.iter().rev().find(|policy| policy.owner == owner);
        // Ganeti gives a group without a line its defaults, not the cluster's.
        owned(&self.groups[group].name)
            .map_or((VCPU_RATIO, SPINDLE_RATIO), |policy| (policy.vcpu_ratio, policy.spindle_ratio))
    }

    /// The tags of an instance that no other on its node should have.
    pub fn exclusion_tags<'a>(&self, instance: &'a Instance) -> Vec<&'a str> {
        let prefixes: Vec<&str> = self
            .tags
            .iter()
            .filter_map(|tag| tag.strip_prefix(EXCLUSION))
            .filter(|prefix| !prefix.is_empty())
            .collect();
        let exclusive = |tag: &&str| prefixes.iter().any(|prefix| tag.starts_with(prefix));
        instance.tags.iter().map(String::as_str).filter(exclusive).collect()
    }

    /// Memory that no instance takes, as Ganeti reckons: what is recorded, less what is missing beside it.
    pub(super) fn memory_unallocated(&self, node: usize, taken: i64) -> i64 {
        let node = &self.nodes[node];
        if node.state == NodeState::Offline {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "Ganeti truncates here")]
        let recorded = node.memory as i64 - node.memory_of_node - taken;
        let missing = recorded - node.memory_free;
        recorded - missing.max(0)
    }

    /// Memory of the instances that run on each node.
    pub(super) fn memory_taken(&self) -> Vec<i64> {
        let mut taken = vec![0; self.nodes.len()];
        for instance in self.instances.iter().filter(|one| one.status == InstanceStatus::Running) {
            taken[instance.primary] += instance.memory;
        }
        taken
    }

    /// One group, to be balanced. Instances that are mirrored into another group stay where they are, as with hbal.
    pub fn spread(&self, group: usize) -> GroupSpread {
        let inside = |node: usize| self.nodes[node].group == group;
        let mut nodes: Vec<usize> = (0..self.nodes.len()).filter(|node| inside(*node)).collect();
        nodes.extend(self.nodes_mirrored_with(group));
        let index_of: HashMap<usize, u32> = nodes.iter().copied().zip(0..).collect();
        let taken = self.memory_taken();
        let (vcpu_ratio, spindle_ratio) = self.ratios(group);
        let mut hosts: Vec<SpreadHost> =
            nodes.iter().map(|node| self.host(*node, taken[*node], vcpu_ratio, spindle_ratio)).collect();
        let mut guests = Vec::new();
        let mut instances = Vec::new();
        let mut known_tags = HashMap::new();
        for (index, instance) in self.instances.iter().enumerate() {
            let split = instance.secondary.is_some_and(|node| inside(node) != inside(instance.primary));
            if !inside(instance.primary) && !split {
                continue;
            }
            let Some(primary) = index_of.get(&instance.primary).copied() else { continue };
            let secondary = instance.secondary.and_then(|node| index_of.get(&node).copied());
            let tags = self.exclusion_tags(instance).into_iter().map(|tag| {
                let next = u32::try_from(known_tags.len()).unwrap_or(u32::MAX);
                *known_tags.entry(tag.to_owned()).or_insert(next)
            });
            let mut guest = guest(instance, Place { primary, secondary }, tags.collect());
            if split {
                guest.movable = Movable::No;
            }
            if instance.status != InstanceStatus::Running {
                hosts[primary as usize].memory_free_if_all_ran -= instance.memory;
            }
            guests.push(guest);
            instances.push(index);
        }
        let classes = vec![vec![true; hosts.len()]];
        for (host, node) in hosts.iter_mut().zip(&nodes) {
            if !inside(*node) {
                host.online = Online::Outside;
            }
        }
        GroupSpread { spread: Spread::new(hosts, guests, classes, Compare::MustRemain), nodes, instances }
    }

    /// Nodes of other groups that share an instance with this one.
    fn nodes_mirrored_with(&self, group: usize) -> BTreeSet<usize> {
        let inside = |node: usize| self.nodes[node].group == group;
        let pairs = self.instances.iter().filter_map(|one| Some([one.primary, one.secondary?]));
        let split = pairs.filter(|[one, other]| inside(*one) != inside(*other));
        split.flatten().filter(|node| !inside(*node)).collect()
    }

    fn host(&self, index: usize, taken: i64, vcpu_ratio: f64, spindle_ratio: f64) -> SpreadHost {
        let node = &self.nodes[index];
        let mut host = SpreadHost::new(node.memory, node.disk, node.cpus * node.cpu_speed);
        host.online = if node.state == NodeState::Online { Online::Yes } else { Online::No };
        host.memory_free = self.memory_unallocated(index, taken);
        host.memory_free_if_all_ran = node.memory_free;
        host.memory_reported = node.memory_free;
        host.disk_free = node.disk_free;
        host.vcpus = node.cpus_of_node;
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 spindles")]
        let spindles = node.spindles as f64;
        host.spindles_limit = spindles * spindle_ratio;
        host.vcpus_limit = (vcpu_ratio >= 0.0).then_some(vcpu_ratio * node.cpus);
        host
    }

    /// Moves instances as the steps say, and reckons memory and disk anew.
    pub fn apply(&mut self, group: &GroupSpread, steps: &[Step]) {
        for step in steps {
            let node = |host: u32| group.nodes[host as usize];
            let index = group.instances[step.guest as usize];
            let memory = match self.instances[index].status {
                InstanceStatus::Running => self.instances[index].memory,
                InstanceStatus::Down | InstanceStatus::Offline => 0,
            };
            let disk = self.instances[index].disk_on_nodes();
            self.nodes[node(step.from.primary)].memory_free += memory;
            self.nodes[node(step.to.primary)].memory_free -= memory;
            for from in [Some(step.from.primary), step.from.secondary].into_iter().flatten() {
                self.nodes[node(from)].disk_free += disk;
            }
            for to in [Some(step.to.primary), step.to.secondary].into_iter().flatten() {
                self.nodes[node(to)].disk_free -= disk;
            }
            self.instances[index].primary = node(step.to.primary);
            self.instances[index].secondary = step.to.secondary.map(node);
        }
    }
}

impl GroupSpread {
    /// The instance that is this guest.
    pub fn instance(&self, guest: GuestIndex) -> usize {
        self.instances[guest as usize]
    }
}

impl Instance {
    /// Disk it takes of each of its nodes.
    pub fn disk_on_nodes(&self) -> i64 {
        match self.template {
            DiskTemplate::Plain | DiskTemplate::Drbd => self.disk,
            DiskTemplate::Shared | DiskTemplate::Fixed => 0,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 spindles")]
fn guest(instance: &Instance, place: Place, tags: Vec<u32>) -> SpreadGuest {
    let disk = instance.disk_on_nodes();
    let counted = instance.status != InstanceStatus::Offline;
    let mirrored = counted && instance.auto_balance == AutoBalance::Yes;
    SpreadGuest {
        memory: instance.memory,
        memory_now: if instance.status == InstanceStatus::Running { instance.memory } else { 0 },
        memory_mirrored: if mirrored { instance.memory } else { 0 },
        disk,
        cost: disk,
        vcpus: if counted { instance.vcpus } else { 0 },
        spindles: if disk > 0 || matches!(instance.template, DiskTemplate::Plain | DiskTemplate::Drbd) {
            instance.spindles as f64
        } else {
            0.0
        },
        load: 1.0,
        tags,
        domain_tags: Vec::new(),
        class: 0,
        movable: match (instance.template, instance.auto_balance) {
            (DiskTemplate::Drbd | DiskTemplate::Shared, AutoBalance::Yes) => Movable::Yes,
            _ => Movable::No,
        },
        place,
    }
}
