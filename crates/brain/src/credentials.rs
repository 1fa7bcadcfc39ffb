//! Who shows which secret: answered from memory, for at most a second.
//!
//! ```text
//!   secret -> hash -> remembered for less than FRESH?  -> yes: expiry and idleness are checked, as at each use
//!                                                      -> no: read from the store, remember if it is good
//! ```
//!
//! A token or session that was ended lives at most [`FRESH`] longer, on whichever brain: the time of an entry is that
//! before it was read. On the brain that ended it, it ends at once: [`Credentials::forget`] empties the memory after the
//! commit, and a read that began before is not remembered. Secrets that are good for nothing are not remembered at all.
//!
//! What is followed (events, an operation, a log, a console) was opened by a secret and ends with it: [`Standing`] is
//! asked again as long as somebody follows, and at once when something was forgotten.

use crate::app::{App, hash_secret};
use honcho_api::Grant;
use honcho_model::{AccountId, PersonId, Right, SessionId, Timestamp, TokenId};
use honcho_store::sessions::{self, KnownSession};
use honcho_store::tokens::{self, KnownToken};
use honcho_store::{Scope, StoreResult};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How old what is remembered may be.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

/// How often a secret is asked for again by which something is followed.
const ASKED_AGAIN: Duration = Duration::from_millis(500);

/// So many are remembered at most; some 300 bytes each.
const MOST: usize = 10_000;

/// With this the secrets of sessions begin, so that people and scanners tell them from tokens.
pub(crate) const SESSION_PREFIX: &str = "session-";

/// Who a secret belongs to.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// A program.
    Token(KnownToken),
    /// A person.
    Session(KnownSession),
}

impl Known {
    /// The accounts in which a person has at least this right.
    fn accounts(grants: &[Grant], least: Right) -> Vec<AccountId> {
        let enough = |grant: &&Grant| least == Right::Viewer || grant.scope == Right::Admin.as_str();
        grants.iter().filter(enough).map(|grant| AccountId(grant.account_id)).collect()
    }

    fn scope_of_person(session: &KnownSession, least: Right) -> Scope {
        if session.operator {
            return Scope::Operator;
        }
        match Known::accounts(&session.grants, least).as_slice() {
            [account] => Scope::Account(*account),
            _ => Scope::Person(session.person, least),
        }
    }

    /// What may be read.
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Known::Token(token) => token.scope,
            Known::Session(session) => Known::scope_of_person(session, Right::Viewer),
        }
    }

    /// What may be changed by somebody who may change anything.
    pub(crate) fn scope_of_writing(&self) -> Scope {
        match self {
            Known::Token(token) => token.scope,
            Known::Session(session) => Known::scope_of_person(session, Right::Admin),
        }
    }

    /// The most that it may anywhere.
    pub(crate) fn right(&self) -> Right {
        match self {
            Known::Token(token) => token.right,
            Known::Session(session) if session.operator => Right::Operator,
            Known::Session(session) if Known::accounts(&session.grants, Right::Admin).is_empty() => {
                Right::Viewer
            }
            Known::Session(_) => Right::Admin,
        }
    }

    /// As the event log names it.
    pub(crate) fn actor(&self) -> String {
        match self {
            Known::Token(token) => {
                let role = match token.scope {
                    Scope::Machine(_, guest) => format!("machine {guest}"),
                    Scope::Account(account) => format!("account {account}"),
                    Scope::Nothing => format!("suite {}", token.suite.as_deref().unwrap_or_default()),
                    Scope::System | Scope::Operator | Scope::Person(..) => "operator".to_owned(),
                };
                format!("token:{} ({role})", token.id)
            }
            Known::Session(session) => {
                let operator = if session.operator { ", operator" } else { "" };
                format!("person:{} ({}{operator})", session.person, session.person_name)
            }
        }
    }

    /// The suite of the archive that it may upload into, if it may nothing else.
    pub(crate) fn suite(&self) -> Option<&str> {
        match self {
            Known::Token(token) => token.suite.as_deref(),
            Known::Session(_) => None,
        }
    }

    /// The person, if it is one.
    pub(crate) fn person(&self) -> Option<PersonId> {
        match self {
            Known::Token(_) => None,
            Known::Session(session) => Some(session.person),
        }
    }

    /// Whether this gives all that `earlier` gave: more is no reason to end anything.
    fn gives_all_of(&self, earlier: &Known) -> bool {
        match (self, earlier) {
            (Known::Token(token), Known::Token(earlier)) => {
                token.scope == earlier.scope
                    && token.right == earlier.right
                    && token.receives_post >= earlier.receives_post
            }
            (Known::Session(session), Known::Session(earlier)) => {
                let has = |grant: &Grant| {
                    session.grants.iter().any(|own| {
                        own.account_id == grant.account_id
                            && (own.scope == grant.scope || own.scope == Right::Admin.as_str())
                    })
                };
                session.operator || (!earlier.operator && earlier.grants.iter().all(has))
            }
            (Known::Token(_), Known::Session(_)) | (Known::Session(_), Known::Token(_)) => false,
        }
    }

    fn is_good(&self, now: Timestamp, used: Option<Timestamp>) -> bool {
        match self {
            Known::Token(token) => token.expires_at.is_none_or(|at| at > now),
            Known::Session(session) => {
                let used = used.map_or(session.last_used_at, |at| at.max(session.last_used_at));
                session.expires_at > now && now.since(used) < sessions::IDLE
            }
        }
    }
}

/// What was used since the last batch.
#[derive(Default)]
pub(crate) struct Used {
    pub(crate) tokens: Vec<(TokenId, Timestamp)>,
    pub(crate) sessions: Vec<(SessionId, Timestamp)>,
}

