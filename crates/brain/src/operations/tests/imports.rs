//! Imports of hosts: what lines do, and that all of them do or none.
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]

use super::inventory::{rack, site};
use super::*;
use crate::tables::hosts::{COLUMNS, HostsImport, Places, line};
use crate::tables::{Table, written};
use expect_test::{Expect, expect};
use honcho_api::{HostCreate, ImportOutcome, Nic};
use honcho_store::{Filters, hosts};
use proptest::prelude::*;

pub(super) fn told(outcome: StoreResult<ImportOutcome>) -> String {
    let mut told = Vec::new();
    match outcome {
        Ok(outcome) => {
            for change in &outcome.changes {
                let file = change.file_name.clone().map(|file| file + ":").unwrap_or_default();
                let details = change.details.join("; ");
                let text = format!(
                    "{file}{} {} {} {} {details}",
                    change.line, change.action, change.kind, change.name
                );
                told.push(text.trim_end().to_owned());
            }
            told.extend(outcome.notes.iter().map(|note| format!("note: {note}")));
            told.push(format!(
                "{:?}",
                [outcome.created_count, outcome.updated_count, outcome.unchanged_count]
            ));
        }
        Err(StoreError::Refused(Refusal::Invalid(errors))) => {
            for (place, texts) in errors {
                told.extend(texts.iter().map(|text| format!("{place}: {text}")));
            }
        }
        Err(other) => panic!("no refusal: {other}"),
    }
    told.join("\n") + "\n"
}

async fn import(world: &World, csv: &str) -> StoreResult<ImportOutcome> {
    let table = Table::read(csv.as_bytes(), COLUMNS)?;
    world.ask(&HostsImport { scope: Scope::Operator, outside: world.app.outside.clone(), table }).await
}

pub(super) async fn exported(world: &World) -> String {
    let reader = world.app.store.reader();
    let places = Places::read(reader).await.unwrap();
    let all = hosts::list(reader, &Filters::default(), world.app.now()).await.unwrap();
    let mut bytes = written(COLUMNS.iter().copied());
    bytes.extend(all.iter().flat_map(|host| line(host, &places)));
    String::from_utf8(bytes).unwrap()
}

async fn check(world: &World, csv: &str, expected: Expect) {
    expected.assert_eq(&told(import(world, csv).await));
}

async fn furnished() -> World {
    let world = World::new().await;
    let fra1 = site(&world, "fra1").await;
    let fra2 = site(&world, "fra2").await;
    rack(&world, &fra1, "r1", 42).await;
    rack(&world, &fra2, "r2", 10).await;
    rack(&world, &fra2, "r1", 10).await;
    world
}

