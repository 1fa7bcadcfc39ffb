//! The bridge driver against a real kernel, each test in a network namespace of its own, which goes with its process.

use super::{BridgeNetwork, bridge::table_name, wipe};
use crate::drivers::{BridgeSeen, DriverError, Network, bridge_name};
use honcho_model::{Generation, InterfaceId, NetworkId};
use honcho_wire::{NetworkKind, NetworkWanted, SubnetWanted};
use std::net::Ipv6Addr;
use std::process::Command;
use std::time::{Duration, Instant};
use uuid::Uuid;

const BRAIN: Uuid = Uuid::from_u128(0xb);
/// Cards of guests: one in network 1, one in network 2.
const PLUGS: &[(InterfaceId, NetworkId)] = &[(InterfaceId(1), NetworkId(1)), (InterfaceId(2), NetworkId(2))];
const INSIDE: &str = "HONCHO_TEST_INSIDE";

/// Runs `body` in a fresh network namespace: this test once more, in a process that `unshare` starts.
#[allow(clippy::print_stdout, clippy::print_stderr)]
fn in_a_namespace<F: Future<Output = ()>>(test: &str, body: impl FnOnce() -> F) {
    if std::env::var_os(INSIDE).is_some() {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(body());
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {test}: it needs root, to make a network namespace");
        return;
    }
    let output = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("network::tests::{test}"), "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && printed.contains("1 passed"), "{test} failed in its namespace");
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that a network changes on a host.
fn host_state() -> String {
    sh("ip -o link | cut -d: -f2 | sort; ip -o -4 address; ip -o -6 address show scope global; nft list ruleset
        cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
        grep . /proc/sys/net/ipv6/conf/*/accept_ra")
}

/// Three uplinks: one listens to routers as the kernel's default is, one was told to always, one never does.
const UPLINKS: &str = "for uplink in 1 2 0; do ip link add up$uplink type veth peer name there$uplink
    echo $uplink > /proc/sys/net/ipv6/conf/up$uplink/accept_ra; echo 0 > /proc/sys/net/ipv6/conf/there$uplink/accept_ra; done";

/// What is set of IPv6: forwarding, and whether each of the uplinks listens.
fn ipv6_switches() -> String {
    let script =
        "cd /proc/sys/net/ipv6/conf; echo $(cat all/forwarding up1/accept_ra up2/accept_ra up0/accept_ra)";
    sh(script).trim().to_owned()
}

fn network(id: i64, third: u8) -> NetworkWanted {
    NetworkWanted {
        id: NetworkId(id),
        uuid: Uuid::from_u128(u128::try_from(id).unwrap()),
        generation: Generation(1),
        kind: NetworkKind::Local {
            ipv4: Some(SubnetWanted { gateway: [10, 77, third, 1].into(), prefix: 24 }),
            ipv6: None,
        },
    }
}

/// The same network with IPv6 beside IPv4.
fn dual(id: i64, third: u8) -> NetworkWanted {
    let mut network = network(id, third);
    let NetworkKind::Local { ipv6, .. } = &mut network.kind;
    let gateway = Ipv6Addr::new(0xfd77, third.into(), 0, 0, 0, 0, 0, 1);
    *ipv6 = Some(SubnetWanted { gateway, prefix: 64 });
    network
}

/// The same network with IPv6 alone.
fn ipv6_alone(id: i64, third: u8) -> NetworkWanted {
    let mut network = dual(id, third);
    let NetworkKind::Local { ipv4, .. } = &mut network.kind;
    *ipv4 = None;
    network
}

async fn look(wanted: &NetworkWanted) -> Option<BridgeSeen> {
    let seen = BridgeNetwork::new().look(BRAIN, std::slice::from_ref(wanted), PLUGS).await.unwrap();
    seen.into_iter().find(|bridge| bridge.id == wanted.id)
}

async fn ready(wanted: &NetworkWanted) -> bool {
    look(wanted).await.is_some_and(|bridge| bridge.ready)
}

fn later(result: Result<(), DriverError>) -> String {
    match result {
        Err(DriverError::Later(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_network_comes_and_goes() {
    in_a_namespace("a_network_comes_and_goes", async || {
        sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
        sh(
            "nft add table inet somebody; nft add chain inet somebody forward '{ type filter hook forward priority 0; }'",
        );
        let before = host_state();
        let driver = BridgeNetwork::new();
        let (one, two) = (network(1, 1), network(2, 2));
        assert_eq!(look(&one).await, None);
        for _ in 0..2 {
            driver.ensure(BRAIN, &one, &[]).await.unwrap();
            driver.ensure(BRAIN, &two, &[]).await.unwrap();
        }
        assert_eq!(
            look(&one).await,
            Some(BridgeSeen { id: one.id, mark: Some((BRAIN, one.uuid)), ready: true })
        );
        assert_eq!(sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
        let unwanted = driver.look(BRAIN, &[], &[]).await.unwrap();
        assert!(unwanted.iter().all(|bridge| !bridge.ready) && unwanted.len() == 2);

        let another = Uuid::from_u128(99);
        driver.remove(another, one.id, one.uuid).await.unwrap();
        assert!(ready(&one).await, "another brain has removed our network");
        for _ in 0..2 {
            driver.remove(BRAIN, one.id, one.uuid).await.unwrap();
        }
        assert!(look(&one).await.is_none() && ready(&two).await);
        driver.remove(BRAIN, two.id, two.uuid).await.unwrap();
        assert_eq!(host_state(), before);
    });
}

#[test]
fn what_changed_is_seen_and_mended() {
    in_a_namespace("what_changed_is_seen_and_mended", async || {
        let driver = BridgeNetwork::new();
        let one = dual(1, 1);
        let table = table_name(one.id);
        driver.ensure(BRAIN, &one, &[]).await.unwrap();
        for damage in [
            "ip address delete 10.77.1.1/24 dev hb1",
            "ip address add 10.88.1.1/24 dev hb1",
            "ip address delete fd77:1::1/64 dev hb1",
            "ip address delete fe80::1/64 dev hb1",
            "ip address add fd88::1/64 dev hb1",
            "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding",
            "ip link set hb1 down",
            "echo 0 > /proc/sys/net/ipv4/ip_forward",
            &format!("nft flush chain inet {table} postrouting"),
            &format!("nft insert rule inet {table} forward accept"),
            &format!("nft delete table inet {table}"),
        ] {
            sh(damage);
            assert!(!ready(&one).await, "unseen: {damage}");
            driver.ensure(BRAIN, &one, &[]).await.unwrap();
            assert!(ready(&one).await, "not mended: {damage}");
        }
        let moved = network(1, 9);
        assert!(!ready(&moved).await);
        driver.ensure(BRAIN, &moved, &[]).await.unwrap();
        assert!(ready(&moved).await && !sh("nft list ruleset").contains("10.77.1."));
    });
}

#[test]
fn a_host_forwards_ipv6_while_a_network_needs_it_and_listens_to_its_routers_all_the_while() {
    let name = "a_host_forwards_ipv6_while_a_network_needs_it_and_listens_to_its_routers_all_the_while";
    in_a_namespace(name, async || {
        sh(UPLINKS);
        sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
        let before = host_state();
        let driver = BridgeNetwork::new();
        let [one, two, three] = [network(1, 1), dual(2, 2), ipv6_alone(3, 3)];
        driver.ensure(BRAIN, &one, &[]).await.unwrap();
        assert_eq!(ipv6_switches(), "0 1 2 0", "nobody needs it yet");
        driver.ensure(BRAIN, &two, &[]).await.unwrap();
        driver.ensure(BRAIN, &three, &[]).await.unwrap();
        assert_eq!(ipv6_switches(), "1 2 2 0");
        assert_eq!(sh("cat /proc/sys/net/ipv6/conf/hb2/accept_ra").trim(), "0", "a guest is no router");
        assert!(ready(&one).await && ready(&two).await && ready(&three).await);
        // It loses IPv6, and gets it back.
        let without = network(2, 2);
        assert!(!ready(&without).await);
        driver.ensure(BRAIN, &without, &[]).await.unwrap();
        assert!(ready(&without).await && !sh("ip -6 address show dev hb2").contains("inet6"));
        assert_eq!(ipv6_switches(), "1 2 2 0", "the third network needs it");
        driver.remove(BRAIN, three.id, three.uuid).await.unwrap();
        assert_eq!(ipv6_switches(), "0 1 2 0");
        driver.ensure(BRAIN, &two, &[]).await.unwrap();
        assert_eq!(ipv6_switches(), "1 2 2 0");
        // Without IPv4 it no longer needs that.
        driver.remove(BRAIN, one.id, one.uuid).await.unwrap();
        let alone = ipv6_alone(2, 2);
        driver.ensure(BRAIN, &alone, &[]).await.unwrap();
        assert!(ready(&alone).await && sh("cat /proc/sys/net/ipv4/ip_forward").trim() == "0");
        driver.remove(BRAIN, alone.id, alone.uuid).await.unwrap();
        assert_eq!(host_state(), before);

        // A host that forwarded before us does so after us, and what it did about routers is its own affair.
        sh("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
        let before = host_state();
        driver.ensure(BRAIN, &two, &[]).await.unwrap();
        assert_eq!(ipv6_switches(), "1 1 2 0");
        driver.remove(BRAIN, two.id, two.uuid).await.unwrap();
        assert_eq!(host_state(), before);
    });
}

#[test]
fn a_bridge_made_anew_has_its_guests_again() {
    in_a_namespace("a_bridge_made_anew_has_its_guests_again", async || {
        let driver = BridgeNetwork::new();
        let one = network(1, 1);
        let cards = [InterfaceId(1), InterfaceId(9)];
        driver.ensure(BRAIN, &one, &cards).await.unwrap();
        // A guest's card, one that is just being made, another network's, and one by the name of ours that is no tap.
        sh("ip tuntap add ht1 mode tap && ip link set ht1 master hb1 up");
        assert!(ready(&one).await);
        sh(
            "ip link delete hb1; ip tuntap add ht3 mode tap; ip link set ht3 up; ip link add ht9 type veth peer name x",
        );
        assert!(!ready(&one).await);
        driver.ensure(BRAIN, &one, &cards).await.unwrap();
        assert!(ready(&one).await);
        assert!(sh("ip -o link show master hb1").contains("ht1:"));
        assert_eq!(sh("ip -o link show master hb1").lines().count(), 1);

        // Somebody made the bridge anew before we looked.
        sh("ip link set ht1 nomaster");
        assert!(!ready(&one).await);
        // Not up: it is just being made, and libvirt plugs it in itself.
        sh("ip link set ht1 down");
        assert!(ready(&one).await);
        sh("ip link set ht1 up");
        driver.ensure(BRAIN, &one, &cards).await.unwrap();
        assert!(ready(&one).await);

        // Somebody has plugged it in elsewhere.
        sh("ip link add br0 type bridge; ip link set ht1 master br0");
        assert!(ready(&one).await);
        driver.ensure(BRAIN, &one, &cards).await.unwrap();
        assert!(sh("ip -o link show master br0").contains("ht1:"));
    });
}

#[test]
fn what_others_made_is_left_alone() {
    in_a_namespace("what_others_made_is_left_alone", async || {
        let driver = BridgeNetwork::new();
        let one = network(1, 1);
        sh("ip link add hb1 type bridge; ip link add br0 type bridge; ip address add 10.77.2.7/16 dev br0");
        let before = host_state();
        let taken = later(driver.ensure(BRAIN, &one, &[]).await);
        assert!(
            taken.contains("hb1 is taken by somebody else") && taken.contains("ip link delete hb1"),
            "{taken}"
        );
        assert_eq!(look(&one).await, Some(BridgeSeen { id: one.id, mark: None, ready: false }));
        driver.remove(BRAIN, one.id, one.uuid).await.unwrap();
        assert_eq!(host_state(), before);

        sh("ip link delete hb1");
        let overlap = later(driver.ensure(BRAIN, &one, &[]).await);
        assert!(overlap.contains("overlaps 10.77.2.7/16, which br0"), "{overlap}");
        sh(
            "ip address flush dev br0; ip address add fd77:1::9/128 dev br0; ip address add fe80::1/64 dev br0",
        );
        let overlap = later(driver.ensure(BRAIN, &dual(1, 1), &[]).await);
        assert!(overlap.contains("subnet fd77:1::/64 overlaps fd77:1::9/128, which br0"), "{overlap}");
        sh("ip link delete br0");
        driver.ensure(BRAIN, &one, &[]).await.unwrap();

        // Somebody has plugged something of their own into our bridge.
        sh("ip link add theirs type veth peer name there; ip link set theirs master hb1");
        let plugged = later(driver.remove(BRAIN, one.id, one.uuid).await);
        assert!(plugged.contains("theirs is plugged into it"), "{plugged}");
        assert!(ready(&one).await);
        sh("ip link delete theirs");
        driver.remove(BRAIN, one.id, one.uuid).await.unwrap();
    });
}

#[test]
fn killed_between_any_two_commands_it_goes_on() {
    in_a_namespace("killed_between_any_two_commands_it_goes_on", async || {
        let one = dual(1, 1);
        sh(UPLINKS);
        let before = host_state();
        // Each begins as the step that was killed at that point would have left it.
        for torn in [
            "ip link add hb1~ type bridge",
            "ip link add hb1~ type bridge; ip link set hb1~ alias honcho:0000000b-0000-0000-0000-000000000000:x",
        ] {
            sh(torn);
            BridgeNetwork::new().ensure(BRAIN, &one, &[]).await.unwrap();
            assert!(ready(&one).await && !sh("ip -o link").contains('~'), "{torn}");
            BridgeNetwork::new().remove(BRAIN, one.id, one.uuid).await.unwrap();
            assert_eq!(host_state(), before);
        }
        // Cancelled for real, ever later, until it comes through.
        let mut pause = Duration::from_millis(1);
        loop {
            let step =
                tokio::time::timeout(pause, async { BridgeNetwork::new().ensure(BRAIN, &one, &[]).await })
                    .await;
            if step.is_ok() {
                break;
            }
            if let Some(seen) = look(&one).await {
                assert_eq!(seen.mark, Some((BRAIN, one.uuid)), "half-made, it looks like somebody else's");
            }
            pause += Duration::from_millis(2);
        }
        assert!(ready(&one).await);
        assert_eq!(ipv6_switches(), "1 2 2 0");
        let mut pause = Duration::from_millis(1);
        loop {
            let step = BridgeNetwork::new();
            let step = tokio::time::timeout(pause, step.remove(BRAIN, one.id, one.uuid)).await;
            if step.is_ok() {
                break;
            }
            pause += Duration::from_millis(2);
        }
        assert_eq!(host_state(), before);
    });
}

#[test]
fn wiped_the_host_is_as_it_was() {
    in_a_namespace("wiped_the_host_is_as_it_was", async || {
        sh("echo 0 > /proc/sys/net/ipv4/ip_forward; ip link add br0 type bridge");
        sh(UPLINKS);
        let before = host_state();
        let driver = BridgeNetwork::new();
        for network in [network(1, 1), dual(2, 2), ipv6_alone(3, 3)] {
            driver.ensure(BRAIN, &network, &[]).await.unwrap();
        }
        // What a killed agent leaves, and a table whose bridge somebody removed.
        sh(
            "ip link add hb9~ type bridge; ip link set hb9~ alias honcho:00000000-0000-0000-0000-00000000000b:00000000-0000-0000-0000-000000000009",
        );
        sh(&format!("ip link delete {}", bridge_name(NetworkId(3))));
        for _ in 0..2 {
            wipe(BRAIN).await.unwrap();
        }
        assert_eq!(host_state(), before);
    });
}

#[test]
fn guests_reach_the_world_and_nobody_reaches_them() {
    in_a_namespace("guests_reach_the_world_and_nobody_reaches_them", async || {
        let driver = BridgeNetwork::new();
        for id in [1, 2] {
            driver.ensure(BRAIN, &dual(id, u8::try_from(id).unwrap()), &[]).await.unwrap();
        }
        // Two guests and the world, as processes in namespaces below this one; the host has 192.0.2.1 and 2001:db8::1.
        let mut places = Vec::new();
        for (name, bridge, address, address6, gateways) in [
            ("g1", Some("hb1"), "10.77.1.2/24", "fd77:1::2/64", Some(["10.77.1.1", "fd77:1::1"])),
            ("g2", Some("hb2"), "10.77.2.2/24", "fd77:2::2/64", Some(["10.77.2.1", "fd77:2::1"])),
            ("world", None, "192.0.2.9/24", "2001:db8::9/64", None),
        ] {
            let place = Command::new("unshare").args(["--net", "sleep", "60"]).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(200));
            let pid = place.id();
            sh(&format!("ip link add v{name} type veth peer name eth0 netns {pid}; ip link set v{name} up"));
            if let Some(bridge) = bridge {
                sh(&format!("ip link set v{name} master {bridge}"));
            } else {
                sh(&format!(
                    "ip address add 192.0.2.1/24 dev v{name}; ip address add 2001:db8::1/64 dev v{name} nodad"
                ));
            }
            sh(&format!(
                "nsenter -t {pid} -n sh -c 'ip link set lo up; ip link set eth0 up; ip a add {address} dev eth0; \
                 ip a add {address6} dev eth0 nodad'"
            ));
            for gateway in gateways.into_iter().flatten() {
                sh(&format!("nsenter -t {pid} -n ip route add default via {gateway}"));
            }
            places.push(place);
        }
        let ids: Vec<u32> = places.iter().map(std::process::Child::id).collect();
        // Nobody listens: being refused is to have arrived.
        let reaches = |from: u32, to: &str| {
            let knock = format!("nsenter -t {from} -n timeout 2 bash -c '</dev/tcp/{to}/7' 2>&1");
            let output = Command::new("sh").args(["-c", &knock]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains("refused")
        };
        std::thread::sleep(Duration::from_millis(500));
        assert!(reaches(ids[0], "10.77.1.1"), "the gateway");
        assert!(reaches(ids[0], "192.0.2.9"), "the world, which knows no way back but to the host: NAT");
        assert!(!reaches(ids[0], "10.77.2.2"), "another network's guest");
        sh(&format!("nsenter -t {} -n ip route add 10.77.0.0/16 via 192.0.2.1", ids[2]));
        assert!(!reaches(ids[2], "10.77.1.2"), "the world reaches a guest");
        assert!(reaches(ids[0], "fd77:1::1"), "the gateway by IPv6");
        assert!(reaches(ids[0], "2001:db8::9"), "the world by IPv6: NAT");
        assert!(!reaches(ids[0], "fd77:2::2"), "another network's guest by IPv6");
        sh(&format!("nsenter -t {} -n ip route add fd77::/16 via 2001:db8::1", ids[2]));
        assert!(!reaches(ids[2], "fd77:1::2"), "the world reaches a guest by IPv6");
        for mut place in places {
            place.kill().unwrap();
            place.wait().unwrap();
        }
    });
}

#[test]
#[allow(clippy::print_stdout)]
fn looking_is_cheap() {
    in_a_namespace("looking_is_cheap", async || {
        let wanted: Vec<_> = (1..=10).map(|id| network(id, u8::try_from(id).unwrap())).collect();
        let driver = BridgeNetwork::new();
        for network in &wanted {
            driver.ensure(BRAIN, network, &[]).await.unwrap();
        }
        let begun = Instant::now();
        for _ in 0..10 {
            assert_eq!(
                driver.look(BRAIN, &wanted, &[]).await.unwrap().iter().filter(|bridge| bridge.ready).count(),
                10
            );
        }
        println!("a look at ten networks: {:?}", begun.elapsed() / 10);
    });
}
