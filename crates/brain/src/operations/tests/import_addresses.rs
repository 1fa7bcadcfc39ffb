//! Imports of addresses: what lines do, and that all of them do or none.
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]

use super::import_networks::{self, OF_EACH_KIND, without_ids};
use super::imports::told;
use super::*;
use crate::tables::addresses::{AddressesImport, COLUMNS, Surroundings, held, line};
use crate::tables::{Table, written};
use expect_test::{Expect, expect};
use honcho_api::ImportOutcome;
use honcho_store::{Filters, addresses};

async fn import(world: &World, csv: &str) -> StoreResult<ImportOutcome> {
    let table = Table::read(csv.as_bytes(), COLUMNS)?;
    world.ask(&AddressesImport { scope: Scope::Operator, table }).await
}

async fn exported(world: &World) -> String {
    let reader = world.app.store.reader();
    let around = Surroundings::read(reader, Scope::Operator).await.unwrap();
    let all = addresses::list(reader, Scope::Operator, &held(Filters::default())).await.unwrap();
    let mut bytes = written(COLUMNS.iter().copied());
    bytes.extend(all.iter().flat_map(|address| line(address, &around)));
    String::from_utf8(bytes).unwrap()
}

async fn check(world: &World, csv: &str, expected: Expect) {
    expected.assert_eq(&told(import(world, csv).await));
}

/// The world with a network of each kind.
async fn furnished() -> World {
    let world = World::new().await;
    import_networks::import(&world, OF_EACH_KIND).await.unwrap();
    world
}

/// Of both families, one in a network whose name an account has as well, one reserved.
const HELD: &str = "network,address,account,name,reverse_name,reference\n\
    front,10.1.0.20,acme,WWW.Acme.Example.,www.acme.example,\"=HYPERLINK(\"\"x\"\");=1\"\n\
    front,2001:DB8:77:0::20,acme,www.acme.example,,\n\
    six,fd00:6::100,acme,,,\n\
    office,10.77.0.2,acme,,,\n";

