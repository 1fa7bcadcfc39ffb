//! Giving up: what is desired then, what is said of it, and what takes it up again.

use super::power::Peek;
use super::*;
use PowerAction::{Reboot, Start, Stop};
use honcho_api::Operation;
use honcho_model::guest::GuestStatus;
use honcho_store::guests_desired::Desired;
use honcho_wire::Failure;

const DISK: Bytes = Bytes::gib(3);

/// A guest as the agent sees it, in the midst of something.
#[derive(Clone, Copy)]
struct Seen {
    volume: VolumeState,
    boots_done: Option<u64>,
}

const UNMADE: Seen = Seen { volume: VolumeState::Unmade, boots_done: None };
const OFF: Seen = Seen { volume: VolumeState::Present, boots_done: None };
const RUNS: Seen = Seen { volume: VolumeState::Present, boots_done: Some(1) };

/// Whether the agent gets on.
#[derive(Clone, Copy, PartialEq)]
enum Gets {
    On,
    Stuck,
}

impl World {
    async fn sees(&self, id: i64, seen: Seen, gets: Gets) {
        self.sees_disk(id, DISK, seen, gets).await;
    }

    async fn sees_disk(&self, id: i64, size: Bytes, seen: Seen, gets: Gets) {
        let guest = self.guest(id).await;
        let failure = || Failure {
            step: "start".to_owned(),
            error: "no room".to_owned(),
            attempts: 3,
            next_try_ms: Some(60_000),
        };
        let seen = GuestObserved {
            id: GuestId(id),
            epoch: Epoch(guest.epoch),
            generation: Generation(guest.generation),
            settled: gets == Gets::On,
            power: if seen.boots_done.is_some() { Power::Running } else { Power::Stopped },
            boots_done: seen.boots_done,
            volume: VolumeObserved { id: VolumeId(id), state: seen.volume, size },
            interfaces: Vec::new(),
            ssh_host_key: None,
            progress: None,
            failure: (gets == Gets::Stuck).then(failure),
            unexpected_stops: 0,
            held: false,
        };
        self.report(Vec::new(), vec![seen], Vec::new()).await;
    }

    async fn give_up(&self, id: i64) -> StoreResult<Operation> {
        self.ask(&OperationAbandon { scope: Scope::Operator, id: id.into(), rules: crate::USUAL_RULES }).await
    }

    async fn resize(&self, id: i64, body: honcho_api::GuestUpdate) -> Operation {
        let (scope, restart) = (Scope::Operator, Restart::Allowed);
        self.ask(&GuestUpdate { scope, id: GuestId(id), body, restart, rules: crate::USUAL_RULES })
            .await
            .unwrap()
            .unwrap()
    }

    async fn state(&self, id: i64) -> String {
        let reader = self.app.store.reader();
        let found = honcho_store::operations::get(reader, Scope::System, id.into()).await.unwrap();
        found.state.as_str().to_owned()
    }

    /// What counts of the host's pool, in GiB.
    async fn placed(&self) -> i64 {
        let filters = honcho_store::Filters::default();
        honcho_store::pools::list(self.app.store.reader(), &filters).await.unwrap()[0].placed_bytes >> 30
    }

    async fn desired(&self, id: i64) -> Desired {
        self.ask(&Peek { id: GuestId(id) }).await.unwrap()
    }

    /// Status and reason, and the address, which stays.
    async fn shown_as(&self, id: i64) -> (GuestStatus, String) {
        let guest = self.guest(id).await;
        assert_eq!(guest.address.as_deref(), Some("10.77.0.2"), "its address is its own");
        (guest.status, guest.status_reason.unwrap_or_default())
    }
}

