//! A guest goes from h1 to h2: what each host is told, what follows from what it says, and what becomes of whatever is asked
//! meanwhile. The hosts' agents are played here, by their manifests.

use super::power::Peek;
use super::*;
use honcho_api::Operation;
use honcho_model::Epoch;
use honcho_model::guest::GuestStatus;
use honcho_store::{Filters, guest_moves, manifests, operations, rooms};
use honcho_wire::{
    Absent, ArrivalObserved, ArrivalState, Arriving, GuestWanted, Manifest, NetworkObserved, Progress,
};
use sha2::{Digest as _, Sha256};

const GIB: u64 = 1 << 30;

/// Two hosts with agents that can move guests, and a guest that runs on the first.
struct Two {
    world: World,
    h1: i64,
    h2: i64,
    guest: i64,
}

/// What an agent says beside that all is well.
#[derive(Default)]
struct Says {
    guests: Vec<GuestObserved>,
    arrivals: Vec<ArrivalObserved>,
    gone: Vec<Gone>,
    networks: Vec<NetworkObserved>,
}

async fn join(world: &World, name: &str) -> i64 {
    let host = world.ask(&add_host(&world.app, name)).await.unwrap();
    let body = honcho_api::PoolCreate {
        host_id: Some(host.id),
        name: Some("default".into()),
        kind: None,
        path: Some("/pool".into()),
    };
    let pool = PoolCreate { scope: Scope::Operator, uuid: world.app.outside.uuid(), body };
    world.ask(&pool).await.unwrap();
    let join = HostJoin {
        token: JoinToken::parse(host.join_token.as_deref().unwrap()).unwrap(),
        fingerprint: format!("f-{name}"),
        dmi_uuid: None,
        machine_id: None,
    };
    world.ask(&join).await.unwrap().unwrap();
    host.id
}

/// What a host says of a guest that it is told of, when it has got that far.
fn seen(wanted: &GuestWanted, power: Power) -> GuestObserved {
    GuestObserved {
        id: wanted.id,
        epoch: wanted.epoch,
        generation: wanted.generation,
        settled: wanted.leaving.is_none(),
        power,
        boots_done: (power == Power::Running).then_some(wanted.boots_wanted),
        volume: VolumeObserved { id: wanted.root.id, state: VolumeState::Present, size: Bytes(3 * GIB) },
        interfaces: Vec::new(),
        ssh_host_key: None,
        progress: None,
        failure: None,
        unexpected_stops: 0,
        held: wanted.leaving.is_some() && power == Power::Stopped,
    }
}

impl Two {
    async fn new() -> Two {
        let world = World::new().await;
        let guest = world.order("web1").await.id;
        let (h1, h2) = (world.host.id, join(&world, "h2").await);
        let two = Two { world, h1, h2, guest };
        two.says(h2, Says::default()).await;
        two.agrees(h1, Power::Running).await;
        two
    }

    async fn says(&self, host: i64, says: Says) {
        let manifest = self.manifest(host).await;
        let machine = HostObserved {
            cpus: 4,
            memory: Bytes::gib(16),
            movers_address: Some(format!("10.0.0.{host}:7073")),
            ..HostObserved::default()
        };
        let observation = Observation {
            host: machine,
            pools: manifest.pools.iter().map(|pool| pool_ready(pool.id)).collect(),
            guests: says.guests,
            arrivals: says.arrivals,
            gone: says.gone,
            networks: says.networks,
            ..Observation::default()
        };
        let report = Report {
            protocol: PROTOCOL,
            capabilities: honcho_wire::CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
            boot_id: "b".to_owned(),
            run_id: Uuid::from_u128(1),
            sequence: self.world.sequence.fetch_add(1, Ordering::SeqCst),
            incarnation: None,
            manifest_generation: Generation(0),
            digest: String::new(),
            load: None,
            observation: Some(observation),
        };
        let change = ApplyReport { host: HostId(host), host_name: "h".to_owned(), report };
        self.world.ask(&change).await.unwrap();
    }

    async fn manifest(&self, host: i64) -> Manifest {
        let snapshot = self.world.app.store.snapshot().await.unwrap();
        manifests::render(&snapshot, HostId(host)).await.unwrap().unwrap()
    }

