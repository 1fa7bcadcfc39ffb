//! The search: what is found by what, in which order, by whom.

use crate::world::{World, act, name};
use honcho_model::host::Duty;
use honcho_model::needle::Needle;
use honcho_model::{AccountId, DomainName, GuestId, Mac, PersonId, Right};
use honcho_store::addresses::{Holder, Wish};
use honcho_store::host_places::{self, Attributes};
use honcho_store::people::{self, NewPerson};
use honcho_store::{Scope, accounts, addresses, hosts, networks, racks, search, sites};
use std::collections::BTreeSet;
use uuid::Uuid;

async fn found(world: &World, scope: Scope, text: &str) -> Vec<String> {
    let needle = Needle::parse(text).unwrap();
    let hits = search::search(world.store.reader(), scope, &needle, 20).await.unwrap();
    let told = hits
        .into_iter()
        .map(|hit| format!("{} {}: {} {} {}", hit.kind, hit.name, hit.nearness, hit.attribute, hit.value));
    told.collect()
}

fn machine(name_of: &str, serial: &str, mac: &str, bmc: &str) -> Attributes {
    Attributes {
        name: name(name_of),
        site: None,
        rack: None,
        position: None,
        height: 1,
        face: None,
        vendor: None,
        model: Some("50% Größe_1".to_owned()),
        serial: Some(serial.to_owned()),
        cores: None,
        memory_bought: None,
        bmc_address: Some(bmc.to_owned()),
        duties: BTreeSet::from([Duty::Hypervisor]),
        nics: vec![("eth0".to_owned(), Mac::of_any_spelling(mac).unwrap())],
    }
}

/// Besides the usual: guests web, web1 and my-web of acme, two racked machines, another account, a person.
async fn furnished() -> World {
    let world = World::new().await;
    for guest in ["my-web", "web1", "web"] {
        world.guest(guest).await;
    }
    world
        .write(&act(|tx, _| {
            Box::pin(async move {
                let new = accounts::NewAccount {
                    uuid: Uuid::from_u128(77),
                    name: name("web-shop"),
                    reference: Some("Kunde_7".to_owned()),
                    grace_seconds: 1,
                    limits: honcho_model::quota::Limits::default(),
                };
                accounts::create(tx, &new).await?;
                for (number, host) in [
                    machine("rack1-07", "S419", "3c:ec:ef:00:00:07", "10.0.8.7"),
                    machine("rack1-08", "s41", "3c:ec:ef:00:00:08", "2001:db8::8"),
                ]
                .iter()
                .enumerate()
                {
                    let uuid = Uuid::from_u128(0xabcd_ef00 << 96 | number as u128);
                    let id = hosts::create(tx, uuid, &host.name).await?;
                    host_places::update(tx, id, host).await?;
                }
                let site = sites::create(tx, Uuid::from_u128(5), &name("fra1"), Some("Hanauer Landstr. 302"))
                    .await?;
                racks::create(tx, Uuid::from_u128(6), site, &name("web-rack"), 42).await?;
                let ann = NewPerson {
                    uuid: Uuid::from_u128(8),
                    login: "ann",
                    full_name: Some("Ann Webster"),
                    operator: false,
                    password_hash: None,
                };
                let ann = people::create(tx, &ann).await?;
                people::grant(tx, ann, AccountId(1), Right::Viewer).await
            })
        }))
        .await
        .unwrap();
    world
}

#[tokio::test]
async fn the_nearest_come_first_whatever_they_are() {
    let world = furnished().await;
    assert_eq!(
        found(&world, Scope::Operator, "web").await,
        [
            "guest web: exact name web",
            "account web-shop: prefix name web-shop",
            "guest web1: prefix name web1",
            "rack web-rack: prefix name web-rack",
            "guest my-web: contains name my-web",
            "person ann: contains full_name Ann Webster",
        ]
    );
    assert_eq!(found(&world, Scope::Operator, "WEB1").await, ["guest web1: exact name web1"]);
}

