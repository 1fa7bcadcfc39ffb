//! Reports, applied to a store: whatever an agent says, the store neither fails nor holds what it cannot list.
#![no_main]

use honcho_model::{Bytes, Digest, HostId, Name, Timestamp};
use honcho_model::guest::Power;
use honcho_model::operation::OperationKind;
use honcho_model::quota::Limits;
use honcho_store::reports::ApplyReport;
use honcho_store::{Actor, Change, Filters, Scope, Store, StoreResult, Tx};
use honcho_store::{accounts, events, guests, guests_desired, hosts, images, manifests, networks, operations, pools, rooms};
use honcho_wire::Report;
use std::sync::OnceLock;
use uuid::Uuid;

struct World {
    store: Store,
    runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

struct Furnish;

impl Change for Furnish {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let (uuid, name) = (Uuid::nil(), |text: &str| Name::new(text).expect("a name"));
        let account =
            accounts::NewAccount { uuid, name: name("acme"), reference: None, grace_seconds: 1, limits: Limits::default() };
        let account = accounts::create(tx, &account).await?;
        let host = hosts::create(tx, uuid, &name("h1")).await?;
        let pool = pools::create(tx, uuid, host, &name("default"), "/pool").await?;
        let subnet = honcho_model::subnet::parse("10.0.0.0/29").expect("a subnet");
        let network =
            networks::NewNetwork::local(uuid, name("office"), None, subnet);
        let network = networks::create(tx, &network).await?;
        let image = images::NewImage {
            uuid,
            account: None,
            name: name("debian-12"),
            digest: Digest([0; 32]),
            compressed: Bytes(1),
            unpacked: Bytes(1),
            packages: Vec::new(),
            recipe: None,
            architecture: None,
            facts: images::ImageFacts::default(),
            signature: None,
        };
        let image = images::create(tx, &image).await?;
        for number in 1..=3 {
            let new = guests_desired::NewGuest {
                uuid,
                volume_uuid: uuid,
                account,
                name: name(&format!("g{number}")),
                reference: None,
                image,
                host,
                pool,
                interfaces: vec![guests_desired::NewInterface::of(network)],
                power: Power::Running,
                start_alone: false,
                vcpus: 1,
                memory: Bytes(1),
                disk: Bytes(1),
                ssh_keys: Vec::new(),
                cluster: None,
                role: None,
                cpu_features: std::collections::BTreeSet::new(),
            };
            let id = guests_desired::create(tx, &new).await?;
            let mut guest = guests_desired::get(tx, Scope::System, id).await?;
            if number == 3 {
                guest.deleting_at = Some(tx.now);
            }
            guests_desired::save(tx, &mut guest).await?;
            let kind = if number == 3 { OperationKind::Delete } else { OperationKind::Create };
            operations::begin(tx, kind, id, account, guest.generation).await?;
        }
        Ok(())
    }
}

/// Applies a report and takes it back, so that every report meets the same store.
struct Try(ApplyReport);

impl Change for Try {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        self.0.run(tx).await.expect("a report is applied or stale");
        let all = Filters { with_cancelled: true, ..Filters::default() };
        hosts::list(tx, &all, tx.now).await.expect("hosts can be listed");
        pools::list(tx, &all).await.expect("pools can be listed");
        guests::list(tx, Scope::System, &all, tx.now).await.expect("guests can be listed");
        operations::list(tx, Scope::System, &all).await.expect("operations can be listed");
        events::list(tx, Scope::System, &all).await.expect("events can be listed");
        manifests::render(tx, self.0.host).await.expect("the manifest can be rendered");
        rooms::list(tx, None, tx.now).await.expect("room can be looked for");
        Err(honcho_store::Refusal::NotFound("reason to keep it").into())
    }
}

static WORLD: OnceLock<World> = OnceLock::new();

fn world() -> World {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = runtime.block_on(async {
        let store = Store::open(&directory.path().join("honcho.sqlite")).await.expect("a store");
        store.write(Actor::honcho(), Timestamp(1), &Furnish).await.expect("a furnished store");
        store
    });
    World { store, runtime, _directory: directory }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(report) = serde_json::from_slice::<Report>(bytes) else { return };
    let World { store, runtime, .. } = WORLD.get_or_init(world);
    let change = Try(ApplyReport { host: HostId(1), host_name: "h1".to_owned(), report });
    let _ = runtime.block_on(store.write(Actor::honcho(), Timestamp(2), &change));
});
