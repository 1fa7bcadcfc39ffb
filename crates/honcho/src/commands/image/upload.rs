//! `honcho image upload`: a root filesystem in pieces, from where the brain has it.
//!
//! ```text
//!   read the file (its digest) --> begin, or go on with the same upload --> pieces --> finish --> image
//!                                       ^                                     | cut, or the brain is away
//!                                       '---------- how much has come? -------'
//! ```
//!
//! Nothing is kept on this machine: account, name, size and digest say which upload it is, and the brain how much of it
//! has come.

use super::send::bytes;
use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::completion::accounts;
use crate::context::Context;
use crate::progress::Progress;
use crate::resolve;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::client::{Client, ClientError};
use honcho_api::{Account, Image, ImageUpload, ImageUploadCreate};
use honcho_model::{Bytes, Digest, Name};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const AFTER_HELP: &str = "\
Takes what `honcho image import` takes: a tar of a root filesystem with an init and a kernel, plain or compressed (.gz, \
.xz, .zst). It is sent in pieces: after a cut, or when this command was ended, the same command goes on where the brain has \
it. There it is checked and packed anew; only that is kept. One of which nothing comes for a day is given up.

Examples:
  honcho image upload rootfs.tar.xz --name web
  docker export web > web.tar && honcho image upload web.tar --name web --host-kernel
  honcho image upload rocky-9.tar.xz --name rocky-9 --account acme --no-wait";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct UploadArguments {
    /// The root filesystem (.tar, .tar.gz, .tar.xz, .tar.zst)
    file: PathBuf,
    /// The image's name
    #[arg(long)]
    name: String,
    /// Whose image it becomes; your own account, when absent, and of an operator everybody's
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// Put the kernel, initrd and modules of the brain's machine into the image
    #[arg(long)]
    host_kernel: bool,
    /// Do not wait until the image is made
    #[arg(long)]
    no_wait: bool,
    /// How long to try to reach a brain that went away meanwhile
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = crate::values::duration)]
    reconnect: Duration,
}

/// So much is sent at a time.
const PIECE: u64 = 8 << 20;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn run(context: &Context, arguments: UploadArguments) -> Result<(), CommandError> {
    let name = Name::new(&arguments.name)
        .map_err(|error| CommandError::usage(format!("the name \"{}\" {error}", arguments.name)))?;
    let client = context.client()?;
    // Before the long work: is the brain there, does it know the token?
    let account_id = resolve::optional_id::<Account>(context, arguments.account.as_deref()).await?;
    let mut progress = Progress::new(&context.output, &format!("upload {name}"));
    let shown = arguments.file.display();
    let cannot_read =
        |error: std::io::Error| CommandError::failed(format!("cannot read {shown}")).cause(&error);
    let (digest, size) = read(&mut progress, &arguments.file).await.map_err(cannot_read)?;
    let body = ImageUploadCreate {
        account_id,
        name: Some(name.to_string()),
        size_bytes: i64::try_from(size.0).ok(),
        digest: Some(digest.to_string()),
        host_kernel: Some(arguments.host_kernel),
    };
    let begun: ImageUpload = client.create::<ImageUpload>(&body).await?;
    if begun.received_bytes > 0 && begun.status == "receiving" {
        let there = Bytes(u64::try_from(begun.received_bytes).unwrap_or_default());
        progress.note(&format!("the brain has {} of it already", bytes(there)));
    }
    let file = File::open(&arguments.file).map_err(cannot_read)?;
    let mut sender = Sender { client, file, progress, reconnect: arguments.reconnect };
    let sent = sender.send(begun).await?;
    if arguments.no_wait {
        sender.progress.done();
        if context.output.json {
            return context.output.json(&sent);
        }
        return context.output.print(&format!(
            "all of it was sent (upload {}): `honcho image uploads` shows what becomes of it",
            sent.id
        ));
    }
    let ended = sender.until_ended(sent).await?;
    let Some(image) = ended.image_id else { return Err(became_none(&ended)) };
    for note in &ended.notes {
        sender.progress.note(note);
    }
    sender.progress.done();
    super::show(context, &client.get::<Image>(image).await?).await
}

