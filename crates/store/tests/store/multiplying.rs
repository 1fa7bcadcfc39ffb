//! Many guests out of few.

use crate::world::{World, act};
use honcho_model::GuestId;
use honcho_store::{Filters, Scope, guests, multiplying};
use std::collections::BTreeSet;

#[tokio::test]
async fn sqlite_copies_are_guests_of_their_own_with_addresses_of_their_own() {
    let world = World::new().await;
    for number in 1..=4 {
        world.guest(&format!("g{number}")).await;
    }
    let multiply = act(|tx, _| Box::pin(multiplying::multiply(tx, GuestId(1), GuestId(4), 3)));
    world.write(&multiply).await.unwrap();
    let listed = guests::list(world.store.reader(), Scope::Operator, &Filters::default(), world.now()).await;
    let listed = listed.unwrap();
    assert_eq!(listed.iter().map(|guest| guest.id).collect::<Vec<_>>(), (1..=16).collect::<Vec<_>>());
    assert_eq!((listed[4].name.as_str(), listed[15].name.as_str()), ("g1-1", "g4-3"));
    let addresses: BTreeSet<_> = listed.iter().filter_map(|guest| guest.address.clone()).collect();
    let uuids: BTreeSet<_> = listed.iter().map(|guest| guest.uuid).collect();
    assert_eq!((addresses.len(), uuids.len()), (16, 16));
    // What is written next begins behind them.
    assert_eq!(world.guest("next").await, GuestId(17));
}
