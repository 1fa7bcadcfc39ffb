//! Builds an image of a recipe with mmdebstrap.
//!
//! ```text
//!   OUT/.NAME.XXXXXX.partial/   mmdebstrap's chroot, the recipe's files and scripts (locked; deleted in the end)
//!   OUT/NAME.log                all that mmdebstrap said, also when it failed
//!   OUT/NAME-DIGEST.tar.zst     the sealed image, renamed to this when complete
//!   OUT/NAME-DIGEST.json        its digest, sizes, packages and recipe
//! ```
//!
//! How mmdebstrap is run, and ended: `mmdebstrap.rs`.

use crate::debian::Package;
use crate::error::ImageError;
use crate::mmdebstrap::{self, Ended};
use crate::partial::{Partial, PartialDirectory, remove_stale, sync_directory, write_whole};
use crate::recipe::{ArchiveBase, Base, Recipe};
use crate::seal::{Facts, Sealed, seal};
use crate::staging::{arguments, stage};
use honcho_model::{Bytes, Digest};
use serde::{Deserialize, Serialize};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An image, sealed: a compressed tarball and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedImage {
    /// Its name, out of the recipe.
    pub name: String,
    /// The tarball (tar.zst).
    pub path: PathBuf,
    /// SHA-256 of it.
    pub digest: Digest,
    /// Its size.
    pub compressed: Bytes,
    /// The sum of the sizes of the files in it.
    pub unpacked: Bytes,
    /// The packages installed in it.
    pub packages: Vec<Package>,
    /// What it says of itself.
    #[serde(default)]
    pub facts: Facts,
    /// The recipe it was made of, as written.
    pub recipe: String,
    /// All that was said while it was built.
    pub log: PathBuf,
}

/// Hears which stage a build has reached and how far that is, in per cent of the whole.
pub type BuildProgress<'a> = &'a (dyn Fn(&str, u8) + Sync);

/// Builds the image of a recipe into `out_dir`. `base` is the sealed tarball that it is built upon, where the recipe
/// names another image. Blocks for a minute or so.
pub fn build(
    recipe: &Recipe,
    base: Option<&Path>,
    out_dir: &Path,
    progress: BuildProgress<'_>,
) -> Result<SealedImage, ImageError> {
    check_keyring(recipe)?;
    std::fs::create_dir_all(out_dir).map_err(ImageError::io(format!("making {}", out_dir.display())))?;
    let out_dir =
        out_dir.canonicalize().map_err(ImageError::io(format!("looking at {}", out_dir.display())))?;
    remove_stale(&out_dir).map_err(ImageError::io(format!("tidying up {}", out_dir.display())))?;
    let work = PartialDirectory::create(&out_dir, &format!(".{}", recipe.name))
        .map_err(ImageError::io(format!("making a directory in {}", out_dir.display())))?;
    let mut command = mmdebstrap::command(work.path(), recipe.source_date_epoch)?;
    let staged = stage(recipe, base, work.path())?;
    let log = out_dir.join(format!("{}.log", recipe.name));
    let partial = Partial::create(&out_dir, recipe.name.as_str())
        .map_err(ImageError::io(format!("making a file in {}", out_dir.display())))?;

    command.args(arguments(recipe, &staged));
    let sealed = run(&mut command, recipe, &log, &partial, progress)?;

    let missing: Vec<&str> = recipe
        .must_have
        .iter()
        .filter(|path| !sealed.paths.leads_somewhere(path))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Err(ImageError::Incomplete { missing: missing.join(", "), log });
    }
    keep(recipe, &out_dir, partial, sealed, log)
}

fn keep(
    recipe: &Recipe,
    out_dir: &Path,
    partial: Partial,
    sealed: Sealed,
    log: PathBuf,
) -> Result<SealedImage, ImageError> {
    let stem = format!("{}-{}", recipe.name, &sealed.digest.to_string()[..12]);
    let image = SealedImage {
        name: recipe.name.to_string(),
        path: out_dir.join(format!("{stem}.tar.zst")),
        digest: sealed.digest,
        compressed: sealed.compressed,
        unpacked: sealed.unpacked,
        packages: sealed.packages,
        facts: sealed.facts,
        recipe: recipe.text.clone(),
        log,
    };
    let doing = || ImageError::io(format!("keeping {}", image.path.display()));
    let json = serde_json::to_vec_pretty(&image).map_err(std::io::Error::from).map_err(doing())?;
    write_whole(out_dir, &format!("{stem}.json"), 0o644, &json).map_err(doing())?;
    partial.file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644)).map_err(doing())?;
    partial.finish(&format!("{stem}.tar.zst")).map_err(doing())?;
    sync_directory(out_dir).map_err(doing())?;
    Ok(image)
}

