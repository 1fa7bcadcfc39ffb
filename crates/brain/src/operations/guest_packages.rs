//! What a guest says that it has installed.

use honcho_api::{GuestPackages, ImagePackage};
use honcho_model::GuestId;
use honcho_store::{Change, Refusal, Scope, StoreResult, Tx, guest_packages, guests};

/// So many packages a machine has at most.
const MOST: usize = 20_000;

/// The longest name, version or architecture.
const LONGEST: usize = 300;

/// Takes it down. It is an observation, as an agent's reports are: no event is written of it.
pub(crate) struct GuestPackagesReport {
    pub(crate) scope: Scope,
    pub(crate) id: GuestId,
    /// dpkg's status file.
    pub(crate) status: String,
}

impl Change for GuestPackagesReport {
    type Out = GuestPackages;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<GuestPackages> {
        let guest = guests::get(tx, self.scope, self.id, tx.now).await?;
        if guest.deleted_at.is_some() {
            return Err(Refusal::Gone("the guest is deleted".to_owned()).into());
        }
        let packages: Vec<ImagePackage> = honcho_images::parse_dpkg_status(&self.status)
            .into_iter()
            .map(|package| ImagePackage {
                name: package.name,
                version: package.version,
                architecture: package.architecture,
            })
            .collect();
        if packages.is_empty() {
            return Err(
                Refusal::invalid("base", "names no installed package: send /var/lib/dpkg/status").into()
            );
        }
        let fits = |text: &str| text.len() <= LONGEST && !text.chars().any(char::is_control);
        let strange = packages.iter().any(|package| {
            ![&package.name, &package.version, &package.architecture].into_iter().all(|text| fits(text))
        });
        if strange || packages.len() > MOST {
            let text = format!("has more than {MOST} packages, or one whose name or version is no line");
            return Err(Refusal::invalid("base", text).into());
        }
        guest_packages::report(tx, self.id, &packages).await?;
        let count = i64::try_from(packages.len()).unwrap_or(i64::MAX);
        let reported_at = jiff::Timestamp::from_microsecond(tx.now.0).unwrap_or_default();
        Ok(GuestPackages { guest_id: guest.id, count, reported_at })
    }
}
