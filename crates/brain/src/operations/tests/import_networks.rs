//! Imports of networks: what lines do, and that all of them do or none.
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]

use super::imports::told;
use super::*;
use crate::tables::networks::{COLUMNS, NetworksImport, line};
use crate::tables::owners::Owners;
use crate::tables::{Table, written};
use expect_test::{Expect, expect};
use honcho_api::ImportOutcome;
use honcho_store::{Filters, networks};

pub(super) async fn import(world: &World, csv: &str) -> StoreResult<ImportOutcome> {
    let table = Table::read(csv.as_bytes(), COLUMNS)?;
    world.ask(&NetworksImport { scope: Scope::Operator, outside: world.app.outside.clone(), table }).await
}

pub(super) async fn exported(world: &World) -> String {
    let reader = world.app.store.reader();
    let owners = Owners::read(reader, Scope::Operator).await.unwrap();
    let all = networks::list(reader, Scope::Operator, &Filters::default()).await.unwrap();
    let mut bytes = written(COLUMNS.iter().copied());
    bytes.extend(all.iter().flat_map(|network| line(network, &owners)));
    String::from_utf8(bytes).unwrap()
}

async fn check(world: &World, csv: &str, expected: Expect) {
    expected.assert_eq(&told(import(world, csv).await));
}

/// Without the column of ids, as for another brain.
pub(super) fn without_ids(csv: &str) -> String {
    csv.lines().map(|line| line.split_once(',').unwrap().1.to_owned() + "\n").collect()
}

/// One of each kind, with all that a network can have.
pub(super) const OF_EACH_KIND: &str = "name,account,reference,kind,vlan_id,vxlan_id,subnet,subnet6,gateway,reserved_ranges\n\
    front,,\"=1+1;@SUM(A1)\",VLAN,120,,10.1.0.0/24,2001:DB8:77::/64,10.1.0.254,10.1.0.9 10.1.0.1-10.1.0.8 2001:db8:77::100\n\
    front,acme,K-7,vxlan,,7000,10.1.0.0/24,,,\n\
    six,,,,,,,fd00:6::/64,,\n\
    office,,,,,,,,,10.77.0.2\n";

