//! Certificates, as those who check them see them.

use super::*;
use rcgen::PublicKeyData as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::time::Duration as StdDuration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use x509_parser::prelude::FromDer as _;

/// Within the life of whatever is made here; TLS reads the real clock.
fn now() -> OffsetDateTime {
    let since = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    OffsetDateTime::from_unix_timestamp(since.as_second()).unwrap()
}

fn authority(directory: &Path, at: OffsetDateTime) -> Authority {
    Authority::open(directory, at).unwrap()
}

fn request() -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "host-1");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.serialize_request(&key).unwrap().pem().unwrap(), key)
}

fn verifier(authority: &Authority) -> Arc<dyn ClientCertVerifier> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap()
}

fn unix(at: OffsetDateTime) -> UnixTime {
    UnixTime::since_unix_epoch(StdDuration::from_secs(u64::try_from(at.unix_timestamp()).unwrap()))
}

#[test]
fn a_host_gets_a_certificate_of_its_own_for_ninety_days() {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority(&directory.path().join("ca"), now());
    let (text, key) = request();
    let issued = authority.certify_host(&text, HostId(42), now()).unwrap();
    let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
    assert_eq!(fingerprint(&der), issued.fingerprint);

    let (_, read) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
    assert_eq!(read.subject().to_string(), "CN=host-42", "nothing but the key is taken from the request");
    assert!(!read.is_ca() && read.subject_alternative_name().unwrap().is_none());
    assert_eq!(read.public_key().raw, key.subject_public_key_info());
    let until = OffsetDateTime::from_unix_timestamp(read.validity().not_after.timestamp()).unwrap();
    assert_eq!((until - now()).whole_days(), 90);

    let verifier = verifier(&authority);
    let check = |at| verifier.verify_client_cert(&der, &[], unix(at)).is_ok();
    assert!(check(now()) && check(now() + Duration::days(89)));
    assert!(check(now() - Duration::minutes(30)), "clocks disagree");
    assert!(!check(now() + Duration::days(91)) && !check(now() - Duration::days(1)));
}

#[test]
fn another_brains_certificates_are_good_for_nothing_here() {
    let directory = tempfile::tempdir().unwrap();
    let ours = authority(&directory.path().join("ours"), now());
    let theirs = authority(&directory.path().join("theirs"), now());
    let issued = theirs.certify_host(&request().0, HostId(1), now()).unwrap();
    let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
    assert!(verifier(&theirs).verify_client_cert(&der, &[], unix(now())).is_ok());
    assert!(verifier(&ours).verify_client_cert(&der, &[], unix(now())).is_err());
}

#[test]
fn a_request_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority(&directory.path().join("ca"), now());
    let (text, _) = request();
    let forged = {
        // One bit of the signature.
        let mut der = pem_body(&text);
        let last = der.len() - 1;
        der[last] ^= 1;
        format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der)
        )
    };
    for bad in ["", "hello", authority.certificate_pem(), &text[..text.len() / 2], &forged] {
        assert!(authority.certify_host(bad, HostId(1), now()).is_err(), "{bad}");
    }
}

fn pem_body(text: &str) -> Vec<u8> {
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap()
}

