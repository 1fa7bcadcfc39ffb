//! What a manifest says, over a guest's and a network's life.

use crate::world::{World, saw, seen};
use expect_test::{Expect, expect};
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_wire::{Absent, Gone, Manifest, NetworkKind, Observation, PoolKind};
use std::fmt::Write as _;

/// The manifest in a few lines.
fn show(manifest: &Manifest) -> String {
    let mut text = format!("host {}, generation {}\n", manifest.host, manifest.generation);
    if let Some(reason) = &manifest.frozen {
        writeln!(text, "frozen: {reason}").unwrap();
    }
    for pool in &manifest.pools {
        let PoolKind::Directory { path } = &pool.kind;
        writeln!(text, "pool {} at {path}, {:?}, generation {}", pool.id, pool.existence, pool.generation)
            .unwrap();
    }
    for network in &manifest.networks {
        let NetworkKind::Local { ipv4, ipv6 } = &network.kind;
        let ipv4 = ipv4.map(|subnet| format!(" {}/{}", subnet.gateway, subnet.prefix)).unwrap_or_default();
        let ipv6 = ipv6.map(|subnet| format!(" {}/{}", subnet.gateway, subnet.prefix)).unwrap_or_default();
        writeln!(text, "network {}{ipv4}{ipv6}, generation {}", network.id, network.generation).unwrap();
    }
    for guest in &manifest.guests {
        writeln!(
            text,
            "guest {} {} {:?}, boots {} {:?}/{:?}, {} {} {:?}, generation {}",
            guest.id,
            guest.name,
            guest.power,
            guest.boots_wanted,
            guest.boot_mode,
            guest.stop_mode,
            guest.memory,
            guest.root.size,
            guest.root.existence,
            guest.generation
        )
        .unwrap();
    }
    for absent in &manifest.absent {
        match absent {
            Absent::Guest { id, generation, volumes, interfaces, .. } => {
                let volumes: Vec<_> = volumes.iter().map(|volume| volume.id.0).collect();
                writeln!(
                    text,
                    "absent: guest {id} with volumes {volumes:?} and interfaces {interfaces:?}, generation {generation}"
                )
                .unwrap();
            }
            Absent::Network { id, generation, .. } => {
                writeln!(text, "absent: network {id}, generation {generation}").unwrap();
            }
        }
    }
    text
}

async fn check(world: &World, expected: Expect) {
    expected.assert_eq(&show(&world.manifest().await));
}

