//! `honcho image uploads`, `honcho image cancel-upload`.

use crate::age::age;
use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::output::Tone;
use crate::resolve;
use crate::table::Cell;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, ImageUpload};

const AFTER_HELP: &str = "\
An upload of which nothing comes for a day is given up.

Examples:
  honcho image uploads
  honcho image uploads --json | jq '.[] | select(.status == \"refused\") | .problem'";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct UploadsArguments {
    /// Only those of this account
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CancelUploadArguments {
    /// Its id, as `honcho image uploads` shows it
    upload: i64,
}

pub(crate) async fn run(context: &Context, arguments: &UploadsArguments) -> Result<(), CommandError> {
    let account = resolve::optional_id::<Account>(context, arguments.account.as_deref()).await?;
    let filters = account.map(|id| ("account_id", id.to_string())).into_iter().collect();
    let uploads: Vec<ImageUpload> = arguments.list.fetch(context, filters).await?;
    let accounts = Names::of::<Account>(context).await?;
    let nothing = "Nothing is being uploaded: `honcho image upload FILE --name NAME` begins.";
    let headings = ["ID", "NAME", "STATUS", "RECEIVED", "SIZE", "ACCOUNT", "BEGUN", "PROBLEM"];
    listing::show(context, &uploads, nothing, &headings, |upload| {
        let tone = match upload.status.as_str() {
            "done" => Tone::Good,
            "refused" => Tone::Bad,
            _ => Tone::Busy,
        };
        vec![
            Cell::number(upload.id),
            Cell::text(&upload.name),
            Cell::text(&upload.status).tone(tone),
            Cell::size(upload.received_bytes),
            if upload.size_bytes > 0 { Cell::size(upload.size_bytes) } else { Cell::none() },
            accounts.cell(upload.account_id),
            Cell::text(age(upload.created_at, context.output.now())),
            Cell::maybe(upload.problem.as_ref()),
        ]
    })
}

pub(crate) async fn cancel(context: &Context, arguments: &CancelUploadArguments) -> Result<(), CommandError> {
    let client = context.client()?;
    let upload = client.delete::<ImageUpload, ImageUpload>(arguments.upload, &[]).await?;
    if context.output.json {
        return context.output.json(&upload);
    }
    let text = match upload.image_id {
        Some(image) => format!("upload {} had become image {image} already, which stays", upload.id),
        None => format!("upload {} of {} is given up", upload.id, upload.name),
    };
    context.output.print(&text)
}
