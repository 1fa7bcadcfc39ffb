//! The driver against a real libvirtd and a real QEMU, inside a lab host of its own.
//!
//! Each test racks a host and runs itself once more inside of it, as an agent would run there.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, clippy::unused_self)]

#[path = "../../../tests/src/lab.rs"]
#[allow(dead_code, unreachable_pub)]
mod lab;

use honcho_agent_lib::drivers::{
    BootFiles, DomainSpec, DriverError, Hypervisor, InterfaceSpec, Mark, Network as _, bridge_name,
    domain_name, tap_name,
};
use honcho_agent_lib::network::BridgeNetwork;
use honcho_agent_lib::sampling::taken::Counters;
use honcho_libvirt::{LibvirtHypervisor, Options, domain_xml};
use honcho_model::{Bytes, Epoch, Generation, GuestId, InterfaceId, Mac, NetworkId};
use honcho_wire::{NetworkKind, NetworkWanted, SubnetWanted, Virtualization};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

/// Names the directory of the host that the test now runs inside of.
const INSIDE: &str = "HONCHO_TEST_INSIDE";

/// Runs `body` inside a fresh host.
#[allow(clippy::print_stderr)]
fn inside_a_host<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Inside) -> F) {
    if let Ok(directory) = std::env::var(INSIDE) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { body(Inside::new(Path::new(&directory))).await });
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {test}: it needs root, to make a host of namespaces with a libvirtd of its own");
        return;
    }
    let (kernel, initrd) = lab::tiny_guest().unwrap();
    let lab = lab::Lab::new().unwrap();
    let host = lab.host("h1").unwrap();
    let output = host
        .command(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, host.directory())
        .env("HONCHO_TEST_KERNEL", kernel)
        .env("HONCHO_TEST_INITRD", initrd)
        .output()
        .unwrap();
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed inside the host: {}", output.status);
}

/// What a test has at hand inside its host.
struct Inside {
    directory: PathBuf,
    driver: LibvirtHypervisor,
}

impl Inside {
    fn new(directory: &Path) -> Self {
        // Trying KVM takes seconds where it does not work; one test is enough for it.
        let known = Virtualization { kvm: false, reason: "as the test says".to_owned() };
        let options = Options { virtualization: Some(known), ..Options::default() };
        let driver = LibvirtHypervisor::new(options).unwrap();
        let inside = Inside { directory: directory.to_owned(), driver };
        inside.run(&format!("ip link add {0} type bridge && ip link set {0} up", bridge_name(NetworkId(1))));
        inside
    }

