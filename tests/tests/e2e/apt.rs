//! A real apt reads what a real brain serves: what a token of a suite uploaded, what comes after it, and nothing twice.

use anyhow::{Context as _, Result, ensure};
use honcho_e2e::brain::Brain;
use honcho_e2e::programs::program;
use honcho_e2e::world::eventually;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A package, as dpkg-deb makes it: of one version the same bytes, however often it is built.
pub(super) fn built(directory: &Path, version: &str) -> Result<PathBuf> {
    let tree = directory.join(format!("tree-{version}"));
    std::fs::create_dir_all(tree.join("DEBIAN"))?;
    let control = format!(
        "Package: acme-tool\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: for a test\n"
    );
    std::fs::write(tree.join("DEBIAN/control"), control)?;
    let path = directory.join(format!("acme-tool_{version}_all.deb"));
    let mut build = Command::new("dpkg-deb");
    build.env("SOURCE_DATE_EPOCH", "1700000000").args(["--root-owner-group", "-b"]).args([&tree, &path]);
    run(&mut build)?;
    Ok(path)
}

pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {said}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// apt on directories of its own: nothing of this machine's is read or changed.
pub(super) struct Apt {
    pub(super) root: PathBuf,
}

impl Apt {
    pub(super) fn new(root: PathBuf, source: &str) -> Result<Self> {
        for below in
            ["etc/apt/apt.conf.d", "etc/apt/preferences.d", "lists/partial", "cache/archives/partial"]
        {
            std::fs::create_dir_all(root.join(below))?;
        }
        std::fs::write(root.join("status"), "")?;
        std::fs::write(root.join("etc/apt/sources.list"), source)?;
        let shown = root.display();
        let settings = format!(
            "Dir::Etc \"{shown}/etc/apt\";\nDir::State::lists \"{shown}/lists\";\nDir::State::status \"{shown}/status\";\n\
             Dir::Cache \"{shown}/cache\";\nAPT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
             APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nDebug::NoLocking \"1\";\nAcquire::http::Proxy \"DIRECT\";\n"
        );
        std::fs::write(root.join("apt.conf"), settings)?;
        Ok(Apt { root })
    }

    pub(super) fn run(&self, tool: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(tool);
        command.env("LC_ALL", "C").env("APT_CONFIG", self.root.join("apt.conf")).current_dir(&self.root);
        run(command.args(arguments))
    }

