//! Who asks, and what they may see. Every query takes a [`Scope`].

use honcho_model::AccountId;

/// What a caller may see and do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The brain's own controllers. HTTP never makes one.
    System,
    /// Everything.
    Operator,
    /// What belongs to one account, and what is everybody's.
    Account(AccountId),
}

impl Scope {
    /// The account it is limited to, if it is.
    pub fn account(self) -> Option<AccountId> {
        match self {
            Scope::System | Scope::Operator => None,
            Scope::Account(account) => Some(account),
        }
    }
}

/// Who makes a change, for the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `token:1 (operator)`, `host:3 (h1)`, `honcho`.
    pub who: String,
    /// The address it came from, if it came from somewhere.
    pub source: Option<String>,
}

impl Actor {
    /// The brain itself: a controller.
    pub fn honcho() -> Self {
        Actor { who: "honcho".to_owned(), source: None }
    }
}
