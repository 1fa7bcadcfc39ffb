//! Giving up on an operation.

use honcho_api::Operation;
use honcho_model::event::ResourceKind;
use honcho_model::operation::OperationState;
use honcho_model::{AccountId, OperationId};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, operations};

/// Stops watching an operation. What is desired stays as it is: to change that, ask for something else.
pub(crate) struct OperationAbandon {
    pub(crate) scope: Scope,
    pub(crate) id: OperationId,
}

impl Change for OperationAbandon {
    type Out = Operation;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Operation> {
        let operation = operations::get(tx, self.scope, self.id).await?;
        let text = "somebody gave up on it; what is desired is as it was";
        if !operations::end(tx, self.id, OperationState::Abandoned, Some(text)).await? {
            return Err(
                Refusal::Conflict(format!("it has ended already ({})", operation.state.as_str())).into()
            );
        }
        let resource = (ResourceKind::Guest, operation.guest_id, operation.guest_name.as_str());
        let text = format!("operation {} ({}) was abandoned", operation.id, operation.kind.as_str());
        let account = operation.account_id.map(AccountId);
        events::record(tx, NewEvent::info("operation.abandon", resource, text).of(account)).await?;
        operations::get(tx, self.scope, self.id).await
    }
}