fn check_keyring(recipe: &Recipe) -> Result<(), ImageError> {
    let Base::Archive(ArchiveBase { keyring, .. }) = &recipe.base else { return Ok(()) };
    if Path::new(keyring).is_file() {
        return Ok(());
    }
    Err(ImageError::Io {
        doing: format!(
            "the keyring {keyring} is not there (run `apt-get install debian-archive-keyring`, or correct `keyring` in the recipe)"
        ),
        source: std::io::ErrorKind::NotFound.into(),
    })
}

fn run(
    command: &mut Command,
    recipe: &Recipe,
    log: &Path,
    partial: &Partial,
    progress: BuildProgress<'_>,
) -> Result<Sealed, ImageError> {
    let mut hooks = 0;
    let stage_of = |line: &str| stage_of_line(line, recipe, &mut hooks);
    let Ended { status, taken: sealed, story } =
        mmdebstrap::run(command, log, progress, stage_of, |tar| seal(tar, BufWriter::new(partial.file())))?;
    if status.success() {
        return sealed
            .map_err(ImageError::io(format!("sealing the image (is the disk of {} full?)", log.display())));
    }
    let reason = match (&story.error, &sealed) {
        (Some(error), _) => error.clone(),
        (None, Err(error)) if error.kind() == std::io::ErrorKind::StorageFull => error.to_string(),
        (None, _) => format!("mmdebstrap ended with {status}"),
    };
    Err(ImageError::Build {
        hint: hint(&story.tail.join("\n"), &reason).to_owned(),
        stage: story.stage,
        reason,
        tail: story.tail.join("\n"),
        log: log.to_owned(),
    })
}

/// The stage that a line of mmdebstrap's begins, in words that follow "while", and how far that is. `hooks` counts
/// the scripts.
fn stage_of_line(line: &str, recipe: &Recipe, hooks: &mut usize) -> Option<(String, u8)> {
    let line = line.strip_prefix("I: ")?;
    if line.starts_with("running --setup-hook") && matches!(recipe.base, Base::Image(_)) {
        return Some(("unpacking the other image".to_owned(), 5));
    }
    // Each script is run by a hook that names its file.
    if line.starts_with("running --customize-hook") {
        let percent = 75 + u8::try_from((*hooks).min(9)).unwrap_or(0);
        *hooks += 1;
        if line.contains("/packages.sh") {
            return Some(("installing packages".to_owned(), 40));
        }
        if line.contains("/users.sh") {
            return Some(("making accounts".to_owned(), percent));
        }
        let number: usize = line.split("/script-").nth(1)?.split(".sh").next()?.parse().ok()?;
        let script = recipe.scripts.get(number)?;
        return Some((format!("running the script \"{}\"", script.name), percent));
    }
    let stages = [
        ("running apt-get update", "fetching package lists", 2),
        ("downloading packages", "downloading packages", 8),
        ("extracting archives", "extracting essential packages", 20),
        ("installing essential packages", "installing essential packages", 28),
        ("installing remaining packages", "installing packages", 40),
        ("cleaning package lists", "cleaning up", 85),
        ("creating tarball", "sealing the tarball", 88),
        ("success", "keeping the image", 99),
    ];
    let (_, stage, percent) = stages.into_iter().find(|(start, ..)| line.starts_with(start))?;
    Some((stage.to_owned(), percent))
}

