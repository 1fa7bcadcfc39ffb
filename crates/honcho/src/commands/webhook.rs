//! `honcho webhook`: receivers that are told events.

use crate::age::age;
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::output::Tone;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Webhook, WebhookCreate, WebhookDelivery};

const CREATE_EXAMPLES: &str = "\
The secret is printed once: deliveries are signed with it, as in Standard Webhooks. With --json it is \
the attribute `secret`. Nothing is sent to private addresses, whatever DNS says, unless the brain was \
started with --webhook-allow.

Examples:
  honcho webhook create https://hooks.example.com/honcho --account acme
  honcho webhook create https://ops.example.com/in --event 'guest.*' --event host.silent
  honcho webhook create http://10.1.0.9:8080/ --allow-http --description billing";

const ENABLE_EXAMPLES: &str = "\
It goes on with the event at which it stopped; with --skip, with what happens from now on.

Examples:
  honcho webhook enable 3
  honcho webhook enable 3 --skip";

/// What of a webhook can be given.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WebhookFields {
    /// A kind of event to tell it, as in guest.create or 'guest.*'; may be repeated. All, when absent
    #[arg(long = "event", value_name = "KIND")]
    events: Vec<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Let the URL be plain http; for operators
    #[arg(long)]
    allow_http: bool,
}

