//! A machine does only what its own certificate entitles it to.

use anyhow::{Context as _, Result};
use honcho_api::{Guest, Host};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::programs::{Process, program};
use honcho_e2e::world::{World, eventually};
use honcho_model::guest::GuestStatus;
use honcho_model::host::HostStatus;
use honcho_wire::{BRAIN_SERVER_NAME, ManifestAnswer};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A client of the agents' listener, with the identity in an agent's data directory or without one.
fn machine(ca: &Path, identity: Option<&Path>, address: SocketAddr) -> Result<reqwest::Client> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    let config = match identity {
        Some(identity) => {
            let kept: serde_json::Value =
                serde_json::from_slice(&std::fs::read(identity.join("identity.json"))?)?;
            let text = |key: &str| kept[key].as_str().context("identity.json lacks a key");
            let certificate = CertificateDer::from_pem_slice(text("certificate")?.as_bytes())?;
            let key = PrivateKeyDer::from_pem_slice(text("private_key")?.as_bytes())?;
            config.with_client_auth_cert(vec![certificate], key)?
        }
        None => config.with_no_client_auth(),
    };
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .resolve(BRAIN_SERVER_NAME, address)
        .build()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_opens_its_own_manifest_and_nothing_opens_without_one() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut first = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    let second = SimulatedAgent::join(&brain, directory.path(), "h2").await?;
    world.pool_ready(first.host_id).await?;
    first.kill();
    let order = honcho_api::GuestCreate { host_id: Some(second.host_id), ..world.order("web1") };
    world.pool_ready(second.host_id).await?;
    let guest: Guest = world.client.create(&order).await?;
    world.ended(guest.operation_id.context("an operation")?).await?;

    let ca = brain.data().join("ca/certificate.pem");
    let url = format!("https://{BRAIN_SERVER_NAME}:{}", brain.agents_address().port());
    let own = machine(&ca, Some(&first.data()), brain.agents_address())?;
    let answer = own.get(format!("{url}/agent/manifest")).header("honcho-protocol", "1").send().await?;
    let answer: ManifestAnswer = answer.error_for_status()?.json().await?;
    let manifest = answer.manifest.context("a manifest")?;
    assert_eq!(manifest.host.0, first.host_id);
    assert!(manifest.guests.is_empty(), "it shows nothing of the other host's: {manifest:?}");
    let blob = format!("{url}/agent/blobs/{}", world.image.digest);
    assert_eq!(own.get(&blob).send().await?.status(), 404, "its manifest does not name this blob");
    let other = machine(&ca, Some(&second.data()), brain.agents_address())?;
    assert_eq!(other.get(&blob).send().await?.status(), 200, "the other one's does");

    let nobody = machine(&ca, None, brain.agents_address())?;
    let refused = nobody.get(format!("{url}/agent/manifest")).header("honcho-protocol", "1").send().await;
    assert!(refused.is_err(), "without a certificate there is no connection: {refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_works_once() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    agent.kill();
    let host: Host = world.client.action::<Host, _>(agent.host_id, "rejoin", &[]).await?;
    let token = host.join_token.context("a join token")?;
    agent.join_with(&brain, &token)?;
    let again = agent.join_with(&brain, &token).unwrap_err().to_string();
    assert!(again.contains("good for nothing") && again.contains("honcho host rejoin"), "{again}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_certificate_freezes_the_host_until_it_has_rejoined() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let guest = world.running("web1").await?;

    // The disk is cloned: same key and certificate, another machine.
    let clone = directory.path().join("clone");
    copy(&agent.data(), &clone.join("agent"))?;
    let mut command = Command::new(program("honcho-agent")?);
    command.arg("run").arg("--data").arg(clone.join("agent")).arg("--simulated").arg(clone.join("host"));
    let mut double = Process::start(&mut command, &clone.join("agent.log"))?;
    eventually("the host is frozen", Duration::from_mins(1), async || {
        let host: Host = world.client.get(agent.host_id).await?;
        anyhow::ensure!(host.status == HostStatus::Frozen, "{host:?}");
        Ok(())
    })
    .await?;
    let alarms = world.events("host.frozen").await?;
    assert_eq!(alarms.len(), 1);
    assert!(alarms[0].severity == "alarm" && alarms[0].message.contains("cloned"), "{alarms:?}");

    // What runs goes on; nothing starts and nothing is deleted.
    let refused = world.client.create::<Guest>(&world.order("web2")).await.unwrap_err().to_string();
    assert!(refused.contains("frozen"), "{refused}");
    let operation: honcho_api::Operation =
        world.client.delete::<Guest, _>(guest.id, &[("now", "true".into())]).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(agent.volumes()?.len(), 1, "nothing is deleted on a frozen host");
    assert!(world.client.operation(operation.id).await?.ended_at.is_none());

    // The operator ends the clone and has the right one rejoin.
    double.kill();
    agent.kill();
    let host: Host = world.client.action::<Host, _>(agent.host_id, "rejoin", &[]).await?;
    agent.join_with(&brain, &host.join_token.context("a join token")?)?;
    agent.start()?;
    world.ended(operation.id).await?;
    assert_eq!(world.guest(guest.id).await?.status, GuestStatus::Deleted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_cloned_into_another_machine_freezes_the_host_at_its_first_word() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let mut agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;
    let guest = world.running("web1").await?;

    // The same key and certificate on a machine with another machine-id.
    let clone = directory.path().join("clone");
    copy(&agent.data(), &clone.join("agent"))?;
    let machine_id = clone.join("machine-id");
    std::fs::write(&machine_id, "00000000000000000000000000c10e00\n")?;
    let script = "mount --bind \"$1\" /etc/machine-id && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&machine_id).arg(program("honcho-agent")?);
    command.arg("run").arg("--data").arg(clone.join("agent")).arg("--simulated").arg(clone.join("host"));
    let mut double = Process::start(&mut command, &clone.join("agent.log"))?;
    let host = eventually("the host is frozen", Duration::from_secs(20), async || {
        let host: Host = world.client.get(agent.host_id).await?;
        anyhow::ensure!(host.status == HostStatus::Frozen, "{host:?}");
        Ok(host)
    })
    .await?;
    let alarms = world.events("host.frozen").await?;
    assert!(alarms.len() == 1 && alarms[0].severity == "alarm", "{alarms:?}");
    for word in ["its machine-id is 00000000000000000000000000c10e00", "honcho host rejoin h1"] {
        assert!(alarms[0].message.contains(word), "{alarms:?}");
    }

    // The clone is told, starts nothing, and overwrites nothing of what the right one says.
    eventually("the clone says what is wrong", Duration::from_secs(20), async || {
        let log = std::fs::read_to_string(clone.join("agent.log"))?;
        anyhow::ensure!(log.contains("this is not the machine that joined as host h1"), "{log}");
        Ok(())
    })
    .await?;
    assert_eq!(std::fs::read_dir(clone.join("host/domains"))?.count(), 0, "the guest would run twice");
    assert_eq!(agent.domains().len(), 1, "what runs goes on: {host:?}");
    assert_eq!(world.guest(guest.id).await?.status, GuestStatus::Frozen);

    // The right machine rejoins, and the clone's certificate is worth nothing.
    agent.kill();
    let host: Host = world.client.action::<Host, _>(agent.host_id, "rejoin", &[]).await?;
    agent.join_with(&brain, &host.join_token.context("a join token")?)?;
    agent.start()?;
    eventually("the host is up again", Duration::from_secs(30), async || {
        let host: Host = world.client.get(agent.host_id).await?;
        anyhow::ensure!(host.status == HostStatus::Up, "{host:?}");
        Ok(())
    })
    .await?;
    world.running("web2").await?;
    assert_eq!(std::fs::read_dir(clone.join("host/domains"))?.count(), 0);
    assert_eq!(world.events("host.frozen").await?.len(), 1);
    double.kill();
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
