//! A recipe: what an image is made of, as people write it (TOML).
//!
//! Parsed at the border: a `Recipe` that exists names nothing that could be taken for an option, a second line or a
//! path outside the image. Its scripts, on the other hand, run as root in a chroot, which is no wall: recipes come
//! from operators.

use honcho_model::Name;
use serde::Deserialize;
use std::path::Path;

/// What an image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Name of the image.
    pub name: Name,
    /// For people, one line.
    pub description: String,
    /// Debian's suite, as in `bookworm`.
    pub suite: String,
    /// As in `amd64`.
    pub architecture: String,
    /// How much mmdebstrap installs besides the packages.
    pub variant: Variant,
    /// What the archive is signed with: an absolute path on the machine that builds.
    pub keyring: String,
    /// Lines of sources.list, or URLs.
    pub mirrors: Vec<String>,
    /// Packages, by name.
    pub packages: Vec<String>,
    /// Paths that the finished image must hold, links followed.
    pub must_have: Vec<String>,
    /// Files of the recipe's own, there before the packages are installed.
    pub files: Vec<RecipeFile>,
    /// Scripts, run in order after the packages are installed.
    pub scripts: Vec<RecipeScript>,
    /// No file in the image is younger than this (seconds since 1970), so that equal packages give equal bytes.
    pub source_date_epoch: u64,
    /// The recipe as it was written; kept with the image.
    pub text: String,
}

/// mmdebstrap's variants that make sense for a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Essential packages and apt.
    Minbase,
    /// Essential packages and apt, by another name of mmdebstrap's.
    Apt,
    /// What Debian calls important: roughly what debootstrap installs.
    Important,
    /// What Debian calls standard: what its installer installs.
    Standard,
}

impl Variant {
    /// mmdebstrap's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Variant::Minbase => "minbase",
            Variant::Apt => "apt",
            Variant::Important => "important",
            Variant::Standard => "standard",
        }
    }
}

/// A file that the recipe puts into the image, owned by root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeFile {
    /// Absolute path in the image.
    pub path: String,
    /// Permission bits; 0644 unless said otherwise.
    pub mode: u32,
    /// What is in it.
    pub content: String,
}

/// A script that is run in the image by `/bin/sh -e`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeScript {
    /// For people, one line: shown while it runs.
    pub name: String,
    /// What it does.
    pub run: String,
}

/// Why a text is no recipe; names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecipeError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    description: String,
    suite: String,
    architecture: String,
    variant: Variant,
    keyring: String,
    mirrors: Vec<String>,
    packages: Vec<String>,
    #[serde(default)]
    must_have: Vec<String>,
    #[serde(default)]
    files: Vec<WrittenFile>,
    #[serde(default)]
    scripts: Vec<WrittenScript>,
    source_date_epoch: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    path: String,
    mode: Option<String>,
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenScript {
    name: String,
    run: String,
}

/// 2023-06-10, when Debian 12 was released. Any constant will do; see [`Recipe::source_date_epoch`].
const DEFAULT_EPOCH: u64 = 1_686_355_200;

/// A recipe is typed by hand; one of several megabytes is a mistake.
const LONGEST_RECIPE: usize = 4 << 20;

impl Recipe {
    /// Reads a recipe from a file.
    pub fn read(path: &Path) -> Result<Recipe, RecipeError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| RecipeError(format!("cannot read the recipe {}: {error}", path.display())))?;
        Recipe::parse(&text).map_err(|error| RecipeError(format!("{}: {error}", path.display())))
    }

    /// Parses a recipe.
    pub fn parse(text: &str) -> Result<Recipe, RecipeError> {
        if text.len() > LONGEST_RECIPE {
            return Err(RecipeError("is longer than 4 MiB: put large files into a package".to_owned()));
        }
        let written: Written = toml::from_str(text).map_err(|error| RecipeError(error.to_string()))?;
        let name = Name::new(&written.name).map_err(|error| RecipeError(format!("name {error}")))?;
        one_line("description", &written.description)?;
        word("suite", &written.suite, "-./")?;
        word("architecture", &written.architecture, "-")?;
        absolute("keyring", &written.keyring)?;
        if written.mirrors.is_empty() {
            return Err(RecipeError("mirrors is empty: name at least one, as in \"deb http://deb.debian.org/debian bookworm main\"".to_owned()));
        }
        for mirror in &written.mirrors {
            check_mirror(mirror)?;
        }
        for package in &written.packages {
            word("packages", package, "+.-:=~/")?;
        }
        for path in &written.must_have {
            absolute("must_have", path)?;
        }
        let files = written.files.into_iter().map(check_file).collect::<Result<_, _>>()?;
        let scripts = written.scripts.into_iter().map(check_script).collect::<Result<_, _>>()?;
        Ok(Recipe {
            name,
            description: written.description,
            suite: written.suite,
            architecture: written.architecture,
            variant: written.variant,
            keyring: written.keyring,
            mirrors: written.mirrors,
            packages: written.packages,
            must_have: written.must_have,
            files,
            scripts,
            source_date_epoch: written.source_date_epoch.unwrap_or(DEFAULT_EPOCH),
            text: text.to_owned(),
        })
    }
}

