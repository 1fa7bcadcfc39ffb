//! A store in a directory of its own, with one account, host, pool, network and image in it, and a clock that stands
//! still until it is moved.

use honcho_api::ImagePackage;
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_model::{
    AccountId, Bytes, Digest, Epoch, Generation, GuestId, HostId, ImageId, Name, NetworkId, OperationId,
    PoolId, Timestamp, VolumeId,
};
use honcho_store::guests_desired::{self, Desired, NewGuest, NewInterface};
use honcho_store::reports::ApplyReport;
use honcho_store::{
    Actor, Change, Engine, Refusal, Scope, Store, StoreError, StoreResult, Turn, Tx, accounts, brain, hosts,
    images, manifests, networks, operations, pools,
};
use honcho_wire::{
    Gone, GuestObserved, Manifest, Observation, PROTOCOL, Report, ReportAnswer, VolumeObserved, VolumeState,
};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) type Doing<'a, T> = Pin<Box<dyn Future<Output = StoreResult<T>> + Send + 'a>>;

/// Says that a change lives no longer than what its closure borrows: without it the closure's future would have to be
/// good for any lifetime, and could borrow nothing.
pub(crate) struct Within<'a, 'c: 'a>(PhantomData<&'a &'c ()>);

/// A change made of a closure.
pub(crate) struct Do<'c, T, F>(F, PhantomData<fn(&'c ()) -> T>);

pub(crate) fn act<'c, T, F>(run: F) -> Do<'c, T, F>
where
    F: for<'a> Fn(&'a Tx, Within<'a, 'c>) -> Doing<'a, T> + Sync,
{
    Do(run, PhantomData)
}

impl<'c, T: Send, F> Change for Do<'c, T, F>
where
    F: for<'a> Fn(&'a Tx, Within<'a, 'c>) -> Doing<'a, T> + Sync,
{
    type Out = T;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<T> {
        (self.0)(tx, Within(PhantomData)).await
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn refusal<T: std::fmt::Debug>(outcome: StoreResult<T>) -> Refusal {
    match outcome.unwrap_err() {
        StoreError::Refused(refusal) => refusal,
        other => panic!("no refusal: {other}"),
    }
}

/// A guest is ordered.
struct Order<'n>(&'n NewGuest);

impl Change for Order<'_> {
    type Out = GuestId;
    const TURN: Turn = Turn::Addresses;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<GuestId> {
        let id = guests_desired::create(tx, self.0).await?;
        operations::begin(tx, OperationKind::Create, id, self.0.account, Generation(1)).await?;
        Ok(id)
    }
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) directory: TempDir,
    pub(crate) engine: Engine,
    now: AtomicI64,
    sequence: AtomicU64,
    uuids: AtomicU64,
    pub(crate) account: AccountId,
    pub(crate) host: HostId,
    pub(crate) pool: PoolId,
    pub(crate) network: NetworkId,
    pub(crate) image: ImageId,
}

/// An empty database on the engine that the tests run on, with its schema up.
pub(crate) async fn engine(directory: &TempDir) -> Engine {
    match honcho_test_postgres::engine() {
        honcho_test_postgres::Engine::Sqlite => Engine::Sqlite(directory.path().join("honcho.sqlite")),
        honcho_test_postgres::Engine::Postgres => {
            let migrate = async |url: String| {
                Store::open(&Engine::Postgres(url)).await.unwrap().close().await.unwrap();
            };
            Engine::Postgres(honcho_test_postgres::migrated_database(migrate).await)
        }
    }
}

/// A way to the database itself, past the store.
pub(crate) async fn connect(engine: &Engine) -> sea_orm::DatabaseConnection {
    let url = match engine {
        Engine::Sqlite(path) => format!("sqlite://{}", path.display()),
        Engine::Postgres(url) => url.clone(),
    };
    sea_orm::Database::connect(url).await.unwrap()
}

/// The run id that reports carry unless a test says otherwise.
pub(crate) const RUN: Uuid = Uuid::from_u128(0xa);

