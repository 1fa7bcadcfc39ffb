//! Operations over a real store in a directory of its own: no HTTP, no sockets, and a clock that is moved by hand.

mod accounts;
mod addresses;
mod blobs;
mod capturing;
mod clusters;
mod ends;
mod giving_up;
mod hosts;
mod import_addresses;
mod import_netbox;
mod import_networks;
mod imports;
mod inventory;
mod load;
mod mailing;
mod moving;
mod networks;
mod orders;
mod placing;
pub(crate) mod post;
mod power;
mod quotas;
mod signatures;
pub(crate) mod slow_queries;
mod slow_ranking;
mod standing;
mod trust;
mod updates;
mod uploads;
mod usage;

use super::*;
use crate::app::App;
use crate::outside::Outside;
use crate::serve::{ServeOptions, open};
use honcho_api::{Account, Guest, Host, Image, Network, Pool};
use honcho_model::guest::Power;
use honcho_model::{Bytes, Epoch, Generation, GuestId, HostId, PoolId, Timestamp, VolumeId};
use honcho_store::reports::ApplyReport;
use honcho_store::{Actor, Change, StoreError, guests};
use honcho_wire::{
    Gone, GuestObserved, HostObserved, Observation, PROTOCOL, PoolObserved, PoolState, Report,
    VolumeObserved, VolumeState,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tempfile::TempDir;
use uuid::Uuid;

/// A key as people have it.
pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ann@example";

/// A brain with one account, one host that is up (16G of memory, a pool of 100G), a network and an image.
pub(crate) struct World {
    pub(crate) app: App,
    clock: Arc<AtomicI64>,
    sequence: AtomicU64,
    /// Goes with the world.
    directory: TempDir,
    /// The PostgreSQL database, if that is what the tests run on.
    pub(crate) database: Option<honcho_store::Engine>,
    pub(crate) account: Account,
    pub(crate) host: Host,
    pub(crate) network: Network,
    pub(crate) image: Image,
}

/// An empty database, if the tests run on PostgreSQL; on SQLite the brain makes its own.
async fn database() -> Option<honcho_store::Engine> {
    if honcho_test_postgres::engine() == honcho_test_postgres::Engine::Sqlite {
        return None;
    }
    let migrate = async |url: String| {
        let store = honcho_store::Store::open(&honcho_store::Engine::Postgres(url)).await.unwrap();
        store.close().await.unwrap();
    };
    Some(honcho_store::Engine::Postgres(honcho_test_postgres::migrated_database(migrate).await))
}

/// Modules whose tests know no database: they would say the same twice.
const WITHOUT_DATABASE: &[&str] = &[
    "authority::",
    "backup::archive::",
    "http::bodies::",
    "http::strict_json::",
    "listening::",
    "passwords::",
    "tables::",
];

/// Every test of the brain, and not only those of operations. Tests named `sqlite_…` are about SQLite's files.
#[test]
fn all_of_it_on_postgres() {
    honcho_test_postgres::run_again("", &[&["all_of_it_on_postgres", "sqlite_"], WITHOUT_DATABASE].concat());
}

/// An archive with the suites bookworm and testing.
fn make_archive(root: &std::path::Path) {
    use honcho_archive::{Archive, Settings, SuiteSettings};
    let own = SuiteSettings::new(vec!["main".parse().unwrap()], vec!["amd64".parse().unwrap()]);
    let suites = ["bookworm", "testing"].map(|name| (name.parse().unwrap(), own.clone()));
    let (origin, label) = ("Acme".to_owned(), "Acme hosting".to_owned());
    let settings = Settings { origin, label, keys: Vec::new(), suites: suites.into() };
    Archive::create(root, settings, 1_700_000_000, &mut rand_core_06::OsRng).unwrap();
}

impl World {
    pub(crate) async fn new() -> World {
        // It is large, and lies in the future of each test that waits for it.
        Box::pin(World::make()).await
    }

    async fn make() -> World {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1_000_000_000_000_000));
        let (time, drawn) = (clock.clone(), AtomicU64::new(1));
        let outside = Outside::new(
            move || Timestamp(time.load(Ordering::SeqCst)),
            move |bytes| {
                let n = drawn.fetch_add(1, Ordering::SeqCst).to_be_bytes();
                bytes.iter_mut().zip(n.iter().cycle()).for_each(|(byte, n)| *byte = *n);
            },
        );
        let database = database().await;
        let archive = directory.path().join("archive");
        make_archive(&archive);
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let options = ServeOptions {
            listen: nowhere,
            agents_listen: nowhere,
            agents_advertise: None,
            webhook_allow: vec!["127.0.0.0/8".parse().unwrap()],
            data: directory.path().join("data"),
            database: database.clone(),
            post: None,
            slow: crate::slow::SlowOptions {
                sendmail: directory.path().join("sendmail"),
                ..crate::slow::SlowOptions::default()
            },
            rules: crate::USUAL_RULES,
            largest_image: crate::LARGEST_IMAGE,
            simulated: false,
            archive: Some(archive),
            archive_keep: None,
            archive_listen: None,
        };
        let app = open(&options, outside, tokio_util::sync::CancellationToken::new()).await.unwrap();
        let ask = async |change: &AccountCreate| app.write(Actor::honcho(), change).await.unwrap();
        let body = honcho_api::AccountCreate {
            name: Some("acme".into()),
            grace_seconds: Some(100),
            ..honcho_api::AccountCreate::default()
        };
        let account = ask(&AccountCreate { scope: Scope::Operator, uuid: app.outside.uuid(), body }).await;
        let host = app.write(Actor::honcho(), &add_host(&app, "h1")).await.unwrap();
        let body = honcho_api::PoolCreate {
            host_id: Some(host.id),
            name: Some("default".into()),
            kind: None,
            path: Some("/pool".into()),
        };
        let uuid = app.outside.uuid();
        let pool = PoolCreate { scope: Scope::Operator, uuid, body };
        let pool: Pool = app.write(Actor::honcho(), &pool).await.unwrap();
        let body = honcho_api::NetworkCreate {
            name: Some("office".into()),
            subnet: Some("10.77.0.0/24".into()),
            ..honcho_api::NetworkCreate::default()
        };
        let uuid = app.outside.uuid();
        let network = NetworkCreate { scope: Scope::Operator, uuid, body };
        let network = app.write(Actor::honcho(), &network).await.unwrap();
        let body = honcho_api::ImageCreate {
            name: Some("debian-12".into()),
            digest: Some("07".repeat(32)),
            unpacked_bytes: Some(300 << 20),
            ..honcho_api::ImageCreate::default()
        };
        let image =
            ImageCreate { scope: Scope::Operator, uuid: app.outside.uuid(), blob_size: Some(1), body };
        let image = app.write(Actor::honcho(), &image).await.unwrap();
        let join = HostJoin {
            token: JoinToken::parse(host.join_token.as_deref().unwrap()).unwrap(),
            fingerprint: "f1".to_owned(),
            dmi_uuid: None,
            machine_id: None,
        };
        app.write(Actor::honcho(), &join).await.unwrap().unwrap();
        let sequence = AtomicU64::new(1);
        let world = World { app, clock, sequence, directory, database, account, host, network, image };
        world.report(vec![pool_ready(PoolId(pool.id))], Vec::new(), Vec::new()).await;
        world
    }

    /// Where its files are: `data/`, `archive/`.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.pass_millis(seconds * 1000);
    }

    pub(crate) fn pass_millis(&self, millis: i64) {
        self.clock.fetch_add(millis * 1000, Ordering::SeqCst);
    }

    pub(crate) async fn ask<C: Change>(&self, change: &C) -> StoreResult<C::Out> {
        self.app.write(Actor::honcho(), change).await
    }

    /// A body that is all right.
    pub(crate) fn body(&self, name: &str) -> honcho_api::GuestCreate {
        honcho_api::GuestCreate {
            account_id: Some(self.account.id),
            name: Some(name.into()),
            image_id: Some(self.image.id),
            network_id: Some(self.network.id),
            memory_bytes: Some(1 << 30),
            disk_bytes: Some(3 << 30),
            ssh_keys: Some(vec![KEY.into()]),
            ..honcho_api::GuestCreate::default()
        }
    }

    pub(crate) async fn order_as(&self, scope: Scope, body: honcho_api::GuestCreate) -> StoreResult<Guest> {
        let (uuid, volume_uuid) = (self.app.outside.uuid(), self.app.outside.uuid());
        let cluster_uuid = self.app.outside.uuid();
        let (rules, standing) = (crate::USUAL_RULES, self.app.standing.clone());
        self.ask(&GuestCreate { scope, uuid, volume_uuid, cluster_uuid, body, rules, standing }).await
    }

    pub(crate) async fn order(&self, name: &str) -> Guest {
        self.order_as(Scope::Operator, self.body(name)).await.unwrap()
    }

    pub(crate) async fn guest(&self, id: i64) -> Guest {
        guests::get(self.app.store.reader(), Scope::System, GuestId(id), self.app.now()).await.unwrap()
    }

    pub(crate) async fn power(&self, id: i64, action: PowerAction) -> StoreResult<honcho_api::Operation> {
        self.ask(&GuestPower { scope: Scope::Operator, id: GuestId(id), action, rules: crate::USUAL_RULES })
            .await
    }

    /// The agent has brought a guest to what is wanted of it.
    pub(crate) async fn settle(&self, id: i64) {
        let guest = self.guest(id).await;
        let running = guest.power == Power::Running
            && guest.cancelled_at.is_none()
            && guest.status != honcho_model::guest::GuestStatus::Suspended;
        self.settled(&guest, running).await;
    }

    /// The agent has stopped a guest that is not to run now.
    pub(super) async fn stopped(&self, id: i64) {
        self.settled(&self.guest(id).await, false).await;
    }

    async fn settled(&self, guest: &Guest, running: bool) {
        let id = guest.id;
        let seen = GuestObserved {
            id: GuestId(id),
            epoch: Epoch(guest.epoch),
            generation: Generation(guest.generation),
            settled: true,
            power: if running { Power::Running } else { Power::Stopped },
            boots_done: running.then(|| u64::try_from(guest.boots_wanted).unwrap()),
            volume: VolumeObserved { id: VolumeId(id), state: VolumeState::Present, size: Bytes(0) },
            interfaces: Vec::new(),
            ssh_host_key: None,
            progress: None,
            failure: None,
            unexpected_stops: 0,
            held: false,
        };
        self.report(Vec::new(), vec![seen], Vec::new()).await;
    }

    /// The agent has made an end of a guest.
    pub(crate) async fn bury(&self, id: i64) {
        let guest = self.guest(id).await;
        let gone = Gone::Guest {
            id: GuestId(id),
            epoch: Epoch(guest.epoch),
            generation: Generation(guest.generation),
        };
        self.report(Vec::new(), Vec::new(), vec![gone]).await;
    }

    pub(crate) async fn report(&self, pools: Vec<PoolObserved>, guests: Vec<GuestObserved>, gone: Vec<Gone>) {
        let host = HostObserved { cpus: 4, memory: Bytes::gib(16), ..HostObserved::default() };
        self.report_as(host, pools, guests, gone).await;
    }

    /// The same of a machine that is something else.
    pub(crate) async fn report_as(
        &self,
        host: HostObserved,
        pools: Vec<PoolObserved>,
        guests: Vec<GuestObserved>,
        gone: Vec<Gone>,
    ) {
        let report = Report {
            protocol: PROTOCOL,
            capabilities: honcho_wire::CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
            boot_id: "b".to_owned(),
            run_id: Uuid::from_u128(1),
            sequence: self.sequence.fetch_add(1, Ordering::SeqCst),
            incarnation: None,
            manifest_generation: Generation(0),
            load: None,
            digest: String::new(),
            observation: Some(Observation { host, pools, guests, gone, ..Observation::default() }),
        };
        let change = ApplyReport { host: HostId(self.host.id), host_name: "h1".to_owned(), report };
        self.ask(&change).await.unwrap();
    }
}

