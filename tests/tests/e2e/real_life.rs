//! A newcomer's guests, on real libvirt and QEMU, with Debian in them: made, reached, stopped from within and from
//! without, given another kernel.

use anyhow::{Context as _, Result, ensure};
use honcho_api::{Image, Person, PersonCreate};
use honcho_e2e::browser::Browser;
use honcho_e2e::debian::debian;
use honcho_e2e::real::{BOOT_ID, Filesystem, PATIENCE, Room, kill, qemus};
use honcho_e2e::world::eventually;
use honcho_model::guest::GuestStatus;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn guests_are_made_reached_stopped_and_booted_anew() -> Result<()> {
    let room = Room::open(Filesystem::Btrfs).await?;
    let foreign = room.foreign_domain()?;
    let back = ["network", "create", "back", "--subnet", "10.78.0.0/24", "--subnet6", "fd00:78::/64"];
    room.must(&back)?;
    an_image_of_their_own(&room).await?;
    // Both boot side by side, for half the time.
    room.create_from("own", "web2", &["--network", "back=10.78.0.9,fd00:78::9"])?;
    let said = room.create("web1", &["--wait"])?;
    assert!(said.contains("create web1: done after") && said.contains("status            running"), "{said}");
    who_it_is(&room).await?;
    two_guests_are_two(&room).await?;
    its_cards(&room).await?;
    its_console(&room)?;
    let page = its_console_in_a_page(&room).await?;
    powered_off_from_within(&room).await?;
    still_in_its_page(page).await?;
    // While web1 boots once more.
    rebooted_from_within_with_another_kernel(&room).await?;
    its_cards(&room).await?;
    stopped_through_honcho(&room)?;
    rebooted_through_honcho(&room).await?;
    let web1 = room.guest("web1").await?;
    assert_eq!((web1.status, qemus(web1.uuid)), (GuestStatus::Stopped, vec![]), "it stays stopped");
    room.was_started(&web1, 3)?;
    room.is_untouched(&foreign)
}

/// web2 is made of what its account uploads: what mmdebstrap made, as somebody else would have packed it.
async fn an_image_of_their_own(room: &Room) -> Result<()> {
    let tarball = debian().await?.tarball;
    let path = tarball.to_str().context("a path that is text")?;
    let said = room.must(&["image", "upload", path, "--name", "own", "--account", "acme"])?;
    for line in ["Debian GNU/Linux 12 (bookworm)", "x86_64", "/sbin/init", "/vmlinuz"] {
        assert!(said.contains(line), "{said}");
    }
    let image: Vec<Image> = room.world.client.list(&[("name", "own".to_owned())]).await?;
    let [image] = &image[..] else { anyhow::bail!("one image: {image:?}") };
    let kinds =
        (image.distribution.as_deref(), image.distribution_version.as_deref(), image.account_id.is_some());
    assert_eq!(kinds, (Some("debian"), Some("12"), true));
    ensure!(image.digest != room.world.image.digest, "it was packed anew");
    ensure!(image.packages_count > 100, "{image:?}");
    Ok(())
}

/// Name, address, disk, key and machine-id are the guest's own.
async fn who_it_is(room: &Room) -> Result<()> {
    let web1 = room.guest("web1").await?;
    let address = web1.address.context("an address")?;
    let script = "uname -a; hostname; ip -4 -o address show dev eth0; blockdev --getsize64 /dev/vda; \
                  df --output=size -B1 / | tail -n 1; cat /root/.ssh/authorized_keys; wc -c < /etc/machine-id; \
                  systemctl is-system-running --wait";
    let said = room.ssh("web1", script)?;
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let [uname, hostname, shown, disk, filesystem, key, machine_id, system] = lines[..] else {
        anyhow::bail!("the guest said: {said}");
    };
    assert!(uname.starts_with("Linux web1 ") && uname.contains("x86_64"), "{uname}");
    assert_eq!(hostname, "web1");
    assert!(shown.contains(&format!("inet {address}/24 ")), "{shown}");
    assert_eq!(disk.parse::<i64>()?, web1.disk_bytes);
    assert!(
        filesystem.parse::<i64>()? > web1.disk_bytes * 9 / 10,
        "the filesystem fills the disk: {filesystem}"
    );
    assert_eq!(key, web1.ssh_keys[0]);
    assert_eq!((machine_id, system), ("33", "running"), "32 digits and a line's end");
    let log = room.must(&["guest", "log", "web1"])?;
    assert!(log.contains("web1 login: root (automatic login)"), "{log}");
    Ok(())
}