    /// The guest as a host is told of it.
    async fn wanted(&self, host: i64) -> Option<GuestWanted> {
        self.manifest(host).await.guests.into_iter().find(|guest| guest.id.0 == self.guest)
    }

    async fn arrival(&self, host: i64) -> Option<Arriving> {
        self.manifest(host).await.arrivals.into_iter().next()
    }

    /// What a host says of the guest that it is told of, when it has got that far.
    async fn seen(&self, host: i64, power: Power) -> GuestObserved {
        seen(&self.wanted(host).await.expect("this host is told of the guest"), power)
    }

    async fn agrees(&self, host: i64, power: Power) {
        let guests = vec![self.seen(host, power).await];
        self.says(host, Says { guests, ..Says::default() }).await;
    }

    /// Every guest that h1 is told of is as it is told, those that run so.
    async fn all_agree(&self, leaving: Power) {
        let mut guests = Vec::new();
        for wanted in self.manifest(self.h1).await.guests {
            let power = if wanted.leaving.is_some() { leaving } else { wanted.power };
            guests.push(seen(&wanted, power));
        }
        self.says(self.h1, Says { guests, ..Says::default() }).await;
    }

    async fn arrives(&self, host: i64, state: ArrivalState, percent: Option<u8>) {
        let wanted = self.arrival(host).await.expect("this host is told of what arrives");
        let progress =
            percent.map(|percent| Progress { step: "fetch_volume".into(), percent: Some(percent) });
        let arrival = ArrivalObserved {
            guest: wanted.guest,
            epoch: wanted.epoch,
            state,
            size: Bytes(3 * GIB),
            progress,
            failure: None,
        };
        self.says(host, Says { arrivals: vec![arrival], ..Says::default() }).await;
    }

    /// A host has removed what is listed as absent there.
    async fn removes(&self, host: i64) {
        let gone = |absent: Absent| match absent {
            Absent::Guest { id, epoch, generation, .. } => Gone::Guest { id, epoch, generation },
            Absent::Network { id, generation, .. } => Gone::Network { id, generation },
        };
        let gone = self.manifest(host).await.absent.into_iter().map(gone).collect();
        self.says(host, Says { gone, ..Says::default() }).await;
    }

    fn order_to(&self, to: Option<i64>) -> GuestMove {
        GuestMove {
            scope: Scope::Operator,
            id: GuestId(self.guest),
            to: to.map(HostId),
            ticket: self.world.app.outside.secret(),
            rules: crate::USUAL_RULES,
        }
    }

    async fn moves(&self) -> Operation {
        self.world.ask(&self.order_to(Some(self.h2))).await.unwrap()
    }

    async fn operation(&self, id: i64) -> Operation {
        operations::get(self.world.app.store.reader(), Scope::System, id.into()).await.unwrap()
    }

    async fn give_up(&self, id: i64) -> StoreResult<Operation> {
        self.world
            .ask(&OperationAbandon { scope: Scope::Operator, id: id.into(), rules: crate::USUAL_RULES })
            .await
    }

    async fn shown(&self) -> (GuestStatus, String) {
        let guest = self.world.guest(self.guest).await;
        (guest.status, guest.status_reason.unwrap_or_default())
    }

    /// How many guests claim memory on h1 and on h2, and how much disk is promised there, in GiB.
    async fn claimed(&self) -> [(i64, i64); 2] {
        let rooms = rooms::list(self.world.app.store.reader(), None, self.world.app.now()).await.unwrap();
        [self.h1, self.h2].map(|host| {
            let room = rooms.iter().find(|room| room.host.0 == host).unwrap();
            let guests = room.claimed.iter().map(|size| size.guests).sum();
            (guests, room.pools.iter().map(|pool| pool.placed).sum::<i64>() >> 30)
        })
    }

    /// Its account is told of moves, and not by which machines.
    async fn names_no_host_to_its_account(&self) {
        let reader = self.world.app.store.reader();
        let scope = Scope::Account(honcho_model::AccountId(self.world.account.id));
        let events = honcho_store::events::list(reader, scope, &Filters::default()).await.unwrap();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        for kind in
            ["guest.move_ordered", "guest.move", "guest.moved", "guest.copy_removed", "guest.move_refused"]
        {
            assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
        }
        let operations = honcho_store::operations::list(reader, scope, &Filters::default()).await.unwrap();
        let said = events.into_iter().map(|event| event.message);
        for text in said.chain(operations.into_iter().filter_map(|operation| operation.outcome)) {
            assert!(!text.contains("h1") && !text.contains("h2"), "{text}");
        }
    }

