//! The whole story of a package: built in a clean chroot, published, in an image, in a guest that is outdated when a newer one
//! comes, upgraded there by apt, and no longer listed.

use crate::package_builds::{chroots, source};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use honcho_e2e::programs::program;
use honcho_e2e::real::{Filesystem, PATIENCE, Room};
use honcho_e2e::world::eventually;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {said}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_goes_from_its_source_to_a_guest_and_is_upgraded_there() -> Result<()> {
    let mut room = Room::open(Filesystem::Btrfs).await?;
    let place = tempfile::tempdir()?;
    let archive = place.path().join("archive");
    let init = ["archive", "init", "--origin", "Acme", "--suite", "stable", "--archive", text(&archive)?];
    run(Command::new(program("honcho")?).args(init))?;
    let url = room.brain.serve_archive(&archive).await?;
    let publish = |version: &str| -> Result<String> {
        let mut build = Command::new(program("honcho")?);
        build.args(["archive", "build", text(&source(place.path(), version, "", "true")?)?, "--publish"]);
        build.args(["--suite", "stable", "--build", "binary", "--archive", text(&archive)?, "--directory"]);
        run(build.arg(chroots()?))
    };
    publish("1.0")?;

    // An image with it, by a recipe that knows the archive and its key.
    let keyring = std::fs::read(archive.join("public/honcho-archive-keyring.gpg"))?;
    let armored = base64::engine::general_purpose::STANDARD.encode(keyring);
    let recipe = place.path().join("acme.toml");
    let base = &room.world.image.name;
    std::fs::write(
        &recipe,
        format!(
            "name = \"acme\"\nfrom = \"{base}\"\npackages = [\"acme-tool\", \"curl\"]\n\n[[sources]]\nname = \"acme\"\nurl = \"{url}\"\n\
             suites = [\"stable\"]\ncomponents = [\"main\"]\nkey = '''\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{armored}\n\
             -----END PGP PUBLIC KEY BLOCK-----\n'''\n"
        ),
    )?;
    let images = place.path().join("images");
    std::fs::create_dir(&images)?;
    let mut build = Command::new(program("honcho")?);
    build.args(["--url", &room.brain.url(), "--ca"]).arg(room.brain.ca());
    build.arg("--token-file").arg(room.brain.data().join("operator.token"));
    run(build.args(["image", "build", text(&recipe)?, "--directory", text(&images)?]))?;
    let packages = room.must(&["image", "packages", "acme"])?;
    ensure!(packages.lines().any(|line| line.contains("acme-tool") && line.contains("1.0")), "{packages}");

    // A guest of it, and a newer version.
    let key = format!("{}.pub", room.key().display());
    let order = [
        "guest",
        "create",
        "web1",
        "--account",
        "acme",
        "--image",
        "acme",
        "--memory",
        "512M",
        "--disk",
        "3G",
    ];
    room.must(&[&order[..], &["--network", "office", "--ssh-key", &key, "--wait"]].concat())?;
    let outdated = |room: &Room| room.must(&["--json", "guests", "list", "--with", "acme-tool<2.0"]);
    ensure!(outdated(&room)?.contains("web1"), "its image has the old one");
    let said = eventually("web1 answers", PATIENCE, async || room.ssh("web1", "acme-tool")).await?;
    ensure!(said.trim() == "1.0", "{said}");
    let listed = |outdated: bool| -> Result<String> {
        let more: &[&str] = if outdated { &["--outdated"] } else { &[] };
        room.must(&[&["archive", "guests", "stable", "--package", "acme-tool"], more].concat())
    };
    ensure!(!listed(true)?.contains("web1"), "nothing newer is served");
    publish("2.0")?;
    // Counts are up to ten seconds old.
    let patience = Duration::from_secs(30);
    eventually("web1 is outdated", patience, async || {
        let said = listed(true)?;
        ensure!(said.contains("web1") && said.contains("1.0"), "{said}");
        Ok(())
    })
    .await?;

    // Upgraded in the guest by its own apt, out of the archive that the brain serves; the guest says so with its own token.
    let token = room.must(&["--json", "token", "create", "web1-packages", "--guest", "web1"])?;
    let token: honcho_api::Token = serde_json::from_str(&token)?;
    let web1 = room.guest("web1").await?;
    let upgrade = format!(
        "set -e; cat > /root/ca.pem <<'CA'\n{ca}\nCA\n\
         mkdir -p /root/parts; cp /etc/apt/sources.list.d/*acme* /root/parts/\n\
         own='-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/root/parts'\n\
         apt-get -qq update --error-on=any $own >&2\n\
         apt-get -qq install $own --only-upgrade -y acme-tool >&2\nacme-tool\n\
         curl -fsS --cacert /root/ca.pem -H 'Authorization: Bearer {secret}' -T /var/lib/dpkg/status {brain}/v1/guests/{id}/packages >&2",
        ca = std::fs::read_to_string(room.brain.ca())?.trim(),
        secret = token.secret.context("a new token has a secret")?,
        brain = room.brain.url(),
        id = web1.id,
    );
    let said = room.ssh("web1", &upgrade)?;
    ensure!(said.trim() == "2.0", "{said}");
    ensure!(!outdated(&room)?.contains("web1"), "it has the old one no more");
    eventually("web1 is outdated no more", patience, async || {
        let said = listed(true)?;
        ensure!(!said.contains("web1"), "{said}");
        Ok(())
    })
    .await?;
    ensure!(listed(false)?.contains("web1"), "it has it still");
    let has = room.must(&["guest", "packages", "web1"])?;
    ensure!(has.lines().any(|line| line.contains("acme-tool") && line.contains("2.0")), "{has}");
    Ok(())
}