#[tokio::test]
async fn a_guest_that_cannot_be_made_is_not_made_until_it_is_asked_for() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.sees(guest.id, UNMADE, Gets::Stuck).await;
    let reboot = world.power(guest.id, Reboot { hard: false }).await.unwrap();
    world.sees(guest.id, UNMADE, Gets::Stuck).await;
    let before = world.desired(guest.id).await;
    let create = guest.operation_id.unwrap();
    let ended = world.give_up(create).await.unwrap();
    assert_eq!(ended.state.as_str(), "abandoned");
    assert!(ended.outcome.unwrap().contains("start"));
    let desired = world.desired(guest.id).await;
    assert_eq!((desired.power, desired.given_up), (Power::Stopped, Some(create.into())));
    assert_eq!(desired.generation.0, before.generation.0 + 1, "a change of desired state like any other");
    assert!(desired.lock_version > before.lock_version);
    // Whatever else waited for its making has ended too.
    let reboot =
        honcho_store::operations::get(world.app.store.reader(), Scope::System, reboot.id.into()).await;
    assert_eq!(reboot.unwrap().state.as_str(), "abandoned");
    // The agent has nothing to do for it, and says so.
    world.sees(guest.id, UNMADE, Gets::On).await;
    let (status, reason) = world.shown_as(guest.id).await;
    assert_eq!(status, GuestStatus::GivenUp);
    assert_eq!(
        reason,
        format!(
            "operation {create} (create) was given up: it was not made: start it to have it made, or delete it"
        )
    );
    // To change what it is called takes nothing up again; to start it does.
    let name = Some("other".to_owned());
    let body = honcho_api::GuestUpdate { name, ..honcho_api::GuestUpdate::default() };
    let (scope, restart) = (Scope::Operator, Restart::Refused);
    world
        .ask(&GuestUpdate { scope, id: GuestId(guest.id), body, restart, rules: crate::USUAL_RULES })
        .await
        .unwrap();
    assert!(world.desired(guest.id).await.given_up.is_some());
    world.power(guest.id, Start).await.unwrap();
    assert_eq!(world.desired(guest.id).await.given_up, None);
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Building);
    world.sees(guest.id, Seen { boots_done: Some(3), ..RUNS }, Gets::On).await;
    assert_eq!(world.shown_as(guest.id).await, (GuestStatus::Running, String::new()));
}

#[tokio::test]
async fn a_guest_that_cannot_be_made_may_be_deleted_instead() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.give_up(guest.operation_id.unwrap()).await.unwrap();
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(guest.id) }).await.unwrap();
    world.bury(guest.id).await;
    assert_eq!(world.guest(guest.id).await.status, GuestStatus::Deleted);
}

#[tokio::test]
async fn what_was_made_and_does_not_start_stays_off() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.sees(guest.id, RUNS, Gets::On).await;
    world.power(guest.id, Stop { hard: false }).await.unwrap();
    world.sees(guest.id, OFF, Gets::On).await;
    let start = world.power(guest.id, Start).await.unwrap();
    world.sees(guest.id, OFF, Gets::Stuck).await;
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Failing);
    world.give_up(start.id).await.unwrap();
    world.sees(guest.id, OFF, Gets::On).await;
    let (status, reason) = world.shown_as(guest.id).await;
    assert_eq!(status, GuestStatus::Stopped);
    assert_eq!(
        reason,
        format!("operation {} (start) was given up: it stays stopped until it is started", start.id)
    );
    world.power(guest.id, Start).await.unwrap();
    world.sees(guest.id, Seen { boots_done: Some(3), ..RUNS }, Gets::On).await;
    assert_eq!(world.shown_as(guest.id).await, (GuestStatus::Running, String::new()));
}

#[tokio::test]
async fn a_reboot_that_was_given_up_is_waived_and_the_next_is_one_more() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.sees(guest.id, RUNS, Gets::On).await;
    let reboot = world.power(guest.id, Reboot { hard: false }).await.unwrap();
    world.sees(guest.id, RUNS, Gets::Stuck).await;
    world.give_up(reboot.id).await.unwrap();
    let desired = world.desired(guest.id).await;
    assert_eq!((desired.power, desired.boots_wanted, desired.boots_waived), (Power::Running, 2, 2));
    world.sees(guest.id, RUNS, Gets::On).await;
    let (status, reason) = world.shown_as(guest.id).await;
    assert_eq!(status, GuestStatus::Running);
    assert_eq!(reason, format!("operation {} (reboot) was given up: it runs on as it was", reboot.id));
    world.power(guest.id, Reboot { hard: false }).await.unwrap();
    let desired = world.desired(guest.id).await;
    assert_eq!((desired.boots_wanted, desired.boots_waived), (3, 2));
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Rebooting);
}

