//! The loop: look, decide, start what is ready, say what was seen; again when anything happens.
//!
//! ```text
//!            brain                              host
//!   poller ----+---- manifests --.   .-- changes of domains
//!              |                 v   v
//!              |   timers --> [ look -> converge -> start steps ] --> steps, each in a task of its own
//!              |                 |   ^------------ their ends --------------'
//!   reporter --+---- snapshot <--'
//! ```
//!
//! One look at a time. A step's end is taken in only between two looks, and its resource counts as busy until then,
//! so that no decision rests on a look that began before the step had ended.

mod manifests;

use crate::brain::{BrainClient, Contact, RawAnswer};
use crate::clock::{Clock, Moment};
use crate::converge::converge;
use crate::drivers::{DriverResult, Drivers, ProgressSink};
use crate::identity::Identity;
use crate::journal::Journal;
use crate::journal_file::JournalFile;
use crate::machine::MachineIds;
use crate::memory::Memory;
use crate::movers::{self, Departure, Departures, MoversOptions, TlsPeers};
use crate::observation::observation;
use crate::observed::{Lookout, Observed};
use crate::perform::{Means, perform_apart};
use crate::plan::{Action, Plan, Resource, Step};
use crate::renewal::WallClock;
use crate::reporter::Snapshot;
use crate::sampling::{self, Guests};
use crate::{poller, renewal, reporter, streams};
use anyhow::Context as _;
use honcho_model::{Generation, GuestId, Incarnation, host};
use honcho_wire::{Gone, HostObserved, Manifest, Progress, StreamWanted};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

/// So many steps that keep disk and processor busy run at once.
const HEAVY_STEPS: usize = 4;
/// So many steps run at once altogether.
const STEPS: usize = 32;
/// What happens within this is looked at together.
const DEBOUNCE: Duration = Duration::from_millis(15);
/// Progress alone is told so often at most.
const PROGRESS_GAP: Duration = Duration::from_millis(500);
/// So many streams are remembered as opened.
const STREAMS_REMEMBERED: usize = 1024;

/// What an agent is started with.
pub struct AgentOptions {
    /// Where it keeps what it must not forget.
    pub memory: Arc<dyn Memory>,
    /// What it has not forgotten.
    pub journal: Journal,
    /// Which boot of the host this is.
    pub boot_id: BootId,
    /// The machine, as the brain is told of it.
    pub machine: HostObserved,
    /// What tells the machine from others.
    pub machine_ids: MachineIds,
    /// Counts what the brain answers.
    pub contact: Arc<Contact>,
    /// The hands.
    pub drivers: Drivers,
    /// The clock.
    pub clock: Clock,
    /// The time of day, which only the renewal of the certificate needs.
    pub wall_clock: WallClock,
    /// Where other hosts' agents are heard; nowhere if `None`, and then no guest can leave this host.
    pub movers: Option<MoversOptions>,
    /// Names this run of the agent: made anew each time.
    pub run_id: Uuid,
}

/// Which boot of the host this is.
#[derive(Clone, Debug)]
pub enum BootId {
    /// Read anew at each look: `/proc/sys/kernel/random/boot_id`.
    InFile(PathBuf),
    /// It is known, for the agent ends with the boot: of a simulated host.
    Known(String),
}

/// Reads what this host remembered of its brain, in a data directory that the caller has locked.
pub fn recall(data: &Path, identity: &Identity) -> anyhow::Result<(Arc<dyn Memory>, Journal)> {
    let (file, journal, complaints) = JournalFile::open(data, identity.brain, identity.host_id)
        .with_context(|| format!("cannot read the journal in {}", data.display()))?;
    for complaint in complaints {
        tracing::error!("{complaint}");
    }
    Ok((Arc::new(file), journal))
}

/// What the loop hears of.
pub(crate) enum Event {
    /// The brain answered.
    Answer(RawAnswer),
    /// A step ended.
    StepEnded(Resource, DriverResult<()>),
}

type Doing = Arc<Mutex<BTreeMap<Resource, Progress>>>;

