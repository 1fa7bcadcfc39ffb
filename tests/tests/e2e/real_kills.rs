//! On real libvirt and QEMU: the agent is killed while an image unpacks and while a domain starts, libvirtd while a guest
//! runs. The next run goes on; nothing is made or started twice, nothing half-made is left.

use anyhow::{Context as _, Result, bail, ensure};
use honcho_e2e::real::{Filesystem, PATIENCE, Room, last_lines, qemus};
use honcho_e2e::world::eventually;
use honcho_model::guest::{GuestStatus, Power};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_it_unpacks_or_starts_goes_on_and_does_nothing_twice() -> Result<()> {
    let mut room = Room::open(Filesystem::Btrfs).await?;
    killed_while_unpacking(&mut room).await?;
    killed_while_starting(&mut room).await?;
    libvirtd_killed(&room).await
}

/// Twice: near the beginning of the image, and well into it.
async fn killed_while_unpacking(room: &mut Room) -> Result<()> {
    let guest = room.order("web1", Power::Stopped).await?;
    let operation = guest.operation_id.context("an operation")?;
    for percent in [0, 30] {
        eventually("the image is being unpacked", PATIENCE, async || {
            let operation = room.world.client.operation(operation).await?;
            let far_enough = operation.percent.is_some_and(|reached| reached >= percent);
            ensure!(operation.step.as_deref() == Some("fetch_image") && far_enough, "{operation:?}");
            Ok(())
        })
        .await?;
        let half_made = room.in_pool("images/*.partial")?;
        assert_eq!((half_made.len(), room.in_pool("images/*.ext4")?.len()), (1, 0), "{half_made:?}");
        room.kill_agent()?;
        room.start_agent()?;
    }
    let operation = room.world.ended(operation).await?;
    assert_eq!(operation.state.as_str(), "done", "{operation:?}");
    assert_eq!(room.guest("web1").await?.status, GuestStatus::Stopped);
    nothing_half_made(room)?;
    assert_eq!((room.in_pool("images/*")?.len(), room.in_pool("volumes/*.raw")?.len()), (1, 1));
    Ok(())
}

fn nothing_half_made(room: &Room) -> Result<()> {
    let left = room.in_pool("*/*.partial")?;
    ensure!(left.is_empty(), "left in the pool: {left:?}");
    Ok(())
}

/// At moments that lie before, in and after libvirt's own work on it.
async fn killed_while_starting(room: &mut Room) -> Result<()> {
    let guest = room.guest("web1").await?;
    let watch = Watch::begin(guest.uuid);
    // The first start finds out whether KVM carries guests, which takes seconds of its own.
    room.act(guest.id, "start", &[]).await?;
    room.act(guest.id, "stop", &[("hard", "true")]).await?;
    for (round, milliseconds) in [0, 40, 120, 250, 500].into_iter().enumerate() {
        let begun = starts_begun(room);
        let operation = room.ask(guest.id, "start", &[]).await?;
        let waiting = Instant::now();
        while starts_begun(room) == begun {
            ensure!(waiting.elapsed() < PATIENCE, "no start began:\n{}", last_lines(&room.agent_log()));
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(milliseconds));
        room.kill_agent()?;
        let at_the_kill = qemus(guest.uuid).len();
        room.start_agent()?;
        room.world.ended(operation.id).await?;
        let now = room.is(guest.id, GuestStatus::Running).await?;
        assert_eq!(qemus(guest.uuid).len(), 1);
        let moment = format!("killed after {milliseconds} ms, {at_the_kill} QEMU then");
        room.was_started(&guest, round + 2).context(moment)?;
        assert_eq!(now.unexpected_stops, 0);
        room.act(guest.id, "stop", &[("hard", "true")]).await?;
        assert_eq!(qemus(guest.uuid).len(), 0);
    }
    nothing_half_made(room)?;
    assert_eq!(watch.most(), 1, "never two at once");
    let host: honcho_api::Host = room.world.client.get(room.host_id).await?;
    assert!(host.virtualization.is_some(), "how guests are executed is known to the next run: {host:?}");
    Ok(())
}

/// How many starts the agent's log tells of.
fn starts_begun(room: &Room) -> usize {
    let begins = |line: &&str| line.contains("\"begins\"") && line.contains("\"step\":\"start\"");
    room.agent_log().lines().filter(begins).count()
}

/// The guest lives on; the agent waits for libvirtd and goes on with it.
async fn libvirtd_killed(room: &Room) -> Result<()> {
    let guest = room.guest("web1").await?;
    room.act(guest.id, "start", &[]).await?;
    let runs = qemus(guest.uuid);
    room.host.kill_libvirtd()?;
    let asked = room.ask(guest.id, "reboot", &[("hard", "true")]).await?;
    eventually("the operation says what holds it up", PATIENCE, async || {
        let hosts: Vec<honcho_api::Host> = room.world.client.list(&[]).await?;
        let operation = room.world.client.operation(asked.id).await?;
        bail_unless_said(&format!("{hosts:?} {operation:?}"), "libvirt")
    })
    .await?;
    assert_eq!(qemus(guest.uuid), runs, "the guest lives on");
    room.host.start_libvirtd()?;
    room.world.ended(asked.id).await?;
    let now = room.is(guest.id, GuestStatus::Running).await?;
    assert_eq!(now.unexpected_stops, 0);
    let reborn = qemus(guest.uuid);
    assert!(reborn.len() == 1 && reborn != runs, "rebooted once libvirtd was back");
    room.act(guest.id, "stop", &[("hard", "true")]).await?;
    assert!(qemus(guest.uuid).is_empty());
    Ok(())
}

fn bail_unless_said(text: &str, word: &str) -> Result<()> {
    if text.contains(word) { Ok(()) } else { bail!("nothing about {word}: {text}") }
}

/// Counts the QEMU processes of a guest, again and again.
struct Watch {
    most: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn begin(uuid: Uuid) -> Watch {
        let (most, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, end) = (Arc::clone(&most), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                seen.fetch_max(qemus(uuid).len(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(25));
            }
        });
        Watch { most, ends, thread: Some(thread) }
    }

    /// The most there were at once.
    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only looks; were it to break off, the counts above would say so.
            let _ended = thread.join();
        }
    }
}
