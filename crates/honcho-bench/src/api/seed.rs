//! A database with many guests. The first are written by the store, as the brain would have written them, and settled by
//! a report of each host; the others are copies of them. Into PostgreSQL all of it is carried by `honcho db move`'s code.

use anyhow::{Context as _, Result, bail};
use honcho_model::guest::Power;
use honcho_model::operation::{OperationKind, OperationState};
use honcho_model::{
    AccountId, Bytes, Digest, Epoch, Generation, GuestId, HostId, ImageId, Name, NetworkId, PoolId,
    Timestamp, VolumeId,
};
use honcho_store::guests_desired::{self, NewGuest, NewInterface};
use honcho_store::reports::ApplyReport;
use honcho_store::{
    Actor, Change, Engine, Store, StoreResult, Tx, accounts, brain, hosts, images, moving, multiplying,
    networks, operations, pools,
};
use honcho_wire::{GuestObserved, Observation, PROTOCOL, Report, VolumeObserved, VolumeState};
use std::path::Path;
use std::time::UNIX_EPOCH;
use uuid::Uuid;

/// How many of each there are; guests are spread over all of them in turn.
const ACCOUNTS: usize = 50;
const HOSTS: usize = 100;
/// Two of /16: what 125,000 guests need.
const SUBNETS: [&str; 2] = ["10.1.0.0/16", "10.2.0.0/16"];

/// So many are written one by one, the same number of each host and network; the others are copies of them.
const ORIGINALS: usize = 1_000;

/// What was written.
pub(crate) struct Seeded {
    /// Ids, ascending.
    pub(crate) guests: Vec<i64>,
    /// An account with guests.
    pub(crate) account: i64,
}

/// What guests belong to.
struct Ground {
    accounts: Vec<AccountId>,
    hosts: Vec<(HostId, PoolId)>,
    networks: Vec<NetworkId>,
    image: ImageId,
}

struct MakeGround;

fn name(text: &str) -> StoreResult<Name> {
    Name::new(text).map_err(|error| honcho_store::Refusal::invalid("name", error.to_string()).into())
}

impl Change for MakeGround {
    type Out = Ground;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Ground> {
        let uuid = Uuid::new_v4;
        let mut ground =
            Ground { accounts: Vec::new(), hosts: Vec::new(), networks: Vec::new(), image: ImageId(0) };
        for number in 0..ACCOUNTS {
            let name = name(&format!("account-{number}"))?;
            let new = accounts::NewAccount {
                uuid: uuid(),
                name,
                reference: None,
                grace_seconds: 1_209_600,
                limits: honcho_model::quota::Limits::default(),
            };
            ground.accounts.push(accounts::create(tx, &new).await?);
        }
        for number in 0..HOSTS {
            let host = hosts::create(tx, uuid(), &name(&format!("h{number}"))?).await?;
            let pool = pools::create(tx, uuid(), host, &name("default")?, "/srv/pool").await?;
            ground.hosts.push((host, pool));
        }
        for (number, subnet) in SUBNETS.iter().enumerate() {
            let name = name(&format!("network-{number}"))?;
            let subnet = honcho_model::subnet::parse(subnet)
                .map_err(|error| honcho_store::Refusal::invalid("subnet", error.to_string()))?;
            let new = networks::NewNetwork::local(uuid(), name, None, subnet);
            ground.networks.push(networks::create(tx, &new).await?);
        }
        let new = images::NewImage {
            uuid: uuid(),
            account: None,
            name: name("debian-12")?,
            digest: Digest([7; 32]),
            compressed: Bytes::mib(100),
            unpacked: Bytes::mib(300),
            packages: Vec::new(),
            architecture: None,
            facts: images::ImageFacts::default(),
            signature: None,
            recipe: None,
        };
        ground.image = images::create(tx, &new).await?;
        Ok(ground)
    }
}

struct MakeGuests<'g> {
    ground: &'g Ground,
    numbers: std::ops::Range<usize>,
}