/// They share no identity, and reach each other and the world.
async fn two_guests_are_two(room: &Room) -> Result<()> {
    let [web1, web2] = [room.guest("web1").await?, room.guest("web2").await?];
    let first = room.ssh("web1", "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")?;
    let script = format!(
        "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; \
         ping -c 1 -W 10 {} > /dev/null && echo reached; \
         (exec 3<> /dev/tcp/{}/{}) && echo out",
        web1.address.as_ref().context("an address")?,
        room.brain.address().ip(),
        room.brain.address().port()
    );
    let second = eventually("web2 answers", PATIENCE, async || room.ssh("web2", &script)).await?;
    let [id1, key1] = first.lines().collect::<Vec<_>>()[..] else { anyhow::bail!("{first}") };
    let [id2, key2, reached, out] = second.lines().collect::<Vec<_>>()[..] else { anyhow::bail!("{second}") };
    assert!(id1 != id2 && key1 != key2, "{first}{second}");
    assert_eq!((reached, out), ("reached", "out"));
    assert!(web1.ssh_host_key.is_some_and(|key| key1.starts_with(&key)), "the brain knows the host key");
    assert!(web2.ssh_host_key.is_some_and(|key| key2.starts_with(&key)));
    Ok(())
}

/// A guest in two networks has a card in each, in the order it was asked for, with the card's own addresses; the world is
/// behind the first. Each address is the guest's, seen from its host.
async fn its_cards(room: &Room) -> Result<()> {
    let web2 = room.guest("web2").await?;
    let [front, back] = &web2.interfaces[..] else { anyhow::bail!("two cards: {web2:?}") };
    let [address, address2, address6] =
        [&front.address, &back.address, &back.address6].map(|address| address.as_deref().unwrap_or("none"));
    assert_eq!((&front.address6, address2, address6), (&None, "10.78.0.9", "fd00:78::9"));
    let wanted = [
        format!("eth0 up {} {address}/24", front.mac),
        format!("eth1 up {} {address2}/24 {address6}/64", back.mac),
        "IPv4 default via 10.77.0.1 dev eth0 proto static".to_owned(),
        "IPv6".to_owned(),
    ];
    // An address that others might have still (IPv6 asks around first) is not in use yet.
    let script = "cd /sys/class/net; for card in *; do [ $card = lo ] || \
        echo $card $(cat $card/operstate $card/address) \
        $(ip -o address show dev $card scope global -tentative | awk '{print $4}'); done; \
        echo IPv4 $(ip -4 route show default); echo IPv6 $(ip -6 route show default)";
    eventually("web2's cards are up", PATIENCE, async || {
        let said = room.ssh("web2", script)?;
        ensure!(said.lines().eq(&wanted), "web2 has\n{said}and should have\n{}", wanted.join("\n"));
        Ok(())
    })
    .await?;
    let addresses = [address, address2, address6];
    let seen = room.host.run(&format!("ssh-keyscan -T 60 -t ed25519 {}", addresses.join(" ")))?;
    let key = web2.ssh_host_key.context("the brain knows the host key")?;
    for address in addresses {
        assert!(
            seen.lines().any(|line| line == format!("{address} {key}")),
            "{address} is not web2's: {seen}"
        );
    }
    Ok(())
}

