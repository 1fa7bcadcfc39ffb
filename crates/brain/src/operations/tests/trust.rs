//! What must not be undone, believed, lost or told.

use super::power::Peek;
use super::*;
use honcho_api::GuestUpdate as Body;
use honcho_store::Filters;

#[tokio::test]
async fn an_old_copy_does_not_undo_an_operators_stop_or_resize() {
    let world = World::new().await;
    let old = world.order("web1").await;
    world.power(old.id, PowerAction::Stop { hard: false }).await.unwrap();
    let send = async |body: Body| {
        let restart = Restart::Refused;
        world
            .ask(&GuestUpdate {
                scope: Scope::Operator,
                id: GuestId(old.id),
                body,
                restart,
                rules: crate::USUAL_RULES,
            })
            .await
    };
    let copy = || Body {
        power: Some(old.power),
        disk_bytes: Some(old.disk_bytes),
        lock_version: Some(old.lock_version),
        ..Body::default()
    };
    let stale = refused(send(Body { name: Some("web2".into()), ..copy() }).await);
    assert!(stale.starts_with("conflict: it was changed meanwhile"), "{stale}");
    send(Body { disk_bytes: Some(old.disk_bytes * 2), ..Body::default() }).await.unwrap();
    // What is wrong with an old copy is that it is old, not that disks never shrink.
    let stale = refused(send(copy()).await);
    assert!(stale.starts_with("conflict: it was changed meanwhile"), "{stale}");
}

#[tokio::test]
async fn a_cancelled_guest_is_asked_to_stop_however_it_was_stopped_before() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.power(guest.id, PowerAction::Stop { hard: true }).await.unwrap();
    world.power(guest.id, PowerAction::Start).await.unwrap();
    world.ask(&GuestCancel { scope: Scope::Operator, id: GuestId(guest.id) }).await.unwrap();
    assert!(!world.ask(&Peek { id: GuestId(guest.id) }).await.unwrap().stop_hard);
}

#[tokio::test]
async fn a_frozen_host_frees_nothing() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.settle(guest.id).await;
    world.ask(&GuestDelete { scope: Scope::Operator, id: GuestId(guest.id) }).await.unwrap();
    let id = HostId(world.host.id);
    let freeze = HostFreeze { id, name: "h1".into(), certificate: "f1".into(), reason: "cloned".into() };
    world.ask(&freeze).await.unwrap();
    world.bury(guest.id).await;
    assert!(world.guest(guest.id).await.deleted_at.is_none(), "one of two machines says so");
}

#[tokio::test]
async fn the_last_operator_token_stays() {
    let world = World::new().await;
    let make = |name: &str| TokenCreate {
        scope: Scope::Operator,
        secret: world.app.outside.secret(),
        ends_with: None,
        body: honcho_api::TokenCreate { name: Some(name.into()), ..honcho_api::TokenCreate::default() },
    };
    let end = |id: i64| TokenDelete { scope: Scope::Operator, id: honcho_model::TokenId(id) };
    let first = world.ask(&make("first")).await.unwrap();
    let known = honcho_store::tokens::list(world.app.store.reader(), Scope::System, &Filters::default())
        .await
        .unwrap();
    for token in known.iter().filter(|token| token.id != first.id) {
        world.ask(&end(token.id)).await.unwrap();
    }
    let last = refused(world.ask(&end(first.id)).await);
    assert!(last.contains("last operator token"), "{last}");
    world.ask(&make("second")).await.unwrap();
    world.ask(&end(first.id)).await.unwrap();
}

#[tokio::test]
async fn references_and_names_of_networks_are_an_accounts_own() {
    let world = World::new().await;
    let network = |account: Option<i64>, subnet: &str| NetworkCreate {
        scope: Scope::Operator,
        uuid: world.app.outside.uuid(),
        body: honcho_api::NetworkCreate {
            name: Some("lan".into()),
            reference: Some("lan-1".into()),
            subnet: Some(subnet.into()),
            account_id: account,
            ..honcho_api::NetworkCreate::default()
        },
    };
    let own = world.ask(&network(Some(world.account.id), "10.90.0.0/24")).await.unwrap();
    let shared = world.ask(&network(None, "10.91.0.0/24")).await.unwrap();
    assert_ne!(own.id, shared.id, "another owner's reference is another network");
    assert_eq!(world.ask(&network(None, "10.92.0.0/24")).await.unwrap().id, shared.id);
    let mut again = network(None, "10.93.0.0/24");
    again.body.reference = None;
    assert_eq!(refused(world.ask(&again).await), "name is taken\n");
}

#[tokio::test]
async fn customers_are_not_told_the_machine_room() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    world.settle(guest.id).await;
    let id = HostId(world.host.id);
    let reason = "two agents, runs x and y".to_owned();
    world.ask(&HostFreeze { id, name: "h1".into(), certificate: "f1".into(), reason }).await.unwrap();
    let customer = Scope::Account(honcho_model::AccountId(world.account.id));
    let reader = world.app.store.reader();
    let theirs = guests::get(reader, customer, GuestId(guest.id), world.app.now()).await.unwrap();
    assert_eq!(theirs.status_reason.as_deref(), Some("an operator has to look at its host first"));
    assert!(
        world.guest(guest.id).await.status_reason.unwrap().contains("runs x and y"),
        "operators are told"
    );
    let events = honcho_store::events::list(reader, customer, &Filters::default()).await.unwrap();
    assert!(!events.is_empty());
    for event in events {
        assert_eq!((event.actor.as_str(), event.source), ("honcho", None), "{}", event.kind);
        assert!(!event.message.contains("host"), "{}", event.message);
    }
}
