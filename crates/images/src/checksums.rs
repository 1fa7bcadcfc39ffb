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

/// Sets checksums of everything in `target`, a file of the sandbox's directory. What a tool refuses is the inner error.
pub(crate) async fn set(sandbox: &Sandbox, target: &OsStr) -> Result<Result<(), String>, ToolError> {
    let run = async |tool: Tool, arguments: &[&str], whole: &[i32]| {
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain([target]).collect();
        let output = sandbox.run(tool, &arguments, None, PATIENCE).await?;
        Ok::<_, ToolError>(judged(tool, &output, whole))
    };
    // Where a block of a directory has no room left for its own, this says that the next must follow.
    let checksums = run(TUNE2FS, &["-O", "metadata_csum"], &[0]).await?;
    if checksums.is_err() {
        return Ok(checksums);
    }
    let checked = run(E2FSCK, &["-f", "-p", "-D"], &WHOLE).await?;
    if checked.is_err() {
        return Ok(checked);
    }
    // A step of its own: together with the first it would keep a seed of 0 for all.
    run(TUNE2FS, &["-O", "metadata_csum_seed"], &[0]).await
}

fn judged(tool: Tool, output: &ToolOutput, whole: &[i32]) -> Result<(), String> {
    match output.code {
        Some(code) if whole.contains(&code) => Ok(()),
        Some(code) => Err(format!("{} ended with {code}: {}", tool.program, output.said)),
        None => Err(format!("{} was ended by a signal: {}", tool.program, output.said)),
    }
}
