//! Root filesystems that are uploaded: they come in pieces, are sealed, refused, given up.

use super::*;
use crate::controllers::uploads_tidy_step;
use crate::uploads::{AppendError, begin_sealing};
use honcho_api::ImageUpload;
use honcho_model::{AccountId, ImageUploadId};
use honcho_store::{Filters, image_uploads, images};
use sha2::{Digest as _, Sha256};

/// What a guest can boot, as far as anybody looks.
fn root_filesystem() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let os_release = "ID=rocky\nVERSION_ID=\"9.4\"\nPRETTY_NAME=\"Rocky Linux 9.4\"\n";
    let mut elf = [0_u8; 64];
    elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    elf[18] = 183;
    for (path, mode, content) in [
        ("./sbin/init", 0o755, elf.as_slice()),
        ("./boot/vmlinuz-5.14", 0o644, b"a kernel"),
        ("./etc/os-release", 0o644, os_release.as_bytes()),
        ("./usr/bin/odd", 0o4755, b"#!/bin/sh\n"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        builder.append_data(&mut header, path, content).unwrap();
    }
    builder.into_inner().unwrap()
}

struct Sender<'w> {
    world: &'w World,
    scope: Scope,
    content: Vec<u8>,
}

impl Sender<'_> {
    fn body(&self, name: &str) -> honcho_api::ImageUploadCreate {
        honcho_api::ImageUploadCreate {
            account_id: None,
            name: Some(name.into()),
            size_bytes: i64::try_from(self.content.len()).ok(),
            digest: Some(hex::encode(Sha256::digest(&self.content))),
            host_kernel: None,
        }
    }

    async fn begin(&self, body: honcho_api::ImageUploadCreate) -> StoreResult<ImageUpload> {
        let (uuid, largest) = (self.world.app.outside.uuid(), Bytes(1 << 20));
        self.world.ask(&ImageUploadCreate { scope: self.scope, uuid, largest, body }).await
    }

    async fn send(&self, upload: &ImageUpload, from: usize, to: usize) -> Result<(), AppendError> {
        let piece = axum::body::Bytes::copy_from_slice(&self.content[from..to]);
        let pieces = futures::stream::iter([Ok(piece)]);
        let size = self.content.len() as u64;
        self.world.app.uploads.append(upload.uuid, size, from as u64, pieces).await
    }

    async fn finish(&self, id: i64) -> StoreResult<ImageUpload> {
        let id = ImageUploadId(id);
        let upload = image_uploads::get(self.world.app.store.reader(), self.scope, id).await?;
        let received = self.world.app.uploads.received(upload.uuid).unwrap();
        self.world.ask(&ImageUploadFinish { scope: self.scope, id, received }).await
    }

    /// Seals what waits, and shows the upload.
    async fn sealed(&self, id: i64) -> ImageUpload {
        for task in begin_sealing(&self.world.app).await.unwrap() {
            task.await.unwrap();
        }
        self.world.upload(id).await
    }

    /// All of it, at once.
    async fn whole(&self, name: &str) -> ImageUpload {
        let upload = self.begin(self.body(name)).await.unwrap();
        self.send(&upload, 0, self.content.len()).await.unwrap();
        self.finish(upload.id).await.unwrap();
        self.sealed(upload.id).await
    }
}

impl World {
    fn sender(&self) -> Sender<'_> {
        Sender { world: self, scope: Scope::Account(AccountId(self.account.id)), content: root_filesystem() }
    }

    async fn upload(&self, id: i64) -> ImageUpload {
        let upload =
            image_uploads::get(self.app.store.reader(), Scope::System, ImageUploadId(id)).await.unwrap();
        self.app.uploads.seen(upload).unwrap()
    }

    /// What lies where uploads come.
    fn left(&self) -> usize {
        std::fs::read_dir(self.app.data.join("uploads")).unwrap().count()
    }
}

