//! Honcho's own packages: made of the built programs, without a fault that lintian knows, and installed by a real apt.

use crate::apt::run;
use crate::package_builds::chroots;
use anyhow::{Context as _, Result, ensure};
use honcho_e2e::programs::program;
use std::path::{Path, PathBuf};
use std::process::Command;

const MAKE_SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/deb/make-source.sh");

/// Builds one of them into a suite of an archive, of the programs that are tested.
pub(super) fn build(package: &str, place: &Path, archive: &Path, more: &[&str]) -> Result<()> {
    let programs = program("honcho")?;
    let programs = programs.parent().context("a directory of programs")?;
    let mut make = Command::new(MAKE_SOURCE);
    make.env("DEBFULLNAME", "A Packager").env("DEBEMAIL", "packager@honcho.test");
    make.arg(package).arg(place).arg("--bin").arg(programs).args(["--version", "0.1.0~test1"]);
    let source = run(&mut make)?;
    let mut build = Command::new(program("honcho")?);
    build.env("HONCHO_ARCHIVE", archive).args(["archive", "build", source.trim(), "--build", "binary"]);
    build.args(["--build-options", "quick", "--suite", "stable", "--directory"]).arg(chroots()?).args(more);
    run(&mut build)?;
    Ok(())
}

#[test]
fn packages_of_our_own_are_sound_and_are_installed() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (archive, output) = (place.path().join("archive"), place.path().join("output"));
    let shown = output.to_str().context("a path in UTF-8")?;
    let honcho = |arguments: &[&str]| -> Result<String> {
        run(Command::new(program("honcho")?).env("HONCHO_ARCHIVE", &archive).args(arguments))
    };
    honcho(&["archive", "init", "--origin", "Honcho", "--suite", "stable"])?;
    std::thread::scope(|scope| -> Result<()> {
        let builds = ["honcho", "honcho-agent", "honcho-guest"]
            .map(|package| scope.spawn(|| build(package, place.path(), &archive, &["--output", shown])));
        builds.into_iter().try_for_each(|build| build.join().expect("no panic"))
    })?;
    honcho(&["archive", "publish", "stable"])?;
    let debs: Vec<PathBuf> = std::fs::read_dir(&output)?
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .collect();
    ensure!(debs.len() == 3, "{debs:?}");
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error", "--tag-display-limit", "0"]).args(&debs);
    let lintian = std::thread::spawn(move || run(&mut lintian));
    for package in ["honcho", "honcho-agent"] {
        goes_on_over_an_upgrade(&output.join(format!("{package}_0.1.0~test1_amd64.deb")), package)?;
    }
    let agent = output.join("honcho-agent_0.1.0~test1_amd64.deb");
    let depends = run(Command::new("dpkg-deb").arg("--field").arg(agent).arg("Depends"))?;
    ensure!(depends.contains("libvirt0 (>=") && depends.contains("libc6 (>="), "{depends}");

    // A new Debian with them, by apt, from the archive as it is served.
    let own = format!(
        "deb [signed-by={0}/honcho-archive-keyring.gpg] copy:{0} stable main",
        archive.join("public").display()
    );
    let looks = "set -ex; honcho --version; honcho-guest --version; getent passwd honcho; stat -c '%U %a' /var/lib/honcho; \
        test -e /lib/systemd/system/honcho.service; test ! -e /etc/systemd/system/multi-user.target.wants/honcho.service; \
        test -e /etc/default/honcho; test -e /etc/cron.d/honcho-guest; test -s /usr/share/bash-completion/completions/honcho; \
        zcat /usr/share/man/man1/honcho.1.gz | grep -q serve; zcat /usr/share/doc/honcho/NOTICES.gz | grep -q '^tokio '; \
        setpriv --reuid=honcho --regid=honcho --clear-groups honcho serve --listen 127.0.0.1:7979 --agents-listen 127.0.0.1:7978 & \
        for i in 1 2 3 4 5 6 7 8 9 10 11 12; do test -s /var/lib/honcho/operator.token && break; sleep 1; done; \
        stat -c 'token %U %a' /var/lib/honcho/operator.token; kill $!; wait $!; \
        apt-get -q -s -t bookworm-backports install honcho-agent | grep '^Inst honcho-agent'";
    let mut bootstrap = Command::new("unshare");
    bootstrap.args(["--mount", "--pid", "--fork", "--kill-child", "mmdebstrap"]);
    bootstrap.args(["--variant=apt", "--include=honcho,honcho-guest", "--format=null"]);
    bootstrap.arg("--keyring=/usr/share/keyrings/debian-archive-keyring.gpg");
    bootstrap
        .arg(format!("--customize-hook=chroot \"$1\" sh -c \"$(cat {}/looks)\"", place.path().display()));
    std::fs::write(place.path().join("looks"), looks)?;
    bootstrap.args(["bookworm", "-"]);
    for suite in ["bookworm", "bookworm-backports"] {
        bootstrap.arg(format!("deb http://deb.debian.org/debian {suite} main"));
    }
    let output = bootstrap.arg(own).output()?;
    lintian.join().expect("no panic")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    for words in ["honcho 0.1", "honcho 700", "token honcho 600", "Inst honcho-agent (0.1.0~test1"] {
        ensure!(said.contains(words), "{words}: {said}");
    }
    Ok(())
}

/// A service that runs is stopped by nothing before an upgrade, and is the new one afterwards; removing the package stops it.
fn goes_on_over_an_upgrade(deb: &Path, package: &str) -> Result<()> {
    let place = tempfile::tempdir()?;
    run(Command::new("dpkg-deb").arg("--control").args([deb, place.path()]))?;
    let script = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap_or_default();
    let (before, after, removal) = (script("preinst"), script("postinst"), script("prerm"));
    ensure!(!before.contains("stop"), "{before}");
    let started = if package == "honcho" { "deb-systemd-invoke try-restart" } else { "_dh_action=restart" };
    ensure!(after.contains(started), "{after}");
    // Of a brain only `try-restart`: one that does not run is left so.
    ensure!(package != "honcho" || !after.contains("invoke start"), "{after}");
    let stop = format!("deb-systemd-invoke stop {package}.service");
    let stops = |text: &str| text.replace('\'', "").contains(&stop);
    ensure!(stops(&removal) && removal.contains("= remove ]"), "{removal}");
    ensure!(!removal.contains("upgrade"), "{removal}");
    Ok(())
}

/// A setgid sendmail writes to its spool only where new privileges may be had. These imply that they may not, for services
/// with User= (systemd.exec(5)).
#[test]
fn the_brain_may_send_mail() -> Result<()> {
    let implying = [
        "DynamicUser",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "NoNewPrivileges",
        "PrivateDevices",
        "ProtectClock",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "RestrictAddressFamilies",
        "RestrictFileSystems",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "SystemCallArchitectures",
        "SystemCallFilter",
        "SystemCallLog",
    ];
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/deb/honcho/honcho.service");
    let unit = std::fs::read_to_string(unit)?;
    let settings: Vec<&str> = unit.lines().filter_map(|line| Some(line.split_once('=')?.0.trim())).collect();
    ensure!(settings.contains(&"User"), "{unit}");
    let found: Vec<_> = settings.iter().filter(|name| implying.contains(name)).collect();
    ensure!(found.is_empty(), "{found:?}");
    Ok(())
}
