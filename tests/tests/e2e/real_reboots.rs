//! A real host loses its power while the brain is away; a real pool is not mounted.

use anyhow::{Context as _, Result, ensure};
use honcho_e2e::real::{Filesystem, PATIENCE, Room, last_lines, qemus};
use honcho_e2e::world::eventually;
use honcho_model::guest::{GuestStatus, Power};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_boots_alone_and_a_pool_is_not_mounted() -> Result<()> {
    let mut room = Room::open(Filesystem::Btrfs).await?;
    the_host_boots_while_the_brain_is_away(&mut room).await?;
    the_pool_is_not_mounted(&mut room).await
}

/// Nothing starts until the brain has answered, save what may start alone.
async fn the_host_boots_while_the_brain_is_away(room: &mut Room) -> Result<()> {
    let plain = room.order("web1", Power::Running).await?;
    room.create("dns1", &["--start-alone", "--wait"])?;
    room.ssh("dns1", "echo kept > /root/kept; sync")?;
    room.world.ended(plain.operation_id.context("an operation")?).await?;
    let alone = room.guest("dns1").await?;

    room.brain.kill();
    room.reboot_host()?;
    assert!(qemus(plain.uuid).is_empty() && qemus(alone.uuid).is_empty(), "the power cut ended both");
    room.start_agent()?;
    eventually("the guest that may start alone runs", PATIENCE, async || {
        ensure!(qemus(alone.uuid).len() == 1, "{}", last_lines(&room.agent_log()));
        Ok(())
    })
    .await?;
    // Longer than the agent waits between two looks.
    let alone_since = Instant::now();
    while alone_since.elapsed() < Duration::from_secs(15) {
        assert!(qemus(plain.uuid).is_empty(), "nothing else has started");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }

    room.brain.resume().await?;
    // Until then it knows only what it was told before.
    eventually("the brain has heard of the boot", PATIENCE, async || {
        ensure!(room.world.events("host.booted").await?.len() == 1, "no event");
        Ok(())
    })
    .await?;
    room.is(plain.id, GuestStatus::Running).await?;
    room.is(alone.id, GuestStatus::Running).await?;
    assert_eq!((qemus(plain.uuid).len(), qemus(alone.uuid).len()), (1, 1));
    let kept = eventually("dns1 answers", PATIENCE, async || room.ssh("dns1", "cat /root/kept")).await?;
    assert_eq!(kept, "kept\n", "its disk is the one it had");
    Ok(())
}

/// Nothing is made in the directory below; guest and pool say why; mounting it again mends it.
async fn the_pool_is_not_mounted(room: &mut Room) -> Result<()> {
    for name in ["web1", "dns1"] {
        let guest = room.guest(name).await?;
        room.act(guest.id, "stop", &[("hard", "true")]).await?;
    }
    let web1 = room.guest("web1").await?;
    room.kill_agent()?;
    room.unmount()?;
    room.start_agent()?;
    let operation = room.ask(web1.id, "start", &[]).await?;
    let damaged = room.is(web1.id, GuestStatus::Damaged).await?;
    assert_eq!(damaged.ssh_host_key, web1.ssh_host_key, "its host key is still known");
    let reason = damaged.status_reason.context("a reason")?;
    assert!(reason.contains("mount"), "{reason}");
    eventually("the pool says why", PATIENCE, async || {
        let pools: Vec<honcho_api::Pool> = room.world.client.list(&[]).await?;
        let said = pools[0].status_reason.clone().unwrap_or_default();
        ensure!(pools[0].status == "wrong" && said.contains("mount"), "{pools:?}");
        Ok(())
    })
    .await?;
    let open = room.world.client.operation(operation.id).await?;
    let problem = open.problem.context("a problem")?;
    assert!(open.ended_at.is_none() && problem.contains("Mount it and all goes on"), "{problem}");
    assert!(!problem.contains("not tried again"), "{problem}");
    // A guest that was only ordered cannot go there either.
    let refused = room.order("web2", Power::Stopped).await.unwrap_err().to_string();
    assert!(refused.contains("pool"), "{refused}");
    assert!(room.in_pool("*")?.is_empty(), "nothing is made in the directory below");
    assert!(qemus(web1.uuid).is_empty());

    room.mount()?;
    room.world.ended(operation.id).await?;
    room.is(web1.id, GuestStatus::Running).await?;
    assert_eq!(room.world.events("pool.wrong").await?.len(), 1);
    Ok(())
}
