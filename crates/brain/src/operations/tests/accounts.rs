//! Accounts: suspended and let go again, cancelled, taken back, and deleted with all they own.

use super::power::Peek;
use super::*;
use crate::controllers::lapsing_step;
use honcho_api::Account;
use honcho_model::AccountId;
use honcho_model::account::AccountStatus;
use honcho_model::guest::GuestStatus;
use honcho_model::operation::OperationState;
use honcho_store::{Filters, accounts, events, images, manifests, networks, operations};

const OPERATOR: Scope = Scope::Operator;

impl World {
    fn id(&self) -> AccountId {
        AccountId(self.account.id)
    }

    async fn suspend(&self, reason: Option<&str>) -> StoreResult<Account> {
        let reason = reason.map(str::to_owned);
        self.ask(&AccountSuspend { scope: OPERATOR, id: self.id(), reason }).await
    }

    async fn unsuspend(&self) -> StoreResult<Account> {
        self.ask(&AccountUnsuspend { scope: OPERATOR, id: self.id() }).await
    }

    async fn cancel_account(&self) -> StoreResult<Account> {
        self.ask(&AccountCancel { scope: OPERATOR, id: self.id(), grace: Grace::Kept }).await
    }

    async fn restore_account(&self) -> StoreResult<Account> {
        self.ask(&AccountRestore { scope: OPERATOR, id: self.id(), rules: crate::USUAL_RULES }).await
    }

    async fn now_account(&self) -> Account {
        accounts::find(self.app.store.reader(), Scope::System, self.id()).await.unwrap()
    }

    async fn status(&self, id: i64) -> GuestStatus {
        self.guest(id).await.status
    }

    /// What the host's agent is told of a guest's power; `None` when it is not to be there.
    async fn told(&self, id: i64) -> Option<Power> {
        let snapshot = self.app.store.snapshot().await.unwrap();
        let manifest = manifests::render(&snapshot, HostId(self.host.id)).await.unwrap().unwrap();
        manifest.guests.iter().find(|guest| guest.id.0 == id).map(|guest| guest.power)
    }

    async fn host_generation(&self) -> i64 {
        let id = HostId(self.host.id);
        honcho_store::hosts::generation(self.app.store.reader(), id).await.unwrap().unwrap().0
    }

    async fn operation_of(&self, id: i64) -> honcho_api::Operation {
        let operation = self.guest(id).await.operation_id.unwrap();
        operations::get(self.app.store.reader(), Scope::System, operation.into()).await.unwrap()
    }

    async fn events(&self, kind: &str) -> usize {
        let filters = Filters::default().and("kind", kind);
        events::list(self.app.store.reader(), Scope::System, &filters).await.unwrap().len()
    }

    /// The host's agent is heard.
    async fn heard(&self) {
        self.report(Vec::new(), Vec::new(), Vec::new()).await;
    }
}

