//! PUT and PATCH: what a stock client sends back, and what an update changes.

use super::power::Peek;
use super::*;
use honcho_api::GuestUpdate as Body;

async fn put(world: &World, id: i64, body: Body) -> StoreResult<Option<honcho_api::Operation>> {
    let restart = Restart::Refused;
    world
        .ask(&GuestUpdate {
            scope: Scope::Operator,
            id: GuestId(id),
            body,
            restart,
            rules: crate::USUAL_RULES,
        })
        .await
}

/// The whole guest as a client that loaded it sends it back, after `edit`.
fn sent_back(guest: &Guest, edit: impl FnOnce(&mut serde_json::Value)) -> Body {
    let mut whole = serde_json::json!({ "guest": guest });
    edit(&mut whole["guest"]);
    crate::http::parse_body(whole.to_string().as_bytes()).ok().unwrap().value
}

#[tokio::test]
async fn a_whole_object_sent_back_unchanged_changes_nothing() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    assert!(put(&world, guest.id, sent_back(&guest, |_| {})).await.unwrap().is_none());
    // Read-only attributes are ignored, whatever they say.
    let nonsense = sent_back(&guest, |whole| {
        whole["status"] = "deleted".into();
        whole["epoch"] = 99.into();
        whole["host_id"] = 7.into();
        whole["interfaces"] = serde_json::json!([]);
        whole["account_id"] = 55.into();
    });
    assert!(put(&world, guest.id, nonsense).await.unwrap().is_none());
    assert_eq!(world.guest(guest.id).await, guest);
}

#[tokio::test]
async fn an_old_copy_undoes_nobodys_change() {
    let world = World::new().await;
    let old = world.order("web1").await;
    let renamed = sent_back(&old, |whole| whole["name"] = "web2".into());
    assert_eq!(put(&world, old.id, renamed.clone()).await.unwrap().unwrap().kind.as_str(), "rename");
    assert_eq!(world.guest(old.id).await.lock_version, 2);
    // The old copy still says web1: with its lock_version that is a conflict,
    let stale = refused(put(&world, old.id, sent_back(&old, |_| {})).await);
    let text = "it was changed meanwhile (lock_version is 2, not 1): read it again and change that";
    assert_eq!(stale, format!("conflict: {text}"));
    // what is so already is none,
    assert!(put(&world, old.id, renamed).await.unwrap().is_none());
    // and without a lock_version the last one wins.
    let forced = sent_back(&old, |whole| whole["lock_version"] = serde_json::Value::Null);
    put(&world, old.id, forced).await.unwrap().unwrap();
    let guest = world.guest(old.id).await;
    assert_eq!((guest.name.as_str(), guest.lock_version), ("web1", 3));
}

#[tokio::test]
async fn actions_leave_the_lock_version_alone() {
    let world = World::new().await;
    let old = world.order("web1").await;
    world.power(old.id, PowerAction::Reboot { hard: false }).await.unwrap();
    world.settle(old.id).await;
    let guest = world.guest(old.id).await;
    assert_eq!(guest.lock_version, old.lock_version, "only a writable attribute's change raises it");
}

#[tokio::test]
async fn a_taken_name_and_several_wrong_sizes_are_told() {
    let world = World::new().await;
    world.order("web1").await;
    let guest = world.order("web2").await;
    let name = Body { name: Some("web1".into()), ..Body::default() };
    assert_eq!(refused(put(&world, guest.id, name).await), "name is taken\n");
    let wrong = Body {
        name: Some(String::new()),
        memory_bytes: Some(0),
        vcpus: Some(1000),
        disk_bytes: Some(1 << 30),
        ..Body::default()
    };
    let text = "disk_bytes grows and never shrinks: it is 3G\nmemory_bytes must be from 67108864 to 4398046511104\n\
                name can't be blank\nvcpus must be from 1 to 256\n";
    assert_eq!(refused(put(&world, guest.id, wrong).await), text);
    assert_eq!(world.guest(guest.id).await.lock_version, 1);
}

async fn resize(
    world: &World,
    id: i64,
    memory: i64,
    restart: Restart,
) -> StoreResult<Option<honcho_api::Operation>> {
    let body = Body { memory_bytes: Some(memory), ..Body::default() };
    world
        .ask(&GuestUpdate {
            scope: Scope::Operator,
            id: GuestId(id),
            body,
            restart,
            rules: crate::USUAL_RULES,
        })
        .await
}

#[tokio::test]
async fn a_running_guest_is_resized_only_with_a_restart() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let id = guest.id;
    let text = "base runs, and its size changes only while it is stopped: stop it first, \
                or let it restart (resize with restart=true)\n";
    assert_eq!(refused(resize(&world, id, 2 << 30, Restart::Refused).await), text);
    resize(&world, id, 2 << 30, Restart::Allowed).await.unwrap().unwrap();
    let desired = world.ask(&Peek { id: GuestId(id) }).await.unwrap();
    assert_eq!((desired.memory, desired.boots_wanted), (Bytes::gib(2), 2), "one boot brings it about");
    // The same size once more is no change, and no boot.
    assert!(resize(&world, id, 2 << 30, Restart::Allowed).await.unwrap().is_none());
    world.power(id, PowerAction::Stop { hard: false }).await.unwrap();
    resize(&world, id, 3 << 30, Restart::Refused).await.unwrap().unwrap();
    assert_eq!(world.ask(&Peek { id: GuestId(id) }).await.unwrap().boots_wanted, 2, "it is stopped");
    let text = "base its host has 12.5G of memory free, 97G more needed\n";
    assert_eq!(refused(resize(&world, id, 100 << 30, Restart::Refused).await), text);
}

#[tokio::test]
async fn power_may_be_put_too() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let power = |power| Body { power: Some(power), ..Body::default() };
    assert!(put(&world, guest.id, power(Power::Running)).await.unwrap().is_none());
    assert_eq!(put(&world, guest.id, power(Power::Stopped)).await.unwrap().unwrap().kind.as_str(), "stop");
    let started = put(&world, guest.id, power(Power::Running)).await.unwrap().unwrap();
    assert_eq!((started.kind.as_str(), world.guest(guest.id).await.boots_wanted), ("start", 2));
    // Stopped and resized in one go: nothing has to restart.
    let both = Body { power: Some(Power::Stopped), memory_bytes: Some(2 << 30), ..Body::default() };
    assert_eq!(put(&world, guest.id, both).await.unwrap().unwrap().kind.as_str(), "resize");
    let started = honcho_model::OperationId(started.id);
    let started =
        honcho_store::operations::get(world.app.store.reader(), Scope::System, started).await.unwrap();
    assert_eq!(started.state.as_str(), "superseded", "it is not wanted to run any more");
}
