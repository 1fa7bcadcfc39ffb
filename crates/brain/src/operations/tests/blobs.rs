//! Blobs that nothing names any more go, after a while; whatever is named stays.

use super::*;
use crate::controllers::{blobs_delete, blobs_step};
use honcho_model::{Digest, ImageId};
use sha2::{Digest as _, Sha256};

const DAY: i64 = 24 * 3600;

impl World {
    async fn sent(&self, content: &'static [u8]) -> Digest {
        let digest = Digest(Sha256::digest(content).into());
        self.app.keep_blob(digest, content).await.unwrap();
        digest
    }

    async fn registered(&self, name: &str, digest: Digest) -> StoreResult<Image> {
        let body = honcho_api::ImageCreate {
            account_id: Some(self.account.id),
            name: Some(name.into()),
            digest: Some(digest.to_string()),
            unpacked_bytes: Some(1),
            ..Default::default()
        };
        let (scope, uuid) = (Scope::Operator, self.app.outside.uuid());
        self.ask(&ImageCreate { scope, uuid, blob_size: Some(1), body }).await
    }

    async fn delete_image(&self, image: &Image) {
        self.ask(&ImageDelete { scope: Scope::Operator, id: ImageId(image.id) }).await.unwrap();
    }

    /// So many days pass, and somebody looks each day.
    async fn days(&self, days: i64) {
        for _ in 0..days {
            self.pass(DAY);
            blobs_step(self.app.clone()).await.unwrap();
        }
    }

    async fn has(&self, digest: Digest) -> bool {
        self.app.blobs.exists(digest).await.unwrap()
    }
}

#[tokio::test]
async fn a_deleted_images_blob_goes_when_its_last_guest_has() {
    let world = World::new().await;
    let digest = world.sent(b"one").await;
    let (first, second) =
        (world.registered("first", digest).await.unwrap(), world.registered("second", digest).await.unwrap());
    let body = honcho_api::GuestCreate { image_id: Some(first.id), ..world.body("web1") };
    let guest = world.order_as(Scope::Operator, body).await.unwrap();
    world.delete_image(&first).await;
    let gone = honcho_store::images::get(world.app.store.reader(), Scope::Operator, ImageId(first.id)).await;
    assert_eq!(refused(gone), "there is no such image", "it is hidden at once");
    world.days(10).await;
    world.delete_image(&second).await;
    world.days(10).await;
    assert!(world.has(digest).await, "a guest was made from it");
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(guest.id) }).await.unwrap();
    world.bury(guest.id).await;
    world.days(7).await;
    assert!(world.has(digest).await, "nobody named it for less than a week");
    world.days(2).await;
    assert!(!world.has(digest).await, "and now for longer");
    // The row that said so goes as well.
    world.days(1).await;
    assert_eq!(honcho_store::blobs::unnamed(world.app.store.reader()).await.unwrap(), []);
}

#[tokio::test]
async fn what_was_sent_waits_for_its_image() {
    let world = World::new().await;
    let (waiting, again, named) =
        (world.sent(b"waiting").await, world.sent(b"again").await, world.sent(b"named").await);
    let image = world.registered("named", named).await.unwrap();
    world.days(6).await;
    world.sent(b"again").await;
    world.days(3).await;
    let kept = [world.has(waiting).await, world.has(again).await, world.has(named).await];
    assert_eq!(kept, [false, true, true]);
    world.days(30).await;
    assert!(world.has(named).await && !world.has(again).await);
    // It is named for as long as it is named, and its time begins when it is not.
    world.delete_image(&image).await;
    world.days(6).await;
    assert!(world.has(named).await);
}

/// Between the mark and the deletion nobody may come to rely on it.
#[tokio::test]
async fn nothing_takes_the_name_of_what_is_being_deleted() {
    let world = World::new().await;
    let digest = world.sent(b"going").await;
    world.pass(8 * DAY);
    assert!(world.ask(&BlobCollect(digest)).await.unwrap().is_some());
    let no = refused(world.registered("late", digest).await);
    assert!(no.contains("send it again with PUT"), "{no}");
    assert!(refused(world.ask(&BlobCame(digest)).await).contains("just being deleted"));
    // The brain was killed before it was deleted: somebody does it later, or it is sent once more before that.
    world.pass(600);
    world.sent(b"going").await;
    let image = world.registered("late", digest).await.unwrap();
    world.days(10).await;
    assert!(world.has(digest).await, "image {} names it", image.id);
    assert_eq!(world.ask(&BlobCollect(digest)).await.unwrap(), None);
}

#[tokio::test]
async fn whoever_was_held_up_after_the_mark_deletes_nothing() {
    let world = World::new().await;
    let digest = world.sent(b"going").await;
    world.pass(8 * DAY);
    let marked = world.ask(&BlobCollect(digest)).await.unwrap().unwrap();
    world.pass(61);
    blobs_delete(&world.app, digest, 5, marked).await;
    assert!(world.has(digest).await, "it may have been sent anew meanwhile");
    world.pass(DAY);
    blobs_step(world.app.clone()).await.unwrap();
    assert!(!world.has(digest).await, "the next time it goes");
}

#[tokio::test]
async fn nothing_is_deleted_while_a_backup_reads_what_there_is() {
    let world = World::new().await;
    let digest = world.sent(b"going").await;
    world.pass(8 * DAY);
    let reading = world.app.blobs.hold_all().unwrap();
    blobs_step(world.app.clone()).await.unwrap();
    assert!(world.has(digest).await);
    drop(reading);
    blobs_step(world.app.clone()).await.unwrap();
    assert!(!world.has(digest).await);
}