/// The next thing to do, guessed from what was said.
fn hint(tail: &str, reason: &str) -> &'static str {
    let said = format!("{tail}\n{reason}");
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if let Some(hint) = mmdebstrap::common_hint(&said) {
        hint
    } else if has(&["Unable to locate package", "has no installation candidate", "couldn't be found"]) {
        "a package of the recipe does not exist in its mirrors: correct `packages`"
    } else if has(&["Operation not permitted", "unshare", "must be root"]) {
        "mmdebstrap may not make a chroot here: run the build as root"
    } else {
        "the end of the log says more"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn recipe(mirror: &str) -> Recipe {
        Recipe::parse(&format!(
            "name = \"t\"\nsuite = \"bookworm\"\narchitecture = \"amd64\"\nvariant = \"minbase\"\nkeyring = \
             \"/usr/share/keyrings/debian-archive-keyring.gpg\"\nmirrors = [\"{mirror}\"]\npackages = \
             [\"bash\"]\n[[scripts]]\nname = \"first\"\nrun = \"true\"\n"
        ))
        .unwrap()
    }

    #[test]
    fn the_stages_of_a_build_are_told_in_order() {
        let seen = Mutex::new(Vec::new());
        let said = "I: automatically chosen mode: root\nI: running apt-get update...\nI: downloading packages with \
                    apt...\nGet:1 something\nI: installing remaining packages inside the chroot...\nI: running \
                    --customize-hook in shell: sh -c 'chroot \"$1\" /bin/sh -e < '/w/script-0.sh''\nI: running \
                    --customize-hook in shell: sh -c 'y'\nE: it broke\nE: and so on\n";
        let mut log = Vec::new();
        let (recipe, mut hooks) = (recipe("http://m"), 0);
        let stage_of = |line: &str| stage_of_line(line, &recipe, &mut hooks);
        let story = mmdebstrap::listen(said.as_bytes(), &mut log, stage_of, &|stage, percent| {
            seen.lock().unwrap().push((stage.to_owned(), percent));
        });
        assert_eq!(log, said.as_bytes());
        assert_eq!(story.error.as_deref(), Some("it broke"));
        assert_eq!(story.stage, "running the script \"first\"");
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen.len(), 4);
        assert!(seen.is_sorted_by_key(|(_, percent)| *percent));
    }

    #[test]
    fn a_mirror_that_does_not_answer_is_an_error_with_a_next_step_and_leaves_only_the_log() {
        if crate::tool::MMDEBSTRAP.find().is_err() || !rustix::process::geteuid().is_root() {
            println!("skipped: needs mmdebstrap and root");
            return;
        }
        let out = tempfile::tempdir().unwrap();
        std::fs::create_dir(out.path().join(".t.old.partial")).unwrap();
        // Port 9 of the machine itself: refused at once, without a resolver.
        let recipe = recipe("deb http://127.0.0.1:9/debian bookworm main");
        let error = build(&recipe, None, out.path(), &|_, _| {}).unwrap_err().to_string();
        assert!(error.contains("while fetching package lists"), "{error}");
        assert!(error.contains("the mirror does not answer"), "{error}");
        let left: Vec<_> =
            std::fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["t.log"]);
    }

    /// Takes a minute and the network: `cargo test -p honcho-images -- --ignored`. The image is left in the directory
    /// that `HONCHO_IMAGES` names, if it does; `HONCHO_RECIPE` and `HONCHO_BASE` name another recipe, and the image that
    /// it is built upon.
    #[test]
    #[ignore = "builds a whole Debian from its mirrors"]
    fn the_real_recipe_builds() {
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let (kept, base) = (named("HONCHO_IMAGES"), named("HONCHO_BASE"));
        let temporary = tempfile::tempdir().unwrap();
        let out = kept.as_deref().unwrap_or(temporary.path());
        let recipe = named("HONCHO_RECIPE").unwrap_or_else(|| "../../recipes/debian-12.toml".into());
        let recipe = Recipe::read(&recipe).unwrap();
        let tell = |stage: &str, percent| println!("{percent:3} % {stage}");
        let image = build(&recipe, base.as_deref(), out, &tell).unwrap();
        println!("{} {} {} {}", image.path.display(), image.digest, image.compressed.0, image.unpacked.0);
        for wanted in ["systemd", "openssh-server", "linux-image-cloud-amd64"] {
            assert!(image.packages.iter().any(|package| package.name == wanted), "{wanted}");
        }
    }

    /// Of the smallest system there is, so that it takes a minute.
    const TWICE: &str = r#"