#[tokio::test]
async fn a_suspended_accounts_guests_stop_and_start_again_as_they_were() {
    let world = World::new().await;
    let (running, stopped, cancelled) =
        (world.order("web1").await.id, world.order("web2").await.id, world.order("web3").await.id);
    world.power(stopped, PowerAction::Stop { hard: false }).await.unwrap();
    world.ask(&GuestCancel { scope: OPERATOR, id: GuestId(cancelled) }).await.unwrap();
    for id in [running, stopped, cancelled] {
        world.settle(id).await;
    }
    let before = world.host_generation().await;
    let account = world.suspend(Some(" invoice 4711 is unpaid ")).await.unwrap();
    assert_eq!(account.status, AccountStatus::Suspended);
    assert_eq!(account.suspended_reason.as_deref(), Some("invoice 4711 is unpaid"));
    assert_eq!(world.host_generation().await, before + 1, "its agent is told");
    assert_eq!(world.told(running).await, Some(Power::Stopped));
    assert_eq!(
        (world.status(running).await, world.guest(running).await.power),
        (GuestStatus::Stopping, Power::Running)
    );
    // The agent stops it.
    world.stopped(running).await;
    assert_eq!(world.status(running).await, GuestStatus::Suspended);
    assert_eq!(world.operation_of(running).await.state, OperationState::Done);
    assert_eq!(
        world.guest(running).await.status_reason.as_deref(),
        Some("its account is suspended: invoice 4711 is unpaid")
    );
    assert_eq!(refused(world.suspend(None).await), "conflict: it is suspended already");

    // Nothing starts, whichever way it is asked for, and nothing is made.
    let text = "conflict: its account is suspended: it may not start until that ends";
    for action in [PowerAction::Start, PowerAction::Reboot { hard: true }] {
        assert_eq!(refused(world.power(running, action).await), text);
        assert_eq!(refused(world.power(stopped, action).await), text);
    }
    let body = honcho_api::GuestUpdate { power: Some(Power::Running), ..honcho_api::GuestUpdate::default() };
    let change = GuestUpdate {
        scope: OPERATOR,
        id: GuestId(stopped),
        body,
        restart: Restart::Allowed,
        rules: crate::USUAL_RULES,
    };
    assert_eq!(
        refused(world.ask(&change).await),
        "power its account is suspended: it may not start until that ends\n"
    );
    let order = world.order_as(OPERATOR, world.body("web4")).await;
    assert_eq!(refused(order), "account_id is suspended: no guest is made in it until that ends\n");
    // One that is taken back meanwhile is suspended like the others.
    world
        .ask(&GuestRestore { scope: OPERATOR, id: GuestId(cancelled), rules: crate::USUAL_RULES })
        .await
        .unwrap();
    assert_eq!(world.told(cancelled).await, Some(Power::Stopped));

    let account = world.unsuspend().await.unwrap();
    assert_eq!((account.status, account.suspended_reason), (AccountStatus::Active, None));
    assert_eq!(world.told(running).await, Some(Power::Running));
    assert_eq!(world.told(cancelled).await, Some(Power::Running));
    assert_eq!(world.told(stopped).await, Some(Power::Stopped), "its own wish was kept");
    assert_eq!(world.status(running).await, GuestStatus::Starting);
    for id in [running, stopped, cancelled] {
        world.settle(id).await;
    }
    assert_eq!(world.status(running).await, GuestStatus::Running);
    assert_eq!(world.status(stopped).await, GuestStatus::Stopped);
    let desired = world.ask(&Peek { id: GuestId(running) }).await.unwrap();
    assert_eq!(desired.boots_wanted, 2, "a boot of its own");
    assert_eq!(refused(world.unsuspend().await), "conflict: it is not suspended");
    assert_eq!((world.events("account.suspend").await, world.events("account.unsuspend").await), (1, 1));
}

#[tokio::test]
async fn only_operators_suspend_cancel_and_restore() {
    let world = World::new().await;
    let (scope, id) = (Scope::Account(world.id()), world.id());
    let forbidden = "forbidden: only operators may do this";
    assert_eq!(refused(world.ask(&AccountSuspend { scope, id, reason: None }).await), forbidden);
    assert_eq!(refused(world.ask(&AccountUnsuspend { scope, id }).await), forbidden);
    assert_eq!(refused(world.ask(&AccountCancel { scope, id, grace: Grace::None }).await), forbidden);
    assert_eq!(refused(world.ask(&AccountRestore { scope, id, rules: crate::USUAL_RULES }).await), forbidden);
}

#[tokio::test]
async fn a_cancelled_account_comes_back_with_exactly_the_guests_that_went_with_it() {
    let world = World::new().await;
    let (web, stopped, earlier) =
        (world.order("web1").await.id, world.order("web2").await.id, world.order("web3").await.id);
    world.power(stopped, PowerAction::Stop { hard: false }).await.unwrap();
    world.ask(&GuestCancel { scope: OPERATOR, id: GuestId(earlier) }).await.unwrap();
    world.pass(10);
    world.heard().await;
    let account = world.cancel_account().await.unwrap();
    assert_eq!(account.status, AccountStatus::Cancelled);
    assert_eq!(account.deletes_at.unwrap().duration_since(account.cancelled_at.unwrap()).as_secs(), 100);
    assert_eq!(world.guest(web).await.deletes_at, account.deletes_at);
    assert_ne!(world.guest(earlier).await.deletes_at, account.deletes_at);
    assert_eq!(world.told(web).await, Some(Power::Stopped));
    assert_eq!(refused(world.cancel_account().await), "conflict: it is cancelled already");
    let text = "account_id is cancelled: nothing is made in it until it is restored\n";
    assert_eq!(refused(world.order_as(OPERATOR, world.body("web4")).await), text);
    let own = Scope::Account(world.id());
    let restore = world.ask(&GuestRestore { scope: own, id: GuestId(web), rules: crate::USUAL_RULES }).await;
    assert_eq!(refused(restore), "conflict: its account is cancelled: restore that first");
    let delete = world.ask(&GuestDelete { scope: own, id: GuestId(web) }).await;
    assert_eq!(refused(delete), "forbidden: only operators may do this");
    let listed = async |filters: Filters| {
        accounts::list(world.app.store.reader(), Scope::System, &filters).await.unwrap().len()
    };
    assert_eq!(listed(Filters::default()).await, 0);
    let all = Filters { with_cancelled: true, ..Filters::default() };
    assert_eq!(listed(all.clone()).await, 1);
    assert_eq!(listed(all.and("status", "cancelled")).await, 1);

    // Its guests go with it, and not before: as long as it can be taken back, so can they.
    world.pass(100);
    world.heard().await;
    let account = world.restore_account().await.unwrap();
    assert_eq!((account.status, account.deletes_at), (AccountStatus::Active, None));
    assert_eq!(world.told(web).await, Some(Power::Running));
    assert_eq!(world.told(stopped).await, Some(Power::Stopped));
    assert_eq!(world.status(earlier).await, GuestStatus::Cancelled);
    assert_eq!(refused(world.restore_account().await), "conflict: it is not cancelled");
    world.settle(web).await;
    assert_eq!(world.status(web).await, GuestStatus::Running);
    assert_eq!(world.operation_of(web).await.outcome, None);
}

