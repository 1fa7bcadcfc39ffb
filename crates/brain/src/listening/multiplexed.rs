//! A connection that carries several requests at once: HTTP/2, for agents.
//!
//! An agent always has a long poll open and reports beside it. In HTTP/1.1 that is two connections, each with its TLS session, its
//! buffers and its open file on both sides. What [`guarded`](super::guarded) does against strangers is not needed: whoever
//! is here has shown a certificate of ours, and its host can be barred.

use super::guarded::Phase;
use super::{HEAD_BYTES, service};
use crate::agents::PeerCertificate;
use axum::Router;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// As TLS names it (RFC 9113, 3.1).
pub(crate) const HTTP2: &[u8] = b"h2";

/// What an agent asks at once: a manifest, a report, a certificate; and room for what a next version may ask.
const STREAMS: u32 = 16;

/// So much of an answer waits in memory for an agent that reads slowly.
const SEND_BYTES: usize = 64 << 10;

/// Serves one connection.
pub(super) async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    phase: Arc<Phase>,
    peer: SocketAddr,
    certificate: Option<PeerCertificate>,
    router: Router,
    ending: CancellationToken,
) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(SEND_BYTES)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX));
    let service = service(phase.clone(), peer, certificate, router);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = phase.gives_way() => return,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AGENTS, serve};
    use super::*;
    use crate::authority::Authority;
    use crate::http::Peer;
    use axum::Extension;
    use axum::routing::get;
    use honcho_model::HostId;
    use honcho_wire::BRAIN_SERVER_NAME;
    use reqwest::Version;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tokio::sync::Notify;

    /// A client with a certificate of a host.
    fn client(authority: &Authority, at: SocketAddr, spoken: &[u8]) -> reqwest::Client {
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap();
        let now = time::OffsetDateTime::from_unix_timestamp(now).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::new(vec![]).unwrap().serialize_request(&key).unwrap();
        let issued = authority.certify_host(&request.pem().unwrap(), HostId(1), now).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap()];
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let mut tls = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        tls.alpn_protocols = vec![spoken.to_vec()];
        reqwest::Client::builder()
            .no_proxy()
            .resolve(BRAIN_SERVER_NAME, at)
            .tls_backend_preconfigured(tls)
            .build()
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_asked_beside_a_long_poll_needs_no_connection_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let now =
            time::OffsetDateTime::from_unix_timestamp(i64::try_from(UnixTime::now().as_secs()).unwrap());
        let authority = Authority::open(&directory.path().join("ca"), now.unwrap()).unwrap();
        let (news, polled) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (heard, said) = (news.clone(), polled.clone());
        let router = Router::new()
            .route("/port", get(async |Extension(Peer(peer)): Extension<Peer>| peer.port().to_string()))
            .route(
                "/poll",
                get(async move |Extension(Peer(peer)): Extension<Peer>| {
                    said.notify_one();
                    heard.notified().await;
                    peer.port().to_string()
                }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let tls = Some(Arc::new(authority.agents_tls(now.unwrap()).unwrap()));
        let ending = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, tls, router, AGENTS, ending.clone()));
        let url = |path: &str| format!("https://{BRAIN_SERVER_NAME}:{}/{path}", at.port());

        let http1 = b"http/1.1".as_slice();
        for (spoken, version, together) in [(HTTP2, Version::HTTP_2, true), (http1, Version::HTTP_11, false)]
        {
            let client = client(&authority, at, spoken);
            let poll = tokio::spawn(client.get(url("poll")).send());
            polled.notified().await;
            let port = async || client.get(url("port")).send().await.unwrap().text().await.unwrap();
            let ports = [port().await, port().await];
            news.notify_one();
            let answer = poll.await.unwrap().unwrap();
            assert_eq!(answer.version(), version);
            let polled_from = answer.text().await.unwrap();
            assert_eq!(ports.map(|port| port == polled_from), [together; 2], "{version:?}");
        }

        // A brain that ends does not wait until there are news for everybody.
        let client = client(&authority, at, HTTP2);
        let poll = tokio::spawn(client.get(url("poll")).send());
        polled.notified().await;
        ending.cancel();
        tokio::time::timeout(Duration::from_secs(20), serving).await.unwrap().unwrap();
        poll.abort();
    }
}
