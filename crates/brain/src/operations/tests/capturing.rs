//! Images of guests' disks: ordered, read by a host, sealed, given up.

use super::*;
use crate::uploads::begin_sealing;
use honcho_api::ImageUpload;
use honcho_model::{AccountId, Digest, ImageUploadId};
use honcho_store::{image_uploads, images, manifests};
use honcho_wire::CaptureEnd;
use sha2::{Digest as _, Sha256};

/// What a disk came to.
fn tarball() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode) in [("./sbin/init", 0o755), ("./boot/vmlinuz-6.1", 0o644)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_mode(mode);
        builder.append_data(&mut header, path, &b"text"[..]).unwrap();
    }
    zstd::encode_all(builder.into_inner().unwrap().as_slice(), 1).unwrap()
}

fn whole(content: &[u8]) -> CaptureEnd {
    CaptureEnd::Whole { size: Bytes(content.len() as u64), digest: Digest(Sha256::digest(content).into()) }
}

impl World {
    async fn capture_as(&self, scope: Scope, guest: i64, name: &str) -> StoreResult<ImageUpload> {
        let (id, uuid) = (GuestId(guest), self.app.outside.uuid());
        self.ask(&GuestCapture { scope, id, uuid, name: Some(name.to_owned()) }).await
    }

    async fn capture(&self, guest: i64, name: &str) -> StoreResult<ImageUpload> {
        self.capture_as(Scope::Account(AccountId(self.account.id)), guest, name).await
    }

    /// A guest that was made, and is off.
    async fn off(&self, name: &str) -> Guest {
        let guest = self.order(name).await;
        self.settle(guest.id).await;
        self.power(guest.id, PowerAction::Stop { hard: false }).await.unwrap();
        self.settle(guest.id).await;
        guest
    }

    /// What the host is to read just now.
    async fn to_be_read(&self) -> Vec<Uuid> {
        let manifest =
            manifests::render(self.app.store.reader(), HostId(self.host.id)).await.unwrap().unwrap();
        manifest.guests.iter().filter_map(|guest| Some(guest.capture?.upload)).collect()
    }

    async fn came(&self, upload: &ImageUpload, content: &[u8]) {
        let piece = axum::body::Bytes::copy_from_slice(content);
        self.app.uploads.append(upload.uuid, 1 << 20, 0, futures::stream::iter([Ok(piece)])).await.unwrap();
    }

    async fn captured(&self, upload: &ImageUpload, end: CaptureEnd) -> StoreResult<ImageUpload> {
        let received = self.app.uploads.received(upload.uuid).unwrap();
        self.ask(&GuestCaptureEnd { id: ImageUploadId(upload.id), received, end }).await
    }
}

#[tokio::test]
async fn a_guest_that_is_off_becomes_an_image_of_its_account() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    assert!(refused(world.capture(guest.id, "own").await).contains("not made yet"));
    world.settle(guest.id).await;
    let why = refused(world.capture(guest.id, "own").await);
    assert!(why.contains("it runs") && why.contains("honcho guest stop web1"), "{why}");
    world.power(guest.id, PowerAction::Stop { hard: false }).await.unwrap();
    world.settle(guest.id).await;
    let stranger = Scope::Account(AccountId(world.account.id + 1));
    assert_eq!(refused(world.capture_as(stranger, guest.id, "own").await), "there is no such guest");
    assert!(refused(world.capture(guest.id, "no name").await).contains("name"));

    let before =
        honcho_store::hosts::generation(world.app.store.reader(), HostId(world.host.id)).await.unwrap();
    let upload = world.capture(guest.id, "own").await.unwrap();
    assert_eq!((upload.account_id, upload.guest_id), (Some(world.account.id), Some(guest.id)));
    assert_eq!((upload.status.as_str(), upload.size_bytes, upload.digest.as_str()), ("receiving", 0, ""));
    assert_eq!(world.to_be_read().await, [upload.uuid]);
    let after =
        honcho_store::hosts::generation(world.app.store.reader(), HostId(world.host.id)).await.unwrap();
    assert!(after > before, "its host is told");
    assert_eq!(world.capture(guest.id, "own").await.unwrap().id, upload.id, "the same again");
    let why = refused(world.capture(guest.id, "other").await);
    assert!(why.contains("image own is made of its disk already"), "{why}");
    // It may be asked to run: its host starts it afterwards.
    world.power(guest.id, PowerAction::Start).await.unwrap();
    assert_eq!(world.to_be_read().await, [upload.uuid]);

    let content = tarball();
    assert!(refused(world.captured(&upload, whole(&content)).await).contains("send the rest"));
    world.came(&upload, &content).await;
    assert_eq!(world.captured(&upload, whole(&content)).await.unwrap().status, "sealing");
    assert_eq!(
        world.captured(&upload, whole(&content)).await.unwrap().status,
        "sealing",
        "once more is no harm"
    );
    assert_eq!(world.to_be_read().await, Vec::<Uuid>::new());
    for task in begin_sealing(&world.app).await.unwrap() {
        task.await.unwrap();
    }
    let reader = world.app.store.reader();
    let done = image_uploads::get(reader, Scope::System, ImageUploadId(upload.id)).await.unwrap();
    assert_eq!((done.status.as_str(), done.problem), ("done", None));
    let image = honcho_model::ImageId(done.image_id.unwrap());
    let recipe = images::recipe(reader, image).await.unwrap().unwrap();
    let base = &world.image.digest[..12];
    assert!(recipe.starts_with("# Captured from the disk of guest web1 (id "), "{recipe}");
    assert!(recipe.ends_with(&format!("name = \"own\"\nfrom = \"debian-12@{base}\"\n")), "{recipe}");
    honcho_images::Recipe::parse(&recipe).unwrap();
    assert_eq!(images::get(reader, Scope::System, image).await.unwrap().account_id, Some(world.account.id));
    let taken = refused(world.capture(guest.id, "own").await);
    assert!(taken.contains("it runs"), "{taken}");
}

