//! Ganeti's hbal and hail, where they are installed (Debian: ganeti-htools): run, bounded in time, and read.

use crate::process::processor_of_children;
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const HBAL: &str = "hbal";
/// Where Debian puts it: it is no command for people.
const HAIL: &str = "/usr/lib/ganeti/iallocators/hail";

/// What hbal came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hbal {
    /// The score at the end, or so far.
    pub(crate) score_after: f64,
    /// The score after each move.
    pub(crate) scores: Vec<f64>,
    /// Processor time.
    pub(crate) seconds: f64,
    /// Whether it ended by itself.
    pub(crate) finished: bool,
}

/// Whether hbal can be run.
pub(crate) fn hbal_is_there() -> bool {
    let asked = Command::new(HBAL).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Whether hail can be run.
pub(crate) fn hail_is_there() -> bool {
    Path::new(HAIL).exists()
}

/// Lets hbal balance a file.
pub(crate) fn balance(file: &Path, limit: Duration) -> Result<Hbal> {
    let ran = run(Command::new(HBAL).arg("-t").arg(file), limit)?;
    let scores: Vec<f64> = ran.text.lines().filter_map(score_of_step).collect();
    let last = scores.last().copied().or_else(|| initial_score(&ran.text));
    let score_after =
        last.with_context(|| format!("hbal gave no score of {}: {}", file.display(), ran.text))?;
    Ok(Hbal { score_after, scores, seconds: ran.processor.as_secs_f64(), finished: ran.finished })
}

/// What hbal says of a file as it is.
pub(crate) fn score(file: &Path, limit: Duration) -> Result<f64> {
    let ran = run(Command::new(HBAL).args(["-l", "0", "-t"]).arg(file), limit)?;
    initial_score(&ran.text)
        .with_context(|| format!("hbal gave no score of {}: {}", file.display(), ran.text))
}

/// Lets hail place one guest of 2 GiB, 2 vCPUs and 20 GiB. Says how much processor time that took; none, if it did not
/// end in time.
pub(crate) fn allocate(file: &Path, limit: Duration) -> Result<Option<f64>> {
    let request = file.with_extension("request");
    std::fs::write(&request, REQUEST)?;
    let ran = run(Command::new(HAIL).arg("--no-capacity-checks").arg("-t").arg(file).arg(&request), limit)?;
    if !ran.finished {
        return Ok(None);
    }
    anyhow::ensure!(ran.text.contains("\"success\":true"), "hail refused: {}", ran.text);
    Ok(Some(ran.processor.as_secs_f64()))
}

/// The nodes and instances come out of the file that `-t` names.
const REQUEST: &str = r#"{"cluster_name":"bench","cluster_tags":[],"enabled_hypervisors":["kvm"],"version":2,
"ipolicy":{"minmax":[{"min":{"memory-size":128,"cpu-count":1,"disk-size":1024,"disk-count":1,"nic-count":1,"spindle-use":1},
"max":{"memory-size":131072,"cpu-count":32,"disk-size":1048576,"disk-count":16,"nic-count":8,"spindle-use":12}}],
"std":{"memory-size":128,"cpu-count":1,"disk-size":1024,"disk-count":1,"nic-count":1,"spindle-use":1},
"disk-templates":["ext"],"vcpu-ratio":4.0,"spindle-ratio":32.0},"instances":{},"nodes":{},"nodegroups":{},
"request":{"type":"allocate","name":"one-more","memory":2048,"spindle_use":1,"vcpus":2,"disk_space_total":20480,
"disks":[{"size":20480,"mode":"rw"}],"nics":[],"os":"any","tags":[],"hypervisor":"kvm","required_nodes":1,
"disk_template":"ext","hv":{},"group_name":null}}"#;

struct Ran {
    text: String,
    processor: Duration,
    finished: bool,
}

fn run(command: &mut Command, limit: Duration) -> Result<Ran> {
    let said = tempfile::NamedTempFile::new()?;
    let before = processor_of_children()?;
    let begun = Instant::now();
    let output = File::create(said.path())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let finished = loop {
        if child.try_wait()?.is_some() {
            break true;
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break false;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let processor = processor_of_children()?.saturating_sub(before);
    Ok(Ran { text: std::fs::read_to_string(said.path())?, processor, finished })
}

/// `   7. guest000012 node0003      => node0009     12.34567890 a=fa:node0009`
fn score_of_step(line: &str) -> Option<f64> {
    let (number, rest) = line.trim_start().split_once(". ")?;
    number.parse::<u32>().ok()?;
    let (_, behind) = rest.split_once("=> ")?;
    behind.split_whitespace().nth(1)?.parse().ok()
}

fn initial_score(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("Initial score: ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hbal_prints_is_read() {
        let text = "\
Group size 20 nodes, 200 instances
Initial score: 22.77258005
Trying to minimize the CV...
    1. guest000190 node0007      => node0014     21.44013231 a=fa:node0014
    2. guest000012:x node0003:node0001 => node0009:node0003  20.12345678 a=f r:node0003
Cluster score improved from 22.77258005 to 20.12345678
Solution length=2
";
        assert_eq!(initial_score(text), Some(22.772_580_05));
        let scores: Vec<f64> = text.lines().filter_map(score_of_step).collect();
        assert_eq!(scores, [21.440_132_31, 20.123_456_78]);
    }
}