    async fn epoch(&self) -> i64 {
        self.world.guest(self.guest).await.epoch
    }
}

#[tokio::test]
async fn a_guest_goes_from_host_to_host() {
    let two = Two::new().await;
    let (h1, h2) = (two.h1, two.h2);
    assert_eq!(two.claimed().await, [(1, 3), (0, 0)]);
    let operation = two.moves().await;
    assert_eq!((operation.kind.as_str(), operation.state.as_str()), ("move", "open"));
    assert_eq!(two.claimed().await, [(1, 3), (1, 3)], "room there is taken from the beginning");

    // The source is told to stop it; the target nothing yet.
    let leaving = two.wanted(h1).await.unwrap();
    assert_eq!(
        (leaving.epoch, leaving.power, leaving.stop_mode),
        (Epoch(2), Power::Stopped, honcho_wire::StopMode::Soft)
    );
    assert_eq!(leaving.leaving.as_ref().unwrap().certificates, ["f-h2"]);
    assert_eq!((two.wanted(h2).await, two.arrival(h2).await), (None, None));
    two.agrees(h1, Power::Running).await;
    assert_eq!(two.shown().await.0, GuestStatus::Stopping);
    assert_eq!(two.arrival(h2).await, None, "it runs still");

    // It is off for good: the target may fetch.
    two.agrees(h1, Power::Stopped).await;
    assert_eq!(two.shown().await, (GuestStatus::Moving, "to h2".to_owned()));
    let arriving = two.arrival(h2).await.unwrap();
    assert_eq!((arriving.epoch, arriving.address.as_str()), (Epoch(2), format!("10.0.0.{h1}:7073").as_str()));
    assert_eq!(arriving.certificates, ["f1"]);
    let hash: [u8; 32] = Sha256::digest(&arriving.ticket).into();
    assert_eq!(two.wanted(h1).await.unwrap().leaving.unwrap().ticket.0, hash, "and is known by its ticket");
    two.arrives(h2, ArrivalState::Coming, Some(40)).await;
    assert_eq!(two.shown().await, (GuestStatus::Moving, "to h2: fetch_volume 40%".to_owned()));
    assert_eq!(two.operation(operation.id).await.percent, Some(40));
    assert_eq!(two.world.guest(two.guest).await.moving_to_host_id, Some(h2));
    assert_eq!(two.wanted(h2).await, None, "nobody may start it");

    // All of it is there: in one transaction it is the target's.
    two.arrives(h2, ArrivalState::Durable, None).await;
    let guest = two.world.guest(two.guest).await;
    assert_eq!((guest.host_id, guest.moving_to_host_id, guest.epoch), (Some(h2), None, 2));
    assert_eq!(two.wanted(h1).await, None);
    let wanted = two.wanted(h2).await.unwrap();
    assert_eq!((wanted.epoch, wanted.power), (Epoch(2), Power::Running));
    assert_eq!(wanted.root.existence, honcho_wire::Existence::Existing);
    assert_eq!(two.manifest(h2).await.networks.len(), 1, "its network comes with it");
    let [Absent::Guest { id, epoch, volumes, .. }, ..] = &two.manifest(h1).await.absent[..] else {
        panic!("what is left on h1 is not listed as absent")
    };
    assert_eq!((id.0, *epoch, volumes.len()), (two.guest, Epoch(2), 1));
    assert_eq!(two.claimed().await, [(1, 3), (1, 3)], "room here is kept to the end");
    assert_eq!(two.operation(operation.id).await.state.as_str(), "open");

    two.agrees(h2, Power::Running).await;
    assert_eq!(two.operation(operation.id).await.state.as_str(), "done");
    assert_eq!(two.shown().await.0, GuestStatus::Running);
    two.removes(h1).await;
    assert_eq!(two.claimed().await, [(0, 0), (1, 3)]);
    assert_eq!(two.manifest(h1).await.absent, []);
    assert_eq!(two.manifest(h1).await.networks, []);
    // And back again.
    two.world.ask(&two.order_to(Some(h1))).await.unwrap();
    assert_eq!(two.epoch().await, 3);
}

