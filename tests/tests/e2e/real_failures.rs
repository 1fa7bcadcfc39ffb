//! What goes wrong on a real host: a damaged image, a full disk, names and ports that are taken. Each is said, cleaned
//! up, and tried again where that can help. What is not Honcho's is left alone.

use anyhow::{Context as _, Result, ensure};
use honcho_api::{Guest, Operation};
use honcho_e2e::programs::program;
use honcho_e2e::real::{Filesystem, PATIENCE, Room, last_lines, qemus};
use honcho_e2e::world::eventually;
use honcho_model::guest::{GuestStatus, Power};
use std::process::{Command, Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_said_cleaned_up_and_tried_again() -> Result<()> {
    let room = Room::open(Filesystem::Ext4).await?;
    let foreign = room.foreign_domain()?;
    damaged_images(&room).await?;
    a_full_disk_and_an_emptied_cache(&room).await?;
    a_bridge_of_somebody_else(&room).await?;
    a_name_in_libvirt_that_is_taken(&room).await?;
    a_port_that_is_taken(&room)?;
    room.is_untouched(&foreign)
}

/// Waits until an operation says what holds it up, in these words.
async fn says(room: &Room, operation: i64, words: &[&str]) -> Result<Operation> {
    eventually(&format!("the operation says {words:?}"), PATIENCE, async || {
        let operation = room.world.client.operation(operation).await?;
        let problem = operation.problem.clone().unwrap_or_default();
        ensure!(
            words.iter().all(|word| problem.contains(word)),
            "{operation:?}\n{}",
            last_lines(&room.agent_log())
        );
        Ok(operation)
    })
    .await
}

fn operation_of(guest: &Guest) -> Result<i64> {
    guest.operation_id.context("an operation")
}

/// A blob whose bytes are others, and one that is cut short; put right, it is taken by itself.
async fn damaged_images(room: &Room) -> Result<()> {
    let digest = room.world.image.digest.clone();
    let blob = room.brain.blob(&digest);
    let whole = std::fs::read(&blob)?;
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&blob, &flipped)?;
    let web1 = room.order("web1", Power::Stopped).await?;
    says(room, operation_of(&web1)?, &["damaged", &digest[..12]]).await?;
    assert_eq!(room.world.guest(web1.id).await?.status, GuestStatus::Failing);
    // It is tried again meanwhile, so that a file in the making may be there.
    assert!(room.in_pool("images/*.ext4 volumes/*")?.is_empty(), "nothing is left of it");

    std::fs::write(&blob, &whole[..whole.len() / 2])?;
    let web2 = room.order("web2", Power::Stopped).await?;
    let said = says(room, operation_of(&web2)?, &["fetch_image"]).await?.problem.context("a problem")?;
    assert!(said.contains("stopped coming") || said.contains("damaged"), "{said}");
    assert!(room.in_pool("images/*.ext4 volumes/*")?.is_empty());

    std::fs::write(&blob, &whole)?;
    let web3 = room.order("web3", Power::Stopped).await?;
    for guest in [&web3, &web2, &web1] {
        room.world.ended(operation_of(guest)?).await?;
        assert_eq!(room.world.guest(guest.id).await?.status, GuestStatus::Stopped);
    }
    assert_eq!((room.in_pool("images/*")?.len(), room.in_pool("volumes/*.raw")?.len()), (1, 3));
    Ok(())
}

/// The image is gone from the cache: it is fetched again for the next guest. Meanwhile somebody fills the disk.
async fn a_full_disk_and_an_emptied_cache(room: &Room) -> Result<()> {
    let pool = room.pool().display().to_string();
    room.host.run(&format!("rm {pool}/images/*.ext4"))?;
    let guest = room.order("web4", Power::Stopped).await?;
    let operation = operation_of(&guest)?;
    let fill = format!(
        "cd {pool}; while ! ls images/*.partial > /dev/null 2>&1; do sleep 0.02; done; \
         fallocate -l $(($(df --output=avail -B1 . | tail -n 1) - (40 << 20))) filler"
    );
    room.host.run(&fill)?;
    says(room, operation, &["free some", "tried again"]).await?;
    assert!(room.in_pool("images/* volumes/*.partial")?.is_empty(), "what was half-made is gone");
    assert_eq!(room.world.guest(guest.id).await?.status, GuestStatus::Failing);
    room.host.run(&format!("rm {pool}/filler"))?;
    room.world.ended(operation).await?;
    assert_eq!(room.world.guest(guest.id).await?.status, GuestStatus::Stopped, "mended by itself");
    assert!(!room.world.events("guest.step_failed").await?.is_empty());
    Ok(())
}

/// The name of the network's bridge is taken while the guest is off.
async fn a_bridge_of_somebody_else(room: &Room) -> Result<()> {
    let bridge = honcho_bridge(room.world.network.id);
    let swap = format!("printf 'link delete {bridge}\nlink add {bridge} type bridge\n' | ip -batch -");
    // The agent may look in between, and then it is quicker.
    eventually("the bridge is somebody else's", PATIENCE, async || room.host.run(&swap)).await?;
    let before = room.host.run(&format!("ip -o link show dev {bridge}"))?;
    let web1 = room.guest("web1").await?;
    let operation = room.ask(web1.id, "start", &[]).await?;
    says(room, operation.id, &[&format!("the name {bridge} is taken by somebody else"), "ip link delete"])
        .await?;
    assert_eq!(room.host.run(&format!("ip -o link show dev {bridge}"))?, before, "it is left alone");
    assert!(qemus(web1.uuid).is_empty());
    room.host.run(&format!("ip link delete {bridge}"))?;
    room.world.ended(operation.id).await?;
    room.is(web1.id, GuestStatus::Running).await?;
    Ok(())
}

/// As the agent names a network's bridge, for ids of one digit.
fn honcho_bridge(network: i64) -> String {
    assert!(network < 10);
    format!("hb{network}")
}

/// Somebody's domain has the name that a guest's would have.
async fn a_name_in_libvirt_that_is_taken(room: &Room) -> Result<()> {
    let web2 = room.guest("web2").await?;
    let name = format!("honcho-g{}", web2.id);
    room.host.run(&format!(
        "sed -e 's|<name>.*</name>|<name>{name}</name>|' -e '/<uuid>/s|<uuid>[^<]*</uuid>||' {0}/foreign.xml > {0}/same.xml; \
         virsh create --paused {0}/same.xml",
        room.host.directory().display()
    ))?;
    let operation = room.ask(web2.id, "start", &[]).await?;
    says(room, operation.id, &[&format!("domain {name} cannot be started"), "somebody else made it"]).await?;
    assert_eq!(room.host.run(&format!("virsh domstate {name}"))?.trim(), "paused");
    room.host.run(&format!("virsh destroy {name}"))?;
    room.world.ended(operation.id).await?;
    room.is(web2.id, GuestStatus::Running).await?;
    Ok(())
}

/// A second brain on the first one's port ends at once and says so.
fn a_port_that_is_taken(room: &Room) -> Result<()> {
    let address = room.brain.address().to_string();
    let data = room.host.directory().join("second-brain");
    let mut serve = Command::new(program("honcho")?);
    serve.args(["serve", "--listen", &address, "--agents-listen", "127.0.0.1:0", "--data"]).arg(data);
    let output = serve.stdin(Stdio::null()).output()?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&format!("listening on {address}")) && said.contains("--listen chooses another"),
        "{said}"
    );
    Ok(())
}
