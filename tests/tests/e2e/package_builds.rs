//! Packages are built in a clean chroot: twice the same, without network or root, whole or not at all.

use crate::apt::run;
use anyhow::{Context as _, Result, ensure};
use honcho_e2e::lab::target_directory;
use honcho_e2e::programs::{Process, program};
use honcho_e2e::world::eventually;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Where chroots are kept from one run to the next.
pub(super) fn chroots() -> Result<PathBuf> {
    let directory = target_directory()?.join("e2e-packages");
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

const MAKEFILE: &str = "\
all: acme-tool
acme-tool: acme-tool.c
\t$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<
install:
\tinstall -D -m 755 acme-tool $(DESTDIR)/usr/bin/acme-tool
";

/// The source of a package with a program that says its version, in a form that needs no upstream. `test` is what it runs
/// when it is tested.
pub(super) fn source(parent: &Path, version: &str, depends: &str, test: &str) -> Result<PathBuf> {
    let directory = parent.join(format!("acme-tool-{version}"));
    let debian = directory.join("debian");
    std::fs::create_dir_all(debian.join("source"))?;
    let control = format!(
        "Source: acme-tool\nSection: misc\nPriority: optional\nMaintainer: A <a@example.org>\n\
         Build-Depends: debhelper-compat (= 13){depends}\nStandards-Version: 4.6.2\nRules-Requires-Root: no\n\n\
         Package: acme-tool\nArchitecture: any\nDepends: ${{shlibs:Depends}}, ${{misc:Depends}}\nDescription: for a test\n It says its version.\n"
    );
    let changelog = format!(
        "acme-tool ({version}) stable; urgency=medium\n\n  * Another one.\n\n -- A <a@example.org>  Sat, 01 Nov 2025 12:00:00 +0000\n"
    );
    // When it was compiled is in it: that is the changelog's time, or two builds would differ.
    let program = format!(
        "#include <stdio.h>\nconst char *built = __DATE__ __TIME__;\nint main(void) {{ puts(\"{version}\"); return built[0] == 0; }}\n"
    );
    for (name, text) in [
        ("debian/control", control.as_str()),
        ("debian/changelog", &changelog),
        ("debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@\n"),
        ("debian/source/format", "3.0 (native)\n"),
        ("acme-tool.c", &program),
        ("Makefile", &format!("{MAKEFILE}test:\n\t{test}\n")),
    ] {
        std::fs::write(directory.join(name), text)?;
    }
    run(Command::new("chmod").arg("755").arg(directory.join("debian/rules")))?;
    Ok(directory)
}

/// What a build must not have, and what it must: no root, no way out, a loopback; no open file of mmdebstrap's (its socket obeys
/// as root), no terminal, nothing of the machine's shared memory and processes, and none that outlives it.
const BOUNDS: &str = "ls -l /proc/self/fd && test \"$$(id -un)\" = builder && ! touch /etc/own 2> /dev/null && \
    test \"$$(wc -l < /proc/net/route)\" = 1 && \
    perl -MIO::Socket::INET -e 'IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\") or die' && \
    test \"$$(echo $$(ls /proc/self/fd))\" = '0 1 2 3' && ! ls -l /proc/self/fd | grep socket: && \
    test \"$$(cut -d ' ' -f 7 /proc/self/stat)\" = 0 && test ! -e /dev/tty && test ! -e /dev/console && \
    test -z \"$$(ls -A /dev/shm)\" && touch /dev/shm/own && grep -q dpkg-buildpackage /proc/1/cmdline";

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let place = Place { directory: tempfile::tempdir()? };
        run(&mut place.honcho(&["archive", "init", "--origin", "Acme", "--suite", "stable"])?)?;
        Ok(place)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn honcho(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("honcho")?);
        command.env("HONCHO_ARCHIVE", self.path().join("archive")).env_remove("DEB_BUILD_OPTIONS");
        command.args(arguments);
        Ok(command)
    }

    fn build(&self, source: &Path, builds: &Path) -> Result<Command> {
        let mut command = self.honcho(&["archive", "build", "--suite", "stable"])?;
        command.arg("--directory").args([builds, source]);
        Ok(command)
    }
}

