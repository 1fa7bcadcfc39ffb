//! An image of a real guest's disk: files of all kinds are written on it, it is captured though its agent and the brain are killed,
//! and a guest of the image has them all, and nothing of whose they were.

use anyhow::{Context as _, Result, ensure};
use honcho_api::{GuestCreate, Image, ImageUpload};
use honcho_e2e::brain::persistently;
use honcho_e2e::real::{Filesystem, PATIENCE, Room, last_lines, qemus};
use honcho_e2e::world::eventually;
use honcho_model::guest::{GuestStatus, Power};
use honcho_model::operation::OperationState;
use std::process::Stdio;

/// What no package brings.
const WRITTEN: &str = r#"
mkdir -p srv/app/deep var/log/app root/.ssh
echo one > srv/app/one; ln srv/app/one srv/app/two; ln srv/app/one srv/app/deep/three
cp bin/true srv/app/ping; setcap cap_net_raw+ep srv/app/ping
setfattr -n user.note -v "$(printf 'two\nlines')" srv/app/one
setfacl -m u:1234:rwx srv/app/deep; setfacl -d -m u:1234:r-x srv/app/deep
truncate -s 2G srv/app/sparse; printf middle | dd of=srv/app/sparse bs=1 seek=1G conv=notrunc status=none
dd if=/dev/urandom of=srv/app/random bs=1M count=40 status=none
mkfifo srv/app/fifo; ln -s deep/three srv/app/link; chown 70000:80000 srv/app/random; chmod 4711 srv/app/random
printf x > "$(printf 'srv/app/caf\351')"
echo secret > var/log/app/log; echo secret > root/.bash_history; mkdir -p etc/honcho; echo secret > etc/honcho/header
"#;

/// What packages brought, and that.
const TOLD: &str = r"
find srv usr boot opt var/lib/dpkg -printf '%p %y %m %U %G %s %n %Ts %l\n' | LC_ALL=C sort | sed 's/^\([^ ]* d [^ ]* [^ ]* [^ ]*\) [0-9]* [0-9]*/\1/'
find srv usr boot opt var/lib/dpkg -type f ! -name sparse -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
find srv usr boot opt -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m - --absolute-names 2> /dev/null
find srv ! -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl -n -p
";

impl Disk<'_> {
    /// Runs a script on the disk of a guest that is off.
    fn run(&self, options: &str, script: &str) -> Result<String> {
        let at = self.room.host.directory().join("disk");
        let at = at.display();
        let disk = self.room.pool().join(&self.file);
        let script = format!(
            "set -e; mkdir -p {at}; mount -o loop,{options} {} {at}; cd {at}\n(set -e; {script}\n) || {{ cd /; umount {at}; exit 1; }}\ncd /; umount {at}",
            disk.display()
        );
        self.room.host.run(&script)
    }
}

struct Disk<'r> {
    room: &'r Room,
    file: String,
}

async fn off<'r>(room: &'r Room, name: &str, image: i64) -> Result<(honcho_api::Guest, Disk<'r>)> {
    let before = room.in_pool("volumes/*.raw")?;
    let order = GuestCreate {
        memory_bytes: Some(512 << 20),
        disk_bytes: Some(3 << 30),
        image_id: Some(image),
        power: Some(Power::Stopped),
        ssh_keys: Some(vec![std::fs::read_to_string(room.key().with_extension("pub"))?.trim().to_owned()]),
        ..room.world.order(name)
    };
    let guest: honcho_api::Guest = room.world.client.create(&order).await?;
    let guest = room.is(guest.id, GuestStatus::Stopped).await?;
    let mut now = room.in_pool("volumes/*.raw")?;
    now.retain(|file| !before.contains(file));
    Ok((guest, Disk { room, file: now.pop().context("it has a disk")? }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_disk_becomes_an_image_and_that_a_guest() -> Result<()> {
    let mut room = Room::open(Filesystem::Btrfs).await?;
    let image = room.world.image.id;
    let (web1, file) = {
        let (guest, disk) = off(&room, "web1", image).await?;
        disk.run("rw", WRITTEN)?;
        (guest, disk.file)
    };
    let before = Disk { room: &room, file: file.clone() }.run("ro", TOLD)?;

    let mut command = room.command(&["guest", "capture", "web1", "--image", "captured", "--wait"])?;
    let capturing = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let upload = eventually("its disk is on its way", PATIENCE, async || {
        let uploads: Vec<ImageUpload> = room.world.client.list(&[]).await?;
        let upload = uploads.into_iter().next().context("none yet")?;
        ensure!(upload.received_bytes > 0, "{upload:?}");
        Ok(upload)
    })
    .await?;
    ensure!(upload.status == "receiving" && upload.guest_id == Some(web1.id), "{upload:?}");
    room.kill_agent()?;
    // Asked to run meanwhile, it waits.
    let start = room.ask(web1.id, "start", &[]).await?;
    room.brain.kill();
    room.brain.resume().await?;
    room.start_agent()?;
    let now: ImageUpload = persistently(|| room.world.client.get(upload.id)).await?;
    ensure!(now.status == "receiving" && now.received_bytes >= upload.received_bytes, "{now:?}");
    eventually("all of it is sent", PATIENCE, async || {
        let running = !qemus(web1.uuid).is_empty();
        let now: ImageUpload = room.world.client.get(upload.id).await?;
        ensure!(now.status != "receiving" || !running, "started while its disk was read");
        ensure!(now.status != "receiving", "{now:?}\n{}", last_lines(&room.agent_log()));
        Ok(())
    })
    .await?;
    let started = room.world.ended(start.id).await?;
    ensure!(started.state == OperationState::Done && qemus(web1.uuid).len() == 1, "{started:?}");
    room.act(web1.id, "stop", &[("hard", "true")]).await?;
    let ended = capturing.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{said}\n{}", last_lines(&room.agent_log()));
    ensure!(said.contains("read the disk") && said.contains("pack it anew"), "{said}");
    let shown = String::from_utf8_lossy(&ended.stdout).into_owned();
    ensure!(shown.contains("image captured\n") && shown.contains("acme"), "{shown}");
    ensure!(room.must(&["image", "recipe", "captured"])?.contains("guest web1"), "where it comes from");

    let images: Vec<Image> = room.world.client.list(&[("name", "captured".to_owned())]).await?;
    let captured = images.first().context("an image")?;
    ensure!(captured.account_id == Some(room.world.account.id), "{captured:?}");
    let (web2, disk) = off(&room, "web2", captured.id).await?;
    let after = disk.run("ro", TOLD)?;
    for (before, after) in before.lines().zip(after.lines()) {
        ensure!(before == after, "on web1's disk: {before}\nand on web2's: {after}");
    }
    ensure!(before.lines().count() == after.lines().count(), "as many lines");
    let sparse =
        disk.run("ro", "stat -c %b srv/app/sparse; tail -c +1073741825 srv/app/sparse | head -c 6")?;
    let (blocks, content) = sparse.split_once('\n').context("two lines")?;
    ensure!(blocks.parse::<u64>()? < 1000 && content == "middle", "{sparse}");
    let whose = disk.run(
        "ro",
        "cat etc/hostname; cat etc/ssh/ssh_host_ed25519_key.pub; ls var/log/app; ls -a root etc/honcho; cat etc/machine-id",
    )?;
    ensure!(whose.contains("web2") && !whose.contains("history") && !whose.contains("header"), "{whose}");
    let key = web1.ssh_host_key.context("a key")?;
    ensure!(!whose.contains(&key) && whose.contains(&web2.ssh_host_key.context("a key")?), "{whose}");
    Ok(())
}
