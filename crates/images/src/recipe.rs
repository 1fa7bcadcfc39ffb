//! A recipe: what an image is made of, as people write it (TOML).
//!
//! Parsed at the border: a `Recipe` that exists names nothing that could be taken for an option, a second line or a
//! path outside the image. Its scripts, on the other hand, run as root in a chroot, which is no wall: recipes come
//! from operators.

use honcho_model::Name;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What an image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Name of the image.
    pub name: Name,
    /// For people, one line.
    pub description: String,
    /// What it is built upon.
    pub base: Base,
    /// Further apt sources; guests keep them.
    pub sources: Vec<AptSource>,
    /// Packages, by name.
    pub packages: Vec<String>,
    /// Paths that the finished image must hold, links followed.
    pub must_have: Vec<String>,
    /// Files of the recipe's own, there before the packages are installed.
    pub files: Vec<RecipeFile>,
    /// Accounts, made after the packages are installed.
    pub users: Vec<RecipeUser>,
    /// Scripts, run in order after that.
    pub scripts: Vec<RecipeScript>,
    /// What is deleted in the end; names may hold `*`.
    pub clean: Vec<String>,
    /// No file in the image is younger than this (seconds since 1970), so that equal packages give equal bytes.
    pub source_date_epoch: u64,
    /// The recipe as it was written; kept with the image.
    pub text: String,
}

/// What an image is built upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing: packages of an archive.
    Archive(ArchiveBase),
    /// The files of another image.
    Image(ImageBase),
}

/// An archive that a whole system is installed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveBase {
    /// Debian's suite, as in `bookworm`.
    pub suite: String,
    /// As in `amd64`.
    pub architecture: String,
    /// What makes a system of it.
    pub tool: Bootstrap,
    /// How much is installed besides the packages.
    pub variant: Variant,
    /// What the archive is signed with: an absolute path on the machine that builds.
    pub keyring: String,
    /// Lines of sources.list, or URLs.
    pub mirrors: Vec<String>,
    /// Whether the mirrors are of one moment, so that what they sign has lapsed.
    pub of_one_moment: bool,
}

/// Which other image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageBase {
    /// A sealed tarball on the machine that builds.
    File(PathBuf),
    /// One that the brain knows.
    Named {
        /// Its name.
        name: Name,
        /// How its digest begins: an image's version. Whichever has the name, where there is none.
        version: Option<String>,
    },
}

/// A further apt source, in the form of sources.list(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptSource {
    /// The name of its file.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Its suites.
    pub suites: Vec<String>,
    /// Its components.
    pub components: Vec<String>,
    /// What signs it: a public key, armoured.
    pub key: String,
}

/// An account; nobody can log in to it by a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeUser {
    /// Its name.
    pub name: String,
    /// Its number; the next free one otherwise.
    pub uid: Option<u32>,
    /// A service's, without a home.
    pub system: bool,
    /// Its shell.
    pub shell: String,
    /// Groups that it is in besides its own.
    pub groups: Vec<String>,
}

/// What makes a system of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bootstrap {
    /// Installs by apt from the first package on.
    #[default]
    Mmdebstrap,
    /// Debian's older one, which unpacks from one mirror; what others bring is installed and upgraded afterwards.
    Debootstrap,
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
    pub content: FileContent,
}

