//! Sites, racks and what stands in them.

use super::*;
use honcho_api::{HostCreate, Nic, Rack, RackCreate as RackBody, San, SanCreate as SanBody, Site};
use honcho_model::{RackId, SanId, SiteId};

pub(super) async fn site(world: &World, name: &str) -> Site {
    let body = honcho_api::SiteCreate { name: Some(name.into()), location: None };
    let change = SiteCreate { scope: Scope::Operator, uuid: world.app.outside.uuid(), body };
    world.ask(&change).await.unwrap()
}

pub(super) async fn rack(world: &World, site: &Site, name: &str, height: i64) -> Rack {
    let body = RackBody { name: Some(name.into()), site_id: Some(site.id), height_units: Some(height) };
    let change = RackCreate { scope: Scope::Operator, uuid: world.app.outside.uuid(), body };
    world.ask(&change).await.unwrap()
}

async fn add(world: &World, name: &str, body: HostCreate) -> StoreResult<Host> {
    let add = add_host(&world.app, name);
    world.ask(&HostAdd { body: HostCreate { name: Some(name.into()), ..body }, ..add }).await
}

async fn update(world: &World, id: i64, body: HostCreate) -> StoreResult<Host> {
    world.ask(&HostUpdate { scope: Scope::Operator, id: HostId(id), body, lock_version: None }).await
}

fn at(rack: &Rack, position: i64, height: i64) -> HostCreate {
    HostCreate {
        rack_id: Some(Some(rack.id)),
        position: Some(Some(position)),
        height_units: Some(height),
        ..HostCreate::default()
    }
}

#[tokio::test]
async fn two_hosts_never_overlap_and_none_sticks_out() {
    let world = World::new().await;
    let rack = rack(&world, &site(&world, "fra1").await, "r1", 10).await;
    let h2 = add(&world, "h2", at(&rack, 3, 2)).await.unwrap();
    assert_eq!((h2.site_id, h2.position, h2.height_units), (Some(rack.site_id), Some(3), 2));
    assert_eq!(
        refused(add(&world, "h3", at(&rack, 4, 3)).await),
        "position units 4 to 6 would overlap with host h2, which fills units 3 to 4\n"
    );
    assert_eq!(
        refused(add(&world, "h3", at(&rack, 10, 2)).await),
        "position sticks out: units 10 to 11 of a rack of 10 units\n"
    );
    assert!(refused(add(&world, "h3", at(&rack, 0, 1)).await).contains("sticks out"));
    assert!(refused(add(&world, "h3", at(&rack, 1, 1 << 40)).await).contains("height_units must be"));
    // It may move to where it half stands already.
    let moved = update(&world, h2.id, at(&rack, 4, 2)).await.unwrap();
    assert_eq!((moved.position, moved.lock_version), (Some(4), h2.lock_version + 1));
    add(&world, "h3", at(&rack, 3, 1)).await.unwrap();
    // What fills only the front leaves the rear.
    let face = |face: &str| HostCreate { face: Some(Some(face.into())), ..at(&rack, 8, 1) };
    add(&world, "front", face("front")).await.unwrap();
    add(&world, "rear", face("rear")).await.unwrap();
    assert!(refused(add(&world, "h4", at(&rack, 8, 1)).await).contains("host front"));
    let low = RackBody { height_units: Some(7), ..RackBody::default() };
    let lower = RackUpdate { scope: Scope::Operator, id: RackId(rack.id), body: low, lock_version: None };
    assert!(refused(world.ask(&lower).await).starts_with("height_units is too low: host "));
}

#[tokio::test]
async fn of_many_at_once_for_one_place_one_has_it() {
    let world = World::new().await;
    let rack = rack(&world, &site(&world, "fra1").await, "r1", 42).await;
    let names: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    let tried = names.iter().map(|name| add(&world, name, at(&rack, 7, 2)));
    let outcomes = futures::future::join_all(tried).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refusal in outcomes.into_iter().filter(Result::is_err) {
        assert!(refused(refusal).starts_with("position "));
    }
}

#[tokio::test]
async fn what_holds_something_is_not_deleted_and_says_what() {
    let world = World::new().await;
    let site = site(&world, "fra1").await;
    let rack = rack(&world, &site, "r1", 42).await;
    let h2 = add(&world, "h2", at(&rack, 1, 1)).await.unwrap();
    let scope = Scope::Operator;
    let (delete_site, delete_rack) =
        (SiteDelete { scope, id: SiteId(site.id) }, RackDelete { scope, id: RackId(rack.id) });
    assert_eq!(
        refused(world.ask(&delete_site).await),
        "base still holds host h2, rack r1: move or delete those first\n"
    );
    assert_eq!(
        refused(world.ask(&delete_rack).await),
        "base still holds host h2: move or delete those first\n"
    );
    world.ask(&HostDelete { scope, id: HostId(h2.id) }).await.unwrap();
    world.ask(&delete_rack).await.unwrap();
    world.ask(&delete_site).await.unwrap();
}

