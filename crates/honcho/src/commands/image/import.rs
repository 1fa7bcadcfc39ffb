//! `honcho image import`: somebody else's root filesystem becomes an image.

use super::send::{Tarball, bytes, send, taken_by};
use super::sign;
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::accounts;
use crate::context::Context;
use crate::progress::Progress;
use crate::resolve;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Image, ImageCreate};
use honcho_images::import::{Devices, ImportFrom, ImportOptions, ImportedImage, KernelFrom};
use honcho_model::{Bytes, Name};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Takes what `docker export`, debootstrap or an LXC template give: a tar of a root filesystem, plain or compressed \
(.gz, .xz, .zst). It is read on this machine and never unpacked: what leads out of it, holds more than the limits or is \
not whole is refused with the reason, and what is taken is packed anew. It needs an init and a kernel. Programs with \
the rights of root in unusual places are named. Root is not needed.

With --disk the file is a disk that holds ext4 and no partition table, or a file that is one. Nobody may write to it \
meanwhile. It is read, not mounted, and what makes it one machine's is left out: machine-id, host name, SSH host keys, \
authorized keys of root, seeds, leases, logs, /etc/honcho.

Examples:
  docker export web | gzip > web.tar.gz && honcho image import web.tar.gz --name web --host-kernel
  honcho image import rocky-9-rootfs.tar.xz --name rocky-9 --account acme
  honcho image import rootfs.tar --name theirs --max-size 100G --max-files 5000000
  honcho image import /dev/vg0/old --disk --name old";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ImportArguments {
    /// The root filesystem (.tar, .tar.gz, .tar.xz, .tar.zst)
    file: PathBuf,
    /// The file is a disk, or holds what one would
    #[arg(long)]
    disk: bool,
    /// The image's name
    #[arg(long)]
    name: String,
    /// Only this account may use it; everybody, when absent
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// Refuse more than this, holes included
    #[arg(long, value_name = "SIZE", default_value = "20G")]
    max_size: Bytes,
    /// Refuse more files, directories and links than this
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    max_files: u64,
    /// Keep device nodes (left out otherwise: a guest's kernel makes its own)
    #[arg(long)]
    devices: bool,
    /// Put this machine's kernel, initrd and modules into the image
    #[arg(long)]
    host_kernel: bool,
    /// Where to pack it
    #[arg(long, value_name = "DIR", default_value = "/var/cache/honcho/images")]
    directory: PathBuf,
    /// Keep the tarball there after the brain has it
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn run(context: &Context, arguments: ImportArguments) -> Result<(), CommandError> {
    let name = Name::new(&arguments.name)
        .map_err(|error| CommandError::usage(format!("the name \"{}\" {error}", arguments.name)))?;
    let client = context.client()?;
    // Before the long work: is the brain there, does it know the token, is the name free?
    let account_id = resolve::optional_id::<Account>(context, arguments.account.as_deref()).await?;
    if let Some(taken) = client.list::<Image>(&[("name", name.to_string())]).await?.first() {
        return Err(taken_by(taken));
    }
    let signer = sign::signer(context).await?;
    let imported = import(context, &arguments, name.clone()).await?;
    let tarball = Tarball { path: &imported.path, digest: imported.digest, compressed: imported.compressed };
    send(context, client, &tarball, name.as_str()).await?;
    let body = ImageCreate {
        name: Some(name.to_string()),
        account_id,
        digest: Some(imported.digest.to_string()),
        unpacked_bytes: i64::try_from(imported.unpacked.0).ok(),
        architecture: imported.architecture.clone(),
        ..honcho_brain::described(imported.packages.clone(), &imported.facts())
    };
    let body = signer.sign(context, body, imported.compressed)?;
    let image = client.create::<Image>(&body).await?;
    if !arguments.keep {
        remove(&imported.path, &image.name)?;
    }
    super::show(context, &image).await
}

async fn import(
    context: &Context,
    arguments: &ImportArguments,
    name: Name,
) -> Result<ImportedImage, CommandError> {
    let mut progress = Progress::new(&context.output, &format!("import {name}"));
    let (sender, mut stages) = tokio::sync::mpsc::unbounded_channel::<(String, u8)>();
    let options = ImportOptions {
        largest: arguments.max_size,
        most_files: arguments.max_files,
        devices: if arguments.devices { Devices::Keep } else { Devices::LeaveOut },
        kernel: if arguments.host_kernel { KernelFrom::Machine("/".into()) } else { KernelFrom::Image },
        from: if arguments.disk { ImportFrom::Disk } else { ImportFrom::Tarball },
    };
    let (file, directory) = (arguments.file.clone(), arguments.directory.clone());
    let importing = tokio::task::spawn_blocking(move || {
        // Nobody listening any more is no reason to stop.
        let tell = move |stage: &str, percent: u8| drop(sender.send((stage.to_owned(), percent)));
        honcho_images::import::import(&file, &name, &directory, &options, &tell)
    });
    while let Some((stage, percent)) = stages.recv().await {
        progress.step(&stage, Some(percent.into()));
    }
    let shown = arguments.file.display();
    let imported = importing
        .await
        .map_err(|error| CommandError::failed("the import broke off").cause(&error))?
        .map_err(|error| CommandError::failed(format!("{shown} was not imported")).cause(&error))?;
    progress.done();
    tell(context, &imported);
    Ok(imported)
}

/// What its owner should know.
fn tell(context: &Context, imported: &ImportedImage) {
    let system =
        imported.distribution.as_ref().map_or("a system that does not say what it is", |it| &it.name);
    context.output.note(&format!(
        "imported {}: {} files, {}, {} unpacked, {} packages; init {}, kernel {}",
        clean(system),
        imported.files,
        bytes(imported.compressed),
        bytes(imported.unpacked),
        imported.packages.len(),
        imported.init,
        clean(&imported.kernel),
    ));
    for note in &imported.notes {
        context.output.note(&clean(note));
    }
}

fn remove(tarball: &Path, image: &str) -> Result<(), CommandError> {
    std::fs::remove_file(tarball).map_err(|error| {
        let text = format!("image {image} is registered, but {} could not be removed", tarball.display());
        CommandError::failed(text).cause(&error)
    })
}