impl Change for MakeGuests<'_> {
    type Out = Vec<(GuestId, HostId)>;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Self::Out> {
        let ground = self.ground;
        let mut made = Vec::new();
        for number in self.numbers.clone() {
            let (host, pool) = ground.hosts[number % HOSTS];
            let account = ground.accounts[number % ACCOUNTS];
            let network = number % SUBNETS.len();
            let new = NewGuest {
                uuid: Uuid::new_v4(),
                volume_uuid: Uuid::new_v4(),
                account,
                name: name(&format!("web{number}"))?,
                reference: None,
                image: ground.image,
                host,
                pool,
                interfaces: vec![NewInterface::of(ground.networks[network])],
                power: Power::Running,
                start_alone: false,
                vcpus: 2,
                memory: Bytes::gib(1),
                disk: Bytes::gib(20),
                cpu_features: std::collections::BTreeSet::new(),
                cluster: None,
                role: None,
                ssh_keys: vec![
                    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ann"
                        .to_owned(),
                ],
            };
            let id = guests_desired::create(tx, &new).await?;
            let operation = operations::begin(tx, OperationKind::Create, id, account, Generation(1)).await?;
            operations::end(tx, operation, OperationState::Done, None).await?;
            made.push((id, host));
        }
        Ok(made)
    }
}

/// What the host's agent says of a guest that runs and has nothing left to do.
fn settled(id: GuestId) -> GuestObserved {
    GuestObserved {
        id,
        epoch: Epoch(1),
        generation: Generation(1),
        settled: true,
        power: Power::Running,
        boots_done: Some(1),
        volume: VolumeObserved { id: VolumeId(id.0), state: VolumeState::Present, size: Bytes::gib(20) },
        interfaces: Vec::new(),
        ssh_host_key: None,
        progress: None,
        failure: None,
        unexpected_stops: 0,
        held: false,
    }
}

fn report(host: HostId, guests: Vec<GuestObserved>) -> ApplyReport {
    let observation = Observation { guests, ..Observation::default() };
    let report = Report {
        protocol: PROTOCOL,
        capabilities: Vec::new(),
        boot_id: "boot-1".to_owned(),
        run_id: Uuid::new_v4(),
        sequence: 1,
        incarnation: None,
        manifest_generation: Generation(1),
        load: None,
        digest: "seeded".to_owned(),
        observation: Some(observation),
    };
    ApplyReport { host, host_name: format!("h{}", host.0), report }
}

struct Multiply {
    first: GuestId,
    last: GuestId,
    copies: u32,
}

impl Change for Multiply {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        multiplying::multiply(tx, self.first, self.last, self.copies).await
    }
}

/// Writes a SQLite file full, and carries it into `database` if that is one of PostgreSQL. `count` is rounded up to
/// thousands.
pub(crate) async fn seed(file: &Path, database: &Engine, count: u32) -> Result<Seeded> {
    let store = Store::open(file).await?;
    let now = Timestamp(i64::try_from(UNIX_EPOCH.elapsed()?.as_micros())?);
    store.write(Actor::honcho(), now, &brain::Establish { uuid: Uuid::new_v4() }).await?;
    let ground = store.write(Actor::honcho(), now, &MakeGround).await?;
    let made =
        store.write(Actor::honcho(), now, &MakeGuests { ground: &ground, numbers: 0..ORIGINALS }).await?;
    for (host, _) in &ground.hosts {
        let guests = made.iter().filter(|(_, at)| at == host).map(|(id, _)| settled(*id)).collect();
        store.write(Actor::honcho(), now, &report(*host, guests)).await?;
    }
    let (Some((first, _)), Some((last, _))) = (made.first().copied(), made.last().copied()) else {
        bail!("no guests were made");
    };
    let copies = count.div_ceil(u32::try_from(ORIGINALS)?).saturating_sub(1);
    if copies > 0 {
        store.write(Actor::honcho(), now, &Multiply { first, last, copies }).await?;
    }
    store.close().await?;
    if *database != Engine::from(file) {
        moving::move_everything(file, database, &|_, _, _| ()).await?;
    }
    let account = ground.accounts.first().context("no accounts")?.0;
    let all = i64::try_from(ORIGINALS)? * i64::from(copies + 1);
    let guests = (first.0..first.0 + all).collect();
    Ok(Seeded { guests, account })
}
