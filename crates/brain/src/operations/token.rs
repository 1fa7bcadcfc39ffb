//! Tokens: make, rename, end. Nobody gives away more than they have, nor for longer.

use super::account::refuse_stale;
use super::problems::Problems;
use super::refuse_cancelled;
use honcho_api::Token;
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, GuestId, Right, Timestamp, TokenId};
use honcho_store::events::{self, NewEvent};
use honcho_store::tokens::TokenScope;
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, accounts, guests, tokens};
use std::time::Duration;

/// Makes a token.
pub(crate) struct TokenCreate {
    pub(crate) scope: Scope,
    /// Random; shown in the answer and never again.
    pub(crate) secret: String,
    /// When what the caller shows stops working: what it makes works no longer than that.
    pub(crate) ends_with: Option<Timestamp>,
    pub(crate) body: honcho_api::TokenCreate,
}

impl Change for TokenCreate {
    type Out = Token;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Token> {
        let mut problems = Problems::default();
        let name = token_name(&mut problems, self.body.name.as_deref());
        let scope = self.granted(tx, &mut problems).await?;
        let lasts = self.body.expires_in_seconds;
        let lasts = lasts
            .and_then(|seconds| problems.within("expires_in_seconds", seconds, 1..=10 * 365 * 24 * 3600));
        let expires_at = lasts.map(|seconds| tx.now.plus(Duration::from_secs(seconds)));
        if let Some(own) = self.ends_with
            && expires_at.is_none_or(|at| at > own)
        {
            let left = own.since(tx.now).as_secs();
            let text = format!("must be {left} at most: what makes a token must not end before it");
            problems.add("expires_in_seconds", text);
        }
        let (Some(name), Some(scope)) = (name, scope) else { return Err(problems.into()) };
        problems.none()?;
        let id = tokens::create(tx, name, scope, &crate::app::hash_secret(&self.secret), expires_at).await?;
        let token = tokens::get(tx, Scope::System, id).await?;
        record(tx, "token.create", &token, "was made", None).await?;
        Ok(Token { secret: Some(self.secret.clone()), ..token })
    }
}

impl TokenCreate {
    /// What it is to be allowed to do, if the caller may give that.
    async fn granted(&self, tx: &Tx, problems: &mut Problems) -> StoreResult<Option<TokenScope>> {
        let body = &self.body;
        let right = match body.scope.as_deref() {
            Some(word) => problems.needed_word(
                "scope",
                Right::parse(word).filter(|right| {
                    !matches!(right, Right::Operator | Right::Suite) || self.scope.is_operator()
                }),
                if self.scope.is_operator() {
                    "must be operator, admin, viewer, machine or suite"
                } else {
                    "must be admin, viewer or machine"
                },
            ),
            None if body.guest_id.is_some() => Some(Right::Machine),
            None if body.suite.is_some() && self.scope.is_operator() => Some(Right::Suite),
            None if body.account_id.is_some() || !self.scope.is_operator() => Some(Right::Admin),
            None => Some(Right::Operator),
        };
        let Some(right) = right else { return Ok(None) };
        if body.guest_id.is_some() && right != Right::Machine {
            problems.add("guest_id", "must be absent unless the scope is machine");
            return Ok(None);
        }
        if body.suite.is_some() && right != Right::Suite {
            problems.add("suite", "must be absent unless the scope is suite, which operators give");
            return Ok(None);
        }
        let receives = body.receives_post == Some(true);
        if receives && (right != Right::Machine || !self.scope.is_operator()) {
            problems.add("receives_post", "is given by operators alone, to a machine");
            return Ok(None);
        }
        Ok(match right {
            Right::Operator if body.account_id.is_some() => {
                problems.add("account_id", "must be absent when the scope is operator");
                None
            }
            Right::Operator => Some(TokenScope::Operator),
            Right::Admin => self.account(tx, problems).await?.map(TokenScope::Admin),
            Right::Viewer => self.account(tx, problems).await?.map(TokenScope::Viewer),
            Right::Machine => self.machine(tx, problems).await?,
            Right::Suite if body.account_id.is_some() => {
                problems.add("account_id", "must be absent when the scope is suite");
                None
            }
            Right::Suite => {
                let suite = problems.needed("suite", body.suite.as_deref());
                let parsed = suite.map(str::parse::<honcho_archive::SuiteName>);
                match parsed {
                    Some(Ok(suite)) => Some(TokenScope::Suite(suite.to_string())),
                    Some(Err(error)) => {
                        problems.add("suite", error.to_string());
                        None
                    }
                    None => None,
                }
            }
        })
    }

