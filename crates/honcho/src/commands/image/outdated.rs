//! `honcho image packages --outdated`: what the mirrors of an image's recipe have by now.

use super::diff::{self, DifferenceLine};
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::listing::ListArguments;
use crate::resolve;
use honcho_api::Image;
use honcho_images::Recipe;
use honcho_images::packages::{newest, outdated};
use honcho_images::recipe::{Base, ImageBase};

pub(super) const AFTER_HELP: &str = "\
With --outdated this machine asks the mirrors of the image's recipe (and of those that it is built upon), by apt, which \
checks their signatures by the recipe's keyring. What guests have is asked of them: `honcho guest packages`.

Examples:
  honcho image packages debian-12 | grep openssh
  honcho image packages debian-12 --outdated";

/// Images build upon each other, but not for ever.
const DEEPEST: usize = 20;

pub(super) async fn run(context: &Context, image: &str, list: &ListArguments) -> Result<(), CommandError> {
    let image: Image = resolve::one(context, image).await?;
    let (mut of, mut sources) = (image.clone(), Vec::new());
    let mut base = None;
    for _ in 0..DEEPEST {
        let text = super::recipe_of(context, &of).await?.recipe.ok_or_else(|| super::built_from_none(&of))?;
        let recipe = Recipe::parse(&text).map_err(|error| {
            CommandError::failed(format!("the recipe of image {} cannot be read any more", of.name))
                .cause(&error)
        })?;
        sources.extend(recipe.sources);
        let name = match recipe.base {
            Base::Archive(archive) => {
                base = Some(archive);
                break;
            }
            Base::Image(ImageBase::Named { name, .. }) => name,
            Base::Image(ImageBase::File(file)) => {
                return Err(CommandError::new(
                    Ending::Refused,
                    format!(
                        "image {} is built upon the file {}, of which no mirrors are known",
                        of.name,
                        file.display()
                    ),
                ));
            }
        };
        of = resolve::one(context, name.as_str()).await?;
    }
    let base =
        base.ok_or_else(|| CommandError::failed(format!("image {} is built upon itself", image.name)))?;
    let installed = diff::packages(context, &image).await?;
    let asking = tokio::task::spawn_blocking(move || newest(&base, &sources));
    let newest = asking
        .await
        .map_err(|error| CommandError::failed("asking the mirrors broke off").cause(&error))?
        .map_err(|error| CommandError::failed("nobody knows what is newest").cause(&error))?;
    let lines = outdated(&installed, &newest).into_iter().map(DifferenceLine::from).collect();
    diff::show(context, list, lines, "Its mirrors have nothing newer.")
}
