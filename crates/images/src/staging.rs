//! What mmdebstrap is given of a recipe: files, scripts, and the arguments that name them.

use crate::debootstrap;
use crate::error::ImageError;
use crate::recipe::{ArchiveBase, Base, Bootstrap, FileContent, Recipe, RecipeFile, RecipeUser};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// What the recipe brings, where mmdebstrap finds it.
pub(crate) struct Staged {
    /// The hook that makes a system before anything else, where mmdebstrap does not.
    base: Option<String>,
    /// apt's sources.
    sources: PathBuf,
    files: PathBuf,
    /// What is installed in another image, and the accounts; both may be none.
    preparing: Vec<PathBuf>,
    scripts: Vec<PathBuf>,
    /// What is deleted in the end.
    cleaning: PathBuf,
}

pub(crate) fn stage(recipe: &Recipe, base: Option<&Path>, work: &Path) -> Result<Staged, ImageError> {
    let writing = || ImageError::io("writing the recipe's files");
    let base = match (&recipe.base, base) {
        (Base::Archive(archive), _) => match archive.tool {
            Bootstrap::Mmdebstrap => None,
            Bootstrap::Debootstrap => Some(debootstrap::hook(archive)?),
        },
        (Base::Image(_), None) => {
            return Err(ImageError::Base("the image that it is built upon was not given".to_owned()));
        }
        (Base::Image(_), Some(tarball)) => {
            let plain = work.join("base.tar");
            let file = std::fs::File::create(&plain).map_err(writing())?;
            let repacked = crate::import::repack(tarball, work, BufWriter::with_capacity(1 << 20, file));
            repacked.map_err(|error| ImageError::Base(format!("{} {error}", tarball.display())))?;
            let tar = "tar -C \"$1\" --xattrs --xattrs-include='*' -p --numeric-owner -xf";
            Some(format!("{tar} {}", quoted(&plain)))
        }
    };
    let script = |name: &str, text: &str| -> Result<PathBuf, ImageError> {
        let path = work.join(name);
        std::fs::write(&path, text).map_err(writing())?;
        Ok(path)
    };
    let sources = recipe.sources.iter().map(|source| {
        let path = format!("/etc/apt/sources.list.d/{}.sources", source.name);
        RecipeFile { path, mode: 0o644, content: FileContent::Text(source.text()) }
    });
    let mut sources: Vec<RecipeFile> = sources.collect();
    let by_debootstrap = by_debootstrap(recipe);
    if let Some(archive) = by_debootstrap {
        let content = FileContent::Text(debootstrap::sources_list(archive));
        sources.push(RecipeFile { path: "/etc/apt/sources.list".to_owned(), mode: 0o644, content });
    }
    let sources = put_into_tar(recipe, work, "sources.tar", &sources)?;
    let files = put_into_tar(recipe, work, "files.tar", &recipe.files)?;
    let mut preparing = Vec::new();
    if let Some(archive) = by_debootstrap {
        preparing.push(script("upgrade.sh", &upgrading(archive))?);
    }
    if base.is_some() && !recipe.packages.is_empty() {
        let of_one_moment = by_debootstrap.is_some_and(|archive| archive.of_one_moment);
        preparing.push(script("packages.sh", &installing(&recipe.packages, of_one_moment))?);
    }
    if !recipe.users.is_empty() {
        preparing.push(script("users.sh", &recipe.users.iter().map(adding).collect::<String>())?);
    }
    let scripts = recipe.scripts.iter().enumerate();
    let scripts = scripts
        .map(|(number, it)| script(&format!("script-{number}.sh"), &it.run))
        .collect::<Result<_, _>>()?;
    let mut cleaning = TIDYING.to_owned();
    for path in &recipe.clean {
        // Quoted, but for what stands for any letters.
        let words = quoted(Path::new(path)).replace('*', "'*'");
        cleaning = cleaning + "rm -rf -- " + &words + "\n";
    }
    let cleaning = script("cleaning.sh", &cleaning)?;
    Ok(Staged { base, sources, files, preparing, scripts, cleaning })
}