#[tokio::test]
async fn a_stopped_guest_stays_stopped_and_may_be_told_to_start_meanwhile() {
    let two = Two::new().await;
    two.world.power(two.guest, PowerAction::Stop { hard: false }).await.unwrap();
    two.agrees(two.h1, Power::Stopped).await;
    let moves = two.moves().await;
    two.agrees(two.h1, Power::Stopped).await;
    let start = two.world.power(two.guest, PowerAction::Start).await.unwrap();
    assert_eq!(two.wanted(two.h1).await.unwrap().power, Power::Stopped, "not here any more");
    two.agrees(two.h1, Power::Stopped).await;
    assert_eq!(two.operation(start.id).await.state.as_str(), "open");
    two.arrives(two.h2, ArrivalState::Durable, None).await;
    assert_eq!(two.wanted(two.h2).await.unwrap().power, Power::Running);
    two.agrees(two.h2, Power::Running).await;
    for id in [moves.id, start.id] {
        assert_eq!(two.operation(id).await.state.as_str(), "done");
    }
}

#[tokio::test]
async fn only_the_hosts_it_is_about_can_say_how_it_goes_and_only_of_now() {
    let two = Two::new().await;
    let (h1, h2, h3) = (two.h1, two.h2, join(&two.world, "h3").await);
    let earlier = two.seen(h1, Power::Stopped).await;
    two.moves().await;
    let held = two.seen(h1, Power::Stopped).await;
    // Somebody else says that it is held; the source says so of the epoch before.
    two.says(h3, Says { guests: vec![held.clone()], ..Says::default() }).await;
    two.says(h2, Says { guests: vec![held.clone()], ..Says::default() }).await;
    let earlier = GuestObserved { held: true, ..earlier };
    two.says(h1, Says { guests: vec![earlier], ..Says::default() }).await;
    assert_eq!(two.arrival(h2).await, None);
    let arrival = |epoch| ArrivalObserved {
        guest: GuestId(two.guest),
        epoch: Epoch(epoch),
        state: ArrivalState::Durable,
        size: Bytes(3 * GIB),
        progress: None,
        failure: None,
    };
    // All of it is said to be there before the source was heard.
    two.says(h2, Says { arrivals: vec![arrival(2)], ..Says::default() }).await;
    assert_eq!(two.world.guest(two.guest).await.host_id, Some(h1));
    two.says(h1, Says { guests: vec![held], ..Says::default() }).await;
    for (host, epoch) in [(h3, 2), (h1, 2), (h2, 1), (h2, 3)] {
        two.says(host, Says { arrivals: vec![arrival(epoch)], ..Says::default() }).await;
        assert_eq!(two.world.guest(two.guest).await.host_id, Some(h1), "{host} at {epoch}");
    }
    // Nor is its copy gone before it is one.
    let gone = Gone::Guest { id: GuestId(two.guest), epoch: Epoch(2), generation: Generation(99) };
    two.says(h1, Says { gone: vec![gone], ..Says::default() }).await;
    assert_eq!(two.claimed().await, [(1, 3), (1, 3)]);
    two.says(h2, Says { arrivals: vec![arrival(2)], ..Says::default() }).await;
    assert_eq!(two.world.guest(two.guest).await.host_id, Some(h2));
}