#[test]
fn an_authority_is_made_once_and_its_key_is_its_own() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca");
    let first = authority(&path, now()).fingerprint();
    let later = authority(&path, now() + Duration::days(400));
    assert_eq!(later.fingerprint(), first);
    let mode = std::fs::metadata(path.join("key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Killed between its key and its certificate: it starts anew.
    std::fs::remove_file(path.join("certificate.pem")).unwrap();
    let anew = authority(&path, now());
    assert_ne!(anew.fingerprint(), first);
    assert!(anew.certify_host(&request().0, HostId(1), now()).is_ok());
    // A damaged one is never replaced.
    std::fs::write(path.join("key.pem"), "gone").unwrap();
    assert!(Authority::open(&path, now()).is_err());
}

/// What a client says that looks for `name` at a server with this configuration, `identity` in hand.
async fn handshake(
    authority: &Authority,
    server: rustls::ServerConfig,
    name: &'static str,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<(), String> {
    let client = client(authority, identity);
    shake(Arc::new(server), client, name).await.map(|_| ())
}

fn client(
    authority: &Authority,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let client = rustls::ClientConfig::builder().with_root_certificates(roots);
    let client = match identity {
        Some((chain, key)) => client.with_client_auth_cert(chain, key).unwrap(),
        None => client.with_no_client_auth(),
    };
    Arc::new(client)
}

/// Meets and says hello. Gives how the two met, and whose certificate the server saw.
async fn shake(
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
    name: &'static str,
) -> Result<(rustls::HandshakeKind, Option<String>), String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(async move {
        let mut stream = tokio_rustls::TlsAcceptor::from(server).accept(far).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().map(fingerprint));
        stream.write_all(b"hello").await?;
        stream.shutdown().await?;
        std::io::Result::Ok(shown)
    });
    let connector = tokio_rustls::TlsConnector::from(client);
    let said = async {
        let mut stream = connector.connect(ServerName::try_from(name).unwrap(), near).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        std::io::Result::Ok((said, stream.get_ref().1.handshake_kind()))
    };
    let said = said.await.map_err(|error| error.to_string());
    let outcome = serving.await.unwrap();
    assert!(outcome.is_err() || said.is_ok());
    let (said, kind) = said?;
    assert_eq!(said, "hello");
    Ok((kind.unwrap(), outcome.unwrap()))
}

/// TLS reads the real clock, so what it checks has to be good now.
fn today() -> OffsetDateTime {
    let now = UnixTime::now().as_secs();
    OffsetDateTime::from_unix_timestamp(i64::try_from(now).unwrap()).unwrap()
}

#[tokio::test]
async fn people_are_served_under_the_names_they_use() {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority(&directory.path().join("ca"), today());
    let names = || vec!["10.0.0.1".to_owned(), "localhost".to_owned()];
    let tls = || authority.people_tls(names(), today()).unwrap();
    assert_eq!(handshake(&authority, tls(), "10.0.0.1", None).await, Ok(()));
    assert_eq!(handshake(&authority, tls(), "localhost", None).await, Ok(()));
    assert!(handshake(&authority, tls(), "elsewhere.example", None).await.is_err());
}

#[tokio::test]
async fn agents_are_served_only_with_a_certificate_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let ours = authority(&directory.path().join("ours"), today());
    let theirs = authority(&directory.path().join("theirs"), today());
    let identity = |authority: &Authority| {
        let (text, key) = request();
        let issued = authority.certify_host(&text, HostId(1), today()).unwrap();
        let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
        Some((vec![der], PrivateKeyDer::try_from(key.serialize_der()).unwrap()))
    };
    let tls = || ours.agents_tls(today()).unwrap();
    assert_eq!(handshake(&ours, tls(), BRAIN_SERVER_NAME, identity(&ours)).await, Ok(()));
    assert!(handshake(&ours, tls(), "localhost", identity(&ours)).await.is_err(), "no other name is served");
    assert!(handshake(&ours, tls(), BRAIN_SERVER_NAME, None).await.is_err(), "without one");
    assert!(handshake(&ours, tls(), BRAIN_SERVER_NAME, identity(&theirs)).await.is_err(), "of another brain");

    // Whoever comes back is spared the certificates, and is known by its own all the same.
    let (server, agent) = (Arc::new(tls()), client(&ours, identity(&ours)));
    let first = shake(server.clone(), agent.clone(), BRAIN_SERVER_NAME).await.unwrap();
    assert!(first.0 != rustls::HandshakeKind::Resumed && first.1.is_some(), "{first:?}");
    // More sessions than a server remembers by itself lie between.
    for _ in 0..300 {
        let other = client(&ours, identity(&ours));
        shake(server.clone(), other, BRAIN_SERVER_NAME).await.unwrap();
    }
    let again = shake(server, agent, BRAIN_SERVER_NAME).await.unwrap();
    assert_eq!(again, (rustls::HandshakeKind::Resumed, first.1));
}