#[tokio::test]
async fn networks_are_made_and_changed_and_the_same_file_changes_nothing() {
    let world = World::new().await;
    check(
        &world,
        OF_EACH_KIND,
        expect![[r#"
        2 create network front
        3 create network front
        4 create network six
        5 update network office reserved_ranges: nothing -> 10.77.0.2
        [3, 1, 0]
    "#]],
    )
    .await;
    check(
        &world,
        OF_EACH_KIND,
        expect![[r#"
        [0, 0, 4]
    "#]],
    )
    .await;
    let csv = exported(&world).await;
    expect![[r#"
        id,name,account,reference,kind,vlan_id,vxlan_id,subnet,subnet6,gateway,gateway6,reserved_ranges
        1,office,,,local,,,10.77.0.0/24,,10.77.0.1,,10.77.0.2
        2,front,,'=1+1;'@SUM(A1),vlan,120,,10.1.0.0/24,2001:db8:77::/64,10.1.0.254,2001:db8:77::1,10.1.0.1-10.1.0.9 2001:db8:77::100
        3,front,acme,K-7,vxlan,,7000,10.1.0.0/24,,10.1.0.1,,
        4,six,,,local,,,,fd00:6::/64,,fd00:6::1,
    "#]].assert_eq(&csv);
    check(
        &world,
        &csv,
        expect![[r#"
        [0, 0, 4]
    "#]],
    )
    .await;
    let elsewhere = World::new().await;
    import(&elsewhere, &without_ids(&csv)).await.unwrap();
    assert_eq!(exported(&elsewhere).await, csv);
    // What a network is made of stays; names go from one to another in one file.
    let moved = "id,name,reserved_ranges\n2,edge,\n4,front,\n";
    check(&world, moved, expect![[r#"
        2 update network edge name: front -> edge; reserved_ranges: 10.1.0.1-10.1.0.9 2001:db8:77::100 -> nothing
        3 update network front name: six -> front
        [0, 2, 0]
    "#]]).await;
    let events =
        honcho_store::events::list(world.app.store.reader(), Scope::System, &Filters::default()).await;
    let kinds: Vec<String> = events.unwrap().into_iter().map(|event| event.kind).collect();
    let count = |kind: &str| kinds.iter().filter(|known| *known == kind).count();
    // The world's own is one of those made.
    assert_eq!(["network.create", "network.update", "network.rename"].map(count), [4, 2, 1]);
}

#[tokio::test]
async fn every_bad_line_is_named_and_nothing_is_kept() {
    let world = World::new().await;
    let before = exported(&world).await;
    let csv = "id,name,account,reference,kind,vlan_id,vxlan_id,subnet,subnet6,gateway,gateway6,reserved_ranges\n\
        ,good,,R1,vlan,10,,10.1.0.0/24,,,,\n\
        ,good,,,,,,10.2.0.0/24,,,,\n\
        99,ghost,,,,,,,,,,\n\
        ,,,,,,,10.3.0.0/24,,,,\n\
        ,Bad Name,,,tunnel,,,10.4.0.1/24,nonsense,,,\n\
        ,lost,nobody,,,,,10.5.0.0/24,,,,\n\
        ,same-number,,R1,vlan,10,,10.6.0.0/24,,,,\n\
        ,numbers,,,vlan,ten,7,10.7.0.0/24,,10.8.0.1,,10.9.0.1-10.9.0.2\n\
        1,,,,vlan,20,,10.77.0.0/25,,,,nonsense\n\
        ,office,,,,,,,,,,\n\
        ,overlap,,,,,,10.77.0.0/16,,,,\n\
        ,none,,,,,,,,,,\n";
    check(
        &world,
        csv,
        expect![[r#"
        line 10: kind: cannot change once the network is made
        line 10: reserved_ranges: "nonsense" is no range: write it as in 10.0.0.1-10.0.0.20, or as one address
        line 10: subnet: cannot change once the network is made
        line 10: vlan_id: cannot change once the network is made
        line 11: is about the same network as line 10
        line 12: subnet: overlaps with network office (10.77.0.0/24)
        line 13: subnet: can't be blank, unless subnet6 is given
        line 3: is about the same network as line 2
        line 4: id: there is no network 99: leave it empty to make one
        line 5: name: can't be blank
        line 6: kind: must be local, vlan or vxlan
        line 6: name: may hold lower-case letters, digits and inner hyphens only (as in "web-1")
        line 6: subnet: has bits set to the right of its prefix: write its first address, as in 10.77.0.0/24
        line 6: subnet6: is not an IPv6 subnet: write it as in 2001:db8:77::/64
        line 7: account: there is no account "nobody": `honcho account create` makes one
        line 8: reference: is network good's
        line 9: vlan_id: "ten" is no whole number
        line 9: gateway: must be an address in 10.7.0.0/24 that a machine can have
        line 9: vlan_id: can't be blank
        line 9: vxlan_id: is for a VXLAN network only
    "#]],
    )
    .await;
    assert_eq!(exported(&world).await, before);
    check(
        &world,
        "name\noffice\noffice\nlone\n",
        expect![[r#"
        line 3: is about the same network as line 2
        line 4: subnet: can't be blank, unless subnet6 is given
    "#]],
    )
    .await;
    // A name may be several accounts': then a line says whose.
    import(&world, "name,account,subnet,kind,vlan_id\noffice,acme,10.1.0.0/24,vlan,7\n").await.unwrap();
    check(
        &world,
        "name,reserved_ranges\noffice,10.77.0.2\n",
        expect![[r#"
        line 2: name: is the name of several networks: say whose, in a column account
    "#]],
    )
    .await;
    check(
        &world,
        "name,account,reserved_ranges\noffice,,10.77.0.2\noffice,acme,10.1.0.2\n",
        expect![[r#"
        2 update network office reserved_ranges: nothing -> 10.77.0.2
        3 update network office reserved_ranges: nothing -> 10.1.0.2
        [0, 2, 0]
    "#]],
    )
    .await;
    check(
        &world,
        "id,account,reference\n1,acme,R\n",
        expect![[r#"
        line 2: reference: cannot change once the network is made
        line 2: account: cannot change once the network is made
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_operators_alone_import() {
    let world = World::new().await;
    let before = exported(&world).await;
    let table = Table::read(b"name,subnet,reserved_ranges\nnew,10.1.0.0/24,\noffice,,10.77.0.9\n", COLUMNS);
    let outside = world.app.outside.clone();
    let import = NetworksImport { scope: Scope::Operator, outside, table: table.unwrap() };
    let outcome = world.app.write_or_try(Actor::honcho(), &import, crate::app::Trial::DryRun).await;
    expect![[r#"
        2 create network new
        3 update network office reserved_ranges: nothing -> 10.77.0.9
        [1, 1, 0]
    "#]]
    .assert_eq(&told(outcome));
    assert_eq!(exported(&world).await, before);
    let mine = NetworksImport { scope: Scope::Account(honcho_model::AccountId(1)), ..import };
    assert!(matches!(world.ask(&mine).await, Err(StoreError::Refused(Refusal::Forbidden(_)))));
}
