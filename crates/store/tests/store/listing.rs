//! Lists: filters, paging, and who sees what.

use crate::world::{World, act, name, refusal, saw, seen};
use expect_test::{Expect, expect};
use honcho_api::ImagePackage;
use honcho_model::operation::OperationKind;
use honcho_model::{AccountId, GuestId};
use honcho_store::events::{self, NewEvent};
use honcho_store::guests_desired::NewInterface;
use honcho_store::names::{self, Named};
use honcho_store::{Filters, Refusal, Scope, accounts, addresses, guest_packages, guests, images};
use honcho_store::{networks, operations};
use std::collections::HashMap;

fn filters(query: &str) -> Filters {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    });
    Filters::parse(pairs).unwrap()
}

async fn names(world: &World, query: &str) -> Vec<String> {
    let found = guests::list(world.store.reader(), Scope::System, &filters(query), world.now()).await;
    found.unwrap().into_iter().map(|guest| guest.name).collect()
}

async fn names_of(world: &World, named: Named, ids: impl IntoIterator<Item = i64>) -> HashMap<i64, String> {
    names::of(world.store.reader(), named, ids).await.unwrap()
}

async fn five() -> World {
    let world = World::new().await;
    for number in 1..=5 {
        world.guest(&format!("g{number}")).await;
    }
    world.report(saw(vec![seen(GuestId(1), 1), seen(GuestId(3), 1)])).await;
    let now = world.now();
    world.change(GuestId(5), OperationKind::Cancel, |guest| guest.cancelled_at = Some(now)).await;
    world
}