/// Files of root's, of the recipe's time.
fn put_into_tar(
    recipe: &Recipe,
    work: &Path,
    name: &str,
    files: &[RecipeFile],
) -> Result<PathBuf, ImageError> {
    let path = work.join(name);
    let writing = || ImageError::io("writing the recipe's files");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).map_err(writing())?);
    for RecipeFile { path, mode, content } in files {
        let content = match content {
            FileContent::Text(text) => text.as_bytes().to_vec(),
            FileContent::Of(source) => std::fs::read(source)
                .map_err(ImageError::io(format!("the recipe's {path} is to be {}", source.display())))?,
        };
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(recipe.source_date_epoch);
        tar.append_data(&mut header, path.trim_start_matches('/'), content.as_slice()).map_err(writing())?;
    }
    tar.into_inner().and_then(|file| file.sync_all()).map_err(writing())?;
    Ok(path)
}

/// Installs packages in an image that has apt, from its own sources and the recipe's.
fn installing(packages: &[String], of_one_moment: bool) -> String {
    format!(
        "command -v apt-get > /dev/null || {{ echo 'E: the image has no apt: install what it needs by a script' >&2; exit 1; }}\n\
         {update}{apt} --no-install-recommends install {packages}\n",
        update = updating(of_one_moment),
        apt = APT,
        packages = packages.join(" ")
    )
}

/// What mirrors besides the first have newer.
fn upgrading(base: &ArchiveBase) -> String {
    format!("{}{APT} dist-upgrade\n", updating(base.of_one_moment))
}

const APT: &str = "apt-get -q -y -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold";

fn updating(of_one_moment: bool) -> String {
    let lapsed = if of_one_moment { " -o Acquire::Check-Valid-Until=false" } else { "" };
    format!("apt-get -q -o Acquire::Retries=3{lapsed} update\n")
}

/// The archive, where debootstrap makes a system of it.
fn by_debootstrap(recipe: &Recipe) -> Option<&ArchiveBase> {
    match &recipe.base {
        Base::Archive(archive) if archive.tool == Bootstrap::Debootstrap => Some(archive),
        _ => None,
    }
}

/// Makes an account. Without a password nobody logs in to it by one.
fn adding(user: &RecipeUser) -> String {
    let RecipeUser { name, uid, system, shell, groups } = user;
    let home = if *system { "--system" } else { "--create-home" };
    let uid = uid.map(|uid| format!(" --uid {uid}")).unwrap_or_default();
    let groups = if groups.is_empty() { String::new() } else { format!(" --groups {}", groups.join(",")) };
    format!("useradd --shell {shell} {home}{uid}{groups} {name}\n")
}

/// Before what a hook runs in the chroot: it gets no open file but its input and output. mmdebstrap leaves its hooks the socket
/// by which they have it read and write files of the machine, as root. perl is there because of mmdebstrap; dash cannot name
/// files above 9.
pub(crate) const CLOSED: &str =
    "perl -e 'use POSIX; POSIX::close($_) for 3..1023; exec {$ARGV[0]} @ARGV or die $!'";

/// A hook that runs a script in the chroot, as root.
pub(crate) fn in_chroot(script: &Path) -> String {
    format!("{CLOSED} chroot \"$1\" /bin/sh -e < {}", quoted(script))
}

/// Has names looked up in a chroot that was unpacked as they are on this machine.
pub(crate) fn resolver() -> String {
    format!(
        "{CLOSED} chroot \"$1\" /bin/sh -ec 'rm -f /etc/resolv.conf; cat > /etc/resolv.conf' < /etc/resolv.conf"
    )
}