#[tokio::test]
async fn taken_back_where_there_is_no_room_it_is_stopped_and_says_so() {
    let world = World::new().await;
    let guest = world.order("web1").await.id;
    world.settle(guest).await;
    world.cancel_account().await.unwrap();
    // Another's guests fill the host meanwhile.
    let body =
        honcho_api::AccountCreate { name: Some("rival".into()), ..honcho_api::AccountCreate::default() };
    let uuid = world.app.outside.uuid();
    let rival = world.ask(&AccountCreate { scope: OPERATOR, uuid, body }).await.unwrap();
    let mut rivals = Vec::new();
    for number in 0..15 {
        let body =
            honcho_api::GuestCreate { account_id: Some(rival.id), ..world.body(&format!("g{number}")) };
        rivals.push(world.order_as(OPERATOR, body).await.unwrap().id);
    }
    world.restore_account().await.unwrap();
    assert_eq!(world.told(guest).await, Some(Power::Stopped));
    world.settle(guest).await;
    let said =
        "there was no room for it when it was taken back, so it is stopped: start it when there is room";
    let back = world.guest(guest).await;
    assert_eq!((back.status, back.status_reason.as_deref()), (GuestStatus::Stopped, Some(said)));
    let operation = world.operation_of(guest).await;
    assert_eq!((operation.state, operation.outcome.as_deref()), (OperationState::Done, Some(said)));
    let filters = Filters::default().and("kind", "account.restore");
    let event = events::list(world.app.store.reader(), Scope::System, &filters).await.unwrap().remove(0);
    assert_eq!(event.message, "was taken back; no room, and so stopped: web1");
    // It claims its memory when it starts, and not before.
    let text = "base its host has 512M of memory free, 1G more needed\n";
    assert_eq!(refused(world.power(guest, PowerAction::Start).await), text);
    world.ask(&GuestCancel { scope: OPERATOR, id: GuestId(rivals[0]) }).await.unwrap();
    world.power(guest, PowerAction::Start).await.unwrap();
    world.settle(guest).await;
    assert_eq!(
        (world.status(guest).await, world.guest(guest).await.status_reason),
        (GuestStatus::Running, None)
    );
    // Nothing is left of the room that it took.
    let body = honcho_api::GuestCreate { account_id: Some(rival.id), ..world.body("one-more") };
    assert!(refused(world.order_as(OPERATOR, body).await).contains("512M of memory free"));
}