/// A reader of SQLite has a way of its own to the rows; a snapshot has not.
#[tokio::test]
async fn a_reader_and_a_snapshot_show_the_same_guests() {
    let world = five().await;
    for query in ["", "cancelled=true", "name=g2", "status=running&id=3", "limit=2&offset=1", "after=2"] {
        let filters = filters(query);
        let read = guests::list(world.store.reader(), Scope::Operator, &filters, world.now()).await.unwrap();
        let snapshot = world.store.snapshot().await.unwrap();
        let seen = guests::list(&snapshot, Scope::Operator, &filters, world.now()).await.unwrap();
        assert_eq!(read, seen, "{query}");
        assert!(!read.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn filters_and_pages() {
    let world = five().await;
    let check = async |query: &str, expected: &[&str]| {
        assert_eq!(names(&world, query).await, expected, "{query}");
    };
    check("", &["g1", "g2", "g3", "g4"]).await;
    check("cancelled=true", &["g1", "g2", "g3", "g4", "g5"]).await;
    check("name=g2", &["g2"]).await;
    check("name=g2&name=g4", &["g2", "g4"]).await;
    check("name[]=g2&name[]=g4", &["g2", "g4"]).await;
    check("name=g2&status=running", &[]).await;
    check("status=running", &["g1", "g3"]).await;
    check("status=running&status=building", &["g1", "g2", "g3", "g4"]).await;
    check("status=nonsense", &[]).await;
    check("id=1&id=4", &["g1", "g4"]).await;
    check("account_id=1&host_id=1&image_id=1&power=running", &["g1", "g2", "g3", "g4"]).await;
    check("account_id=2", &[]).await;
    check("limit=2", &["g1", "g2"]).await;
    check("limit=0", &[]).await;
    check("offset=3", &["g4"]).await;
    check("limit=2&offset=1", &["g2", "g3"]).await;
    check("status=running&offset=1", &["g3"]).await;
    check("account_id=1&order=descending&offset=1&limit=2", &["g3", "g2"]).await;
    check("after=2", &["g3", "g4"]).await;
    check("after=2&limit=1", &["g3"]).await;
    check("order=descending", &["g4", "g3", "g2", "g1"]).await;
    check("order=descending&after=3", &["g2", "g1"]).await;
    check("order=descending&limit=1&status=running", &["g3"]).await;
    check("name=g1' OR '1'='1".replace("='1", "").as_str(), &[]).await;
}

async fn check_refused(world: &World, query: &str, expected: Expect) {
    let pairs = query.split('&').map(|pair| {
        let (key, value) = pair.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    });
    let refused = match Filters::parse(pairs) {
        Err(error) => honcho_store::StoreError::from(error).to_string(),
        Ok(filters) => {
            let listed = guests::list(world.store.reader(), Scope::System, &filters, world.now()).await;
            format!("{:?}", refusal(listed))
        }
    };
    expected.assert_eq(&refused);
}

#[tokio::test]
async fn what_makes_no_list_is_told() {
    let world = World::new().await;
    check_refused(&world, "colour=red", expect![[r#"Invalid({"colour": ["is not a filter here; filters are: id, name, account_id, host_id, image_id, reference, power, cluster, role, status"]})"#]]).await;
    check_refused(&world, "id=seven", expect![[r#"Invalid({"id": ["must be a whole number"]})"#]]).await;
    check_refused(
        &world,
        "limit=-1",
        expect![[r#"refused: Invalid({"limit": ["must be a whole number"]})"#]],
    )
    .await;
    check_refused(
        &world,
        "after=99999999999999999999",
        expect![[r#"refused: Invalid({"after": ["must be a whole number"]})"#]],
    )
    .await;
    check_refused(
        &world,
        "cancelled=yes",
        expect![[r#"refused: Invalid({"cancelled": ["must be true or false"]})"#]],
    )
    .await;
    let many = vec!["id=1"; 40_000].join("&");
    check_refused(
        &world,
        &many,
        expect![[r#"Invalid({"base": ["has more than 1000 values to filter by: ask several times"]})"#]],
    )
    .await;
}

#[tokio::test]
async fn packages_are_filtered_and_counted_and_what_is_no_filter_is_told() {
    let world = World::new().await;
    let package =
        |name: &str| ImagePackage { name: name.into(), version: "1".into(), architecture: "all".into() };
    let image = world.new_image_of("with-packages", ["apt", "bash", "curl"].map(package).into()).await;
    let listed = async |query: &[(&str, &str)]| {
        let pairs = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let filters = Filters::parse(pairs).unwrap();
        let packages = images::packages(world.store.reader(), image, &filters).await;
        packages.map(|packages| packages.into_iter().map(|package| package.name).collect::<Vec<_>>())
    };
    assert_eq!(listed(&[]).await.unwrap(), ["apt", "bash", "curl"]);
    assert_eq!(listed(&[("limit", "1"), ("offset", "1")]).await.unwrap(), ["bash"]);
    assert_eq!(listed(&[("name", "curl")]).await.unwrap(), ["curl"]);
    assert_eq!(listed(&[("order", "descending"), ("limit", "2")]).await.unwrap(), ["curl", "bash"]);
    for wrong in ["colour", "after"] {
        let refused = format!("{:?}", refusal(listed(&[(wrong, "1")]).await));
        assert!(refused.contains(&format!("{wrong}\": [\"is not a filter here")), "{refused}");
    }
}

/// Everything that each list shows to a scope, by name or id.
async fn seen_by(world: &World, scope: Scope) -> String {
    let (reader, all) = (world.store.reader(), Filters { with_cancelled: true, ..Filters::default() });
    let accounts = accounts::list(reader, scope, &all).await.unwrap();
    let guests = guests::list(reader, scope, &all, world.now()).await.unwrap();
    let networks = networks::list(reader, scope, &all).await.unwrap();
    let images = images::list(reader, scope, &all).await.unwrap();
    let operations = operations::list(reader, scope, &all).await.unwrap();
    let events = events::list(reader, scope, &all).await.unwrap();
    let addresses = addresses::list(reader, scope, &all).await.unwrap();
    let held = addresses.iter().filter(|address| address.guest_id.is_some());
    format!(
        "accounts {:?}\nguests {:?}\nnetworks {:?}\nimages {:?}\noperations {:?}\nevents {:?}\naddresses {:?} of {}\n",
        accounts.iter().map(|account| &account.name).collect::<Vec<_>>(),
        guests.iter().map(|guest| &guest.name).collect::<Vec<_>>(),
        networks.iter().map(|network| &network.name).collect::<Vec<_>>(),
        images.iter().map(|image| &image.name).collect::<Vec<_>>(),
        operations.iter().map(|operation| &operation.guest_name).collect::<Vec<_>>(),
        events.iter().map(|event| &event.resource_name).collect::<Vec<_>>(),
        held.map(|address| address.address.as_str()).collect::<Vec<_>>(),
        if scope.is_operator() { "all".to_owned() } else { addresses.len().to_string() },
    )
}

#[tokio::test]
async fn an_account_sees_only_its_own() {
    let world = World::new().await;
    let other = world.new_account("rival").await;
    let network = world.new_network("rivals-own", "10.9.0.0/29", Some(other)).await;
    let image = world.new_image("rivals-image", Some(other)).await;
    world.guest("mine").await;
    let mut new = world.new_guest("theirs");
    (new.account, new.image, new.interfaces) = (other, image, vec![NewInterface::of(network)]);
    world.order(&new).await.unwrap();
    world.report(saw(vec![seen(GuestId(1), 1), seen(GuestId(2), 1)])).await;
    let host = world.host;
    let about_the_host = crate::world::act(|tx, _| {
        Box::pin(async move {
            let resource = (honcho_model::event::ResourceKind::Host, host.0, "h1");
            events::record(tx, NewEvent::info("host.add", resource, "was added")).await
        })
    });
    world.write(&about_the_host).await.unwrap();
    let check = async |scope, expected: Expect| expected.assert_eq(&seen_by(&world, scope).await);
    check(
        Scope::Account(world.account),
        expect![[r#"
        accounts ["acme"]
        guests ["mine"]
        networks ["office"]
        images ["debian-12"]
        operations ["mine"]
        events ["mine", "mine"]
        addresses ["10.77.0.2"] of 1
    "#]],
    )
    .await;
    check(
        Scope::Account(other),
        expect![[r#"
        accounts ["rival"]
        guests ["theirs"]
        networks ["office", "rivals-own"]
        images ["debian-12", "rivals-image"]
        operations ["theirs"]
        events ["theirs", "theirs"]
        addresses ["10.9.0.2"] of 1
    "#]],
    )
    .await;
    check(
        Scope::Account(AccountId(77)),
        expect![[r#"
        accounts []
        guests []
        networks ["office"]
        images ["debian-12"]
        operations []
        events []
        addresses [] of 0
    "#]],
    )
    .await;
    check(
        Scope::Operator,
        expect![[r#"
        accounts ["acme", "rival"]
        guests ["mine", "theirs"]
        networks ["office", "rivals-own"]
        images ["debian-12", "rivals-image"]
        operations ["mine", "theirs"]
        events ["mine", "mine", "theirs", "theirs", "h1"]
        addresses ["10.77.0.2", "10.9.0.2"] of all
    "#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_another_accounts_is_not_there_at_all() {
    let world = World::new().await;
    let other = world.new_account("rival").await;
    let network = world.new_network("rivals-own", "10.9.0.0/29", Some(other)).await;
    let image = world.new_image("rivals-image", Some(other)).await;
    let mut new = world.new_guest("theirs");
    new.account = other;
    let guest = world.order(&new).await.unwrap();
    let (reader, mine) = (world.store.reader(), Scope::Account(world.account));
    assert_eq!(refusal(guests::get(reader, mine, guest, world.now()).await), Refusal::NotFound("guest"));
    assert_eq!(refusal(networks::get(reader, mine, network).await), Refusal::NotFound("network"));
    assert_eq!(refusal(images::get(reader, mine, image).await), Refusal::NotFound("image"));
    assert_eq!(refusal(accounts::get(reader, mine, other).await), Refusal::NotFound("account"));
    let operation = honcho_model::OperationId(1);
    assert_eq!(refusal(operations::get(reader, mine, operation).await), Refusal::NotFound("operation"));
    let change = crate::world::act(|tx, _| Box::pin(honcho_store::guests_desired::get(tx, mine, guest)));
    assert_eq!(refusal(world.write(&change).await), Refusal::NotFound("guest"));
    // Not even by filtering for it.
    let all = filters(&format!("account_id={other}"));
    assert_eq!(guests::list(reader, mine, &all, world.now()).await.unwrap(), []);
    assert_eq!(name("theirs").as_str(), "theirs");
}

#[tokio::test]
async fn names_and_counts_are_read_at_once() {
    let world = five().await;
    let found = names_of(&world, Named::Host, [1, 1, 999]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(names_of(&world, Named::Account, []).await.is_empty());
    let counted = async |scope| {
        let mut counted = guests::counted(world.store.reader(), scope, world.now()).await.unwrap();
        counted.sort();
        counted.into_iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
    };
    let all = counted(Scope::Operator).await;
    assert!(all.contains("cancelled 1") && all.contains("running 2"), "{all}");
    assert_eq!(counted(Scope::Account(AccountId(1))).await, all);
    assert_eq!(counted(Scope::Account(AccountId(999))).await, "");
}

#[tokio::test]
async fn who_has_a_package_is_found_on_every_page_and_among_the_living_alone() {
    let world = World::new().await;
    let bash = |version: &str| ImagePackage {
        name: "bash".into(),
        version: version.into(),
        architecture: "all".into(),
    };
    let second = |package: &ImagePackage| package.version == "2";
    let mut expected = Vec::new();
    // More than two pages.
    for number in 0..1_030 {
        let version = if number % 2 == 0 { "2" } else { "1" };
        let image = world.new_image_of(&format!("image-{number}"), vec![bash(version)]).await;
        expected.extend((version == "2").then_some(image.0));
    }
    let reader = world.store.reader();
    let found = images::with_package(reader, Scope::Operator, "bash", &second).await.unwrap();
    assert_eq!(found, expected);
    let (one, other) = (world.guest("web1").await, world.guest("web2").await);
    for id in [one, other] {
        world
            .write(&act(move |tx, _| {
                Box::pin(async move { guest_packages::report(tx, id, &[bash("2")]).await })
            }))
            .await
            .unwrap();
    }
    let with = async || guest_packages::with_package(reader, Scope::Operator, "bash", &second).await.unwrap();
    world.report(saw(vec![seen(one, 1), seen(other, 1)])).await;
    world.delete(one).await;
    assert_eq!(with().await, [one.0, other.0], "it is not gone yet");
    world.report_gone(one).await;
    assert_eq!(with().await, [other.0]);
    assert_eq!(guest_packages::of(reader, one).await.unwrap(), None);
}