    fn run(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn spec(&self, number: i64) -> DomainSpec {
        let disk = self.directory.join(format!("disk{number}.raw"));
        std::fs::File::create(&disk).unwrap().set_len(16 << 20).unwrap();
        let guest = GuestId(number);
        DomainSpec {
            name: domain_name(guest),
            uuid: Uuid::from_u128(0x100 + u128::try_from(number).unwrap()),
            title: "a <test> & its guest".to_owned(),
            mark: Mark { brain: Uuid::from_u128(1), guest, epoch: Epoch(2), boots: 3 },
            memory: Bytes::mib(128),
            vcpus: 1,
            disk,
            boot: BootFiles {
                kernel: std::env::var_os("HONCHO_TEST_KERNEL").unwrap().into(),
                initrd: Some(std::env::var_os("HONCHO_TEST_INITRD").unwrap().into()),
            },
            interfaces: vec![InterfaceSpec {
                id: InterfaceId(number),
                mac: "52:54:00:00:00:0c".parse().unwrap(),
                bridge: bridge_name(NetworkId(1)),
            }],
            console_log: self.directory.join(format!("console{number}.log")),
        }
    }

    async fn wait_for_log(&self, spec: &DomainSpec, text: &str) {
        wait(&format!("{text:?} on the console"), async || {
            std::fs::read_to_string(&spec.console_log).is_ok_and(|log| log.contains(text))
        })
        .await;
    }

    async fn names(&self) -> Vec<String> {
        self.driver.domains().await.unwrap().into_iter().map(|domain| domain.name).collect()
    }
}

async fn wait(what: &str, condition: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_mins(1), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn later(result: Result<impl Sized, DriverError>) -> String {
    match result {
        Err(DriverError::Later(text)) => text,
        Err(DriverError::Never(text)) => panic!("it is never to be tried again: {text}"),
        Ok(_) => panic!("it worked"),
    }
}

#[test]
fn a_guest_lives_and_ends() {
    inside_a_host("a_guest_lives_and_ends", async |host| {
        let options = Options { probe_file: Some(host.directory.join("kvm.json")), ..Options::default() };
        let driver = &LibvirtHypervisor::new(options.clone()).unwrap();
        assert!(driver.describe().await.unwrap().starts_with("libvirt "), "{:?}", driver.describe().await);
        assert_eq!(driver.virtualization(), None);
        assert_eq!(driver.domains().await.unwrap(), []);
        let spec = host.spec(7);
        let mut changes = driver.changes();
        changes.mark_unchanged();

        driver.create(&spec).await.unwrap();
        assert!(changes.has_changed().unwrap(), "starting a domain is an event");
        let how = driver.virtualization().unwrap();
        println!("virtualization: {how:?}");
        let seen = driver.domains().await.unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].mark, seen[0].uuid, seen[0].alive), (Some(spec.mark), spec.uuid, true));
        assert_eq!(seen[0].interfaces, [InterfaceId(7)]);
        assert!(host.run("ip -o link show master hb1").contains(&tap_name(InterfaceId(7))));
        assert!(!host.run("virsh dominfo honcho-g7").contains("Persistent:     yes"));

        let refused = later(driver.create(&spec).await);
        assert!(refused.contains("exists already"), "{refused}");

        host.wait_for_log(&spec, "tiny guest is up").await;
        let log = std::fs::read_to_string(&spec.console_log).unwrap();
        assert!(log.contains("root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet"), "{log}");

        changes.mark_unchanged();
        driver.ask_to_stop(spec.uuid).await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), changes.changed()).await.unwrap().unwrap();
        wait("the domain to be gone", async || driver.domains().await.unwrap().is_empty()).await;
        assert!(!host.run("ip -o link").contains(&tap_name(InterfaceId(7))), "its tap is left over");
        driver.ask_to_stop(spec.uuid).await.unwrap();
        driver.destroy(spec.uuid).await.unwrap();

        // What was found out about KVM holds for this boot: a second process does not try again.
        let second = LibvirtHypervisor::new(options).unwrap();
        second.create(&spec).await.unwrap();
        assert_eq!(second.virtualization(), Some(how));
        second.destroy(spec.uuid).await.unwrap();
        assert!(driver.domains().await.unwrap().is_empty());
        assert_eq!(host.run("pgrep -c qemu-system || true").trim(), "0", "a QEMU is left over");
    });
}