#[tokio::test]
async fn what_is_over_goes_step_by_step_with_all_it_owned() {
    use AccountStatus as A;
    use GuestStatus as G;
    let world = World::new().await;
    let body = honcho_api::NetworkCreate {
        name: Some("own".into()),
        subnet: Some("10.78.0.0/29".into()),
        account_id: Some(world.account.id),
        ..honcho_api::NetworkCreate::default()
    };
    let uuid = world.app.outside.uuid();
    let network = world.ask(&NetworkCreate { scope: OPERATOR, uuid, body }).await.unwrap();
    let body = honcho_api::ImageCreate {
        name: Some("own".into()),
        account_id: Some(world.account.id),
        digest: Some("08".repeat(32)),
        unpacked_bytes: Some(300 << 20),
        ..honcho_api::ImageCreate::default()
    };
    let uuid = world.app.outside.uuid();
    world.ask(&ImageCreate { scope: OPERATOR, uuid, blob_size: Some(1), body }).await.unwrap();
    let body = honcho_api::GuestCreate { network_id: Some(network.id), ..world.body("web1") };
    let guest = world.order_as(OPERATOR, body).await.unwrap().id;
    let early = world.order("web2").await.id;
    world.settle(guest).await;
    world.ask(&GuestCancel { scope: OPERATOR, id: GuestId(early) }).await.unwrap();
    let body = honcho_api::AccountCreate { grace_seconds: Some(50), ..honcho_api::AccountCreate::default() };
    let (scope, id) = (OPERATOR, world.id());
    world.ask(&AccountUpdate { scope, id, body, lock_version: None }).await.unwrap();
    world.cancel_account().await.unwrap();
    let step = async || {
        world.heard().await;
        lapsing_step(world.app.clone()).await.unwrap();
        (world.now_account().await.status, world.status(guest).await, world.status(early).await)
    };
    world.pass(49);
    assert_eq!(step().await, (A::Cancelled, G::Stopping, G::Cancelled));
    world.pass(1);
    // Also the one that was cancelled before, whose own grace period goes on for longer.
    assert_eq!(step().await, (A::Deleting, G::Deleting, G::Deleting));
    assert_eq!(refused(world.restore_account().await), "conflict: it is deleted");
    assert_eq!(step().await, (A::Deleting, G::Deleting, G::Deleting));
    let networks = async || {
        let found =
            networks::get(world.app.store.reader(), Scope::System, honcho_model::NetworkId(network.id));
        found.await.ok().map(|network| network.addresses_count - network.addresses_free)
    };
    assert_eq!(networks().await, Some(1), "an address is free only when its agent has said so");
    world.bury(guest).await;
    world.bury(early).await;
    assert_eq!(networks().await, Some(0));
    // The network still stands on the host: its agent has to remove it first.
    assert_eq!(step().await, (A::Deleting, G::Deleted, G::Deleted));
    assert_eq!(networks().await, Some(0));
    let snapshot = world.app.store.snapshot().await.unwrap();
    let manifest = manifests::render(&snapshot, HostId(world.host.id)).await.unwrap().unwrap();
    drop(snapshot);
    let gone = manifest.absent.into_iter().filter_map(|absent| match absent {
        honcho_wire::Absent::Network { id, generation, .. } => Some(Gone::Network { id, generation }),
        honcho_wire::Absent::Guest { .. } => None,
    });
    world.report(Vec::new(), Vec::new(), gone.collect()).await;
    assert_eq!(step().await.0, A::Deleted);
    assert_eq!(networks().await, None);
    let own = Filters::default().and("account_id", world.account.id);
    assert!(images::list(world.app.store.reader(), Scope::System, &own).await.unwrap().is_empty());
    assert!(world.now_account().await.deleted_at.is_some());
    assert_eq!((world.events("account.deleted").await, world.events("guest.deleted").await), (1, 2));
    assert_eq!(step().await.0, A::Deleted);
    assert_eq!(world.events("account.deleted").await, 1);
    // Its name is free again.
    let body =
        honcho_api::AccountCreate { name: Some("acme".into()), ..honcho_api::AccountCreate::default() };
    let uuid = world.app.outside.uuid();
    world.ask(&AccountCreate { scope: OPERATOR, uuid, body }).await.unwrap();
}

#[tokio::test]
async fn deleted_at_once_it_waits_for_nothing_but_its_agents() {
    let world = World::new().await;
    let guest = world.order("web1").await.id;
    let change = AccountCancel { scope: OPERATOR, id: world.id(), grace: Grace::None };
    assert_eq!(world.ask(&change).await.unwrap().status, AccountStatus::Deleting);
    assert_eq!(refused(world.ask(&change).await), "conflict: it is deleted");
    lapsing_step(world.app.clone()).await.unwrap();
    assert_eq!(world.status(guest).await, GuestStatus::Deleting);
    world.bury(guest).await;
    lapsing_step(world.app.clone()).await.unwrap();
    assert_eq!(world.now_account().await.status, AccountStatus::Deleted);
}