fn pool_ready(id: PoolId) -> PoolObserved {
    PoolObserved {
        id,
        state: PoolState::Ready,
        problem: None,
        size: Bytes::gib(100),
        free: Bytes::gib(90),
        reflink: true,
    }
}

pub(crate) fn add_host(app: &App, name: &str) -> HostAdd {
    HostAdd {
        scope: Scope::Operator,
        uuid: app.outside.uuid(),
        secret: app.outside.secret(),
        ca_fingerprint: app.authority.fingerprint(),
        body: honcho_api::HostCreate { name: Some(name.into()), ..honcho_api::HostCreate::default() },
    }
}

/// A refusal as people read it.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: StoreResult<T>) -> String {
    match outcome.unwrap_err() {
        StoreError::Refused(Refusal::Invalid(errors)) => {
            let line =
                |(attribute, reasons): (String, Vec<String>)| format!("{attribute} {}", reasons.join("; "));
            errors.into_iter().map(line).collect::<Vec<_>>().join("\n") + "\n"
        }
        StoreError::Refused(Refusal::Conflict(why)) => format!("conflict: {why}"),
        StoreError::Refused(Refusal::NotFound(what)) => format!("there is no such {what}"),
        StoreError::Refused(Refusal::Gone(why)) => format!("gone: {why}"),
        StoreError::Refused(Refusal::Forbidden(why)) => format!("forbidden: {why}"),
        other => panic!("no refusal: {other}"),
    }
}
