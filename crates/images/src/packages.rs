//! Package lists of images: compared with each other, with what is asked for, and with what mirrors have by now.
//!
//! Versions are compared as dpkg does, by the `debversion` crate. One that is none of Debian's compares with nothing.

use crate::debian::Package;
use crate::recipe::{AptSource, ArchiveBase};
use crate::tool::{Tool, ToolMissing, last_lines};
use debversion::Version;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

/// Which of two versions is newer.
pub fn compare(a: &str, b: &str) -> Option<Ordering> {
    Some(a.parse::<Version>().ok()?.cmp(&b.parse::<Version>().ok()?))
}

/// A package, and which versions of it: `openssl<3.0.15`, or `openssl` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The package.
    pub name: String,
    version: Option<(Relation, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

/// Why a text is no requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no package with a version, as in openssl<3.0.15 (also <=, =, >=, >)")]
pub struct RequirementError(String);

impl std::str::FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let bad = || RequirementError(text.chars().take(200).collect());
        let at = text.find(['<', '=', '>']).unwrap_or(text.len());
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        if name.len() < 2 || name.len() > 200 || !name.chars().all(fits) {
            return Err(bad());
        }
        let name = name.to_owned();
        if rest.is_empty() {
            return Ok(Requirement { name, version: None });
        }
        // Debian writes << and >> where people write < and >.
        let relations = [
            ("<<", Relation::Earlier),
            ("<=", Relation::EarlierOrEqual),
            (">>", Relation::Later),
            (">=", Relation::LaterOrEqual),
            ("<", Relation::Earlier),
            ("=", Relation::Equal),
            (">", Relation::Later),
        ];
        let (relation, version) = relations
            .into_iter()
            .find_map(|(sign, relation)| Some((relation, rest.strip_prefix(sign)?.trim())))
            .ok_or_else(bad)?;
        version.parse::<Version>().map_err(|_| bad())?;
        Ok(Requirement { name, version: Some((relation, version.to_owned())) })
    }
}

impl Requirement {
    /// Whether a package of this name with this version is meant.
    pub fn fits(&self, version: &str) -> bool {
        let Some((relation, wanted)) = &self.version else { return true };
        compare(version, wanted).is_some_and(|order| match relation {
            Relation::Earlier => order.is_lt(),
            Relation::EarlierOrEqual => order.is_le(),
            Relation::Equal => order.is_eq(),
            Relation::LaterOrEqual => order.is_ge(),
            Relation::Later => order.is_gt(),
        })
    }
}

/// How a package differs between two lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// As in `amd64`.
    pub architecture: String,
    /// Its version in the first list.
    pub before: Option<String>,
    /// Its version in the second.
    pub after: Option<String>,
}

impl Difference {
    /// In a word.
    pub fn what(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some(before), Some(after)) => match compare(before, after) {
                Some(Ordering::Less) => "upgraded",
                Some(Ordering::Greater) => "downgraded",
                _ => "changed",
            },
        }
    }
}

/// What two lists do not share, by name.
pub fn differences(before: &[Package], after: &[Package]) -> Vec<Difference> {
    let by_name = |list: &[Package]| -> BTreeMap<(String, String), String> {
        list.iter().map(|it| ((it.name.clone(), it.architecture.clone()), it.version.clone())).collect()
    };
    let (before, mut after) = (by_name(before), by_name(after));
    let mut all: Vec<Difference> = before
        .into_iter()
        .map(|((name, architecture), version)| {
            let now = after.remove(&(name.clone(), architecture.clone()));
            Difference { name, architecture, before: Some(version), after: now }
        })
        .collect();
    let added = |((name, architecture), version)| Difference {
        name,
        architecture,
        before: None,
        after: Some(version),
    };
    all.extend(after.into_iter().map(added));
    all.retain(|difference| difference.before != difference.after);
    all.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    all
}

/// The newest version of each package, by name.
pub type Newest = BTreeMap<String, String>;