#[tokio::test]
async fn everything_is_found_by_what_people_have_in_hand() {
    let world = furnished().await;
    let check = async |text: &str, expected: &[&str]| {
        assert_eq!(found(&world, Scope::Operator, text).await, expected, "{text}");
    };
    check("s41", &["host rack1-08: exact serial s41", "host rack1-07: prefix serial S419"]).await;
    for mac in ["3c:ec:ef:00:00:07", "3C-EC-EF-00-00-07", "3cec.ef00.0007", "3CECEF000007"] {
        check(mac, &["host rack1-07: exact mac 3c:ec:ef:00:00:07"]).await;
    }
    check(
        "3c:ec:ef:",
        &["host rack1-07: prefix mac 3c:ec:ef:00:00:07", "host rack1-08: prefix mac 3c:ec:ef:00:00:08"],
    )
    .await;
    check("00:00:08", &["host rack1-08: contains mac 3c:ec:ef:00:00:08"]).await;
    check("0200.0000.0002", &["guest web1: exact mac 02:00:00:00:00:02"]).await;
    check("00:00:03", &["guest web: contains mac 02:00:00:00:00:03"]).await;
    check("10.0.8.7", &["host rack1-07: exact bmc_address 10.0.8.7"]).await;
    check("2001:DB8:0::8", &["host rack1-08: exact bmc_address 2001:db8::8"]).await;
    check("kunde_7", &["account web-shop: exact reference Kunde_7"]).await;
    check("landstr", &["site fra1: contains location Hanauer Landstr. 302"]).await;
    let uuid = Uuid::from_u128(0xabcd_ef00 << 96 | 1).to_string();
    check(&uuid, &[&format!("host rack1-08: exact uuid {uuid}")]).await;
    check(
        "abcdef00-0000",
        &[
            "host rack1-07: prefix uuid abcdef00-0000-0000-0000-000000000000",
            &format!("host rack1-08: prefix uuid {uuid}"),
        ],
    )
    .await;
    // What LIKE means by these is not meant.
    check("50%", &["host rack1-07: prefix model 50% Größe_1", "host rack1-08: prefix model 50% Größe_1"])
        .await;
    check(
        "gRöße_1",
        &["host rack1-07: contains model 50% Größe_1", "host rack1-08: contains model 50% Größe_1"],
    )
    .await;
    for nothing in
        ["%", "_eb", "web%", "\\", "w_b1", "gr_ße", "' OR '1'='1", "\u{1f40e}", "9223372036854775807"]
    {
        let hits = found(&world, Scope::Operator, nothing).await;
        assert!(hits.iter().all(|hit| hit.starts_with("host") && nothing == "%"), "{nothing}: {hits:?}");
    }
}

#[tokio::test]
async fn an_address_tells_its_guest_and_its_network() {
    let world = furnished().await;
    let check = async |text: &str, expected: &[&str]| {
        assert_eq!(found(&world, Scope::Operator, text).await, expected, "{text}");
    };
    // The world's network gives my-web its first address.
    let all = found(&world, Scope::Operator, "10.77.0.").await;
    let addresses: Vec<&String> = all.iter().filter(|hit| hit.starts_with("address")).collect();
    assert_eq!(addresses.len(), 3, "{all:?}");
    let first = addresses[0].split_whitespace().last().unwrap().to_owned();
    let exact = found(&world, Scope::Operator, &first).await;
    assert!(exact.contains(&format!("guest my-web: exact address {first}")), "{exact:?}");
    assert!(exact.contains(&format!("address {first}: exact address {first}")), "{exact:?}");
    assert!(
        exact.iter().any(|hit| hit.starts_with("network ") && hit.contains("contains subnet 10.77.0.0/")),
        "{exact:?}"
    );
    // One that nobody holds is found when it is asked for, and not among others.
    let free = "10.77.0.6";
    check(
        free,
        &[&format!("address {free}: exact address {free}"), "network office: contains subnet 10.77.0.0/24"],
    )
    .await;
    // One that an account holds without a guest is among them, also for that account.
    let (network, account) = (world.network, world.account);
    let allocate = act(move |tx, _| {
        Box::pin(async move {
            let network = networks::addressing(tx, Scope::System, network).await?;
            let holder = Holder { account, interface: None, name: None, reverse_name: None, reference: None };
            addresses::take(tx, &network, Wish::This([10, 77, 0, 9].into()), &holder).await
        })
    });
    world.write(&allocate).await.unwrap();
    for scope in [Scope::Operator, Scope::Account(account)] {
        let hits = found(&world, scope, "10.77.0.").await;
        assert!(hits.iter().any(|hit| hit.starts_with("address 10.77.0.9:")), "{hits:?}");
    }
    let needle = Needle::parse(&first).unwrap();
    let hits = search::search(world.store.reader(), Scope::Operator, &needle, 1).await.unwrap();
    let address = hits.iter().find(|hit| hit.kind == "address").unwrap();
    assert_eq!((address.guest_name.as_deref(), address.network_id), (Some("my-web"), Some(world.network.0)));
    assert!(address.host_name.is_some() && address.account_name.is_some());
}

