//! A brain that is down stops no guest, and says so cleanly to whoever asks it.

use anyhow::Result;
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::programs::program;
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::GuestStatus;
use honcho_model::host::HostStatus;
use std::process::Command;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_brain_that_is_down_for_a_minute_changes_nothing_for_guests() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let guest = world.running("web1").await?;
    let token = brain.data().join("operator.token");
    let starts = agent.starts()?;

    brain.kill();
    let down = Instant::now();
    let mut list = Command::new(program("honcho")?);
    list.args(["--url", &brain.url(), "--token-file"]).arg(&token).args(["guest", "list"]);
    let asked = Instant::now();
    let output = list.output()?;
    assert!(asked.elapsed() < Duration::from_secs(5), "it fails at once");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8(output.stderr)?;
    assert!(said.starts_with("error: ") && said.contains("hint: "), "{said}");
    while down.elapsed() < Duration::from_mins(1) {
        assert_eq!(agent.domains(), [format!("honcho-g{}", guest.id)], "the guest lives on");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(agent.process().is_some_and(honcho_e2e::programs::Process::runs), "the agent goes on looking");

    brain.resume().await?;
    eventually("the host is up again", Duration::from_secs(30), async || {
        let host: honcho_api::Host = world.client.get(agent.host_id).await?;
        anyhow::ensure!(host.status == HostStatus::Up, "{host:?}");
        anyhow::ensure!(world.guest(guest.id).await?.status == GuestStatus::Running, "the guest");
        Ok(())
    })
    .await?;
    assert_eq!(agent.starts()?, starts, "nothing was started meanwhile");
    let next = world.running("web2").await?;
    assert_eq!(next.status, GuestStatus::Running);
    Ok(())
}
