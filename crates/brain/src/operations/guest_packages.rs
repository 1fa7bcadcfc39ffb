//! What a guest says that it has installed.

use super::packages;
use honcho_api::{GuestPackages, ImagePackage};
use honcho_model::GuestId;
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, guest_packages, guests};
use std::collections::HashSet;

/// What is wrong with a list of packages.
fn wrong(text: impl Into<String>) -> Refusal {
    Refusal::invalid("base", text)
}

/// Takes it down. It is an observation, as an agent's reports are: no event is written of it.
pub(crate) struct GuestPackagesReport {
    scope: Scope,
    id: GuestId,
    packages: Vec<ImagePackage>,
}

impl GuestPackagesReport {
    /// Reads dpkg's status file, which takes a while: before the turn to write has come.
    pub(crate) fn read(scope: Scope, id: GuestId, status: &str) -> Result<Self, Refusal> {
        let packages = once_each(packages::packages(honcho_images::parse_dpkg_status(status)));
        if packages.is_empty() {
            return Err(wrong("names no installed package: send /var/lib/dpkg/status"));
        }
        match packages::problem(&packages) {
            Some(problem) => Err(wrong(problem)),
            None => Ok(GuestPackagesReport { scope, id, packages }),
        }
    }
}

/// A machine has a package of a name once for each architecture: of more the last counts, as dpkg reads its file. Otherwise one guest
/// could say of a package that it has it in any number of versions.
fn once_each(mut packages: Vec<ImagePackage>) -> Vec<ImagePackage> {
    let mut seen = HashSet::new();
    packages.reverse();
    packages.retain(|one| seen.insert((one.name.clone(), one.architecture.clone())));
    packages.reverse();
    packages
}

impl Change for GuestPackagesReport {
    type Out = GuestPackages;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<GuestPackages> {
        let guest = guests::get(tx, self.scope, self.id, tx.now).await?;
        if guest.deleted_at.is_some() {
            return Err(Refusal::Gone("the guest is deleted".to_owned()).into());
        }
        guest_packages::report(tx, self.id, &self.packages).await?;
        let count = i64::try_from(self.packages.len()).unwrap_or(i64::MAX);
        let reported_at = jiff::Timestamp::from_microsecond(tx.now.0).unwrap_or_default();
        Ok(GuestPackages { guest_id: guest.id, count, reported_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_package_once_for_each_architecture() {
        let one = |version: &str, architecture: &str| ImagePackage {
            name: "hello".into(),
            version: version.into(),
            architecture: architecture.into(),
        };
        let told = vec![one("1", "amd64"), one("1", "i386"), one("2", "amd64")];
        assert_eq!(once_each(told), [one("1", "i386"), one("2", "amd64")]);
    }
}