#[tokio::test]
async fn a_guest_that_does_not_stop_runs_on() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.sees(guest.id, RUNS, Gets::On).await;
    let stop = world.power(guest.id, Stop { hard: false }).await.unwrap();
    world.sees(guest.id, RUNS, Gets::Stuck).await;
    world.give_up(stop.id).await.unwrap();
    world.sees(guest.id, RUNS, Gets::On).await;
    assert_eq!(world.desired(guest.id).await.power, Power::Running);
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Running);
}

#[tokio::test]
async fn a_disk_that_cannot_grow_stays_and_is_paid_for_as_it_is() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.sees(guest.id, RUNS, Gets::On).await;
    let body = honcho_api::GuestUpdate {
        disk_bytes: Some(20 << 30),
        memory_bytes: Some(2 << 30),
        ..honcho_api::GuestUpdate::default()
    };
    let (scope, restart) = (Scope::Operator, Restart::Allowed);
    let resize = world
        .ask(&GuestUpdate { scope, id: GuestId(guest.id), body, restart, rules: crate::USUAL_RULES })
        .await
        .unwrap()
        .unwrap();
    world.sees(guest.id, RUNS, Gets::Stuck).await;
    let ended = world.give_up(resize.id).await.unwrap();
    assert_eq!(
        ended.outcome.as_deref(),
        Some(
            "given up: it runs on as it was; its disk stays at 3G, and its memory and vCPUs hold from its next boot on"
        )
    );
    let desired = world.desired(guest.id).await;
    assert_eq!((desired.disk, desired.memory, desired.power), (DISK, Bytes::gib(2), Power::Running));
    assert_eq!(desired.boots_waived, desired.boots_wanted);
    world.sees(guest.id, RUNS, Gets::On).await;
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Running);
    // The event says what it is from now on: usage is read from events.
    let filters = honcho_store::Filters::default().and("kind", "operation.abandon");
    let told = honcho_store::events::list(world.app.store.reader(), Scope::System, &filters).await.unwrap();
    let (before, after) = (told[0].before.as_ref().unwrap(), told[0].after.as_ref().unwrap());
    assert_eq!(
        (before["disk_bytes"].as_i64(), after["disk_bytes"].as_i64()),
        (Some(20 << 30), Some(3 << 30))
    );
}

#[tokio::test]
async fn what_cannot_be_given_up_says_what_to_do_instead() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let id = GuestId(guest.id);
    world.sees(guest.id, RUNS, Gets::On).await;
    let cancel = world.ask(&GuestCancel { scope: Scope::Operator, id }).await.unwrap();
    let why = refused(world.give_up(cancel.id).await);
    assert_eq!(why, "conflict: it is cancelled: to keep it, restore it, which ends this");
    let delete = world.ask(&GuestDelete { scope: Scope::Operator, id }).await.unwrap();
    let why = refused(world.give_up(delete.id).await);
    assert!(why.starts_with("conflict: a guest that is being deleted may be half gone"), "{why}");
    // Nothing of it was changed.
    let desired = world.desired(guest.id).await;
    assert!(desired.deleting_at.is_some() && desired.given_up.is_none());
}

#[tokio::test]
async fn the_operations_of_another_account_cannot_be_given_up() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let id = guest.operation_id.unwrap().into();
    let change = OperationAbandon {
        scope: Scope::Account(honcho_model::AccountId(999)),
        id,
        rules: crate::USUAL_RULES,
    };
    assert_eq!(refused(world.ask(&change).await), "there is no such operation");
}

fn larger(disk: i64) -> honcho_api::GuestUpdate {
    honcho_api::GuestUpdate { disk_bytes: Some(disk << 30), ..honcho_api::GuestUpdate::default() }
}

fn more_memory() -> honcho_api::GuestUpdate {
    honcho_api::GuestUpdate { memory_bytes: Some(2 << 30), ..honcho_api::GuestUpdate::default() }
}

