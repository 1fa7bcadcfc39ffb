//! Addresses: allocated, named, given to guests, kept, released; by many at once.

#![allow(clippy::needless_raw_string_hashes)]

use super::networks::{make, named};
use super::*;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use expect_test::expect;
use honcho_api::{
    Address, AddressCreate as Wanted, AddressUpdate as Change_, InterfaceCreate, NetworkCreate as Net,
};
use honcho_model::{AccountId, AddressId, NetworkId};
use honcho_store::{Filters, addresses, networks};
use std::collections::{BTreeMap, BTreeSet};
use tower::ServiceExt as _;

async fn allocate(world: &World, scope: Scope, body: Wanted) -> StoreResult<Address> {
    world.ask(&AddressCreate { scope, body }).await
}

fn of(world: &World, network: &Network) -> Wanted {
    Wanted { account_id: Some(world.account.id), network_id: Some(network.id), ..Wanted::default() }
}

async fn release(world: &World, address: &Address) -> StoreResult<Address> {
    world.ask(&AddressRelease { scope: Scope::Operator, id: AddressId(address.id) }).await
}

async fn get(world: &World, address: &Address) -> Address {
    addresses::get(world.app.store.reader(), Scope::System, AddressId(address.id)).await.unwrap()
}

fn v4(name: &str, subnet: &str) -> Net {
    Net { subnet: Some(subnet.into()), ..named(name) }
}

#[tokio::test]
async fn an_account_has_an_address_until_it_gives_it_back() {
    let world = World::new().await;
    let wanted = Wanted {
        name: Some("WWW.acme.example.".into()),
        reference: Some("www".into()),
        ..of(&world, &world.network)
    };
    let first = allocate(&world, Scope::Operator, wanted.clone()).await.unwrap();
    assert_eq!((first.address.as_str(), first.status.as_str(), first.family), ("10.77.0.2", "allocated", 4));
    assert_eq!((first.account_id, first.kept, first.public), (Some(world.account.id), true, false));
    assert_eq!((first.name.as_deref(), first.reverse_name.as_deref()), (Some("www.acme.example"), None));
    assert!(first.allocated_at.is_some() && first.freed_at.is_none());
    let again = allocate(&world, Scope::Operator, wanted).await.unwrap();
    assert_eq!(again, first, "asked for twice with one reference");
    let named = Wanted { address: Some("10.77.0.9".into()), ..of(&world, &world.network) };
    let ninth = allocate(&world, Scope::Operator, named.clone()).await.unwrap();
    assert_eq!(ninth.address, "10.77.0.9");
    assert_eq!(
        refused(allocate(&world, Scope::Operator, named).await),
        "address 10.77.0.9 of network office is taken\n"
    );
    let body = Change_ { reverse_name: Some(Some("mail.acme.example".into())), ..Change_::default() };
    let scope = Scope::Account(AccountId(world.account.id));
    let update = AddressUpdate { scope, id: AddressId(first.id), body };
    let after = world.ask(&update).await.unwrap();
    assert_eq!(after.name.as_deref(), Some("www.acme.example"), "absent stays");
    assert_eq!(
        (after.reverse_name.as_deref(), after.lock_version),
        (Some("mail.acme.example"), first.lock_version + 1)
    );
    let stale = Change_ { name: Some(None), lock_version: Some(first.lock_version), ..Change_::default() };
    assert!(refused(world.ask(&AddressUpdate { body: stale, ..update }).await).starts_with("conflict"));
    let network =
        networks::get(world.app.store.reader(), Scope::System, NetworkId(world.network.id)).await.unwrap();
    assert_eq!((network.addresses_count, network.addresses_free), (253, 251));
    let held = NetworkDelete { scope: Scope::Operator, id: NetworkId(network.id) };
    assert_eq!(
        refused(world.ask(&held).await),
        "base 2 of its addresses are allocated to accounts: release those first\n"
    );
    world.pass(5);
    release(&world, &first).await.unwrap();
    let free = get(&world, &first).await;
    assert_eq!(
        (free.status.as_str(), free.account_id, &free.name, &free.reference),
        ("free", None, &None, &None)
    );
    assert_eq!(refused(release(&world, &first).await), "base is free already\n");
    // The longest-freed is the next: all that never were held come first.
    let next = allocate(&world, Scope::Operator, of(&world, &world.network)).await.unwrap();
    assert_eq!(next.address, "10.77.0.3");
}

