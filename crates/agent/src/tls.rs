//! TLS towards the brain and between agents: the brain's own CA and nothing else is trusted.

use crate::identity::Identity;
use anyhow::{Context as _, anyhow};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The fingerprint of a CA in join tokens: lower-case hexadecimal SHA-256 of the certificate's DER.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex::encode(Sha256::digest(certificate))
}

/// The certificate in a PEM text.
pub fn certificate_of_pem(pem: &str) -> anyhow::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| anyhow!("not a PEM certificate: {error}"))
}

/// For everything after joining: the host's certificate is shown, and only the brain's CA is trusted.
pub fn mutual(identity: &Identity) -> anyhow::Result<ClientConfig> {
    let (roots, (chain, key)) = (roots(identity)?, own(identity)?);
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .context("key and certificate do not fit: have the host rejoined")?;
    // An agent has one brain; what is usual is room for sessions with many servers.
    config.resumption = Resumption::in_memory_sessions(1);
    Ok(config)
}

fn roots(identity: &Identity) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(certificate_of_pem(&identity.ca_certificate)?)
        .context("the brain's CA certificate is unusable")?;
    Ok(roots)
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own(identity: &Identity) -> anyhow::Result<Own> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<_, _>>()?;
    Ok((chain, PrivateKeyDer::from_pem_slice(identity.private_key.as_bytes())?))
}

fn verifier(identity: &Identity) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let roots = Arc::new(roots(identity)?);
    Ok(WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?)
}

/// For hearing other hosts' agents: each shows a certificate that its brain, which is ours too, gave to a host. Which host may
/// have what is the caller's to ask.
pub fn for_movers(identity: &Identity) -> anyhow::Result<ServerConfig> {
    let (chain, key) = own(identity)?;
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier(identity)?)
        .with_single_cert(chain, key)
        .context("key and certificate do not fit: have the host rejoined")
}

/// For fetching from another host's agent: it shows one of the certificates of these fingerprints, given to a host by our
/// brain. The certificate of a host is one for clients and names no server, so it is checked as a client's.
pub fn of_mover(identity: &Identity, named: &[String]) -> anyhow::Result<ClientConfig> {
    let (chain, key) = own(identity)?;
    let verifier = NamedHost { named: named.to_vec(), hosts: verifier(identity)?, provider: provider() };
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)
        .context("key and certificate do not fit: have the host rejoined")
}

/// What another agent is called in a handshake, where its certificate alone counts.
pub fn mover_name() -> ServerName<'static> {
    ServerName::IpAddress(std::net::IpAddr::from([0_u8; 4]).into())
}

/// Takes the certificates of hosts that are named.
#[derive(Debug)]
struct NamedHost {
    named: Vec<String>,
    hosts: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NamedHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.named.contains(&fingerprint(end_entity)) {
            let another = rustls::CertificateError::ApplicationVerificationFailure;
            return Err(rustls::Error::InvalidCertificate(another));
        }
        self.hosts.verify_client_cert(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// For joining by https: the server's chain must hold the CA whose fingerprint the token carries, and lead to it.
pub fn pinned(fingerprint: &str) -> anyhow::Result<ClientConfig> {
    let provider = provider();
    let verifier = PinnedCa { fingerprint: fingerprint.to_owned(), provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Trusts one CA, known by its fingerprint alone until the server has shown it.
#[derive(Debug)]
struct PinnedCa {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates
            .iter()
            .find(|certificate| fingerprint(certificate) == self.fingerprint)
            .ok_or(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::needless_pass_by_value, clippy::duration_suboptimal_units)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use std::time::Duration;

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn server(authority: &CertifiedIssuer<'static, KeyPair>) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec!["brain.example.net".to_owned()]).unwrap();
        params.signed_by(&KeyPair::generate().unwrap(), authority).unwrap().der().clone()
    }

    fn check(
        pinned: &CertificateDer<'_>,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &str,
    ) -> bool {
        let verifier = PinnedCa { fingerprint: fingerprint(pinned), provider: provider() };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(end, others, &name, &[], now).is_ok()
    }

    #[test]
    fn only_a_chain_to_the_pinned_authority_is_trusted() {
        let (ours, theirs) = (authority(), authority());
        let (our_ca, their_ca) = (ours.der().clone(), theirs.der().clone());
        let (our_server, their_server) = (server(&ours), server(&theirs));
        let own = std::slice::from_ref(&our_ca);
        assert!(check(&our_ca, &our_server, own, "brain.example.net"));
        assert!(
            !check(&our_ca, &our_server, own, "other.example.net"),
            "a name that the certificate does not carry"
        );
        assert!(!check(&our_ca, &our_server, &[], "brain.example.net"), "the authority was not shown");
        let theirs = std::slice::from_ref(&their_ca);
        assert!(!check(&our_ca, &their_server, theirs, "brain.example.net"), "another authority");
        let both = [their_ca, our_ca.clone()];
        assert!(
            !check(&our_ca, &their_server, &both, "brain.example.net"),
            "ours shown beside another's server"
        );
    }
}