#[tokio::test]
async fn giving_up_leaves_it_where_it_is_as_long_as_not_all_of_it_is_there() {
    let two = Two::new().await;
    let (h1, h2) = (two.h1, two.h2);
    // Before the target was told: nothing is left there.
    let first = two.moves().await;
    let ended = two.give_up(first.id).await.unwrap();
    assert_eq!(ended.outcome.as_deref(), Some("given up: it stays where it is, and starts there again"));
    let wanted = two.wanted(h1).await.unwrap();
    assert_eq!((wanted.leaving, wanted.power, wanted.epoch), (None, Power::Running, Epoch(2)));
    assert_eq!((two.claimed().await, two.manifest(h2).await.absent), ([(1, 3), (0, 0)], vec![]));
    two.agrees(h1, Power::Running).await;
    assert_eq!(two.shown().await.0, GuestStatus::Running);

    // In the midst of it: what is there goes, and may not be moved to meanwhile.
    let second = two.moves().await;
    two.agrees(h1, Power::Stopped).await;
    two.arrives(h2, ArrivalState::Coming, Some(40)).await;
    let late = two.arrival(h2).await.unwrap();
    two.give_up(second.id).await.unwrap();
    assert_eq!(two.arrival(h2).await, None);
    assert_eq!(two.manifest(h2).await.absent.len(), 1);
    assert_eq!(two.claimed().await, [(1, 3), (0, 3)], "its disk there counts until it is gone");
    let again = refused(two.world.ask(&two.order_to(Some(h2))).await);
    assert!(again.contains("still being removed"), "{again}");
    // The target had not heard yet.
    let arrival = ArrivalObserved {
        guest: late.guest,
        epoch: late.epoch,
        state: ArrivalState::Durable,
        size: Bytes(3 * GIB),
        progress: None,
        failure: None,
    };
    two.says(h2, Says { arrivals: vec![arrival], ..Says::default() }).await;
    assert_eq!(two.world.guest(two.guest).await.host_id, Some(h1));
    two.removes(h2).await;
    assert_eq!(two.claimed().await, [(1, 3), (0, 0)]);

    // Once all of it is there it is there.
    let third = two.moves().await;
    two.agrees(h1, Power::Stopped).await;
    two.arrives(h2, ArrivalState::Durable, None).await;
    let late = refused(two.give_up(third.id).await);
    assert!(late.starts_with("conflict: all of it is on h2 already"), "{late}");
}

#[tokio::test]
async fn what_is_asked_of_a_guest_on_its_way() {
    let two = Two::new().await;
    let (h1, h2) = (two.h1, two.h2);
    let moves = two.moves().await;
    let (scope, id) = (Scope::Operator, GuestId(two.guest));
    let again = refused(two.world.ask(&two.order_to(None)).await);
    assert!(again.starts_with("conflict: it is to go to h2 already (operation"), "{again}");
    let reboot = refused(two.world.power(two.guest, PowerAction::Reboot { hard: false }).await);
    assert!(reboot.contains("there is nothing to reboot"), "{reboot}");
    let size = |memory_bytes, name| {
        let body = honcho_api::GuestUpdate { memory_bytes, name, ..honcho_api::GuestUpdate::default() };
        GuestUpdate { scope, id, body, restart: Restart::Allowed, rules: crate::USUAL_RULES }
    };
    let resize = refused(two.world.ask(&size(Some(2 << 30), None)).await);
    assert!(resize.starts_with("conflict: it is being moved to another host"), "{resize}");
    two.world.ask(&size(None, Some("web2".to_owned()))).await.unwrap();
    let pools = two.manifest(h2).await.pools;
    let pool = refused(two.world.ask(&PoolDelete { scope, id: pools[0].id }).await);
    assert!(pool.contains("on its way"), "{pool}");
    let host = refused(two.world.ask(&HostDelete { scope, id: HostId(h2) }).await);
    assert!(host.contains("on their way"), "{host}");

    // Suspended: it goes on, and stays off there. Cancelled: likewise, and its memory counts nowhere.
    let account = two.world.account.id.into();
    two.world.ask(&AccountSuspend { scope, id: account, reason: None }).await.unwrap();
    two.agrees(h1, Power::Stopped).await;
    two.world.ask(&GuestCancel { scope, id }).await.unwrap();
    assert_eq!(two.operation(moves.id).await.state.as_str(), "open", "its disk goes on");
    assert_eq!(two.claimed().await, [(0, 3), (0, 3)]);
    let restore = refused(two.world.ask(&GuestRestore { scope, id, rules: crate::USUAL_RULES }).await);
    assert!(restore.starts_with("conflict: it is being moved"), "{restore}");
    two.arrives(h2, ArrivalState::Durable, None).await;
    assert_eq!(two.wanted(h2).await.unwrap().power, Power::Stopped);
    two.agrees(h2, Power::Stopped).await;
    assert_eq!(two.operation(moves.id).await.state.as_str(), "done");
    two.world.ask(&GuestRestore { scope, id, rules: crate::USUAL_RULES }).await.unwrap();
}

