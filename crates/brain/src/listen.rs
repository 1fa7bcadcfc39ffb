//! Accepting connections: plain, or over TLS, with the client's certificate put into each request.

use crate::agents::PeerCertificate;
use crate::authority::fingerprint;
use crate::http::{Peer, without_json_suffix};
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// How long a client may take for a TLS handshake or for the head of a request.
const SLOWEST_CLIENT: Duration = Duration::from_secs(20);

/// How long open requests may go on once we are told to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves `router` until `ending`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    ending: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let connections = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: what is open goes on, and some of it will close.
                    tracing::error!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = ending.cancelled() => break,
        };
        // Small answers should not wait for more to send.
        let _ = stream.set_nodelay(true);
        let (router, acceptor, ending) = (router.clone(), acceptor.clone(), ending.clone());
        connections.spawn(async move {
            match acceptor {
                None => connection(stream, peer, None, router, ending).await,
                Some(acceptor) => match tokio::time::timeout(SLOWEST_CLIENT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        let certificate =
                            stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                        let certificate =
                            certificate.map(|certificate| PeerCertificate(fingerprint(certificate)));
                        connection(stream, peer, certificate, router, ending).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
                },
            }
        });
    }
    connections.close();
    // Long polls and followed logs are simply cut: whoever holds them comes back.
    let _ = tokio::time::timeout(FAREWELL, connections.wait()).await;
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    certificate: Option<PeerCertificate>,
    router: Router,
    ending: CancellationToken,
) {
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        if let Some(uri) = without_json_suffix(request.uri()) {
            *request.uri_mut() = uri;
        }
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(SLOWEST_CLIENT);
    let mut connection =
        std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}