#[tokio::test]
async fn an_account_sees_and_touches_its_own_alone() {
    let world = World::new().await;
    let body =
        honcho_api::AccountCreate { name: Some("rival".into()), ..honcho_api::AccountCreate::default() };
    let uuid = world.app.outside.uuid();
    let rival = world.ask(&AccountCreate { scope: Scope::Operator, uuid, body }).await.unwrap();
    let (own, other) = (Scope::Account(AccountId(world.account.id)), Scope::Account(AccountId(rival.id)));
    let body = Wanted { account_id: None, ..of(&world, &world.network) };
    let address = allocate(&world, own, body.clone()).await.unwrap();
    assert_eq!(address.account_id, Some(world.account.id));
    let seen = async |scope: Scope, filters: Filters| {
        let found = addresses::list(world.app.store.reader(), scope, &filters).await.unwrap();
        found.into_iter().map(|address| address.address).collect::<Vec<_>>()
    };
    assert_eq!(seen(own, Filters::default()).await, ["10.77.0.2"]);
    assert!(seen(other, Filters::default()).await.is_empty());
    let parse = |pair: (&str, &str)| Filters::parse([(pair.0.to_owned(), pair.1.to_owned())]).unwrap();
    assert_eq!(seen(Scope::Operator, parse(("status", "allocated"))).await, ["10.77.0.2"]);
    assert_eq!(seen(Scope::Operator, parse(("address", "10.77.0.200"))).await, ["10.77.0.200"]);
    assert_eq!(seen(Scope::Operator, parse(("status", "free"))).await.len(), 252);
    let strange = addresses::list(world.app.store.reader(), own, &parse(("address", "7"))).await;
    assert_eq!(refused(strange), "address must be an IP address\n");
    let change = AddressRelease { scope: other, id: AddressId(address.id) };
    assert_eq!(refused(world.ask(&change).await), "there is no such address");
    assert_eq!(
        refused(allocate(&world, other, Wanted { account_id: Some(world.account.id), ..body }).await),
        "account_id does not exist\n"
    );
    // What operators hold back, a customer is not given by naming it.
    let body = Net { reserved_ranges: Some(vec!["10.1.0.2-10.1.0.6".into()]), ..v4("front", "10.1.0.0/29") };
    let front = make(&world, body).await.unwrap();
    let named = Wanted { address: Some("10.1.0.2".into()), ..of(&world, &front) };
    assert_eq!(
        refused(allocate(&world, own, named.clone()).await),
        "address 10.1.0.2 is reserved: operators alone give it out\n"
    );
    let given = allocate(&world, Scope::Operator, named).await.unwrap();
    assert!(given.reserved && given.status == "allocated");
}