/// Runs the agent until `shutdown` is ready. Guests go on.
pub async fn run(
    identity: Identity,
    options: AgentOptions,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let brain =
        Arc::new(BrainClient::new(&identity, options.machine_ids.clone(), Arc::clone(&options.contact))?);
    let (events, inbox) = mpsc::channel(256);
    let (news, news_for_reporter) = watch::channel(None);
    let run_id = options.run_id;
    tracing::info!(host = %identity.host_id, name = %identity.host_name, brain = %identity.agents_address, %run_id,
        "the agent runs");

    let mut tasks = JoinSet::new();
    tasks.spawn(poller::poll_forever(Arc::clone(&brain), events.clone()));
    let hypervisor = Arc::clone(&options.drivers.hypervisor);
    let (guests, known_guests) = watch::channel(Guests::default());
    tasks.spawn(sampling::sample_forever(
        Arc::clone(&brain),
        Arc::clone(&hypervisor),
        news_for_reporter.clone(),
        known_guests,
        run_id,
    ));
    tasks.spawn(reporter::report_forever(Arc::clone(&brain), news_for_reporter, run_id, hypervisor));
    tasks.spawn(renewal::renew_forever(
        Arc::clone(&brain),
        identity.clone(),
        Arc::clone(&options.memory),
        options.wall_clock,
    ));
    let movers = options.movers.clone();
    let mut agent = Agent::new(identity, options, brain, events, news);
    agent.guests = guests;
    if let Some(movers) = movers {
        let (told, address) = watch::channel(None);
        agent.movers_address = address;
        let server = movers::Server {
            identity: Arc::clone(&agent.brain) as _,
            storage: Arc::clone(&agent.means.drivers.storage),
            departures: agent.departures.subscribe(),
        };
        let brain = agent.identity.agents_address.clone();
        tasks.spawn(movers::serve_forever(server, movers, brain, told));
    }
    tokio::select! {
        ended = agent.work(inbox) => ended,
        () = shutdown => {
            tracing::info!("the agent ends; guests go on");
            Ok(())
        }
        ended = tasks.join_next() => match ended {
            Some(Err(error)) => Err(error).context("a part of the agent broke off"),
            _ => Ok(()),
        }
    }
}

/// What the last look gave, kept so that progress can be told without another.
struct Last {
    acting_on: Option<(Incarnation, Generation)>,
    observed: Observed,
    plan: Plan,
    looked_at: Instant,
}

struct Agent {
    identity: Identity,
    brain: Arc<BrainClient>,
    lookout: Lookout,
    means: Means,
    boot_id: BootId,
    clock: Clock,
    memory: Arc<dyn Memory>,
    journal: Journal,
    journal_changed: bool,
    refused: Option<String>,
    /// Why the journal cannot be kept, while that is so.
    disk_problem: Option<String>,
    /// A manifest that could not be kept on disk yet, so that nothing may be done about it.
    not_kept: Option<Manifest>,
    host: HostObserved,
    busy: BTreeMap<Resource, Step>,
    doing: Doing,
    progressed: watch::Sender<()>,
    events: mpsc::Sender<Event>,
    news: watch::Sender<Option<Arc<Snapshot>>>,
    last: Option<Last>,
    /// Those that are wanted here, for whoever samples what they take.
    guests: watch::Sender<Guests>,
    /// Volumes that may be read out just now.
    departures: watch::Sender<Departures>,
    /// Where other agents reach this one.
    movers_address: watch::Receiver<Option<String>>,
    streams: JoinSet<()>,
    streams_opened: VecDeque<Uuid>,
}

impl Agent {
    fn new(
        identity: Identity,
        options: AgentOptions,
        brain: Arc<BrainClient>,
        events: mpsc::Sender<Event>,
        news: watch::Sender<Option<Arc<Snapshot>>>,
    ) -> Self {
        Agent {
            lookout: Lookout::new(options.drivers.clone()),
            means: Means {
                drivers: options.drivers,
                blobs: Arc::clone(&brain) as _,
                captures: Arc::clone(&brain) as _,
                peers: Arc::new(TlsPeers { identity: Arc::clone(&brain) as _ }),
                brain: identity.brain,
            },
            identity,
            brain,
            boot_id: options.boot_id,
            clock: options.clock,
            memory: options.memory,
            journal: options.journal,
            journal_changed: false,
            refused: None,
            disk_problem: None,
            not_kept: None,
            host: options.machine,
            busy: BTreeMap::new(),
            doing: Doing::default(),
            progressed: watch::channel(()).0,
            events,
            news,
            last: None,
            guests: watch::channel(Guests::default()).0,
            departures: watch::channel(Departures::default()).0,
            movers_address: watch::channel(None).1,
            streams: JoinSet::new(),
            streams_opened: VecDeque::new(),
        }
    }

