//! Who publishes: Honcho, and those that Debian has for it. Each does what its manual says for a signed suite of one component.

use crate::process::apart;
use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The suite.
const SUITE: &str = "bench";

/// Whoever makes a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Honcho,
    Reprepro,
    Aptly,
    AptFtparchive,
}

impl Tool {
    pub(super) const ALL: [Tool; 4] = [Tool::Honcho, Tool::Reprepro, Tool::Aptly, Tool::AptFtparchive];

    pub(super) fn name(self) -> &'static str {
        match self {
            Tool::Honcho => "honcho",
            Tool::Reprepro => "reprepro",
            Tool::Aptly => "aptly",
            Tool::AptFtparchive => "apt-ftparchive",
        }
    }

    /// Whether it can be run here.
    pub(super) fn is_there(self) -> bool {
        let found = |name: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
        };
        self == Tool::Honcho || (found(self.name()) && found("gpg"))
    }

    /// Its settings and an empty suite; not measured.
    pub(super) fn prepare(self, ground: &Ground) -> Result<()> {
        std::fs::create_dir_all(&ground.root)?;
        match self {
            Tool::Honcho => ground.run(&format!(
                "'{}' archive init --archive . --origin Bench --suite {SUITE}",
                Ground::honcho()?
            )),
            Tool::Reprepro => {
                std::fs::create_dir(ground.root.join("conf"))?;
                let conf = format!(
                    "Origin: Bench\nCodename: {SUITE}\nArchitectures: amd64\nComponents: main\nSignWith: {}\n",
                    ground.key
                );
                Ok(std::fs::write(ground.root.join("conf/distributions"), conf)?)
            }
            Tool::Aptly => {
                let conf = format!(r#"{{"rootDir": "{}", "gpgProvider": "gpg"}}"#, ground.root.display());
                std::fs::write(ground.root.join("aptly.conf"), conf)?;
                ground.run(&format!(
                    "aptly -config aptly.conf repo create -distribution={SUITE} -component=main bench"
                ))
            }
            Tool::AptFtparchive => {
                std::fs::create_dir_all(ground.root.join("pool"))?;
                std::fs::create_dir_all(ground.root.join(format!("dists/{SUITE}/main/binary-amd64")))?;
                Ok(())
            }
        }
    }

    /// What adds these packages to the suite and publishes it, the first time or again.
    pub(super) fn publish(self, ground: &Ground, packages: &str, first: bool) -> Result<Command> {
        let Ground { key, .. } = ground;
        let script = match self {
            Tool::Honcho => {
                format!(
                    "exec '{}' archive add --archive . --suite {SUITE} --publish {packages}",
                    Ground::honcho()?
                )
            }
            Tool::Reprepro => format!("exec reprepro --silent --basedir . includedeb {SUITE} {packages}"),
            Tool::Aptly => {
                let publish = if first {
                    format!("repo -gpg-key={key} bench")
                } else {
                    format!("update -gpg-key={key} {SUITE}")
                };
                format!(
                    "aptly -config aptly.conf repo add bench {packages} && exec aptly -config aptly.conf publish {publish}"
                )
            }
            Tool::AptFtparchive => format!(
                "cp {packages} pool/ && \
                 apt-ftparchive --db cache.db packages pool > dists/{SUITE}/main/binary-amd64/Packages && \
                 gzip -kf dists/{SUITE}/main/binary-amd64/Packages && \
                 apt-ftparchive -o APT::FTPArchive::Release::Codename={SUITE} release dists/{SUITE} > Release && \
                 mv Release dists/{SUITE}/Release && \
                 gpg --batch --yes -u {key} --clearsign -o dists/{SUITE}/InRelease dists/{SUITE}/Release && \
                 exec gpg --batch --yes -u {key} --detach-sign -o dists/{SUITE}/Release.gpg dists/{SUITE}/Release"
            ),
        };
        Ok(ground.shell(&script))
    }

    /// The file that apt reads first, where it has come to be.
    pub(super) fn in_release(self, ground: &Ground) -> PathBuf {
        let public = if matches!(self, Tool::Honcho | Tool::Aptly) { "public/" } else { "" };
        ground.root.join(format!("{public}dists/{SUITE}/InRelease"))
    }
}

/// Where one of them works, and with what.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) root: PathBuf,
    pub(super) gnupg: PathBuf,
    /// The fingerprint of the key of those that sign by gpg.
    pub(super) key: String,
}

impl Ground {
    fn honcho() -> Result<String> {
        let program = std::env::current_exe()?.with_file_name("honcho");
        ensure!(program.exists(), "{} is missing: build it beside this program", program.display());
        Ok(program.display().to_string())
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = apart(Path::new("/bin/sh"));
        command.args(["-ec", script]).current_dir(&self.root).env("GNUPGHOME", &self.gnupg);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn run(&self, script: &str) -> Result<()> {
        let output = self.shell(script).stderr(Stdio::piped()).output()?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// A key for those that sign by gpg, in a directory of its own; none where there is no gpg.
pub(super) fn key(gnupg: &Path) -> Result<String> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(gnupg)?;
    let gpg = |arguments: &[&str]| {
        Command::new("gpg").arg("--batch").args(arguments).env("GNUPGHOME", gnupg).output()
    };
    let made =
        gpg(&["--passphrase", "", "--quick-gen-key", "Bench <bench@localhost>", "ed25519", "sign", "never"]);
    let Ok(made) = made else { return Ok(String::new()) };
    ensure!(made.status.success(), "gpg: {}", String::from_utf8_lossy(&made.stderr));
    let listed = gpg(&["--with-colons", "--list-secret-keys"])?;
    let listed = String::from_utf8(listed.stdout)?;
    let fingerprint =
        listed.lines().find_map(|line| line.strip_prefix("fpr:")).context("gpg lists no key")?;
    Ok(fingerprint.trim_matches(':').to_owned())
}

/// Ends what gpg has started to hold the key.
pub(super) fn end_agent(gnupg: &Path) {
    // Where there is no gpg, there is no agent of it.
    let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", gnupg).output();
}
