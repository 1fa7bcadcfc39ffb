//! A guest goes to and fro between two hosts, by the real `converge` and journals on both and by the brain's rules in small
//! between them, while agents die between any two steps and within them, hosts boot, manifests come late, and reports get
//! lost or are told late. At every moment it runs once at most, from the disk that it wrote last, and one disk is whole.
#![allow(clippy::unwrap_used)]

use honcho_agent_lib::clock::Moment;
use honcho_agent_lib::converge::converge;
use honcho_agent_lib::drivers::{DomainSeen, DriverError, Mark, PoolSeen, VolumeSeen};
use honcho_agent_lib::journal::Journal;
use honcho_agent_lib::observed::Observed;
use honcho_agent_lib::plan::{Action, Plan};
use honcho_model::guest::Power;
use honcho_model::{
    AccountId, Bytes, Digest, Epoch, Generation, GuestId, HostId, Incarnation, Name, PoolId, VolumeId,
};
use honcho_wire::{
    Absent, ArrivalState, Arriving, Existence, Gone, GuestWanted, ImageWanted, Leaving, Manifest, PROTOCOL,
    PoolKind, PoolState, PoolWanted, StopMode, VolumeAbsent, VolumeWanted,
};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use uuid::Uuid;

const BRAIN: Uuid = Uuid::from_u128(1);
const GUEST: Uuid = Uuid::from_u128(2);
const VOLUME: Uuid = Uuid::from_u128(3);

/// A move under way, as the brain's row has it.
#[derive(Clone, Copy, Debug)]
struct Move {
    from: usize,
    epoch: i64,
    held: bool,
}

/// The brain: `store::guest_moves` in small.
#[derive(Debug)]
struct Brain {
    holder: usize,
    epoch: i64,
    generation: i64,
    power: Power,
    boots: u64,
    moves: Option<Move>,
    /// What is to go, by host: at which epoch.
    copies: [Option<i64>; 2],
    manifests: i64,
}

/// What an agent says of one look.
#[derive(Clone, Debug, Default)]
struct Report {
    held: Option<i64>,
    durable: Option<i64>,
    gone: Option<i64>,
}

impl Brain {
    fn order(&mut self) {
        let to = 1 - self.holder;
        if self.moves.is_none() && self.copies[to].is_none() {
            self.epoch += 1;
            self.generation += 1;
            self.moves = Some(Move { from: self.holder, epoch: self.epoch, held: false });
        }
    }

    fn give_up(&mut self) {
        if let Some(given_up) = self.moves.take() {
            self.generation += 1;
            if given_up.held {
                self.copies[1 - given_up.from] = Some(given_up.epoch);
            }
        }
    }

    fn hear(&mut self, host: usize, report: &Report) {
        if let Some(moves) = &mut self.moves {
            moves.held |= host == moves.from && report.held == Some(moves.epoch);
        }
        if let Some(moves) = self.moves
            && moves.held
            && host != moves.from
            && report.durable == Some(moves.epoch)
        {
            self.moves = None;
            self.holder = host;
            self.generation += 1;
            self.copies[moves.from] = Some(moves.epoch);
        }
        if report.gone.is_some() && report.gone == self.copies[host] {
            self.copies[host] = None;
        }
    }

    fn render(&mut self, host: usize) -> Manifest {
        self.manifests += 1;
        let pool = PoolId(i64::try_from(host).unwrap() + 1);
        let leaving = self.moves.filter(|moves| moves.from == host);
        let wanted = GuestWanted {
            id: GuestId(7),
            uuid: GUEST,
            name: Name::new("g").unwrap(),
            account: AccountId(1),
            epoch: Epoch(self.epoch),
            generation: Generation(self.generation),
            power: if leaving.is_some() { Power::Stopped } else { self.power },
            start_alone: false,
            boots_wanted: self.boots,
            boots_waived: 0,
            boot_mode: StopMode::Soft,
            stop_mode: StopMode::Soft,
            memory: Bytes(1),
            vcpus: 1,
            root: VolumeWanted {
                id: VolumeId(9),
                uuid: VOLUME,
                pool,
                size: Bytes(100),
                existence: Existence::Existing,
                given_up: false,
                image: ImageWanted { digest: Digest([0; 32]), compressed: Bytes(1), unpacked: Bytes(1) },
            },
            interfaces: Vec::new(),
            ssh_keys: Vec::new(),
            leaving: leaving.map(|_| Leaving { ticket: Digest([1; 32]), certificates: Vec::new() }),
            capture: None,
        };
        let arriving = self.moves.filter(|moves| moves.from != host && moves.held);
        let arrivals = arriving.map(|moves| Arriving {
            guest: GuestId(7),
            uuid: GUEST,
            epoch: Epoch(moves.epoch),
            volume: VolumeId(9),
            volume_uuid: VOLUME,
            pool,
            address: "other:7073".into(),
            certificates: Vec::new(),
            ticket: format!("ticket {}", moves.epoch),
        });
        let absent = self.copies[host].map(|epoch| Absent::Guest {
            id: GuestId(7),
            uuid: GUEST,
            epoch: Epoch(epoch),
            generation: Generation(1),
            volumes: vec![VolumeAbsent { id: VolumeId(9), uuid: VOLUME, pool }],
            interfaces: Vec::new(),
        });
        Manifest {
            protocol: PROTOCOL,
            brain: BRAIN,
            incarnation: Incarnation(1),
            generation: Generation(self.manifests),
            host: HostId(i64::try_from(host).unwrap() + 1),
            frozen: None,
            unaccepted: None,
            pools: vec![PoolWanted {
                id: pool,
                uuid: Uuid::from_u128(u128::try_from(pool.0).unwrap() + 10),
                generation: Generation(1),
                existence: Existence::Existing,
                kind: PoolKind::Directory { path: "/pool".into() },
            }],
            networks: Vec::new(),
            guests: if self.holder == host { vec![wanted] } else { Vec::new() },
            arrivals: arrivals.into_iter().collect(),
            absent: absent.into_iter().collect(),
        }
    }
}

