//! Deletes guests and accounts whose grace period has ended.
//!
//! An account goes in steps, each a transaction of its own: it is marked as to go, then each of its guests; when agents
//! have reported those gone its networks and images go, and at last the account itself. Every step asks the database
//! what is left, so a brain that was killed in the midst of it goes on where it was.

use crate::app::App;
use crate::operations::{
    AccountBury, AccountLapse, GuestDelete, GuestLapse, ImageDelete, ImageUploadRefuse, NetworkDelete,
};
use honcho_model::{AccountId, ImageId, ImageUploadId, NetworkId};
use honcho_store::{
    Actor, Filters, Scope, StoreError, StoreResult, accounts, guests_desired, image_uploads, images, networks,
};

pub(crate) async fn step(app: App) -> StoreResult<()> {
    // What was to be deleted meanwhile waits until an operator has seen what differs.
    if honcho_store::restoring::life(app.store.reader()).await?.is_unaccepted() {
        return Ok(());
    }
    for id in guests_desired::lapsed(app.store.reader(), app.now()).await? {
        app.write(Actor::honcho(), &GuestLapse { id }).await?;
    }
    for id in accounts::lapsed(app.store.reader(), app.now()).await? {
        app.write(Actor::honcho(), &AccountLapse { id }).await?;
    }
    for id in accounts::deleting(app.store.reader()).await? {
        delete_account(&app, id).await?;
    }
    Ok(())
}

/// Takes an account as far towards its end as it can be taken now.
async fn delete_account(app: &App, id: AccountId) -> StoreResult<()> {
    let (reader, scope) = (app.store.reader(), Scope::System);
    for guest in guests_desired::of_account(reader, id).await? {
        later(app.write(Actor::honcho(), &GuestDelete { scope, id: guest }).await)?;
    }
    if guests_desired::any_left(reader, id).await? {
        return Ok(());
    }
    let owned = Filters::default().and("account_id", id);
    for network in networks::list(reader, scope, &owned).await? {
        later(app.write(Actor::honcho(), &NetworkDelete { scope, id: NetworkId(network.id) }).await)?;
    }
    for upload in image_uploads::list(reader, scope, &image_uploads::open().and("account_id", id)).await? {
        let problem = "its account was deleted".to_owned();
        app.write(Actor::honcho(), &ImageUploadRefuse { scope, id: ImageUploadId(upload.id), problem })
            .await?;
    }
    for image in images::list(reader, scope, &owned).await? {
        later(app.write(Actor::honcho(), &ImageDelete { scope, id: ImageId(image.id) }).await)?;
    }
    app.write(Actor::honcho(), &AccountBury { id }).await?;
    Ok(())
}

/// What is refused now (a network that still stands on a host) is tried again at the next step.
fn later<T>(outcome: StoreResult<T>) -> StoreResult<()> {
    match outcome {
        Ok(_) => Ok(()),
        Err(StoreError::Refused(refusal)) => {
            tracing::debug!(?refusal, "not yet deleted with its account");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
