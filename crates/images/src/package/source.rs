//! The directory that a package is built from, as its `debian/` tells what it is.

use crate::error::ImageError;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A directory with `debian/` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSource {
    /// Where it is.
    pub directory: PathBuf,
    /// The source's name.
    pub name: String,
    /// The version that is to be built: the first of the changelog.
    pub version: String,
    /// The packages that `debian/control` names.
    pub packages: Vec<String>,
    /// The upstream's tarballs beside the directory, which a source in the form "3.0 (quilt)" is made with.
    pub tarballs: Vec<PathBuf>,
    /// Whether a source cannot be made without such a tarball.
    needs_tarball: bool,
}

/// What is read of a file of `debian/`: more is none that a person wrote.
const LONGEST: u64 = 16 << 20;

impl PackageSource {
    /// Looks at a directory.
    pub fn read(directory: &Path) -> Result<Self, ImageError> {
        let directory = directory.canonicalize().map_err(|error| {
            ImageError::Package(format!("there is no source in {}: {error}", directory.display()))
        })?;
        let shown = directory.display();
        let file = |name: &str| -> Result<String, ImageError> {
            let path = directory.join(name);
            let mut text = String::new();
            let read =
                std::fs::File::open(&path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
            read.map(|_| text).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                    ImageError::Package(format!("{shown} has no {name}: {}", next_step(&directory, name)))
                }
                _ => ImageError::Io { doing: format!("reading {}", path.display()), source: error },
            })
        };
        let control = file("debian/control")?;
        let changelog = file("debian/changelog")?;
        file("debian/rules")?;
        let first = changelog.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let (name, version) = heading(first).ok_or_else(|| {
            ImageError::Package(format!(
                "debian/changelog of {shown} begins with {first:?}, and not as in \"hello (2.10-3) stable; urgency=medium\": `dch` writes it"
            ))
        })?;
        let named = |field: &str| {
            let lines = control.lines().filter_map(|line| line.split_once(':'));
            lines
                .filter(|(key, _)| key.eq_ignore_ascii_case(field))
                .map(|(_, value)| value.trim().to_owned())
                .collect::<Vec<_>>()
        };
        if let Some(other) = named("Source").first().filter(|other| **other != name) {
            return Err(ImageError::Package(format!(
                "{shown}: debian/changelog is of {name}, and debian/control of {other}: correct one of them"
            )));
        }
        let packages = named("Package");
        if packages.is_empty() {
            return Err(ImageError::Package(format!("debian/control of {shown} names no Package")));
        }
        let format = match std::fs::read_to_string(directory.join("debian/source/format")) {
            Ok(text) => text.trim().to_owned(),
            Err(_) => String::new(),
        };
        let mut source = PackageSource {
            directory: directory.clone(),
            name,
            version,
            packages,
            tarballs: Vec::new(),
            needs_tarball: format == "3.0 (quilt)",
        };
        source.tarballs = source.tarballs_beside()?;
        Ok(source)
    }

    /// The version without its epoch, as in names of files.
    pub fn file_version(&self) -> &str {
        self.version.split_once(':').map_or(&self.version, |(_, rest)| rest)
    }

    /// The version without epoch and revision.
    fn upstream_version(&self) -> &str {
        let version = self.file_version();
        version.rsplit_once('-').map_or(version, |(upstream, _)| upstream)
    }

    /// What its directory is called while it is built, as by dpkg-source: of one version always the same, for compilers
    /// write it into what they make.
    pub fn directory_name(&self) -> String {
        format!("{}-{}", self.name, self.upstream_version())
    }

    /// Refuses what a source cannot be made of.
    pub(crate) fn check_tarball(&self) -> Result<(), ImageError> {
        if !self.needs_tarball || !self.tarballs.is_empty() {
            return Ok(());
        }
        let beside = self.directory.parent().unwrap_or(&self.directory).display();
        let name = format!("{}_{}.orig.tar.xz", self.name, self.upstream_version());
        Err(ImageError::Package(format!(
            "a source of \"3.0 (quilt)\" is made with the upstream's tarball, and {beside} holds no {name} (or .gz, .bz2): put it there (`origtargz`, or `git archive`), or make the packages alone with --build binary"
        )))
    }

    /// `NAME_UPSTREAM.orig.tar.*` and `NAME_UPSTREAM.orig-COMPONENT.tar.*`, with signatures.
    fn tarballs_beside(&self) -> Result<Vec<PathBuf>, ImageError> {
        let Some(beside) = self.directory.parent() else { return Ok(Vec::new()) };
        let start = format!("{}_{}.orig", self.name, self.upstream_version());
        let reading = || ImageError::io(format!("looking at {}", beside.display()));
        let mut found = Vec::new();
        for entry in std::fs::read_dir(beside).map_err(reading())? {
            let entry = entry.map_err(reading())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let rest = name.strip_prefix(&start).unwrap_or_default();
            if (rest.starts_with(".tar.") || (rest.starts_with('-') && rest.contains(".tar.")))
                && entry.path().is_file()
            {
                check_target(&entry.path(), beside)?;
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }
}

/// A tarball may be a link to another name beside it, as uscan makes it. What lies elsewhere is not put into a source.
fn check_target(tarball: &Path, beside: &Path) -> Result<(), ImageError> {
    let looking = || ImageError::io(format!("looking at {}", tarball.display()));
    let target = tarball.canonicalize().map_err(looking())?;
    if target.parent() == Some(beside) {
        return Ok(());
    }
    Err(ImageError::Package(format!(
        "{} is a link to {}, which is in another directory: put the tarball itself there",
        tarball.display(),
        target.display()
    )))
}

fn next_step(directory: &Path, missing: &str) -> &'static str {
    if directory.extension().is_some_and(|ending| ending == "dsc") {
        "unpack the source first (`dpkg-source -x FILE.dsc`) and name the directory"
    } else if missing == "debian/control" {
        "name the directory of a source that has one (`dh_make` begins one)"
    } else if missing == "debian/changelog" {
        "`dch --create` writes it"
    } else {
        "see dh(1) for the three lines that are enough"
    }
}