/// Two networks, IPv4 and IPv6 in both, and a guest with a card in each.
#[test]
fn a_guest_with_two_cards_answers_on_all_its_addresses() {
    inside_a_host("a_guest_with_two_cards_answers_on_all_its_addresses", async |host| {
        let before =
            host.run("ip -o link | wc -l; nft list ruleset; cat /proc/sys/net/ipv6/conf/all/forwarding");
        let brain = Uuid::from_u128(1);
        let bridges = BridgeNetwork::new();
        let networks = [2, 3].map(|id: u8| NetworkWanted {
            id: NetworkId(id.into()),
            uuid: Uuid::from_u128(id.into()),
            generation: Generation(1),
            kind: NetworkKind::Local {
                ipv4: Some(SubnetWanted { gateway: [10, 77, id, 1].into(), prefix: 24 }),
                ipv6: Some(SubnetWanted { gateway: format!("fd77:{id}::1").parse().unwrap(), prefix: 64 }),
            },
        });
        let cards = [(InterfaceId(7), networks[0].id), (InterfaceId(8), networks[1].id)];
        for (network, card) in networks.iter().zip(cards) {
            bridges.ensure(brain, network, &[card.0]).await.unwrap();
        }
        let mut spec = host.spec(7);
        let card =
            |(id, network)| InterfaceSpec { id, mac: Mac::of_interface(id), bridge: bridge_name(network) };
        spec.interfaces = cards.map(card).into();
        host.driver.create(&spec).await.unwrap();
        assert_eq!(host.driver.domains().await.unwrap()[0].interfaces, cards.map(|card| card.0));
        host.wait_for_log(&spec, "tiny guest is up").await;

        let mut console = host.driver.console(spec.uuid).await.unwrap();
        let addresses = [
            ["10.77.2.2/24", "fd77:2::2/64", "fd77:2::3/64"],
            ["10.77.3.2/24", "10.77.3.3/24", "fd77:3::2/64"],
        ];
        for (card, own) in spec.interfaces.iter().zip(addresses) {
            let adding = own.map(|address| format!("; ip address add {address} dev $card")).concat();
            let mac = card.mac;
            let script = format!(
                "run card=$(grep -l {mac} /sys/class/net/*/address | cut -d/ -f5); ip link set $card up{adding}"
            );
            console.write_all(format!("{script}\n").as_bytes()).await.unwrap();
        }
        for address in addresses.concat() {
            let (address, _) = address.split_once('/').unwrap();
            let there = SocketAddr::new(address.parse().unwrap(), 7);
            // Nobody listens: being refused is to have arrived.
            wait(&format!("{address} to answer"), async || {
                let knock = TcpStream::connect_timeout(&there, Duration::from_secs(1));
                knock.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
            })
            .await;
        }
        for gateway in ["10.77.2.1", "fd77:2::1", "10.77.3.1", "fd77:3::1"] {
            // What is typed is printed too; the sum tells it from what is answered.
            let ping = format!("run ping -c 1 -W 9 {gateway}; echo \"ping $((6 * 7)) {gateway}: $?\"\n");
            console.write_all(ping.as_bytes()).await.unwrap();
            host.wait_for_log(&spec, &format!("ping 42 {gateway}: 0")).await;
        }
        let seen = bridges.look(brain, &networks, &cards).await.unwrap();
        assert!(
            networks.iter().all(|n| seen.iter().any(|bridge| bridge.id == n.id && bridge.ready)),
            "{seen:?}"
        );

        // Neither network goes from under the guest; when it is gone, nothing is left of it.
        for network in &networks {
            let plugged = later(bridges.remove(brain, network.id, network.uuid).await);
            assert!(plugged.contains("is plugged into it"), "{plugged}");
        }
        host.driver.destroy(spec.uuid).await.unwrap();
        for network in &networks {
            bridges.remove(brain, network.id, network.uuid).await.unwrap();
        }
        let after =
            host.run("ip -o link | wc -l; nft list ruleset; cat /proc/sys/net/ipv6/conf/all/forwarding");
        assert_eq!(after, before);
    });
}

#[test]
fn a_reboot_inside_ends_the_domain() {
    inside_a_host("a_reboot_inside_ends_the_domain", async |host| {
        let spec = host.spec(7);
        host.driver.create(&spec).await.unwrap();
        host.wait_for_log(&spec, "tiny guest is up").await;
        let mut console = host.driver.console(spec.uuid).await.unwrap();
        console.write_all(b"reboot\n").await.unwrap();
        wait("the domain to be gone", async || host.driver.domains().await.unwrap().is_empty()).await;
        let mut rest = String::new();
        tokio::time::timeout(Duration::from_secs(10), console.read_to_string(&mut rest))
            .await
            .unwrap()
            .unwrap();
    });
}

#[test]
fn a_kernel_that_panics_ends_the_domain() {
    inside_a_host("a_kernel_that_panics_ends_the_domain", async |host| {
        let spec = host.spec(7);
        host.driver.create(&spec).await.unwrap();
        host.wait_for_log(&spec, "tiny guest is up").await;
        let mut console = host.driver.console(spec.uuid).await.unwrap();
        console.write_all(b"panic\n").await.unwrap();
        host.wait_for_log(&spec, "Kernel panic").await;
        wait("the domain to be gone", async || host.driver.domains().await.unwrap().is_empty()).await;
    });
}

#[test]
fn a_console_is_taken_from_whoever_had_it() {
    inside_a_host("a_console_is_taken_from_whoever_had_it", async |host| {
        let spec = host.spec(7);
        let nobody = later(host.driver.console(spec.uuid).await);
        assert!(nobody.contains("console"), "{nobody}");
        host.driver.create(&spec).await.unwrap();
        host.wait_for_log(&spec, "tiny guest is up").await;

        let mut virsh = Command::new("script")
            .args(["-qc", "virsh console honcho-g7", "/dev/null"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(virsh.try_wait().unwrap().is_none(), "virsh holds the console");

        let mut first = host.driver.console(spec.uuid).await.unwrap();
        talk(&mut first, "hello").await;
        wait("virsh to be thrown out", async || host.run("pgrep -c virsh || true").trim() == "0").await;
        virsh.wait().unwrap();

        let mut second = host.driver.console(spec.uuid).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), first.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(first.write_all(b"late\n").await.is_err());
        talk(&mut second, "again").await;
        host.driver.destroy(spec.uuid).await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), second.read_to_end(&mut rest)).await.unwrap().unwrap();
    });
}