#[tokio::test]
async fn guests_have_cards_in_several_networks_and_both_families() {
    let world = World::new().await;
    let body = Net { subnet6: Some("fd00:1::/64".into()), ..v4("both", "10.1.0.0/24") };
    let both = make(&world, body).await.unwrap();
    let card =
        |network: &Network| InterfaceCreate { network_id: Some(network.id), ..InterfaceCreate::default() };
    let order = async |name: &str, cards: Vec<InterfaceCreate>| {
        let body = honcho_api::GuestCreate { network_id: None, interfaces: Some(cards), ..world.body(name) };
        world.order_as(Scope::Operator, body).await
    };
    let shown = |guest: &Guest| {
        let card = |card: &honcho_api::Interface| {
            format!("{} {:?} {:?}", card.network_id, card.address.as_deref(), card.address6.as_deref())
        };
        guest.interfaces.iter().map(card).collect::<Vec<_>>().join("\n") + "\n"
    };
    let web1 = order("web1", vec![card(&both), card(&world.network)]).await.unwrap();
    expect![[r#"
        2 Some("10.1.0.2") Some("fd00:1::2")
        1 Some("10.77.0.2") None
    "#]]
    .assert_eq(&shown(&web1));
    assert_eq!(web1.address.as_deref(), Some("10.1.0.2"));
    let kept = Wanted { family: Some(6), address: Some("FD00:1::AA".into()), ..of(&world, &both) };
    let kept = allocate(&world, Scope::Operator, kept).await.unwrap();
    let chosen =
        InterfaceCreate { address: Some("10.1.0.77".into()), address_id: Some(kept.id), ..card(&both) };
    // network_id says which card is the first.
    let body = honcho_api::GuestCreate {
        interfaces: Some(vec![card(&world.network), chosen]),
        network_id: Some(both.id),
        ..world.body("web2")
    };
    let web2 = world.order_as(Scope::Operator, body).await.unwrap();
    expect![[r#"
        2 Some("10.1.0.77") Some("fd00:1::aa")
        1 Some("10.77.0.3") None
    "#]]
    .assert_eq(&shown(&web2));
    assert_eq!(get(&world, &kept).await.guest_id, Some(web2.id));
    let wrong = [
        InterfaceCreate { address: Some("fd00:1::5".into()), ..card(&both) },
        InterfaceCreate { address_id: Some(kept.id), ..card(&world.network) },
        InterfaceCreate::default(),
    ];
    expect![[r#"
        interfaces "fd00:1::5" is no IPv4 address, as address is; fd00:1::aa is not of network office; must each have a network_id
    "#]]
    .assert_eq(&refused(order("web3", wrong.into()).await));
    let taken = InterfaceCreate { address: Some("10.1.0.2".into()), ..card(&both) };
    expect![[r#"
        address 10.1.0.2 of network both is taken
    "#]]
    .assert_eq(&refused(order("web3", vec![taken]).await));
    let gateway = InterfaceCreate { address: Some("10.1.0.1".into()), ..card(&both) };
    expect![[r#"
        address 10.1.0.1 is none that guests of network both can have (10.1.0.0/24 and fd00:1::/64)
    "#]]
    .assert_eq(&refused(order("web3", vec![gateway]).await));
    expect![[r#"
        interfaces names network both twice
    "#]]
    .assert_eq(&refused(order("web3", vec![card(&both), card(&both)]).await));
}

#[tokio::test]
async fn what_was_allocated_by_itself_outlives_its_guest() {
    let world = World::new().await;
    let kept = allocate(&world, Scope::Operator, of(&world, &world.network)).await.unwrap();
    let card = InterfaceCreate {
        network_id: Some(world.network.id),
        address_id: Some(kept.id),
        ..InterfaceCreate::default()
    };
    let body =
        honcho_api::GuestCreate { network_id: None, interfaces: Some(vec![card]), ..world.body("web1") };
    let guest = world.order_as(Scope::Operator, body).await.unwrap();
    let other = world.order("web2").await;
    assert_eq!((guest.address.as_deref(), other.address.as_deref()), (Some("10.77.0.2"), Some("10.77.0.3")));
    assert_eq!(get(&world, &kept).await.status, "used");
    assert_eq!(
        refused(release(&world, &kept).await),
        format!("base is guest {}'s: it is free once that is gone\n", guest.name)
    );
    for guest in [guest.id, other.id] {
        world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(guest) }).await.unwrap();
        assert_eq!(get(&world, &kept).await.status, if guest == other.id { "allocated" } else { "used" });
        world.bury(guest).await;
    }
    let after = get(&world, &kept).await;
    assert_eq!(
        (after.status.as_str(), after.account_id, after.freed_at),
        ("allocated", Some(world.account.id), None)
    );
    let filters = Filters::default().and("account_id", world.account.id);
    let held = addresses::list(world.app.store.reader(), Scope::System, &filters).await.unwrap();
    assert_eq!(held.len(), 1, "what its guest was given went with the guest");
    // It goes with its account.
    let (scope, id) = (Scope::Operator, AccountId(world.account.id));
    world.ask(&AccountCancel { scope, id, grace: Grace::None }).await.unwrap();
    assert!(world.ask(&AccountBury { id }).await.unwrap());
    assert_eq!(get(&world, &kept).await.status, "free");
}

#[tokio::test]
async fn public_addresses_count_with_and_without_a_guest_and_ipv6_does_not() {
    let world = World::new().await;
    let body = Net { subnet6: Some("2600:1f00::/64".into()), ..v4("front", "8.8.8.0/29") };
    let front = make(&world, body).await.unwrap();
    let limits = honcho_api::AccountCreate {
        limit_public_addresses: Some(Some(2)),
        ..honcho_api::AccountCreate::default()
    };
    let id = AccountId(world.account.id);
    world.ask(&AccountUpdate { scope: Scope::Operator, id, body: limits, lock_version: None }).await.unwrap();
    let kept = allocate(&world, Scope::Operator, of(&world, &front)).await.unwrap();
    let order = async |name: &str, card: InterfaceCreate| {
        let card = InterfaceCreate { network_id: Some(front.id), ..card };
        let body =
            honcho_api::GuestCreate { network_id: None, interfaces: Some(vec![card]), ..world.body(name) };
        world.order_as(Scope::Operator, body).await
    };
    order("web1", InterfaceCreate::default()).await.unwrap();
    // The one that it has already takes nothing more.
    order("web2", InterfaceCreate { address_id: Some(kept.id), ..InterfaceCreate::default() }).await.unwrap();
    let over =
        "network_id is over the account's quota of public addresses: 1 asked for, 0 left (2 of 2 used)\n";
    assert_eq!(refused(order("web3", InterfaceCreate::default()).await), over);
    assert_eq!(refused(allocate(&world, Scope::Operator, of(&world, &front)).await), over);
    let six =
        allocate(&world, Scope::Operator, Wanted { family: Some(6), ..of(&world, &front) }).await.unwrap();
    assert!(six.public);
    assert_eq!(six.address, "2600:1f00::4", "after those of the two guests");
}

#[tokio::test]
async fn ipv6_is_given_out_from_its_beginning_and_again_once_it_is_all_used() {
    let world = World::new().await;
    let body = Net {
        subnet6: Some("fd00:1::/120".into()),
        gateway6: Some("fd00:1::3".into()),
        reserved_ranges: Some(vec!["fd00:1::4-fd00:1::fd".into()]),
        ..named("six")
    };
    let network = make(&world, body).await.unwrap();
    let next = async || allocate(&world, Scope::Operator, of(&world, &network)).await;
    let named = Wanted { address: Some("fd00:1::fe".into()), ..of(&world, &network) };
    allocate(&world, Scope::Operator, named).await.unwrap();
    let mut given = Vec::new();
    for expected in ["fd00:1::1", "fd00:1::2", "fd00:1::ff"] {
        let address = next().await.unwrap();
        assert_eq!(address.address, expected);
        given.push(address);
    }
    expect![[r#"
        network_id has no free address: all 4 of network six (fd00:1::/120) are taken
    "#]]
    .assert_eq(&refused(next().await));
    for index in [2, 0] {
        world.pass(1);
        release(&world, &given[index]).await.unwrap();
    }
    assert_eq!(next().await.unwrap().address, "fd00:1::ff", "the longest-freed");
    // What is not reserved any more was never used, and comes first.
    let body = Net { reserved_ranges: Some(vec!["fd00:1::5-fd00:1::fd".into()]), ..Net::default() };
    let id = NetworkId(network.id);
    world.ask(&NetworkUpdate { scope: Scope::Operator, id, body, lock_version: None }).await.unwrap();
    assert_eq!(next().await.unwrap().address, "fd00:1::4");
    assert_eq!(next().await.unwrap().address, "fd00:1::1");
    assert!(next().await.is_err());
    let four = Wanted { family: Some(4), ..of(&world, &network) };
    assert_eq!(
        refused(allocate(&world, Scope::Operator, four).await),
        "network_id has no IPv4 addresses: network six\n"
    );
}

/// The API, asked as a client asks it.
async fn post(api: axum::Router, secret: &str, body: &serde_json::Value) -> (StatusCode, serde_json::Value) {
    let request = Request::post("/v1/addresses")
        .header(header::AUTHORIZATION, format!("Bearer {secret}"))
        .body(Body::from(body.to_string()))
        .unwrap();
    let answer = api.oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// 64 clients ask for 5,000 addresses of one network at once, each for the next as soon as it has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_clients_allocate_five_thousand_addresses() {
    const CLIENTS: usize = 64;
    const ADDRESSES: usize = 5_000;
    let world = World::new().await;
    // 8,189 addresses, of which 3,189 are held back.
    let body = Net { reserved_ranges: Some(vec!["10.1.0.2-10.1.12.118".into()]), ..v4("big", "10.1.0.0/19") };
    let network = make(&world, body).await.unwrap();
    assert_eq!(usize::try_from(network.addresses_free).unwrap(), ADDRESSES);
    let body = honcho_api::TokenCreate {
        name: Some("shop".into()),
        scope: Some("admin".into()),
        account_id: Some(world.account.id),
        guest_id: None,
        expires_in_seconds: None,
        receives_post: None,
        suite: None,
    };
    let secret = world.app.outside.secret();
    let token = TokenCreate { scope: Scope::Operator, secret, ends_with: None, body };
    let secret = world.ask(&token).await.unwrap().secret.unwrap();
    // Made once: making it writes the whole document of the API.
    let api = crate::http::router(world.app.clone());
    let left = Arc::new(AtomicU64::new(ADDRESSES as u64));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (api, secret, left) = (api.clone(), secret.clone(), left.clone());
            let wanted = serde_json::json!({ "network_id": network.id });
            tokio::spawn(async move {
                let mut given = Vec::new();
                while left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                    .is_ok()
                {
                    let (status, body) = post(api.clone(), &secret, &wanted).await;
                    assert_eq!(status, StatusCode::CREATED, "{body}");
                    given.push((body["id"].as_i64().unwrap(), body["address"].as_str().unwrap().to_owned()));
                }
                given
            })
        })
        .collect();
    let mut given = Vec::new();
    for client in clients {
        given.extend(client.await.unwrap());
    }
    let distinct: BTreeMap<i64, String> = given.iter().cloned().collect();
    let addresses_given: BTreeSet<&str> = given.iter().map(|(_, address)| address.as_str()).collect();
    assert_eq!(
        (given.len(), distinct.len(), addresses_given.len()),
        (ADDRESSES, ADDRESSES, ADDRESSES),
        "none twice"
    );
    let filters = Filters::default().and("network_id", network.id).and("account_id", world.account.id);
    let held = addresses::list(world.app.store.reader(), Scope::System, &filters).await.unwrap();
    let held: BTreeMap<i64, String> = held.into_iter().map(|address| (address.id, address.address)).collect();
    assert_eq!(held, distinct, "none lost: what was acknowledged is what is held");
    let (status, body) = post(api, &secret, &serde_json::json!({ "network_id": network.id })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    expect![[
        r#"["has no free address: of 8189 of network big (10.1.0.0/19) 5000 are taken and 3189 reserved"]"#
    ]]
    .assert_eq(&body["errors"]["network_id"].to_string());
}
