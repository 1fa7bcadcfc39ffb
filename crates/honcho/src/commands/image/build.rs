//! `honcho image build`: recipe to tarball on this machine, tarball to the brain.

use super::base;
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
use honcho_images::{Recipe, SealedImage};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Runs on this machine, as root, with mmdebstrap: recipes run scripts of theirs in a chroot, which is no \
wall against root. What was built is sent only if the brain does not have it yet. The tarball is \
removed once the brain has it; the build's log stays beside it. A recipe may build upon another image \
(`from = \"debian-12\"`): its tarball comes from the brain.

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
    let unusable = |error: honcho_images::RecipeError| {
        CommandError::failed(format!("cannot use the recipe {}", arguments.recipe.display())).cause(&error)
    };
    let recipe = Recipe::read(&arguments.recipe).map_err(unusable)?;
    recipe.find_files().map_err(unusable)?;
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
        return Err(taken_by(taken));
    }
    let signer = sign::signer(context).await?;
    let base = base::fetch(context, &recipe, &arguments.directory).await?;
    let sealed = build(context, recipe, base, &arguments.directory, &name).await?;
    let tarball = Tarball { path: &sealed.path, digest: sealed.digest, compressed: sealed.compressed };
    send(context, client, &tarball, &name).await?;
    let body = ImageCreate {
        name: Some(name),
        account_id,
        digest: Some(sealed.digest.to_string()),
        unpacked_bytes: i64::try_from(sealed.unpacked.0).ok(),
        recipe: Some(sealed.recipe.clone()),
        ..honcho_brain::described(sealed.packages.clone(), &sealed.facts)
    };
    let body = signer.sign(context, body, sealed.compressed)?;
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
    base: Option<base::Fetched>,
    directory: &Path,
    name: &str,
) -> Result<SealedImage, CommandError> {
    let mut progress = Progress::new(&context.output, &format!("build {name}"));
    let (sender, mut stages) = tokio::sync::mpsc::unbounded_channel::<(String, u8)>();
    let directory = directory.to_owned();
    let building = tokio::task::spawn_blocking(move || {
        // Nobody listening any more is no reason to stop building.
        let tell = move |stage: &str, percent: u8| drop(sender.send((stage.to_owned(), percent)));
        honcho_images::build(&recipe, base.as_ref().map(base::Fetched::path), &directory, &tell)
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
