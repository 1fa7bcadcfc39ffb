//! Reads dpkg's list of what is installed.

use serde::{Deserialize, Serialize};

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// As in `openssh-server`.
    pub name: String,
    /// As in `1:9.2p1-2+deb12u10`.
    pub version: String,
    /// As in `amd64` or `all`.
    pub architecture: String,
}

/// The installed packages in the text of `/var/lib/dpkg/status`, by name. Stanzas that lack a field or are not
/// installed are left out: the text comes out of an image, and whatever it holds must not stop or mislead the build.
pub fn parse_dpkg_status(text: &str) -> Vec<Package> {
    let mut packages: Vec<Package> = text.split("\n\n").filter_map(package_of_stanza).collect();
    packages.sort();
    packages
}

fn package_of_stanza(stanza: &str) -> Option<Package> {
    // A line that starts with a blank continues the one before; fields are told apart by a letter in column one.
    let field = |name: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
            .filter(|value| !value.is_empty())
    };
    let installed = field("Status")?.split(' ').next_back() == Some("installed");
    let own = |text: &str| text.to_owned();
    installed.then_some(())?;
    Some(Package {
        name: own(field("Package")?),
        version: own(field("Version")?),
        architecture: own(field("Architecture")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_listed_and_others_are_not() {
        let text = "Package: zsh\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.9-4\nDescription: a\n \
                    Version: 9\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: \
                    1\n\nnonsense\n\nPackage: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: all\n";
        let seen: Vec<String> = parse_dpkg_status(text)
            .into_iter()
            .map(|package| format!("{} {} {}", package.name, package.version, package.architecture))
            .collect();
        assert_eq!(seen, ["bash 5.2 all", "zsh 5.9-4 amd64"]);
    }
}
