//! The machine's own counters, out of `/proc` and `/sys`.
//!
//! Of disks and network cards those count that are hardware: what is stacked on them (RAID, LVM, bridges, taps, VLANs) would
//! count the same bytes again. The kernel says which are by a link named `device`.

use super::taken::Counters;
use honcho_model::Bytes;
use std::path::Path;

/// The kernel counts processor time in hundredths of a second wherever Linux runs today (`USER_HZ`).
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

/// Sectors of `/proc/diskstats` are of this size, whatever a disk's are (Documentation/admin-guide/iostats.rst).
const SECTOR: u64 = 512;

/// What this machine's kernel has counted.
pub fn counters() -> Counters {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let is_hardware =
        |class: &str, name: &str| Path::new("/sys").join(class).join(name).join("device").exists();
    let disks = disks(&read("/proc/diskstats"), |name| is_hardware("block", name));
    let cards = cards(&read("/proc/net/dev"), |name| is_hardware("class/net", name));
    Counters {
        cpu_ns: busy(&read("/proc/stat")),
        memory: held(&read("/proc/meminfo")),
        disk_reads: disks.map(|disks| disks[0]),
        disk_read: disks.map(|disks| disks[1] * SECTOR),
        disk_writes: disks.map(|disks| disks[2]),
        disk_written: disks.map(|disks| disks[3] * SECTOR),
        received: cards.map(|cards| cards[0]),
        sent: cards.map(|cards| cards[1]),
    }
}

/// All that is neither idle nor waiting for disks: user, nice, system, irq, softirq, steal (`proc_stat(5)`; a guest's time
/// is in user's).
fn busy(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let idle = numbers.get(3)? + numbers.get(4)?;
    let whole: u64 = numbers.iter().sum();
    whole.checked_sub(idle)?.checked_mul(NANOSECONDS_PER_TICK)
}

/// All memory but what could be had without anybody missing it (`proc_meminfo(5)`).
fn held(meminfo: &str) -> Option<Bytes> {
    let kilobytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let held = kilobytes("MemTotal")?.checked_sub(kilobytes("MemAvailable")?)?;
    Some(Bytes(held * 1024))
}

/// Reads, sectors read, writes and sectors written, of all disks together; `None` where there is none.
fn disks(diskstats: &str, counts: impl Fn(&str) -> bool) -> Option<[u64; 4]> {
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| words.get(place)?.parse::<u64>().ok();
        if !counts(words.get(2)?) {
            return None;
        }
        Some([number(3)?, number(5)?, number(7)?, number(9)?])
    };
    sum(diskstats.lines().filter_map(of_line))
}

/// Bytes received and sent, of all cards together; `None` where there is none.
fn cards(dev: &str, counts: impl Fn(&str) -> bool) -> Option<[u64; 2]> {
    let of_line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        if !counts(name.trim()) {
            return None;
        }
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        Some([numbers.first()?.parse().ok()?, numbers.get(8)?.parse().ok()?])
    };
    sum(dev.lines().filter_map(of_line))
}

fn sum<const N: usize>(lines: impl Iterator<Item = [u64; N]>) -> Option<[u64; N]> {
    lines.reduce(|mut sum, line| {
        sum.iter_mut().zip(line).for_each(|(sum, number)| *sum += number);
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read_as_its_manuals_say() {
        assert_eq!(busy("cpu  10 1 9 70 10 2 3 4 5 0\ncpu0 1\n"), Some(29 * NANOSECONDS_PER_TICK));
        assert_eq!(busy("cpu 1 2 3"), None);
        let meminfo = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n";
        assert_eq!(held(meminfo), Some(Bytes(600 * 1024)));
        assert_eq!(held("MemTotal: 5 kB\n"), None);
        let diskstats = "   8  0 sda 11 1 88 5 22 2 176 9 0 1 2\n   8  1 sda1 11 1 88 5 22 2 176 9 0 1 2\n\
                         253 0 vdb 1 0 8 0 2 0 16 0 0 0 0\n 7 0 loop0 5 0 5 0 5 0 5 0 0 0 0\n";
        let is_disk = |name: &str| ["sda", "vdb"].contains(&name);
        assert_eq!(disks(diskstats, is_disk), Some([12, 96, 24, 192]));
        assert_eq!(disks(diskstats, |_| false), None);
        let dev = "Inter-|   Receive\n face |bytes packets\n    lo: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n\
                   eth0:1500 2 0 0 0 0 0 0 700 3 0 0 0 0 0 0\n";
        assert_eq!(cards(dev, |name| name == "eth0"), Some([1500, 700]));
        for garbage in ["", "eth0:", "eth0: a b", "\u{0}"] {
            assert_eq!((disks(garbage, |_| true), cards(garbage, |_| true)), (None, None), "{garbage:?}");
        }
    }

    #[test]
    fn this_machine_says_something() {
        let (first, second) = (counters(), counters());
        assert!(first.cpu_ns > Some(0) && first.memory > Some(Bytes(0)), "{first:?}");
        assert!(second.cpu_ns >= first.cpu_ns);
    }
}