#[tokio::test]
async fn what_comes_in_pieces_becomes_an_image_of_its_account() {
    let world = World::new().await;
    let sender = world.sender();
    let upload = sender.begin(sender.body("own")).await.unwrap();
    assert_eq!((upload.account_id, upload.status.as_str()), (Some(world.account.id), "receiving"));
    sender.send(&upload, 0, 1000).await.unwrap();
    // Another client of the same file, or the same one after it was killed, goes on there.
    let again = world.app.uploads.seen(sender.begin(sender.body("own")).await.unwrap()).unwrap();
    assert_eq!((again.id, again.received_bytes), (upload.id, 1000));
    assert!(matches!(sender.send(&upload, 0, 500).await, Err(AppendError::Elsewhere(1000))));
    assert!(refused(sender.finish(upload.id).await).contains("1000 of "), "not yet");
    sender.send(&upload, 1000, sender.content.len()).await.unwrap();
    let more = futures::stream::iter([Ok(axum::body::Bytes::from_static(b"x"))]);
    let end = sender.content.len() as u64;
    let outcome = world.app.uploads.append(upload.uuid, end, end, more).await;
    assert!(matches!(outcome, Err(AppendError::TooMuch)), "{outcome:?}");
    assert_eq!(sender.finish(upload.id).await.unwrap().status, "sealing");
    assert_eq!(sender.finish(upload.id).await.unwrap().status, "sealing", "once more is no harm");
    let done = sender.sealed(upload.id).await;
    assert_eq!((done.status.as_str(), done.problem, world.left()), ("done", None, 0));
    assert!(done.notes[0].contains("/usr/bin/odd (setuid root)"), "{:?}", done.notes);
    let id = honcho_model::ImageId(done.image_id.unwrap());
    let image = images::get(world.app.store.reader(), sender.scope, id).await.unwrap();
    let said =
        [&image.distribution, &image.distribution_version, &image.architecture, &image.init, &image.kernel];
    let said = said.map(|text| text.as_deref().unwrap_or_default());
    assert_eq!(said, ["rocky", "9.4", "aarch64", "/sbin/init", "/boot/vmlinuz-5.14"]);
    assert_eq!((image.account_id, image.files_count), (Some(world.account.id), Some(10)));
    // The brain has signed it, by a key that it made for that and that nobody else can read.
    let told = image_signature_check(world.app.store.reader(), &image).await.unwrap();
    assert_eq!((told.status.as_str(), told.problem), ("trusted", None));
    assert!(told.signed_by.unwrap().starts_with("brain-"));
    let key = std::fs::metadata(world.app.data.join("image-signing-key")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
    let digest = image.digest.parse().unwrap();
    assert_eq!(world.app.blobs.size(digest).await.unwrap(), u64::try_from(image.compressed_bytes).ok());
    // Nobody else's.
    let body = honcho_api::AccountCreate { name: Some("rival".into()), ..Default::default() };
    let (operator, uuid) = (Scope::Operator, world.app.outside.uuid());
    let rival = world.ask(&AccountCreate { scope: operator, uuid, body }).await.unwrap().id;
    let rival = AccountId(rival);
    let own = Filters::default().and("name", "own");
    let found = images::list(world.app.store.reader(), Scope::Account(rival), &own).await.unwrap();
    assert_eq!(found, []);
    let found =
        image_uploads::get(world.app.store.reader(), Scope::Account(rival), ImageUploadId(upload.id)).await;
    assert_eq!(refused(found), "there is no such upload");
    // Its owner may delete it; everybody's images an operator alone.
    let theirs = ImageDelete { scope: sender.scope, id };
    assert_eq!(world.ask(&theirs).await.unwrap().name, "own");
    let everybodys = ImageDelete { scope: sender.scope, id: honcho_model::ImageId(world.image.id) };
    assert_eq!(refused(world.ask(&everybodys).await), "forbidden: only operators may do this");
}

#[tokio::test]
async fn what_is_no_image_is_refused_with_the_reason_and_leaves_nothing() {
    let world = World::new().await;
    for (content, reason) in [
        (b"no tar at all".to_vec(), "it was not copied whole"),
        (root_filesystem()[..2000].to_vec(), "it was not copied whole"),
        (tar::Builder::new(Vec::new()).into_inner().unwrap(), "it has no init"),
    ] {
        let sender = Sender { content, ..world.sender() };
        let ended = sender.whole("own").await;
        assert_eq!((ended.status.as_str(), ended.image_id, world.left()), ("refused", None, 0));
        let problem = ended.problem.unwrap();
        assert!(problem.contains(reason), "{problem}");
    }
    // What came is not what was announced.
    let sender = world.sender();
    let body = honcho_api::ImageUploadCreate { digest: Some("ab".repeat(32)), ..sender.body("own") };
    let upload = sender.begin(body).await.unwrap();
    sender.send(&upload, 0, sender.content.len()).await.unwrap();
    sender.finish(upload.id).await.unwrap();
    let problem = sender.sealed(upload.id).await.problem.unwrap();
    assert!(problem.contains("damaged on its way"), "{problem}");
    let found = images::list(world.app.store.reader(), Scope::System, &Filters::default()).await.unwrap();
    assert_eq!((found.len(), world.app.blobs.list().await.unwrap().len(), world.left()), (1, 0, 0));
}

#[tokio::test]
async fn an_upload_is_asked_for_in_full_and_within_the_quota() {
    let world = World::new().await;
    let sender = world.sender();
    let empty = honcho_api::ImageUploadCreate::default();
    expect_test::expect![[r"
        digest can't be blank
        name can't be blank
        size_bytes can't be blank
    "]]
    .assert_eq(&refused(sender.begin(empty).await));
    let large = honcho_api::ImageUploadCreate { size_bytes: Some(2 << 20), ..sender.body("own") };
    assert_eq!(refused(sender.begin(large).await), "size_bytes is more than the 1M that are taken here\n");
    let name = refused(sender.begin(sender.body(&world.image.name)).await);
    assert!(name.starts_with("name is taken by everybody's image"), "{name}");
    let rivals = honcho_api::ImageUploadCreate { account_id: Some(99), ..sender.body("own") };
    assert_eq!(refused(sender.begin(rivals).await), "account_id does not exist\n");
    // Both count: what is uploaded, and what has become of it.
    let size = i64::try_from(sender.content.len()).unwrap();
    let body = honcho_api::AccountCreate { limit_image_bytes: Some(Some(size + 100)), ..Default::default() };
    let id = AccountId(world.account.id);
    let limit = AccountUpdate { scope: Scope::Operator, id, body, lock_version: None };
    world.ask(&limit).await.unwrap();
    let first = sender.begin(sender.body("own")).await.unwrap();
    let second = refused(sender.begin(sender.body("other")).await);
    assert!(second.contains("over the account's quota of images"), "{second}");
    sender.send(&first, 0, sender.content.len()).await.unwrap();
    sender.finish(first.id).await.unwrap();
    assert_eq!(sender.sealed(first.id).await.status, "done");
    let used = honcho_store::quotas::used(world.app.store.reader(), id).await.unwrap().images;
    assert!(used > 0 && used < size, "{used}: by now as it is kept");
    // Another file under a name that is being uploaded is another upload.
    let other = Sender { content: vec![7; 50], ..world.sender() };
    other.begin(other.body("next")).await.unwrap();
    let different = Sender { content: vec![8; 50], ..world.sender() };
    assert!(
        refused(different.begin(different.body("next")).await).contains("name is that of another upload")
    );
}

#[tokio::test]
async fn of_which_nothing_comes_any_more_is_given_up() {
    let world = World::new().await;
    let sender = world.sender();
    let upload = sender.begin(sender.body("own")).await.unwrap();
    sender.send(&upload, 0, 600).await.unwrap();
    world.pass(23 * 3600);
    world.ask(&ImageUploadTouch(ImageUploadId(upload.id))).await.unwrap();
    world.pass(23 * 3600);
    uploads_tidy_step(world.app.clone()).await.unwrap();
    let going_on = world.upload(upload.id).await;
    assert_eq!((going_on.status.as_str(), going_on.received_bytes, world.left()), ("receiving", 600, 1));
    world.pass(2 * 3600);
    uploads_tidy_step(world.app.clone()).await.unwrap();
    let ended = world.upload(upload.id).await;
    assert_eq!(ended.problem.as_deref(), Some("nothing more of it came for 24 hours"));
    assert_eq!((ended.status.as_str(), world.left()), ("refused", 0));
    // Then the name is free, and after a week it is forgotten.
    assert_ne!(sender.begin(sender.body("own")).await.unwrap().id, upload.id);
    world.pass(8 * 24 * 3600);
    uploads_tidy_step(world.app.clone()).await.unwrap();
    let all =
        image_uploads::list(world.app.store.reader(), Scope::System, &Filters::default()).await.unwrap();
    assert_eq!(all.iter().map(|upload| upload.status.as_str()).collect::<Vec<_>>(), ["refused"]);
}

/// Given up, its account cancelled, its name taken, its file gone: each while it was being sealed.
#[tokio::test]
async fn what_changes_while_it_is_sealed_is_seen() {
    let world = World::new().await;
    let sender = world.sender();
    let ready = async |name: &str| {
        let upload = sender.begin(sender.body(name)).await.unwrap();
        sender.send(&upload, 0, sender.content.len()).await.unwrap();
        sender.finish(upload.id).await.unwrap();
        upload
    };
    let upload = ready("given-up").await;
    let tasks = begin_sealing(&world.app).await.unwrap();
    let (scope, id) = (sender.scope, ImageUploadId(upload.id));
    let problem = "it was given up".to_owned();
    world.ask(&ImageUploadRefuse { scope, id, problem }).await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((world.upload(upload.id).await.status.as_str(), world.left()), ("refused", 0));
    let upload = ready("taken").await;
    let body = honcho_api::ImageCreate {
        account_id: Some(world.account.id),
        name: Some("taken".into()),
        digest: Some("07".repeat(32)),
        unpacked_bytes: Some(1),
        ..Default::default()
    };
    let (scope, uuid) = (Scope::Operator, world.app.outside.uuid());
    world.ask(&ImageCreate { scope, uuid, blob_size: Some(1), body }).await.unwrap();
    let problem = sender.sealed(upload.id).await.problem.unwrap();
    assert!(problem.starts_with("name is taken by the account's image taken"), "{problem}");
    // A brain that was restored from a backup has none of the bytes: they are sent again.
    let upload = ready("restored").await;
    std::fs::remove_file(world.app.data.join("uploads").join(upload.uuid.to_string())).unwrap();
    let put_back = sender.sealed(upload.id).await;
    assert_eq!((put_back.status.as_str(), put_back.received_bytes), ("receiving", 0));
    assert!(put_back.problem.unwrap().contains("send it again"));
    sender.send(&upload, 0, sender.content.len()).await.unwrap();
    assert_eq!(sender.finish(upload.id).await.unwrap().problem, None);
    let grace = Grace::Kept;
    world.ask(&AccountCancel { scope, id: AccountId(world.account.id), grace }).await.unwrap();
    let problem = sender.sealed(upload.id).await.problem.unwrap();
    assert!(problem.starts_with("account_id is cancelled"), "{problem}");
    assert_eq!(world.left(), 0);
}

impl World {
    /// The same brain on a disk of which so much more must stay free.
    fn short_of(&self, reserve: Bytes) -> App {
        let mut uploads = self.app.uploads.clone();
        uploads.reserve = reserve;
        crate::app::Parts { uploads, ..crate::app::Parts::clone(&self.app) }.into()
    }

    /// What is left of a sealing, or of several.
    fn workshops(&self) -> usize {
        let names =
            std::fs::read_dir(self.app.data.join("uploads")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".sealing")).count()
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_put_back_and_sealed_when_somebody_says_so() {
    let world = World::new().await;
    let sender = world.sender();
    let blobs = world.app.data.join("blobs/blobs/sha256");
    std::fs::remove_dir(&blobs).unwrap();
    std::fs::write(&blobs, "in the way").unwrap();
    let put_back = sender.whole("own").await;
    assert_eq!((put_back.status.as_str(), world.workshops()), ("receiving", 0));
    let problem = put_back.problem.unwrap();
    assert!(
        problem.contains("its log says why") && !problem.contains("blob"),
        "no customer's business: {problem}"
    );
    assert!(begin_sealing(&world.app).await.unwrap().is_empty(), "not by itself");
    std::fs::remove_file(&blobs).unwrap();
    sender.finish(put_back.id).await.unwrap();
    assert_eq!((sender.sealed(put_back.id).await.status.as_str(), world.left()), ("done", 0));
}

#[tokio::test]
async fn the_last_of_the_disk_is_left_alone() {
    let world = World::new().await;
    let sender = world.sender();
    let upload = sender.begin(sender.body("own")).await.unwrap();
    let full = world.short_of(Bytes(u64::MAX));
    let piece = axum::body::Bytes::copy_from_slice(&sender.content);
    let size = sender.content.len() as u64;
    let outcome = full.uploads.append(upload.uuid, size, 0, futures::stream::iter([Ok(piece)])).await;
    assert!(matches!(outcome, Err(AppendError::NoRoom)), "{outcome:?}");
    sender.send(&upload, 0, sender.content.len()).await.unwrap();
    sender.finish(upload.id).await.unwrap();
    for task in begin_sealing(&full).await.unwrap() {
        task.await.unwrap();
    }
    let put_back = world.upload(upload.id).await;
    assert_eq!(
        (put_back.status.as_str(), put_back.received_bytes),
        ("receiving", i64::try_from(size).unwrap())
    );
    assert!(put_back.problem.unwrap().contains("are free on the brain's disk"));
    assert_eq!(world.workshops(), 0);
    sender.finish(upload.id).await.unwrap();
    assert_eq!(sender.sealed(upload.id).await.status, "done");
}

#[tokio::test]
async fn a_list_of_packages_that_no_system_has_is_refused() {
    let world = World::new().await;
    let status = |name: &str| {
        format!("Package: {name}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n")
    };
    let endless: String = (0..20_001).map(|number| status(&format!("p{number}"))).collect();
    for list in [endless, status(&"p".repeat(301))] {
        let mut builder = tar::Builder::new(Vec::new());
        let init = [0x7f, b'E', b'L', b'F', 2, 1];
        for (path, mode, content) in [
            ("./sbin/init", 0o755, init.as_slice()),
            ("./boot/vmlinuz-5.14", 0o644, b"a kernel"),
            ("./var/lib/dpkg/status", 0o644, list.as_bytes()),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(mode);
            builder.append_data(&mut header, path, content).unwrap();
        }
        let content = zstd::encode_all(builder.into_inner().unwrap().as_slice(), 1).unwrap();
        let ended = Sender { content, ..world.sender() }.whole("own").await;
        let problem = ended.problem.unwrap_or_default();
        assert!(ended.status == "refused" && problem.contains("more than 20000 packages"), "{problem}");
    }
}

#[tokio::test]
async fn of_which_something_comes_just_now_is_not_given_up() {
    let world = World::new().await;
    let sender = world.sender();
    let upload = sender.begin(sender.body("own")).await.unwrap();
    sender.send(&upload, 0, 600).await.unwrap();
    world.pass(25 * 3600);
    let held = world.app.uploads.hold(upload.uuid).unwrap();
    uploads_tidy_step(world.app.clone()).await.unwrap();
    assert_eq!(world.upload(upload.id).await.status, "receiving");
    drop(held);
    uploads_tidy_step(world.app.clone()).await.unwrap();
    assert_eq!(world.upload(upload.id).await.status, "refused");
}
