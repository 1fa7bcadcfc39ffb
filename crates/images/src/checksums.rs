//! Gives a filesystem that mke2fs has just made its checksums, and checks it.
//!
//! mke2fs, told to make them itself, computes one over each block of a directory whenever it looks a name up, which it
//! does from the root for every file: a third of its time. Afterwards it is one for each block.

use crate::tool::{E2FSCK, Sandbox, TUNE2FS, Tool, ToolError, ToolOutput};
use std::ffi::OsStr;
use std::time::Duration;

/// Both read the filesystem's own data, and no file's.
const PATIENCE: Duration = Duration::from_mins(10);

/// e2fsck(8): no errors, or errors that were corrected, of which a directory put into order is one.
const WHOLE: [i32; 2] = [0, 1];

/// e2fsck(8): errors that it left, as with -p it leaves all but harmless ones.
const UNCORRECTED: i32 = 4;

/// Why a filesystem has no checksums.
#[derive(Debug)]
pub(crate) enum Unset {
    /// A tool gave no answer.
    Tool(ToolError),
    /// A tool failed for something that is no fault of what it was given: memory, the disk, a limit, a signal.
    Failed(String),
    /// e2fsck says that it is broken.
    Broken(String),
}

/// Sets checksums of everything in `target`, a file of the sandbox's directory.
pub(crate) async fn set(sandbox: &Sandbox, target: &OsStr) -> Result<(), Unset> {
    let run = async |tool: Tool, arguments: &[&str]| {
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain([target]).collect();
        sandbox.run(tool, &arguments, None, PATIENCE).await.map_err(Unset::Tool)
    };
    // Where a block of a directory has no room left for its own, this says that the next must follow.
    succeeded(TUNE2FS, &run(TUNE2FS, &["-O", "metadata_csum"]).await?)?;
    let checked = run(E2FSCK, &["-f", "-p", "-D"]).await?;
    match checked.code {
        Some(code) if WHOLE.contains(&code) => {}
        Some(UNCORRECTED) => return Err(Unset::Broken(format!("e2fsck: {}", checked.said))),
        _ => return Err(Unset::Failed(ending(E2FSCK, &checked))),
    }
    // A step of its own: together with the first it would keep a seed of 0 for all.
    succeeded(TUNE2FS, &run(TUNE2FS, &["-O", "metadata_csum_seed"]).await?)
}

fn succeeded(tool: Tool, output: &ToolOutput) -> Result<(), Unset> {
    if output.code == Some(0) { Ok(()) } else { Err(Unset::Failed(ending(tool, output))) }
}

fn ending(tool: Tool, output: &ToolOutput) -> String {
    match output.code {
        Some(code) => format!("{} ended with {code}: {}", tool.program, output.said),
        None => format!("{} was ended by a signal: {}", tool.program, output.said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partial::Partial;

    /// An image is blamed for nothing but what e2fsck finds broken in its filesystem.
    #[tokio::test]
    async fn a_tool_that_fails_is_no_fault_of_the_filesystem() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))
            .unwrap();
        let none = Partial::create(directory.path(), "none").unwrap();
        none.file().set_len(1 << 20).unwrap();
        let sandbox = Sandbox::new(directory.path(), 7, 1 << 30);
        sandbox.admit(none.file()).unwrap();
        let unset = set(&sandbox, none.file_name()).await.unwrap_err();
        assert!(
            matches!(&unset, Unset::Failed(said) if said.starts_with("tune2fs ended with 1: ")),
            "{unset:?}"
        );
    }
}
