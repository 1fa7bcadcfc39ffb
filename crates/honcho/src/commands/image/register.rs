//! `honcho image register`: a tarball that is there already becomes an image.

use super::send::{Tarball, bytes, send, taken_by};
use super::sign;
use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::progress::Progress;
use crate::resolve;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Image, ImageCreate};
use honcho_images::Inspected;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
The tarball holds a guest's files and nothing else: no partition table, no boot loader; the kernel and its initrd \
are where /vmlinuz and /initrd.img lead. It is read to its end here, for its digest, the size of its files and the \
list of its packages, and sent only if the brain does not have it yet. Neither root nor mmdebstrap is needed. \
Registering the same tarball under the same name again changes nothing.

Examples:
  honcho image register debian-12-4f2c0d9be1aa.tar.zst --name debian-12
  tar -C /srv/chroot --numeric-owner -c . | zstd > own.tar.zst && honcho image register own.tar.zst --name own";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RegisterArguments {
    /// The tarball (tar.zst), as `honcho image build --keep` leaves one
    tarball: PathBuf,
    /// The image's name
    #[arg(long)]
    name: String,
    /// Only this account may use it; everybody, when absent
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// The recipe it was built from, to be kept with it
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, arguments: RegisterArguments) -> Result<(), CommandError> {
    let RegisterArguments { tarball, name, account, recipe } = arguments;
    honcho_model::Name::new(&name)
        .map_err(|error| CommandError::usage(format!("the name \"{name}\" {error}")))?;
    let recipe = recipe
        .as_deref()
        .map(std::fs::read_to_string)
        .transpose()
        .map_err(|error| CommandError::failed("cannot read the recipe").cause(&error))?;
    let client = context.client()?;
    let account_id = resolve::optional_id::<Account>(context, account.as_deref()).await?;
    let signer = sign::signer(context).await?;
    let inspected = inspect(context, &tarball, &name).await?;
    let digest = inspected.digest.to_string();
    let same_name = client.list::<Image>(&[("name", name.clone())]).await?;
    if let Some(taken) = same_name.iter().find(|image| image.digest != digest) {
        return Err(taken_by(taken));
    }
    let sealed = Tarball { path: &tarball, digest: inspected.digest, compressed: inspected.compressed };
    send(context, client, &sealed, &name).await?;
    let body = ImageCreate {
        name: Some(name),
        account_id,
        digest: Some(digest),
        unpacked_bytes: i64::try_from(inspected.unpacked.0).ok(),
        recipe,
        ..honcho_brain::described(inspected.packages, &inspected.facts)
    };
    let body = signer.sign(context, body, sealed.compressed)?;
    super::show(context, &client.create::<Image>(&body).await?).await
}

/// Reads it to its end, without holding up anything else.
async fn inspect(context: &Context, tarball: &Path, name: &str) -> Result<Inspected, CommandError> {
    let mut progress = Progress::new(&context.output, &format!("register {name}"));
    progress.step("read the tarball", None);
    let path = tarball.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        honcho_images::inspect(std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(path)?))
    });
    let inspected = reading
        .await
        .map_err(|error| CommandError::failed("reading the tarball broke off").cause(&error))?
        .map_err(|error| {
            let error_of = CommandError::failed(format!("cannot read {}", tarball.display())).cause(&error);
            match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => error_of,
                _ => error_of
                    .hint("an image is a tar compressed with zstd: `zstd IMAGE.tar` makes one of a tar"),
            }
        })?;
    progress.done();
    context.output.note(&format!(
        "read {}, {} unpacked, {} packages",
        bytes(inspected.compressed),
        bytes(inspected.unpacked),
        inspected.packages.len()
    ));
    Ok(inspected)
}
