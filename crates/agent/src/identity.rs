//! Who this machine is: its key, its certificate, its brain. One file, so that key and certificate always fit.

use crate::durable;
use anyhow::Context as _;
use honcho_model::HostId;
use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// The file's name in the data directory.
const FILE: &str = "identity.json";

/// Who this machine is.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The host's id.
    pub host_id: HostId,
    /// Its name when it joined, for people.
    pub host_name: String,
    /// The brain it joined.
    pub brain: Uuid,
    /// Where that brain hears agents: `HOST:PORT`.
    pub agents_address: String,
    /// The brain's CA certificate, PEM: the only one trusted.
    pub ca_certificate: String,
    /// The client certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM. Made here; it never leaves.
    pub private_key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("host_id", &self.host_id)
            .field("brain", &self.brain)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads it; `None` when the machine has not joined.
    pub fn load(data: &Path) -> anyhow::Result<Option<Self>> {
        let path = data.join(FILE);
        let contents = durable::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let Some(contents) = contents else { return Ok(None) };
        let identity = serde_json::from_slice(&contents).with_context(|| {
            format!(
                "{} is damaged: have the host rejoined with a new token (`honcho-agent join`)",
                path.display()
            )
        })?;
        Ok(Some(identity))
    }

    /// Keeps it.
    pub fn save(&self, data: &Path) -> anyhow::Result<()> {
        let path = data.join(FILE);
        let contents = serde_json::to_vec_pretty(self)?;
        durable::replace(&path, &contents).with_context(|| format!("cannot write {}", path.display()))
    }

    /// How long until the certificate should be renewed: two thirds of its life after it began.
    pub fn renewal_due_in(&self, now: SystemTime) -> anyhow::Result<Duration> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(self.certificate.as_bytes())
            .context("the certificate is not PEM: have the host rejoined")?;
        let certificate =
            pem.parse_x509().context("the certificate cannot be read: have the host rejoined")?;
        let validity = certificate.validity();
        let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let due = from.saturating_add(to.saturating_sub(from).max(0) / 3 * 2);
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let due = u64::try_from(due).unwrap_or(0);
        Ok(Duration::from_secs(due.saturating_sub(now)))
    }
}

/// Makes a private key (PEM).
pub fn new_private_key() -> anyhow::Result<String> {
    Ok(KeyPair::generate().context("cannot make a private key")?.serialize_pem())
}

/// A certificate request (PEM) for a key. The brain sets every name, so it carries none of meaning.
pub fn certificate_request(private_key: &str) -> anyhow::Result<String> {
    let key = KeyPair::from_pem(private_key).context("the private key cannot be read")?;
    let params = CertificateParams::new(Vec::new())?;
    let request = params.serialize_request(&key).context("cannot make a certificate request")?;
    Ok(request.pem()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::needless_pass_by_value, clippy::duration_suboptimal_units)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_due_after_two_thirds_and_the_key_is_kept_private() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 31);
        let identity = Identity {
            host_id: HostId(7),
            host_name: "rack1-7".into(),
            brain: Uuid::from_u128(1),
            agents_address: "127.0.0.1:7071".into(),
            ca_certificate: String::new(),
            certificate: params.self_signed(&key).unwrap().pem(),
            private_key: key.serialize_pem(),
        };
        let days = |days: u64| Duration::from_hours(days * 24);
        let new_year = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        let due = |now| identity.renewal_due_in(now).unwrap();
        assert_eq!(due(new_year + days(5)), days(15));
        assert_eq!(due(new_year + days(21)), Duration::ZERO);
        assert_eq!(due(SystemTime::UNIX_EPOCH - days(1)), due(SystemTime::UNIX_EPOCH));

        let directory = tempfile::tempdir().unwrap();
        assert!(Identity::load(directory.path()).unwrap().is_none());
        identity.save(directory.path()).unwrap();
        let mode = std::fs::metadata(directory.path().join(FILE)).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
        assert_eq!(Identity::load(directory.path()).unwrap().unwrap().private_key, identity.private_key);
        assert!(!format!("{identity:?}").contains("PRIVATE"));
    }
}