/// The agent is at it when somebody gives up, and ends what it began: the room counts until it has said what came of it.
#[tokio::test]
async fn a_disk_that_grew_while_that_was_given_up_is_as_large_as_it_is() {
    let world = World::new().await;
    for grew in [20, 3] {
        let guest = world.order(&format!("web{grew}")).await;
        world.sees(guest.id, RUNS, Gets::On).await;
        let others = world.placed().await - 3;
        let resize = world.resize(guest.id, larger(20)).await;
        world.sees(guest.id, OFF, Gets::Stuck).await;
        world.give_up(resize.id).await.unwrap();
        let stale = world.guest(guest.id).await.lock_version;
        assert_eq!((world.desired(guest.id).await.disk, world.placed().await - others), (DISK, 20));
        // It has not heard of it, then has and is still at it, then has ended.
        for gets in [Gets::Stuck, Gets::On] {
            assert_eq!(world.placed().await - others, 20);
            let seen = Seen { boots_done: (gets == Gets::On).then_some(2), ..RUNS };
            world.sees_disk(guest.id, Bytes::gib(grew), seen, gets).await;
        }
        let is = world.guest(guest.id).await;
        assert_eq!(
            (is.disk_bytes, world.placed().await - others),
            (i64::try_from(grew << 30).unwrap(), i64::try_from(grew).unwrap())
        );
        assert_eq!((is.status, world.state(resize.id).await.as_str()), (GuestStatus::Running, "abandoned"));
        // Who has an older copy does not write its size back; what is paid for is what there is.
        assert_eq!(is.lock_version > stale, grew == 20);
        let filters = honcho_store::Filters::default().and("kind", "guest.grown");
        let told =
            honcho_store::events::list(world.app.store.reader(), Scope::System, &filters).await.unwrap();
        let after = told[0].after.as_ref().unwrap();
        assert_eq!((told.len(), after["disk_bytes"].as_i64()), (1, Some(20 << 30)));
    }
}

#[tokio::test]
async fn a_guest_that_is_off_because_its_disk_could_not_grow_starts_as_it_is() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.sees(guest.id, RUNS, Gets::On).await;
    let resize = world.resize(guest.id, larger(20)).await;
    world.sees(guest.id, OFF, Gets::Stuck).await;
    let ended = world.give_up(resize.id).await.unwrap();
    assert_eq!(
        ended.outcome.as_deref(),
        Some("given up: its disk stays at 3G, and its memory and vCPUs hold from its next boot on")
    );
    let desired = world.desired(guest.id).await;
    assert_eq!((desired.power, desired.disk, desired.given_up), (Power::Running, DISK, None));
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Failing, "as it was seen last");
    world.sees(guest.id, Seen { boots_done: Some(2), ..RUNS }, Gets::On).await;
    assert_eq!(world.shown_as(guest.id).await, (GuestStatus::Running, String::new()));
}

#[tokio::test]
async fn a_guest_that_does_not_start_with_its_new_memory_stays_off() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.sees(guest.id, RUNS, Gets::On).await;
    let resize = world.resize(guest.id, more_memory()).await;
    world.sees(guest.id, OFF, Gets::Stuck).await;
    world.give_up(resize.id).await.unwrap();
    assert_eq!(world.desired(guest.id).await.power, Power::Stopped, "else it would be tried for ever");
    world.sees(guest.id, OFF, Gets::On).await;
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Stopped);
}

#[tokio::test]
async fn a_boot_that_two_wait_for_is_waived_for_both_or_neither() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.sees(guest.id, RUNS, Gets::On).await;
    // Who gives up on the new size has the reboot all the same.
    let reboot = world.power(guest.id, Reboot { hard: false }).await.unwrap();
    let resize = world.resize(guest.id, more_memory()).await;
    world.sees(guest.id, RUNS, Gets::Stuck).await;
    world.give_up(resize.id).await.unwrap();
    let desired = world.desired(guest.id).await;
    assert!(desired.boots_waived < desired.boots_wanted, "{desired:?}");
    assert_eq!(world.state(reboot.id).await, "open");
    // Who gives up on the reboot cannot have the new size, which would be told as done without it.
    let resize = world.resize(guest.id, larger(20)).await;
    world.give_up(reboot.id).await.unwrap();
    let desired = world.desired(guest.id).await;
    assert_eq!((desired.boots_waived, desired.disk), (desired.boots_wanted, DISK));
    assert_eq!(world.state(resize.id).await, "abandoned");
}