/// What belongs to one machine or one moment goes from every image, whatever its recipe says; so does what apt and dpkg
/// wrote for this chroot alone.
const TIDYING: &str = "\
rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap /etc/apt/apt.conf.d/99mmdebstrap
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed /etc/hostname /etc/resolv.conf
if [ -d /etc ]; then : > /etc/machine-id; fi
rm -rf /var/cache/ldconfig/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/lib/apt/lists/*
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid- /root/.bash_history
if [ -d /var/log ]; then find /var/log -type f -delete; fi
";

/// mmdebstrap's arguments. The tarball goes to its standard output.
pub(crate) fn arguments(recipe: &Recipe, staged: &Staged) -> Vec<String> {
    let mut arguments = vec!["--format=tar".to_owned(), "--aptopt=DPkg::Lock::Timeout \"600\"".to_owned()];
    arguments.push("--aptopt=Acquire::Retries \"3\"".to_owned());
    let tar_in = |kind: &str, tar: &Path| format!("--{kind}-hook=tar-in {} /", quoted(tar));
    let script_in = |script: &Path| format!("--customize-hook={}", in_chroot(script));
    match &recipe.base {
        Base::Archive(base) if staged.base.is_none() => {
            arguments.push(format!("--variant={}", base.variant.as_str()));
            arguments.push(format!("--architectures={}", base.architecture));
            arguments.push(format!("--keyring={}", base.keyring));
            if base.of_one_moment {
                arguments.push("--aptopt=Acquire::Check-Valid-Until \"false\"".to_owned());
            }
            // The recipe's own configuration files are there before the packages that bring defaults for them.
            arguments.push("--dpkgopt=force-confold".to_owned());
            if !recipe.sources.is_empty() {
                arguments.push(tar_in("setup", &staged.sources));
            }
            arguments.push(tar_in("essential", &staged.files));
            if !recipe.packages.is_empty() {
                arguments.push(format!("--include={}", recipe.packages.join(",")));
            }
        }
        Base::Archive(_) | Base::Image(_) => {
            arguments.push("--variant=custom".to_owned());
            arguments.push("--skip=update".to_owned());
            arguments.extend(staged.base.as_ref().map(|base| format!("--setup-hook={base}")));
            // mmdebstrap's own was laid over: by the image's, which has none.
            arguments.push(format!("--customize-hook={}", resolver()));
            arguments.push(tar_in("customize", &staged.sources));
            arguments.push(tar_in("customize", &staged.files));
        }
    }
    arguments.extend(staged.preparing.iter().chain(&staged.scripts).map(|script| script_in(script)));
    // mmdebstrap keeps apt's configuration for this chroot in the chroot's /tmp. Without it, its last step would
    // clean the lists and caches of the machine that builds.
    arguments.push(
        "--customize-hook=test -s \"$MMDEBSTRAP_APT_CONFIG\" || { echo 'E: a script of the recipe emptied /tmp; leave \
         /tmp alone, it is emptied by itself' >&2; exit 1; }"
            .to_owned(),
    );
    arguments.push(script_in(&staged.cleaning));
    match &recipe.base {
        Base::Archive(base) if staged.base.is_none() => {
            arguments.push(base.suite.clone());
            arguments.push("-".to_owned());
            arguments.extend(base.mirrors.iter().cloned());
        }
        // No suite, and no mirror but the system's own.
        Base::Archive(_) | Base::Image(_) => arguments.extend(["", "-", ""].map(str::to_owned)),
    }
    arguments
}

/// A path as one word of a shell.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word_of_a_shell() {
        assert_eq!(quoted(Path::new("/a b/it's")), "'/a b/it'\\''s'");
    }

    #[test]
    fn scripts_of_a_recipe_have_no_open_file_of_mmdebstraps() {
        let recipe = "name = \"t\"\nfrom = \"./x\"\npackages = [\"hello\"]\n[[scripts]]\nname = \"first\"\nrun = \"true\"\n";
        let recipe = Recipe::parse(recipe).unwrap();
        let file = |name: &str| PathBuf::from(format!("/w/{name}"));
        let staged = Staged {
            base: Some("tar -xf '/w/base.tar'".to_owned()),
            sources: file("sources.tar"),
            files: file("files.tar"),
            preparing: vec![file("packages.sh")],
            scripts: vec![file("script-0.sh")],
            cleaning: file("cleaning.sh"),
        };
        let arguments = arguments(&recipe, &staged);
        let hooks =
            arguments.iter().filter_map(|argument| argument.split_once("-hook=")).map(|(_, hook)| hook);
        let inside: Vec<&str> = hooks.filter(|hook| hook.contains("chroot \"$1\"")).collect();
        assert_eq!(inside.len(), 4);
        for hook in inside {
            assert!(hook.starts_with(CLOSED), "{hook}");
        }
    }
}
