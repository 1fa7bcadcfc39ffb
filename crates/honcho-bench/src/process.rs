//! What a running process has used, as the kernel says.

use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// One look at a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time of its own, and of the programs it ran and waited for.
    pub(crate) processor: Duration,
    /// Memory it holds, in KiB, counting what it shares with others in full.
    pub(crate) resident: u64,
    /// The same, counting what it shares only by its share.
    pub(crate) proportional: u64,
}

/// Looks at a process.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| {
            format!("cannot read /proc/{pid}/{file}: has the process ended, or is it another user's?")
        })
    };
    let ticks = processor_ticks(&read("stat")?).with_context(|| format!("/proc/{pid}/stat is none"))?;
    let memory = read("smaps_rollup")?;
    let kib = |label| kib(&memory, label).with_context(|| format!("/proc/{pid}/smaps_rollup has no {label}"));
    Ok(Usage {
        processor: Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()),
        resident: kib("Rss:")?,
        proportional: kib("Pss:")?,
    })
}

/// A program that has to do with a measurement's own brain alone: what the environment says of the operator's (which database
/// it has, whose post it takes, where it is) is not said to it.
pub(crate) fn apart(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"HONCHO_") {
            command.env_remove(name);
        }
    }
    command
}

/// Processor time of the programs this one ran and waited for.
pub(crate) fn processor_of_children() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let ticks = ticks(&stat, 13, 2).context("/proc/self/stat is none")?;
    Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

/// Processor time of this thread; a few milliseconds may be missing.
pub(crate) fn processor_of_thread() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Ok(Duration::from_nanos(nanoseconds.context("/proc/thread-self/schedstat holds no number")?))
}

/// The most memory a process ever held, in MB.
#[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 KiB")]
pub(crate) fn peak_memory_mb(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = kib(&status, "VmHWM:").with_context(|| format!("{path} has no VmHWM"))?;
    Ok(kib as f64 * 1.024 / 1000.0)
}

/// What a process had used when it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peak {
    pub(crate) processor: Duration,
    /// The most memory it held, as last seen before it ended.
    pub(crate) peak_mb: f64,
}

/// Waits for a child and tells what it used. It must end well.
pub(crate) fn peak(mut child: std::process::Child) -> Result<Peak> {
    let pid = child.id();
    let mut most = 0;
    loop {
        if let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
            most = kib(&status, "VmHWM:").map_or(most, |now| most.max(now));
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // It has ended and was not waited for: its times are there still.
        if stat.rsplit_once(") ").is_some_and(|(_, after)| after.starts_with('Z')) {
            let ticks = processor_ticks(&stat).context("a stat file")?;
            let status = child.wait()?;
            anyhow::ensure!(status.success(), "it ended with {status}");
            let processor = Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second());
            return Ok(Peak { processor, peak_mb: f64::from(u32::try_from(most)?) * 1024.0 / 1e6 });
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Waits for a child, and tells what it said on standard error, when it had ended, and the most memory that it or a program below it
/// held, in MB.
pub(crate) fn watched(child: std::process::Child) -> Result<(std::process::Output, Instant, f64)> {
    let pid = child.id();
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                for pid in family(pid) {
                    // One that has ended meanwhile holds nothing.
                    most = most.max(peak_memory_mb(pid).unwrap_or_default());
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            most
        });
        let output = child.wait_with_output();
        // Not when the watcher has woken up.
        let at = Instant::now();
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        let most = watching.join().map_err(|_| anyhow::anyhow!("the watcher broke off"))?;
        Ok((output?, at, most))
    })
}

/// A process and all below it.
fn family(pid: u32) -> Vec<u32> {
    let (mut all, mut next) = (vec![pid], 0);
    while let Some(parent) = all.get(next) {
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        next += 1;
    }
    all
}

/// The name of a process's program.
pub(crate) fn program(pid: u32) -> Result<String> {
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    let Ok(comm) = comm else { bail!("no process {pid} runs") };
    Ok(comm.trim().to_owned())
}

/// utime, stime, cutime and cstime together: fields 14 to 17 of proc(5)'s stat. The second field, in parentheses, may
/// hold anything.
fn processor_ticks(stat: &str) -> Option<u64> {
    ticks(stat, 11, 4)
}

fn ticks(stat: &str, behind_the_name: usize, count: usize) -> Option<u64> {
    let (_, after) = stat.rsplit_once(") ")?;
    let fields = after.split_whitespace().skip(behind_the_name).take(count);
    let ticks = fields.map(|field| field.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    (ticks.len() == count).then(|| ticks.iter().sum())
}

fn kib(smaps: &str, label: &str) -> Option<u64> {
    let line = smaps.lines().find_map(|line| line.strip_prefix(label))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_its_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 9 10 11";
        assert_eq!(processor_ticks(stat), Some(124));
        assert_eq!(ticks(stat, 13, 2), Some(4));
        assert_eq!(processor_ticks("7 (a) S 1"), None);
        assert_eq!(processor_ticks(""), None);
    }

    #[test]
    fn this_very_process_can_be_looked_at() -> Result<()> {
        let usage = usage(std::process::id())?;
        assert!(usage.resident >= usage.proportional && usage.proportional > 0, "{usage:?}");
        Ok(())
    }
}
