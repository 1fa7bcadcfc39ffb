//! `honcho token`: what programs show to be let in.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::{accounts, guests, tokens};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::question::{Answer, ConfirmArguments};
use crate::resolve::{self, Cancelled};
use crate::table::{Cell, details};
use crate::values;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Token, TokenCreate};
use std::time::Duration;

const CREATE_EXAMPLES: &str = "\
The secret is printed once and kept nowhere. With --json it is the attribute `secret`.

Examples:
  honcho token create shop --account acme
  honcho token create graphs --account acme --viewer --expires 90d
  honcho token create web1-watchdog --guest web1
  honcho token create mx1 --guest mx1 --receives-post
  honcho token create ci --suite bookworm
  honcho token create night-shift --operator";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print its secret, once
    #[command(after_help = CREATE_EXAMPLES)]
    #[command(group = clap::ArgGroup::new("scope").required(true).args(["account", "guest", "suite", "operator"]))]
    Create {
        /// What it is for
        name: String,
        /// It may do everything with what this account owns, and nothing else
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        /// With --account: it may look at what the account owns, and change nothing
        #[arg(long, requires = "account")]
        viewer: bool,
        /// It may see this guest, its operations, events, console and log, and start, stop and reboot it
        #[arg(long, value_name = "GUEST", add = ArgValueCandidates::new(guests))]
        guest: Option<String>,
        /// With --guest: that guest receives mail, and may hand in the slow logs of all servers
        #[arg(long, requires = "guest")]
        receives_post: bool,
        /// It may upload packages into this suite of the archive
        #[arg(long, value_name = "SUITE")]
        suite: Option<String>,
        /// It may do everything
        #[arg(long)]
        operator: bool,
        /// It stops working after this time; never, when absent
        #[arg(long, value_name = "TIME", value_parser = values::duration)]
        expires: Option<Duration>,
    },
    /// List tokens, without their secrets
    #[command(
        after_help = "Examples:\n  honcho tokens list --account acme\n  honcho tokens list --scope operator"
    )]
    List {
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        /// Only those that may so much
        #[arg(long, value_parser = ["operator", "admin", "viewer", "machine", "suite"])]
        scope: Option<String>,
        /// Only those of this guest
        #[arg(long, value_name = "GUEST", add = ArgValueCandidates::new(guests))]
        guest: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one, without its secret
    Show {
        /// Name or id
        #[arg(value_name = "TOKEN", add = ArgValueCandidates::new(tokens))]
        shown: String,
    },
    /// Give one another name
    #[command(after_help = "Example:\n  honcho token rename shop web-shop")]
    Rename {
        /// Name or id
        #[arg(value_name = "TOKEN", add = ArgValueCandidates::new(tokens))]
        renamed: String,
        /// The new name
        new_name: String,
    },
    /// Delete one: who shows it is refused from then on
    Delete {
        /// Name or id
        // Not named `token`: clap would take it for the global option of that name.
        #[arg(value_name = "TOKEN", add = ArgValueCandidates::new(tokens))]
        deleted: String,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: TokenCommand) -> Result<(), CommandError> {
    match command {
        TokenCommand::Create { name, account, viewer, guest, receives_post, suite, operator: _, expires } => {
            let account_id = resolve::optional_id::<Account>(context, account.as_deref()).await?;
            let guest_id = match guest {
                Some(guest) => Some(resolve::guest(context, &guest, None, Cancelled::Hidden).await?.id),
                None => None,
            };
            let scope = match (account_id, guest_id) {
                (_, Some(_)) => "machine",
                (Some(_), None) if viewer => "viewer",
                (Some(_), None) => "admin",
                (None, None) if suite.is_some() => "suite",
                (None, None) => "operator",
            };
            let body = TokenCreate {
                name: Some(name),
                scope: Some(scope.to_owned()),
                account_id,
                guest_id,
                receives_post: receives_post.then_some(true),
                suite,
                expires_in_seconds: expires.map(values::seconds),
            };
            created(context, &context.client()?.create::<Token>(&body).await?)
        }
        TokenCommand::List { account, scope, guest, list } => {
            let mut filters = vec![];
            if let Some(id) = resolve::optional_id::<Account>(context, account.as_deref()).await? {
                filters.push(("account_id", id.to_string()));
            }
            filters.extend(scope.map(|scope| ("scope", scope)));
            if let Some(guest) = guest {
                let guest = resolve::guest(context, &guest, account.as_deref(), Cancelled::Too).await?;
                filters.push(("guest_id", guest.id.to_string()));
            }
            let tokens: Vec<Token> = list.fetch(context, filters).await?;
            let accounts = Names::of::<Account>(context).await?;
            let headings = ["ID", "NAME", "SCOPE", "ACCOUNT", "GUEST", "EXPIRES", "LAST USED", "CREATED"];
            listing::show(context, &tokens, "There are no such tokens.", &headings, |token| {
                vec![
                    Cell::number(token.id),
                    Cell::text(&token.name),
                    Cell::text(&token.scope),
                    accounts.cell(token.account_id),
                    Cell::maybe(token.guest_id.map(|id| id.to_string())),
                    expires_cell(context, token),
                    Cell::maybe(token.last_used_at.map(|at| age(at, context.output.now()))),
                    Cell::text(age(token.created_at, context.output.now())),
                ]
            })
        }
        TokenCommand::Show { shown } => show(context, &resolve::one(context, &shown).await?),
        TokenCommand::Rename { renamed, new_name } => {
            let token: Token = resolve::one(context, &renamed).await?;
            let body = serde_json::json!({ "name": new_name });
            show(context, &context.client()?.update::<Token>(token.id, &body).await?)
        }
        TokenCommand::Delete { deleted, confirm } => {
            let token: Token = resolve::one(context, &deleted).await?;
            let what = format!(
                "delete token {} (id {}): who shows it is refused from then on.",
                token.name, token.id
            );
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &context.client()?.delete::<Token, Token>(token.id, &[]).await?)
        }
    }
}

fn expires_cell(context: &Context, token: &Token) -> Cell {
    Cell::maybe(token.expires_at.map(|at| age(at, context.output.now())))
}

fn show(context: &Context, token: &Token) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(token);
    }
    let mut rows = vec![
        ("id", Cell::text(token.id.to_string())),
        ("scope", Cell::text(&token.scope)),
        ("account", Cell::maybe(token.account_id.map(|id| format!("#{id}")))),
        ("guest", Cell::maybe(token.guest_id.map(|id| format!("#{id}")))),
        ("expires", expires_cell(context, token)),
        ("last used", Cell::maybe(token.last_used_at.map(|at| age(at, output.now())))),
    ];
    if let Some(suite) = &token.suite {
        rows.push(("uploads into", Cell::text(suite)));
    }
    if token.receives_post {
        rows.push(("hands in", Cell::text("the post of all servers")));
    }
    if let Some(secret) = &token.secret {
        rows.push(("secret", Cell::text(secret)));
    }
    output.print(&details(output, &format!("token {}", token.name), rows))
}

fn created(context: &Context, token: &Token) -> Result<(), CommandError> {
    show(context, token)?;
    if !context.output.json {
        context.output.note("The secret is shown this once: keep it.");
    }
    Ok(())
}
