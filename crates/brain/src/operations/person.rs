//! People: make, change, grant, unlock, delete; and logging in and out.

use super::account::refuse_stale;
use super::operators_only;
use super::problems::Problems;
use honcho_api::{Person, Session};
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, PersonId, Right, SessionId, Timestamp};
use honcho_store::events::{self, NewEvent};
use honcho_store::people::NewPerson;
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, accounts, people, sessions};
use std::time::Duration;
use uuid::Uuid;

/// So many wrong passwords one after the other lock a person.
pub(crate) const FAILURES_THAT_LOCK: i64 = 10;

/// For so long.
pub(crate) const LOCKED_FOR: Duration = Duration::from_mins(15);

async fn record(
    tx: &Tx,
    kind: &str,
    person: &Person,
    text: &str,
    before: Option<&Person>,
) -> StoreResult<()> {
    let resource = (ResourceKind::Person, person.id, person.name.as_str());
    let before = before.and_then(|before| serde_json::to_value(before).ok());
    let event = NewEvent::info(kind, resource, text);
    events::record(tx, event.change(before, serde_json::to_value(person).ok())).await?;
    Ok(())
}

fn login<'a>(problems: &mut Problems, name: Option<&'a str>) -> Option<&'a str> {
    let name = problems.needed("name", name.filter(|name| !name.is_empty()))?;
    problems.check("name", honcho_model::password::login(name))
}

fn full_name<'a>(problems: &mut Problems, name: Option<&'a str>) -> Option<&'a str> {
    let name = name.filter(|name| !name.is_empty())?;
    problems.check("full_name", honcho_model::text::one_line(name))
}

/// Makes somebody known.
pub(crate) struct PersonCreate {
    pub(crate) scope: Scope,
    pub(crate) uuid: Uuid,
    pub(crate) body: honcho_api::PersonCreate,
    /// Of the password in the body, if there is one.
    pub(crate) password_hash: Option<String>,
}

impl Change for PersonCreate {
    type Out = Person;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Person> {
        operators_only(self.scope)?;
        let mut problems = Problems::default();
        let name = login(&mut problems, self.body.name.as_deref());
        let full_name = full_name(&mut problems, self.body.full_name.as_deref());
        let Some(name) = name else { return Err(problems.into()) };
        problems.none()?;
        let new = NewPerson {
            uuid: self.uuid,
            login: name,
            full_name,
            operator: self.body.operator == Some(true),
            password_hash: self.password_hash.as_deref(),
        };
        let id = people::create(tx, &new).await?;
        let person = people::get(tx, id, tx.now).await?;
        record(tx, "person.create", &person, "was made known", None).await?;
        Ok(person)
    }
}

/// Changes a person's names, or whether they are an operator.
pub(crate) struct PersonUpdate {
    pub(crate) scope: Scope,
    pub(crate) id: PersonId,
    pub(crate) body: honcho_api::PersonUpdate,
    /// Whether the full name stands in the body: null takes it away, absent leaves it.
    pub(crate) full_name_given: bool,
}

impl Change for PersonUpdate {
    type Out = Person;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Person> {
        operators_only(self.scope)?;
        let before = people::get(tx, self.id, tx.now).await?;
        let mut problems = Problems::default();
        let name = login(&mut problems, Some(self.body.name.as_deref().unwrap_or(&before.name)));
        let full = if self.full_name_given { &self.body.full_name } else { &before.full_name };
        let full_name = full_name(&mut problems, full.as_deref());
        let Some(name) = name else { return Err(problems.into()) };
        problems.none()?;
        let operator = self.body.operator.unwrap_or(before.operator);
        if name == before.name && full_name == before.full_name.as_deref() && operator == before.operator {
            return Ok(before);
        }
        refuse_stale(self.body.lock_version, before.lock_version)?;
        people::update(tx, self.id, name, full_name, operator).await?;
        let after = people::get(tx, self.id, tx.now).await?;
        record(tx, "person.update", &after, "was changed", Some(&before)).await?;
        Ok(after)
    }
}

/// Lets a person do something in an account; with no right, takes back what they might.
pub(crate) struct PersonGrant {
    pub(crate) scope: Scope,
    pub(crate) id: PersonId,
    pub(crate) account: Option<i64>,
    pub(crate) right: Option<Right>,
}

impl Change for PersonGrant {
    type Out = Person;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Person> {
        operators_only(self.scope)?;
        let before = people::get(tx, self.id, tx.now).await?;
        let mut problems = Problems::default();
        let Some(account) = problems.needed("account_id", self.account) else { return Err(problems.into()) };
        let account = AccountId(account);
        let found = problems.found("account_id", accounts::get(tx, self.scope, account).await)?;
        problems.none()?;
        let named = found.map_or_else(String::new, |account| account.name);
        let (kind, text) = if let Some(right) = self.right {
            people::grant(tx, self.id, account, right).await?;
            ("person.grant", format!("is {} of {named}", right.as_str()))
        } else {
            if !people::revoke(tx, self.id, account).await? {
                return Err(Refusal::invalid("account_id", "is not granted").into());
            }
            ("person.revoke", format!("may nothing in {named} any more"))
        };
        let after = people::get(tx, self.id, tx.now).await?;
        if after != before {
            record(tx, kind, &after, &text, Some(&before)).await?;
        }
        Ok(after)
    }
}