/// What is in a file of a recipe's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// This text.
    Text(String),
    /// That of a file on the machine that builds, beside the recipe unless its path says otherwise.
    Of(PathBuf),
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
    from: Option<String>,
    suite: Option<String>,
    architecture: Option<String>,
    tool: Option<Bootstrap>,
    variant: Option<Variant>,
    keyring: Option<String>,
    mirrors: Option<Vec<String>>,
    snapshot: Option<String>,
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    must_have: Vec<String>,
    #[serde(default)]
    sources: Vec<WrittenSource>,
    #[serde(default)]
    files: Vec<WrittenFile>,
    #[serde(default)]
    users: Vec<WrittenUser>,
    #[serde(default)]
    scripts: Vec<WrittenScript>,
    #[serde(default)]
    clean: Vec<String>,
    source_date_epoch: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    path: String,
    mode: Option<String>,
    content: Option<String>,
    source: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSource {
    name: String,
    url: String,
    suites: Vec<String>,
    components: Vec<String>,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUser {
    name: String,
    uid: Option<u32>,
    #[serde(default)]
    system: bool,
    shell: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
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
    /// Whether the files that it brings are there: to be asked before anything long begins.
    pub fn find_files(&self) -> Result<(), RecipeError> {
        for RecipeFile { path, content, .. } in &self.files {
            if let FileContent::Of(source) = content {
                let unusable =
                    |why: String| RecipeError(format!("{path} is to be {}, which {why}", source.display()));
                let about = std::fs::metadata(source);
                if !about.map_err(|error| unusable(format!("cannot be read: {error}")))?.is_file() {
                    return Err(unusable("is no file".to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Reads a recipe from a file.
    pub fn read(path: &Path) -> Result<Recipe, RecipeError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| RecipeError(format!("cannot read the recipe {}: {error}", path.display())))?;
        let mut recipe =
            Recipe::parse(&text).map_err(|error| RecipeError(format!("{}: {error}", path.display())))?;
        let beside = |other: &mut PathBuf| *other = path.parent().unwrap_or(Path::new("")).join(&*other);
        for file in &mut recipe.files {
            if let FileContent::Of(source) = &mut file.content {
                beside(source);
            }
        }
        if let Base::Image(ImageBase::File(tarball)) = &mut recipe.base {
            beside(tarball);
        }
        Ok(recipe)
    }

    /// Parses a recipe.
    pub fn parse(text: &str) -> Result<Recipe, RecipeError> {
        if text.len() > LONGEST_RECIPE {
            return Err(RecipeError("is longer than 4 MiB: put large files into a package".to_owned()));
        }
        let written: Written = toml::from_str(text).map_err(|error| RecipeError(error.to_string()))?;
        let name = Name::new(&written.name).map_err(|error| RecipeError(format!("name {error}")))?;
        one_line("description", &written.description)?;
        let base = check_base(&written)?;
        for package in &written.packages {
            word("packages", package, "+.-:=~/")?;
        }
        for path in &written.must_have {
            absolute("must_have", path)?;
        }
        for path in &written.clean {
            absolute("clean", path)?;
        }
        let sources = written.sources.into_iter().map(check_source).collect::<Result<_, _>>()?;
        let users = written.users.into_iter().map(check_user).collect::<Result<_, _>>()?;
        let files = written.files.into_iter().map(check_file).collect::<Result<_, _>>()?;
        let scripts = written.scripts.into_iter().map(check_script).collect::<Result<_, _>>()?;
        Ok(Recipe {
            name,
            description: written.description,
            base,
            sources,
            packages: written.packages,
            must_have: written.must_have,
            files,
            users,
            scripts,
            clean: written.clean,
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

/// What it is built upon: another image, or all that says which archive.
fn check_base(written: &Written) -> Result<Base, RecipeError> {
    let Written { from, suite, architecture, tool, variant, keyring, mirrors, snapshot, .. } = written;
    if let Some(from) = from {
        let said = [
            ("suite", suite.is_some()),
            ("architecture", architecture.is_some()),
            ("tool", tool.is_some()),
            ("variant", variant.is_some()),
            ("keyring", keyring.is_some()),
            ("mirrors", mirrors.is_some()),
            ("snapshot", snapshot.is_some()),
        ];
        return match said.into_iter().find(|(_, said)| *said) {
            Some((field, _)) => {
                Err(RecipeError(format!("{field} is the other image's, which `from` names: leave it out")))
            }
            None => check_from(from).map(Base::Image),
        };
    }
    let needed = |field: &str| RecipeError(format!("{field} is missing (or name another image by `from`)"));
    let suite = suite.clone().ok_or_else(|| needed("suite"))?;
    word("suite", &suite, "-./")?;
    let architecture = architecture.clone().ok_or_else(|| needed("architecture"))?;
    word("architecture", &architecture, "-")?;
    let keyring = keyring.clone().ok_or_else(|| needed("keyring"))?;
    absolute("keyring", &keyring)?;
    let mut mirrors = mirrors.clone().ok_or_else(|| needed("mirrors"))?;
    if mirrors.is_empty() {
        return Err(RecipeError(
            "mirrors is empty: name at least one, as in \"deb http://deb.debian.org/debian bookworm main\""
                .to_owned(),
        ));
    }
    if let Some(snapshot) = snapshot {
        word("snapshot", snapshot, "")?;
        if !mirrors.iter().any(|mirror| mirror.contains(SNAPSHOT)) {
            return Err(RecipeError(format!(
                "snapshot is said, and no mirror holds {SNAPSHOT}, as in \"deb http://snapshot.debian.org/archive/debian/{SNAPSHOT} bookworm main\""
            )));
        }
        for mirror in &mut mirrors {
            *mirror = mirror.replace(SNAPSHOT, snapshot);
        }
    }
    for mirror in &mirrors {
        check_mirror(mirror)?;
    }
    let variant = variant.ok_or_else(|| needed("variant"))?;
    let tool = tool.unwrap_or_default();
    if tool == Bootstrap::Debootstrap && variant == Variant::Standard {
        return Err(RecipeError(
            "variant standard is unknown to debootstrap: say important, and name packages besides".to_owned(),
        ));
    }
    let of_one_moment = snapshot.is_some();
    Ok(Base::Archive(ArchiveBase { suite, architecture, tool, variant, keyring, mirrors, of_one_moment }))
}

/// Stands for the date in a mirror's address.
const SNAPSHOT: &str = "{snapshot}";

/// `name`, `name@4f2c0d9be1aa` or a path of a tarball.
fn check_from(from: &str) -> Result<ImageBase, RecipeError> {
    one_line("from", from)?;
    if from.contains('/') {
        return Ok(ImageBase::File(PathBuf::from(from)));
    }
    let (name, version) = match from.split_once('@') {
        Some((name, version)) => (name, Some(version.to_owned())),
        None => (from, None),
    };
    let name = Name::new(name).map_err(|error| RecipeError(format!("from: the image's name {error}")))?;
    let is_digest = |text: &String| {
        (8..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    match version {
        Some(version) if !is_digest(&version) => Err(RecipeError(format!(
            "from {from:?}: an image's version is how its digest begins, 8 digits of it or more, as in debian-12@4f2c0d9be1aa"
        ))),
        version => Ok(ImageBase::Named { name, version }),
    }
}

fn check_source(source: WrittenSource) -> Result<AptSource, RecipeError> {
    let WrittenSource { name, url, suites, components, key } = source;
    word("sources.name", &name, "-_")?;
    one_line("sources.url", &url)?;
    let schemes = ["http://", "https://", "file:///"];
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) || url.contains(char::is_whitespace) {
        return Err(RecipeError(format!(
            "sources.url {url:?} is no address, as in \"https://apt.example.com\""
        )));
    }
    for (field, words) in [("sources.suites", &suites), ("sources.components", &components)] {
        if words.is_empty() {
            return Err(RecipeError(format!("{field} of {name} is empty")));
        }
        words.iter().try_for_each(|text| word(field, text, "-./"))?;
    }
    let key = key.trim().to_owned();
    let whole = key.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----")
        && key.ends_with("-----END PGP PUBLIC KEY BLOCK-----");
    if !whole || key.chars().any(|c| c.is_control() && c != '\n') {
        return Err(RecipeError(format!(
            "sources.key of {name} is no armoured public key: `gpg --armor --export` prints one"
        )));
    }
    Ok(AptSource { name, url, suites, components, key })
}

impl AptSource {
    /// Its file in `/etc/apt/sources.list.d`. The key is in it: apt reads it the same from within the image and from without.
    pub(crate) fn text(&self) -> String {
        let key: Vec<String> = self
            .key
            .lines()
            .map(|line| if line.trim().is_empty() { " .".to_owned() } else { format!(" {line}") })
            .collect();
        format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nSigned-By:\n{}\n",
            self.url,
            self.suites.join(" "),
            self.components.join(" "),
            key.join("\n")
        )
    }
}

fn check_user(user: WrittenUser) -> Result<RecipeUser, RecipeError> {
    let WrittenUser { name, uid, system, shell, groups } = user;
    for (field, text) in
        std::iter::once(("users.name", &name)).chain(groups.iter().map(|group| ("users.groups", group)))
    {
        word(field, text, "-_")?;
        if text.len() > 32 || text.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(RecipeError(format!(
                "{field} {text:?} is no name of an account (32 small letters and digits)"
            )));
        }
    }
    let shell = shell.unwrap_or_else(|| if system { "/usr/sbin/nologin" } else { "/bin/bash" }.to_owned());
    absolute("users.shell", &shell)?;
    word("users.shell", shell.trim_start_matches('/'), "-_./")?;
    Ok(RecipeUser { name, uid, system, shell, groups })
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
    let content = match (file.content, file.source) {
        (Some(text), None) => FileContent::Text(text),
        (None, Some(source)) => FileContent::Of(source),
        _ => return Err(RecipeError(format!("files: {} needs either `content` or `source`", file.path))),
    };
    Ok(RecipeFile { path: file.path, mode, content })
}

fn check_script(script: WrittenScript) -> Result<RecipeScript, RecipeError> {
    one_line("scripts.name", &script.name)?;
    Ok(RecipeScript { name: script.name, run: script.run })
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
