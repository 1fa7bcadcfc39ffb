//! Operations end once.

use crate::world::{World, act, saw, seen};
use honcho_model::operation::{OperationKind, OperationState};
use honcho_model::{Generation, OperationId};
use honcho_store::{Filters, Scope, operations};

#[tokio::test]
async fn what_supersedes_what_is_one_table() {
    let world = World::new().await;
    let (id, account) = (world.guest("web1").await, world.account);
    let change = act(|tx, _| {
        Box::pin(async move {
            let mut wrong = Vec::new();
            for earlier in OperationKind::ALL {
                for later in OperationKind::ALL {
                    let first = operations::begin(tx, earlier, id, account, Generation(1)).await?;
                    let second = operations::begin(tx, later, id, account, Generation(2)).await?;
                    let ended = operations::get(tx, Scope::System, first).await?;
                    let expected = if later.supersedes(earlier) {
                        (OperationState::Superseded, Some(second.0), true)
                    } else {
                        (OperationState::Open, None, false)
                    };
                    if (ended.state, ended.superseded_by, ended.ended_at.is_some()) != expected {
                        wrong.push((earlier, later, ended));
                    }
                    for operation in [first, second] {
                        operations::end(tx, operation, OperationState::Abandoned, None).await?;
                    }
                }
            }
            Ok(wrong)
        })
    });
    assert_eq!(world.write(&change).await.unwrap(), []);
}

#[tokio::test]
async fn an_ended_operation_stays_as_it_ended() {
    let world = World::new().await;
    for (number, first) in OperationState::ALL.into_iter().enumerate() {
        let id = world.guest(&format!("web{number}")).await;
        let reboot = world.change(id, OperationKind::Reboot, |guest| guest.boots_wanted += 1).await;
        if first == OperationState::Open {
            continue;
        }
        for state in [first, OperationState::Done, OperationState::Abandoned] {
            let ended = world
                .write(&act(|tx, _| Box::pin(operations::end(tx, reboot, state, Some("so it was")))))
                .await
                .unwrap();
            assert_eq!(ended, state == first && state_of(&world, reboot).await == first);
            world.pass(10);
            if !ended {
                continue;
            }
            // Neither a report nor anything newer touches it.
            world.report(saw(vec![seen(id, 2)])).await;
            world.delete(id).await;
            break;
        }
        let seen = operations::get(world.store.reader(), Scope::System, reboot).await.unwrap();
        assert_eq!(
            (seen.state, seen.superseded_by, seen.outcome.as_deref()),
            (first, None, Some("so it was"))
        );
    }
}

async fn state_of(world: &World, id: OperationId) -> OperationState {
    operations::get(world.store.reader(), Scope::System, id).await.unwrap().state
}

#[tokio::test]
async fn two_reboots_are_fulfilled_by_one() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    let first = world.change(id, OperationKind::Reboot, |guest| guest.boots_wanted += 1).await;
    let second = world.change(id, OperationKind::Reboot, |guest| guest.boots_wanted += 1).await;
    world.report(saw(vec![seen(id, 3)])).await;
    for operation in [first, second] {
        assert_eq!(state_of(&world, operation).await, OperationState::Done);
    }
}

#[tokio::test]
async fn deleting_is_done_only_once_it_is_gone() {
    let world = World::new().await;
    let id = world.guest("web1").await;
    let delete = world.delete(id).await;
    world.report(saw(vec![seen(id, 2)])).await;
    assert_eq!(state_of(&world, delete).await, OperationState::Open, "settled is not gone");
    let open = Filters::default().and("state", "open").and("guest_id", id);
    let open = operations::list(world.store.reader(), Scope::System, &open).await.unwrap();
    assert_eq!(open.len(), 1, "the order was superseded");
    world.report_gone(id).await;
    assert_eq!(state_of(&world, delete).await, OperationState::Done);
}