impl World {
    pub(crate) async fn new() -> World {
        World::with_subnet("10.77.0.0/24").await
    }

    pub(crate) async fn with_subnet(subnet: &str) -> World {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(&directory).await;
        let store = Store::open(&engine).await.unwrap();
        let now = Timestamp(1_000_000_000);
        store.write(Actor::honcho(), now, &brain::Establish { uuid: Uuid::from_u128(1) }).await.unwrap();
        let mut world = World {
            store,
            directory,
            engine,
            now: AtomicI64::new(now.0),
            sequence: AtomicU64::new(0),
            uuids: AtomicU64::new(0x100),
            account: AccountId(0),
            host: HostId(0),
            pool: PoolId(0),
            network: NetworkId(0),
            image: ImageId(0),
        };
        world.account = world.new_account("acme").await;
        world.host = world.new_host("h1").await;
        world.pool = world.new_pool("default", world.host, "/pool").await;
        world.network = world.new_network("office", subnet, None).await;
        world.image = world.new_image("debian-12", None).await;
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    /// Time passes.
    pub(crate) fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    pub(crate) fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.uuids.fetch_add(1, Ordering::SeqCst)))
    }

    pub(crate) async fn write<C: Change>(&self, change: &C) -> StoreResult<C::Out> {
        self.store.write(Actor::honcho(), self.now(), change).await
    }

    pub(crate) async fn new_account(&self, text: &str) -> AccountId {
        let new = accounts::NewAccount {
            uuid: self.uuid(),
            name: name(text),
            reference: None,
            grace_seconds: 100,
            limits: honcho_model::quota::Limits::default(),
        };
        self.write(&act(|tx, _| Box::pin(accounts::create(tx, &new)))).await.unwrap()
    }

    pub(crate) async fn new_host(&self, text: &str) -> HostId {
        let (uuid, name) = (self.uuid(), name(text));
        self.write(&act(|tx, _| Box::pin(hosts::create(tx, uuid, &name)))).await.unwrap()
    }

    pub(crate) async fn new_pool(&self, text: &str, host: HostId, path: &str) -> PoolId {
        let (uuid, name) = (self.uuid(), name(text));
        self.write(&act(|tx, _| Box::pin(pools::create(tx, uuid, host, &name, path)))).await.unwrap()
    }

    pub(crate) async fn new_network(
        &self,
        text: &str,
        subnet: &str,
        account: Option<AccountId>,
    ) -> NetworkId {
        let subnet = honcho_model::subnet::parse(subnet).unwrap();
        let new = networks::NewNetwork::local(self.uuid(), name(text), account, subnet);
        self.write(&act(|tx, _| Box::pin(networks::create(tx, &new)))).await.unwrap()
    }

    pub(crate) async fn new_image(&self, text: &str, account: Option<AccountId>) -> ImageId {
        self.image_of(text, account, Vec::new()).await
    }

    /// An image of everybody's with these packages in it.
    pub(crate) async fn new_image_of(&self, text: &str, packages: Vec<ImagePackage>) -> ImageId {
        self.image_of(text, None, packages).await
    }

    async fn image_of(&self, text: &str, account: Option<AccountId>, packages: Vec<ImagePackage>) -> ImageId {
        let new = images::NewImage {
            uuid: self.uuid(),
            account,
            name: name(text),
            digest: Digest([7; 32]),
            compressed: Bytes::mib(100),
            unpacked: Bytes::mib(300),
            packages,
            architecture: None,
            facts: images::ImageFacts::default(),
            signature: None,
            recipe: None,
        };
        self.write(&act(|tx, _| Box::pin(images::create(tx, &new)))).await.unwrap()
    }

    pub(crate) fn new_guest(&self, text: &str) -> NewGuest {
        NewGuest {
            uuid: self.uuid(),
            volume_uuid: self.uuid(),
            account: self.account,
            name: name(text),
            reference: None,
            image: self.image,
            host: self.host,
            pool: self.pool,
            interfaces: vec![NewInterface::of(self.network)],
            power: Power::Running,
            start_alone: false,
            vcpus: 1,
            memory: Bytes::mib(512),
            disk: Bytes::gib(3),
            cpu_features: std::collections::BTreeSet::new(),
            cluster: None,
            role: None,
            ssh_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        }
    }

    pub(crate) async fn order(&self, new: &NewGuest) -> StoreResult<GuestId> {
        self.write(&Order(new)).await
    }

    pub(crate) async fn guest(&self, text: &str) -> GuestId {
        self.order(&self.new_guest(text)).await.unwrap()
    }

    pub(crate) async fn desired(&self, id: GuestId) -> Desired {
        self.write(&act(|tx, _| Box::pin(guests_desired::get(tx, Scope::System, id)))).await.unwrap()
    }

    /// Changes what is desired of a guest, as an operation does.
    pub(crate) async fn change(
        &self,
        id: GuestId,
        kind: OperationKind,
        edit: impl Fn(&mut Desired) + Sync,
    ) -> OperationId {
        let edit = &edit;
        let change = act(|tx, _| {
            Box::pin(async move {
                let mut guest = guests_desired::get(tx, Scope::System, id).await?;
                edit(&mut guest);
                guests_desired::save(tx, &mut guest).await?;
                operations::begin(tx, kind, id, guest.account, guest.generation).await
            })
        });
        self.write(&change).await.unwrap()
    }

    pub(crate) async fn delete(&self, id: GuestId) -> OperationId {
        let now = self.now();
        self.change(id, OperationKind::Delete, |guest| {
            guest.cancelled_at = Some(now);
            guest.deleting_at = Some(now);
        })
        .await
    }

    /// A report of the host's agent: what it saw, newer than all before.
    pub(crate) async fn report(&self, observation: Observation) -> ReportAnswer {
        let sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
        self.report_as(self.host, RUN, sequence, "d", Some(observation)).await
    }

    pub(crate) async fn report_as(
        &self,
        host: HostId,
        run_id: Uuid,
        sequence: u64,
        digest: &str,
        observation: Option<Observation>,
    ) -> ReportAnswer {
        let report = Report {
            protocol: PROTOCOL,
            capabilities: Vec::new(),
            boot_id: "boot-1".to_owned(),
            run_id,
            sequence,
            incarnation: None,
            manifest_generation: Generation(0),
            load: None,
            digest: digest.to_owned(),
            observation,
        };
        self.write(&ApplyReport { host, host_name: "h1".to_owned(), report }).await.unwrap()
    }

    /// The agent says that a guest, as it is wanted now, is gone.
    pub(crate) async fn report_gone(&self, id: GuestId) {
        let wanted = self.desired(id).await;
        let gone = Gone::Guest { id, epoch: wanted.epoch, generation: wanted.generation };
        self.report(Observation { gone: vec![gone], ..Observation::default() }).await;
    }

    pub(crate) async fn manifest(&self) -> Manifest {
        let snapshot = self.store.snapshot().await.unwrap();
        manifests::render(&snapshot, self.host).await.unwrap().unwrap()
    }

    pub(crate) async fn generation(&self) -> i64 {
        hosts::generation(self.store.reader(), self.host).await.unwrap().unwrap().0
    }
}

/// A guest that runs and has nothing left to do, at that generation.
pub(crate) fn seen(id: GuestId, generation: i64) -> GuestObserved {
    GuestObserved {
        id,
        epoch: Epoch(1),
        generation: Generation(generation),
        settled: true,
        power: Power::Running,
        boots_done: Some(1),
        volume: VolumeObserved { id: VolumeId(id.0), state: VolumeState::Present, size: Bytes::gib(3) },
        interfaces: Vec::new(),
        ssh_host_key: None,
        progress: None,
        failure: None,
        unexpected_stops: 0,
        held: false,
    }
}

pub(crate) fn saw(guests: Vec<GuestObserved>) -> Observation {
    Observation { guests, ..Observation::default() }
}
