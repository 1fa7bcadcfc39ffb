//! `honcho image`: what guests' disks are made from.

mod base;
mod build;
mod diff;
mod diff_files;
mod import;
mod keys;
mod outdated;
mod register;
mod seal;
mod send;
mod sign;
mod unpack;
mod upload;
mod uploads;
mod verify;

use crate::age::age;
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::completion::{accounts, images};
use crate::context::Context;
use crate::listing::{self, ListArguments, Names};
use crate::output::Tone;
use crate::question::{Answer, ConfirmArguments};
use crate::resolve;
use crate::table::{Cell, details};
use crate::values::size_text;
use clap_complete::engine::ArgValueCandidates;
use honcho_api::{Account, Image, ImagePackage, ImageRecipe, ImageSignature};

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum ImageCommand {
    /// Build an image from a recipe on this machine, send it to the brain and register it
    Build(build::BuildArguments),
    /// Make an image of somebody else's root filesystem: `docker export`, debootstrap, an LXC template
    Import(import::ImportArguments),
    /// Upload a root filesystem to an account; the brain makes an image of it
    Upload(upload::UploadArguments),
    /// List uploads: those under way, and those that ended in the last seven days
    Uploads(uploads::UploadsArguments),
    /// Give up an upload
    CancelUpload(uploads::CancelUploadArguments),
    /// What the brain starts to seal an upload
    #[command(hide = true)]
    Seal(seal::SealArguments),
    /// Send a tarball that is there already to the brain, and register it
    Register(register::RegisterArguments),
    /// List images
    List {
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT", add = ArgValueCandidates::new(accounts))]
        account: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show one
    Show {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(images))]
        image: String,
    },
    /// Check that an image, or a tarball, is what somebody who is trusted has signed
    Verify(verify::VerifyArguments),
    /// Unpack one into a directory, on any filesystem
    Unpack(unpack::UnpackArguments),
    /// List the keys whose signatures are trusted
    Keys(keys::KeysArguments),
    /// Trust a key's signatures
    TrustKey(keys::TrustKeyArguments),
    /// Trust a key's signatures no more
    DistrustKey(keys::DistrustKeyArguments),
    /// Show which packages two differ in
    Diff(diff::DiffArguments),
    /// Print the recipe that one was built from
    Recipe {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(images))]
        image: String,
    },
    /// List the packages in one
    #[command(after_help = outdated::AFTER_HELP)]
    Packages {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(images))]
        image: String,
        /// Only those of which its recipe's mirrors have a newer version by now
        #[arg(long)]
        outdated: bool,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Delete one (guests that were made from it keep their disks)
    Delete {
        /// Name or id
        #[arg(add = ArgValueCandidates::new(images))]
        image: String,
        #[command(flatten)]
        confirm: ConfirmArguments,
    },
}

pub(crate) async fn run(context: &Context, command: ImageCommand) -> Result<(), CommandError> {
    match command {
        ImageCommand::Build(arguments) => build::run(context, arguments).await,
        ImageCommand::Import(arguments) => import::run(context, arguments).await,
        ImageCommand::Upload(arguments) => upload::run(context, arguments).await,
        ImageCommand::Uploads(arguments) => uploads::run(context, &arguments).await,
        ImageCommand::CancelUpload(arguments) => uploads::cancel(context, &arguments).await,
        ImageCommand::Seal(arguments) => seal::run(&arguments),
        ImageCommand::Register(arguments) => register::run(context, arguments).await,
        ImageCommand::List { account, list } => list_images(context, account.as_deref(), &list).await,
        ImageCommand::Show { image } => show(context, &resolve::one(context, &image).await?).await,
        ImageCommand::Verify(arguments) => verify::run(context, &arguments).await,
        ImageCommand::Unpack(arguments) => unpack::run(context, &arguments).await,
        ImageCommand::Keys(arguments) => keys::list(context, &arguments).await,
        ImageCommand::TrustKey(arguments) => keys::trust(context, &arguments).await,
        ImageCommand::DistrustKey(arguments) => keys::distrust(context, &arguments).await,
        ImageCommand::Diff(arguments) => diff::run(context, &arguments).await,
        ImageCommand::Recipe { image } => recipe(context, &resolve::one(context, &image).await?).await,
        ImageCommand::Packages { image, outdated: true, list } => outdated::run(context, &image, &list).await,
        ImageCommand::Packages { image, outdated: false, list } => packages(context, &image, &list).await,
        ImageCommand::Delete { image, confirm } => {
            let image: Image = resolve::one(context, &image).await?;
            let what = format!(
                "delete image {} (id {}, {}): no guest can be made from it any more. Guests that were keep their disks.",
                image.name,
                image.id,
                size_text(image.compressed_bytes)
            );
            if confirm.ask(context, &what)? == Answer::Stop {
                return Ok(());
            }
            super::deleted(context, &context.client()?.delete::<Image, Image>(image.id, &[]).await?)
        }
    }
}