/// Name and version out of a changelog's first line (deb-changelog(5)).
fn heading(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.split_once(" (")?;
    let (version, rest) = rest.split_once(')')?;
    let good_name = name.len() >= 2
        && name.len() <= 100
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte);
    let good_version = version.len() <= 100
        && version.starts_with(|first: char| first.is_ascii_digit())
        && version.bytes().all(allowed)
        && !version.ends_with('-')
        && version.parse::<debversion::Version>().is_ok();
    (good_name && good_version && rest.contains(';')).then(|| (name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(directory: &Path, format: &str, changelog: &str) -> Result<PackageSource, ImageError> {
        let debian = directory.join("hello/debian");
        std::fs::create_dir_all(debian.join("source")).unwrap();
        std::fs::write(
            debian.join("control"),
            "Source: hello\nSection: misc\n\nPackage: hello\n\npackage: libhello1\n",
        )
        .unwrap();
        std::fs::write(debian.join("rules"), "").unwrap();
        std::fs::write(debian.join("source/format"), format).unwrap();
        std::fs::write(debian.join("changelog"), changelog).unwrap();
        PackageSource::read(&directory.join("hello"))
    }

    #[test]
    fn a_source_says_what_it_is() {
        let place = tempfile::tempdir().unwrap();
        let read = source(place.path(), "3.0 (native)\n", "\nhello (1:2.10~rc1-3+b1) stable; urgency=low\n")
            .unwrap();
        assert_eq!((read.name.as_str(), read.file_version()), ("hello", "2.10~rc1-3+b1"));
        assert_eq!(read.directory_name(), "hello-2.10~rc1");
        assert_eq!(read.packages, ["hello", "libhello1"]);
        assert!(read.check_tarball().is_ok());
    }

    #[test]
    fn what_is_missing_is_said_with_the_next_step() {
        let place = tempfile::tempdir().unwrap();
        let error = PackageSource::read(place.path()).unwrap_err().to_string();
        assert!(error.contains("has no debian/control: name the directory of a source"), "{error}");
        let error = PackageSource::read(&place.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("there is no source in"), "{error}");
        std::fs::write(place.path().join("hello_1.dsc"), "").unwrap();
        let error = PackageSource::read(&place.path().join("hello_1.dsc")).unwrap_err().to_string();
        assert!(error.contains("dpkg-source -x"), "{error}");
        for bad in [
            "hello",
            "Hello (1) x; y",
            "hello (../1) x; y",
            "hello (1-) x; y",
            "hello (a) x; y",
            "other (1) x; y",
        ] {
            let error = source(place.path(), "", &format!("{bad}\n")).unwrap_err().to_string();
            assert!(error.contains("debian/changelog"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_source_of_patches_needs_the_tarball_that_they_are_for() {
        let place = tempfile::tempdir().unwrap();
        let changelog = "hello (2.10-3) stable; urgency=low\n";
        let without = source(place.path(), "3.0 (quilt)\n", changelog).unwrap();
        let error = without.check_tarball().unwrap_err().to_string();
        assert!(error.contains("hello_2.10.orig.tar.xz") && error.contains("--build binary"), "{error}");
        for name in [
            "hello_2.10.orig.tar.gz",
            "hello_2.10.orig-data.tar.gz",
            "hello_2.1.orig.tar.gz",
            "hello_2.10.origin",
        ] {
            std::fs::write(place.path().join(name), "").unwrap();
        }
        let with = source(place.path(), "3.0 (quilt)\n", changelog).unwrap();
        let names: Vec<_> = with.tarballs.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["hello_2.10.orig-data.tar.gz", "hello_2.10.orig.tar.gz"]);
        assert!(with.check_tarball().is_ok());
    }

    #[test]
    fn a_tarball_may_be_a_link_to_what_is_beside_it_and_to_nothing_else() {
        let (place, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let changelog = "hello (2.10-3) stable; urgency=low\n";
        let link = place.path().join("hello_2.10.orig.tar.gz");
        std::fs::write(place.path().join("hello-2.10.tar.gz"), "").unwrap();
        std::os::unix::fs::symlink("hello-2.10.tar.gz", &link).unwrap();
        let with = source(place.path(), "3.0 (quilt)\n", changelog).unwrap();
        assert!(with.check_tarball().is_ok());
        std::fs::write(other.path().join("secret"), "").unwrap();
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(other.path().join("secret"), &link).unwrap();
        let error = source(place.path(), "3.0 (quilt)\n", changelog).unwrap_err().to_string();
        assert!(error.contains("in another directory"), "{error}");
    }
}
