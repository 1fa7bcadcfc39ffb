//! `honcho image build`: recipe to tarball on this machine, tarball to the brain.

use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::completion::accounts;
use crate::context::Context;
use crate::progress::{Progress, bytes_bar};
use crate::resolve;
use crate::values::size_text;
use clap_complete::engine::ArgValueCandidates;
use futures::StreamExt;
use honcho_api::client::Client;
use honcho_api::{Account, Image, ImageCreate, ImagePackage};
use honcho_images::{Recipe, SealedImage};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Runs on this machine, as root, with mmdebstrap: recipes run scripts of theirs in a chroot, which is no \
wall against root. What was built is sent only if the brain does not have it yet. The tarball is \
removed once the brain has it; the build's log stays beside it.

Examples:
  honcho image build recipes/debian-12.toml
  honcho image build recipes/debian-12.toml --name debian-12-2026-11";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BuildArguments {
    /// The recipe's file
    recipe: PathBuf,
    /// The image's name; the recipe's, when absent
    #[arg(long)]
    name: Option<String>,
    /// Only this account may use it; everybody, when absent
    #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
    account: Option<String>,
    /// Where to build
    #[arg(long, value_name = "DIR", default_value = "/var/cache/honcho/images")]
    directory: PathBuf,
    /// Keep the tarball there after the brain has it
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn run(context: &Context, arguments: BuildArguments) -> Result<(), CommandError> {
    let recipe = Recipe::read(&arguments.recipe).map_err(|error| {
        CommandError::failed(format!("cannot use the recipe {}", arguments.recipe.display())).cause(&error)
    })?;
    let name = arguments.name.clone().unwrap_or_else(|| recipe.name.to_string());
    honcho_model::Name::new(&name)
        .map_err(|error| CommandError::usage(format!("the name \"{name}\" {error}")))?;
    if !rustix::process::geteuid().is_root() {
        return Err(CommandError::failed(
            "building an image needs root: mmdebstrap makes a chroot and runs in it",
        )
        .hint(format!("sudo honcho image build {}", arguments.recipe.display())));
    }
    let client = context.client()?;
    // Before the long work: is the brain there, does it know the token, is the name free?
    let account_id = resolve::optional_id::<Account>(context, arguments.account.as_deref()).await?;
    if let Some(taken) = client.list::<Image>(&[("name", name.clone())]).await?.first() {
        let error = CommandError::new(
            Ending::Refused,
            format!("there is an image named {name} already (id {})", taken.id),
        );
        return Err(error.hint(format!(
            "--name gives the new one another name; `honcho image delete {name}` makes room"
        )));
    }
    let sealed = build(context, recipe, &arguments.directory, &name).await?;
    send(context, client, &sealed, &name).await?;
    let packages = sealed.packages.iter().map(|package| ImagePackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
    });
    let body = ImageCreate {
        name: Some(name),
        account_id,
        digest: Some(sealed.digest.to_string()),
        unpacked_bytes: i64::try_from(sealed.unpacked.0).ok(),
        packages: Some(packages.collect()),
        recipe: Some(sealed.recipe.clone()),
    };
    let image = client.create::<Image>(&body).await?;
    if !arguments.keep {
        std::fs::remove_file(&sealed.path).map_err(|error| {
            CommandError::failed(format!(
                "image {} is registered, but {} could not be removed",
                image.name,
                sealed.path.display()
            ))
            .cause(&error)
        })?;
    }
    super::show(context, &image).await
}

async fn build(
    context: &Context,
    recipe: Recipe,
    directory: &Path,
    name: &str,
) -> Result<SealedImage, CommandError> {
    let mut progress = Progress::new(&context.output, &format!("build {name}"));
    let (sender, mut stages) = tokio::sync::mpsc::unbounded_channel::<(String, u8)>();
    let directory = directory.to_owned();
    let building = tokio::task::spawn_blocking(move || {
        // Nobody listening any more is no reason to stop building.
        let tell = move |stage: &str, percent: u8| drop(sender.send((stage.to_owned(), percent)));
        honcho_images::build(&recipe, &directory, &tell)
    });
    while let Some((stage, percent)) = stages.recv().await {
        progress.step(&stage, Some(percent.into()));
    }
    let sealed =
        building
            .await
            .map_err(|error| CommandError::failed("the build broke off").cause(&error))?
            .map_err(|error| CommandError::failed(format!("image {name} was not built")).cause(&error))?;
    progress.done();
    context.output.note(&format!(
        "built {}: {}, {} unpacked, {} packages",
        clean(name),
        bytes(sealed.compressed),
        bytes(sealed.unpacked),
        sealed.packages.len()
    ));
    Ok(sealed)
}

fn bytes(bytes: honcho_model::Bytes) -> String {
    size_text(i64::try_from(bytes.0).unwrap_or(i64::MAX))
}

/// Sends the tarball, unless the brain has it.
async fn send(
    context: &Context,
    client: &Client,
    sealed: &SealedImage,
    name: &str,
) -> Result<(), CommandError> {
    let digest = sealed.digest.to_string();
    if client.has_blob(&digest).await? {
        context.output.note("the brain has it already");
        return Ok(());
    }
    let cannot_read =
        |error| CommandError::failed(format!("cannot read {}", sealed.path.display())).cause(&error);
    let file = tokio::fs::File::open(&sealed.path).await.map_err(cannot_read)?;
    let bar = bytes_bar(&format!("send {name}"), sealed.compressed.0);
    let counter = bar.clone();
    let chunks = tokio_util::io::ReaderStream::with_capacity(file, 256 * 1024).inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            counter.inc(chunk.len() as u64);
        }
    });
    let sent = client.send_blob(&digest, sealed.compressed.0, chunks).await;
    bar.finish_and_clear();
    sent?;
    context.output.note(&format!("sent it to {}", client.url()));
    Ok(())
}
