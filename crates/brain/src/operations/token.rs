//! Tokens: make, end.

use super::operators_only;
use super::problems::Problems;
use honcho_api::Token;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, TokenId};
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, accounts, tokens};
use std::time::Duration;

/// Makes a token.
pub(crate) struct TokenCreate {
    pub(crate) scope: Scope,
    /// Random; shown in the answer and never again.
    pub(crate) secret: String,
    pub(crate) body: honcho_api::TokenCreate,
}

impl Change for TokenCreate {
    type Out = Token;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Token> {
        operators_only(self.scope)?;
        let mut problems = Problems::default();
        let name = problems.needed("name", self.body.name.as_deref().filter(|name| !name.is_empty()));
        if name.is_some_and(|name| name.len() > 200 || name.chars().any(char::is_control)) {
            problems.add("name", "must be one line of 200 characters at most");
        }
        let scope = match (self.body.scope.as_deref().unwrap_or("operator"), self.body.account_id) {
            ("operator", None) => Some(Scope::Operator),
            ("account", Some(account)) => {
                let account = AccountId(account);
                problems
                    .found("account_id", accounts::get(tx, self.scope, account).await)?
                    .map(|_| Scope::Account(account))
            }
            ("operator", Some(_)) => {
                problems.add("account_id", "must be absent when the scope is operator");
                None
            }
            ("account", None) => problems.needed("account_id", None),
            _ => {
                problems.add("scope", "must be operator or account");
                None
            }
        };
        let lasts = self.body.expires_in_seconds;
        let lasts = lasts
            .and_then(|seconds| problems.within("expires_in_seconds", seconds, 1..=10 * 365 * 24 * 3600));
        let (Some(name), Some(scope)) = (name, scope) else { return Err(problems.into()) };
        problems.none()?;
        let expires_at = lasts.map(|seconds| tx.now.plus(Duration::from_secs(seconds)));
        let id = tokens::create(tx, name, scope, &crate::app::hash_secret(&self.secret), expires_at).await?;
        let token = tokens::get(tx, id).await?;
        let event =
            NewEvent::info("token.create", (ResourceKind::Token, id.0, name), "was made").of(scope.account());
        events::record(tx, event.change(None, serde_json::to_value(&token).ok())).await?;
        Ok(Token { secret: Some(self.secret.clone()), ..token })
    }
}

/// Ends a token.
pub(crate) struct TokenDelete {
    pub(crate) scope: Scope,
    pub(crate) id: TokenId,
}

impl Change for TokenDelete {
    type Out = Token;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Token> {
        operators_only(self.scope)?;
        let token = tokens::get(tx, self.id).await?;
        if token.scope == "operator" && !tokens::another_operator(tx, self.id).await? {
            let text = "is the last operator token that does not expire: make another one first";
            return Err(Refusal::invalid("base", text).into());
        }
        tokens::delete(tx, self.id).await?;
        let resource = (ResourceKind::Token, token.id, token.name.as_str());
        events::record(
            tx,
            NewEvent::info("token.delete", resource, "was ended").of(token.account_id.map(AccountId)),
        )
        .await?;
        Ok(token)
    }
}