/// What a command says that is run from a terminal.
fn from_terminal(command: &Command, log: &Path) -> Result<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let line = format!("{} > '{}' 2>&1", words.join(" "), log.display());
    let mut script = Command::new("script");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(std::process::Stdio::null());
    let output = script.output()?;
    let told = std::fs::read_to_string(log)?;
    ensure!(output.status.success(), "{told}");
    Ok(told)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn two_builds_are_the_same_bytes_and_added_once() -> Result<()> {
    let place = Place::new()?;
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    let output = place.path().join("output");
    let _of_the_machine = tempfile::NamedTempFile::new_in("/dev/shm")?;
    let build = |parent: &Path| -> Result<Command> {
        let source = source(parent, "1.0", ", bc", &format!("{BOUNDS} && test \"$$(echo 6*7 | bc)\" = 42"))?;
        let mut command = place.build(&source, &chroots()?)?;
        command.args(["--publish", "--output"]).arg(&output);
        Ok(command)
    };
    let first = build(&one)?.output()?;
    let told = said(&first);
    ensure!(first.status.success() && told.contains("stable@1 is served"), "{told}");
    for stage in ["installing what the build needs", "building the package: dh auto test"] {
        ensure!(told.contains(stage), "{stage}: {told}");
    }
    let listed = run(&mut place.honcho(&["archive", "list", "stable"])?)?;
    ensure!(listed.lines().any(|line| line.starts_with("acme-tool ") && line.contains("1.0")), "{listed}");
    let deb = output.join("acme-tool_1.0_amd64.deb");
    let bytes = std::fs::read(&deb)?;

    // Cloned at another time, by somebody of another umask, with what version control keeps beside it.
    let source = two.join("acme-tool-1.0");
    std::fs::create_dir_all(source.join(".git"))?;
    std::fs::write(source.join(".git/config"), "x")?;
    std::fs::write(source.join("acme-tool.c"), "")?;
    std::fs::set_permissions(
        source.join("acme-tool.c"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )?;
    let told = from_terminal(&build(&two)?, &place.path().join("terminal.log"))?;
    ensure!(told.contains("nothing to publish"), "{told}");
    ensure!(told.matches("there already").count() == 3 && !told.contains(" added"), "{told}");
    ensure!(std::fs::read(&deb)? == bytes, "byte for byte");
    let names: Vec<_> = std::fs::read_dir(&output)?.map(|entry| entry.unwrap().file_name()).collect();
    for ending in [".dsc", ".tar.xz", ".changes", ".buildinfo", ".deb"] {
        ensure!(names.iter().any(|name| name.to_string_lossy().ends_with(ending)), "{ending}: {names:?}");
    }
    let contents = run(Command::new("tar").arg("-tf").arg(output.join("acme-tool_1.0.tar.xz")))?;
    ensure!(!contents.contains(".git") && contents.contains("debian/rules"), "{contents}");

    // Where it cannot be put is known late: it is kept, and said where.
    let (full, kept) = (place.path().join("full"), chroots()?.join("acme-tool_1.0.built"));
    std::fs::create_dir_all(full.join("acme-tool_1.0_amd64.deb/x"))?;
    let mut third = place.honcho(&["archive", "build", "--no-add", "--build", "binary"])?;
    third.args(["--build-options", "nocheck", "--directory"]).args([&chroots()?, &source]);
    let third = third.arg("--output").arg(&full).output()?;
    let told = said(&third);
    ensure!(third.status.code() == Some(1) && told.contains("cannot put what was built into"), "{told}");
    ensure!(told.contains(&format!("what was built is kept in {}", kept.display())), "{told}");
    ensure!(std::fs::read(kept.join("acme-tool_1.0_amd64.deb"))? == bytes, "byte for byte");
    std::fs::remove_dir_all(kept)?;
    Ok(())
}

#[test]
fn an_archive_of_somebody_else_is_refused_before_anything_is_built() -> Result<()> {
    let place = Place::new()?;
    let source = source(place.path(), "1.0", "", "true")?;
    run(Command::new("chown").args(["-R", "daemon"]).arg(place.path().join("archive")))?;
    let builds = place.path().join("builds");
    let refused = place.build(&source, &builds)?.output()?;
    let told = said(&refused);
    for words in ["belongs to daemon", "--no-add --output DIR", "sudo -u daemon honcho archive add"] {
        ensure!(refused.status.code() == Some(1) && told.contains(words), "{words}: {told}");
    }
    ensure!(!builds.exists(), "nothing was begun");
    let refused = place.honcho(&["archive", "publish", "stable"])?.output()?;
    let told = said(&refused);
    ensure!(refused.status.code() == Some(1) && told.contains("sudo -u daemon honcho archive"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_or_is_killed_adds_nothing_and_leaves_nothing() -> Result<()> {
    let place = Place::new()?;
    let builds = tempfile::tempdir_in(target_directory()?)?;
    // What is kept of chroots is shared with the other tests, and what is left behind is not.
    for entry in std::fs::read_dir(chroots()?)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("chroot-") {
            run(Command::new("cp").arg("-al").args([&entry.path(), builds.path()]))?;
        }
    }
    let nothing_added = || -> Result<()> {
        let diff = run(&mut place.honcho(&["archive", "diff", "stable"])?)?;
        ensure!(!diff.contains("acme-tool"), "{diff}");
        Ok(())
    };

    let slow = source(&place.path().join("slow"), "1.0", "", "sleep 98765")?;
    let log = place.path().join("slow.log");
    let mut building = Process::start(&mut place.build(&slow, builds.path())?, &log)?;
    eventually("its tests run", Duration::from_mins(6), async || {
        let told = std::fs::read_to_string(&log)?;
        ensure!(whoever(b"sleep\098765")? || !building.runs(), "{told}");
        Ok(())
    })
    .await?;
    ensure!(building.runs(), "{}", std::fs::read_to_string(&log)?);
    building.kill();
    eventually("all that it started is gone", Duration::from_secs(20), async || {
        ensure!(!whoever(b"sleep\098765")?, "its test still runs");
        Ok(())
    })
    .await?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!mounts.contains(&builds.path().display().to_string()), "{mounts}");
    nothing_added()?;

    let failing = source(&place.path().join("failing"), "1.0", "", "echo 'one is not two' >&2; false")?;
    let failed = place.build(&failing, builds.path())?.output()?;
    let told = said(&failed);
    let kept = builds.path().join("acme-tool_1.0.log");
    ensure!(failed.status.code() == Some(1), "{told}");
    for words in [
        "building failed while building the package: dh",
        "one is not two",
        "there is no network while a package is built",
        kept.to_str().context("a path in UTF-8")?,
    ] {
        ensure!(told.contains(words), "{words}: {told}");
    }
    ensure!(std::fs::read_to_string(kept)?.contains("one is not two"), "the whole log is kept");

    let lacking = source(&place.path().join("lacking"), "1.0", ", acme-no-such-package (>= 2)", "true")?;
    let failed = place.build(&lacking, builds.path())?.output()?;
    let told = said(&failed);
    for words in
        ["while installing what the build needs", "acme-no-such-package", "Build-Depends in debian/control"]
    {
        ensure!(!failed.status.success() && told.contains(words), "{words}: {told}");
    }
    nothing_added()?;
    let left =
        std::fs::read_dir(builds.path())?.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = left.filter(|name| name.ends_with(".partial")).collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Whether there is a process with such words in its command line.
fn whoever(words: &[u8]) -> Result<bool> {
    for entry in std::fs::read_dir("/proc")? {
        // A process may end while it is looked at.
        let line = std::fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        if line.windows(words.len()).any(|part| part == words) {
            return Ok(true);
        }
    }
    Ok(false)
}