#[tokio::test]
async fn addresses_are_allocated_and_named_and_the_same_file_changes_nothing() {
    let world = furnished().await;
    check(
        &world,
        HELD,
        expect![[r#"
        2 create address 10.1.0.20
        3 create address 2001:db8:77::20
        4 create address fd00:6::100
        5 create address 10.77.0.2
        [4, 0, 0]
    "#]],
    )
    .await;
    check(
        &world,
        HELD,
        expect![[r#"
        [0, 0, 4]
    "#]],
    )
    .await;
    // What a guest has is told, and stays as it is.
    world.order("web1").await;
    let csv = exported(&world).await;
    expect![[r#"
        id,network,address,account,name,reverse_name,reference,status,guest_id
        1,office,10.77.0.2,acme,,,,allocated,
        2,office,10.77.0.3,acme,,,,used,1
        525,front,10.1.0.20,acme,www.acme.example,www.acme.example,"'=HYPERLINK(""x"");'=1",allocated,
        760,front,2001:db8:77::20,acme,www.acme.example,,,allocated,
        761,six,fd00:6::100,acme,,,,allocated,
    "#]]
    .assert_eq(&csv);
    check(
        &world,
        &csv,
        expect![[r#"
        [0, 0, 5]
    "#]],
    )
    .await;
    // Another brain gives out the same addresses; it has no guest yet.
    let elsewhere = furnished().await;
    import(&elsewhere, &without_ids(&csv)).await.unwrap();
    assert_eq!(exported(&elsewhere).await, csv.replace(",used,1\n", ",allocated,\n"));
    let renamed = "network,address,account,name,reverse_name\noffice,10.77.0.2,acme,mail.acme.example,\n\
        front,10.1.0.20,acme,,www.acme.example\noffice,10.77.0.77,,,\n";
    check(
        &world,
        renamed,
        expect![[r#"
        2 update address 10.77.0.2 name: nothing -> mail.acme.example
        3 update address 10.1.0.20 name: www.acme.example -> nothing
        [0, 2, 1]
    "#]],
    )
    .await;
    // Two networks have this name and this address, one of them acme's.
    check(
        &world,
        "network,address,name\nfront,10.1.0.20,www.acme.example\nsix,fd00:6::100,six.acme.example\n",
        expect![[r#"
        line 2: network: is the name of several networks with 10.1.0.20 in them: say whose, in a column account
    "#]],
    )
    .await;
}

#[tokio::test]
async fn every_bad_line_is_named_and_nothing_is_kept() {
    let world = furnished().await;
    let body = honcho_api::AccountCreate {
        name: Some("rival".into()),
        limit_public_addresses: Some(Some(0)),
        ..honcho_api::AccountCreate::default()
    };
    let uuid = world.app.outside.uuid();
    world.ask(&AccountCreate { scope: Scope::Operator, uuid, body }).await.unwrap();
    import(&world, HELD).await.unwrap();
    import_networks::import(&world, "name,kind,vlan_id,subnet\npublic,vlan,8,8.8.8.0/24\n").await.unwrap();
    let before = exported(&world).await;
    let csv = "id,network,address,account,name,reverse_name,reference\n\
        ,office,10.77.0.9,acme,,,\n\
        ,office,10.77.0.9,acme,,,\n\
        ,office,10.78.0.9,acme,,,\n\
        ,office,nonsense,acme,,,\n\
        ,,10.77.0.10,acme,,,\n\
        ,nowhere,10.77.0.10,acme,,,\n\
        ,office,10.77.0.10,nobody,,,\n\
        ,office,10.77.0.10,,www.example.com,,\n\
        ,office,10.77.0.2,rival,,,\n\
        ,office,10.77.0.1,acme,,,\n\
        ,front,10.1.0.20,acme,bad name,-,other\n\
        ,office,10.77.0.11,acme,,,\"=HYPERLINK(\"\"x\"\");=1\"\n\
        ,public,8.8.8.8,rival,,,\n\
        9999999,office,10.77.0.12,acme,,,\n\
        1,front,10.1.0.3,acme,,,\n\
        one,,,acme,,,\n\
        ,office,10.77.0.13,acme,,,\"a\nb\"\n\
        ,front,10.1.0.30,,,,\n";
    check(&world, csv, expect![[r#"
        line 10: account: is acme's: `honcho address release` gives it back, if that is meant
        line 11: address: 10.77.0.1 is none that guests of network office can have (10.77.0.0/24)
        line 12: reference: cannot change while the address is held
        line 12: name: is no DNS name, as in www.example.com: labels of letters, digits and inner hyphens, 63 characters each at most
        line 12: reverse_name: is no DNS name, as in www.example.com: labels of letters, digits and inner hyphens, 63 characters each at most
        line 13: reference: is that of 10.1.0.20
        line 14: network: is over the account's quota of public addresses: 1 asked for, 0 left (0 of 0 used)
        line 15: id: there is no address 9999999: leave it empty to go by network and address
        line 16: id: is that of 10.77.0.2 in network office
        line 17: id: "one" is no whole number
        line 18: reference: must be one line, without control characters
        line 3: is about the same address as line 2
        line 4: network: there is no network "office" with 10.78.0.9 in it
        line 5: address: "nonsense" is no IP address
        line 6: network: can't be blank
        line 7: network: there is no network "nowhere" with 10.77.0.10 in it
        line 8: account: there is no account "nobody": `honcho account create` makes one
        line 9: is about the same address as line 8
    "#]]).await;
    assert_eq!(exported(&world).await, before);
    // To empty whose it is would be to give it back.
    check(
        &world,
        "network,address,account\nsix,fd00:6::100,\n",
        expect![[r#"
        line 2: account: is acme's: `honcho address release` gives it back, if that is meant
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_operators_alone_import() {
    let world = furnished().await;
    let before = exported(&world).await;
    let table = Table::read(HELD.as_bytes(), COLUMNS).unwrap();
    let import = AddressesImport { scope: Scope::Operator, table };
    let outcome = world.app.write_or_try(Actor::honcho(), &import, crate::app::Trial::DryRun).await;
    expect![[r#"
        2 create address 10.1.0.20
        3 create address 2001:db8:77::20
        4 create address fd00:6::100
        5 create address 10.77.0.2
        [4, 0, 0]
    "#]]
    .assert_eq(&told(outcome));
    assert_eq!(exported(&world).await, before);
    let mine = AddressesImport { scope: Scope::Account(honcho_model::AccountId(1)), ..import };
    assert!(matches!(world.ask(&mine).await, Err(StoreError::Refused(Refusal::Forbidden(_)))));
}

#[tokio::test]
async fn a_reference_is_a_line_of_text() {
    let world = World::new().await;
    let body = honcho_api::AddressCreate {
        network_id: Some(world.network.id),
        account_id: Some(world.account.id),
        reference: Some("a\0b".into()),
        ..honcho_api::AddressCreate::default()
    };
    let change = AddressCreate { scope: Scope::Operator, body };
    expect![[r#"
        reference must be one line, without control characters
    "#]]
    .assert_eq(&refused(world.ask(&change).await));
}
