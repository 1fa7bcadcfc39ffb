//! What was ever spoken must be understood: every shape has a committed text per protocol version.
//!
//! When a shape changes on purpose, raise the protocol, add a directory, and leave the old texts as they are. To write
//! the texts of a new version: `HONCHO_WRITE_GOLDEN=1 cargo test -p honcho-wire`.
#![allow(clippy::unwrap_used)]

use honcho_model::guest::Power;
use honcho_model::{
    AccountId, Bytes, Digest, Epoch, Generation, GuestId, HostId, Incarnation, InterfaceId, Mac, Name,
    NetworkId, PoolId, VolumeId,
};
use honcho_wire::*;
use std::path::PathBuf;
use uuid::Uuid;

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(0x1111_1111_1111_4111_8111_0000_0000_0000 + n)
}

fn manifest() -> Manifest {
    Manifest {
        protocol: PROTOCOL,
        brain: uuid(1),
        incarnation: Incarnation(1),
        generation: Generation(42),
        host: HostId(7),
        frozen: None,
        unaccepted: None,
        pools: vec![PoolWanted {
            id: PoolId(3),
            uuid: uuid(3),
            generation: Generation(1),
            existence: Existence::Existing,
            kind: PoolKind::Directory { path: "/var/lib/honcho/pool".into() },
        }],
        networks: vec![NetworkWanted {
            id: NetworkId(5),
            uuid: uuid(5),
            generation: Generation(2),
            kind: NetworkKind::Local {
                ipv4: Some(SubnetWanted { gateway: [10, 77, 0, 1].into(), prefix: 24 }),
                ipv6: Some(SubnetWanted { gateway: "fd77::1".parse().unwrap(), prefix: 64 }),
            },
        }],
        guests: vec![GuestWanted {
            id: GuestId(11),
            uuid: uuid(11),
            name: Name::new("web1").unwrap(),
            account: AccountId(2),
            epoch: Epoch(1),
            generation: Generation(4),
            power: Power::Running,
            start_alone: false,
            boots_wanted: 2,
            boots_waived: 1,
            boot_mode: StopMode::Soft,
            stop_mode: StopMode::Hard,
            memory: Bytes::mib(512),
            vcpus: 1,
            root: VolumeWanted {
                id: VolumeId(13),
                uuid: uuid(13),
                pool: PoolId(3),
                size: Bytes::gib(3),
                existence: Existence::Make,
                given_up: false,
                image: ImageWanted {
                    digest: Digest([0xab; 32]),
                    compressed: Bytes(117 << 20),
                    unpacked: Bytes(361 << 20),
                },
            },
            interfaces: vec![InterfaceWanted {
                id: InterfaceId(17),
                network: NetworkId(5),
                mac: Mac::of_interface(InterfaceId(17)),
                addresses: vec![
                    AddressWanted {
                        address: [10, 77, 0, 2].into(),
                        prefix: 24,
                        gateway: Some([10, 77, 0, 1].into()),
                    },
                    AddressWanted {
                        address: "fd77::2".parse().unwrap(),
                        prefix: 64,
                        gateway: Some("fd77::1".parse().unwrap()),
                    },
                    AddressWanted { address: "fd77::3".parse().unwrap(), prefix: 64, gateway: None },
                ],
            }],
            ssh_keys: vec!["ssh-ed25519 AAAA ops@example.net".into()],
            leaving: Some(Leaving { ticket: Digest([0xcd; 32]), certificates: vec!["ef".repeat(32)] }),
            capture: Some(Capture { upload: uuid(30) }),
        }],
        arrivals: vec![Arriving {
            guest: GuestId(8),
            uuid: uuid(8),
            epoch: Epoch(3),
            volume: VolumeId(9),
            volume_uuid: uuid(19),
            pool: PoolId(3),
            address: "10.0.0.2:7073".into(),
            certificates: vec!["ab".repeat(32)],
            ticket: "c2VjcmV0".into(),
        }],
        absent: vec![
            Absent::Guest {
                id: GuestId(10),
                uuid: uuid(10),
                epoch: Epoch(2),
                generation: Generation(9),
                volumes: vec![VolumeAbsent { id: VolumeId(12), uuid: uuid(12), pool: PoolId(3) }],
                interfaces: vec![InterfaceId(16)],
            },
            Absent::Network { id: NetworkId(4), uuid: uuid(4), generation: Generation(3) },
        ],
    }
}

