//! The loop itself, with a simulated host under it and no brain to speak to.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::simulated;
use honcho_model::{GuestId, HostId};
use serde_json::{Value, json};

const BRAIN: Uuid = Uuid::from_u128(1);

struct Bench {
    agent: Agent,
    news: watch::Receiver<Option<Arc<Snapshot>>>,
    directory: tempfile::TempDir,
    _inbox: mpsc::Receiver<Event>,
}

fn identity() -> Identity {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    Identity {
        host_id: HostId(7),
        host_name: "rack1-7".into(),
        brain: BRAIN,
        agents_address: "127.0.0.1:1".into(),
        ca_certificate: certificate.pem(),
        certificate: certificate.pem(),
        private_key: key.serialize_pem(),
    }
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let simulation = directory.path().join("host");
    let identity = identity();
    let (memory, journal) = recall(directory.path(), &identity).unwrap();
    let options = AgentOptions {
        memory,
        journal,
        drivers: simulated::open(&simulation).unwrap(),
        boot_id: BootId::InFile(simulated::boot_id_file(&simulation)),
        machine: crate::observation::machine().unwrap(),
        machine_ids: MachineIds::default(),
        contact: Arc::default(),
        clock: Clock::of_this_machine().unwrap(),
        wall_clock: || std::time::SystemTime::UNIX_EPOCH,
        movers: None,
        run_id: Uuid::from_u128(2),
    };
    let brain = Arc::new(BrainClient::new(&identity, MachineIds::default(), Arc::default()).unwrap());
    let (events, inbox) = mpsc::channel(16);
    let (sender, news) = watch::channel(None);
    let agent = Agent::new(identity, options, brain, events, sender);
    Bench { agent, news, directory, _inbox: inbox }
}

fn manifest(generation: i64) -> Value {
    json!({
        "protocol": 1, "brain": BRAIN, "incarnation": 1, "generation": generation, "host": 7, "frozen": null,
        "pools": [], "networks": [], "guests": [], "arrivals": [], "absent": [],
    })
}

impl Bench {
    fn answer(&mut self, manifest: Option<Value>) {
        self.agent.hear(Event::Answer(RawAnswer { manifest, streams: Vec::new() }));
    }

    fn answered(&self) -> bool {
        self.agent.journal.answered_in_boot.is_some()
    }

    fn host_boots(&mut self) {
        let file = simulated::boot_id_file(&self.directory.path().join("host"));
        std::fs::write(file, Uuid::new_v4().to_string()).unwrap();
        self.agent.journal.answered_in_boot = None;
    }
}

#[tokio::test]
async fn nothing_newer_than_a_refused_manifest_is_no_answer() {
    let mut bench = bench();
    bench.answer(Some(manifest(1)));
    assert!(bench.answered());

    bench.host_boots();
    let mut unknown = manifest(2);
    unknown["snapshots"] = json!([]);
    bench.answer(Some(unknown));
    bench.answer(None);
    assert!(!bench.answered(), "the old manifest would be acted on with full latitude");
    bench.agent.look_and_act().await;
    let said = bench.news.borrow().clone().unwrap();
    assert!(said.observation.refused.is_some());

    bench.answer(Some(manifest(3)));
    assert!(bench.answered());
    bench.host_boots();
    bench.answer(None);
    assert!(bench.answered(), "nothing newer than what is acted on is an answer");
}

#[tokio::test]
async fn nothing_newer_than_a_manifest_that_could_not_be_kept_is_no_answer() {
    let mut bench = bench();
    bench.answer(Some(manifest(1)));
    bench.host_boots();
    // A directory in its place cannot be replaced by a file.
    let path = bench.directory.path().join("manifest.json");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    bench.answer(Some(manifest(2)));
    bench.answer(None);
    assert!(!bench.answered());
    std::fs::remove_dir(&path).unwrap();
    bench.agent.look_and_act().await;
    assert!(bench.answered(), "kept at last");
    assert_eq!(bench.agent.acting_on(), Some((Incarnation(1), Generation(2))));
}

