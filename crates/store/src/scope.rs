//! Who asks, and what they may see. Every query takes a [`Scope`].

use honcho_model::{AccountId, GuestId, PersonId, Right};

/// What a caller may see and do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The brain's own controllers. HTTP never makes one.
    System,
    /// Everything.
    Operator,
    /// What belongs to one account, and what is everybody's.
    Account(AccountId),
    /// What belongs to the accounts in which a person has this right (an admin may all that a viewer may), and what is
    /// everybody's. The statement itself reads the person's grants.
    Person(PersonId, Right),
    /// One guest of an account, its operations and its events; nothing else, and nothing that is everybody's.
    Machine(AccountId, GuestId),
    /// Nothing: who uploads packages has no business with what is stored here.
    Nothing,
}

impl Scope {
    /// Whether it is limited to nothing.
    pub fn is_operator(self) -> bool {
        matches!(self, Scope::System | Scope::Operator)
    }

    /// The account that goes without saying: the only one that it can be about.
    pub fn sole_account(self) -> Option<AccountId> {
        match self {
            Scope::Account(account) | Scope::Machine(account, _) => Some(account),
            Scope::System | Scope::Operator | Scope::Person(..) | Scope::Nothing => None,
        }
    }
}

/// Who makes a change, for the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `token:1 (operator)`, `person:3 (ann)`, `person:4 (bob, operator)`, `host:3 (h1)`, `honcho`.
    pub who: String,
    /// The address it came from, if it came from somewhere.
    pub source: Option<String>,
}

impl Actor {
    /// The brain itself: a controller.
    pub fn honcho() -> Self {
        Actor { who: "honcho".to_owned(), source: None }
    }

    /// Whether what is written of an actor names a customer: a token of an account, or a person who is no operator.
    pub(crate) fn is_customer(who: &str) -> bool {
        (who.starts_with("token:") && !who.ends_with("(operator)"))
            || (who.starts_with("person:") && !who.ends_with(", operator)"))
    }
}