fn became_none(upload: &ImageUpload) -> CommandError {
    let why = clean(upload.problem.as_deref().unwrap_or("the brain does not say why"));
    if upload.status == "receiving" {
        return CommandError::failed(format!("{} could not be made an image yet: {why}", upload.name))
            .hint("the file is not at fault: run the command again later");
    }
    CommandError::new(Ending::Refused, format!("{} became no image: {why}", upload.name))
}

/// The digest and the length of a file, read in a thread of its own.
async fn read(progress: &mut Progress, file: &Path) -> std::io::Result<(Digest, Bytes)> {
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel::<u64>();
    let path = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let (mut hash, mut buffer, mut read) = (Sha256::new(), vec![0; 1 << 20], 0_u64);
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                return Ok((Digest(hash.finalize().into()), Bytes(read)));
            }
            hash.update(&buffer[..n]);
            read += n as u64;
            // Nobody listening any more is no reason to stop.
            let _ = sender.send(percent(read, length));
        }
    });
    while let Some(percent) = told.recv().await {
        progress.step("read the file", Some(percent));
    }
    reading.await.map_err(std::io::Error::other)?
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100) / whole.max(1)
}

struct Sender<'c> {
    client: &'c Client,
    file: File,
    progress: Progress,
    reconnect: Duration,
}

impl Sender<'_> {
    /// Sends what the brain has not, and says that it was all.
    async fn send(&mut self, mut upload: ImageUpload) -> Result<ImageUpload, CommandError> {
        let size = u64::try_from(upload.size_bytes).unwrap_or_default();
        let mut deadline = Instant::now() + self.reconnect;
        while upload.status == "receiving" {
            let offset = u64::try_from(upload.received_bytes).unwrap_or_default();
            self.progress.step("send", Some(percent(offset, size)));
            let answer = if offset < size {
                let piece = self.piece(offset, size)?;
                self.client.send_piece(upload.id, offset, piece).await
            } else {
                self.client.action::<ImageUpload, ImageUpload>(upload.id, "finish", &[]).await
            };
            match answer {
                Ok(next) => {
                    if next.received_bytes > upload.received_bytes {
                        deadline = Instant::now() + self.reconnect;
                    }
                    upload = next;
                    self.progress.problem(None);
                    continue;
                }
                Err(error) if may_pass(&error) && Instant::now() < deadline => {
                    self.progress.problem(Some(&format!("{error}; it is tried again")));
                }
                Err(error) => return Err(error.into()),
            }
            sleep(PAUSE).await;
            // Where does it go on? If that cannot be asked either, it is asked at the next round.
            match self.client.get::<ImageUpload>(upload.id).await {
                Ok(now) => upload = now,
                Err(error) if may_pass(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(upload)
    }

    fn piece(&self, offset: u64, size: u64) -> Result<bytes::Bytes, CommandError> {
        let length = usize::try_from(PIECE.min(size - offset)).unwrap_or_default();
        let mut piece = vec![0; length];
        self.file.read_exact_at(&mut piece, offset).map_err(|error| {
            CommandError::failed("the file cannot be read any more, or is shorter than before").cause(&error)
        })?;
        Ok(piece.into())
    }

    /// Waits until it has become an image, or will not.
    async fn until_ended(&mut self, mut upload: ImageUpload) -> Result<ImageUpload, CommandError> {
        let mut deadline = Instant::now() + self.reconnect;
        while upload.status == "sealing" {
            let stage = upload.stage.as_deref().unwrap_or("wait for its turn");
            let percent = upload.progress_percent.and_then(|percent| u64::try_from(percent).ok());
            self.progress.step(stage, percent);
            sleep(PAUSE).await;
            match self.client.get::<ImageUpload>(upload.id).await {
                Ok(now) => {
                    upload = now;
                    deadline = Instant::now() + self.reconnect;
                }
                Err(error) if may_pass(&error) && Instant::now() < deadline => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(upload)
    }
}

/// Whether it may go better in a moment: the brain is away or busy, the connection was cut, another client of the same
/// upload was quicker or has only just gone.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused(body) => {
            matches!(
                body.code.as_str(),
                "busy" | "database_unavailable" | "too_slow" | "broken_upload" | "conflict"
            )
        }
        ClientError::Strange { .. } => false,
    }
}