fn answer() -> ManifestAnswer {
    let stream = |n, kind| StreamWanted { id: uuid(n), guest: GuestId(11), kind };
    ManifestAnswer {
        manifest: Some(manifest()),
        streams: vec![
            stream(21, StreamKind::Console),
            stream(22, StreamKind::Log { tail: 65_536, follow: true }),
        ],
    }
}

fn report() -> Report {
    let observation = Observation {
        host: HostObserved {
            agent_version: "0.1.0".into(),
            kernel: "6.1.0-28-amd64".into(),
            cpus: 2,
            memory: Bytes::gib(24),
            hypervisor: "libvirt 9.0.0, QEMU 10.0.2".into(),
            virtualization: Some(Virtualization { kvm: false, reason: "/dev/kvm is not there".into() }),
            movers_address: Some("10.0.0.1:7073".into()),
            problem: None,
            cpu: Some(CpuObserved {
                architecture: "x86_64".into(),
                model: Some("Intel(R) Xeon(R) Gold 6248".into()),
                features: vec!["aes".into(), "avx2".into()],
            }),
        },
        pools: vec![PoolObserved {
            id: PoolId(3),
            state: PoolState::Ready,
            problem: None,
            size: Bytes::gib(100),
            free: Bytes::gib(64),
            reflink: true,
        }],
        networks: vec![NetworkObserved { id: NetworkId(5), ready: true, failure: None }],
        guests: vec![GuestObserved {
            id: GuestId(11),
            epoch: Epoch(1),
            generation: Generation(4),
            settled: false,
            power: Power::Stopped,
            boots_done: None,
            volume: VolumeObserved { id: VolumeId(13), state: VolumeState::Unmade, size: Bytes(0) },
            interfaces: vec![],
            ssh_host_key: None,
            progress: Some(Progress { step: "fetch_image".into(), percent: Some(40) }),
            failure: Some(Failure {
                step: "build_volume".into(),
                error: "no space left on device".into(),
                attempts: 2,
                next_try_ms: Some(2_000),
            }),
            unexpected_stops: 0,
            held: true,
        }],
        arrivals: vec![
            ArrivalObserved {
                guest: GuestId(8),
                epoch: Epoch(3),
                state: ArrivalState::Coming,
                size: Bytes(0),
                progress: Some(Progress { step: "fetch_volume".into(), percent: Some(40) }),
                failure: Some(Failure {
                    step: "fetch_volume".into(),
                    error: "connection refused".into(),
                    attempts: 2,
                    next_try_ms: Some(2_000),
                }),
            },
            ArrivalObserved {
                guest: GuestId(9),
                epoch: Epoch(2),
                state: ArrivalState::Durable,
                size: Bytes::gib(3),
                progress: None,
                failure: None,
            },
        ],
        gone: vec![
            Gone::Guest { id: GuestId(10), epoch: Epoch(2), generation: Generation(9) },
            Gone::Network { id: NetworkId(4), generation: Generation(3) },
        ],
        orphans: vec![Orphan {
            kind: "domain".into(),
            name: "honcho-g9".into(),
            uuid: Some(uuid(9)),
            id: 9,
            epoch: Some(Epoch(1)),
            boots: Some(3),
            interfaces: vec![InterfaceId(15)],
        }],
        refused: None,
        former: Some(Box::new(manifest())),
    };
    Report {
        protocol: PROTOCOL,
        capabilities: CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
        boot_id: "9e5d2f3c-1111-4111-8111-000000000001".into(),
        run_id: uuid(30),
        sequence: 5,
        incarnation: Some(Incarnation(1)),
        manifest_generation: Generation(42),
        digest: "cd".repeat(32),
        observation: Some(observation),
        load: Some(LoadObserved { busy_percent: 37, io_wait_percent: 4, window_seconds: 60 }),
    }
}

/// The committed text reads as this value, and this value prints as that text.
fn check<T>(name: &str, value: &T)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/v{PROTOCOL}/{name}.json"));
    let printed = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("HONCHO_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &printed).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        &serde_json::from_str::<T>(&committed).unwrap(),
        value,
        "{name} is read otherwise than it was meant"
    );
    assert_eq!(printed, committed, "{name} is written otherwise than version {PROTOCOL} says");
}