async fn talk(console: &mut Box<dyn honcho_agent_lib::drivers::Duplex>, word: &str) {
    console.write_all(format!("{word}\n").as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let answer = format!("you typed: {word}");
    tokio::time::timeout(Duration::from_secs(20), async {
        while !String::from_utf8_lossy(&heard).contains(&answer) {
            assert_ne!(console.read_buf(&mut heard).await.unwrap(), 0, "the console ended");
        }
    })
    .await
    .unwrap_or_else(|_| panic!("no answer to {word}, but {:?}", String::from_utf8_lossy(&heard)));
}

#[test]
fn a_guest_outlives_libvirtd() {
    inside_a_host("a_guest_outlives_libvirtd", async |host| {
        let spec = host.spec(7);
        host.driver.create(&spec).await.unwrap();
        let qemu = host.run("pgrep qemu-system");
        let mut changes = host.driver.changes();
        changes.mark_unchanged();

        host.run("kill -KILL $(cat /run/libvirtd.pid)");
        wait("libvirtd's absence to show", async || host.driver.domains().await.is_err()).await;
        let absent = later(host.driver.domains().await);
        assert!(absent.contains("systemctl start libvirtd"), "{absent}");
        assert_eq!(host.run("pgrep qemu-system"), qemu);
        tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();

        host.run("libvirtd --daemon");
        changes.mark_unchanged();
        // Nobody asks the driver for anything: it comes back by itself, and says that there is something to see.
        tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
        wait("the guest to be seen again", async || {
            host.driver
                .domains()
                .await
                .is_ok_and(|seen| seen.iter().any(|domain| domain.mark == Some(spec.mark)))
        })
        .await;
        assert_eq!(host.run("pgrep qemu-system"), qemu);

        changes.mark_unchanged();
        host.driver.destroy(spec.uuid).await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
    });
}

#[test]
fn a_hung_libvirtd_hangs_nobody() {
    inside_a_host("a_hung_libvirtd_hangs_nobody", async |host| {
        host.driver.domains().await.unwrap();
        // Calls beside each other, and events meanwhile.
        let spec = host.spec(7);
        host.driver.create(&spec).await.unwrap();
        host.run("kill -STOP $(cat /run/libvirtd.pid)");
        for _ in 0..3 {
            let begun = Instant::now();
            let hung = later(host.driver.domains().await);
            println!("{hung}");
            assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
            assert!(hung.contains("systemctl restart libvirtd"), "{hung}");
        }
        let another = host.spec(8);
        let given_up = tokio::time::timeout(Duration::from_secs(1), host.driver.create(&another)).await;
        assert!(given_up.is_err());
        host.run("kill -CONT $(cat /run/libvirtd.pid)");
        wait("libvirtd to answer again", async || host.driver.domains().await.is_ok()).await;
        // Long enough for a start.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(
            host.names().await,
            [spec.name.as_str()],
            "a start that was given up on was made all the same"
        );
        host.driver.destroy(spec.uuid).await.unwrap();
        assert_eq!(host.names().await, [""; 0]);
    });
}