/// A host with its agent.
struct Host {
    domain: Option<Mark>,
    /// What is on its disk: how often the guest had written when it was last written.
    volume: Option<u64>,
    /// What has half arrived, and by which ticket.
    half: Option<(String, u64)>,
    boot: u32,
    now: Moment,
    mind: Journal,
    disk: Journal,
    manifest_on_disk: Option<Manifest>,
    /// Whether its agent reads the volume out just now.
    serves: bool,
    reports: VecDeque<Report>,
}

impl Host {
    fn die(&mut self) {
        self.mind = self.disk.clone();
        self.mind.manifest = self.manifest_on_disk.clone();
        self.serves = false;
        // What was not told by then is not told.
        self.reports.clear();
    }

    fn look(&self, pool: PoolId) -> Observed {
        let volumes = self.volume.map(|_| VolumeSeen {
            id: VolumeId(9),
            uuid: VOLUME,
            size: Bytes(100),
            ssh_host_key: None,
        });
        let seen = PoolSeen {
            state: PoolState::Ready,
            problem: None,
            size: Bytes(1000),
            free: Bytes(1000),
            reflink: false,
            volumes: volumes.into_iter().collect(),
        };
        let domain = |mark| DomainSeen {
            name: "honcho-g7".into(),
            uuid: GUEST,
            alive: true,
            mark: Some(mark),
            interfaces: Vec::new(),
            stuck: None,
        };
        Observed {
            boot_id: format!("boot-{}", self.boot),
            domains: Ok(self.domain.map(domain).into_iter().collect()),
            pools: BTreeMap::from([(pool, seen)]),
            bridges: Ok(Vec::new()),
            images: std::collections::BTreeSet::new(),
        }
    }
}

struct Died;

struct World {
    rng: StdRng,
    brain: Brain,
    hosts: [Host; 2],
    /// How often the guest has written.
    written: u64,
    crash_one_in: u32,
}

fn report_of(plan: &Plan) -> Report {
    let held = plan.guests.values().any(|verdict| verdict.held);
    let durable = plan.arrivals.iter().find(|verdict| verdict.state == ArrivalState::Durable);
    let gone = plan.gone.iter().find_map(|gone| match gone {
        Gone::Guest { epoch, .. } => Some(epoch.0),
        Gone::Network { .. } => None,
    });
    Report { held: held.then_some(0), durable: durable.map(|verdict| verdict.epoch.0), gone }
}

impl World {
    fn new(seed: u64, crash_one_in: u32) -> World {
        let brain = Brain {
            holder: 0,
            epoch: 1,
            generation: 1,
            power: Power::Running,
            boots: 1,
            moves: None,
            copies: [None, None],
            manifests: 0,
        };
        let host = |volume| Host {
            domain: None,
            volume,
            half: None,
            boot: 1,
            now: Moment(1_000),
            mind: Journal::default(),
            disk: Journal::default(),
            manifest_on_disk: None,
            serves: false,
            reports: VecDeque::new(),
        };
        let rng = StdRng::seed_from_u64(seed);
        World { rng, brain, hosts: [host(Some(0)), host(None)], written: 0, crash_one_in }
    }

