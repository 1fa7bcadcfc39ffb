//! What guests have installed of what an archive would let go: asked of the brain before anything is removed.

use crate::command_error::CommandError;
use crate::context::Context;
use honcho_api::{ImagePackage, InstalledPackages, InstalledPackagesAsked};
use honcho_archive::{Loose, Pruned};
use std::collections::{BTreeMap, BTreeSet};

/// So many packages are asked for at once.
const AT_ONCE: usize = 2000;

/// What is known of it.
pub(super) enum Held {
    /// Nobody was asked.
    Unknown,
    /// What guests have, and how many of them.
    Known {
        installed: BTreeMap<Loose, i64>,
        /// So many guests never said anything: by what their image was made with,
        by_image: i64,
        /// and so many of which nothing is known.
        unknown: i64,
    },
}

/// Asks the brain which of these packages guests have.
pub(super) async fn held(
    context: &Context,
    loose: &BTreeSet<Loose>,
    without_brain: bool,
) -> Result<Held, CommandError> {
    if without_brain {
        return Ok(Held::Unknown);
    }
    let client = match context.client() {
        Ok(client) => client,
        // Who has no token for a brain may well have no brain.
        Err(error) if error.is_tokenless() => return Ok(Held::Unknown),
        Err(error) => return Err(error),
    };
    let asked: Vec<ImagePackage> = loose.iter().cloned().map(as_guests_say).collect();
    let (mut installed, mut by_image, mut unknown) = (BTreeMap::new(), 0, 0);
    // Also if there is nothing to ask for: a brain that does not answer is told of in the dry run.
    let parts = asked.chunks(AT_ONCE).map(<[ImagePackage]>::to_vec);
    for packages in parts.chain(asked.is_empty().then(Vec::new)) {
        let body = InstalledPackagesAsked { packages: Some(packages) };
        let answer: InstalledPackages = client.post("/v1/installed_packages", &body).await.map_err(|error| {
            CommandError::from(error).hint(
                "nothing was removed: the brain has to say what guests have installed. It takes an operator's token; --without-brain \
                 asks nobody",
            )
        })?;
        (by_image, unknown) = (answer.guests_by_image_count, answer.guests_unknown_count);
        installed.extend(answer.packages.into_iter().map(|one| {
            let (package, version, architecture) = (one.name, one.version, one.architecture);
            (Loose { package, version, architecture }, one.guests_count)
        }));
    }
    Ok(Held::Known { installed, by_image, unknown })
}

fn as_guests_say(one: Loose) -> ImagePackage {
    let Loose { package, version, architecture } = one;
    ImagePackage { name: package, version, architecture }
}

impl Held {
    /// Whether some guest has it.
    pub(super) fn holds(&self, one: &Loose) -> bool {
        matches!(self, Held::Known { installed, .. } if installed.contains_key(one))
    }

    /// Says what stays for that reason, and what is not known.
    pub(super) fn tell(&self, context: &Context, would: &Pruned) {
        let output = &context.output;
        let Held::Known { installed, by_image, unknown } = self else {
            if would.packages > 0 {
                output.note(
                    "no brain was asked: packages go whether guests have them installed or not. An operator's token (--token-file) \
                     lets the brain be asked",
                );
            }
            return;
        };
        for one in &would.held {
            let Loose { package, version, architecture } = one;
            let guests = match installed.get(one) {
                Some(1) | None => "1 guest has it".to_owned(),
                Some(count) => format!("{count} guests have it"),
            };
            output.note(&format!("{package} {version} {architecture} stays: {guests} installed"));
        }
        let guests = |count: i64| if count == 1 { "1 guest".to_owned() } else { format!("{count} guests") };
        if *by_image > 0 {
            let count = guests(*by_image);
            output
                .note(&format!("{count} never said what they have: what their images were made with counts"));
        }
        if *unknown > 0 {
            let count = guests(*unknown);
            output.note(&format!("of {count} nobody knows what they have: nothing is held for them"));
        }
    }
}