#[test]
fn what_others_made_is_left_alone() {
    inside_a_host("what_others_made_is_left_alone", async |host| {
        let mut foreign = host.spec(7);
        foreign.uuid = Uuid::from_u128(0xf0);
        foreign.interfaces.clear();
        let file = host.directory.join("foreign.xml");
        let xml = domain_xml(&foreign, &honcho_libvirt::Accel::Tcg);
        let (head, tail) = xml.split_once("<metadata>").unwrap();
        let (_, tail) = tail.split_once("</metadata>").unwrap();
        std::fs::write(&file, format!("{head}{tail}")).unwrap();
        host.run(&format!("virsh define {}", file.display()));

        let seen = host.driver.domains().await.unwrap();
        assert_eq!((seen[0].mark, seen[0].alive), (None, false));
        let refused = later(host.driver.create(&host.spec(7)).await);
        assert!(refused.contains("somebody else made it"), "{refused}");
        // The same uuid, not running: libvirt itself would have started it under our definition.
        let mut same = host.spec(7);
        same.uuid = foreign.uuid;
        later(host.driver.create(&same).await);
        assert!(!host.driver.domains().await.unwrap()[0].alive);

        host.run("virsh start honcho-g7");
        later(host.driver.create(&host.spec(7)).await);
        assert_eq!(host.run("virsh domstate honcho-g7").trim(), "running");
        host.run("virsh destroy honcho-g7 && virsh undefine honcho-g7");
    });
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    inside_a_host("a_start_that_fails_leaves_nothing", async |host| {
        let links = host.run("ip -o link | wc -l");
        let mut spec = host.spec(7);
        spec.interfaces[0].bridge = "hb99".to_owned();
        let bridge = later(host.driver.create(&spec).await);
        assert!(bridge.contains("bridge is not there"), "{bridge}");

        let mut spec = host.spec(7);
        spec.disk = host.directory.join("missing.raw");
        let disk = later(host.driver.create(&spec).await);
        assert!(disk.contains("missing.raw"), "{disk}");

        let mut spec = host.spec(7);
        spec.memory = Bytes::gib(1 << 20);
        let memory = later(host.driver.create(&spec).await);
        println!("{memory}");

        host.run(&format!("ip link add {} type veth peer name other", tap_name(InterfaceId(7))));
        let tap = later(host.driver.create(&host.spec(7)).await);
        assert!(tap.contains("tap's name"), "{tap}");
        host.run("ip link delete other");

        assert_eq!(host.names().await, [""; 0]);
        assert_eq!(host.run("ip -o link | wc -l"), links);
        assert_eq!(host.run("pgrep -c qemu-system || true").trim(), "0");
    });
}

#[test]
fn what_guests_take_is_counted() {
    inside_a_host("what_guests_take_is_counted", async |host| {
        assert!(host.driver.domain_counters().await.unwrap().is_empty());
        let (one, other) = (host.spec(1), host.spec(2));
        for spec in [&one, &other] {
            host.driver.create(spec).await.unwrap();
        }
        let before = host.driver.domain_counters().await.unwrap();
        assert_eq!(before.len(), 2);
        let of = |counters: &[(Uuid, Counters)]| {
            counters.iter().find(|(uuid, _)| *uuid == one.uuid).map(|(_, counters)| *counters).unwrap()
        };
        let first = of(&before);
        println!("{first:?}");
        assert!(first.memory > Some(Bytes::mib(32)), "QEMU holds more than that");
        for counter in [first.disk_read, first.disk_writes, first.received, first.sent] {
            assert!(counter.is_some(), "{first:?}");
        }
        let begun = Instant::now();
        wait("a second of its processor", async || {
            let now = of(&host.driver.domain_counters().await.unwrap());
            now.cpu_ns.unwrap() - first.cpu_ns.unwrap() > 1_000_000_000
        })
        .await;
        println!("within {:?}", begun.elapsed());
        host.driver.destroy(one.uuid).await.unwrap();
        assert_eq!(host.driver.domain_counters().await.unwrap().len(), 1);
        let begun = Instant::now();
        host.driver.domain_counters().await.unwrap();
        println!("one call: {:?}", begun.elapsed());
    });
}

#[test]
fn figures() {
    inside_a_host("figures", async |host| {
        let spec = host.spec(1);
        host.driver.create(&spec).await.unwrap();
        host.driver.destroy(spec.uuid).await.unwrap();
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        let file = host.directory.join("figures.xml");
        std::fs::write(&file, domain_xml(&spec, &honcho_libvirt::Accel::Tcg)).unwrap();
        for _ in 0..5 {
            let begun = Instant::now();
            host.driver.create(&spec).await.unwrap();
            ours.push(begun.elapsed());
            host.driver.destroy(spec.uuid).await.unwrap();
            let begun = Instant::now();
            host.run(&format!("virsh create {}", file.display()));
            theirs.push(begun.elapsed());
            host.driver.destroy(spec.uuid).await.unwrap();
        }
        for number in 1..=5 {
            host.driver.create(&host.spec(number)).await.unwrap();
        }
        let begun = Instant::now();
        assert_eq!(host.driver.domains().await.unwrap().len(), 5);
        println!("create: {ours:?}\nvirsh create: {theirs:?}\ndomains() with 5: {:?}", begun.elapsed());
        for number in 1..=5 {
            host.driver.destroy(host.spec(number).uuid).await.unwrap();
        }
    });
}