#[tokio::test]
async fn what_cannot_become_one_is_refused_with_the_reason_and_holds_nothing_up() {
    let world = World::new().await;
    let guest = world.off("web1").await;
    let content = tarball();
    let refuses = async |end: CaptureEnd, why: &str| {
        let upload = world.capture(guest.id, "own").await.unwrap();
        world.came(&upload, &content).await;
        let ended = world.captured(&upload, end).await.unwrap();
        assert_eq!(ended.status, "refused");
        assert!(ended.problem.as_ref().unwrap().contains(why), "{ended:?}");
        assert_eq!(world.to_be_read().await, Vec::<Uuid>::new());
    };
    let problem = "its disk was not read:\nno ext4".to_owned();
    refuses(CaptureEnd::Impossible { problem }, "was not read: no ext4").await;
    refuses(whole(&content[1..]), "changed while it was read").await;

    // What this machine could not seal its host does not send again by itself.
    let upload = world.capture(guest.id, "own").await.unwrap();
    world.came(&upload, &content).await;
    world.captured(&upload, whole(&content)).await.unwrap();
    let id = ImageUploadId(upload.id);
    world.ask(&ImageUploadPutBack { id, problem: "the disk is full".to_owned() }).await.unwrap();
    let reader = world.app.store.reader();
    let ended = image_uploads::get(reader, Scope::System, id).await.unwrap();
    assert_eq!(ended.problem.as_deref(), Some("the disk is full: capture it again"));

    // How large it is is known once it was read; an account that is full begins nothing.
    let limit = async |bytes: i64| {
        let body = honcho_api::AccountCreate { limit_image_bytes: Some(Some(bytes)), ..Default::default() };
        let id = AccountId(world.account.id);
        world.ask(&AccountUpdate { scope: Scope::Operator, id, body, lock_version: None }).await.unwrap();
    };
    limit(i64::try_from(content.len()).unwrap() - 1).await;
    refuses(whole(&content), "images").await;
    limit(0).await;
    let full = refused(world.capture(guest.id, "own").await);
    assert!(full.contains("size_bytes"), "{full}");
    limit(1 << 30).await;

    let upload = world.capture(guest.id, "own").await.unwrap();
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(guest.id) }).await.unwrap();
    let ended = image_uploads::get(reader, Scope::System, ImageUploadId(upload.id)).await.unwrap();
    assert_eq!(ended.problem.as_deref(), Some("its guest was deleted"));
    assert!(refused(world.capture(guest.id, "own").await).contains("it is deleted"));
}

#[tokio::test]
async fn what_is_made_of_a_guest_that_runs_on_is_given_up() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.settle(guest.id).await;
    let stop = world.power(guest.id, PowerAction::Stop { hard: false }).await.unwrap();
    // It is to be read once it has stopped, and does not.
    let upload = world.capture(guest.id, "own").await.unwrap();
    world
        .ask(&OperationAbandon { scope: Scope::Operator, id: stop.id.into(), rules: crate::USUAL_RULES })
        .await
        .unwrap();
    let reader = world.app.store.reader();
    let ended = image_uploads::get(reader, Scope::System, ImageUploadId(upload.id)).await.unwrap();
    assert!(ended.problem.as_ref().is_some_and(|problem| problem.contains("runs on")), "{ended:?}");
    assert_eq!(world.to_be_read().await, Vec::<Uuid>::new());
}

#[tokio::test]
async fn an_agent_that_reads_no_disks_is_not_told_to_and_its_manifest_is_one_that_it_takes() {
    let world = World::new().await;
    let guest = world.off("web1").await;
    let upload = world.capture(guest.id, "own").await.unwrap();
    let generation = async || {
        honcho_store::hosts::generation(world.app.store.reader(), HostId(world.host.id)).await.unwrap()
    };
    let says = async |capabilities: &[&str]| {
        let report = honcho_wire::Report {
            protocol: honcho_wire::PROTOCOL,
            capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
            boot_id: "b".to_owned(),
            run_id: world.app.outside.uuid(),
            sequence: 1,
            incarnation: None,
            manifest_generation: Generation(0),
            digest: String::new(),
            load: None,
            observation: None,
        };
        world
            .ask(&ApplyReport { host: HostId(world.host.id), host_name: "h1".to_owned(), report })
            .await
            .unwrap();
    };
    let before = generation().await;
    says(&["pool.directory"]).await;
    assert_eq!(world.to_be_read().await, Vec::<Uuid>::new());
    assert!(generation().await > before, "what it is told is another");
    // Brought up to date, it is told.
    let before = generation().await;
    says(honcho_wire::CAPABILITIES).await;
    assert_eq!(world.to_be_read().await, [upload.uuid]);
    assert!(generation().await > before);
    let before = generation().await;
    says(honcho_wire::CAPABILITIES).await;
    assert_eq!(generation().await, before);
}
