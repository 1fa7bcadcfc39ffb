//! `honcho image unpack`: an image as files, on whatever filesystem a directory lies.

use super::base::download;
use super::send::bytes;
use super::verify::{check, named};
use crate::command_error::CommandError;
use crate::completion::images;
use crate::context::Context;
use crate::progress::bytes_bar;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::ImageSignature;
use honcho_images::directory::{DirectoryError, UNFINISHED, unpack_into};
use honcho_images::partial::remove_stale;
use honcho_model::Bytes;
use std::fs::File;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
The directory is made if it is not there, and must be empty otherwise (a fresh filesystem's lost+found does not count). It may lie on any \
filesystem that keeps extended attributes: ext4, xfs, btrfs. Owners, devices, capabilities, access control lists, hard links and \
holes are as in the image. The tarball that the brain keeps is fetched whole, and compared with the digest and the signature, before anything is \
unpacked; of a file only that it is a whole tarball is checked: `honcho image verify FILE` says whose it is. Needs root; and an operator's token, for \
others cannot read tarballs.

Examples:
  honcho image unpack debian-12 /var/lib/machines/web1
  mkfs.xfs /dev/vg0/web1 && mount /dev/vg0/web1 /mnt && honcho image unpack debian-12@4f2c0d9be1aa /mnt
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
    let path = Path::new(&arguments.image);
    // As for `verify`: no name of an image has either.
    if arguments.image.contains('/') || path.extension().is_some() {
        let unreadable = |error: &dyn std::error::Error| {
            CommandError::failed(format!("cannot read {}", path.display())).cause(error)
        };
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let reading = file.try_clone().map_err(|error| unreadable(&error))?;
        let inspected = tokio::task::spawn_blocking(move || {
            honcho_images::inspect(std::io::BufReader::with_capacity(1 << 20, reading))
        });
        let inspected =
            inspected.await.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?;
        std::io::Seek::rewind(&mut &file).map_err(|error| unreadable(&error))?;
        let digest = inspected.digest.to_string();
        return unpack(context, arguments, file, &digest, inspected.unpacked).await;
    }
    let image = named(context, &arguments.image).await?;
    let signature: ImageSignature =
        context.client()?.get_path(&format!("/v1/images/{}/signature.json", image.id), &[]).await?;
    if signature.status == "none" {
        context.output.note(&format!("image {} is signed by nobody", image.name));
    } else {
        check(&image, &signature, None)?;
    }
    // What a killed one has fetched is of no use to anybody.
    if arguments.work.is_dir() {
        remove_stale(&arguments.work).map_err(|error| {
            CommandError::failed(format!("cannot tidy {}", arguments.work.display())).cause(&error)
        })?;
    }
    let tarball = download(context, &image, &arguments.work).await?;
    let file = File::open(tarball.path())
        .map_err(|error| CommandError::failed("cannot read what was fetched").cause(&error))?;
    let unpacked = Bytes(u64::try_from(image.unpacked_bytes).unwrap_or_default());
    unpack(context, arguments, file, &image.digest, unpacked).await
}

async fn unpack(
    context: &Context,
    arguments: &UnpackArguments,
    tarball: File,
    digest: &str,
    unpacked: Bytes,
) -> Result<(), CommandError> {
    let directory = arguments.directory.clone();
    let length = tarball.metadata().map_or(0, |about| about.len());
    let bar = bytes_bar(&format!("unpack {}", arguments.image), length);
    let reading = bar.wrap_read(tarball);
    let done = tokio::task::spawn_blocking(move || unpack_into(reading, unpacked, &directory)).await;
    bar.finish_and_clear();
    let doing = || {
        CommandError::failed(format!("image {} is not in {}", arguments.image, arguments.directory.display()))
    };
    done.map_err(|error| doing().cause(&error))?.map_err(|error| {
        let said = doing().cause(&error);
        match error {
            DirectoryError::NotRoot => said.hint("sudo honcho image unpack …"),
            DirectoryError::NotEmpty { .. }
            | DirectoryError::Unfinished(_)
            | DirectoryError::NoRoom { .. } => said,
            _ => said.hint(format!(
                "what is there is a part of it, and {UNFINISHED} says so: delete it before the next try"
            )),
        }
    })?;
    let output = &context.output;
    if output.json {
        return output.json(&Done {
            image: &arguments.image,
            digest,
            directory: &arguments.directory,
            unpacked_bytes: unpacked.0,
        });
    }
    output.print(&format!(
        "{} is in {}: {}, {}",
        arguments.image,
        arguments.directory.display(),
        bytes(unpacked),
        &digest[..12]
    ))
}
