//! Runs mmdebstrap, for images and for packages: in namespaces that end with us, its words kept in a log, its stages told.
//!
//! mmdebstrap itself keeps services from starting in the chroot (policy-rc.d, start-stop-daemon). When we are root, it
//! and all that it starts live in PID and mount namespaces that end with us, so that whoever is killed leaves no process
//! and no mount; what is left in the directory is deleted when the next build starts there. What packages run as they are
//! installed sees neither the machine's shared memory nor its queues, and does not name the machine.

use crate::build::BuildProgress;
use crate::error::ImageError;
use crate::tool::{MMDEBSTRAP, Tool, ToolMissing};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};

/// mmdebstrap such that neither it nor its children outlive this process, where we may arrange that. It makes its chroot
/// below `work`.
pub(crate) fn command(work: &Path, source_date_epoch: u64) -> Result<Command, ToolMissing> {
    let mut command = Command::new(Tool { program: "setpriv", package: "util-linux" }.find()?);
    command.args(["--pdeathsig", "KILL", "--"]);
    if rustix::process::geteuid().is_root() {
        command.arg(Tool { program: "unshare", package: "util-linux" }.find()?);
        command.args(["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child=KILL", "--"]);
        command.args(["/bin/sh", "-ec", OWN_SHARED_MEMORY, "sh"]);
    }
    // Whoever builds may not type into the terminal of who looks on.
    command.arg(Tool { program: "setsid", package: "util-linux" }.find()?).arg("--wait");
    command.arg(MMDEBSTRAP.find()?);
    command.env("TMPDIR", work).env("SOURCE_DATE_EPOCH", source_date_epoch.to_string());
    command.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// mmdebstrap binds /dev/shm into the chroot, so it is another one here. A directory to work in that lies there is taken along.
const OWN_SHARED_MEMORY: &str = "\
own() { mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /dev/shm; }
case $TMPDIR in
/dev/shm/*) (cd \"$TMPDIR\"; own; mkdir -p \"$TMPDIR\"; mount --no-canonicalize --bind . \"$TMPDIR\") ;;
*) own ;;
esac
exec \"$@\"";

/// How a run of mmdebstrap ended.
pub(crate) struct Ended<T> {
    pub(crate) status: ExitStatus,
    /// What became of its standard output.
    pub(crate) taken: std::io::Result<T>,
    pub(crate) story: Story,
}

/// Runs it to its end. `stage_of` is given each line that it says, and answers which stage begins with it and how far that is;
/// `take` is given its standard output.
pub(crate) fn run<T>(
    command: &mut Command,
    log: &Path,
    progress: BuildProgress<'_>,
    stage_of: impl FnMut(&str) -> Option<(String, u8)> + Send,
    take: impl FnOnce(ChildStdout) -> std::io::Result<T>,
) -> Result<Ended<T>, ImageError> {
    let log_file =
        std::fs::File::create(log).map_err(ImageError::io(format!("writing {}", log.display())))?;
    let mut child = command.spawn().map_err(ImageError::io("starting mmdebstrap"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (taken, story) = std::thread::scope(|scope| {
        let listener =
            scope.spawn(|| stderr.map(|from| listen(from, log_file, stage_of, progress)).unwrap_or_default());
        let taken = stdout.ok_or_else(|| std::io::Error::other("mmdebstrap has no output")).and_then(take);
        if taken.is_err() {
            // Whoever writes into a closed pipe ends; so does mmdebstrap. Then its last words can be heard.
            let _ = child.kill();
        }
        (taken, listener.join().unwrap_or_default())
    });
    let status = child.wait().map_err(ImageError::io("waiting for mmdebstrap"))?;
    Ok(Ended { status, taken, story })
}

/// What mmdebstrap told while it ran.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) stage: String,
    /// The first thing that it, or apt in it, called an error.
    pub(crate) error: Option<String>,
    /// The last lines.
    pub(crate) tail: Vec<String>,
}

/// How many lines of the log an error shows.
const TAIL: usize = 20;

/// What has more is taken for several lines: a build says what it likes, and need not end a line.
const LONGEST_LINE: u64 = 64 << 10;

pub(crate) fn listen(
    from: impl Read,
    mut log: impl Write,
    mut stage_of: impl FnMut(&str) -> Option<(String, u8)>,
    progress: BuildProgress<'_>,
) -> Story {
    let mut story = Story { stage: "starting".to_owned(), ..Story::default() };
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line), Ok(n) if n > 0) {
        // A log that cannot be written (the disk is full) must not hold up the build, which will say so itself.
        let _ = log.write_all(&line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if let Some((stage, percent)) = stage_of(&text) {
            progress(&stage, percent);
            story.stage = stage;
        }
        if let Some(error) = text.strip_prefix("E: ") {
            story.error.get_or_insert_with(|| error.to_owned());
        }
        if story.tail.len() == TAIL {
            story.tail.remove(0);
        }
        story.tail.push(text);
    }
    story
}

/// What to do about what goes wrong with any chroot, if that is it.
pub(crate) fn common_hint(said: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["No space left", "StorageFull"]) {
        Some("the disk is full: free some space, or give another directory with --directory")
    } else if has(&[
        "Could not resolve",
        "Temporary failure resolving",
        "Could not connect",
        "Unable to connect",
        "Failed to fetch",
        "404  Not Found",
        "Connection timed out",
    ]) {
        Some(
            "the mirror does not answer: check `mirrors` in the recipe and this machine's network, then build again",
        )
    } else if has(&["NO_PUBKEY", "not signed", "KEYEXPIRED"]) {
        Some(
            "the archive's signature does not fit the keyring: run `apt-get install debian-archive-keyring`, or correct `keyring`",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a hook sees of the machine, with a chroot of nothing that is made below `parent`.
    fn seen(parent: &Path) -> (String, ExitStatus) {
        let work = tempfile::tempdir_in(parent).unwrap();
        let hook = "ls -A \"$1/dev/shm\" | sed 's/^/there: /' >&2; touch \"$1/dev/shm/made-by-a-build\"; \
                    ls -A /dev/shm | sed 's/^/here: /' >&2; hostname of-a-build; echo \"name: $(hostname)\" >&2; \
                    echo \"queues: $(tail -n +2 /proc/sysvipc/msg | wc -l)\" >&2; ls \"$1/bin\"";
        let mut command = command(work.path(), 0).unwrap();
        command.args(["--format=null", "--variant=custom", "--skip=update,cleanup"]);
        command
            .args(["--setup-hook=mkdir -p \"$1/bin\" \"$1/etc/apt\"", &format!("--customize-hook={hook}")]);
        command.args(["", "-", ""]);
        let log = parent.join("log");
        let take = |mut out| std::io::copy(&mut out, &mut std::io::sink());
        let ended = run(&mut command, &log, &|_, _| {}, |_| None, take).unwrap();
        (std::fs::read_to_string(log).unwrap(), ended.status)
    }

    #[test]
    fn what_is_installed_sees_nothing_of_the_machines_memory_and_does_not_name_it() {
        if MMDEBSTRAP.find().is_err() || !rustix::process::geteuid().is_root() {
            println!("skipped: needs mmdebstrap and root");
            return;
        }
        let name = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let before = name();
        let of_the_machine = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        let queue = Command::new("ipcmk").arg("--queue").output().unwrap();
        let queue = String::from_utf8_lossy(&queue.stdout).split_whitespace().last().unwrap().to_owned();
        let told = ["/var/tmp", "/dev/shm"].map(|parent| {
            let parent = tempfile::tempdir_in(parent).unwrap();
            seen(parent.path())
        });
        assert!(Command::new("ipcrm").args(["--queue-id", &queue]).status().unwrap().success());
        for (said, status) in told {
            assert!(status.success(), "{said}");
            assert!(said.contains("here: made-by-a-build\n"), "{said}");
            assert!(!said.contains(of_the_machine.path().file_name().unwrap().to_str().unwrap()), "{said}");
            assert!(said.contains("name: of-a-build\n") && said.contains("queues: 0\n"), "{said}");
        }
        assert_eq!(name(), before);
        assert!(!Path::new("/dev/shm/made-by-a-build").exists());
    }
}