#[tokio::test]
async fn a_stop_that_could_not_be_noted_was_never_asked_for() {
    let mut bench = bench();
    bench.answer(Some(manifest(1)));
    bench.agent.look_and_act().await;
    let step = |action| Step {
        resource: Resource::Guest(GuestId(1)),
        action,
        wanted_by: "1".to_owned(),
        after: Vec::new(),
        not_before: None,
        hopeless: false,
        failure: None,
    };
    let ready = [step(Action::AskToStop(Uuid::from_u128(3)))];
    // A directory in its place cannot be replaced by a file.
    let path = bench.directory.path().join("journal.json");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let before = bench.agent.journal.clone();
    assert!(!bench.agent.keep_before(&ready, "boot", Moment(1_000)));
    assert_eq!(bench.agent.journal, before);
    assert!(bench.agent.disk_problem.is_some());
    std::fs::remove_dir(&path).unwrap();
    assert!(bench.agent.keep_before(&ready, "boot", Moment(2_000)));
    let asked = bench.agent.journal.guests[&GuestId(1)].stop.as_ref().unwrap().first;
    assert_eq!(asked, Moment(2_000));
}

#[tokio::test]
async fn what_the_brain_said_before_it_was_restored_is_kept_and_told_until_somebody_accepts() {
    let mut bench = bench();
    let of_life = |incarnation: i64, generation: i64, unaccepted: bool| {
        let mut manifest = manifest(generation);
        manifest["incarnation"] = json!(incarnation);
        manifest["unaccepted"] = if unaccepted { json!("restored") } else { Value::Null };
        Some(manifest)
    };
    bench.answer(of_life(1, 42, false));
    bench.agent.look_and_act().await;
    assert!(bench.news.borrow().clone().unwrap().observation.former.is_none());
    // Restored twice, and nobody has accepted either: what counts is the last that was acted on.
    for incarnation in [100, 200] {
        bench.answer(of_life(incarnation, 7, true));
        bench.agent.look_and_act().await;
        let said = bench.news.borrow().clone().unwrap();
        assert_eq!(said.acting_on, Some((Incarnation(incarnation), Generation(7))));
        let former = said.observation.former.clone().unwrap();
        assert_eq!((former.incarnation, former.generation), (Incarnation(1), Generation(42)));
    }
    // It outlives the agent.
    let (_, journal, complaints) = JournalFile::open(bench.directory.path(), BRAIN, HostId(7)).unwrap();
    assert_eq!((journal.former_if_unaccepted().unwrap().generation, complaints.len()), (Generation(42), 0));
    bench.answer(of_life(200, 43, false));
    bench.agent.look_and_act().await;
    assert!(bench.news.borrow().clone().unwrap().observation.former.is_none());
    assert!(!bench.directory.path().join("former.json").exists());
    // And what was accepted is what the next restore is told.
    bench.answer(of_life(300, 1, true));
    assert_eq!(bench.agent.journal.former_if_unaccepted().unwrap().generation, Generation(43));
}

#[tokio::test]
async fn one_disk_at_a_time_is_read_for_images() {
    let mut bench = bench();
    let capture = |id: i64| {
        let guest = json!({
            "id": id, "uuid": Uuid::from_u128(50), "name": "web1", "account": 1, "epoch": 1, "generation": 1,
            "power": "stopped", "start_alone": false, "boots_wanted": 1, "boots_waived": 0, "boot_mode": "soft",
            "stop_mode": "soft", "memory": 1, "vcpus": 1, "interfaces": [], "ssh_keys": [],
            "root": {
                "id": id, "uuid": Uuid::from_u128(51), "pool": 1, "size": 1, "existence": "existing",
                "given_up": false,
                "image": { "digest": "00".repeat(32), "compressed": 1, "unpacked": 1 },
            },
        });
        let pool = json!({
            "id": 1, "uuid": Uuid::from_u128(52), "generation": 1, "existence": "existing",
            "kind": { "type": "directory", "path": "/p" },
        });
        let guest: honcho_wire::GuestWanted = serde_json::from_value(guest).unwrap();
        let pool = serde_json::from_value(pool).unwrap();
        Step {
            resource: Resource::Guest(guest.id),
            action: Action::Capture { pool, guest: Box::new(guest), upload: Uuid::from_u128(53) },
            wanted_by: String::new(),
            after: Vec::new(),
            not_before: None,
            hopeless: false,
            failure: None,
        }
    };
    let plan = Plan { steps: vec![capture(1), capture(2)], ..Plan::default() };
    let now = Moment(1);
    let ready = bench.agent.ready_steps(&plan, now);
    assert_eq!(ready.iter().map(|step| step.resource).collect::<Vec<_>>(), [Resource::Guest(GuestId(1))]);
    bench.agent.busy.insert(ready[0].resource, ready[0].clone());
    assert_eq!(bench.agent.ready_steps(&plan, now), []);
    bench.agent.busy.clear();
    assert_eq!(bench.agent.ready_steps(&plan, now).len(), 1);
}