/// Unlocks a person before their pause is over.
pub(crate) struct PersonUnlock {
    pub(crate) scope: Scope,
    pub(crate) id: PersonId,
}

impl Change for PersonUnlock {
    type Out = Person;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Person> {
        operators_only(self.scope)?;
        let before = people::get(tx, self.id, tx.now).await?;
        people::set_failures(tx, self.id, 0, None).await?;
        let after = people::get(tx, self.id, tx.now).await?;
        if after != before {
            record(tx, "person.unlock", &after, "was unlocked", Some(&before)).await?;
        }
        Ok(after)
    }
}

/// Deletes a person, with all that they might and every session.
pub(crate) struct PersonDelete {
    pub(crate) scope: Scope,
    pub(crate) id: PersonId,
}

impl Change for PersonDelete {
    type Out = Person;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Person> {
        operators_only(self.scope)?;
        let person = people::get(tx, self.id, tx.now).await?;
        people::delete(tx, self.id).await?;
        record(tx, "person.delete", &person, "was deleted", Some(&person)).await?;
        Ok(person)
    }
}

/// Gives a person another password and ends their sessions, but for the one in which they ask.
pub(crate) struct PersonPassword {
    pub(crate) id: PersonId,
    pub(crate) password_hash: String,
    pub(crate) keeping: Option<SessionId>,
}

impl Change for PersonPassword {
    type Out = Person;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Person> {
        people::get(tx, self.id, tx.now).await?;
        people::set_password(tx, self.id, &self.password_hash).await?;
        sessions::delete_of(tx, self.id, self.keeping).await?;
        let person = people::get(tx, self.id, tx.now).await?;
        record(tx, "person.password", &person, "has another password; other sessions ended", None).await?;
        Ok(person)
    }
}

/// What comes of a password that was tried.
pub(crate) enum Tried {
    /// It is wrong, or there is nobody, or they are locked: nobody is told which.
    Refused,
    /// It is right.
    Right,
    /// It is right, and a session has begun.
    Begun(Box<Session>),
}

/// Writes down that a password was tried, and begins the session if it was right. The verdict is made here, inside the
/// transaction: of many guesses made at once, those after the one that locks count for nothing.
pub(crate) struct PasswordTry {
    pub(crate) login: String,
    /// The hash that it was checked against.
    pub(crate) checked: Option<String>,
    pub(crate) right: bool,
    /// The secret of the session to begin.
    pub(crate) secret: Option<String>,
    pub(crate) source: Option<String>,
}

impl Change for PasswordTry {
    type Out = Tried;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Tried> {
        let Some(known) = people::by_login(tx, &self.login).await? else { return Ok(Tried::Refused) };
        let id = PersonId(known.id);
        if known.locked_until.is_some_and(|until| until > tx.now.0) || known.password_hash != self.checked {
            return Ok(Tried::Refused);
        }
        if !self.right {
            self.failed(tx, id, &known.login, known.failures + 1).await?;
            return Ok(Tried::Refused);
        }
        if known.failures > 0 || known.locked_until.is_some() {
            people::set_failures(tx, id, 0, None).await?;
        }
        let Some(secret) = &self.secret else { return Ok(Tried::Right) };
        let hash = crate::app::hash_secret(secret);
        let session = sessions::create(tx, id, &hash, self.source.as_deref()).await?;
        let session = sessions::get(tx, Some(id), session, tx.now).await?;
        let resource = (ResourceKind::Person, id.0, known.login.as_str());
        events::record(tx, NewEvent::info("person.login", resource, "logged in")).await?;
        Ok(Tried::Begun(Box::new(Session { secret: Some(secret.clone()), ..session })))
    }
}

impl PasswordTry {
    async fn failed(&self, tx: &Tx, id: PersonId, name: &str, failures: i64) -> StoreResult<()> {
        let locks = failures % FAILURES_THAT_LOCK == 0;
        let until: Option<Timestamp> = locks.then(|| tx.now.plus(LOCKED_FOR));
        people::set_failures(tx, id, failures, until).await?;
        if locks {
            let minutes = LOCKED_FOR.as_secs() / 60;
            let from = self.source.as_deref().unwrap_or("somewhere");
            let text =
                format!("is locked for {minutes} min: {failures} wrong passwords, the last from {from}");
            let event = NewEvent::info("person.locked", (ResourceKind::Person, id.0, name), text);
            events::record(tx, event.alarm()).await?;
        }
        Ok(())
    }
}

/// Ends a session: the caller's own, or for an operator anybody's.
pub(crate) struct SessionDelete {
    /// Whose it has to be.
    pub(crate) of: Option<PersonId>,
    pub(crate) id: SessionId,
}

impl Change for SessionDelete {
    type Out = Session;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Session> {
        let session = sessions::get(tx, self.of, self.id, tx.now).await?;
        sessions::delete(tx, self.id).await?;
        let resource = (ResourceKind::Person, session.person_id, session.person_name.as_str());
        events::record(tx, NewEvent::info("person.logout", resource, "logged out")).await?;
        Ok(session)
    }
}