    fn check(&self) {
        let running = self.hosts.iter().filter(|host| host.domain.is_some()).count();
        assert!(running <= 1, "it runs on both hosts");
        let whole = self.hosts.iter().any(|host| host.volume == Some(self.written));
        assert!(whole, "no disk holds what was written last");
    }

    fn deliver(&mut self, host: usize) {
        let manifest = self.brain.render(host);
        let host = &mut self.hosts[host];
        host.manifest_on_disk = Some(manifest.clone());
        host.mind.manifest = Some(manifest);
        host.mind.answered_in_boot = Some(format!("boot-{}", host.boot));
    }

    fn tell(&mut self, host: usize) {
        if let Some(report) = self.hosts[host].reports.pop_front() {
            self.brain.hear(host, &report);
        }
    }

    fn round(&mut self, at: usize) {
        if self.try_round(at).is_err() {
            self.hosts[at].die();
        }
        self.check();
    }

    fn may_die(&mut self) -> Result<(), Died> {
        let dies = self.crash_one_in > 0 && self.rng.random_ratio(1, self.crash_one_in);
        if dies { Err(Died) } else { Ok(()) }
    }

    fn try_round(&mut self, at: usize) -> Result<(), Died> {
        let pool = PoolId(i64::try_from(at).unwrap() + 1);
        let host = &mut self.hosts[at];
        let Some(manifest) = host.mind.manifest.clone() else { return Ok(()) };
        let observed = host.look(pool);
        host.mind.notice(&observed, host.now);
        let plan = converge(&manifest, &observed, &host.mind, host.now);
        host.disk = host.mind.clone();
        let mut report = report_of(&plan);
        report.held = report.held.and(manifest.guests.first().map(|guest| guest.epoch.0));
        host.serves = report.held.is_some();
        host.reports.push_back(report);
        // Only the last few are worth telling.
        while host.reports.len() > 3 {
            host.reports.pop_front();
        }
        let ready = plan.steps.iter().filter(|step| step.is_ready(host.now)).cloned().collect::<Vec<_>>();
        for step in ready {
            let host = &mut self.hosts[at];
            host.mind.step_begins(&step, &observed.boot_id, host.now);
            host.disk = host.mind.clone();
            self.may_die()?;
            let result = self.act(at, &step.action)?;
            self.check();
            self.may_die()?;
            let host = &mut self.hosts[at];
            host.mind.step_ended(&step, &result, &observed.boot_id, host.now);
        }
        let host = &mut self.hosts[at];
        host.now = plan.look_again.unwrap_or(host.now).max(host.now.plus(Duration::from_millis(500)));
        Ok(())
    }

    fn act(&mut self, at: usize, action: &Action) -> Result<Result<(), DriverError>, Died> {
        match action {
            Action::AskToStop(_) => {
                if self.rng.random_bool(0.5) {
                    self.hosts[at].domain = None;
                }
            }
            Action::Destroy(_) => self.hosts[at].domain = None,
            Action::Start { guest, .. } => {
                let host = &mut self.hosts[at];
                if host.domain.is_some() {
                    return Ok(Err(DriverError::Later("it runs already".into())));
                }
                assert_eq!(host.volume, Some(self.written), "it starts from an older disk");
                let mark =
                    Mark { brain: BRAIN, guest: guest.id, epoch: guest.epoch, boots: guest.boots_wanted };
                host.domain = Some(mark);
            }
            Action::FetchVolume { arriving, .. } => return self.fetch(at, &arriving.ticket),
            Action::DeleteVolumes(_) => {
                assert!(self.hosts[at].domain.is_none(), "deleted the disk of a running guest");
                self.hosts[at].half = None;
                self.may_die()?;
                self.hosts[at].volume = None;
            }
            other => panic!("nobody wants {} here", other.name()),
        }
        Ok(Ok(()))
    }

    /// A fetch begins, is cut, goes on, and compares: each time it is asked for, one of these.
    fn fetch(&mut self, at: usize, ticket: &str) -> Result<Result<(), DriverError>, Died> {
        if self.hosts[at].volume.is_some() {
            return Ok(Ok(()));
        }
        let source = &self.hosts[1 - at];
        let Some(content) = source.volume.filter(|_| source.serves) else {
            return Ok(Err(DriverError::Later("the other host does not serve".into())));
        };
        match self.hosts[at].half.clone().filter(|(of, _)| of == ticket) {
            None => {
                self.hosts[at].half = Some((ticket.to_owned(), content));
                self.may_die()?;
                Ok(Err(DriverError::Later("cut".into())))
            }
            Some((_, copied)) if copied == content => {
                self.hosts[at].volume = Some(copied);
                self.hosts[at].half = None;
                // Renamed, and not known to be durable.
                self.may_die()?;
                Ok(Ok(()))
            }
            Some(_) => {
                self.hosts[at].half = None;
                Ok(Err(DriverError::Later("not what the other host has".into())))
            }
        }
    }

