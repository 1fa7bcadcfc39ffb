//! Networks: kinds, families, gateways, what is reserved, and what agents can carry.

#![allow(clippy::needless_raw_string_hashes)]

use super::*;
use expect_test::expect;
use honcho_api::NetworkCreate as Body;
use honcho_model::NetworkId;

pub(super) async fn make(world: &World, body: Body) -> StoreResult<Network> {
    let uuid = world.app.outside.uuid();
    world.ask(&NetworkCreate { scope: Scope::Operator, uuid, body }).await
}

pub(super) fn named(name: &str) -> Body {
    Body { name: Some(name.into()), ..Body::default() }
}

async fn change(world: &World, network: &Network, body: Body) -> StoreResult<Network> {
    let id = NetworkId(network.id);
    world.ask(&NetworkUpdate { scope: Scope::Operator, id, body, lock_version: None }).await
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn what_is_wrong_with_a_network_is_said_at_once() {
    let world = World::new().await;
    expect![[r#"
        name can't be blank
        subnet can't be blank, unless subnet6 is given
    "#]]
    .assert_eq(&refused(make(&world, Body::default()).await));
    let wrong = Body {
        kind: Some("vlan".into()),
        vlan_id: Some(4095),
        vxlan_id: Some(7),
        subnet: Some("10.1.0.1/24".into()),
        subnet6: Some("2001:db8::/64".into()),
        gateway6: Some("2001:db9::1".into()),
        ..named("front")
    };
    expect![[r#"
        gateway6 must be an address in 2001:db8::/64 that a machine can have
        subnet has bits set to the right of its prefix: write its first address, as in 10.77.0.0/24
        vlan_id must be from 1 to 4094
        vxlan_id is for a VXLAN network only
    "#]]
    .assert_eq(&refused(make(&world, wrong).await));
    let wrong = Body {
        kind: Some("bridge".into()),
        subnet: Some("10.77.0.0/25".into()),
        gateway: Some("10.77.0.127".into()),
        gateway6: Some("fd00::1".into()),
        ..named("front")
    };
    expect![[r#"
        gateway must be an address in 10.77.0.0/25 that a machine can have
        gateway6 is the way out of subnet6, which is not given
        kind must be local, vlan or vxlan
    "#]]
    .assert_eq(&refused(make(&world, wrong).await));
    let wrong = Body {
        subnet: Some("10.1.0.0/24".into()),
        reserved_ranges: Some(texts(&["10.1.0.9-10.1.0.2", "10.2.0.1", "10.1.0.250-10.1.1.3", "all"])),
        ..named("front")
    };
    expect![[r#"
        reserved_ranges "10.1.0.9-10.1.0.2" ends before it begins; 10.2.0.1 is not in the network; 10.1.0.250-10.1.1.3 is not in the network; "all" is no range: write it as in 10.0.0.1-10.0.0.20, or as one address
    "#]]
    .assert_eq(&refused(make(&world, wrong).await));
}

#[tokio::test]
async fn a_number_is_one_networks_and_private_subnets_may_be_used_again_in_tunnels() {
    let world = World::new().await;
    let vlan = |name: &str, id: i64, subnet: &str| Body {
        kind: Some("vlan".into()),
        vlan_id: Some(id),
        subnet: Some(subnet.into()),
        ..named(name)
    };
    // The subnet of "office", which is local.
    let first = make(&world, vlan("tenant", 120, "10.77.0.0/24")).await.unwrap();
    assert_eq!((first.vlan_id, first.vxlan_id, first.kind.as_str()), (Some(120), None, "vlan"));
    expect![[r#"
        vlan_id is network tenant's
    "#]]
    .assert_eq(&refused(make(&world, vlan("other", 120, "10.78.0.0/24")).await));
    let local = |name: &str, subnet: &str| Body { subnet: Some(subnet.into()), ..named(name) };
    expect![[r#"
        subnet overlaps with network office (10.77.0.0/24)
    "#]]
    .assert_eq(&refused(make(&world, local("inner", "10.77.0.128/25")).await));
    make(&world, vlan("public", 121, "8.8.8.0/24")).await.unwrap();
    expect![[r#"
        subnet overlaps with network public (8.8.8.0/24)
    "#]]
    .assert_eq(&refused(make(&world, vlan("public2", 122, "8.8.8.128/25")).await));
    // Its number is free once it is gone.
    world.ask(&NetworkDelete { scope: Scope::Operator, id: NetworkId(first.id) }).await.unwrap();
    make(&world, vlan("other", 120, "10.78.0.0/24")).await.unwrap();
    let tunnel_of = |name: &str, id: i64| Body {
        kind: Some("vxlan".into()),
        vxlan_id: Some(id),
        subnet6: Some("fd00:1::/64".into()),
        ..named(name)
    };
    let tunnel = make(&world, tunnel_of("tunnel", 16_777_215)).await.unwrap();
    assert_eq!(
        (tunnel.subnet, tunnel.gateway, tunnel.gateway6.as_deref(), tunnel.addresses_count),
        (None, None, Some("fd00:1::1"), 0)
    );
    expect![[r#"
        vxlan_id must be from 1 to 16777215
    "#]]
    .assert_eq(&refused(make(&world, tunnel_of("more", 1 << 24)).await));
}

#[tokio::test]
async fn what_is_reserved_can_change_and_what_a_network_is_made_of_cannot() {
    let world = World::new().await;
    let body = Body {
        subnet: Some("10.1.0.0/29".into()),
        gateway: Some("10.1.0.6".into()),
        reserved_ranges: Some(texts(&["10.1.0.2", "10.1.0.1-10.1.0.2", "10.1.0.3"])),
        ..named("small")
    };
    let network = make(&world, body).await.unwrap();
    assert_eq!(network.reserved_ranges, ["10.1.0.1-10.1.0.3"]);
    assert_eq!((network.addresses_count, network.addresses_free), (5, 2));
    let order = async |name: &str| {
        let body = honcho_api::GuestCreate { network_id: Some(network.id), ..world.body(name) };
        world.order_as(Scope::Operator, body).await
    };
    assert_eq!(order("a").await.unwrap().address.as_deref(), Some("10.1.0.4"));
    assert_eq!(order("b").await.unwrap().address.as_deref(), Some("10.1.0.5"));
    expect![[r#"
        network_id has no free address: of 5 of network small (10.1.0.0/29) 2 are taken and 3 reserved
    "#]]
    .assert_eq(&refused(order("c").await));
    // Who holds one of them goes on holding it.
    let other = Body { reserved_ranges: Some(texts(&["10.1.0.4-10.1.0.5", "10.1.0.1"])), ..Body::default() };
    let changed = change(&world, &network, other.clone()).await.unwrap();
    assert_eq!((changed.addresses_free, changed.lock_version), (2, network.lock_version + 1));
    assert_eq!(change(&world, &network, other).await.unwrap().lock_version, changed.lock_version, "the same");
    assert_eq!(order("c").await.unwrap().address.as_deref(), Some("10.1.0.2"));
    let whole = serde_json::to_value(&changed).unwrap();
    let back: Body = serde_json::from_value(whole).unwrap();
    assert_eq!(change(&world, &network, back).await.unwrap().lock_version, changed.lock_version);
    let wrong = Body {
        subnet: Some("10.1.0.0/28".into()),
        vlan_id: Some(3),
        gateway: Some("10.1.0.1".into()),
        ..Body::default()
    };
    expect![[r#"
        gateway cannot change once the network is made
        subnet cannot change once the network is made
        vlan_id cannot change once the network is made
    "#]]
    .assert_eq(&refused(change(&world, &network, wrong).await));
}

#[tokio::test]
async fn no_guest_is_placed_where_no_agent_can_carry_its_network() {
    let world = World::new().await;
    let body = Body {
        kind: Some("vlan".into()),
        vlan_id: Some(7),
        subnet: Some("10.1.0.0/24".into()),
        ..named("front")
    };
    let front = make(&world, body).await.unwrap();
    let order = |scope: Scope| {
        let body = honcho_api::GuestCreate { network_id: Some(front.id), ..world.body("web1") };
        world.order_as(scope, body)
    };
    let expected = expect![[r#"
        base no host can carry a VLAN network yet: no agent has said that it can. Its addresses may be allocated all the same
    "#]];
    let own = Scope::Account(honcho_model::AccountId(world.account.id));
    for scope in [Scope::Operator, own] {
        let said = refused(order(scope).await);
        // Once agents of this tree can, it is the others that this is about.
        if !honcho_wire::CAPABILITIES.contains(&"network.vlan") {
            expected.assert_eq(&said);
        }
    }
}