    pub(super) fn update(&self) -> Result<String> {
        self.run("apt-get", &["update", "--error-on=any"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apt_reads_what_a_token_of_a_suite_uploads() -> Result<()> {
    let place = tempfile::tempdir()?;
    let archive = place.path().join("archive");
    let shown = archive.to_str().context("a path in UTF-8")?;
    run(Command::new(program("honcho")?).args([
        "archive",
        "init",
        "--origin",
        "Acme",
        "--suite",
        "stable",
        "--archive",
        shown,
    ]))?;
    let mut brain = Brain::start(place.path()).await?;
    let url = brain.serve_archive(&archive).await?;
    let (content, made) = brain.honcho(&["--json", "token", "create", "ci", "--suite", "stable"])?;
    ensure!(content, "{made}");
    let end = made.rfind('}').context("JSON")?;
    let token: honcho_api::Token = serde_json::from_str(&made[..=end])?;
    let secret = token.secret.context("a new token has a secret")?;
    let upload = |version: &str, suite: &str| -> Result<(bool, String)> {
        let mut command = Command::new(program("honcho")?);
        command
            .args(["--url", &brain.url(), "archive", "upload", "--suite", suite])
            .arg(built(place.path(), version)?);
        let output = command.env("HONCHO_TOKEN", &secret).output()?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    let (content, said) = upload("1.0", "stable")?;
    ensure!(content && said.contains("stable@1 is served"), "{said}");
    let (content, said) = upload("1.0", "other")?;
    ensure!(!content && said.contains("only operators and tokens of this suite"), "{said}");

    let keyring = place.path().join("keyring.gpg");
    std::fs::copy(archive.join("public/honcho-archive-keyring.gpg"), &keyring)?;
    let source = format!("deb [signed-by={}] {url} stable main\n", keyring.display());
    let apt = Apt::new(place.path().join("apt"), &source)?;
    let said = apt.update()?;
    ensure!(said.contains("Get:1") && said.contains("InRelease"), "{said}");
    eventually("what it has is not sent again", Duration::from_secs(20), async || {
        let said = apt.update()?;
        ensure!(said.contains("Hit:1") && !said.contains("Get:"), "{said}");
        Ok(())
    })
    .await?;
    apt.run("apt-get", &["download", "acme-tool"])?;
    let fetched = std::fs::read(apt.root.join("acme-tool_1.0_all.deb"))?;
    ensure!(fetched == std::fs::read(place.path().join("acme-tool_1.0_all.deb"))?, "byte for byte");
    // One at once after the other: times in HTTP have seconds, and apt must see each all the same.
    for (number, version) in ["2.0", "3.0", "4.0", "5.0"].into_iter().enumerate() {
        let (content, said) = upload(version, "stable")?;
        ensure!(content && said.contains(&format!("stable@{} is served", number + 2)), "{said}");
        apt.update()?;
        let versions = apt.run("apt-cache", &["madison", "acme-tool"])?;
        ensure!(versions.contains(&format!(" {version} ")), "{version}: {versions}");
    }
    // The brain says who has what, and is asked before anything goes.
    let (content, said) = brain.honcho(&["archive", "guests", "stable", "--all"])?;
    ensure!(content && said.contains("acme-tool") && said.contains("1.0, 2.0, 3.0"), "{said}");
    let (content, said) = brain.honcho(&["archive", "guests", "stable", "--package", "acme-tool"])?;
    ensure!(content && said.contains("No guest has it."), "{said}");
    // What is no second old is not older than a retention of none.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (content, said) =
        brain.honcho(&["archive", "prune", "--archive", shown, "--keep", "1", "--days", "0", "--yes"])?;
    ensure!(
        content && said.contains("removed 4 publications") && !said.contains("no brain was asked"),
        "{said}"
    );
    Ok(())
}

/// A copy is killed again and again while it is made: whoever reads it finds the release before or the one after, and all that it
/// names.
#[test]
fn apt_reads_a_copy_that_is_killed_while_it_is_made() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (archive, copy) = (place.path().join("archive"), place.path().join("copy"));
    let honcho = |arguments: &[&str]| -> Result<Command> {
        let mut command = Command::new(program("honcho")?);
        command.arg("archive").args(arguments).arg("--archive").arg(&archive);
        Ok(command)
    };
    let publish = || -> Result<Command> {
        let mut command = honcho(&["publish"])?;
        command.arg("--to").arg(&copy);
        Ok(command)
    };
    let add = |version: &str| -> Result<()> {
        let package = built(place.path(), version)?;
        run(honcho(&["add", "--suite", "stable", "--publish"])?.arg(package)).map(drop)
    };
    run(&mut honcho(&["init", "--origin", "Acme", "--suite", "stable"])?)?;
    add("1.0")?;
    let begun = std::time::Instant::now();
    run(&mut publish()?)?;
    let whole = begun.elapsed();
    let keyring = copy.join("honcho-archive-keyring.gpg");
    let source = format!("deb [signed-by={}] copy:{} stable main\n", keyring.display(), copy.display());
    let apt = Apt::new(place.path().join("apt"), &source)?;
    let newest = |apt: &Apt| -> Result<String> {
        apt.update()?;
        let versions = apt.run("apt-cache", &["madison", "acme-tool"])?;
        let newest = versions.lines().next().and_then(|line| line.split('|').nth(1)).context("a version")?;
        apt.run("apt-get", &["download", "acme-tool"])?;
        Ok(newest.trim().to_owned())
    };
    ensure!(newest(&apt)? == "1.0");
    let mut killed = 0;
    // From its very beginning to where it would have ended.
    for number in 2..12_u32 {
        let (before, version) = (format!("{}.0", number - 1), format!("{number}.0"));
        add(&version)?;
        let mut copying = publish()?;
        let mut copying = copying.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(whole * (number - 2) / 10);
        copying.kill()?;
        killed += u64::from(!copying.wait()?.success());
        let found = newest(&apt)?;
        ensure!(found == before || found == version, "{found}, between {before} and {version}");
        run(&mut publish()?)?;
        let found = newest(&apt)?;
        ensure!(found == version, "{found}, and not {version}");
    }
    ensure!(killed > 0, "each copy was made before it was killed");
    Ok(())
}