/// One line that a person wrote: no control characters, which could also move a terminal's cursor.
fn one_line(field: &str, text: &str) -> Result<(), RecipeError> {
    if text.chars().any(char::is_control) {
        return Err(RecipeError(format!("{field} {text:?} may not hold line breaks or control characters")));
    }
    Ok(())
}

/// A word that ends up on a command line: starts with a letter or digit, so it is never taken for an option.
fn word(field: &str, text: &str, also: &str) -> Result<(), RecipeError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    let starts_well = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if starts_well && text.len() <= 200 && text.chars().all(fits) {
        return Ok(());
    }
    Err(RecipeError(format!("{field} {text:?} is not a plain name (letters, digits and {also:?} inside)")))
}

/// An absolute path that stays where it seems to be.
fn absolute(field: &str, path: &str) -> Result<(), RecipeError> {
    one_line(field, path)?;
    let parts_fit = path
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
    if parts_fit && path.len() <= 4096 && path.split('/').all(|part| part.len() <= 255) {
        return Ok(());
    }
    Err(RecipeError(format!("{field} {path:?} is not an absolute path without \".\", \"..\" or empty parts")))
}

fn check_mirror(mirror: &str) -> Result<(), RecipeError> {
    one_line("mirrors", mirror)?;
    if ["deb ", "http://", "https://", "file://", "copy://"].iter().any(|start| mirror.starts_with(start)) {
        return Ok(());
    }
    Err(RecipeError(format!(
        "mirrors {mirror:?} is neither a URL nor a line as in \"deb http://deb.debian.org/debian bookworm main\""
    )))
}

fn check_file(file: WrittenFile) -> Result<RecipeFile, RecipeError> {
    absolute("files.path", &file.path)?;
    let mode = match file.mode.as_deref() {
        None => 0o644,
        Some(text) => u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777 && !text.starts_with('+'))
            .ok_or_else(|| RecipeError(format!("files.mode {text:?} is not octal, as in \"0644\"")))?,
    };
    Ok(RecipeFile { path: file.path, mode, content: file.content })
}

fn check_script(script: WrittenScript) -> Result<RecipeScript, RecipeError> {
    one_line("scripts.name", &script.name)?;
    Ok(RecipeScript { name: script.name, run: script.run })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINIMAL: &str = "name = \"x\"\nsuite = \"bookworm\"\narchitecture = \"amd64\"\nvariant = \"minbase\"\nkeyring \
                           = \"/k.gpg\"\nmirrors = [\"http://m/debian\"]\npackages = [\"bash\"]\n";

    fn check(more: &str, expected: &str) {
        let error = Recipe::parse(&format!("{MINIMAL}{more}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_recipes_of_the_house_are_recipes() {
        let recipe = Recipe::read(Path::new("../../recipes/debian-12.toml")).unwrap();
        assert_eq!(recipe.name.as_str(), "debian-12");
        assert!(recipe.packages.iter().any(|package| package == "openssh-server"));
        assert!(
            recipe
                .files
                .iter()
                .any(|file| file.path == "/etc/fstab" && file.content.starts_with("/dev/vda / "))
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_field() {
        check("colour = \"red\"\n", "colour");
        check("[[files]]\npath = \"/etc/../../x\"\ncontent = \"\"\n", "files.path");
        check("[[files]]\npath = \"etc/x\"\ncontent = \"\"\n", "absolute");
        check("[[files]]\npath = \"/etc/x\"\nmode = \"99\"\ncontent = \"\"\n", "octal");
        check("[[scripts]]\nname = \"a\\nb\"\nrun = \"\"\n", "scripts.name");
        let swapped =
            |from: &str, to: &str| Recipe::parse(&MINIMAL.replace(from, to)).unwrap_err().to_string();
        assert!(swapped("\"bash\"", "\"--hook=x\"").contains("packages"));
        assert!(swapped("\"bash\"", "\"a,b\"").contains("packages"));
        assert!(swapped("bookworm", "--help").contains("suite"));
        assert!(swapped("\"http://m/debian\"", "\"-x\"").contains("mirrors"));
        assert!(swapped("[\"http://m/debian\"]", "[]").contains("mirrors"));
        assert!(swapped("\"x\"", "\"X Y\"").contains("name"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,200}", more in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Recipe::parse(&text);
            let _ = Recipe::parse(&String::from_utf8_lossy(&more));
            let _ = Recipe::parse(&format!("{MINIMAL}{text}"));
        }

        #[test]
        fn a_path_that_passes_stays_inside(path in "[/.a-b]{0,12}") {
            let written = format!("{MINIMAL}[[files]]\npath = {path:?}\ncontent = \"\"\n");
            if let Ok(recipe) = Recipe::parse(&written) {
                prop_assert!(recipe.files.iter().all(|file| file.path.starts_with('/')));
                let climbs = path.split('/').any(|part| part == "..") || path.contains("//");
                prop_assert!(!climbs);
            }
        }
    }
}
