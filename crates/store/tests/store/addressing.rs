//! Addresses: each has one holder, the longest-freed goes first, and a full network says so.

use crate::world::{World, refusal};
use honcho_model::{GuestId, NetworkId};
use honcho_store::guests_desired::NewInterface;
use honcho_store::{Filters, Refusal, Scope, addresses, guests, networks};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

async fn address(world: &World, id: GuestId) -> String {
    let guest = guests::get(world.store.reader(), Scope::System, id, world.now()).await.unwrap();
    guest.address.unwrap()
}

#[tokio::test]
async fn the_longest_freed_address_is_given_first() {
    let world = World::with_subnet("10.0.0.0/29").await;
    let mut ids = Vec::new();
    for number in 2..7 {
        let id = world.guest(&format!("g{number}")).await;
        assert_eq!(address(&world, id).await, format!("10.0.0.{number}"), "never held: by number");
        ids.push(id);
    }
    for index in [3, 0, 4] {
        world.pass(1);
        world.delete(ids[index]).await;
        world.report_gone(ids[index]).await;
    }
    for (name, expected) in [("a", "10.0.0.5"), ("b", "10.0.0.2"), ("c", "10.0.0.6")] {
        let id = world.guest(name).await;
        assert_eq!(address(&world, id).await, expected);
    }
}

#[tokio::test]
async fn a_full_network_is_named() {
    let world = World::with_subnet("10.0.0.0/29").await;
    for number in 0..5 {
        world.guest(&format!("g{number}")).await;
    }
    let refused = refusal(world.order(&world.new_guest("one-too-many")).await);
    let text = "has no free address: all 5 of network office (10.0.0.0/29) are taken";
    assert_eq!(refused, Refusal::invalid("network_id", text));
    let all = guests::list(world.store.reader(), Scope::System, &Filters::default(), world.now()).await;
    assert_eq!(all.unwrap().len(), 5, "the refused one left nothing");
    let network = networks::get(world.store.reader(), Scope::System, world.network).await.unwrap();
    assert_eq!((network.addresses_count, network.addresses_free), (5, 0));
}

#[tokio::test]
async fn a_deleted_guest_keeps_its_address_until_its_host_has_spoken() {
    let world = World::with_subnet("10.0.0.0/29").await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(world.guest(&format!("g{number}")).await);
    }
    world.delete(ids[2]).await;
    world.pass(365 * 24 * 3600);
    assert!(world.order(&world.new_guest("new")).await.is_err());
    world.report_gone(ids[2]).await;
    let id = world.guest("new").await;
    assert_eq!(address(&world, id).await, "10.0.0.4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_take_every_address_of_a_26_once() {
    let world = Arc::new(World::with_subnet("10.0.0.0/26").await);
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let new = world.new_guest(&format!("w{writer}-{}", taken.len()));
                    match world.order(&new).await {
                        Ok(id) => taken.push(id),
                        Err(error) => return (taken, error.to_string()),
                    }
                }
            })
        })
        .collect();
    let mut guests_made = 0;
    for writer in writers {
        let (taken, refused) = writer.await.unwrap();
        assert!(refused.contains("all 61 of network office (10.0.0.0/26) are taken"), "{refused}");
        guests_made += taken.len();
    }
    let all =
        guests::list(world.store.reader(), Scope::System, &Filters::default(), world.now()).await.unwrap();
    let distinct: BTreeSet<_> = all.iter().map(|guest| guest.address.clone().unwrap()).collect();
    assert_eq!((guests_made, all.len(), distinct.len()), (61, 61, 61));
    let macs: BTreeSet<_> = all.iter().map(|guest| guest.interfaces[0].mac.clone()).collect();
    assert_eq!(macs.len(), 61);
    // The rows say the same from their side.
    let rows = addresses::list(world.store.reader(), Scope::System, &Filters::default()).await.unwrap();
    let mut holders: BTreeMap<i64, usize> = BTreeMap::new();
    for row in &rows {
        assert_eq!(row.account_id, Some(world.account.0));
        *holders.entry(row.guest_id.unwrap()).or_default() += 1;
    }
    assert_eq!((rows.len(), holders.len()), (61, 61));
}

#[tokio::test]
async fn two_networks_count_for_themselves() {
    let world = World::with_subnet("10.0.0.0/29").await;
    let other: NetworkId = world.new_network("lab", "10.0.1.0/29", None).await;
    let mut new = world.new_guest("both");
    new.interfaces.push(NewInterface::of(other));
    let id = world.order(&new).await.unwrap();
    let guest = guests::get(world.store.reader(), Scope::System, id, world.now()).await.unwrap();
    let held: Vec<_> = guest.interfaces.iter().map(|card| card.address.clone().unwrap()).collect();
    assert_eq!(held, ["10.0.0.2", "10.0.1.2"]);
}