async fn list_images(
    context: &Context,
    account: Option<&str>,
    list: &ListArguments,
) -> Result<(), CommandError> {
    let account = resolve::optional_id::<Account>(context, account).await?;
    let filters = account.map(|id| ("account_id", id.to_string())).into_iter().collect();
    let images: Vec<Image> = list.fetch(context, filters).await?;
    let accounts = Names::of::<Account>(context).await?;
    let nothing = "There are no such images: `honcho image build RECIPE` makes one, `honcho image import` takes a root filesystem.";
    let headings = ["ID", "NAME", "SIZE", "UNPACKED", "PACKAGES", "ACCOUNT", "DIGEST", "CREATED"];
    listing::show(context, &images, nothing, &headings, |image| {
        vec![
            Cell::number(image.id),
            Cell::text(&image.name),
            Cell::size(image.compressed_bytes),
            Cell::size(image.unpacked_bytes),
            Cell::number(image.packages_count),
            accounts.cell(image.account_id),
            Cell::text(image.digest.chars().take(12).collect::<String>()),
            Cell::text(age(image.created_at, context.output.now())),
        ]
    })
}

async fn packages(context: &Context, image: &str, list: &ListArguments) -> Result<(), CommandError> {
    let image: Image = resolve::one(context, image).await?;
    let path = format!("/v1/images/{}/packages.json", image.id);
    let packages: Vec<ImagePackage> = list.fetch_path(context, &path, vec![]).await?;
    let headings = ["NAME", "VERSION", "ARCHITECTURE"];
    listing::show(context, &packages, "No packages are listed for it.", &headings, |package| {
        vec![Cell::text(&package.name), Cell::text(&package.version), Cell::text(&package.architecture)]
    })
}

async fn recipe(context: &Context, image: &Image) -> Result<(), CommandError> {
    let recipe = recipe_of(context, image).await?;
    if context.output.json {
        return context.output.json(&recipe);
    }
    let text = recipe.recipe.ok_or_else(|| built_from_none(image))?;
    let lines: String = text.lines().map(|line| clean(line) + "\n").collect();
    context.output.print(lines.trim_end())
}

/// What the brain keeps of how it was built.
async fn recipe_of(context: &Context, image: &Image) -> Result<ImageRecipe, CommandError> {
    Ok(context.client()?.get_path(&format!("/v1/images/{}/recipe.json", image.id), &[]).await?)
}

fn built_from_none(image: &Image) -> CommandError {
    CommandError::failed(format!(
        "image {} was built from no recipe: it was imported or registered",
        image.name
    ))
}

/// By whom an image is signed, and whether that is so.
fn signed_by(told: &ImageSignature) -> Cell {
    let key = told.signed_by.as_ref().or(told.fingerprint.as_ref()).map(|key| clean(key)).unwrap_or_default();
    let why = told.problem.as_deref().map(clean).unwrap_or_default();
    match told.status.as_str() {
        "trusted" => Cell::text(format!("{key}, verified")).tone(Tone::Good),
        "none" => Cell::text("nobody"),
        _ => Cell::text(format!("{key}, NOT verified: {why}")).tone(Tone::Bad),
    }
}

pub(super) async fn show(context: &Context, image: &Image) -> Result<(), CommandError> {
    let output = &context.output;
    if output.json {
        return output.json(image);
    }
    let accounts = Names::of::<Account>(context).await?;
    let signature: ImageSignature =
        context.client()?.get_path(&format!("/v1/images/{}/signature.json", image.id), &[]).await?;
    let distribution = image.distribution_name.as_ref().or(image.distribution.as_ref());
    let rows = vec![
        ("id", Cell::text(image.id.to_string())),
        ("uuid", Cell::text(image.uuid.to_string())),
        ("distribution", Cell::maybe(distribution)),
        ("architecture", Cell::maybe(image.architecture.as_ref())),
        ("init", Cell::maybe(image.init.as_ref())),
        ("kernel", Cell::maybe(image.kernel.as_ref())),
        ("files", image.files_count.map_or_else(Cell::none, |count| Cell::text(count.to_string()))),
        ("account", accounts.cell(image.account_id)),
        ("digest", Cell::text(&image.digest)),
        ("signed by", signed_by(&signature)),
        ("size", Cell::text(size_text(image.compressed_bytes))),
        ("unpacked", Cell::text(size_text(image.unpacked_bytes))),
        ("packages", Cell::text(image.packages_count.to_string())),
        ("created", Cell::text(age(image.created_at, output.now()))),
    ];
    output.print(&details(output, &format!("image {}", image.name), rows))
}
