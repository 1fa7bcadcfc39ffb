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
            volume: VolumeObserved { id: VolumeId(id), state: seen.volume, size: DISK },
            interfaces: Vec::new(),
            ssh_host_key: None,
            progress: None,
            failure: (gets == Gets::Stuck).then(failure),
            unexpected_stops: 0,
        };
        self.report(Vec::new(), vec![seen], Vec::new()).await;
    }

    async fn give_up(&self, id: i64) -> StoreResult<Operation> {
        self.ask(&OperationAbandon { scope: Scope::Operator, id: id.into() }).await
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
    world.ask(&GuestUpdate { scope, id: GuestId(guest.id), body, restart }).await.unwrap();
    assert!(world.desired(guest.id).await.given_up.is_some());
    world.power(guest.id, Start).await.unwrap();
    assert_eq!(world.desired(guest.id).await.given_up, None);
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Building);
    world.sees(guest.id, RUNS, Gets::On).await;
    assert_eq!(world.shown_as(guest.id).await.0, GuestStatus::Running);
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
    let resize =
        world.ask(&GuestUpdate { scope, id: GuestId(guest.id), body, restart }).await.unwrap().unwrap();
    world.sees(guest.id, RUNS, Gets::Stuck).await;
    let ended = world.give_up(resize.id).await.unwrap();
    assert_eq!(
        ended.outcome.as_deref(),
        Some("given up: its disk stays at 3 GiB; its memory and vCPUs hold from its next boot on")
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
    let change = OperationAbandon { scope: Scope::Account(honcho_model::AccountId(999)), id };
    assert_eq!(refused(world.ask(&change).await), "there is no such operation");
}