/// What is typed reaches the guest, and what it answers comes back.
fn its_console(room: &Room) -> Result<()> {
    let mut console = room.command(&["guest", "console", "web1"])?;
    let mut console = console.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut typing = console.stdin.take().context("stdin")?;
    let mut printed = console.stdout.take().context("stdout")?;
    typing.write_all(b"\recho typed-$((6 * 7))\r")?;
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains("typed-42") {
        let count = printed.read(&mut buffer)?;
        ensure!(count > 0, "the console ended after: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    console.kill()?;
    console.wait()?;
    Ok(())
}

/// The same in a browser. It stays open.
async fn its_console_in_a_page(room: &Room) -> Result<(Browser, tempfile::TempDir)> {
    let password = "a violet fence sings";
    let body = PersonCreate {
        name: Some("ann".to_owned()),
        full_name: None,
        operator: Some(true),
        password: Some(password.to_owned()),
    };
    let _: Person = room.world.client.create(&body).await?;
    let web1 = room.guest("web1").await?;
    let directory = tempfile::tempdir()?;
    let browser = Browser::start(directory.path()).await?;
    let path = format!("/guests/{}/console", web1.id);
    browser.go(&format!("{}{path}", room.brain.url())).await?;
    browser.fill("#login", "ann").await?;
    browser.fill("#password", password).await?;
    browser.click(".login button").await?;
    browser.gives(CONSOLE_WORD, "connected").await?;
    // What it printed before it was looked at.
    browser.says("automatic login").await?;
    typed(&browser, "42").await?;
    // Colours that a style sheet cannot name beforehand: the policy of the page forbids what they are usually made of.
    browser.keys("\u{e009}uprintf '\\033[38;2;12;200;99mgreen\\033[0m-%s\\n' $((9 * 9))\u{e007}").await?;
    browser.says("green-81").await?;
    browser.picture("console-real").await?;
    assert_eq!(browser.console_errors().await?, Vec::<String>::new());
    Ok((browser, directory))
}

const CONSOLE_WORD: &str = "return document.getElementById('console-word').textContent";

/// Types something, and sees what the guest's shell makes of it. A guest that logs somebody in forgets what was typed before.
async fn typed(browser: &Browser, word: &str) -> Result<()> {
    eventually("its shell answers in the page", PATIENCE, async || {
        browser.keys(&format!("\u{e009}uecho page-$(({word} + 0))\u{e007}")).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let text = browser.text().await?;
        ensure!(text.contains(&format!("page-{word}")), "{text}");
        Ok(())
    })
    .await
}

/// The guest was off meanwhile, and off again: the page has come back to its console each time by itself.
async fn still_in_its_page((browser, directory): (Browser, tempfile::TempDir)) -> Result<()> {
    typed(&browser, "77").await?;
    browser.gives(CONSOLE_WORD, "connected").await?;
    assert_eq!(browser.console_errors().await?, Vec::<String>::new());
    drop(browser);
    drop(directory);
    Ok(())
}

/// A guest that should run is started again, after a pause that grows; and that is an event.
async fn powered_off_from_within(room: &Room) -> Result<()> {
    let web1 = room.guest("web1").await?;
    let boot_id = room.ssh("web1", BOOT_ID)?;
    // The connection may break before the command has ended.
    let _cut = room.ssh("web1", "systemctl poweroff");
    let first = pause(web1.uuid).await?;
    room.booted_since("web1", &boot_id).await?;
    let [pid] = qemus(web1.uuid)[..] else { anyhow::bail!("one QEMU runs web1") };
    kill(pid)?;
    let second = pause(web1.uuid).await?;
    assert!(qemus(web1.uuid) != [pid]);
    assert!(first >= Duration::from_secs(2) && second >= Duration::from_secs(4), "{first:?}, {second:?}");
    let web1 = room.is(web1.id, GuestStatus::Running).await?;
    assert_eq!(web1.unexpected_stops, 2);
    room.was_started(&web1, 3)?;
    assert_eq!(room.world.events("guest.stopped_by_itself").await?.len(), 2);
    Ok(())
}

/// How long a guest that runs stays off.
async fn pause(uuid: uuid::Uuid) -> Result<Duration> {
    let count = async |count: usize| {
        eventually(&format!("{count} QEMU run the guest"), PATIENCE, async || {
            let pids = qemus(uuid);
            ensure!(pids.len() == count, "{pids:?}");
            Ok(())
        })
        .await
    };
    count(0).await?;
    let off = Instant::now();
    count(1).await?;
    Ok(off.elapsed())
}

/// An in-guest reboot is a stop and a start by the agent, which takes the kernel that the guest has chosen since.
async fn rebooted_from_within_with_another_kernel(room: &Room) -> Result<()> {
    let web2 = room.guest("web2").await?;
    let kernel = room.kernel(web2.id)?;
    // Another version under /boot, as a package would put it there; its initrd says so in the kernel's log.
    let upgrade = "set -e; v=$(uname -r); cd /tmp; mkdir -p i/conf/conf.d; \
        echo 'echo booted-the-upgrade > /dev/kmsg' > i/conf/conf.d/upgrade; \
        cp /boot/vmlinuz-$v /boot/vmlinuz-9.9.9-upgrade; \
        (cd i; find . | cpio --quiet -o -H newc) > /boot/initrd.img-9.9.9-upgrade; \
        cat /boot/initrd.img-$v >> /boot/initrd.img-9.9.9-upgrade; \
        ln -sf boot/vmlinuz-9.9.9-upgrade /vmlinuz; ln -sf boot/initrd.img-9.9.9-upgrade /initrd.img; \
        dmesg | grep -c booted-the-upgrade || true";
    assert_eq!(room.ssh("web2", upgrade)?.trim(), "0");
    let boot_id = room.ssh("web2", BOOT_ID)?;
    let _cut = room.ssh("web2", "systemctl reboot");
    room.booted_since("web2", &boot_id).await?;
    assert_eq!(room.ssh("web2", "dmesg | grep -c booted-the-upgrade")?.trim(), "1");
    assert_ne!(room.kernel(web2.id)?, kernel);
    room.was_started(&web2, 2)?;
    Ok(())
}

/// It is asked, as by its power button, and ends by itself.
fn stopped_through_honcho(room: &Room) -> Result<()> {
    let said = room.must(&["guest", "stop", "web1", "--wait"])?;
    ensure!(said.contains("stop web1: done after"), "{said}");
    Ok(())
}

/// The kernel that the guest has chosen stays the one that it is started with.
async fn rebooted_through_honcho(room: &Room) -> Result<()> {
    let boot_id = room.ssh("web2", BOOT_ID)?;
    room.must(&["guest", "reboot", "web2", "--wait"])?;
    room.booted_since("web2", &boot_id).await?;
    assert_eq!(room.ssh("web2", "dmesg | grep -c booted-the-upgrade")?.trim(), "1");
    Ok(())
}
