//! Clients that are slow, broken or mean, over a pipe in memory, with little patience.

use super::super::lobby::{Limits, Lobby};
use super::*;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, sleep};

const SHORT: Patience = Patience {
    head: Duration::from_millis(300),
    unread: Duration::from_millis(300),
    linger: Duration::from_millis(300),
};

/// On a machine that does other things too.
const SOON: Duration = Duration::from_secs(5);

/// A connection to a server that answers everything with `answer`, reading no bodies.
fn connect(answer: &'static str) -> DuplexStream {
    let (client, server) = tokio::io::duplex(1 << 16);
    let lobby = Lobby::new(Limits { open: 8, waiting: 8 });
    let phase = Phase::new(lobby.admit().unwrap(), Peers::Strangers);
    let stream = TokioIo::new(Guarded::new(server, phase.clone(), SHORT));
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let in_flight = phase.begin(!hyper::body::Body::is_end_stream(request.body()));
        async move {
            drop(in_flight);
            Ok::<_, Infallible>(hyper::Response::new(axum::body::Body::from(answer)))
        }
    });
    tokio::spawn(async move {
        hyper::server::conn::http1::Builder::new()
            .max_header_size(32 << 10)
            .serve_connection(stream, service)
            .await
    });
    client
}

/// All that comes until the connection is closed, and when it was.
async fn told(client: &mut DuplexStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    (String::from_utf8(bytes).unwrap(), begun.elapsed())
}

fn check(told: &str, status: u16, code: &str) {
    let (head, body) = told.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{told:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
    let body: honcho_api::ErrorBody = serde_json::from_str(body).unwrap();
    assert_eq!((body.status, body.code.as_str()), (status, code));
    assert!(!body.errors["base"].is_empty());
}

#[tokio::test]
async fn a_head_that_does_not_come_is_given_up_on() {
    let mut client = connect("");
    let (said, after) = told(&mut client).await;
    check(&said, 408, "too_slow");
    assert!(after >= SHORT.head && after < SOON, "{after:?}");
}

#[tokio::test]
async fn a_head_that_dribbles_has_no_longer() {
    let (mut reader, mut writer) = tokio::io::split(connect(""));
    let dribble = async {
        writer.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        while writer.write_all(b"y").await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let read = async {
        let begun = Instant::now();
        let mut bytes = vec![0; 4096];
        let count = reader.read(&mut bytes).await.unwrap();
        (String::from_utf8_lossy(&bytes[..count]).into_owned(), begun.elapsed())
    };
    let (said, after) = tokio::select! {
        read = read => read,
        () = dribble => panic!("closed before anything was said"),
    };
    check(&said, 408, "too_slow");
    assert!(after >= SHORT.head && after < SOON, "{after:?}");
}

#[tokio::test]
async fn a_connection_that_was_answered_and_rests_is_closed_without_a_word() {
    let mut client = connect("fine");
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (said, _) = told(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.ends_with("\r\n\r\nfine"), "{said}");
}

#[tokio::test]
async fn what_is_no_request_is_told_so_in_the_one_shape() {
    for (request, status, code) in [
        ("\x16\x03\x01 no HTTP at all\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("GET /\u{1} HTTP/1.1\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400, "malformed_request"),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(40 << 10)), 431, "too_large"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(500)), 431, "too_large"),
    ] {
        let mut client = connect("");
        client.write_all(request.as_bytes()).await.unwrap();
        let (said, after) = told(&mut client).await;
        check(&said, status, code);
        assert!(after < SOON, "{after:?}");
    }
}

#[tokio::test]
async fn an_answer_that_looks_like_one_of_hypers_is_left_alone() {
    let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let mut client = connect(answer);
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let (said, _) = told(&mut client).await;
    assert!(said.starts_with("HTTP/1.1 200 OK") && said.ends_with(answer), "{said}");
}

#[tokio::test]
async fn whoever_does_not_read_is_not_waited_for_longer() {
    let (client, server) = tokio::io::duplex(1 << 10);
    let lobby = Lobby::new(Limits { open: 1, waiting: 1 });
    let mut guarded = Guarded::new(server, Phase::new(lobby.admit().unwrap(), Peers::Strangers), SHORT);
    let begun = Instant::now();
    let outcome = guarded.write_all(&[0; 1 << 12]).await;
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(begun.elapsed() >= SHORT.unread && begun.elapsed() < SOON);
    drop(client);
}

#[tokio::test]
async fn what_is_handed_over_has_no_deadlines() {
    let (mut client, server) = tokio::io::duplex(1 << 10);
    let lobby = Lobby::new(Limits { open: 1, waiting: 1 });
    let phase = Phase::new(lobby.admit().unwrap(), Peers::Strangers);
    phase.begin(false).hand_over();
    let mut guarded = Guarded::new(server, phase, SHORT);
    let console = tokio::spawn(async move {
        guarded.read_exact(&mut [0]).await.unwrap();
        guarded.write_all(&[0; 1 << 12]).await.unwrap();
    });
    sleep(3 * SHORT.unread).await;
    client.write_all(b"x").await.unwrap();
    sleep(3 * SHORT.unread).await;
    let mut bytes = [1; 1 << 12];
    client.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, [0; 1 << 12]);
    console.await.unwrap();
}

#[tokio::test]
async fn an_answer_before_the_whole_request_came_is_not_lost() {
    let mut client = connect("too much");
    client.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
    // Goes on sending, as a client does that reads only at the end.
    for _ in 0..20 {
        client.write_all(&vec![b'x'; 50_000]).await.unwrap();
    }
    let mut bytes = vec![0; 4096];
    let count = client.read(&mut bytes).await.unwrap();
    assert!(String::from_utf8_lossy(&bytes[..count]).ends_with("too much"));
}
