//! A brain that serves is backed up, and restored to either engine.
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]
#![allow(clippy::too_many_lines, reason = "one story")]

use super::*;
use crate::operations::tests::World;
use crate::outside::Outside;
use crate::serve::{ServeOptions, open};
use honcho_model::Incarnation;
use honcho_store::{
    Cursor, Filters, Refusal, Scope, brain, events, guests, hosts, image_uploads, networks, tokens,
};
use tokio_util::sync::CancellationToken;

fn silent() -> Told {
    Arc::new(|_, _| {})
}

const NOW: Timestamp = Timestamp(1_795_000_000_000_000);

async fn backed_up(world: &World, directory: &Path) -> PathBuf {
    let file = directory.join("backup.tar.zst");
    let options = BackupOptions {
        data: world.app.data.to_path_buf(),
        database: world.database.clone(),
        file: file.clone(),
        blobs: Blobs::Included,
        existing: Existing::Kept,
    };
    back_up(options, NOW, silent()).await.unwrap();
    file
}

async fn restored(
    file: &Path,
    data: &Path,
    database: Option<Engine>,
    now: Timestamp,
) -> anyhow::Result<Restored> {
    let options =
        RestoreOptions { file: file.to_owned(), data: data.to_owned(), database, extent: Extent::Whole };
    restore(options, now, silent()).await
}

async fn serving(data: &Path, database: Option<Engine>) -> crate::app::App {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let options = ServeOptions {
        listen: nowhere,
        agents_listen: nowhere,
        agents_advertise: None,
        data: data.to_owned(),
        database,
        webhook_allow: Vec::new(),
        post: None,
        slow: crate::slow::SlowOptions::default(),
        rules: crate::USUAL_RULES,
        largest_image: crate::LARGEST_IMAGE,
        simulated: false,
        archive: None,
        archive_keep: None,
        archive_listen: None,
    };
    let outside = Outside::new(|| NOW, |bytes| bytes.fill(7));
    open(&options, outside, CancellationToken::new()).await.unwrap()
}

/// What people would see.
async fn seen(app: &crate::app::App) -> String {
    let (reader, all) = (app.store.reader(), Filters { with_cancelled: true, ..Filters::default() });
    let guests = guests::list(reader, Scope::System, &all, NOW).await.unwrap();
    let networks = networks::list(reader, Scope::System, &Filters::default()).await.unwrap();
    let hosts = hosts::list(reader, &Filters::default(), NOW).await.unwrap();
    let hosts: Vec<_> = hosts.iter().map(|host| (host.id, &host.name, host.guests_count)).collect();
    let events = events::list(reader, Scope::System, &Filters::default()).await.unwrap();
    let mut events: Vec<_> = events.iter().map(|event| (event.id, &event.kind, &event.message)).collect();
    events.sort();
    let secrets = tokens::list(reader, Scope::System, &Filters::default()).await.unwrap();
    let secrets: Vec<_> = secrets.iter().map(|token| (token.id, &token.name)).collect();
    let guests: Vec<_> = guests
        .iter()
        .map(|guest| (guest.id, &guest.name, guest.uuid, guest.generation, &guest.interfaces, guest.power))
        .collect();
    format!("{guests:#?}\n{networks:#?}\n{hosts:#?}\n{events:#?}\n{secrets:#?}")
}