impl WebhookFields {
    fn body(self, url: Option<String>, account_id: Option<i64>) -> WebhookCreate {
        WebhookCreate {
            url,
            account_id,
            events: (!self.events.is_empty()).then_some(self.events),
            description: self.description,
            allow_http: self.allow_http.then_some(true),
        }
    }
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum WebhookCommand {
    /// Make a webhook and print its secret, once
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Where deliveries go
        #[arg(value_name = "WEBHOOK_URL")]
        target: String,
        /// Tell it this account's events, as the account sees them; every event, when absent
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        #[command(flatten)]
        fields: WebhookFields,
    },
    /// List webhooks
    #[command(after_help = "Example:\n  honcho webhooks list --status failing")]
    List {
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        /// Only these
        #[arg(long, value_parser = ["working", "failing", "off"])]
        status: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        /// Its id
        id: i64,
    },
    /// Change one
    #[command(after_help = "Example:\n  honcho webhook update 3 --new-url https://hooks.example.com/v2")]
    Update {
        /// Its id
        id: i64,
        /// Where deliveries go from now on
        #[arg(long, value_name = "URL")]
        new_url: Option<String>,
        #[command(flatten)]
        fields: WebhookFields,
    },
    /// Delete one
    Delete {
        /// Its id
        id: i64,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
    /// Send a ping and print what came of it
    #[command(after_help = "Example:\n  honcho webhook test 3")]
    Test {
        /// Its id
        id: i64,
    },
    /// Switch one on, or have what failed tried again at once
    #[command(after_help = ENABLE_EXAMPLES)]
    Enable {
        /// Its id
        id: i64,
        /// Pass over what happened until now
        #[arg(long)]
        skip: bool,
    },
    /// List the attempts to deliver, the newest first
    #[command(after_help = "Example:\n  honcho webhook deliveries 3 --limit 5")]
    Deliveries {
        /// Its id
        id: i64,
        /// Show so many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Give one another secret and print it, once; for a day deliveries are signed with both
    #[command(after_help = "Example:\n  honcho webhook rotate 3")]
    Rotate {
        /// Its id
        id: i64,
    },
}

pub(crate) async fn run(context: &Context, command: WebhookCommand) -> Result<(), CommandError> {
    match command {
        WebhookCommand::Create { target, account, fields } => {
            let account_id = resolve::optional_id::<Account>(context, account.as_deref()).await?;
            let body = fields.body(Some(target), account_id);
            show(context, &context.client()?.create::<Webhook>(&body).await?)
        }
        WebhookCommand::List { account, status, list } => {
            let mut filters = vec![];
            if let Some(id) = resolve::optional_id::<Account>(context, account.as_deref()).await? {
                filters.push(("account_id", id.to_string()));
            }
            filters.extend(status.map(|status| ("status", status)));
            let webhooks: Vec<Webhook> = list.fetch(context, filters).await?;
            let accounts = Names::of::<Account>(context).await?;
            let headings = ["ID", "URL", "ACCOUNT", "EVENTS", "STATUS", "DELIVERED", "DESCRIPTION"];
            listing::show(context, &webhooks, "There are no such webhooks.", &headings, |webhook| {
                vec![
                    Cell::number(webhook.id),
                    Cell::text(&webhook.url),
                    accounts.cell(webhook.account_id),
                    Cell::text(webhook.events.join(" ")),
                    Cell::text(&webhook.status).tone(tone(webhook)),
                    Cell::maybe(webhook.delivered_at.map(|at| age(at, context.output.now()))),
                    Cell::text(&webhook.description),
                ]
            })
        }
        WebhookCommand::Show { id } => show(context, &context.client()?.get::<Webhook>(id).await?),
        WebhookCommand::Update { id, new_url, fields } => {
            let body = serde_json::to_value(fields.body(new_url, None)).unwrap_or_default();
            // What was not given stays as it is: with PATCH that is what is absent, not what is null.
            let given = body.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
            let body: serde_json::Map<_, _> =
                given.map(|(name, value)| (name.clone(), value.clone())).collect();
            show(context, &context.client()?.update::<Webhook>(id, &body).await?)
        }
        WebhookCommand::Delete { id, confirm } => {
            let client = context.client()?;
            let webhook: Webhook = client.get(id).await?;
            let what = format!("delete webhook {id} ({}): it is told nothing more.", clean(&webhook.url));
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &client.delete::<Webhook, Webhook>(id, &[]).await?)
        }
        WebhookCommand::Test { id } => test(context, id).await,
        WebhookCommand::Enable { id, skip } => {
            let query = [("skip", skip.to_string())];
            show(context, &context.client()?.action::<Webhook, Webhook>(id, "enable", &query).await?)
        }
        WebhookCommand::Deliveries { id, limit } => deliveries(context, id, limit).await,
        WebhookCommand::Rotate { id } => {
            show(context, &context.client()?.action::<Webhook, Webhook>(id, "rotate", &[]).await?)
        }
    }
}

fn tone(webhook: &Webhook) -> Tone {
    if webhook.status == "working" { Tone::Plain } else { Tone::Bad }
}

async fn test(context: &Context, id: i64) -> Result<(), CommandError> {
    let delivery: WebhookDelivery = context.client()?.action::<Webhook, _>(id, "test", &[]).await?;
    if context.output.json {
        return context.output.json(&delivery);
    }
    if let Some(error) = &delivery.error {
        let error = CommandError::failed(format!("the ping did not arrive: {}", clean(error)));
        return Err(error.hint(format!("`honcho webhook deliveries {id}` lists every attempt")));
    }
    let status = delivery.status.unwrap_or_default();
    context.output.print(&format!("The ping arrived: {status} after {} ms.", delivery.latency_milliseconds))
}

async fn deliveries(context: &Context, id: i64, limit: usize) -> Result<(), CommandError> {
    let query = [("order", "descending".to_owned()), ("limit", limit.to_string())];
    let path = format!("/v1/webhooks/{id}/deliveries.json");
    let attempts: Vec<WebhookDelivery> = context.client()?.get_path(&path, &query).await?;
    let headings = ["WHEN", "EVENT", "KIND", "ATTEMPT", "ANSWER", "TOOK", "NEXT TRY", "PROBLEM"];
    let now = context.output.now();
    listing::show(context, &attempts, "Nothing was delivered in the last 30 days.", &headings, |attempt| {
        let failed = attempt.error.is_some();
        vec![
            Cell::text(age(attempt.created_at, now)),
            Cell::maybe(attempt.event_id.map(|id| id.to_string())),
            Cell::text(&attempt.event_kind),
            Cell::number(attempt.attempt),
            Cell::maybe(attempt.status.map(|status| status.to_string())).tone(if failed {
                Tone::Bad
            } else {
                Tone::Plain
            }),
            Cell::text(format!("{} ms", attempt.latency_milliseconds)),
            Cell::maybe(attempt.next_try_at.map(|at| at.strftime("%H:%M:%SZ").to_string())),
            Cell::maybe(attempt.error.as_ref()),
        ]
    })
}

fn show(context: &Context, webhook: &Webhook) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(webhook);
    }
    let since = |at: jiff::Timestamp| age(at, output.now());
    let mut rows = vec![
        ("id", Cell::text(webhook.id.to_string())),
        ("account", Cell::maybe(webhook.account_id.map(|id| format!("#{id}")))),
        ("events", Cell::text(webhook.events.join(" "))),
        ("description", Cell::text(&webhook.description)),
        ("status", Cell::text(&webhook.status).tone(tone(webhook))),
        ("delivered", Cell::maybe(webhook.delivered_at.map(since))),
    ];
    if let Some(problem) = &webhook.problem {
        rows.push(("problem", Cell::text(problem)));
        rows.push(("failing since", Cell::maybe(webhook.failing_since.map(since))));
        rows.push((
            "next try",
            Cell::maybe(webhook.next_try_at.map(|at| at.strftime("%H:%M:%SZ").to_string())),
        ));
    }
    if let Some(secret) = &webhook.secret {
        rows.push(("secret", Cell::text(secret)));
    }
    output.print(&details(output, &format!("webhook {}", clean(&webhook.url)), rows))?;
    if webhook.secret.is_some() {
        output.note("The secret is shown this once: keep it.");
    }
    Ok(())
}