#[tokio::test]
async fn a_guest_that_is_deleted_on_its_way_is_gone_from_both() {
    let two = Two::new().await;
    let (h1, h2) = (two.h1, two.h2);
    let moves = two.moves().await;
    two.agrees(h1, Power::Stopped).await;
    two.arrives(h2, ArrivalState::Coming, Some(10)).await;
    two.world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(two.guest) }).await.unwrap();
    assert_eq!(two.operation(moves.id).await.state.as_str(), "superseded");
    assert_eq!((two.wanted(h1).await, two.arrival(h2).await), (None, None));
    for host in [h1, h2] {
        assert_eq!(two.manifest(host).await.absent.len(), 1, "on {host}");
    }
    two.removes(h1).await;
    assert_eq!(two.shown().await.0, GuestStatus::Deleted);
    assert_eq!(two.claimed().await, [(0, 0), (0, 3)]);
    two.removes(h2).await;
    assert_eq!(two.claimed().await, [(0, 0), (0, 0)]);
}

#[tokio::test]
async fn why_a_guest_cannot_be_moved() {
    let two = Two::new().await;
    let world = &two.world;
    let ask = async |to| refused(world.ask(&two.order_to(to)).await);
    assert_eq!(ask(Some(two.h1)).await, "to_host_id is the host that it is on\n");
    assert_eq!(ask(Some(99)).await, "to_host_id does not exist\n");
    let customer = GuestMove { scope: Scope::Account(world.account.id.into()), ..two.order_to(None) };
    assert!(
        refused(world.ask(&customer).await).starts_with("forbidden"),
        "its account does not choose hosts"
    );
    let unmade = world.order("web2").await;
    let unmade = GuestMove { id: GuestId(unmade.id), ..two.order_to(None) };
    assert!(refused(world.ask(&unmade).await).contains("not made yet"));
    let h2 = HostId(two.h2);
    world.ask(&HostDrain { scope: Scope::Operator, id: h2, wanted: Wanted::Drained }).await.unwrap();
    assert_eq!(ask(Some(two.h2)).await, "base no host has room for it (h2: is draining)\n");
    world.ask(&HostDrain { scope: Scope::Operator, id: h2, wanted: Wanted::Undrained }).await.unwrap();
    // Its agent says no address: another holds its port.
    let report = |host, address: Option<&str>, capabilities: &[&str]| ApplyReport {
        host: HostId(host),
        host_name: "h".to_owned(),
        report: Report {
            protocol: PROTOCOL,
            capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
            boot_id: "b".to_owned(),
            run_id: Uuid::from_u128(1),
            sequence: world.sequence.fetch_add(1, Ordering::SeqCst),
            incarnation: None,
            manifest_generation: Generation(0),
            digest: String::new(),
            load: None,
            observation: Some(Observation {
                host: HostObserved {
                    cpus: 4,
                    memory: Bytes::gib(16),
                    movers_address: address.map(str::to_owned),
                    ..HostObserved::default()
                },
                ..Observation::default()
            }),
        },
    };
    world.ask(&report(two.h1, None, honcho_wire::CAPABILITIES)).await.unwrap();
    assert!(ask(None).await.contains("its host h1 cannot be reached by others"));
    world.ask(&report(two.h1, Some("10.0.0.1:1"), honcho_wire::CAPABILITIES)).await.unwrap();
    world.ask(&report(two.h2, None, &["pool.directory", "network.local"])).await.unwrap();
    let old = ask(None).await;
    assert_eq!(
        old,
        "base no host has room for it (h2: its agent is too old to take guests from other hosts)\n"
    );
    // One that reads no disks cannot go on with an image that is made of one.
    world.power(two.guest, PowerAction::Stop { hard: false }).await.unwrap();
    two.agrees(two.h1, Power::Stopped).await;
    let (id, uuid) = (GuestId(two.guest), world.app.outside.uuid());
    let capture = GuestCapture { scope: Scope::Operator, id, uuid, name: Some("own".to_owned()) };
    world.ask(&capture).await.unwrap();
    let all_but_one: Vec<&str> =
        honcho_wire::CAPABILITIES.iter().copied().filter(|name| *name != honcho_wire::CAPTURES).collect();
    world.ask(&report(two.h2, None, &all_but_one)).await.unwrap();
    assert_eq!(
        ask(None).await,
        "base no host has room for it (h2: its agent is too old to read the disk, of which an image is made)\n"
    );
    world.pass(60);
    assert!(ask(None).await.contains("its host h1 is silent"));
}

