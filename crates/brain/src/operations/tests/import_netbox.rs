//! Imports from NetBox: what its devices, prefixes and VLANs become.
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]

use super::imports::{exported, told};
use super::*;
use crate::tables::netbox::NetboxImport;
use expect_test::{Expect, expect};
use honcho_api::{ImportFile, ImportOutcome};
use honcho_store::{Filters, networks, racks, sites};

const DEVICES: &str = "Name,Status,Tenant,Site,Location,Rack,Role,Manufacturer,Type,IP Address,Serial number,Asset tag,Position (U),Rack face,Out-of-band IP\n\
    Web 01.example.com,Active,Acme,FRA 1,,R1,Server,Dell,PowerEdge R650,10.0.0.7/24,S1,A-17,12.0,Front,10.0.8.7/24\n\
    sw1,Active,,FRA 1,,R1,Access Switch,Arista,7050,—,S2,,44.0,Rear,\n\
    ,Offline,,FRA 1,,R1,Patch Panel,,24 ports,,,,20.0,Front,\n\
    fw1,Planned,,AMS,,,Firewall,,SRX,,,,,,\n";

const PREFIXES: &str = "Prefix,Status,Children,VRF,Utilization,Tenant,Site,VLAN,Role,Description\n\
    10.0.0.0/8,Container,4,Global,1%,,,,,\n\
    • 10.1.0.0/16,Active,1,Global,1%,,,,,Whole\n\
    • • 10.1.2.0/24,Active,0,Global,1%,acme,,web (100),,Web servers\n\
    10.9.0.0/30,Active,0,Global,1%,,,,,Link\n\
    10.3.0.0/24,Reserved,0,Global,1%,,,,,\n\
    10.4.0.0/24,Active,0,Global,1%,,,,,\n\
    2001:db8::/64,Active,0,Global,0%,,,,,\n";

async fn import_netbox(world: &World, files: &[(&str, &str)]) -> StoreResult<ImportOutcome> {
    let file =
        |(name, text): &(&str, &str)| ImportFile { name: (*name).to_owned(), text: (*text).to_owned() };
    let files: Vec<ImportFile> = files.iter().map(file).collect();
    let import = NetboxImport::read(Scope::Operator, world.app.outside.clone(), &files)?;
    world.ask(&import).await
}

