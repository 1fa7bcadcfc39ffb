//! Addresses that accounts hold, by the command line: allocated, named, given to a guest, left by it, released.

use anyhow::{Context as _, Result, ensure};
use honcho_api::{Address, Guest, NetworkCreate, Operation};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::world::World;

/// What the command line says where it goes well.
fn said(brain: &Brain, line: &str) -> Result<String> {
    let (well, said) = brain.honcho(&line.split(' ').collect::<Vec<_>>())?;
    ensure!(well, "honcho {line}: {said}");
    Ok(said)
}

/// What it says where it does not.
fn refused(brain: &Brain, line: &str) -> Result<String> {
    let (well, said) = brain.honcho(&line.split(' ').collect::<Vec<_>>())?;
    ensure!(!well, "honcho {line}: {said}");
    Ok(said)
}

fn shown(brain: &Brain, address: &str) -> Result<Address> {
    Ok(serde_json::from_str(&said(brain, &format!("address show {address} --json"))?)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_held_with_and_without_a_guest() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let brain = Brain::start(directory.path()).await?;
    let world = World::make(&brain).await?;
    let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
    world.pool_ready(agent.host_id).await?;

    let none = said(&brain, "address list")?;
    ensure!(none.contains("honcho address allocate --help"), "{none}");
    let allocate = "address allocate --network office --account acme";
    let first = said(&brain, &format!("{allocate} --name www.acme.example"))?;
    ensure!(first.contains("10.77.0.2") && first.contains("www.acme.example"), "{first}");
    said(&brain, &format!("{allocate} --address 10.77.0.30 --reference shop"))?;
    // Asked again with its key, it is the same; without, it is taken.
    let again: Address =
        serde_json::from_str(&said(&brain, &format!("{allocate} --reference shop --json"))?)?;
    ensure!((again.address.as_str(), again.status.as_str()) == ("10.77.0.30", "allocated"), "{again:?}");
    let taken = refused(&brain, &format!("{allocate} --address 10.77.0.30"))?;
    ensure!(taken.contains("10.77.0.30"), "{taken}");
    let elsewhere = refused(&brain, &format!("{allocate} --address 192.0.2.1"))?;
    ensure!(elsewhere.contains("192.0.2.1"), "{elsewhere}");
    let no_ipv6 = refused(&brain, &format!("{allocate} --ipv6"))?;
    ensure!(no_ipv6.contains("IPv6"), "{no_ipv6}");

    let list = said(&brain, "address list --account acme")?;
    ensure!(
        list.contains("10.77.0.2") && list.contains("10.77.0.30") && list.contains("allocated"),
        "{list}"
    );
    let renamed = said(&brain, "address update 10.77.0.2 --reverse-name mail.acme.example")?;
    ensure!(renamed.contains("mail.acme.example") && renamed.contains("www.acme.example"), "{renamed}");
    // It is found by its name, too, and a name can be forgotten.
    ensure!(shown(&brain, "www.acme.example")?.address == "10.77.0.2");
    let (well, text) = brain.honcho(&["address", "update", "10.77.0.2", "--name", ""])?;
    ensure!(well && !text.contains("www.acme.example"), "{text}");
    let unknown = refused(&brain, "address show www.acme.example")?;
    ensure!(unknown.contains("honcho address list"), "{unknown}");

    // A guest is given it, and leaves it to the account.
    let card = honcho_api::InterfaceCreate {
        network_id: Some(world.network.id),
        address: Some("10.77.0.30".to_owned()),
        ..honcho_api::InterfaceCreate::default()
    };
    let order =
        honcho_api::GuestCreate { network_id: None, interfaces: Some(vec![card]), ..world.order("web1") };
    let guest: Guest = world.client.create(&order).await?;
    world.ended(guest.operation_id.context("an operation")?).await?;
    let used = shown(&brain, "10.77.0.30")?;
    ensure!((used.status.as_str(), used.guest_id) == ("used", Some(guest.id)), "{used:?}");
    let held = refused(&brain, "address release 10.77.0.30 --yes")?;
    ensure!(held.contains("web1"), "{held}");
    let now = [("now", "true".to_owned())];
    let delete = world.client.delete::<Guest, Operation>(guest.id, &now).await?;
    world.ended(delete.id).await?;
    let left = shown(&brain, "10.77.0.30")?;
    ensure!((left.status.as_str(), left.account_id) == ("allocated", Some(world.account.id)), "{left:?}");

    // Nobody can be asked here; then it is released, and others may have it.
    let unasked = refused(&brain, "address release 10.77.0.30")?;
    ensure!(unasked.contains("others may be given it") && unasked.contains("--yes"), "{unasked}");
    ensure!(shown(&brain, "10.77.0.30")?.status == "allocated");
    let released = said(&brain, "address release 10.77.0.30 --yes")?;
    ensure!(released.trim() == "10.77.0.30 of network office is released", "{released}");
    ensure!(shown(&brain, "10.77.0.30")?.status == "free");

    // Of two networks that have the same address, one is meant.
    let other = NetworkCreate {
        name: Some("lab".into()),
        kind: Some("vlan".into()),
        vlan_id: Some(7),
        subnet: Some("10.77.0.0/24".into()),
        ..NetworkCreate::default()
    };
    world.client.create::<honcho_api::Network>(&other).await?;
    let several = refused(&brain, "address show 10.77.0.2")?;
    ensure!(several.contains("--network"), "{several}");
    let one = said(&brain, "address show 10.77.0.2 --network lab")?;
    ensure!(one.contains("lab") && one.contains("free"), "{one}");
    Ok(())
}
