//! `honcho guest capture`: an image of a stopped guest's disk.

use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::progress::Progress;
use crate::resolve::{Cancelled, GuestArgument};
use crate::values::size_text;
use crate::waiting::{Patience, WaitArguments};
use honcho_api::client::{Client, ClientError};
use honcho_api::{Guest, Image, ImageUpload};
use honcho_model::Name;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const AFTER_HELP: &str = "\
The guest must be stopped. Its host reads the disk, without what makes it that guest's (host name, machine-id, SSH host \
keys, root's authorized keys, seeds, leases, logs, /etc/honcho), and the brain checks it and packs it anew, as it does \
what is uploaded. The image is the account's. If the guest is started meanwhile, it starts when its disk was read. Other \
secrets that are on the disk (keys of users, of certificates, passwords in files) are in the image, too.

`honcho image uploads` shows what becomes of it, `honcho image cancel-upload` gives it up.

Examples:
  honcho guest stop web1 --wait && honcho guest capture web1 --image web-2026-11 --wait
  honcho guest capture web1 --image web-2026-11 --dry-run
  honcho guest capture web1 --image web-2026-11 --json";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CaptureArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// The image's name
    #[arg(long, value_name = "NAME")]
    image: String,
    /// Say whether it could be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArguments,
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn run(context: &Context, arguments: &CaptureArguments) -> Result<(), CommandError> {
    let name = Name::new(&arguments.image).map_err(|error| {
        let wrong = CommandError::usage(format!("the name \"{}\" {error}", arguments.image));
        if arguments.image.contains('@') {
            return wrong
                .hint("what stands behind an @ is an image's digest, which is known once it is made");
        }
        wrong
    })?;
    let guest = arguments.guest.find(context, Cancelled::Too).await?;
    let client = context.client()?;
    let mut query = vec![("name", name.to_string())];
    if arguments.dry_run {
        query.push(("dry_run", "true".to_owned()));
    }
    let upload: ImageUpload = client.action::<Guest, _>(guest.id, "capture", &query).await?;
    let output = &context.output;
    if arguments.dry_run || !arguments.wait.wait {
        if output.json {
            return output.json(&upload);
        }
        let (guest, disk) = (clean(&guest.name), size_text(guest.disk_bytes));
        if arguments.dry_run {
            return output.print(&format!(
                "the disk of guest {guest} ({disk}) can become image {name}. Nothing was done."
            ));
        }
        output.print(&format!("image {name} is made of the disk of guest {guest} (upload {})", upload.id))?;
        output.note("`honcho image uploads` shows what becomes of it; --wait does so at once");
        return Ok(());
    }
    let mut progress = Progress::new(output, &format!("capture {}", guest.name));
    let ended = until_ended(client, &mut progress, upload, arguments.wait.patience).await?;
    let Some(image) = ended.image_id else {
        let why = clean(ended.problem.as_deref().unwrap_or("the brain does not say why"));
        return Err(CommandError::new(Ending::Refused, format!("{name} became no image: {why}")));
    };
    for note in &ended.notes {
        progress.note(note);
    }
    progress.done();
    crate::commands::image::show(context, &client.get::<Image>(image).await?).await
}

/// Waits until it has become an image, or will not.
async fn until_ended(
    client: &Client,
    progress: &mut Progress,
    mut upload: ImageUpload,
    patience: Patience,
) -> Result<ImageUpload, CommandError> {
    let deadline = Instant::now() + patience.wait_timeout;
    let mut away = Instant::now() + patience.reconnect;
    while upload.ended_at.is_none() {
        let stage = match (&upload.stage, upload.status.as_str()) {
            (Some(stage), _) => stage.as_str(),
            (None, "receiving") => "wait for its host",
            (None, _) => "wait for its turn",
        };
        let percent = upload.progress_percent.and_then(|percent| u64::try_from(percent).ok());
        progress.step(stage, percent);
        if Instant::now() >= deadline {
            let text = format!("image {} is not made yet", upload.name);
            return Err(CommandError::new(Ending::TimedOut, text).hint(format!(
                "it goes on: `honcho image uploads` shows how (upload {}); --wait-timeout gives it longer",
                upload.id
            )));
        }
        sleep(PAUSE).await;
        match look(client, &upload).await {
            Ok((now, problem)) => {
                progress.problem(problem.as_deref());
                upload = now;
                away = Instant::now() + patience.reconnect;
            }
            Err(error) if is_away(&error) && Instant::now() < away => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(upload)
}

/// How far it is, and what keeps its host from it.
async fn look(client: &Client, upload: &ImageUpload) -> Result<(ImageUpload, Option<String>), ClientError> {
    let now = client.get::<ImageUpload>(upload.id).await?;
    let (true, Some(guest)) = (now.status == "receiving", now.guest_id) else { return Ok((now, None)) };
    // Also one that was cancelled meanwhile.
    let path = format!("/v1/guests/{guest}");
    let guest: Guest = client.get_path(&path, &[("cancelled", "true".to_owned())]).await?;
    Ok((now, guest.status_reason))
}

fn is_away(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused(body) => body.status >= 500,
        ClientError::Strange { .. } => false,
    }
}