#[tokio::test]
async fn netbox_is_taken_over_once() {
    let world = World::new().await;
    let files = [("devices.csv", DEVICES), ("prefixes.csv", PREFIXES)];
    expect![[r#"
        devices.csv:2 create site fra-1
        devices.csv:2 create rack r1
        devices.csv:5 create site ams
        devices.csv:2 create host web-01-example-com
        devices.csv:3 create host sw1
        devices.csv:4 create host r1-u20
        devices.csv:5 create host fw1
        prefixes.csv:4 create network web
        prefixes.csv:7 create network net-10-4-0-0-24
        prefixes.csv:8 create network net-2001-db8-64
        note: devices that are not active in NetBox are hosts all the same: 1 offline, 1 planned
        note: the export does not say how high devices are: each new one fills one unit of its rack
        note: the export does not say how high racks are: those made have 42 units, or as many as what is in them needs
        note: new hosts with these roles have no duties, so that no guest is placed on them: Access Switch, Patch Panel
        note: the export does not say gateways: that of each new network is its first address
        note: prefixes that are no networks, for a network is a /16 to a /29: 10.9.0.0/30
        note: prefixes that are no networks, for they are containers: 10.0.0.0/8
        note: prefixes that are no networks, for they are not active: 10.3.0.0/24
        note: prefixes that are no networks, for they hold other prefixes of the file: 10.1.0.0/16
        note: left out, for Honcho has no place for it: asset_tag, ip_address, tenant, vrf
        [10, 0, 0]
    "#]].assert_eq(&told(import_netbox(&world, &files).await));
    expect![[r#"
        id,name,site,rack,position,height_units,face,vendor,model,serial,cores,memory_bought_bytes,bmc_address,duties,nics
        1,h1,,,,1,,,,,,,,hypervisor,
        2,web-01-example-com,fra-1,r1,12,1,front,Dell,PowerEdge R650,S1,,,10.0.8.7,hypervisor,
        3,sw1,fra-1,r1,44,1,rear,Arista,7050,S2,,,,none,
        4,r1-u20,fra-1,r1,20,1,front,,24 ports,,,,,none,
        5,fw1,ams,,,1,,,SRX,,,,,firewall,
    "#]].assert_eq(&exported(&world).await);
    expect![[r#"
        note: devices that are not active in NetBox are hosts all the same: 1 offline, 1 planned
        note: the export does not say how high devices are: each new one fills one unit of its rack
        note: prefixes that are no networks, for a network is a /16 to a /29: 10.9.0.0/30
        note: prefixes that are no networks, for they are containers: 10.0.0.0/8
        note: prefixes that are no networks, for they are not active: 10.3.0.0/24
        note: prefixes that are no networks, for they hold other prefixes of the file: 10.1.0.0/16
        note: left out, for Honcho has no place for it: asset_tag, ip_address, tenant, vrf
        [0, 0, 7]
    "#]]
    .assert_eq(&told(import_netbox(&world, &files).await));
    let reader = world.app.store.reader();
    assert_eq!(sites::list(reader, &Filters::default()).await.unwrap().len(), 2);
    let racks = racks::list(reader, &Filters::default()).await.unwrap();
    assert_eq!((racks.len(), racks[0].height_units), (1, 44));
    let made = networks::list(reader, Scope::Operator, &Filters::default()).await.unwrap();
    let owned = |network: &Network| {
        let subnet = network.subnet.clone().or(network.subnet6.clone()).unwrap_or_default();
        (subnet, network.account_id.is_some())
    };
    let owned: Vec<(String, bool)> = made.iter().map(owned).collect();
    let expected =
        [("10.77.0.0/24", false), ("10.1.2.0/24", true), ("10.4.0.0/24", false), ("2001:db8::/64", false)];
    assert_eq!(owned, expected.map(|(subnet, has_owner)| (subnet.to_owned(), has_owner)));
}

#[tokio::test]
async fn netbox_files_that_cannot_be_taken_are_refused_whole() {
    let world = World::new().await;
    // The fields by the names of NetBox's own import, as older versions export them.
    let devices = "name,device_role,manufacturer,device_type,site,rack,position,face,serial\n\
        web1,server,Dell,R650,fra1,r1,1,front,S1\n\
        web.1,server,Dell,R650,fra1,r1,2.5,front,S1\n\
        web-1,server,Dell,R650,fra1,r1,3,up,S1\n\
        web2,server,Dell,R650,fra1,r1,1,front,S1\n\
        ,server,Dell,R650,,,,,\n\
        web3,server,Dell,R650,,r7,,,\n";
    let prefixes =
        "prefix,status,tenant\n10.77.0.0/25,active,\n10.5.0.0/24,active,Nobody Ltd\n10.6.0.1/24,active,\n";
    let files = [("d.csv", devices), ("p.csv", prefixes)];
    expect![[r#"
        d.csv line 3: position: "2.5": Honcho counts whole units
        d.csv line 4: name: "web-1" and "web.1" (d.csv line 3) would both be host web-1
        d.csv line 4: face: must be front or rear
        d.csv line 4: name: is taken
        d.csv line 5: position: unit 1 would overlap with host web1, which fills unit 1
        d.csv line 6: name: can't be blank where there is no rack and position either
        d.csv line 7: rack: is in no site: NetBox says the site of every rack
        p.csv line 2: subnet: overlaps with network office (10.77.0.0/24)
        p.csv line 3: tenant: "Nobody Ltd": there is no account nobody-ltd; without an owner the network would be everybody's (`honcho account create nobody-ltd`)
        p.csv line 4: prefix: "10.6.0.1/24" is no prefix, as in 10.77.0.0/24
    "#]].assert_eq(&told(import_netbox(&world, &files).await));
    assert_eq!(sites::list(world.app.store.reader(), &Filters::default()).await.unwrap().len(), 0);
    let strange =
        [("x.csv", "colour,size\nred,7\n"), ("empty.csv", ""), ("d.csv", "name,type,type\na,b,c\n")];
    expect![[r#"
        base: x.csv is no export of devices, prefixes or VLANs from NetBox: it has neither a column prefix nor the columns name and type, or name and vid, but "colour, size"
        base: empty.csv is empty: its first line names the columns
        d.csv line 1: column type stands there twice
    "#]].assert_eq(&told(import_netbox(&world, &strange).await));
}

#[tokio::test]
async fn racks_of_one_name_at_several_locations_stay_apart() {
    let world = World::new().await;
    let devices = "name,type,site,location,rack,position\na,x,fra1,Room A,r1,1\nb,x,fra1,Room B,r1,1\n";
    import_netbox(&world, &[("d.csv", devices)]).await.unwrap();
    let racks = racks::list(world.app.store.reader(), &Filters::default()).await.unwrap();
    assert_eq!(racks.iter().map(|rack| rack.name.as_str()).collect::<Vec<_>>(), ["room-a-r1", "room-b-r1"]);
}

/// Networks as they came to be, a line each.
async fn made(world: &World) -> String {
    let all = networks::list(world.app.store.reader(), Scope::Operator, &Filters::default()).await.unwrap();
    let line = |network: &Network| {
        let owner = network.account_id.map(|_| " acme's").unwrap_or_default();
        let vlan = network.vlan_id.map(|id| format!(" {id}")).unwrap_or_default();
        let nets = [network.subnet.as_deref(), network.subnet6.as_deref()];
        let nets = nets.into_iter().flatten().collect::<Vec<_>>().join(" ");
        format!("{} {}{vlan} {nets}{owner}\n", network.name, network.kind)
    };
    all.iter().map(line).collect()
}

async fn check_made(world: &World, files: &[(&str, &str)], expected: Expect) {
    expected.assert_eq(&format!("{}{}", told(import_netbox(world, files).await), made(world).await));
}

/// As version 4 exports them; the prefixes of a VLAN stand below each other in one cell.
const VLANS: &str = "VID,Name,Site,Group,Prefixes,Tenant,Status,Role,Description\n\
    100,web,FRA 1,edge,\"10.1.2.0/24\n2001:db8:100::/64\",Acme,Active,,Web servers\n\
    200,db,FRA 1,edge,10.2.0.0/24,—,Active,,\n\
    300,unused,AMS,edge,,,Reserved,,\n\
    200,db,AMS,other,10.3.0.0/24,,Active,,\n";

const PREFIXES_OF_BOTH: &str = "Prefix,Status,Children,VRF,Tenant,Scope,VLAN Group,VLAN,Role,Description\n\
    10.1.2.0/24,Active,0,Global,Acme,,,web (100),,Web servers\n\
    10.1.3.0/24,Active,0,Global,Acme,,,web (100),,More web servers\n\
    10.2.0.0/24,Active,0,Global,,,,db (200),,\n\
    2001:db8::/32,Container,2,Global,,,,,,\n\
    • 2001:db8:100::/64,Active,0,Global,Acme,,,web (100),,\n\
    • 2001:db8:7::/64,Active,0,Global,,,,,,Management\n\
    fd00:9::/126,Active,0,Global,,,,,,\n\
    10.1.2.0/23,Active,0,lab,,,,lab (900),,\n";

#[tokio::test]
async fn vlans_and_ipv6_become_networks_with_or_without_a_file_of_vlans() {
    let expected = expect![[r#"
        p.csv:2 create network web
        p.csv:4 create network db
        p.csv:7 create network management
        p.csv:9 create network lab
        note: the export does not say gateways: that of each new network is its first address
        note: prefixes that are no networks, for a network of IPv6 is a /48 to a /120 of addresses that machines can have: fd00:9::/126
        note: prefixes that are no networks, for their VLAN has another one of that family, and a network has one of each: 10.1.3.0/24 (web (100), as 10.1.2.0/24)
        note: prefixes that are no networks, for their VLAN has the id of another one of the files, and an id is one network's: 10.3.0.0/24 (db (200), as 10.2.0.0/24)
        note: prefixes that are no networks, for they are containers: 2001:db8::/32
        note: VLANs that are no networks, for no prefix is in them: unused (300)
        note: left out, for Honcho has no place for it: description, group, site, vrf
        [4, 0, 0]
        office local 10.77.0.0/24
        web vlan 100 10.1.2.0/24 2001:db8:100::/64 acme's
        db vlan 200 10.2.0.0/24
        management local 2001:db8:7::/64
        lab vlan 900 10.1.2.0/23
    "#]];
    let (both, prefixes) = ([("v.csv", VLANS), ("p.csv", PREFIXES_OF_BOTH)], [("p.csv", PREFIXES_OF_BOTH)]);
    let world = World::new().await;
    check_made(&world, &both, expected).await;
    // The same files change nothing, and the prefixes by themselves come to the same.
    check_made(&world, &both, expect![[r#"
        note: prefixes that are no networks, for a network of IPv6 is a /48 to a /120 of addresses that machines can have: fd00:9::/126
        note: prefixes that are no networks, for their VLAN has another one of that family, and a network has one of each: 10.1.3.0/24 (web (100), as 10.1.2.0/24)
        note: prefixes that are no networks, for their VLAN has the id of another one of the files, and an id is one network's: 10.3.0.0/24 (db (200), as 10.2.0.0/24)
        note: prefixes that are no networks, for they are containers: 2001:db8::/32
        note: VLANs that are no networks, for no prefix is in them: unused (300)
        note: left out, for Honcho has no place for it: description, group, site, vrf
        [0, 0, 5]
        office local 10.77.0.0/24
        web vlan 100 10.1.2.0/24 2001:db8:100::/64 acme's
        db vlan 200 10.2.0.0/24
        management local 2001:db8:7::/64
        lab vlan 900 10.1.2.0/23
    "#]]).await;
    check_made(&world, &prefixes, expect![[r#"
        note: prefixes that are no networks, for a network of IPv6 is a /48 to a /120 of addresses that machines can have: fd00:9::/126
        note: prefixes that are no networks, for their VLAN has another one of that family, and a network has one of each: 10.1.3.0/24 (web (100), as 10.1.2.0/24)
        note: prefixes that are no networks, for they are containers: 2001:db8::/32
        note: left out, for Honcho has no place for it: vrf
        [0, 0, 5]
        office local 10.77.0.0/24
        web vlan 100 10.1.2.0/24 2001:db8:100::/64 acme's
        db vlan 200 10.2.0.0/24
        management local 2001:db8:7::/64
        lab vlan 900 10.1.2.0/23
    "#]]).await;
    let world = World::new().await;
    check_made(&world, &[("v.csv", VLANS)], expect![[r#"
        v.csv:2 create network web
        v.csv:4 create network db
        note: the export does not say gateways: that of each new network is its first address
        note: prefixes that are no networks, for their VLAN has the id of another one of the files, and an id is one network's: 10.3.0.0/24 (db (200), as 10.2.0.0/24)
        note: VLANs that are no networks, for no prefix is in them: unused (300)
        note: left out, for Honcho has no place for it: description, group, site
        [2, 0, 0]
        office local 10.77.0.0/24
        web vlan 100 10.1.2.0/24 2001:db8:100::/64 acme's
        db vlan 200 10.2.0.0/24
    "#]]).await;
}

#[tokio::test]
async fn older_exports_name_vlans_by_their_numbers() {
    let vlans = "ID,ID,Name,Site,Group,Prefixes,Tenant,Status,Role,Description\n\
        7,100,web,,edge,10.1.2.0/24,,Active,,\n8,200,db,,edge,,,Active,,\n";
    let prefixes = "prefix,vrf,tenant,site,vlan_group,vlan,status,role,is_pool,description\n\
        10.1.2.0/24,,,,edge,100,active,,False,\n10.2.0.0/24,,,,edge,200,active,,False,\n\
        10.4.0.0/24,,,,edge,400,active,,False,\n";
    let world = World::new().await;
    check_made(
        &world,
        &[("v.csv", vlans), ("p.csv", prefixes)],
        expect![[r#"
        p.csv:2 create network web
        p.csv:3 create network db
        p.csv:4 create network vlan-400
        note: the export does not say gateways: that of each new network is its first address
        note: left out, for Honcho has no place for it: group, is_pool, vlan_group
        [3, 0, 0]
        office local 10.77.0.0/24
        web vlan 100 10.1.2.0/24
        db vlan 200 10.2.0.0/24
        vlan-400 vlan 400 10.4.0.0/24
    "#]],
    )
    .await;
}

#[tokio::test]
async fn vlans_that_cannot_be_taken_are_named_and_what_operators_made_stays() {
    let world = World::new().await;
    let vlans = "vid,name,prefixes\n100,office,10.77.0.0/24\nmany,web,10.1.0.0/24\n200,x,10.1.0.1/24\n";
    let prefixes = "prefix,vlan,tenant\n10.5.0.0/24,web,\n10.6.0.0/24,db (5000),\n10.7.0.0/24,a (7),acme\nfd07::/64,a (7),\n";
    check_made(&world, &[("v.csv", vlans), ("p.csv", prefixes)], expect![[r#"
        p.csv line 2: vlan: "web" is no VLAN, as in web (100)
        p.csv line 3: vlan: must be from 1 to 4094
        p.csv line 5: tenant: is nobody's, and that of 10.7.0.0/24 in the same VLAN is "acme" (p.csv line 4): a network has one owner
        v.csv line 3: vid: "many" is no VLAN id, as in 100
        v.csv line 4: prefixes: "10.1.0.1/24" is no prefix, as in 10.77.0.0/24
        office local 10.77.0.0/24
    "#]]).await;
    let office = "prefix,vlan\n10.77.0.0/24,office (100)\n10.8.0.0/24,b (8)\n";
    check_made(&world, &[("p.csv", office)], expect![[r#"
        p.csv:3 create network b
        note: networks that are made otherwise here stay as they are: office is local, and in NetBox VLAN office (100)
        note: the export does not say gateways: that of each new network is its first address
        [1, 0, 1]
        office local 10.77.0.0/24
        b vlan 8 10.8.0.0/24
    "#]]).await;
    // A VLAN network has the subnets that it was made with.
    let more = "prefix,vlan\nfd08::/64,b (8)\n10.8.0.0/24,b (8)\n";
    check_made(&world, &[("p.csv", more)], expect![[r#"
        note: prefixes that are no networks, for network b has that VLAN id, and what a network is made of does not change: fd08::/64, 10.8.0.0/24
        [0, 0, 0]
        office local 10.77.0.0/24
        b vlan 8 10.8.0.0/24
    "#]]).await;
}
