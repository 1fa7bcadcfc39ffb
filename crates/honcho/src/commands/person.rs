//! `honcho person`: who logs in, and what they may.

mod grant;
mod password;

use super::whoami::grant_text;
use crate::age::age;
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::people;
use crate::context::Context;
use crate::listing::{self, ListArguments};
use crate::output::Tone;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Person, PersonCreate};
use std::path::PathBuf;

const CREATE_EXAMPLES: &str = "\
The first password is asked for, twice. A person may nothing until `honcho person grant` says in which \
account, but for operators, who may everything.

Examples:
  honcho person create ann@example.com --full-name 'Ann Example'
  honcho person create bob --operator --password-file /root/bob.password
  honcho person create eve@example.com --no-password";

const UPDATE_EXAMPLES: &str = "\
Examples:
  honcho person update ann@example.com --name ann@example.org --full-name ''
  honcho person update bob --no-operator";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum PersonCommand {
    /// Make somebody known
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// What they log in with: a name or a mail address in lower-case letters
        name: String,
        /// What they are called
        #[arg(long, value_name = "TEXT")]
        full_name: Option<String>,
        /// They may do everything
        #[arg(long)]
        operator: bool,
        /// Read the first password from this file (-: from standard input) instead of asking for it
        #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
        password_file: Option<PathBuf>,
        /// Give them no password yet: until they have one they cannot log in
        #[arg(long)]
        no_password: bool,
    },
    /// List people
    #[command(
        after_help = "Examples:\n  honcho people list --sort name\n  honcho people list --limit 100 --after 4711"
    )]
    List {
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show(PersonArgument),
    /// Change the names of one, or whether they are an operator
    #[command(after_help = UPDATE_EXAMPLES)]
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["name", "full_name", "operator", "no_operator"]))]
    Update {
        #[command(flatten)]
        person: PersonArgument,
        /// What they log in with from now on
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// What they are called; '' forgets it
        #[arg(long, value_name = "TEXT")]
        full_name: Option<String>,
        /// They may do everything
        #[arg(long, conflicts_with = "no_operator")]
        operator: bool,
        /// They may only what is granted
        #[arg(long)]
        no_operator: bool,
    },
    /// Let one do something in an account, instead of what they might there before
    Grant(grant::GrantArguments),
    /// Take back what one may in an account
    Revoke(grant::RevokeArguments),
    /// Let one log in again who is locked after too many wrong passwords
    #[command(after_help = "Example:\n  honcho person unlock ann@example.com")]
    Unlock(PersonArgument),
    /// Give one another password, oneself when nobody is named
    Password(password::PasswordArguments),
    /// Delete one, with all that they might and every session
    #[command(after_help = "Example:\n  honcho person delete ann@example.com")]
    Delete {
        #[command(flatten)]
        person: PersonArgument,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

/// A person who is there.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PersonArgument {
    /// The person: what they log in with, or their id
    #[arg(value_name = "PERSON", add = ArgValueCandidates::new(people))]
    person: String,
}

impl PersonArgument {
    async fn find(&self, context: &Context) -> Result<Person, CommandError> {
        resolve::one(context, &self.person).await
    }
}

pub(crate) async fn run(context: &Context, command: PersonCommand) -> Result<(), CommandError> {
    match command {
        PersonCommand::Create { name, full_name, operator, password_file, no_password } => {
            let password = if no_password {
                None
            } else {
                Some(crate::password::new(password_file.as_deref(), "--password-file").await?)
            };
            let body =
                PersonCreate { name: Some(name), full_name, operator: operator.then_some(true), password };
            show(context, &context.client()?.create::<Person>(&body).await?)
        }
        PersonCommand::List { list } => list_people(context, &list).await,
        PersonCommand::Show(person) => show(context, &person.find(context).await?),
        PersonCommand::Update { person, name, full_name, operator, no_operator } => {
            let mut body = serde_json::Map::new();
            body.extend(name.map(|name| ("name".to_owned(), name.into())));
            body.extend(full_name.map(|name| ("full_name".to_owned(), super::emptied(name).into())));
            if operator || no_operator {
                body.insert("operator".to_owned(), operator.into());
            }
            let person = person.find(context).await?;
            show(context, &context.client()?.update::<Person>(person.id, &body).await?)
        }
        PersonCommand::Grant(arguments) => grant::grant(context, &arguments).await,
        PersonCommand::Revoke(arguments) => grant::revoke(context, &arguments).await,
        PersonCommand::Unlock(person) => {
            let person = person.find(context).await?;
            show(context, &context.client()?.action::<Person, Person>(person.id, "unlock", &[]).await?)
        }
        PersonCommand::Password(arguments) => password::run(context, &arguments).await,
        PersonCommand::Delete { person, confirm } => {
            let person = person.find(context).await?;
            let may = match may(&person) {
                Some(may) => format!(", {may}"),
                None => String::new(),
            };
            let what = format!(
                "delete person {} (id {}{}): every session of theirs ends, and they can log in no more.",
                clean(&person.name),
                person.id,
                clean(&may)
            );
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &context.client()?.delete::<Person, Person>(person.id, &[]).await?)
        }
    }
}

async fn list_people(context: &Context, list: &ListArguments) -> Result<(), CommandError> {
    let people: Vec<Person> = list.fetch(context, vec![]).await?;
    let headings = ["ID", "NAME", "FULL NAME", "MAY", "PASSWORD", "CREATED"];
    let nothing = "There are no such people: `honcho person create NAME` makes one known.";
    listing::show(context, &people, nothing, &headings, |person| {
        vec![
            Cell::number(person.id),
            Cell::text(&person.name),
            Cell::maybe(person.full_name.as_ref()),
            Cell::maybe(may(person)),
            password_cell(context, person),
            Cell::text(age(person.created_at, context.output.now())),
        ]
    })
}

/// What a person may, in words.
fn may(person: &Person) -> Option<String> {
    if person.operator {
        return Some("everything (operator)".to_owned());
    }
    let grants: Vec<String> = person.grants.iter().map(grant_text).collect();
    (!grants.is_empty()).then(|| grants.join(", "))
}

/// Whether they can log in, and until when not.
fn password_cell(context: &Context, person: &Person) -> Cell {
    let now = context.output.now();
    match person.locked_until {
        Some(until) if until > now => {
            let text = format!("locked until {} ({})", until.strftime("%H:%M:%SZ"), age(until, now));
            Cell::text(text).tone(Tone::Bad)
        }
        _ if person.password_set => Cell::text("set"),
        _ => Cell::text("none yet").tone(Tone::Faint),
    }
}

fn show(context: &Context, person: &Person) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(person);
    }
    let mut rows = vec![
        ("id", Cell::text(person.id.to_string())),
        ("uuid", Cell::text(person.uuid.to_string())),
        ("full name", Cell::maybe(person.full_name.as_ref())),
        ("operator", Cell::text(if person.operator { "yes" } else { "no" })),
        ("password", password_cell(context, person)),
    ];
    rows.extend(person.grants.iter().map(|grant| ("may", Cell::text(grant_text(grant)))));
    rows.push(("created", Cell::text(age(person.created_at, output.now()))));
    output.print(&details(output, &format!("person {}", person.name), rows))
}
