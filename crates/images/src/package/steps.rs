//! What mmdebstrap is told for a package: the steps, as hooks that name a file, by which its log tells the stage.

use super::{Made, PackageBuild};
use crate::error::ImageError;
use crate::recipe::Base;
use crate::staging::{CLOSED, in_chroot, quoted, resolver};
use crate::tool::{Tool, ToolMissing};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The stage in which Build-Depends are installed.
pub(super) const DEPENDENCIES: &str = "installing what the build needs";
/// How the stages begin in which dpkg-buildpackage runs.
pub(super) const BUILDING: &str = "building the package";

/// The user that builds, in the chroot alone. systemd documents 60578 to 61183 as used by nobody ("Users, Groups, UIDs and
/// GIDs on systemd systems"), so that no account of the machine shares it; larger ones do not fit into `ar`.
const USER: u32 = 60_700;

const TAR: Tool = Tool { program: "tar", package: "tar" };
const ZSTD: Tool = Tool { program: "zstd", package: "zstd" };
const IP: Tool = Tool { program: "ip", package: "iproute2" };
const UNSHARE: Tool = Tool { program: "unshare", package: "util-linux" };

pub(super) struct Steps {
    pub(super) arguments: Vec<String>,
    /// Where the last step leaves what was made.
    pub(super) out: PathBuf,
}

pub(super) fn stage(build: &PackageBuild<'_>, base: &Path, work: &Path) -> Result<Steps, ImageError> {
    let source = build.source;
    pack(&source.directory, &["."], &[], &work.join("source.tar"))?;
    // Of one directory: they were found beside the source, and so was what they are links to.
    let names: Vec<_> = source.tarballs.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let beside = source.directory.parent().unwrap_or(&source.directory);
    pack(beside, &names, &["--dereference"], &work.join("beside.tar"))?;
    let directory = format!("/build/{}", source.directory_name());
    let script = |name: &str, text: String| -> Result<PathBuf, ImageError> {
        let path = work.join(name);
        std::fs::write(&path, text).map_err(ImageError::io("writing the steps of the build"))?;
        Ok(path)
    };
    let user = format!(
        "echo 'builder:x:{USER}:{USER}::/nonexistent:/bin/sh' >> /etc/passwd\necho 'builder:x:{USER}:' >> /etc/group\n\
         printf '127.0.0.1 localhost builder\\n::1 localhost\\n' > /etc/hosts\n\
         mkdir -p {directory}\nchown {USER}:{USER} /build {directory}\n"
    );
    let user = script("user.sh", user)?;
    let depends = script("depends.sh", depends(build, &directory))?;
    let run = script("build.sh", run(build, &directory))?;
    let out = work.join("out.tar");
    let arguments = arguments(base, work, &directory, [&user, &depends, &run], &out, build.options)?;
    Ok(Steps { arguments, out })
}

/// Packs files so that owners, umasks and the order of a directory make no difference.
fn pack(directory: &Path, names: &[&str], more: &[&str], to: &Path) -> Result<(), ImageError> {
    let packing = || ImageError::io(format!("reading {}", directory.display()));
    let mut command = Command::new(TAR.find()?);
    command.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rw,go=rX,a-s"]);
    command.args(["--exclude=./.git", "--exclude=./.hg", "--exclude=./.svn", "--exclude=./.bzr"]);
    command.args(more).arg("-cf").arg(to);
    if names.is_empty() {
        command.arg("--files-from=/dev/null");
    } else {
        command.arg("-C").arg(directory).arg("--").args(names);
    }
    let output = command.env("LC_ALL", "C.UTF-8").output().map_err(packing())?;
    if output.status.success() {
        return Ok(());
    }
    Err(packing()(std::io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())))
}

/// What is installed, by root and with the network. A chroot that lasts for minutes need not survive a power cut.
fn depends(build: &PackageBuild<'_>, directory: &str) -> String {
    let of_one_moment = matches!(&build.recipe.base, Base::Archive(base) if base.of_one_moment);
    let valid = if of_one_moment { " -o Acquire::Check-Valid-Until=false" } else { "" };
    let part = if build.made == Made::Any { " --arch-only" } else { "" };
    format!(
        "cd {directory}\nexport DEBIAN_FRONTEND=noninteractive\n\
         apt='apt-get -q -y -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io --no-install-recommends{valid}'\n\
         $apt update\n$apt dist-upgrade\n$apt{part} build-dep ./\n"
    )
}

