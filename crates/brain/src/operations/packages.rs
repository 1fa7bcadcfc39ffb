//! Lists of packages, whoever tells them.

use honcho_api::{ImageCreate, ImagePackage};
use honcho_images::{Facts, Package};

/// So many packages a machine has at most.
const MOST: usize = 20_000;

/// The longest name, version or architecture.
const LONGEST: usize = 300;

/// Packages as the API has them.
pub fn packages(found: Vec<Package>) -> Vec<ImagePackage> {
    let package =
        |Package { name, version, architecture }: Package| ImagePackage { name, version, architecture };
    found.into_iter().map(package).collect()
}

/// What was found in an image, as the API has it; what its distribution leaves empty it does not say.
pub fn described(found: Vec<Package>, facts: &Facts) -> ImageCreate {
    let distribution = facts.distribution.as_ref();
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    ImageCreate {
        packages: Some(packages(found)),
        distribution: distribution.and_then(|it| said(&it.id)),
        distribution_version: distribution.and_then(|it| said(&it.version)),
        distribution_name: distribution.and_then(|it| said(&it.name)),
        init: facts.init.clone(),
        kernel: facts.kernel.clone(),
        files_count: i64::try_from(facts.files).ok(),
        ..ImageCreate::default()
    }
}

/// What is wrong with a list; reads on from what has it.
pub(super) fn problem(packages: &[ImagePackage]) -> Option<String> {
    let fits = |text: &str| text.len() <= LONGEST && !text.chars().any(char::is_control);
    let strange = packages.iter().any(|package| {
        ![&package.name, &package.version, &package.architecture].into_iter().all(|text| fits(text))
    });
    let wrong = strange || packages.len() > MOST;
    wrong.then(|| format!("has more than {MOST} packages, or one whose name or version is no line"))
}