    async fn account(&self, tx: &Tx, problems: &mut Problems) -> StoreResult<Option<AccountId>> {
        let named = self.body.account_id.map(AccountId).or(self.scope.sole_account());
        let Some(account) = problems.needed("account_id", named) else { return Ok(None) };
        let found = problems.found("account_id", accounts::get(tx, self.scope, account).await)?;
        refuse_cancelled(problems, found.as_ref());
        Ok(found.map(|_| account))
    }

    async fn machine(&self, tx: &Tx, problems: &mut Problems) -> StoreResult<Option<TokenScope>> {
        let Some(id) = problems.needed("guest_id", self.body.guest_id) else { return Ok(None) };
        let found = problems.found("guest_id", guests::get(tx, self.scope, GuestId(id), tx.now).await)?;
        let Some(guest) = found else { return Ok(None) };
        if guest.deleted_at.is_some() {
            problems.add("guest_id", "is deleted");
        }
        if self.body.account_id.is_some_and(|account| account != guest.account_id) {
            problems.add("account_id", "does not own that guest");
        }
        let (account, guest) = (AccountId(guest.account_id), GuestId(guest.id));
        Ok(Some(if self.body.receives_post == Some(true) {
            TokenScope::Receiver(account, guest)
        } else {
            TokenScope::Machine(account, guest)
        }))
    }
}

/// One line for people.
fn token_name<'a>(problems: &mut Problems, name: Option<&'a str>) -> Option<&'a str> {
    let name = problems.needed("name", name.filter(|name| !name.is_empty()))?;
    problems.line("name", Some(name))
}

async fn record(tx: &Tx, kind: &str, token: &Token, text: &str, before: Option<&Token>) -> StoreResult<()> {
    let resource = (ResourceKind::Token, token.id, token.name.as_str());
    let before = before.and_then(|before| serde_json::to_value(before).ok());
    let event = NewEvent::info(kind, resource, text).of(token.account_id.map(AccountId));
    events::record(tx, event.change(before, serde_json::to_value(token).ok())).await?;
    Ok(())
}

/// Gives a token another name.
pub(crate) struct TokenUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: TokenId,
    pub(crate) body: honcho_api::TokenUpdate,
}

impl Change for TokenUpdate {
    type Out = Token;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Token> {
        let before = tokens::get(tx, self.scope, self.id).await?;
        let mut problems = Problems::default();
        let name = token_name(&mut problems, Some(self.body.name.as_deref().unwrap_or(&before.name)));
        let Some(name) = name else { return Err(problems.into()) };
        problems.none()?;
        if name == before.name {
            return Ok(before);
        }
        refuse_stale(self.body.lock_version, before.lock_version)?;
        tokens::rename(tx, self.id, name).await?;
        let after = tokens::get(tx, self.scope, self.id).await?;
        record(tx, "token.update", &after, "was renamed", Some(&before)).await?;
        Ok(after)
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
        let token = tokens::get(tx, self.scope, self.id).await?;
        if token.scope == Right::Operator.as_str() && !tokens::another_operator(tx, self.id).await? {
            let text = "is the last operator token that does not expire: make another one first";
            return Err(Refusal::invalid("base", text).into());
        }
        tokens::delete(tx, self.id).await?;
        record(tx, "token.delete", &token, "was ended", Some(&token)).await?;
        Ok(token)
    }
}