#[derive(Default)]
struct Inner {
    /// Rises whenever everything is forgotten.
    era: u64,
    entries: HashMap<String, (Timestamp, Arc<Known>)>,
    tokens: HashMap<TokenId, Timestamp>,
    sessions: HashMap<SessionId, Timestamp>,
}

/// One brain's memory of secrets, by their hashes.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    inner: Arc<Mutex<Inner>>,
    /// Wakes whoever follows something when everything is forgotten.
    forgotten: Arc<Notify>,
}

impl Credentials {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of a secret, or else the era in which to read it.
    fn remembered(&self, hash: &str, now: Timestamp) -> Result<Arc<Known>, u64> {
        let inner = self.lock();
        match inner.entries.get(hash) {
            // A clock that was put back makes what was read "later" of unknown age.
            Some((read_at, known)) if *read_at <= now && now.since(*read_at) < FRESH => Ok(known.clone()),
            _ => Err(inner.era),
        }
    }

    fn remember(&self, hash: String, read_at: Timestamp, era: u64, known: Arc<Known>) {
        let mut inner = self.lock();
        if inner.era != era {
            return;
        }
        if inner.entries.len() >= MOST {
            inner.entries.retain(|_, (at, _)| *at <= read_at && read_at.since(*at) < FRESH);
        }
        if inner.entries.len() >= MOST {
            inner.entries.clear();
        }
        inner.entries.insert(hash, (read_at, known));
    }

    /// Whether it is still good, which is no use of it.
    fn is_good(&self, known: &Known, now: Timestamp) -> bool {
        let used = match known {
            Known::Token(_) => None,
            Known::Session(session) => self.lock().sessions.get(&session.id).copied(),
        };
        known.is_good(now, used)
    }

    /// Notes a use, if it is still good.
    fn used(&self, known: &Known, now: Timestamp) -> bool {
        let mut inner = self.lock();
        let before = match known {
            Known::Token(_) => None,
            Known::Session(session) => inner.sessions.get(&session.id).copied(),
        };
        if !known.is_good(now, before) {
            return false;
        }
        match known {
            Known::Token(token) => inner.tokens.insert(token.id, now),
            Known::Session(session) => inner.sessions.insert(session.id, now),
        };
        true
    }

    /// Forgets everything: after every commit that takes something away from somebody.
    pub(crate) fn forget(&self) {
        let mut inner = self.lock();
        inner.era += 1;
        inner.entries.clear();
        drop(inner);
        self.forgotten.notify_waiters();
    }

    /// Takes the batch of what was used.
    pub(crate) fn take_used(&self) -> Used {
        let mut inner = self.lock();
        let mut tokens: Vec<_> = inner.tokens.drain().collect();
        let mut sessions: Vec<_> = inner.sessions.drain().collect();
        drop(inner);
        // In one order everywhere, so that two brains do not wait for each other.
        tokens.sort_by_key(|(id, _)| *id);
        sessions.sort_by_key(|(id, _)| *id);
        Used { tokens, sessions }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.lock().entries.len()
    }
}

/// Who has the secret of this hash, good or not: from memory, or else from the store.
async fn read(app: &App, hash: &str, of: Kind) -> StoreResult<Option<Arc<Known>>> {
    let now = app.now();
    let era = match app.credentials.remembered(hash, now) {
        Ok(known) => return Ok(Some(known)),
        Err(era) => era,
    };
    let reader = app.store.reader();
    let read = match of {
        Kind::Session => sessions::find(reader, hash).await?.map(Known::Session),
        Kind::Token => tokens::find(reader, hash).await?.map(Known::Token),
    };
    let Some(known) = read.map(Arc::new) else { return Ok(None) };
    app.credentials.remember(hash.to_owned(), now, era, known.clone());
    Ok(Some(known))
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Token,
    Session,
}

/// Who shows this secret, if it is good now.
pub(crate) async fn find(app: &App, secret: &str) -> StoreResult<Option<Standing>> {
    let of = if secret.starts_with(SESSION_PREFIX) { Kind::Session } else { Kind::Token };
    let hash = hash_secret(secret);
    let known = read(app, &hash, of).await?.filter(|known| app.credentials.used(known, app.now()));
    Ok(known.map(|known| Standing { hash, of, known }))
}

/// What somebody showed, which may be asked for again.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    hash: String,
    of: Kind,
    pub(crate) known: Arc<Known>,
}

impl Standing {
    /// Whether the secret gives all that it gave, as far as this brain can know; see [`FRESH`].
    pub(crate) async fn holds(&self, app: &App) -> StoreResult<bool> {
        let known = read(app, &self.hash, self.of).await?;
        Ok(known.is_some_and(|known| {
            app.credentials.is_good(&known, app.now()) && known.gives_all_of(&self.known)
        }))
    }

    /// Notes that it is used, by somebody who follows something and does more than look.
    pub(crate) async fn used(&self, app: &App) {
        match read(app, &self.hash, self.of).await {
            Ok(Some(known)) => {
                // One that is good no more ends what it has opened.
                let _is_good = app.credentials.used(&known, app.now());
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a use of a secret could not be noted"),
        }
    }

    /// Resolves when the secret is good no more, or gives less than it did: within [`FRESH`] and half a second of that,
    /// on whichever brain it was taken away, and at once on this one.
    pub(crate) async fn ends(self, app: App) {
        loop {
            let forgotten = app.credentials.forgotten.notified();
            match self.holds(&app).await {
                Ok(true) => {}
                Ok(false) => return,
                // While the store is away nobody is told anything new either.
                Err(error) => tracing::debug!(%error, "a follower's secret could not be asked for again"),
            }
            let _ = tokio::time::timeout(ASKED_AGAIN, forgotten).await;
        }
    }
}