#[tokio::test]
async fn a_dry_run_says_what_will_happen_and_changes_nothing() {
    let two = Two::new().await;
    let rehearsal = GuestMoveRehearsal(two.order_to(None));
    let trial = two.world.app.store.rehearse(Actor::honcho(), two.world.app.now(), &rehearsal).await.unwrap();
    assert_eq!((trial.to_host.as_str(), trial.stops, trial.copied_bytes), ("h2", true, 3 << 30));
    assert!(trial.said.starts_with("it runs: it is asked to stop first"), "{}", trial.said);
    assert_eq!((two.epoch().await, two.claimed().await), (1, [(1, 3), (0, 0)]));
}

#[tokio::test]
async fn a_renewed_certificate_and_another_address_reach_the_other_host() {
    let two = Two::new().await;
    two.moves().await;
    two.agrees(two.h1, Power::Stopped).await;
    let before = two.manifest(two.h1).await.generation;
    let renewed =
        HostRenewCertificate { id: HostId(two.h2), shown: "f-h2".to_owned(), next: "f-new".to_owned() };
    assert!(two.world.ask(&renewed).await.unwrap());
    let told = two.manifest(two.h1).await;
    assert!(told.generation > before, "it is woken");
    assert_eq!(told.guests[0].leaving.as_ref().unwrap().certificates, ["f-h2", "f-new"]);
    let desired = two.world.ask(&Peek { id: GuestId(two.guest) }).await.unwrap();
    assert!(desired.moving);
}

#[tokio::test]
async fn the_moves_of_a_plan_begin_in_its_order_a_few_at_a_time() {
    let two = Two::new().await;
    let world = &two.world;
    let mut guests = vec![two.guest];
    for name in ["web2", "web3", "web4"] {
        let body = honcho_api::GuestCreate { host_id: Some(two.h1), ..world.body(name) };
        guests.push(world.order_as(Scope::Operator, body).await.unwrap().id);
    }
    two.all_agree(Power::Running).await;
    let steps = guests.iter().map(|id| (GuestId(*id), HostId(two.h2))).collect();
    let ordered = world.ask(&MovesOrder { scope: Scope::Operator, steps }).await.unwrap();
    assert_eq!(ordered.len(), 4);
    assert_eq!(two.claimed().await, [(4, 12), (0, 0)], "what waits takes no room");
    let begun = async || {
        let leaving = two.manifest(two.h1).await.guests.into_iter().filter(|guest| guest.leaving.is_some());
        leaving.map(|guest| guest.id.0).collect::<Vec<_>>()
    };
    crate::controllers::moving_step(world.app.clone()).await.unwrap();
    assert_eq!(begun().await, guests[..2], "two at a time, in the plan's order");
    // One that waits runs on, and may be given up as if it had never been ordered.
    two.all_agree(Power::Running).await;
    assert_eq!(two.operation(ordered[3].1.0).await.state.as_str(), "open");
    let ended = two.give_up(ordered[3].1.0).await.unwrap();
    assert_eq!(ended.outcome.as_deref(), Some("given up: it stays where it is"));
    two.all_agree(Power::Stopped).await;
    two.arrives(two.h2, ArrivalState::Durable, None).await;
    crate::controllers::moving_step(world.app.clone()).await.unwrap();
    assert_eq!(begun().await, guests[1..3]);
    // The last has no room any more where it was to go, and none will come.
    two.all_agree(Power::Stopped).await;
    for _ in 0..2 {
        two.arrives(two.h2, ArrivalState::Durable, None).await;
    }
    two.removes(two.h1).await;
    let steps = vec![(GuestId(guests[3]), HostId(two.h2))];
    let last = world.ask(&MovesOrder { scope: Scope::Operator, steps }).await.unwrap()[0].1;
    let drain = HostDrain { scope: Scope::Operator, id: HostId(two.h2), wanted: Wanted::Drained };
    world.ask(&drain).await.unwrap();
    crate::controllers::moving_step(world.app.clone()).await.unwrap();
    let ended = two.operation(last.0).await;
    assert_eq!(
        (ended.state.as_str(), ended.outcome.as_deref()),
        ("refused", Some("no host has room for it (h2: is draining)"))
    );
    assert_eq!(guest_moves::pending(world.app.store.reader()).await.unwrap(), []);
    two.names_no_host_to_its_account().await;
}
