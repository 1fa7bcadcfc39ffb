//! `honcho image unpack`: an image as files, on whatever filesystem a directory lies.

use super::base::download;
use super::send::bytes;
use super::verify::{check as check_signature, is_path, named, of_file};
use crate::command_error::CommandError;
use crate::completion::images;
use crate::context::Context;
use crate::progress::bytes_bar;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Image, ImageSignature};
use honcho_images::directory::{DirectoryError, UNFINISHED, unpack_into};
use honcho_model::Bytes;
use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
The directory is made if it is not there, and must be empty otherwise (a fresh filesystem's lost+found does not count). It may lie on any \
filesystem that keeps extended attributes: ext4, xfs, btrfs. Owners, devices, capabilities, access control lists, hard links and \
holes are as in the image. The tarball that the brain keeps is fetched whole, and compared with the digest and, where it is signed, the signature, before \
anything is unpacked; a file must be the tarball of an image that the brain has. What somebody else made becomes one by `honcho image import`. \
Needs root; and an operator's token, for others cannot read tarballs.

Until all of it is there nobody but root may enter the directory. Then programs that are setuid in the image are so on this machine, too: let it lie \
where only root may enter, or mount it nosuid,nodev.

Examples:
  honcho image unpack debian-12 /var/lib/machines/web1
  mkfs.xfs /dev/vg0/web1 && mount -o nosuid,nodev /dev/vg0/web1 /mnt && honcho image unpack debian-12@4f2c0d9be1aa /mnt
  honcho image unpack ./debian-12-4f2c0d9be1aa.tar.zst /mnt";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct UnpackArguments {
    /// Name or id, with the beginning of its digest if one likes (NAME@DIGEST), or a tarball
    #[arg(value_name = "IMAGE|FILE", add = ArgValueCandidates::new(images))]
    image: String,
    /// Where to
    directory: PathBuf,
    /// Where what is fetched is kept until it is unpacked
    #[arg(long, value_name = "DIR", default_value = "/var/cache/honcho")]
    work: PathBuf,
}

#[derive(serde::Serialize)]
struct Done<'u> {
    image: &'u str,
    digest: &'u str,
    directory: &'u Path,
    unpacked_bytes: u64,
}

pub(crate) async fn run(context: &Context, arguments: &UnpackArguments) -> Result<(), CommandError> {
    let path = is_path(&arguments.image).then(|| Path::new(&arguments.image));
    // Without root nothing need be read to be refused.
    let (file, image) = match path {
        Some(path) => {
            ready(arguments, Bytes(0))?;
            let unreadable = |error: std::io::Error| {
                CommandError::failed(format!("cannot read {}", path.display())).cause(&error)
            };
            (Some(File::open(path).map_err(unreadable)?), of_file(context, path).await?.0)
        }
        None => (None, named(context, &arguments.image).await?),
    };
    ready(arguments, Bytes(u64::try_from(image.unpacked_bytes).unwrap_or_default()))?;
    let signature: ImageSignature =
        context.client()?.get_path(&format!("/v1/images/{}/signature.json", image.id), &[]).await?;
    if signature.status == "none" {
        context.output.note(&format!("image {} is signed by nobody", image.name));
    } else {
        check_signature(&image, &signature, None)?;
    }
    let file = match file {
        Some(file) => file,
        None => fetched(context, &image, &arguments.work).await?,
    };
    unpack(context, arguments, file, &image).await
}

/// Whether it can be unpacked there.
fn ready(arguments: &UnpackArguments, unpacked: Bytes) -> Result<(), CommandError> {
    honcho_images::directory::check(&arguments.directory, unpacked).map_err(|error| told(arguments, &error))
}

/// The tarball, in a file without a name: it goes with this process, however that ends.
async fn fetched(context: &Context, image: &Image, work: &Path) -> Result<File, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::failed(format!("cannot keep image {} in {}", image.name, work.display())).cause(&error)
    };
    std::fs::create_dir_all(work).map_err(failed)?;
    let file = tempfile::tempfile_in(work).map_err(failed)?;
    download(context, image, &file).await?;
    (&file).rewind().map_err(failed)?;
    Ok(file)
}

async fn unpack(
    context: &Context,
    arguments: &UnpackArguments,
    tarball: File,
    image: &Image,
) -> Result<(), CommandError> {
    let unpacked = Bytes(u64::try_from(image.unpacked_bytes).unwrap_or_default());
    let directory = arguments.directory.clone();
    let bar = bytes_bar(
        &format!("unpack {}", image.name),
        u64::try_from(image.compressed_bytes).unwrap_or_default(),
    );
    let reading = bar.wrap_read(tarball);
    let done = tokio::task::spawn_blocking(move || unpack_into(reading, unpacked, &directory)).await;
    bar.finish_and_clear();
    done.map_err(|error| CommandError::failed("unpacking broke off").cause(&error))?
        .map_err(|error| told(arguments, &error))?;
    let output = &context.output;
    if output.json {
        return output.json(&Done {
            image: &image.name,
            digest: &image.digest,
            directory: &arguments.directory,
            unpacked_bytes: unpacked.0,
        });
    }
    output.print(&format!(
        "{}@{} is in {}: {}",
        image.name,
        &image.digest[..12],
        arguments.directory.display(),
        bytes(unpacked)
    ))
}

/// With the next thing to do.
fn told(arguments: &UnpackArguments, error: &DirectoryError) -> CommandError {
    let (image, directory) = (&arguments.image, arguments.directory.display());
    let said = CommandError::failed(format!("image {image} is not in {directory}")).cause(error);
    match error {
        DirectoryError::NotRoot => said.hint(format!("sudo honcho image unpack {image} {directory}")),
        DirectoryError::NotEmpty { .. }
        | DirectoryError::Unfinished(_)
        | DirectoryError::NoRoom { .. }
        | DirectoryError::Tool(_) => said,
        _ if arguments.directory.join(UNFINISHED).exists() => said.hint(format!(
            "what is there is a part of it, and {UNFINISHED} says so: delete it before the next try"
        )),
        _ => said,
    }
}
