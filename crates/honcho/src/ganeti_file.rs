//! Files of Ganeti's htools, as commands take them: read, one node group chosen, and what is wrong with them said.

use crate::command_error::CommandError;
use honcho_model::Bytes;
use honcho_placement::Request;
use honcho_placement::ganeti::{Cluster, GroupError, read};
use std::path::{Path, PathBuf};

/// Which file, and what of it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GanetiArguments {
    /// A cluster in the text format of Ganeti's htools, as hscan and `hbal -S` write it
    #[arg(long, value_name = "FILE")]
    ganeti: Option<PathBuf>,
    /// The node group, by name or uuid, where the file has several
    #[arg(long, value_name = "GROUP", requires = "ganeti")]
    group: Option<String>,
}

/// A cluster that was read.
pub(crate) struct GanetiFile<'a> {
    /// Where it stands.
    pub(crate) path: &'a Path,
    /// What it says.
    pub(crate) cluster: Cluster,
    /// The place of the chosen node group in it.
    pub(crate) group: usize,
}

impl GanetiArguments {
    /// Whether a file was named; otherwise the brain is asked.
    pub(crate) fn is_given(&self) -> bool {
        self.ganeti.is_some()
    }

    /// What the file says.
    pub(crate) fn read(&self) -> Result<GanetiFile<'_>, CommandError> {
        let Some(path) = &self.ganeti else {
            return Err(CommandError::usage("--ganeti FILE is needed")
                .hint("hscan, or hbal with -S, writes a Ganeti cluster's file"));
        };
        let bytes = std::fs::read(path)
            .map_err(|error| CommandError::failed(format!("cannot read {}", path.display())).cause(&error))?;
        let malformed = |line: usize, message: &str| {
            CommandError::failed(format!("{}, line {line}: {message}", path.display()))
                .hint("it must be the text format of Ganeti's htools, as hscan and `hbal -S` write it")
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            malformed(before.split(|byte| *byte == b'\n').count(), "this is no text (UTF-8)")
        })?;
        let cluster = read(text).map_err(|error| malformed(error.line, &error.message))?;
        let group = cluster.group(self.group.as_deref()).map_err(|error| refused(path, &error))?;
        Ok(GanetiFile { path, cluster, group })
    }
}

/// What cannot be done with a group.
fn refused(file: &Path, error: &GroupError) -> CommandError {
    let failed = CommandError::failed(format!("{}: {error}", file.display()));
    match error {
        GroupError::Several { .. } => failed.hint("name one: --group NAME"),
        GroupError::Unknown { .. } | GroupError::None => failed,
    }
}

/// The size of a guest, as in `2G,2cpu,20G`: memory, vCPUs, disk.
pub(crate) fn guest_size(text: &str) -> Result<GuestSize, String> {
    let hint = || "write memory, vCPUs and disk, as in 2G,2cpu,20G".to_owned();
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [memory, vcpus, disk] = parts[..] else { return Err(hint()) };
    let size = |text: &str| text.parse::<Bytes>().map_err(|error| format!("{error}; {}", hint()));
    let digits = vcpus.strip_suffix("cpus").or(vcpus.strip_suffix("cpu")).unwrap_or(vcpus);
    let vcpus = digits.parse::<u32>().map_err(|_| hint())?;
    let (memory, disk) = (size(memory)?, size(disk)?);
    // A bare number is bytes: nobody means a guest of 2 bytes.
    if memory < Bytes::mib(1) || (disk.0 > 0 && disk < Bytes::mib(1)) {
        return Err(format!("a guest has at least 1M of memory, and a disk of at least 1M or 0; {}", hint()));
    }
    if vcpus == 0 {
        return Err("a guest has at least one vCPU".to_owned());
    }
    Ok(GuestSize { memory, vcpus, disk })
}

/// Memory, vCPUs and disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuestSize {
    memory: Bytes,
    vcpus: u32,
    disk: Bytes,
}

impl GuestSize {
    /// The size as the API takes it.
    pub(crate) fn query(self) -> [(&'static str, String); 3] {
        [
            ("memory_bytes", self.memory.0.to_string()),
            ("vcpus", self.vcpus.to_string()),
            ("disk_bytes", self.disk.0.to_string()),
        ]
    }

    /// A guest of this size that needs nothing else.
    pub(crate) fn request(self) -> Request {
        Request::of_size(self.memory, self.vcpus, self.disk)
    }
}

impl std::fmt::Display for GuestSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cpus = if self.vcpus == 1 { "vCPU" } else { "vCPUs" };
        write!(f, "{} of memory, {} {cpus}, {} of disk", self.memory, self.vcpus, self.disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_memory_vcpus_and_disk() {
        let size = GuestSize { memory: Bytes::gib(2), vcpus: 2, disk: Bytes::gib(20) };
        assert_eq!(guest_size("2G,2cpu,20G"), Ok(size));
        assert_eq!(guest_size("2G, 2, 20G"), Ok(size));
        assert_eq!(size.to_string(), "2G of memory, 2 vCPUs, 20G of disk");
        assert_eq!(guest_size("2G,1cpu,0").map(|size| size.disk), Ok(Bytes(0)));
        for bad in ["", "2G", "2G,2cpu", "2G,cpu,20G", "2,2,20G", "2G,2,20", "0G,1,1G", "1G,0,1G"] {
            assert!(guest_size(bad).is_err(), "{bad}");
        }
    }
}