name = "twice"
suite = "bookworm"
architecture = "amd64"
variant = "minbase"
keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
mirrors = ["deb http://deb.debian.org/debian bookworm main"]
packages = ["openssh-server"]
clean = ["/usr/share/doc/*"]
[[files]]
path = "/etc/motd"
content = "equal"
[[users]]
name = "app"
groups = ["adm"]
[[scripts]]
name = "leave traces"
run = "date > /var/log/own.log; date > /etc/hostname; uuidgen > /etc/machine-id || date +%N > /etc/machine-id"
"#;

    #[test]
    #[ignore = "builds a small Debian twice from its mirrors, and another image upon it"]
    fn two_builds_of_one_recipe_are_equal() {
        let once = |recipe: &Recipe, base: Option<&Path>| {
            let out = tempfile::tempdir_in("/var/tmp").unwrap();
            let image = build(recipe, base, out.path(), &|_, _| {}).unwrap();
            let content = std::fs::read(&image.path).unwrap();
            (out, image, content)
        };
        let recipe = Recipe::parse(TWICE).unwrap();
        let (_kept, first, content) = once(&recipe, None);
        let (_, second, _) = once(&recipe, None);
        assert_eq!(first.digest, second.digest);
        let list = |content: &[u8]| -> Vec<(String, u64)> {
            let plain = zstd::decode_all(content).unwrap();
            let mut archive = tar::Archive::new(plain.as_slice());
            let entries = archive.entries().unwrap().map(Result::unwrap);
            entries.map(|entry| (entry.path().unwrap().display().to_string(), entry.size())).collect()
        };
        let names = list(&content);
        let has = |name: &str| names.iter().any(|(other, _)| other == name);
        assert!(names.contains(&("./etc/machine-id".to_owned(), 0)), "nobody's");
        assert!(has("./home/app/") && has("./etc/motd"));
        for gone in
            ["./etc/ssh/ssh_host_ed25519_key", "./var/log/own.log", "./etc/hostname", "./usr/share/doc/bash/"]
        {
            assert!(!has(gone), "{gone}");
        }
        let more =
            "name = \"more\"\nfrom = \"./x\"\npackages = [\"hello\"]\nmust_have = [\"/usr/bin/hello\"]\n";
        let more = Recipe::parse(more).unwrap();
        let (_, third, content) = once(&more, Some(&first.path));
        let (_, fourth, _) = once(&more, Some(&first.path));
        assert_eq!(third.digest, fourth.digest);
        assert_eq!(third.packages.len(), first.packages.len() + 1);
        assert!(list(&content).iter().any(|(name, _)| name == "./home/app/"), "what was in it still is");
    }

    #[test]
    #[ignore = "builds a small Debian by debootstrap from its mirrors"]
    fn debootstrap_builds_where_a_recipe_says_so() {
        let by_debootstrap = TWICE.replacen("variant =", "tool = \"debootstrap\"\nvariant =", 1);
        let recipe = Recipe::parse(&by_debootstrap).unwrap();
        let out = tempfile::tempdir_in("/var/tmp").unwrap();
        let image = build(&recipe, None, out.path(), &|_, _| {}).unwrap();
        let log = std::fs::read_to_string(&image.log).unwrap();
        assert!(log.contains("I: Base system installed successfully."), "{log}");
        let plain = zstd::decode_all(std::fs::File::open(&image.path).unwrap()).unwrap();
        let mut archive = tar::Archive::new(plain.as_slice());
        let mut names = std::collections::BTreeSet::new();
        let mut sources = String::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            if name == "./etc/apt/sources.list" {
                std::io::Read::read_to_string(&mut entry, &mut sources).unwrap();
            }
            names.insert(name);
        }
        assert!(
            names.contains("./home/app/")
                && names.contains("./etc/motd")
                && names.contains("./usr/bin/apt-get")
        );
        for gone in
            ["./debootstrap/", "./etc/ssh/ssh_host_ed25519_key", "./var/log/bootstrap.log", "./etc/hostname"]
        {
            assert!(!names.contains(gone), "{gone}");
        }
        assert!(sources.starts_with("deb http"), "{sources}");
        for package in ["apt", "bash", "dpkg"] {
            assert!(image.packages.iter().any(|one| one.name == package), "{package}");
        }
    }

    #[test]
    fn hints_fit_what_was_said() {
        assert!(hint("tar: x: No space left on device", "").contains("full"));
        assert!(hint("", "Unable to locate package x").contains("packages"));
        assert!(hint("E: Could not resolve 'deb.debian.org'", "").contains("mirror"));
    }
}
