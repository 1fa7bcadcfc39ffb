//! `honcho token`: what programs show to be let in.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::{accounts, tokens};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use crate::values;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Token, TokenCreate};
use std::time::Duration;

const CREATE_EXAMPLES: &str = "\
The secret is printed once and kept nowhere. With --json it is the attribute `secret`.

Examples:
  honcho token create shop --account acme
  honcho token create deploy --account acme --expires 90d
  honcho token create night-shift --operator";

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print its secret, once
    #[command(after_help = CREATE_EXAMPLES)]
    #[command(group = clap::ArgGroup::new("scope").required(true).args(["account", "operator"]))]
    Create {
        /// What it is for
        name: String,
        /// It may do everything with what this account owns, and nothing else
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        /// It may do everything
        #[arg(long)]
        operator: bool,
        /// It stops working after this time; never, when absent
        #[arg(long, value_name = "TIME", value_parser = values::duration)]
        expires: Option<Duration>,
    },
    /// List tokens, without their secrets
    List {
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        #[command(flatten)]
        list: ListArguments,
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
        TokenCommand::Create { name, account, operator: _, expires } => {
            let account_id = resolve::optional_id::<Account>(context, account.as_deref()).await?;
            let scope = if account_id.is_some() { "account" } else { "operator" };
            let body = TokenCreate {
                name: Some(name),
                scope: Some(scope.to_owned()),
                account_id,
                expires_in_seconds: expires.map(values::seconds),
            };
            created(context, &context.client()?.create::<Token>(&body).await?)
        }
        TokenCommand::List { account, list } => {
            let mut filters = vec![];
            if let Some(id) = resolve::optional_id::<Account>(context, account.as_deref()).await? {
                filters.push(("account_id", id.to_string()));
            }
            let tokens: Vec<Token> = list.fetch(context, filters).await?;
            let accounts = Names::of::<Account>(context).await?;
            let headings = ["ID", "NAME", "SCOPE", "ACCOUNT", "EXPIRES", "CREATED"];
            listing::show(context, &tokens, "There are no such tokens.", &headings, |token| {
                vec![
                    Cell::number(token.id),
                    Cell::text(&token.name),
                    Cell::text(&token.scope),
                    accounts.cell(token.account_id),
                    expires_cell(context, token),
                    Cell::text(age(token.created_at, context.output.now())),
                ]
            })
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

fn created(context: &Context, token: &Token) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(token);
    }
    let rows = vec![
        ("id", Cell::text(token.id.to_string())),
        ("scope", Cell::text(&token.scope)),
        ("expires", expires_cell(context, token)),
        ("secret", Cell::maybe(token.secret.as_ref())),
    ];
    output.print(&details(output, &format!("token {}", token.name), rows))?;
    output.note("The secret is shown this once: keep it.");
    Ok(())
}