/// Those of a list of which there is a newer version.
pub fn outdated(installed: &[Package], newest: &Newest) -> Vec<Difference> {
    let newer = |package: &Package| {
        let now = newest.get(&package.name)?;
        (compare(&package.version, now)? == Ordering::Less).then(|| Difference {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            before: Some(package.version.clone()),
            after: Some(now.clone()),
        })
    };
    installed.iter().filter_map(newer).collect()
}

/// Why nobody knows what is newest.
#[derive(Debug, thiserror::Error)]
pub enum NewestError {
    /// apt is not installed.
    #[error(transparent)]
    Tool(#[from] ToolMissing),
    /// apt failed.
    #[error("apt could not read the mirrors: {0}")]
    Apt(String),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

const APT_GET: Tool = Tool { program: "apt-get", package: "apt" };

/// Asks mirrors for the newest versions, by apt, which checks their signatures; nothing of this machine's own apt is touched.
pub fn newest(base: &ArchiveBase, sources: &[AptSource]) -> Result<Newest, NewestError> {
    let directory = tempfile::tempdir()?;
    let root = directory.path();
    // apt reads as a user of its own.
    std::fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    for inside in ["etc/sources.list.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial"]
    {
        std::fs::create_dir_all(root.join(inside))?;
    }
    let mirrors = base.mirrors.iter().map(|mirror| match mirror.strip_prefix("deb ") {
        Some(_) => format!("{mirror}\n"),
        None => format!("deb {mirror} {} main\n", base.suite),
    });
    std::fs::write(root.join("etc/sources.list"), mirrors.collect::<String>())?;
    for source in sources {
        std::fs::write(root.join(format!("etc/sources.list.d/{}.sources", source.name)), source.text())?;
    }
    std::fs::write(root.join("state/status"), "")?;
    let apt = |arguments: &[&str]| -> Result<Vec<u8>, NewestError> {
        let mut command = Command::new(APT_GET.find()?);
        let at = |key: &str, inside: &str| format!("{key}={}", root.join(inside).display());
        let moment = if base.of_one_moment { "false" } else { "true" };
        for option in [
            at("Dir::Etc::SourceList", "etc/sources.list"),
            at("Dir::Etc::SourceParts", "etc/sources.list.d"),
            at("Dir::Etc::PreferencesParts", "etc/preferences.d"),
            at("Dir::State", "state"),
            at("Dir::State::status", "state/status"),
            at("Dir::Cache", "cache"),
            format!("Dir::Etc::Trusted={}", base.keyring),
            "Dir::Etc::TrustedParts=/dev/null".to_owned(),
            "Dir::Etc::Preferences=/dev/null".to_owned(),
            format!("APT::Architecture={}", base.architecture),
            format!("APT::Architectures::={}", base.architecture),
            format!("Acquire::Check-Valid-Until={moment}"),
            "Acquire::Languages=none".to_owned(),
            "Acquire::GzipIndexes=false".to_owned(),
            "Acquire::Retries=3".to_owned(),
            "APT::Update::Error-Mode=any".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        let output = command.args(arguments).env("LC_ALL", "C.UTF-8").output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(NewestError::Apt(last_lines(&String::from_utf8_lossy(&output.stderr))))
    };
    apt(&["-q", "update"])?;
    let files = apt(&["indextargets", "--format", "$(FILENAME)", "Created-By: Packages"])?;
    let mut newest = Newest::new();
    for file in String::from_utf8_lossy(&files).lines() {
        read_index(Path::new(file), &mut newest)?;
    }
    Ok(newest)
}

fn read_index(file: &Path, newest: &mut Newest) -> std::io::Result<()> {
    let (mut lines, mut line, mut name) =
        (BufReader::new(std::fs::File::open(file)?), String::new(), String::new());
    while lines.read_line(&mut line)? > 0 {
        if let Some(text) = line.strip_prefix("Package:") {
            text.trim().clone_into(&mut name);
        } else if let Some(version) = line.strip_prefix("Version:").map(str::trim) {
            let known = newest.get(&name);
            if known.is_none_or(|known| compare(known, version) == Some(Ordering::Less)) {
                newest.insert(name.clone(), version.to_owned());
            }
        }
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn package(name: &str, version: &str) -> Package {
        Package { name: name.to_owned(), version: version.to_owned(), architecture: "amd64".to_owned() }
    }

    #[test]
    fn requirements_are_read_as_people_write_them() {
        let check = |text: &str, version: &str| text.parse::<Requirement>().unwrap().fits(version);
        assert!(check("openssl<3.0.15", "3.0.14-1~deb12u2") && !check("openssl<3.0.15", "3.0.15"));
        assert!(check("openssl < 3.0.15", "3.0.15~rc1") && check("openssl<<3.0.15", "3.0.9"));
        assert!(check("openssl>=3.0.9", "3.0.15") && !check("openssl>=3.0.9", "3.0.9~1"));
        assert!(check("openssl>3", "1:0.1") && check("openssl<=1:1", "5") && check("openssl=3.0", "3.0"));
        assert!(check("openssl", "no version at all") && !check("openssl<3", "no version at all"));
        for bad in
            ["", "o", "<3", "OpenSSL<3", "openssl<", "openssl<>3", "open ssl<3", "openssl<a b", "x'y<1"]
        {
            assert!(bad.parse::<Requirement>().is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_are_compared() {
        let before = [package("a", "1"), package("b", "2"), package("c", "3"), package("same", "1")];
        let after = [package("b", "10"), package("c", "1"), package("d", "1"), package("same", "1")];
        let told: Vec<String> =
            differences(&before, &after).iter().map(|it| format!("{} {}", it.name, it.what())).collect();
        assert_eq!(told, ["a removed", "b upgraded", "c downgraded", "d added"]);
        let newest = [("a", "1"), ("b", "2.1"), ("c", "2")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let old: Vec<String> = outdated(&before, &newest).into_iter().map(|it| it.name).collect();
        assert_eq!(old, ["b"]);
    }

    #[test]
    fn an_index_is_read_for_its_newest_versions() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "Package: a\nVersion: 1.10\nDescription: x\n Version: 99\n\nPackage: a\nVersion: 1.9\n\nPackage: b\nVersion: 2:1\n";
        std::fs::write(file.path(), text).unwrap();
        let mut newest = Newest::new();
        read_index(file.path(), &mut newest).unwrap();
        assert_eq!(newest, [("a", "1.10"), ("b", "2:1")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    }

    /// By apt itself, from a repository that is a directory.
    #[test]
    fn mirrors_are_asked_by_apt() {
        if APT_GET.find().is_err() {
            println!("skipped: no apt");
            return;
        }
        let repository = tempfile::tempdir().unwrap();
        std::fs::set_permissions(repository.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let stanza = |version: &str| {
            format!(
                "Package: tool\nVersion: {version}\nArchitecture: amd64\nFilename: ./tool.deb\nSize: 1\nSHA256: {}\nDescription: x\n\n",
                "0".repeat(64)
            )
        };
        std::fs::write(repository.path().join("Packages"), stanza("1.9") + &stanza("1.10")).unwrap();
        let base = |path: &str| ArchiveBase {
            suite: "x".to_owned(),
            architecture: "amd64".to_owned(),
            tool: crate::recipe::Bootstrap::Mmdebstrap,
            variant: crate::recipe::Variant::Minbase,
            keyring: "/usr/share/keyrings/debian-archive-keyring.gpg".to_owned(),
            mirrors: vec![format!("deb [trusted=yes] file://{path} ./")],
            of_one_moment: false,
        };
        let found = newest(&base(repository.path().to_str().unwrap()), &[]).unwrap();
        assert_eq!(found, [("tool".to_owned(), "1.10".to_owned())].into());
        let error = newest(&base("/nowhere/at/all"), &[]).unwrap_err().to_string();
        assert!(error.contains("apt could not read the mirrors"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,30}", other in "[a-z0-9.:~+-]{0,12}") {
            let _ = text.parse::<Requirement>();
            let _ = compare(&text, &other);
            let _ = format!("openssl<{other}").parse::<Requirement>().map(|it| it.fits(&text));
        }
    }
}