#[tokio::test]
async fn what_is_restored_serves_the_same_from_either_engine() {
    let world = World::new().await;
    for name in ["web1", "web2"] {
        let guest = world.order(name).await;
        world.settle(guest.id).await;
    }
    let bytes = b"a blob".as_slice();
    let digest: honcho_model::Digest = crate::app::hash_secret("a blob").parse().unwrap();
    world.app.blobs.put(digest, bytes).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = backed_up(&world, directory.path()).await;
    // It is whole, private, and all there is.
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let before = seen(&world.app).await;
    let identity = brain::get(world.app.store.reader()).await.unwrap().unwrap();
    let old: Cursor =
        events::list(world.app.store.reader(), Scope::System, &Filters::default()).await.unwrap()[0]
            .cursor
            .parse()
            .unwrap();
    // What comes after the backup is not in it.
    world.order("later").await;

    let postgres = Engine::Postgres(honcho_test_postgres::cluster().create_empty());
    for (number, database) in [None, Some(postgres)].into_iter().enumerate() {
        let data = directory.path().join(format!("restored-{number}"));
        let done = restored(&file, &data, database.clone(), NOW).await.unwrap();
        assert_eq!(done.incarnation, Some(1_795_000_000));
        // The world's image was never uploaded.
        let missing: Vec<_> = done.missing_blobs.iter().map(|blob| blob.images.join(",")).collect();
        assert_eq!(missing, ["debian-12"]);
        let app = serving(&data, database.clone()).await;
        assert_eq!(seen(&app).await, before);
        assert_eq!(app.authority.fingerprint(), world.app.authority.fingerprint());
        assert_eq!(app.blobs.size(digest).await.unwrap(), Some(6));
        let after = brain::get(app.store.reader()).await.unwrap().unwrap();
        assert_eq!((after.uuid, after.incarnation), (identity.uuid, Incarnation(1_795_000_000)));
        for name in TOKENS {
            let read = |data: &Path| std::fs::read_to_string(data.join(name)).unwrap();
            assert_eq!(read(&data), read(&world.app.data), "{name}");
        }
        // Places in the log of the earlier life are none in this one.
        let filters = Filters { cursor: Some(old), ..Filters::default() };
        let refused = events::list(app.store.reader(), Scope::System, &filters).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused(Refusal::Gone(_))), "{refused}");
        // Ids of what was made after the backup are not given again.
        let body =
            honcho_api::AccountCreate { name: Some("new".into()), ..honcho_api::AccountCreate::default() };
        let change =
            crate::operations::AccountCreate { scope: Scope::Operator, uuid: app.outside.uuid(), body };
        let id = app.write(honcho_store::Actor::honcho(), &change).await.unwrap().id;
        assert!(id > 1_000_000, "{id}");
        app.store.clone().close().await.unwrap();
        let again = restored(&file, &data, database, NOW).await.unwrap_err();
        assert!(again.to_string().contains("is not empty"), "{again}");
    }
    // Another restore of it is another life.
    let data = directory.path().join("again");
    let later = restored(&file, &data, None, NOW.plus(std::time::Duration::from_secs(1))).await.unwrap();
    assert_eq!(later.incarnation, Some(1_795_000_001));
    let next = tempfile::tempdir().unwrap();
    let options = BackupOptions {
        data,
        database: None,
        file: next.path().join("next"),
        blobs: Blobs::Listed,
        existing: Existing::Kept,
    };
    let made = back_up(options, NOW, silent()).await.unwrap();
    let back = restored(&made.file, &next.path().join("data"), None, Timestamp(5_000_000)).await.unwrap();
    assert_eq!(back.incarnation, Some(1_795_000_002), "a clock that went backwards makes no earlier life");
}

