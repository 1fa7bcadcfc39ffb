//! The brain's certificate authority: made once, kept under `DIR/ca`, and the only one that agents trust.
//!
//! A client certificate says which host it was given to, but entitles to nothing by itself: the store knows the one
//! fingerprint that is good for each host, so revoking is forgetting.

use crate::listening::HTTP2;
use anyhow::Context as _;
use honcho_model::HostId;
use honcho_wire::BRAIN_SERVER_NAME;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// How long a host's certificate is good for; its agent renews it after two thirds of that.
const HOST_CERTIFICATE_DAYS: i64 = 90;

/// How long the brain's own server certificate is good for. It is made anew at every start.
const SERVER_CERTIFICATE_DAYS: i64 = 825;

/// The CA.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    certificate: CertificateDer<'static>,
}

/// A certificate that was just given out.
pub(crate) struct Issued {
    pub(crate) pem: String,
    /// Hex SHA-256 of its DER.
    pub(crate) fingerprint: String,
}

/// Hex SHA-256 of a certificate's DER.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex::encode(Sha256::digest(certificate))
}

/// The same of a certificate in a file.
pub(crate) fn fingerprint_of(path: &Path) -> anyhow::Result<String> {
    let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let certificate = CertificateDer::from_pem_slice(&pem)
        .with_context(|| format!("{} holds no certificate", path.display()))?;
    Ok(fingerprint(&certificate))
}

impl Authority {
    /// Reads the CA in `directory`, or makes one.
    pub(crate) fn open(directory: &Path, now: OffsetDateTime) -> anyhow::Result<Self> {
        let (key_path, certificate_path) = (directory.join("key.pem"), directory.join("certificate.pem"));
        if !certificate_path.exists() {
            std::fs::create_dir_all(directory)?;
            let key = KeyPair::generate()?;
            let certificate = authority_params(now)?.self_signed(&key)?;
            // The key first: a certificate without its key would be of no use, and is what says that the CA is there.
            write_durably(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
            write_durably(&certificate_path, certificate.pem().as_bytes(), 0o644)?;
        }
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
        };
        let certificate_pem = read(&certificate_path)?;
        let key = KeyPair::from_pem(&read(&key_path)?).context("the CA's key cannot be read")?;
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).context("the CA's certificate")?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Authority { issuer, certificate_pem, certificate })
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// What a join token carries, so that a machine knows its brain.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }

    /// Certifies the key in a request for a host. Nothing else of the request is used.
    pub(crate) fn certify_host(
        &self,
        request_pem: &str,
        host: HostId,
        now: OffsetDateTime,
    ) -> anyhow::Result<Issued> {
        let mut request = CertificateSigningRequestParams::from_pem(request_pem)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("host-{host}"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = validity(now, HOST_CERTIFICATE_DAYS);
        request.params = params;
        let certificate = request.signed_by(&self.issuer)?;
        Ok(Issued { pem: certificate.pem(), fingerprint: fingerprint(certificate.der()) })
    }

    /// TLS for agents: they show a certificate of ours, or are not let in.
    pub(crate) fn agents_tls(&self, now: OffsetDateTime) -> anyhow::Result<rustls::ServerConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
        let (chain, key) = self.server_certificate(vec![BRAIN_SERVER_NAME.to_owned()], now)?;
        let mut config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        // Agents hold their sessions themselves: what the server would remember of them is 256. Whether a certificate still
        // is good is asked of the store with every request, so that a session outlives no revocation.
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        // One connection carries all that an agent asks; a stream that is more than HTTP needs HTTP/1.1's upgrade.
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// TLS for people, on an address that is not loopback.
    pub(crate) fn people_tls(
        &self,
        names: Vec<String>,
        now: OffsetDateTime,
    ) -> anyhow::Result<rustls::ServerConfig> {
        let (chain, key) = self.server_certificate(names, now)?;
        Ok(rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?)
    }

    fn server_certificate(
        &self,
        names: Vec<String>,
        now: OffsetDateTime,
    ) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "Honcho brain");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = validity(now, SERVER_CERTIFICATE_DAYS);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| anyhow::anyhow!("server key: {error}"))?;
        Ok((vec![certificate.der().clone(), self.certificate.clone()], key))
    }
}

/// From an hour ago, for clocks that disagree, to so many days from now.
fn validity(now: OffsetDateTime, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    (now - Duration::hours(1), now + Duration::days(days))
}

fn authority_params(now: OffsetDateTime) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "Honcho CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(now, 3650);
    Ok(params)
}

/// Writes a small file so that it is whole or not there: a temporary name, fsync, rename, fsync of the directory.
pub(crate) fn write_durably(path: &Path, contents: &[u8], mode: u32) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    let directory = path.parent().context("a file needs a directory")?;
    let write = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(directory)?.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