    async fn work(mut self, mut inbox: mpsc::Receiver<Event>) -> anyhow::Result<()> {
        let mut changes = self.means.drivers.hypervisor.changes();
        let mut progress = self.progressed.subscribe();
        let mut address = self.movers_address.clone();
        loop {
            while let Ok(event) = inbox.try_recv() {
                self.hear(event);
            }
            changes.mark_unchanged();
            let sleep = self.look_and_act().await;
            let wake = tokio::time::sleep(sleep);
            tokio::pin!(wake);
            loop {
                tokio::select! {
                    event = inbox.recv() => match event {
                        Some(event) => { self.hear(event); break }
                        None => return Ok(()),
                    },
                    Ok(()) = changes.changed() => break,
                    () = &mut wake => break,
                    Ok(()) = progress.changed() => self.publish(),
                    Ok(()) = address.changed() => break,
                    Some(_) = self.streams.join_next() => {}
                }
            }
            tokio::time::sleep(DEBOUNCE).await;
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Answer(answer) => {
                if let Some(raw) = answer.manifest {
                    self.take_manifest(raw);
                } else if self.acts_on_the_brains_manifest() {
                    self.brain_answered();
                }
                for wanted in answer.streams {
                    self.open_stream(wanted);
                }
            }
            Event::StepEnded(resource, result) => {
                let Some(step) = self.busy.remove(&resource) else { return };
                self.doing.lock().unwrap_or_else(PoisonError::into_inner).remove(&resource);
                let name = step.action.name();
                match &result {
                    Ok(()) => tracing::info!(%resource, step = name, "done"),
                    Err(error) => tracing::warn!(%resource, step = name, %error, "failed"),
                }
                let now = self.clock.now();
                let boot_id = self.boot_id().unwrap_or_default();
                self.journal.step_ended(&step, &result, &boot_id, now);
                self.journal_changed = true;
            }
        }
    }

