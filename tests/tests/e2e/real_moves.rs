//! A real guest goes from one real host to another, each with a libvirtd and a QEMU of its own: what was written before is
//! read after. In the midst of it both agents are killed, and the copy goes on where it was.

use anyhow::{Context as _, Result, ensure};
use honcho_e2e::neighbour::Neighbour;
use honcho_e2e::real::{Filesystem, PATIENCE, Room, last_lines, qemus};
use honcho_e2e::world::eventually;
use honcho_model::guest::GuestStatus;
use honcho_model::operation::OperationState;
use std::time::Duration;

/// What the guest writes, of what cannot be squeezed or left out.
const WRITTEN_MIB: u64 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_moved_with_what_it_wrote_though_both_agents_are_killed() -> Result<()> {
    let mut room = Room::open(Filesystem::Btrfs).await?;
    room.create("web1", &["--wait"])?;
    let guest = room.guest("web1").await?;
    let boot = room.booted_since("web1", "").await?;
    let write = format!(
        "dd if=/dev/urandom of=/root/written bs=1M count={WRITTEN_MIB} status=none && sync && sha256sum /root/written"
    );
    let written = room.ssh("web1", &write)?;
    let key = room.ssh("web1", "cat /etc/ssh/ssh_host_ed25519_key.pub")?;
    let mut other = Neighbour::join(&room, "h2").await?;
    eventually("the hosts can move guests", PATIENCE, async || {
        let output = room.honcho(&["guest", "move", "web1", "--to", "h2", "--dry-run"])?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        println!("{}", String::from_utf8_lossy(&output.stdout).trim_end());
        Ok(())
    })
    .await?;
    let to = other.host_id.to_string();
    let operation = room.ask(guest.id, "move", &[("to_host_id", &to)]).await?;

    // Killed in the midst of it, one after the other: half of the volume is there, and stays.
    for percent in [5, 20] {
        eventually("the disk is on its way", PATIENCE, async || {
            let operation = room.world.client.operation(operation.id).await?;
            let far = operation.percent.is_some_and(|reached| reached >= percent);
            ensure!(operation.step.as_deref() == Some("fetch_volume") && far, "{operation:?}");
            Ok(())
        })
        .await?;
        ensure!(qemus(guest.uuid).is_empty(), "it is off while it is copied");
        if percent == 5 {
            other.kill_agent()?;
        } else {
            room.kill_agent()?;
        }
        let (here, there) = (room.in_pool("volumes/*.raw")?, other.in_pool("volumes/*")?);
        ensure!(here.len() == 1 && other.in_pool("volumes/*.arriving")?.len() == 1, "{here:?} {there:?}");
        ensure!(other.in_pool("volumes/*.raw")?.is_empty(), "{there:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        if percent == 5 {
            other.start_agent()?;
        } else {
            room.start_agent()?;
        }
    }
    let ended = room.world.ended(operation.id).await.with_context(|| {
        format!("h1:\n{}\nh2:\n{}", last_lines(&room.agent_log()), last_lines(&other.agent_log()))
    })?;
    ensure!(ended.state == OperationState::Done, "{ended:?}");
    let resumed = other.agent_log().matches("\"step\":\"fetch_volume\"").count();
    println!(
        "moved in {} s, fetch_volume is spoken of {resumed} times",
        ended.ended_at.map_or(0, |at| at.as_second() - ended.created_at.as_second())
    );

    let now = room.is(guest.id, GuestStatus::Running).await?;
    ensure!(now.host_id == Some(other.host_id) && now.epoch == guest.epoch + 1, "{now:?}");
    ensure!(now.ssh_host_key == guest.ssh_host_key && now.address == guest.address, "{now:?}");
    ensure!(qemus(guest.uuid).len() == 1, "one QEMU runs it");
    ensure!(other.host.run("virsh list --name")?.contains(&format!("honcho-g{}", guest.id)), "on h2");
    eventually("nothing of it is left on h1", PATIENCE, async || {
        let left = room.in_pool("volumes/*")?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    let there = other.in_pool("volumes/*")?;
    ensure!(other.in_pool("volumes/*.raw")?.len() == 1, "{there:?}");
    ensure!(!there.iter().any(|name| name.contains("arriving")), "{there:?}");

    // It is reached where it is now; the network of a host is reached from that host.
    let read = "sha256sum /root/written && cat /etc/ssh/ssh_host_ed25519_key.pub && cat /proc/sys/kernel/random/boot_id";
    let address = now.address.context("an address")?;
    let key_file = room.key().display().to_string();
    let ssh = format!(
        "ssh -i {key_file} -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o LogLevel=ERROR root@{address} '{read}'"
    );
    let said = eventually("the guest answers on h2", PATIENCE, async || other.host.run(&ssh)).await?;
    ensure!(
        said.contains(written.trim()) && said.contains(key.trim()),
        "before: {written} {key} after: {said}"
    );
    ensure!(!said.contains(boot.trim()), "it booted anew");
    Ok(())
}