#[tokio::test]
async fn an_address_is_found_by_its_names_and_a_network_by_its_ipv6_subnet() {
    let world = furnished().await;
    let (network, account) = (world.network, world.account);
    let allocate = act(move |tx, _| {
        Box::pin(async move {
            let new = networks::NewNetwork {
                subnets: networks::Subnets {
                    ipv4: None,
                    ipv6: Some(networks::Side {
                        net: "2001:db8:7::/64".parse().unwrap(),
                        gateway: "2001:db8:7::1".parse().unwrap(),
                    }),
                },
                ..networks::NewNetwork::local(
                    Uuid::from_u128(9),
                    name("six"),
                    None,
                    "10.99.0.0/24".parse().unwrap(),
                )
            };
            networks::create(tx, &new).await?;
            let network = networks::addressing(tx, Scope::System, network).await?;
            let named = [
                (11, Some("www.shop.example"), None),
                (12, Some("shop.example"), Some("mail.example")),
                (13, None, Some("shop")),
            ];
            for (last, forward, reverse) in named {
                let read = |text: Option<&str>| text.map(|text| DomainName::new(text).unwrap());
                let (name, reverse_name) = (read(forward), read(reverse));
                let holder = Holder { account, interface: None, name, reverse_name, reference: None };
                addresses::take(tx, &network, Wish::This([10, 77, 0, last].into()), &holder).await?;
            }
            Ok(())
        })
    });
    world.write(&allocate).await.unwrap();
    let check = async |scope: Scope, text: &str, expected: &[&str]| {
        assert_eq!(found(&world, scope, text).await, expected, "{text}");
    };
    let shops = [
        "address 10.77.0.13: exact reverse_name shop",
        "address 10.77.0.12: prefix name shop.example",
        "account web-shop: contains name web-shop",
        "address 10.77.0.11: contains name www.shop.example",
    ];
    check(Scope::Operator, "SHOP", &shops).await;
    check(Scope::Account(account), "shop", &[shops[0], shops[1], shops[3]]).await;
    check(Scope::Account(account), "mail.", &["address 10.77.0.12: prefix reverse_name mail.example"]).await;
    check(Scope::Account(AccountId(2)), "mail.", &[]).await;
    check(Scope::Machine(account, GuestId(2)), "mail.", &[]).await;
    check(Scope::Operator, "m_il", &[]).await;
    // One that is gone has no name any more.
    world.write(&act(|tx, _| Box::pin(addresses::release_of_account(tx, AccountId(1))))).await.unwrap();
    check(Scope::Operator, "mail.", &[]).await;
    for text in ["2001:db8:7::/64", "2001:DB8:7:0::/64"] {
        check(Scope::Operator, text, &["network six: exact subnet6 2001:db8:7::/64"]).await;
    }
    check(Scope::Operator, "2001:db8:7::c0de", &["network six: contains subnet6 2001:db8:7::/64"]).await;
    check(Scope::Operator, "2001:db8:7", &["network six: prefix subnet6 2001:db8:7::/64"]).await;
}

#[tokio::test]
async fn the_owner_finds_what_is_theirs_and_limits_hold() {
    let world = furnished().await;
    let owner = accounts::get(world.store.reader(), Scope::Operator, world.account).await.unwrap().name;
    let all = found(&world, Scope::Operator, &owner).await;
    assert_eq!(all[0], format!("account {owner}: exact name {owner}"));
    assert_eq!(
        all.iter().filter(|hit| hit.ends_with(&format!("exact account {owner}"))).count(),
        3,
        "{all:?}"
    );
    let needle = Needle::parse("e").unwrap();
    let hits = search::search(world.store.reader(), Scope::Operator, &needle, 1).await.unwrap();
    let kinds: BTreeSet<&str> = hits.iter().map(|hit| hit.kind.as_str()).collect();
    assert_eq!(kinds.len(), hits.len(), "{hits:?}");
    // The best of a kind is what is left of it.
    let needle = Needle::parse("web").unwrap();
    let hits = search::search(world.store.reader(), Scope::Operator, &needle, 1).await.unwrap();
    assert_eq!(
        hits.iter().filter(|hit| hit.kind == "guest").map(|hit| hit.name.as_str()).collect::<Vec<_>>(),
        ["web"]
    );
}

#[tokio::test]
async fn nobody_finds_what_they_may_not_see() {
    let world = furnished().await;
    let account = Scope::Account(world.account);
    let viewer = Scope::Person(PersonId(1), Right::Viewer);
    for scope in [account, viewer] {
        assert_eq!(
            found(&world, scope, "web").await,
            [
                "guest web: exact name web",
                "guest web1: prefix name web1",
                "guest my-web: contains name my-web",
            ]
        );
        for theirs in ["rack1", "S419", "3c:ec:ef:", "fra1", "ann", "web-shop", "abcdef00", "10.0.8.7"] {
            assert_eq!(found(&world, scope, theirs).await, [""; 0], "{theirs} as {scope:?}");
        }
        let addresses = found(&world, scope, "10.77.").await;
        assert_eq!(addresses.iter().filter(|hit| hit.starts_with("address")).count(), 3, "{addresses:?}");
        // One that is free is nobody's, and told to operators alone.
        let free = found(&world, scope, "10.77.0.6").await;
        assert!(!free.iter().any(|hit| hit.starts_with("address")), "{free:?}");
        let needle = Needle::parse("web1").unwrap();
        let hits = search::search(world.store.reader(), scope, &needle, 20).await.unwrap();
        assert_eq!(hits[0].host_name, None);
    }
    let admin = Scope::Person(PersonId(1), Right::Admin);
    let stranger = Scope::Account(AccountId(2));
    let machine = Scope::Machine(world.account, GuestId(2));
    for text in ["web", "10.77.0.", "02:00:00:00:00:02"] {
        for scope in [stranger, admin] {
            let hits = found(&world, scope, text).await;
            assert!(
                hits.iter().all(|hit| hit.starts_with("network office")
                    || hit == "account web-shop: prefix name web-shop"),
                "{hits:?}"
            );
        }
        let hits = found(&world, machine, text).await;
        assert!(
            hits.iter().all(|hit| hit.starts_with("guest web1") || hit.starts_with("address 10.77.0.3")),
            "{hits:?}"
        );
        assert!(!hits.is_empty());
    }
}
