//! `honcho whoami`: who the brain takes one for, and by what.

use crate::age::age;
use crate::command_error::CommandError;
use crate::connection::Credential;
use crate::context::Context;
use crate::kept_session;
use crate::table::{Cell, details};
use honcho_api::{Grant, Whoami};

pub(crate) const EXAMPLES: &str = "\
Examples:
  honcho whoami
  honcho whoami --json | jq -r .scope";

pub(crate) async fn run(context: &Context) -> Result<(), CommandError> {
    let client = context.client()?;
    let me: Whoami = client.get_path("/v1/whoami.json", &[]).await?;
    let output = &context.output;
    if output.json {
        return output.json(&me);
    }
    let mut rows = vec![("scope", Cell::text(&me.scope))];
    rows.extend(me.person_name.as_ref().map(|name| ("person", Cell::text(name))));
    rows.extend(me.session_id.map(|id| ("session", Cell::text(id.to_string()))));
    rows.extend(me.token_id.map(|id| ("token", Cell::text(id.to_string()))));
    if me.grants.is_empty() {
        rows.extend(me.account_id.map(|id| ("account", Cell::text(format!("#{id}")))));
    }
    rows.extend(me.guest_id.map(|id| ("guest", Cell::text(format!("#{id}")))));
    rows.extend(me.grants.iter().map(|grant| ("may", Cell::text(grant_text(grant)))));
    rows.push(("expires", Cell::maybe(me.expires_at.map(|at| age(at, output.now())))));
    rows.push(("shown by", Cell::text(shown_by(context)?)));
    rows.push(("brain", Cell::text(client.url())));
    output.print(&details(output, &me.actor, rows))
}

/// What somebody may in an account, in words.
pub(crate) fn grant_text(grant: &Grant) -> String {
    format!("{} of {}", grant.scope, grant.account_name)
}

fn shown_by(context: &Context) -> Result<String, CommandError> {
    Ok(match context.credential()? {
        Credential::Token => "--token or HONCHO_TOKEN".to_owned(),
        Credential::TokenFile(file) => format!("the token in {}", file.display()),
        Credential::Session(_) => {
            let file =
                crate::connection::address(&context.global).ok().and_then(|url| kept_session::path(&url));
            format!("the session in {}", file.unwrap_or_default().display())
        }
    })
}