#[test]
fn the_manifest_is_as_it_was() {
    check("manifest", &manifest());
    check("manifest_answer", &answer());
}

#[test]
fn the_report_is_as_it_was() {
    check("report", &report());
    check("report_answer", &[ReportAnswer::Applied, ReportAnswer::Stale, ReportAnswer::SendEverything]);
}

#[test]
fn load_is_as_it_was() {
    let all = Taken {
        cpu_ms: Some(90_250),
        memory: Some(Bytes::mib(512)),
        disk_read: Some(4096),
        disk_written: Some(1 << 20),
        disk_reads: Some(1),
        disk_writes: Some(40),
        received: Some(1500),
        sent: Some(0),
        filled: Some(Bytes::gib(36)),
    };
    let guest = Taken { filled: None, ..all };
    let report = LoadReport {
        run_id: uuid(30),
        samples: vec![
            LoadSample {
                number: 7,
                ended_ms_ago: 60_012,
                lasted_ms: 60_000,
                host: None,
                guests: vec![GuestTaken { id: GuestId(11), taken: Taken::default() }],
            },
            LoadSample {
                number: 8,
                ended_ms_ago: 12,
                lasted_ms: 60_001,
                host: Some(all),
                guests: vec![GuestTaken { id: GuestId(11), taken: guest }],
            },
        ],
    };
    check("load_report", &report);
    check("load_answer", &LoadAnswer { kept: 6 });
}

#[test]
fn joining_is_as_it_was() {
    let request = JoinRequest {
        token: format!("7.c2VjcmV0.{}", "ef".repeat(32)),
        certificate_request: "-----BEGIN CERTIFICATE REQUEST-----\n".into(),
        dmi_uuid: None,
        machine_id: Some("0123456789abcdef0123456789abcdef".into()),
    };
    check("join_request", &serde_json::to_value(&request).unwrap());
    let answer = JoinAnswer {
        host_id: HostId(7),
        host_name: "rack1-7".into(),
        brain: uuid(1),
        certificate: "-----BEGIN CERTIFICATE-----\n".into(),
        ca_certificate: "-----BEGIN CERTIFICATE-----\n".into(),
        agents_address: "10.0.0.1:7071".into(),
    };
    check("join_answer", &serde_json::to_value(&answer).unwrap());
    for text in ["join_request", "join_answer"] {
        let path = format!("{}/golden/v{PROTOCOL}/{text}.json", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(path).unwrap();
        let reads = match text {
            "join_request" => serde_json::from_str::<JoinRequest>(&committed).map(drop),
            _ => serde_json::from_str::<JoinAnswer>(&committed).map(drop),
        };
        assert!(reads.is_ok(), "{text}: {reads:?}");
    }
}

/// Every object within a value, by the path to it.
fn objects(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            found.push(path.to_owned());
            for (name, inner) in fields {
                objects(inner, &format!("{path}/{name}"), found);
            }
        }
        serde_json::Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                objects(inner, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn a_manifest_with_an_unknown_field_anywhere_is_refused() {
    let whole = serde_json::to_value(manifest()).unwrap();
    let mut paths = Vec::new();
    objects(&whole, "", &mut paths);
    assert!(paths.len() > 9, "{paths:?}");
    for path in paths {
        let mut changed = whole.clone();
        changed.pointer_mut(&path).unwrap()["not_of_this_version"] = true.into();
        let refused = serde_json::from_value::<Manifest>(changed);
        assert!(refused.is_err(), "an unknown field in \"{path}\" was not noticed");
    }
}

#[test]
fn a_manifest_that_lacks_a_field_is_refused() {
    let whole = serde_json::to_value(manifest()).unwrap();
    // What is said only when there is any.
    let unsaid = ["frozen", "unaccepted", "arrivals"];
    for field in whole.as_object().unwrap().keys().filter(|field| !unsaid.contains(&field.as_str())) {
        let mut changed = whole.clone();
        changed.as_object_mut().unwrap().remove(field);
        assert!(serde_json::from_value::<Manifest>(changed).is_err(), "the lack of {field} was not noticed");
    }
}