/// The agent has made it and started it, and has not told yet when somebody gives up on it.
#[tokio::test]
async fn a_guest_that_was_made_meanwhile_is_stopped_and_kept() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.sees(guest.id, UNMADE, Gets::Stuck).await;
    let create = guest.operation_id.unwrap();
    let before = world.guest(guest.id).await.generation;
    world.give_up(create).await.unwrap();
    assert!(world.guest(guest.id).await.generation > before);
    world.sees(guest.id, RUNS, Gets::Stuck).await;
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Failing);
    world.sees(guest.id, OFF, Gets::On).await;
    let (status, reason) = world.shown_as(guest.id).await;
    assert_eq!(status, GuestStatus::Stopped);
    assert!(reason.ends_with("was given up: it stays stopped until it is started"), "{reason}");
    assert_eq!(world.state(create).await, "abandoned");
    let snapshot = world.app.store.snapshot().await.unwrap();
    let manifest = honcho_store::manifests::render(&snapshot, HostId(world.host.id)).await.unwrap().unwrap();
    assert_eq!(manifest.guests[0].root.existence, honcho_wire::Existence::Existing, "never made again");
}

#[tokio::test]
async fn what_another_wish_decides_is_not_changed_by_giving_up() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let id = GuestId(guest.id);
    world.sees(guest.id, RUNS, Gets::On).await;
    world.power(guest.id, Stop { hard: false }).await.unwrap();
    world.sees(guest.id, OFF, Gets::On).await;
    world.power(guest.id, Start).await.unwrap();
    world.sees(guest.id, RUNS, Gets::Stuck).await;
    // It is cancelled, and its account's suspension ends meanwhile: it does not run once it is taken back for that.
    let account = honcho_model::AccountId(world.account.id);
    world.power(guest.id, Stop { hard: false }).await.unwrap();
    world.ask(&GuestCancel { scope: Scope::Operator, id }).await.unwrap();
    let scope = Scope::Operator;
    world.ask(&AccountSuspend { scope, id: account, reason: None }).await.unwrap();
    world.ask(&AccountUnsuspend { scope, id: account }).await.unwrap();
    let before = world.desired(guest.id).await;
    let open = honcho_store::Filters::default().and("state", "open").and("kind", "unsuspend");
    let open = honcho_store::operations::list(world.app.store.reader(), Scope::System, &open).await.unwrap();
    let ended = world.give_up(open[0].id).await.unwrap();
    assert_eq!(ended.outcome.as_deref(), Some("given up: it holds already, and nothing is left to be tried"));
    assert_eq!(world.desired(guest.id).await, before);
}

/// A guest that was taken back has no memory on its host, and runs still: it has to stop.
#[tokio::test]
async fn a_guest_without_room_does_not_run_on() {
    let world = World::new().await;
    let mut body = world.body("web1");
    body.memory_bytes = Some(9 << 30);
    let guest = world.order_as(Scope::Operator, body.clone()).await.unwrap();
    let id = GuestId(guest.id);
    world.sees(guest.id, RUNS, Gets::On).await;
    world.ask(&GuestCancel { scope: Scope::Operator, id }).await.unwrap();
    body.name = Some("web2".into());
    let other = world.order_as(Scope::Operator, body).await.unwrap();
    let restore =
        world.ask(&GuestRestore { scope: Scope::Operator, id, rules: crate::USUAL_RULES }).await.unwrap();
    world.sees(guest.id, RUNS, Gets::Stuck).await;
    let why = refused(world.give_up(restore.id).await);
    assert!(why.starts_with("conflict: its host has no room for it any more"), "{why}");
    assert_eq!(world.desired(guest.id).await.power, Power::Stopped);
    // Once there is room it does.
    world.ask(&GuestCancel { scope: Scope::Operator, id: GuestId(other.id) }).await.unwrap();
    world.give_up(restore.id).await.unwrap();
    let desired = world.desired(guest.id).await;
    assert_eq!((desired.power, desired.memory_claimed), (Power::Running, true));
}
