//! Clusters made of a seed, as a file of Ganeti's: three classes of nodes, guests where they were first put (unevenly: each
//! node is liked by a lognormal measure), a tenth of them with exclusion tags.
//!
//! The disks lie outside the nodes (`ext`), so that every guest can move.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Memory in MiB, disk in MiB, CPUs.
const CLASSES: [(u64, u64, u64); 3] =
    [(65_536, 1_000_000, 16), (98_304, 1_500_000, 24), (131_072, 2_000_000, 32)];
const OF_THE_NODE: u64 = 1024;
const VCPUS_PER_CPU: u64 = 4;
/// How uneven: the standard deviation of the logarithm.
const SKEW: f64 = 0.7;
const TAGGED: f64 = 0.1;
/// As many guests for each exclusion tag, counting those without.
const GUESTS_PER_TAG: usize = 40;
/// So often a place is looked for.
const TRIES: usize = 300;

/// What is known of a node while guests are put there.
struct Node {
    memory_free: u64,
    vcpus: u64,
    tags: BTreeSet<usize>,
}

/// A cluster of so many nodes and guests (a few less, where no place was found).
pub(crate) fn cluster(nodes: usize, guests: usize, seed: u64) -> String {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
    let classes: Vec<(u64, u64, u64)> = (0..nodes).map(|_| CLASSES[random.below(CLASSES.len())]).collect();
    let liked: Vec<f64> = (0..nodes)
        .scan(0.0, |sum, _| {
            *sum += (random.normal() * SKEW).exp();
            Some(*sum)
        })
        .collect();
    let node = |class: &(u64, u64, u64)| Node {
        memory_free: class.0 - OF_THE_NODE,
        vcpus: 1,
        tags: BTreeSet::new(),
    };
    let mut states: Vec<Node> = classes.iter().map(node).collect();
    let mut instances = String::new();
    for guest in 0..guests {
        let memory = 1024 << random.below(3);
        let vcpus = 1 << random.below(3);
        let disk = 10_240 << random.below(3);
        let tag = (random.share() < TAGGED).then(|| random.below(guests.div_ceil(GUESTS_PER_TAG) + 1));
        let place = (0..TRIES).find_map(|_| {
            let at = random.share() * liked.last().copied().unwrap_or(0.0);
            let node = liked.partition_point(|sum| *sum <= at).min(nodes - 1);
            let state = &states[node];
            let fits = state.memory_free > memory
                && state.vcpus + vcpus <= classes[node].2 * VCPUS_PER_CPU
                && tag.is_none_or(|tag| !state.tags.contains(&tag));
            fits.then_some(node)
        });
        let Some(node) = place else { continue };
        states[node].memory_free -= memory;
        states[node].vcpus += vcpus;
        states[node].tags.extend(tag);
        let tag = tag.map_or(String::new(), |tag| format!("apart:{tag}"));
        let _ = writeln!(
            instances,
            "guest{guest:06}|{memory}|{disk}|{vcpus}|running|Y|node{node:04}||ext|{tag}|1"
        );
    }
    let mut text = "default|0a|preferred||\n\n".to_owned();
    for (index, ((memory, disk, cpus), state)) in classes.iter().zip(&states).enumerate() {
        let free = state.memory_free;
        let _ = writeln!(text, "node{index:04}|{memory}|{OF_THE_NODE}|{free}|{disk}|{disk}|{cpus}|N|0a|1");
    }
    let policy = "128,1,1024,1,1,1|128,1,1024,1,1,1;131072,32,1048576,16,8,12|ext|4.0|32.0";
    let _ = write!(text, "\n{instances}\nhtools:iextags:apart\n\n|{policy}\ndefault|{policy}\n");
    text
}

/// Numbers that depend on the seed alone (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a fraction has")]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % limit.max(1)
    }

    /// Box and Muller's: mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        let (one, other) = (1.0 - self.share(), self.share());
        (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_cluster_and_it_can_be_read() {
        let text = cluster(20, 200, 1);
        assert_eq!(text, cluster(20, 200, 1));
        assert_ne!(text, cluster(20, 200, 2));
        let read = honcho_placement::ganeti::read(&text).expect("it is well made");
        assert_eq!((read.nodes.len(), read.instances.len()), (20, 200));
        assert!(read.nodes.iter().all(|node| node.memory_free > 0));
        let spread = read.spread(0).spread;
        assert_eq!((spread.crowded_guests(), spread.hosts_without_n_plus_one()), (0, 0));
        assert!(spread.score() > 5.0, "it is uneven: {}", spread.score());
    }
}
