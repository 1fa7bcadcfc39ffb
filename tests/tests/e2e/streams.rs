//! A console and a log that are followed end with the token that opened them.

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use honcho_api::{Token, TokenCreate};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::World;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn consoles_and_logs_end_with_their_token() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let guest = world.running("web1").await?;
    let create = TokenCreate {
        name: Some("visitor".to_owned()),
        account_id: Some(guest.account_id),
        ..TokenCreate::default()
    };
    let operator = brain.client()?;
    let token: Token = operator.create(&create).await?;
    let visitor = brain.client_with(token.secret.as_deref().context("a secret")?)?;

    let mut console = visitor.guest_console(guest.id).await?;
    console.write_all(b"hello\n").await?;
    let opened = world.events("guest.console").await?;
    let by = format!("token:{}", token.id);
    let is_noted = matches!(&opened[..], [one] if one.actor.starts_with(&by) && one.account_id == Some(guest.account_id));
    ensure!(is_noted, "who opened it: {opened:?}");
    let mut log =
        Box::pin(visitor.guest_log(guest.id, &[("tail", "100".into()), ("follow", "true".into())]).await?);
    let first = tokio::time::timeout(Duration::from_secs(10), log.next()).await?;
    ensure!(first.is_some_and(|piece| piece.is_ok()), "the log tells nothing");
    // Both stay open for as long as the token is good.
    let mut heard = vec![0; 4096];
    let quiet = Duration::from_secs(3);
    while let Ok(read) = tokio::time::timeout(quiet, console.read(&mut heard)).await {
        ensure!(read? > 0, "the console ended by itself");
    }

    let begun = Instant::now();
    operator.delete::<Token, Token>(token.id, &[]).await?;
    let ends = async {
        while console.read(&mut heard).await.is_ok_and(|count| count > 0) {}
        // The log is cut, not ended as one that is whole.
        loop {
            match log.next().await {
                Some(Ok(_)) => {}
                Some(Err(_)) => return Ok(()),
                None => anyhow::bail!("the log looks whole"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ends).await.context("they go on")??;
    ensure!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    Ok(())
}