#[tokio::test]
async fn hosts_are_added_and_changed_and_the_same_file_changes_nothing() {
    let world = furnished().await;
    let csv = "name,site,rack,position,height_units,vendor,serial,cores,bmc_address,duties,nics\n\
        web-1,fra1,r1,7,2,Dell,S1,64,10.0.8.7,hypervisor storage,eth0=3C-EC-EF-00-00-07 eth1=3cec.ef00.0008\n\
        web-2,fra2,,,,,,,,none,\n\
        h1,,r2,1,,,,,,,\n";
    check(
        &world,
        csv,
        expect![[r#"
        2 create host web-1
        3 create host web-2
        4 update host h1 site: nothing -> fra2; rack: nothing -> r2; position: nothing -> 1
        [2, 1, 0]
    "#]],
    )
    .await;
    check(
        &world,
        csv,
        expect![[r#"
        [0, 0, 3]
    "#]],
    )
    .await;
    expect![[r#"
        id,name,site,rack,position,height_units,face,vendor,model,serial,cores,memory_bought_bytes,bmc_address,duties,nics
        1,h1,fra2,r2,1,1,,,,,,,,hypervisor,
        2,web-1,fra1,r1,7,2,,Dell,,S1,64,,10.0.8.7,hypervisor storage,eth0=3c:ec:ef:00:00:07 eth1=3c:ec:ef:00:00:08
        3,web-2,fra2,,,1,,,,,,,,none,
    "#]].assert_eq(&exported(&world).await);
    let moved = "id,name,rack,position\n\
        2,web-one,,\n\
        1,h1,r2,9\n";
    check(
        &world,
        moved,
        expect![[r#"
        2 update host web-one name: web-1 -> web-one; rack: r1 -> nothing; position: 7 -> nothing
        3 update host h1 position: 1 -> 9
        [0, 2, 0]
    "#]],
    )
    .await;
    // Waiting hosts have no token: whoever means to join them asks for one.
    let all = hosts::list(world.app.store.reader(), &Filters::default(), world.app.now()).await.unwrap();
    assert_eq!(all.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["h1", "web-one", "web-2"]);
    let events = honcho_store::events::list(world.app.store.reader(), Scope::System, &Filters::default())
        .await
        .unwrap();
    assert_eq!(events.iter().filter(|event| event.kind == "host.add").count(), 3);
}

#[tokio::test]
async fn in_one_file_hosts_may_change_places() {
    let world = furnished().await;
    let csv = |first: i64, second: i64| {
        format!(
            "name,site,rack,position,nics\na,fra1,r1,{first},eth0=02:01:00:00:00:0{first}\nb,fra1,r1,{second},eth0=02:01:00:00:00:0{second}\n"
        )
    };
    import(&world, &csv(1, 2)).await.unwrap();
    check(
        &world,
        &csv(2, 1),
        expect![[r#"
        2 update host a position: 1 -> 2; nics: eth0=02:01:00:00:00:01 -> eth0=02:01:00:00:00:02
        3 update host b position: 2 -> 1; nics: eth0=02:01:00:00:00:02 -> eth0=02:01:00:00:00:01
        [0, 2, 0]
    "#]],
    )
    .await;
}

#[tokio::test]
async fn every_bad_line_is_named_and_nothing_is_kept() {
    let world = furnished().await;
    let before = exported(&world).await;
    let csv = "id,name,site,rack,position,height_units,cores,bmc_address,duties,nics,face\n\
        ,good,fra1,r1,1,2,,,,,\n\
        ,Bad Name,fra1,r1,1,,,,,,\n\
        99,ghost,,,,,,,,,\n\
        ,,fra1,,,,,,,,\n\
        ,lost,fra9,r1,1,,,,,,\n\
        ,lost2,fra1,r9,1,,,,,,\n\
        ,lost3,,r1,1,,,,,,\n\
        ,high,fra1,r1,42,2,,,,,\n\
        ,floating,fra1,,7,,,,,,\n\
        ,numbers,fra1,r1,one,two,3.5,nowhere,cook,eth0,top\n\
        ,good,fra1,r1,3,,,,,,\n\
        x,id,,,,,,,,,\n\
        ,macs,,,,,,,,eth0=02:00:00:00:00:01 eth0=zz,\n";
    check(
        &world,
        csv,
        expect![[r#"
        line 10: position: is a unit of a rack: say which, by rack_id
        line 11: position: "one" is no whole number
        line 11: cores: "3.5" is no whole number
        line 11: height_units: "two" is no whole number
        line 11: nics: "eth0": write NAME=MAC, as in eth0=3c:ec:ef:00:00:07
        line 11: bmc_address: is no IP address
        line 11: duties: may be hypervisor, firewall, storage, builder; not "cook"
        line 11: face: must be front or rear
        line 12: is about the same host as line 2
        line 13: id: "x" is no whole number
        line 14: nics: eth0: "zz" is no MAC address, as in 3c:ec:ef:00:00:07
        line 3: name: may hold lower-case letters, digits and inner hyphens only (as in "web-1")
        line 4: id: there is no host 99: leave it empty to add one
        line 5: name: can't be blank
        line 6: site: there is no site "fra9": `honcho site create` makes one
        line 6: position: is a unit of a rack: say which, by rack_id
        line 7: rack: there is no rack "r9" in site fra1: `honcho rack create` makes one
        line 7: position: is a unit of a rack: say which, by rack_id
        line 8: rack: is in several sites (fra1, fra2): say which
        line 8: position: is a unit of a rack: say which, by rack_id
        line 9: position: sticks out: units 42 to 43 of a rack of 42 units
    "#]],
    )
    .await;
    assert_eq!(exported(&world).await, before);
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_leaves_everything_as_it_is() {
    let world = furnished().await;
    let before = exported(&world).await;
    let table = Table::read(b"name,serial\nnew,S1\nh1,S2\n", COLUMNS).unwrap();
    let import = HostsImport { scope: Scope::Operator, outside: world.app.outside.clone(), table };
    let outcome = world.app.write_or_try(Actor::honcho(), &import, crate::app::Trial::DryRun).await;
    expect![[r#"
        2 create host new
        3 update host h1 serial: nothing -> S2
        [1, 1, 0]
    "#]]
    .assert_eq(&told(outcome));
    assert_eq!(exported(&world).await, before);
    let mine = HostsImport { scope: Scope::Account(honcho_model::AccountId(1)), ..import };
    assert!(matches!(world.ask(&mine).await, Err(StoreError::Refused(Refusal::Forbidden(_)))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    /// Whatever hosts are, their export imports again and changes nothing; also into an empty brain, by their names.
    #[test]
    fn an_export_imports_again(
        texts in proptest::collection::vec("[-=+@'a,;\"é ]{0,4}[a-z=]{1,4}", 3),
        place in proptest::option::of((1_i64..40, 1_i64..3, proptest::option::of("front|rear"))),
        cores in proptest::option::of(1_i64..1000),
        duties in proptest::collection::vec("hypervisor|firewall|storage|builder", 0..3),
        cards in 0_u8..4,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = furnished().await;
            let body = HostCreate {
                name: Some("made".into()),
                rack_id: place.as_ref().map(|_| Some(1)),
                position: place.as_ref().map(|(position, ..)| Some(*position)),
                height_units: place.as_ref().map(|(_, height, _)| *height),
                face: place.and_then(|(_, _, face)| face).map(Some),
                vendor: Some(Some(texts[0].clone())),
                model: Some(Some(texts[1].clone())),
                serial: Some(Some(texts[2].clone())),
                cores: Some(cores),
                duties: Some(duties),
                nics: Some((0..cards).map(|n| Nic { name: format!("eth{n}"), mac: format!("02:99:00:00:00:0{n}") }).collect()),
                ..HostCreate::default()
            };
            world.ask(&HostAdd { body, ..add_host(&world.app, "made") }).await.unwrap();
            let csv = exported(&world).await;
            // As a spreadsheet reads it: quotes are taken off before a cell is looked at.
            let cells = csv::Reader::from_reader(csv.as_bytes()).into_records();
            let cells: Vec<String> = cells.flat_map(|line| line.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()).collect();
            assert!(!cells.iter().any(|cell| cell.starts_with(['=', '+', '-', '@'])), "{csv}");
            assert_eq!(told(import(&world, &csv).await), "[0, 0, 2]\n", "{csv}");
            let elsewhere = furnished().await;
            let without_id: String = csv.lines().map(|line| line.split_once(',').unwrap().1.to_owned() + "\n").collect();
            import(&elsewhere, &without_id).await.unwrap();
            assert_eq!(exported(&elsewhere).await, csv);
        });
    }
}
