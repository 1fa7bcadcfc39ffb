//! A stranger's file as a stream of tar: decompressed by the programs that are made for it, in the sandbox.

use super::{ImportError, refused};
use crate::tool::{Sandbox, Tool, last_lines};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

const GZIP: Tool = Tool { program: "gzip", package: "gzip" };
const XZ: Tool = Tool { program: "xz", package: "xz-utils" };
const ZSTD: Tool = Tool { program: "zstd", package: "zstd" };

/// Where the tar comes from.
pub(super) struct Source {
    /// Its offset says how far the file has been read, whoever reads it.
    file: File,
    length: u64,
    through: Option<Decompressor>,
}

/// Ended when dropped: it may wait for us to read on.
struct Decompressor {
    name: &'static str,
    child: Child,
    stdout: ChildStdout,
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // It has ended by itself, or what it says is of no use any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Source {
    /// Opens a file; what it is says its beginning, not its name.
    pub(super) fn open(path: &Path, directory: &Path) -> Result<Self, ImportError> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(refused("it is no file"));
        }
        let mut magic = [0; 6];
        let read = file.read_at(&mut magic, 0)?;
        let through = match program(&magic[..read])? {
            None => None,
            Some((tool, arguments)) => Some(start(&file, tool, arguments, directory)?),
        };
        Ok(Source { file, length: metadata.len(), through })
    }

    /// How much of the file has been read, in per cent.
    pub(super) fn percent(&self) -> u8 {
        let at = (&self.file).stream_position().unwrap_or_default();
        u8::try_from(u128::from(at) * 100 / u128::from(self.length.max(1))).unwrap_or(100).min(100)
    }

    /// Whether the decompressor was content, now that it has ended or said all there is.
    pub(super) fn end(&mut self) -> Result<(), ImportError> {
        let Some(Decompressor { name, child, .. }) = &mut self.through else { return Ok(()) };
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            stderr.take(64 << 10).read_to_string(&mut said)?;
        }
        let status = child.wait()?;
        if status.success() {
            return Ok(());
        }
        let said = last_lines(&said);
        let said = if said.is_empty() { status.to_string() } else { said };
        Err(refused(format!("it is damaged, or was not copied whole ({name}: {said})")))
    }

    /// What the decompressor has to say when no more came than this, if it has ended in failure.
    pub(super) fn complaint(&mut self) -> Option<ImportError> {
        let Decompressor { child, stdout, .. } = self.through.as_mut()?;
        // It has ended if nothing more comes; else it waits for us, and has no complaint.
        let ended = matches!(stdout.read(&mut [0; 1]), Ok(0)) || matches!(child.try_wait(), Ok(Some(_)));
        ended.then(|| self.end().err()).flatten()
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.through {
            Some(decompressor) => decompressor.stdout.read(buffer),
            None => self.file.read(buffer),
        }
    }
}

/// The program for a file that begins so, if it is compressed, and what makes it take no more memory than is fair.
fn program(magic: &[u8]) -> Result<Option<(Tool, &'static [&'static str])>, ImportError> {
    Ok(match magic {
        [0x1f, 0x8b, ..] => Some((GZIP, &["-dc"])),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some((XZ, &["-dc", "-T1", "--memlimit-decompress=512MiB"])),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Some((ZSTD, &["-dcq", "--memory=512MiB"]))
        }
        [b'B', b'Z', b'h', ..] => {
            return Err(refused(
                "it is compressed with bzip2: `bunzip2` it first (.tar, .gz, .xz and .zst are taken)",
            ));
        }
        [b'P', b'K', 3, 4, ..] => return Err(refused("it is a zip, and no tar")),
        _ => None,
    })
}

fn start(file: &File, tool: Tool, arguments: &[&str], directory: &Path) -> Result<Decompressor, ImportError> {
    // It writes into a pipe alone, so that it may make no file at all.
    let mut command = Sandbox::new(directory, u64::from(std::process::id()), 0).command(tool)?.into_std();
    command.args(arguments).stdin(file.try_clone()?).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("a program without output"))?;
    Ok(Decompressor { name: tool.program, child, stdout })
}