#[tokio::test]
async fn a_mac_is_one_living_hosts() {
    let world = World::new().await;
    let nic = |name: &str, mac: &str| Nic { name: name.into(), mac: mac.into() };
    let with = |nics: Vec<Nic>| HostCreate { nics: Some(nics), ..HostCreate::default() };
    let h2 = add(&world, "h2", with(vec![nic("eth0", "3CEC.EF00.0007")])).await.unwrap();
    assert_eq!(h2.nics, [nic("eth0", "3c:ec:ef:00:00:07")]);
    assert_eq!(
        refused(add(&world, "h3", with(vec![nic("eth0", "3c-ec-ef-00-00-07")])).await),
        "nics 3c:ec:ef:00:00:07 is host h2's\n"
    );
    assert!(
        refused(add(&world, "h3", with(vec![nic("a b", "x")])).await)
            .contains("is no name of a network card")
    );
    world.ask(&HostDelete { scope: Scope::Operator, id: HostId(h2.id) }).await.unwrap();
    add(&world, "h3", with(vec![nic("eth0", "3c-ec-ef-00-00-07")])).await.unwrap();
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_a_stale_one_nothing() {
    let world = World::new().await;
    let body = HostCreate {
        vendor: Some(Some(" Supermicro ".into())),
        bmc_address: Some(Some("2001:DB8::1".into())),
        cores: Some(Some(64)),
        ..HostCreate::default()
    };
    let host = update(&world, world.host.id, body.clone()).await.unwrap();
    assert_eq!(
        (host.vendor.as_deref(), host.bmc_address.as_deref()),
        (Some("Supermicro"), Some("2001:db8::1"))
    );
    assert_eq!(host.duties, ["hypervisor"], "a new host is one");
    assert_eq!(
        update(&world, host.id, body).await.unwrap().lock_version,
        host.lock_version,
        "nothing changed"
    );
    let forget = HostCreate { vendor: Some(None), ..HostCreate::default() };
    let stale = HostUpdate {
        scope: Scope::Operator,
        id: HostId(host.id),
        body: forget.clone(),
        lock_version: Some(host.lock_version - 1),
    };
    assert!(refused(world.ask(&stale).await).starts_with("conflict"));
    let forgotten = update(&world, host.id, forget).await.unwrap();
    assert_eq!((forgotten.vendor, forgotten.cores), (None, Some(64)));
    let bad = HostCreate {
        bmc_address: Some(Some("bmc1".into())),
        duties: Some(vec!["cook".into()]),
        face: Some(Some("left".into())),
        position: Some(Some(1)),
        site_id: Some(Some(99)),
        ..HostCreate::default()
    };
    expect_test::expect![[r#"
        bmc_address is no IP address
        duties may be hypervisor, firewall, storage, builder; not "cook"
        face must be front or rear
        position is a unit of a rack: say which, by rack_id
        site_id does not exist
    "#]]
    .assert_eq(&refused(update(&world, host.id, bad).await));
}

#[tokio::test]
async fn guests_are_placed_on_hypervisors_only() {
    let world = World::new().await;
    let duties = |duty: &str| HostCreate { duties: Some(vec![duty.into()]), ..HostCreate::default() };
    update(&world, world.host.id, duties("firewall")).await.unwrap();
    let refusal = refused(world.order_as(Scope::Operator, world.body("web1")).await);
    assert!(refusal.contains("h1: has not the duty hypervisor"), "{refusal}");
    update(&world, world.host.id, duties("hypervisor")).await.unwrap();
    world.order("web1").await;
}

#[tokio::test]
async fn a_san_is_written_down_and_never_used() {
    let world = World::new().await;
    let body = SanBody {
        name: Some("san1".into()),
        target: Some("10.0.9.1:3260".into()),
        size_bytes: Some(Some(40 << 40)),
        host_ids: Some(vec![world.host.id, world.host.id]),
        ..SanBody::default()
    };
    let change = SanCreate { scope: Scope::Operator, uuid: world.app.outside.uuid(), body };
    let san: San = world.ask(&change).await.unwrap();
    assert_eq!((san.status.as_str(), san.host_ids.as_slice()), ("recorded", [world.host.id].as_slice()));
    let snapshot = world.app.store.snapshot().await.unwrap();
    let manifest = honcho_store::manifests::render(&snapshot, HostId(world.host.id)).await.unwrap().unwrap();
    drop(snapshot);
    assert_eq!(manifest.pools.len(), 1, "the directory alone");
    let body = SanBody { host_ids: Some(vec![99]), ..SanBody::default() };
    let change = SanUpdate { scope: Scope::Operator, id: SanId(san.id), body, lock_version: None };
    assert_eq!(refused(world.ask(&change).await), "host_ids does not exist\n");
    let body = SanBody { host_ids: Some(vec![]), ..SanBody::default() };
    let change = SanUpdate { body, ..change };
    assert!(world.ask(&change).await.unwrap().host_ids.is_empty());
    world.ask(&SanDelete { scope: Scope::Operator, id: SanId(san.id) }).await.unwrap();
}
