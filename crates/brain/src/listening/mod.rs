//! Accepting connections: plain, or over TLS, with the client's certificate put into each request.
//!
//! Whoever connects is a stranger. [`lobby`] bounds how many may be connected, [`guarded`] how long they may take. Agents,
//! which have shown a certificate, may ask several things at once over one connection ([`multiplexed`]).

mod guarded;
mod lobby;
mod multiplexed;

use crate::agents::PeerCertificate;
use crate::authority::fingerprint;
use crate::http::{Peer, without_json_suffix};
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use guarded::{Guarded, InFlight, PATIENCE, Peers, Phase};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
pub(crate) use lobby::Limits;
use lobby::{Lobby, Seat};
pub(crate) use multiplexed::HTTP2;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// How long a client may take for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long open requests may go on once we are told to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the other side may be without a sign of life: neither taking what is sent nor answering the kernel.
const GONE: Duration = Duration::from_mins(1);

/// The longest head of a request: a client's cookies and tokens fit many times.
const HEAD_BYTES: usize = 32 << 10;

/// How much hyper may hold of what is read or written on a connection.
const BUFFER_BYTES: usize = 64 << 10;

/// Connections of people and programs. One that waits takes some 15 KiB, over TLS some 50.
pub(crate) const PEOPLE: Limits = Limits { open: 8_192, waiting: 1_024 };

/// Connections of agents: one for each host, always in a long poll, and those that fetch an image or carry a console. Only
/// handshakes wait.
pub(crate) const AGENTS: Limits = Limits { open: 32_768, waiting: 1_024 };

/// Lets this process hold as many connections as it ever may: what is usual is 1,024 files.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(1 << 20, |maximum| maximum.min(1 << 20));
    if current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// Serves `router` until `ending`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    limits: Limits,
    ending: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let connections = TaskTracker::new();
    let lobby = Lobby::new(limits);
    let mut full = false;
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
        notice_when_gone(&stream);
        let Some(seat) = lobby.admit() else {
            if !std::mem::replace(&mut full, true) {
                tracing::warn!(open = limits.open, "every connection is at work: new ones are refused");
            }
            if acceptor.is_none() {
                // Into an empty buffer: it fits, or the connection is broken anyway.
                let _ = stream.try_write(&guarded::refusal(StatusCode::SERVICE_UNAVAILABLE));
            }
            continue;
        };
        full = false;
        let (router, acceptor, ending) = (router.clone(), acceptor.clone(), ending.clone());
        connections.spawn(async move {
            match acceptor {
                None => {
                    let phase = Phase::new(seat, Peers::Strangers);
                    connection(stream, phase, peer, None, router, ending).await;
                }
                Some(acceptor) => over_tls(stream, seat, peer, acceptor, router, ending).await,
            }
        });
    }
    connections.close();
    // Long polls and followed logs are simply cut: whoever holds them comes back.
    let _ = tokio::time::timeout(FAREWELL, connections.wait()).await;
}

/// Has the kernel end a connection whose other side has vanished without a word: nothing else would tell, for what is sent to it
/// is taken into a buffer, and an agent's connection has no deadline between two requests.
fn notice_when_gone(stream: &TcpStream) {
    use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
    let most = u32::try_from(GONE.as_millis()).unwrap_or(u32::MAX);
    // It was just accepted, and one that has ended since needs none of this.
    let _ = set_tcp_user_timeout(stream, most)
        .and_then(|()| set_tcp_keepidle(stream, GONE))
        .and_then(|()| set_socket_keepalive(stream, true));
}

async fn over_tls(
    stream: TcpStream,
    seat: Seat,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    ending: CancellationToken,
) {
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
        () = seat.gives_way.cancelled() => return,
        () = ending.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let tls = stream.get_ref().1;
            let multiplexed = tls.alpn_protocol() == Some(HTTP2);
            let certificate = tls.peer_certificates().and_then(|chain| chain.first());
            let certificate = certificate.map(|certificate| PeerCertificate(fingerprint(certificate)));
            let peers = if certificate.is_some() { Peers::Proven } else { Peers::Strangers };
            let phase = Phase::new(seat, peers);
            if multiplexed {
                multiplexed::connection(stream, phase, peer, certificate, router, ending).await;
            } else {
                connection(stream, phase, peer, certificate, router, ending).await;
            }
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

/// Serves one connection that nobody accepted.
pub(crate) async fn serve_one(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let Some(seat) = Lobby::new(PEOPLE).admit() else { return };
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let phase = Phase::new(seat, Peers::Strangers);
    connection(stream, phase, nowhere, None, router, CancellationToken::new()).await;
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    phase: Arc<Phase>,
    peer: SocketAddr,
    certificate: Option<PeerCertificate>,
    router: Router,
    ending: CancellationToken,
) {
    let stream = TokioIo::new(Guarded::new(stream, phase.clone(), PATIENCE));
    let service = service(phase.clone(), peer, certificate, router);
    let mut builder = http1::Builder::new();
    builder.max_header_size(HEAD_BYTES).max_buf_size(BUFFER_BYTES);
    let mut connection = std::pin::pin!(builder.serve_connection(stream, service).with_upgrades());
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = phase.gives_way() => {
            tracing::debug!(%peer, "a connection on which nothing came gave way to others");
            return;
        }
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}

/// What is told of each request on a connection, and what becomes of its answer.
fn service(
    phase: Arc<Phase>,
    peer: SocketAddr,
    certificate: Option<PeerCertificate>,
    router: Router,
) -> impl hyper::service::Service<
    hyper::Request<Incoming>,
    Response = hyper::Response<Answer>,
    Error = Infallible,
    Future: Send,
> {
    hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let in_flight = phase.begin(!hyper::body::Body::is_end_stream(request.body()));
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        if let Some(uri) = without_json_suffix(request.uri()) {
            *request.uri_mut() = uri;
        }
        let answer = router.clone().oneshot(request);
        async move {
            let response = answer.await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                in_flight.hand_over();
            }
            Ok(response.map(|body| Answer { body, _in_flight: in_flight }))
        }
    })
}

/// The body of an answer, which says when it has been sent.
struct Answer {
    body: Body,
    _in_flight: InFlight,
}

impl hyper::body::Body for Answer {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