    fn boot_id(&self) -> Option<String> {
        let file = match &self.boot_id {
            BootId::Known(id) => return Some(id.clone()),
            BootId::InFile(file) => file,
        };
        match std::fs::read_to_string(file) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) => {
                tracing::error!(file = %file.display(), %error, "cannot read the boot id; doing nothing");
                None
            }
        }
    }

    /// Looks, decides and starts what is ready. Returns when to look again at the latest.
    async fn look_and_act(&mut self) -> Duration {
        let Some(boot_id) = self.boot_id() else { return host::HEARTBEAT };
        self.disk_problem = None;
        if let Some(manifest) = self.not_kept.take() {
            self.keep_manifest(manifest);
        }
        self.describe_host().await;
        let to_look_at = self.to_look_at();
        let observed = self.lookout.look(&boot_id, to_look_at.as_ref()).await;
        let looked_at = Instant::now();
        self.say_if_blind(&observed);
        let now = self.clock.now();
        self.journal_changed |= self.journal.notice(&observed, now);
        let plan = match &self.journal.manifest {
            Some(manifest) => converge(manifest, &observed, &self.journal, now),
            None => Plan::default(),
        };
        for gone in &plan.gone {
            if let Gone::Guest { id, .. } = gone
                && !plan.guests.contains_key(id)
            {
                self.journal_changed |= self.journal.forget_guest(*id);
            }
        }
        let look_again = plan.look_again;
        let ready = self.ready_steps(&plan, now);
        if self.keep_before(&ready, &boot_id, now) {
            for step in ready {
                self.start(step);
            }
        }
        self.open_to_movers(&plan);
        self.name_guests();
        self.last = Some(Last { acting_on: self.acting_on(), observed, plan, looked_at });
        self.publish();
        let until_wake = look_again.map_or(host::HEARTBEAT, |moment| moment.since(now));
        until_wake.clamp(Duration::from_millis(1), host::HEARTBEAT)
    }

    /// Lets the volumes of guests that are held still be read out, and no others.
    fn open_to_movers(&self, plan: &Plan) {
        let mut departures = BTreeMap::new();
        for guest in self.journal.manifest.iter().flat_map(|manifest| &manifest.guests) {
            let held = plan.guests.get(&guest.id).is_some_and(|verdict| verdict.held);
            let pools = self.journal.manifest.iter().flat_map(|manifest| &manifest.pools);
            let pool = pools.into_iter().find(|pool| pool.id == guest.root.pool);
            let (Some(leaving), Some(pool)) = (&guest.leaving, pool) else { continue };
            if held && !self.busy.contains_key(&Resource::Guest(guest.id)) {
                let departure = Departure {
                    pool: pool.clone(),
                    volume: guest.root.id,
                    uuid: guest.root.uuid,
                    certificates: leaving.certificates.clone(),
                };
                departures.insert(leaving.ticket, departure);
            }
        }
        let departures: Departures = Arc::new(departures);
        self.departures.send_if_modified(|known| {
            let changed = *known != departures;
            *known = departures;
            changed
        });
    }

    /// Says which domain is which guest.
    fn name_guests(&self) {
        let guests = self.journal.manifest.iter().flat_map(|manifest| &manifest.guests);
        let guests: BTreeMap<Uuid, GuestId> = guests.map(|guest| (guest.uuid, guest.id)).collect();
        self.guests.send_if_modified(|known| {
            let changed = **known != guests;
            if changed {
                *known = Arc::new(guests);
            }
            changed
        });
    }

    /// The manifest; while that is unaccepted, with the pools of the brain's earlier life that it does not speak of.
    fn to_look_at(&self) -> Option<Manifest> {
        let mut manifest = self.journal.manifest.clone()?;
        for pool in self.journal.former_if_unaccepted().iter().flat_map(|former| &former.pools) {
            if manifest.pools.iter().all(|known| known.id != pool.id && known.uuid != pool.uuid) {
                manifest.pools.push(pool.clone());
            }
        }
        Some(manifest)
    }

    /// Says once, in the agent's own log too, that something cannot be looked at, and once that it can again.
    fn say_if_blind(&self, observed: &Observed) {
        let before = self.last.as_ref().map(|last| &last.observed);
        let domains = (before.and_then(|b| b.domains.as_ref().err()), observed.domains.as_ref().err());
        let bridges = (before.and_then(|b| b.bridges.as_ref().err()), observed.bridges.as_ref().err());
        for (what, (before, now)) in [("domains", domains), ("bridges", bridges)] {
            match (before, now) {
                (before, Some(error)) if before != Some(error) => {
                    tracing::warn!(%error, "cannot look at {what}; what needs them waits");
                }
                (Some(_), None) => tracing::info!("can look at {what} again"),
                _ => {}
            }
        }
    }

    async fn describe_host(&mut self) {
        self.host.movers_address.clone_from(&self.movers_address.borrow());
        self.host.virtualization = self.means.drivers.hypervisor.virtualization();
        // What cannot be described now was described before, or is said as the host's problem by the look.
        if let Ok(description) = self.means.drivers.hypervisor.describe().await {
            self.host.hypervisor = description;
        }
    }

    /// Steps whose time has come, whose resource is free, and for which there is room.
    fn ready_steps(&self, plan: &Plan, now: Moment) -> Vec<Step> {
        let mut heavy = self.busy.values().filter(|step| step.action.is_heavy()).count();
        let mut ready: Vec<Step> = Vec::new();
        // One disk at a time is read and held in memory.
        let is_capture = |step: &Step| matches!(step.action, Action::Capture { .. });
        let mut captures = self.busy.values().any(is_capture);
        for step in &plan.steps {
            let taken =
                self.busy.contains_key(&step.resource) || ready.iter().any(|r| r.resource == step.resource);
            let room =
                self.busy.len() + ready.len() < STEPS && !(step.action.is_heavy() && heavy >= HEAVY_STEPS);
            if step.is_ready(now) && !taken && room && !(captures && is_capture(step)) {
                heavy += usize::from(step.action.is_heavy());
                captures |= is_capture(step);
                ready.push(step.clone());
            }
        }
        ready
    }

    /// Notes what begins, and keeps the journal if anything in it changed. Without that nothing may begin.
    fn keep_before(&mut self, ready: &[Step], boot_id: &str, now: Moment) -> bool {
        let before = self.journal.without_manifest();
        let mut begins = false;
        for step in ready {
            begins |= self.journal.step_begins(step, boot_id, now);
        }
        if !self.journal_changed && !begins {
            return true;
        }
        match self.memory.keep(&self.journal) {
            Ok(()) => {
                self.journal_changed = false;
                true
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be kept on disk, so nothing is done");
                self.disk_problem =
                    Some(format!("the journal cannot be kept on disk, so nothing is done: {error}"));
                // What did not begin must not count: a guest that was never asked to stop would be forced to.
                let (manifest, former) = (self.journal.manifest.take(), self.journal.former.take());
                self.journal = Journal { manifest, former, ..before };
                false
            }
        }
    }

    fn start(&mut self, step: Step) {
        let (resource, action) = (step.resource, step.action.clone());
        tracing::info!(%resource, step = action.name(), "begins");
        let beginning = Progress { step: action.name().to_owned(), percent: None };
        self.doing.lock().unwrap_or_else(PoisonError::into_inner).insert(resource, beginning);
        self.busy.insert(resource, step);
        let progress =
            progress_sink(resource, action.name(), Arc::clone(&self.doing), self.progressed.clone());
        let (means, events) = (self.means.clone(), self.events.clone());
        tokio::spawn(async move {
            let result = perform_apart(action, means, progress).await;
            // The loop is gone only when the process ends, and then the next run looks for itself.
            let _ended = events.send(Event::StepEnded(resource, result)).await;
        });
    }

    /// Puts what was last seen, with the progress of now, before the reporter.
    fn publish(&self) {
        // What was decided about one manifest must not be told as if it were about the next.
        let Some(last) = self.last.as_ref().filter(|last| last.acting_on == self.acting_on()) else { return };
        let doing = self.doing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let manifest = self.journal.manifest.as_ref();
        let said = observation(
            self.host.clone(),
            manifest,
            &last.observed,
            &self.journal,
            &last.plan,
            &doing,
            self.refused.clone().or(self.disk_problem.clone()),
        );
        let snapshot = Snapshot::new(last.observed.boot_id.clone(), last.acting_on, said, last.looked_at);
        self.news.send_replace(Some(Arc::new(snapshot)));
    }

    fn open_stream(&mut self, wanted: StreamWanted) {
        if self.streams_opened.contains(&wanted.id) {
            return;
        }
        if self.streams_opened.len() >= STREAMS_REMEMBERED {
            self.streams_opened.pop_front();
        }
        self.streams_opened.push_back(wanted.id);
        let manifest: Option<Arc<Manifest>> = self.journal.manifest.clone().map(Arc::new);
        let (brain, drivers) = (Arc::clone(&self.brain), self.means.drivers.clone());
        self.streams.spawn(streams::serve(brain, drivers, manifest, wanted));
    }
}

/// Notes progress, and wakes the loop to tell it when enough time has passed since the last.
fn progress_sink(
    resource: Resource,
    step: &'static str,
    doing: Doing,
    progressed: watch::Sender<()>,
) -> ProgressSink {
    let told = Mutex::new(tokio::time::Instant::now());
    Arc::new(move |part: &str, percent: Option<u8>| {
        let step = if part.is_empty() { step } else { part };
        let mut doing = doing.lock().unwrap_or_else(PoisonError::into_inner);
        // A late word of a step that has ended is not to be told.
        let Some(progress) = doing.get_mut(&resource) else { return };
        *progress = Progress { step: step.to_owned(), percent };
        drop(doing);
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= PROGRESS_GAP {
            *told = tokio::time::Instant::now();
            progressed.send_replace(());
        }
    })
}

/// Where the kernel says which boot this is.
pub fn kernel_boot_id_file() -> &'static Path {
    Path::new("/proc/sys/kernel/random/boot_id")
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