    fn guest_writes(&mut self) {
        if let Some(host) = self.hosts.iter_mut().find(|host| host.domain.is_some()) {
            self.written += 1;
            host.volume = Some(self.written);
        }
    }

    fn host_boots(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.domain = None;
        host.boot += 1;
        host.now = Moment(1_000);
        host.die();
    }

    /// All is well, and everybody is heard. Returns whether it came to rest.
    fn settle(&mut self) -> bool {
        self.crash_one_in = 0;
        for _ in 0..400 {
            for host in 0..2 {
                self.deliver(host);
                self.round(host);
                while !self.hosts[host].reports.is_empty() {
                    self.tell(host);
                }
                self.hosts[host].now = self.hosts[host].now.plus(Duration::from_secs(70));
            }
            let runs = self.hosts[self.brain.holder].domain.is_some();
            let as_wanted = runs == (self.brain.power == Power::Running);
            if self.brain.moves.is_none() && self.brain.copies == [None, None] && as_wanted {
                return true;
            }
        }
        false
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Order,
    GiveUp,
    Power(bool),
    Reboot,
    Deliver(usize),
    Rounds(usize, u8),
    Tell(usize),
    Writes,
    AgentDies(usize),
    HostBoots(usize),
    Lose(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let host = 0..2_usize;
    prop_oneof![
        3 => Just(H::Order),
        1 => Just(H::GiveUp),
        1 => any::<bool>().prop_map(H::Power),
        1 => Just(H::Reboot),
        8 => host.clone().prop_map(H::Deliver),
        12 => (host.clone(), 1..4_u8).prop_map(|(host, rounds)| H::Rounds(host, rounds)),
        10 => host.clone().prop_map(H::Tell),
        3 => Just(H::Writes),
        1 => host.clone().prop_map(H::AgentDies),
        1 => host.clone().prop_map(H::HostBoots),
        1 => host.prop_map(H::Lose),
    ]
}

fn happen(world: &mut World, happening: &Happening) {
    match *happening {
        Happening::Order => world.brain.order(),
        Happening::GiveUp => world.brain.give_up(),
        Happening::Power(running) => {
            world.brain.generation += 1;
            world.brain.boots += u64::from(running && world.brain.power == Power::Stopped);
            world.brain.power = if running { Power::Running } else { Power::Stopped };
        }
        // As the brain does, which refuses it while a guest is on its way.
        Happening::Reboot if world.brain.moves.is_none() && world.brain.power == Power::Running => {
            world.brain.generation += 1;
            world.brain.boots += 1;
        }
        Happening::Reboot => {}
        Happening::Deliver(host) => world.deliver(host),
        Happening::Rounds(host, rounds) => (0..rounds).for_each(|_| world.round(host)),
        Happening::Tell(host) => world.tell(host),
        Happening::Writes => world.guest_writes(),
        Happening::AgentDies(host) => world.hosts[host].die(),
        Happening::HostBoots(host) => world.host_boots(host),
        Happening::Lose(host) => {
            world.hosts[host].reports.pop_front();
        }
    }
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happened, in the end the guest is on exactly one host, as it is wanted, with what it wrote last, and the other
    /// has nothing of it.
    #[test]
    fn a_guest_is_always_on_exactly_one_host(
        seed in any::<u64>(),
        crash_one_in in prop_oneof![Just(0_u32), 3..30_u32],
        happenings in prop::collection::vec(happening(), 1..150),
    ) {
        let mut world = World::new(seed, crash_one_in);
        for happening in &happenings {
            happen(&mut world, happening);
        }
        prop_assert!(world.settle(), "never came to rest: {:?}", world.brain);
        let holder = world.brain.holder;
        let other = &world.hosts[1 - holder];
        prop_assert_eq!(world.hosts[holder].volume, Some(world.written));
        prop_assert!(other.domain.is_none() && other.volume.is_none() && other.half.is_none());
    }
}

/// That moves come to an end in such lives at all, so that the property above is about something.
#[test]
fn a_move_between_two_hosts_ends() {
    let mut world = World::new(1, 0);
    assert!(world.settle());
    world.guest_writes();
    world.brain.order();
    assert!(world.settle());
    assert_eq!((world.brain.holder, world.brain.epoch), (1, 2));
    assert_eq!(world.hosts[1].domain.map(|mark| mark.epoch), Some(Epoch(2)));
    assert_eq!((world.hosts[0].volume, world.hosts[1].volume), (None, Some(1)));
}