/// What builds. Nothing is younger than the changelog's first entry, whenever somebody has cloned the source.
fn run(build: &PackageBuild<'_>, directory: &str) -> String {
    format!(
        "cd {directory}\numask 022\nSOURCE_DATE_EPOCH=$(dpkg-parsechangelog -S Timestamp)\nexport SOURCE_DATE_EPOCH\n\
         find . -newermt \"@$SOURCE_DATE_EPOCH\" -exec touch --no-dereference --date=\"@$SOURCE_DATE_EPOCH\" {{}} +\n\
         exec dpkg-buildpackage -us -uc -Jauto -i -I --build={}\n",
        build.made.as_str()
    )
}

fn arguments(
    base: &Path,
    work: &Path,
    directory: &str,
    [user, depends, run]: [&Path; 3],
    out: &Path,
    options: &str,
) -> Result<Vec<String>, ToolMissing> {
    let tar = TAR.find()?;
    let as_builder = format!(
        "setpriv --reuid={USER} --regid={USER} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- \
         /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent \
         USER=builder LOGNAME=builder LC_ALL=C.UTF-8 TZ=UTC 'DEB_BUILD_OPTIONS={options}'"
    );
    let unpack = |name: &str, to: &str| {
        let from = quoted(&work.join(name));
        format!("{CLOSED} chroot \"$1\" {as_builder} tar -C {to} -xpf - < {from}")
    };
    let unshare = UNSHARE.find()?.display().to_string();
    // Without a network but for itself, on a machine of no name, without the machine's shared memory, terminals and processes;
    // what a build reads is not the script. It is the first process of its namespace: whatever it started ends with it.
    let building = format!(
        "{CLOSED} {unshare} --mount --net --ipc --uts --pid --fork --kill-child=KILL -- /bin/sh -ec '{} link set lo up; \
         echo builder > /proc/sys/kernel/hostname; rm -f \"$1/dev/tty\" \"$1/dev/console\"; \
         mount -t proc proc \"$1/proc\"; mkdir -p \"$1/dev/shm\"; mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs \"$1/dev/shm\"; \
         exec chroot \"$@\"' sh \"$1\" {as_builder} /bin/sh -ec \"$(cat {})\" < /dev/null",
        IP.find()?.display(),
        quoted(run)
    );
    let collecting = format!(
        "{CLOSED} {unshare} --net -- chroot \"$1\" {as_builder} /bin/sh -ec 'cd /build; find . -maxdepth 1 -type f -print0 | sort -z | tar --null --no-recursion -T - -cf -' > {}",
        quoted(out)
    );
    let setup = format!(
        "{} -I {} -C \"$1\" --xattrs --xattrs-include='*' -p --numeric-owner --exclude='./dev/*' -xf {}",
        tar.display(),
        ZSTD.find()?.display(),
        quoted(base)
    );
    let hooks = [
        resolver(),
        in_chroot(user),
        unpack("source.tar", directory),
        unpack("beside.tar", "/build"),
        in_chroot(depends),
        building,
        collecting,
    ];
    let mut arguments: Vec<String> =
        ["--format=null", "--variant=custom", "--skip=update,cleanup"].map(str::to_owned).to_vec();
    arguments.push(format!("--setup-hook={setup}"));
    arguments.extend(hooks.iter().map(|hook| format!("--customize-hook={hook}")));
    // No suite, no tarball, and no mirror but the chroot's own.
    arguments.extend(["", "-", ""].map(str::to_owned));
    Ok(arguments)
}

/// The stage that a line begins, and how far that is.
pub(super) fn stage_of_line(line: &str) -> Option<(String, u8)> {
    let told = |stage: &str, percent| Some((stage.to_owned(), percent));
    if line.starts_with("I: running --setup-hook") {
        return told("unpacking the chroot", 38);
    }
    if line.starts_with("I: running --customize-hook") {
        return match line {
            _ if line.contains("/source.tar'") => told("unpacking the source", 45),
            _ if line.contains("/depends.sh'") => told(DEPENDENCIES, 48),
            _ if line.contains("/build.sh'") => told(BUILDING, 60),
            _ if line.contains("/out.tar'") => told("taking what was made", 95),
            _ => None,
        };
    }
    // debhelper tells its steps, indented.
    let word = line.strip_prefix("   ")?.split_whitespace().next()?;
    let percent = match word {
        "dh_auto_configure" => 65,
        "dh_auto_build" => 70,
        "dh_auto_test" => 80,
        "dh_auto_install" => 85,
        "dh_builddeb" => 90,
        _ => return None,
    };
    Some((format!("{BUILDING}: {word}"), percent))
}