#[tokio::test]
async fn a_guest_from_order_to_grave() {
    let world = World::new().await;
    check(
        &world,
        expect![[r#"
        host 1, generation 2
        pool 1 at /pool, Make, generation 1
    "#]],
    )
    .await;

    let id = world.guest("web1").await;
    check(
        &world,
        expect![[r#"
        host 1, generation 3
        pool 1 at /pool, Make, generation 1
        network 1 10.77.0.1/24, generation 1
        guest 1 web1 Running, boots 1 Soft/Soft, 512M 3G Make, generation 1
    "#]],
    )
    .await;

    world.report(saw(vec![seen(id, 1)])).await;
    world
        .change(id, OperationKind::Stop, |guest| {
            guest.power = Power::Stopped;
            guest.stop_hard = true;
        })
        .await;
    check(
        &world,
        expect![[r#"
        host 1, generation 5
        pool 1 at /pool, Make, generation 1
        network 1 10.77.0.1/24, generation 1
        guest 1 web1 Stopped, boots 1 Soft/Hard, 512M 3G Existing, generation 2
    "#]],
    )
    .await;

    world
        .change(id, OperationKind::Start, |guest| {
            guest.power = Power::Running;
            guest.boots_wanted += 1;
        })
        .await;
    let now = world.now();
    world.change(id, OperationKind::Cancel, |guest| guest.cancelled_at = Some(now)).await;
    check(
        &world,
        expect![[r#"
        host 1, generation 7
        pool 1 at /pool, Make, generation 1
        network 1 10.77.0.1/24, generation 1
        guest 1 web1 Stopped, boots 2 Soft/Hard, 512M 3G Existing, generation 4
    "#]],
    )
    .await;

    world.delete(id).await;
    check(
        &world,
        expect![[r#"
        host 1, generation 8
        pool 1 at /pool, Make, generation 1
        network 1 10.77.0.1/24, generation 1
        absent: guest 1 with volumes [1] and interfaces [InterfaceId(1)], generation 5
    "#]],
    )
    .await;

    world.report_gone(id).await;
    check(
        &world,
        expect![[r#"
        host 1, generation 9
        pool 1 at /pool, Make, generation 1
        absent: network 1, generation 2
    "#]],
    )
    .await;

    let network = world.network;
    let gone = |generation| Observation {
        gone: vec![Gone::Network { id: network, generation: honcho_model::Generation(generation) }],
        ..Observation::default()
    };
    world.report(gone(1)).await;
    check(
        &world,
        expect![[r#"
        host 1, generation 9
        pool 1 at /pool, Make, generation 1
        absent: network 1, generation 2
    "#]],
    )
    .await;
    world.report(gone(2)).await;
    check(
        &world,
        expect![[r#"
        host 1, generation 10
        pool 1 at /pool, Make, generation 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_network_wanted_again_is_not_taken_away_by_a_late_report() {
    let world = World::new().await;
    let first = world.guest("web1").await;
    world.delete(first).await;
    world.report_gone(first).await;
    world.guest("web2").await;
    // The agent took the bridge away before it heard that it is wanted again.
    let gone = Gone::Network { id: world.network, generation: honcho_model::Generation(2) };
    world.report(Observation { gone: vec![gone], ..Observation::default() }).await;
    check(
        &world,
        expect![[r#"
        host 1, generation 6
        pool 1 at /pool, Make, generation 1
        network 1 10.77.0.1/24, generation 3
        guest 2 web2 Running, boots 1 Soft/Soft, 512M 3G Make, generation 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_new_guest_in_full() {
    let world = World::new().await;
    world.guest("web1").await;
    let manifest = world.manifest().await;
    let text = serde_json::to_string_pretty(&manifest.guests[0]).unwrap();
    expect![[r#"
        {
          "id": 1,
          "uuid": "00000000-0000-0000-0000-000000000105",
          "name": "web1",
          "account": 1,
          "epoch": 1,
          "generation": 1,
          "power": "running",
          "start_alone": false,
          "boots_wanted": 1,
          "boots_waived": 0,
          "boot_mode": "soft",
          "stop_mode": "soft",
          "memory": 536870912,
          "vcpus": 1,
          "root": {
            "id": 1,
            "uuid": "00000000-0000-0000-0000-000000000106",
            "pool": 1,
            "size": 3221225472,
            "existence": "make",
            "given_up": false,
            "image": {
              "digest": "0707070707070707070707070707070707070707070707070707070707070707",
              "compressed": 104857600,
              "unpacked": 314572800
            }
          },
          "interfaces": [
            {
              "id": 1,
              "network": 1,
              "mac": "02:00:00:00:00:01",
              "addresses": [
                {
                  "address": "10.77.0.2",
                  "prefix": 24,
                  "gateway": "10.77.0.1"
                }
              ]
            }
          ],
          "ssh_keys": [
            "ssh-ed25519 AAAA"
          ]
        }"#]]
    .assert_eq(&text);
}

#[tokio::test]
async fn a_frozen_host_is_told_why() {
    let world = World::new().await;
    let host = world.host;
    let freeze =
        crate::world::act(|tx, _| Box::pin(honcho_store::hosts::freeze(tx, host, "two agents use it")));
    assert!(world.write(&freeze).await.unwrap());
    check(
        &world,
        expect![[r#"
        host 1, generation 3
        frozen: two agents use it
        pool 1 at /pool, Make, generation 1
    "#]],
    )
    .await;
    // Frozen once is frozen: nothing changed, so nobody is woken.
    world.pass(10);
    assert!(!world.write(&freeze).await.unwrap());
    check(
        &world,
        expect![[r#"
        host 1, generation 3
        frozen: two agents use it
        pool 1 at /pool, Make, generation 1
    "#]],
    )
    .await;
}