#[tokio::test]
async fn no_blob_goes_while_a_backup_reads_them() {
    let world = World::new().await;
    let digest: honcho_model::Digest = crate::app::hash_secret("a blob").parse().unwrap();
    world.app.blobs.put(digest, b"a blob".as_slice()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = |blobs, name: &str| BackupOptions {
        data: world.app.data.to_path_buf(),
        database: world.database.clone(),
        file: directory.path().join(name),
        blobs,
        existing: Existing::Kept,
    };
    for (held, blobs, name) in [(true, Blobs::Included, "with"), (false, Blobs::Listed, "without")] {
        let store = world.app.blobs.clone();
        let told: Told = Arc::new(move |step, _| {
            if step == "writing the backup" {
                assert_eq!(store.hold_to_delete().unwrap().is_none(), held);
            }
        });
        back_up(options(blobs, name), NOW, told).await.unwrap();
        assert!(world.app.blobs.hold_to_delete().unwrap().is_some(), "it is over");
    }
}

#[tokio::test]
async fn what_cannot_be_restored_leaves_nothing() {
    let world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let file = backed_up(&world, directory.path()).await;
    let data = directory.path().join("data");
    let options =
        RestoreOptions { file: file.clone(), data: data.clone(), database: None, extent: Extent::DryRun };
    let dry = restore(options, NOW, silent()).await.unwrap();
    assert_eq!((dry.incarnation, dry.backup.tables["guests"], data.exists()), (None, 0, false));

    let refused = async |bytes: &[u8], said: &str| {
        let bad = directory.path().join("bad");
        std::fs::write(&bad, bytes).unwrap();
        let error = restored(&bad, &data, None, NOW).await.unwrap_err();
        assert!(format!("{error:#}").contains(said), "{error:#}");
        assert!(!data.exists(), "{error:#}");
    };
    let whole = std::fs::read(&file).unwrap();
    refused(&whole[..whole.len() - 1], "cannot be restored").await;
    refused(&whole[..whole.len() / 2], "cannot be restored").await;
    refused(b"", "cannot be restored").await;
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    refused(&damaged, "cannot be restored").await;

    // A database that is full, a directory that is, one where it was broken off.
    let full = Engine::Postgres(honcho_test_postgres::cluster().create_empty());
    restored(&file, &directory.path().join("first"), Some(full.clone()), NOW).await.unwrap();
    let error = restored(&file, &data, Some(full), NOW).await.unwrap_err();
    assert!(format!("{error:#}").contains("is not empty"), "{error:#}");
    assert!(!data.exists());
    std::fs::create_dir_all(data.join(".restoring")).unwrap();
    let error = restored(&file, &data, None, NOW).await.unwrap_err();
    assert!(error.to_string().contains("was broken off"), "{error}");
    let error = refuse_unfinished(&data).unwrap_err();
    assert!(error.to_string().contains("empty the directory"), "{error}");

    let options = BackupOptions {
        data: world.app.data.to_path_buf(),
        database: world.database.clone(),
        file: file.clone(),
        blobs: Blobs::Listed,
        existing: Existing::Kept,
    };
    let error = back_up(options.clone(), NOW, silent()).await.unwrap_err();
    assert!(error.to_string().contains("--replace"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    back_up(BackupOptions { existing: Existing::Replaced, ..options.clone() }, NOW, silent()).await.unwrap();
    let nowhere = BackupOptions { data, file: directory.path().join("none"), ..options };
    let error = back_up(nowhere, NOW, silent()).await.unwrap_err();
    assert!(error.to_string().contains("there is no brain in"), "{error}");
    assert!(!directory.path().join("none").exists() && !directory.path().join("none.partial").exists());
}

/// An image is to be made of a guest's disk, as the backup had it.
struct ToBeRead(honcho_model::GuestId);

impl honcho_store::Change for ToBeRead {
    type Out = honcho_model::ImageUploadId;
    async fn run<'a>(
        &'a self,
        tx: &'a honcho_store::Tx,
    ) -> honcho_store::StoreResult<honcho_model::ImageUploadId> {
        let guest = guests::get(tx, Scope::System, self.0, tx.now).await?;
        let new = image_uploads::NewUpload {
            uuid: uuid::Uuid::from_u128(99),
            account: Some(honcho_model::AccountId(guest.account_id)),
            name: "own".parse().unwrap(),
            from: image_uploads::UploadFrom::Guest(self.0),
            host_kernel: false,
        };
        image_uploads::create(tx, &new).await
    }
}

/// A report of the world's host to a restored brain.
fn reported(
    world: &World,
    life: Incarnation,
    run: u128,
    observation: honcho_wire::Observation,
) -> honcho_store::reports::ApplyReport {
    let report = honcho_wire::Report {
        protocol: honcho_wire::PROTOCOL,
        capabilities: Vec::new(),
        boot_id: "b".to_owned(),
        run_id: uuid::Uuid::from_u128(run),
        sequence: 1,
        incarnation: Some(life),
        manifest_generation: honcho_model::Generation(0),
        load: None,
        digest: String::new(),
        observation: Some(observation),
    };
    let host = honcho_model::HostId(world.host.id);
    honcho_store::reports::ApplyReport { host, host_name: "h1".to_owned(), report }
}

fn lines(restore: &honcho_api::Restore) -> String {
    let mut lines: Vec<String> = restore
        .hosts
        .iter()
        .flat_map(|host| &host.differences)
        .map(|it| format!("{} {}: {}\n", it.kind, it.name, it.text))
        .collect();
    lines.insert(0, format!("{}\n", restore.state));
    lines.concat()
}

/// A guest, as its agent saw it after the backup.
fn seen_later(wanted: &honcho_wire::GuestWanted) -> honcho_wire::GuestObserved {
    let running = wanted.power == honcho_model::guest::Power::Running;
    honcho_wire::GuestObserved {
        id: wanted.id,
        epoch: wanted.epoch,
        // Of the backup's manifest: it acts on that one now.
        generation: honcho_model::Generation(1),
        settled: true,
        power: wanted.power,
        boots_done: running.then_some(wanted.boots_wanted),
        volume: honcho_wire::VolumeObserved {
            id: wanted.root.id,
            state: honcho_wire::VolumeState::Present,
            size: wanted.root.size,
        },
        interfaces: Vec::new(),
        ssh_host_key: None,
        progress: None,
        failure: None,
        unexpected_stops: 0,
        held: false,
    }
}

#[tokio::test]
async fn what_agents_report_is_taken_over_when_an_operator_accepts_it() {
    use crate::operations::{GuestDelete, PowerAction, RestoreAccept, restore_show};
    use crate::reviewing::Missing;
    use honcho_model::GuestId;

    let world = World::new().await;
    for name in ["web1", "web2", "web3"] {
        let guest = world.order(name).await;
        world.settle(guest.id).await;
    }
    let unnamed: honcho_model::Digest = crate::app::hash_secret("a blob").parse().unwrap();
    world.app.keep_blob(unnamed, b"a blob".as_slice()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = backed_up(&world, directory.path()).await;
    // After the backup: one more, one less, a reboot, a stop.
    let new = world.order("new1").await;
    world.settle(new.id).await;
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(2) }).await.unwrap();
    world.bury(2).await;
    world.power(1, PowerAction::Reboot { hard: false }).await.unwrap();
    world.settle(1).await;
    world.power(3, PowerAction::Stop { hard: true }).await.unwrap();
    world.settle(3).await;
    let host = honcho_model::HostId(world.host.id);
    let render = async |app: &crate::app::App| {
        let snapshot = app.store.snapshot().await.unwrap();
        honcho_store::manifests::render(&snapshot, host).await.unwrap().unwrap()
    };
    let former = render(&world.app).await;

    let database =
        world.database.as_ref().map(|_| Engine::Postgres(honcho_test_postgres::cluster().create_empty()));
    let data = directory.path().join("data");
    restored(&file, &data, database.clone(), NOW).await.unwrap();
    let app = serving(&data, database).await;
    let honcho = honcho_store::Actor::honcho;
    let held = render(&app).await;
    assert!(held.unaccepted.is_some() && held.incarnation.0 == 1_795_000_000, "{held:?}");
    assert_eq!(held.guests.len(), 3);
    // An image was to be made of a guest's disk, which may have run since.
    let upload = app.write(honcho(), &ToBeRead(GuestId(3))).await.unwrap();
    let accept = |missing| RestoreAccept { scope: Scope::Operator, without: Vec::new(), missing };
    // Nobody has reported yet; and nothing is done to a guest there.
    let early = app.write(honcho(), &accept(Missing::Kept)).await.unwrap_err();
    assert!(format!("{early:?}").contains("have not reported in full yet: h1"), "{early:?}");
    let delete = GuestDelete { scope: Scope::Operator, id: GuestId(1) };
    let refused = app.write(honcho(), &delete).await.unwrap_err();
    assert!(format!("{refused:?}").contains("restored from a backup"), "{refused:?}");

    // What is said about an earlier life's manifest is not this life's to apply.
    let observation =
        honcho_wire::Observation { refused: Some("older".into()), ..honcho_wire::Observation::default() };
    app.write(honcho(), &reported(&world, Incarnation(1), 5, observation)).await.unwrap();
    let shown = restore_show(app.store.reader()).await.unwrap();
    assert_eq!(
        (shown.hosts[0].state.as_str(), shown.hosts[0].problem.as_deref()),
        ("awaited", Some("older"))
    );
    // One who has met a later life makes this one later still.
    let observation = honcho_wire::Observation::default();
    app.write(honcho(), &reported(&world, Incarnation(1_795_000_050), 6, observation)).await.unwrap();
    let life = brain::get(app.store.reader()).await.unwrap().unwrap().incarnation;
    assert_eq!(life, Incarnation(1_795_000_051));

    let mut guests: Vec<_> =
        former.guests.iter().filter(|guest| guest.id.0 != new.id).map(seen_later).collect();
    guests.push(honcho_wire::GuestObserved {
        id: GuestId(2),
        settled: false,
        power: honcho_model::guest::Power::Stopped,
        boots_done: None,
        volume: honcho_wire::VolumeObserved {
            id: honcho_model::VolumeId(2),
            state: honcho_wire::VolumeState::Missing,
            size: honcho_model::Bytes(0),
        },
        ..guests[0].clone()
    });
    let orphan = |kind: &str, uuid| honcho_wire::Orphan {
        kind: kind.to_owned(),
        name: "honcho-g4".to_owned(),
        uuid: Some(uuid),
        id: 77,
        ..honcho_wire::Orphan::default()
    };
    let wanted = former.guests.iter().find(|guest| guest.id.0 == new.id).unwrap();
    let observation = honcho_wire::Observation {
        guests,
        orphans: vec![orphan("domain", wanted.uuid), orphan("volume", wanted.root.uuid)],
        former: Some(Box::new(former.clone())),
        ..honcho_wire::Observation::default()
    };
    app.write(honcho(), &reported(&world, life, 7, observation)).await.unwrap();
    expect_test::expect![[r#"
        unaccepted
        changed web1: was changed after the backup, and is taken over so: 1 boot was asked for, which is not repeated
        deleted web2: was deleted after the backup, and its disk is gone: it stays with an alarm and is never made again; --forget-missing deletes it here, too
        changed web3: was changed after the backup, and is taken over so: its power running became stopped
        ordered new1: runs here and was ordered after the backup: it becomes a guest of account 1 again, as it is
    "#]].assert_eq(&lines(&restore_show(app.store.reader()).await.unwrap()));
    assert!(render(&app).await.unaccepted.is_some());
    let unknown = RestoreAccept { without: vec!["h9".to_owned()], ..accept(Missing::Kept) };
    let refused = app.write(honcho(), &unknown).await.unwrap_err();
    assert!(format!("{refused:?}").contains("h9 is no host"), "{refused:?}");

    let accepted = app.write(honcho(), &accept(Missing::Kept)).await.unwrap();
    assert_eq!((accepted.state.as_str(), accepted.hosts.len()), ("accepted", 0));
    let ended = image_uploads::get(app.store.reader(), Scope::System, upload).await.unwrap();
    assert!(ended.problem.as_ref().is_some_and(|problem| problem.contains("restored")), "{ended:?}");
    // What nothing names has a week from now on, for guests that were written down again may name it.
    let waiting = honcho_store::blobs::unnamed(app.store.reader()).await.unwrap();
    assert_eq!(
        waiting.iter().map(|blob| (blob.since, blob.collecting_at)).collect::<Vec<_>>(),
        [(NOW, None)]
    );
    let now = render(&app).await;
    assert!(
        now.unaccepted.is_none() && now.generation > former.generation && now.generation > held.generation
    );
    let of = |id: i64| now.guests.iter().find(|guest| guest.id.0 == id).unwrap();
    let was = |id: i64| former.guests.iter().find(|guest| guest.id.0 == id).unwrap();
    for id in [1, 3, new.id] {
        let (of, was) = (of(id), was(id));
        assert!(of.generation > was.generation, "{of:?}");
        assert_eq!(
            (of.uuid, &of.name, of.epoch, of.boots_wanted, of.power, &of.interfaces, &of.root),
            (was.uuid, &was.name, was.epoch, was.boots_wanted, was.power, &was.interfaces, &was.root)
        );
    }
    assert_eq!(of(2).root.existence, honcho_wire::Existence::Existing);
    let status = guests::get(app.store.reader(), Scope::System, GuestId(2), NOW).await.unwrap();
    assert_eq!(status.status.as_str(), "damaged", "{status:?}");
    let again = app.write(honcho(), &accept(Missing::Kept)).await.unwrap_err();
    assert!(format!("{again:?}").contains("nothing to accept"), "{again:?}");
    // Orders are taken, and its deletion is one of them.
    app.write(honcho(), &GuestDelete { scope: Scope::Operator, id: GuestId(2) }).await.unwrap();
}

/// A guest that was given up after the backup stays given up: it is not made, not booted and not grown, and what the
/// backup has as open has ended.
#[tokio::test]
async fn what_was_given_up_after_the_backup_is_not_tried_again() {
    use crate::operations::{
        GuestUpdate, OperationAbandon, PowerAction, Restart, RestoreAccept, restore_show,
    };
    use crate::reviewing::Missing;
    use honcho_model::guest::Power;
    use honcho_model::{Bytes, GuestId, OperationId};
    use honcho_wire::{VolumeObserved, VolumeState};

    let world = World::new().await;
    let unmade = world.order("unmade").await;
    let (waits, grows) = (world.order("waits").await, world.order("grows").await);
    let again = world.order("again").await;
    let host = honcho_model::HostId(world.host.id);
    let manifest_of = async |app: &crate::app::App| {
        let snapshot = app.store.snapshot().await.unwrap();
        honcho_store::manifests::render(&snapshot, host).await.unwrap().unwrap()
    };
    // All but the one that cannot be made and the one that will be asked for again run, in their first boot.
    let see = async |app: &crate::app::App, run: u128, former: Option<honcho_wire::Manifest>| {
        let manifest = manifest_of(app).await;
        let seen = |wanted: &honcho_wire::GuestWanted| {
            let made = ![unmade.id, again.id].contains(&wanted.id.0);
            let boot_is_due = wanted.boots_wanted > wanted.boots_waived.max(1);
            honcho_wire::GuestObserved {
                generation: wanted.generation,
                settled: made && !boot_is_due && wanted.root.size <= Bytes::gib(3),
                power: if made { Power::Running } else { Power::Stopped },
                boots_done: made.then_some(1),
                volume: VolumeObserved {
                    id: wanted.root.id,
                    state: if made { VolumeState::Present } else { VolumeState::Unmade },
                    size: if made { Bytes::gib(3) } else { Bytes(0) },
                },
                ..seen_later(wanted)
            }
        };
        // As large as the world has said it is.
        let host = honcho_wire::HostObserved {
            cpus: 4,
            memory: Bytes::gib(16),
            ..honcho_wire::HostObserved::default()
        };
        let observation = honcho_wire::Observation {
            host,
            guests: manifest.guests.iter().map(seen).collect(),
            former: former.map(Box::new),
            ..honcho_wire::Observation::default()
        };
        let mut report = reported(&world, manifest.incarnation, run, observation);
        report.report.capabilities =
            honcho_wire::CAPABILITIES.iter().map(|name| (*name).to_owned()).collect();
        app.write(honcho_store::Actor::honcho(), &report).await.unwrap();
    };
    see(&world.app, 20, None).await;
    let give_up = async |id: i64| {
        world
            .ask(&OperationAbandon { scope: Scope::Operator, id: OperationId(id), rules: crate::USUAL_RULES })
            .await
            .unwrap();
    };
    let reboot = world.power(waits.id, PowerAction::Reboot { hard: false }).await.unwrap();
    let body = honcho_api::GuestUpdate { disk_bytes: Some(20 << 30), ..honcho_api::GuestUpdate::default() };
    let (scope, restart) = (Scope::Operator, Restart::Allowed);
    let resize = GuestUpdate { scope, id: GuestId(grows.id), body, restart, rules: crate::USUAL_RULES };
    let resize = world.ask(&resize).await.unwrap().unwrap();
    give_up(again.operation_id.unwrap()).await;
    let directory = tempfile::tempdir().unwrap();
    let file = backed_up(&world, directory.path()).await;
    // After the backup.
    for id in [unmade.operation_id.unwrap(), reboot.id, resize.id] {
        give_up(id).await;
    }
    world.power(again.id, PowerAction::Start).await.unwrap();
    let new = world.order("new").await;
    give_up(new.operation_id.unwrap()).await;
    let former = manifest_of(&world.app).await;

    let database =
        world.database.as_ref().map(|_| Engine::Postgres(honcho_test_postgres::cluster().create_empty()));
    let data = directory.path().join("data");
    restored(&file, &data, database.clone(), NOW).await.unwrap();
    let app = serving(&data, database).await;
    see(&app, 30, Some(former.clone())).await;
    expect_test::expect![[r#"
        unaccepted
        changed unmade: was changed after the backup, and is taken over so: its power running became stopped; somebody gave up on what was asked of it
        changed waits: was changed after the backup, and is taken over so: somebody gave up on what was asked of it
        changed grows: was changed after the backup, and is taken over so: its disk 20G became 3G; somebody gave up on what was asked of it
        changed again: was changed after the backup, and is taken over so: its power stopped became running; 1 boot was asked for, which is not repeated; it was asked for again
        ordered new: is not made yet and was ordered after the backup: it becomes a guest of account 1 again, as it is
    "#]]
    .assert_eq(&lines(&restore_show(app.store.reader()).await.unwrap()));
    let accept = RestoreAccept { scope: Scope::Operator, without: Vec::new(), missing: Missing::Kept };
    app.write(honcho_store::Actor::honcho(), &accept).await.unwrap();

    let now = manifest_of(&app).await;
    assert_eq!(now.guests.len(), 5);
    for was in &former.guests {
        let is = now.guests.iter().find(|guest| guest.id == was.id).unwrap();
        assert!(is.generation > was.generation, "{is:?}");
        assert_eq!(
            (is.power, is.boots_wanted, is.boots_waived, &is.root),
            (was.power, was.boots_wanted, was.boots_waived, &was.root),
            "{}",
            was.name
        );
    }
    let reader = app.store.reader();
    let guest = async |id: i64| guests::get(reader, Scope::System, GuestId(id), NOW).await.unwrap();
    for (id, status, reason) in [
        (unmade.id, "given_up", "operation 1 (create) was given up"),
        (waits.id, "running", "was given up: it runs on as it was"),
        (grows.id, "running", "was given up: it runs on as it was"),
        (again.id, "building", ""),
        (new.id, "given_up", "somebody gave up on it before the brain was restored"),
    ] {
        let guest = guest(id).await;
        let said = guest.status_reason.unwrap_or_default();
        assert!(guest.status.as_str() == status && said.contains(reason), "{}: {said}", guest.name);
    }
    for id in [unmade.operation_id.unwrap(), reboot.id, resize.id] {
        let ended = honcho_store::operations::get(reader, Scope::System, OperationId(id)).await.unwrap();
        assert_eq!(ended.state.as_str(), "abandoned", "{ended:?}");
    }
}
