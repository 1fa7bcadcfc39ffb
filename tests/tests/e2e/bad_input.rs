//! Whatever a stranger writes gets its 4xx in the one shape of errors, soon, and the brain is none the larger for it.

use anyhow::{Context as _, Result, ensure};
use honcho_e2e::brain::Brain;
use honcho_e2e::world::World;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// So long an answer to what came whole may take, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(5);

/// What the brain may grow by: what is kept of connections, not what came over them.
const GROWTH_MIB: u64 = 48;

/// An answer off the wire.
struct Answer {
    status: u16,
    body: String,
    took: Duration,
}

impl Answer {
    /// Whether it is this refusal, in the shape that every refusal has.
    fn check(&self, what: &str, status: u16, code: &str) -> Result<()> {
        ensure!(self.status == status, "{what}: {} instead of {status}: {}", self.status, self.body);
        let body: Value =
            serde_json::from_str(&self.body).with_context(|| format!("{what}: {}", self.body))?;
        ensure!(body["status"] == status && body["code"] == code, "{what}: {body}");
        let errors = body["errors"].as_object().with_context(|| format!("{what}: {body}"))?;
        let said = errors.values().all(|texts| texts.as_array().is_some_and(|texts| !texts.is_empty()));
        ensure!(said && !errors.is_empty(), "{what}: {body}");
        ensure!(self.body.len() < 20_000, "{what}: {} bytes said back", self.body.len());
        Ok(())
    }
}

/// Reads one answer, up to the end of what its head promises.
async fn read_answer(stream: &mut TcpStream, begun: Instant) -> Result<Answer> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 16 << 10];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.context("content-length")?.parse()?;
            if body.len() >= length {
                let status = head.get(9..12).context("a status")?.parse()?;
                return Ok(Answer { status, body: body.to_owned(), took: begun.elapsed() });
            }
        }
        let count = stream.read(&mut piece).await?;
        ensure!(count > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
}

struct Stranger {
    address: SocketAddr,
    token: String,
}

impl Stranger {
    async fn connect(&self) -> Result<TcpStream> {
        TcpStream::connect(self.address).await.context("connecting")
    }

    /// Sends bytes as they are, and reads what is said.
    async fn send(&self, bytes: &[u8]) -> Result<Answer> {
        let mut stream = self.connect().await?;
        let begun = Instant::now();
        // One that is refused before it has all been sent may be cut off while it is sent.
        let _ = stream.write_all(bytes).await;
        read_answer(&mut stream, begun).await
    }

    fn head(&self, line: &str, headers: &str) -> String {
        format!("{line} HTTP/1.1\r\nhost: brain\r\nauthorization: Bearer {}\r\n{headers}\r\n", self.token)
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.head(&format!("GET {path}"), "").as_bytes()).await
    }

    async fn post(&self, path: &str, kind: &str, body: &[u8]) -> Result<Answer> {
        let headers = format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len());
        let head = self.head(&format!("POST {path}"), &headers);
        self.send(&[head.as_bytes(), body].concat()).await
    }
}

/// Bodies for an account, what is wrong with each, and its refusal.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let many: Vec<String> = (0..10_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("over 1 MiB", format!("{{\"name\":\"{}\"}}", "a".repeat(1 << 20)).into_bytes(), 413, "too_large"),
        ("10,000 keys", format!("{{{}}}", many.join(",")).into_bytes(), 400, "malformed_json"),
        ("deep nesting", vec![b'['; 500_000], 400, "malformed_json"),
        ("deep objects", "{\"a\":".repeat(100_000).into_bytes(), 400, "malformed_json"),
        ("a raw NUL", b"{\"name\":\"a\0b\"}".to_vec(), 400, "malformed_json"),
        ("a NUL in a name", text("{\"name\":\"a\\u0000b\"}"), 422, "invalid"),
        ("a NUL in a reference", text("{\"name\":\"ok\",\"reference\":\"a\\u0000\"}"), 422, "invalid"),
        ("a NUL in what nobody knows", text("{\"name\":\"ok\",\"x\":[\"\\u0000\"]}"), 422, "invalid"),
        ("a bidi mark in a name", text("{\"name\":\"a\u{202e}b\"}"), 422, "invalid"),
        (
            "a bidi mark in a reference",
            text("{\"name\":\"ok\",\"reference\":\"a\u{202e}b\"}"),
            422,
            "invalid",
        ),
        (
            "a name of 10,000 characters",
            format!("{{\"name\":\"{}\"}}", "a".repeat(10_000)).into_bytes(),
            422,
            "invalid",
        ),
        (
            "a reference of 10,000 characters",
            format!("{{\"name\":\"ok\",\"reference\":\"{}\"}}", "ü".repeat(10_000)).into_bytes(),
            422,
            "invalid",
        ),
        ("a number for a name", text("{\"name\":7}"), 422, "invalid"),
        (
            "a huge text for a number",
            format!("{{\"name\":\"ok\",\"limit_guests\":\"{}\"}}", "9".repeat(500_000)).into_bytes(),
            422,
            "invalid",
        ),
        ("2^63", text("{\"name\":\"ok\",\"limit_guests\":9223372036854775808}"), 422, "invalid"),
        (
            "2^63 as a string",
            text("{\"name\":\"ok\",\"limit_guests\":\"9223372036854775808\"}"),
            422,
            "invalid",
        ),
        ("a fraction", text("{\"name\":\"ok\",\"limit_guests\":1.5}"), 422, "invalid"),
        ("1.0", text("{\"name\":\"ok\",\"limit_guests\":1.0}"), 422, "invalid"),
        ("an object for a number", text("{\"name\":\"ok\",\"grace_seconds\":{}}"), 422, "invalid"),
        ("null for a name", text("{\"name\":null}"), 422, "invalid"),
        ("the same key twice", text("{\"name\":\"ok\",\"name\":\"ko\"}"), 400, "malformed_json"),
        ("half an object", text("{\"name\":"), 400, "malformed_json"),
        ("no object", text("[1]"), 400, "malformed_json"),
        ("no UTF-8", b"{\"name\":\"\xff\xfe\"}".to_vec(), 400, "malformed_json"),
    ]
}

/// Whole requests that are wrong otherwise.
fn requests(stranger: &Stranger) -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let get = |path: &str| stranger.head(&format!("GET {path}"), "").into_bytes();
    let with = |headers: &str| stranger.head("GET /v1/guests", headers).into_bytes();
    vec![
        ("an id of 2^63", get("/v1/guests/9223372036854775808"), 404, "not_found"),
        ("an id of zero", get("/v1/guests/0"), 404, "not_found"),
        ("a NUL in a path", get("/v1/guests/%00"), 404, "not_found"),
        ("no UTF-8 in a path", get("/v1/images/%ff%fe/packages"), 404, "not_found"),
        ("no UTF-8 in a route", get("/v1/%ff"), 404, "not_found"),
        ("dots in a path", get("/v1/../../etc/passwd"), 404, "not_found"),
        ("an unknown filter", get("/v1/guests?colour=red"), 422, "invalid"),
        (
            "an unknown filter of 7,000 characters",
            get(&format!("/v1/guests?{}=1", "x".repeat(7_000))),
            422,
            "invalid",
        ),
        ("a limit of 2^63", get("/v1/guests?limit=9223372036854775808"), 422, "invalid"),
        ("a negative limit", get("/v1/guests?limit=-1"), 422, "invalid"),
        ("a text for an id", get("/v1/guests?account_id=x"), 422, "invalid"),
        ("a NUL in a filter", get("/v1/guests?name=a%00b"), 400, "bad_query"),
        ("no UTF-8 in a filter", get("/v1/guests?name=%ff"), 400, "bad_query"),
        ("2,000 filters", get(&format!("/v1/guests?{}", "id=1&".repeat(1_500))), 422, "invalid"),
        (
            "an address of 9,000 bytes",
            get(&format!("/v1/guests?name={}", "x".repeat(9_000))),
            414,
            "too_long",
        ),
        ("an address of 100,000 bytes", get(&format!("/v1/{}", "x".repeat(100_000))), 431, "too_large"),
        ("200 headers", with(&"x: y\r\n".repeat(200)), 431, "too_large"),
        ("a header of 64 KiB", with(&format!("x: {}\r\n", "y".repeat(64 << 10))), 431, "too_large"),
        ("headers without end", with(&format!("{}\r\n", "x: y\r\n".repeat(200_000))), 431, "too_large"),
        (
            "no HTTP",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            400,
            "malformed_request",
        ),
        ("two lengths", with("content-length: 1\r\ncontent-length: 2\r\n"), 400, "malformed_request"),
        ("a length that is none", with("content-length: -1\r\n"), 400, "malformed_request"),
        (
            "a proxy's request",
            b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            404,
            "not_found",
        ),
        ("no token", b"GET /v1/guests HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), 401, "unauthorized"),
        (
            "a token of 20,000 bytes",
            format!("GET /v1/guests HTTP/1.1\r\nauthorization: Bearer {}\r\n\r\n", "x".repeat(20_000))
                .into_bytes(),
            401,
            "unauthorized",
        ),
        (
            "a method nobody knows",
            stranger.head("BREW /v1/guests", "").into_bytes(),
            405,
            "method_not_allowed",
        ),
    ]
}

async fn whole_requests(stranger: &Stranger) -> Result<()> {
    for (what, body, status, code) in bodies() {
        let answer = stranger.post("/v1/accounts", "application/json", &body).await;
        let answer = answer.with_context(|| what.to_owned())?;
        answer.check(what, status, code)?;
        ensure!(answer.took < SOON, "{what}: {:?}", answer.took);
        // And so it is under a root, where it is an object at all.
        if body.first() == Some(&b'{') && status == 422 {
            let rooted = [b"{\"account\":".as_slice(), &body, b"}"].concat();
            stranger.post("/v1/accounts", "application/json", &rooted).await?.check(what, status, code)?;
        }
    }
    for (what, request, status, code) in requests(stranger) {
        let answer = stranger.send(&request).await.with_context(|| what.to_owned())?;
        answer.check(what, status, code)?;
        ensure!(answer.took < SOON, "{what}: {:?}", answer.took);
    }
    // Who begins with HTTP/2 would not understand what is said in HTTP/1.1: nothing is, and the connection ends.
    let mut http2 = stranger.connect().await?;
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    let mut said = Vec::new();
    tokio::time::timeout(SOON, http2.read_to_end(&mut said)).await.context("HTTP/2")??;
    ensure!(said.is_empty(), "HTTP/2: {:?}", String::from_utf8_lossy(&said));
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer = stranger.post("/v1/accounts", kind, b"{\"name\":\"ok\"}").await?;
        answer.check(kind, 415, "unsupported_media_type")?;
    }
    // Of somebody who has not shown who they are, less is read.
    let login = format!("{{\"login\":\"{}\",\"password\":\"x\"}}", "a".repeat(20_000));
    let head = format!("POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", login.len());
    stranger.send(format!("{head}{login}").as_bytes()).await?.check("a long login", 413, "too_large")?;
    // Nothing of it was made.
    let accounts: Value = serde_json::from_str(&stranger.get("/v1/accounts?name=ok").await?.body)?;
    ensure!(accounts == serde_json::json!([]), "{accounts}");
    Ok(())
}

/// Sends a beginning, then one byte after the other, until something is said.
async fn dribble(stranger: &Stranger, beginning: &str, piece: &str) -> Result<Answer> {
    let mut stream = stranger.connect().await?;
    let begun = Instant::now();
    stream.write_all(beginning.as_bytes()).await?;
    loop {
        let answer = tokio::time::timeout(Duration::from_millis(200), stream.readable()).await;
        if answer.is_ok() {
            return read_answer(&mut stream, begun).await;
        }
        stream.write_all(piece.as_bytes()).await.context("cut off without a word")?;
        ensure!(begun.elapsed() < Duration::from_mins(1), "it is waited for without end");
    }
}

/// Those who never finish are told that they were too slow, after the time that the guide names.
async fn slow_senders(stranger: &Stranger) -> Result<()> {
    let head =
        stranger.head("POST /v1/accounts", "content-type: application/json\r\ncontent-length: 1000\r\n");
    let chunked = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let chunked = stranger.head("POST /v1/accounts", chunked);
    let blob = format!("PUT /v1/blobs/{}", "0".repeat(64));
    let blob = stranger.head(&blob, "content-length: 1000\r\n");
    let silent = async {
        let begun = Instant::now();
        let mut stream = stranger.connect().await?;
        read_answer(&mut stream, begun).await
    };
    let (silent, heads, bodies, chunks, blobs) = tokio::join!(
        silent,
        dribble(stranger, "GET /v1/guests HTTP/1.1\r\nx: ", "y"),
        dribble(stranger, &head, " "),
        dribble(stranger, &chunked, "1\r\n \r\n"),
        // A blob may take as long as it takes, so long as something comes.
        dribble(stranger, &blob, ""),
    );
    for (what, answer, seconds) in [
        ("a connection on which nothing comes", silent, 10),
        ("a head that dribbles", heads, 10),
        ("a body that dribbles", bodies, 30),
        ("chunks that dribble", chunks, 30),
        ("a blob of which nothing more comes", blobs, 30),
    ] {
        let answer = answer.with_context(|| what.to_owned())?;
        answer.check(what, 408, "too_slow")?;
        let wanted = Duration::from_secs(seconds);
        // The brain's clock began when it took the connection, which may be a little before ours did.
        let took = answer.took + Duration::from_millis(100);
        ensure!(took >= wanted && took < wanted + SOON, "{what}: {:?}", answer.took);
    }
    Ok(())
}

/// Thousands who connect and say nothing, to both listeners: others are answered as ever.
async fn half_open(stranger: &Stranger, agents: SocketAddr) -> Result<()> {
    let mut held = Vec::new();
    for address in [stranger.address, agents] {
        for _ in 0..3_000 {
            held.push(TcpStream::connect(address).await.context("connecting")?);
        }
    }
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = stranger.get("/v1/accounts?limit=1").await?;
        ensure!(answer.status == 200 && begun.elapsed() < SOON, "{} {:?}", answer.status, begun.elapsed());
    }
    Ok(())
}

/// Clients that ask for much and read nothing of it.
async fn slow_readers(stranger: &Stranger) -> Result<Vec<TcpStream>> {
    let mut held = Vec::new();
    let ask = "GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(40);
    for _ in 0..300 {
        let mut stream = stranger.connect().await?;
        stream.write_all(ask.as_bytes()).await?;
        held.push(stream);
    }
    Ok(held)
}

/// Tens of thousands of bad requests at once.
async fn flood(stranger: &Stranger, rounds: usize) -> Result<usize> {
    let mut all: Vec<(Vec<u8>, u16)> = Vec::new();
    for (_, body, status, _) in bodies().into_iter().filter(|(_, body, ..)| body.len() < 200_000) {
        let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        let head = stranger.head("POST /v1/accounts", &headers);
        all.push(([head.as_bytes(), &body].concat(), status));
    }
    all.extend(
        requests(stranger)
            .into_iter()
            .filter(|(_, request, ..)| request.len() < 50_000)
            .map(|(_, request, status, _)| (request, status)),
    );
    let all = std::sync::Arc::new(all);
    let mut tasks = JoinSet::new();
    for worker in 0..32 {
        let (all, stranger) =
            (all.clone(), Stranger { address: stranger.address, token: stranger.token.clone() });
        tasks.spawn(async move {
            let mut sent = 0;
            for round in 0..rounds {
                for (number, (request, status)) in all.iter().enumerate() {
                    if (number + round) % 32 == worker {
                        let answer = stranger.send(request).await?;
                        ensure!(
                            answer.status == *status,
                            "{} instead of {status}: {}",
                            answer.status,
                            answer.body
                        );
                        sent += 1;
                    }
                }
            }
            Ok(sent)
        });
    }
    let mut sent = 0;
    while let Some(done) = tasks.join_next().await {
        sent += done??;
    }
    Ok(sent)
}

fn resident_mib(brain: &mut Brain) -> Result<u64> {
    let pid = brain.process().context("it runs")?.id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? >> 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_is_refused_soon_and_takes_no_memory() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut brain = Brain::start(directory.path()).await?;
    World::make(&brain).await?;
    let stranger = Stranger { address: brain.address(), token: brain.token()? };
    whole_requests(&stranger).await?;
    // Warm by now; what it takes from here on is what it is made to take.
    flood(&stranger, 20).await?;
    let before = resident_mib(&mut brain)?;
    let (slow, flooded) = tokio::join!(slow_senders(&stranger), flood(&stranger, 400));
    slow?;
    let sent = flooded?;
    ensure!(sent >= 15_000, "only {sent} were sent");
    let readers = slow_readers(&stranger).await?;
    half_open(&stranger, brain.agents_address()).await?;
    let grown = resident_mib(&mut brain)?.saturating_sub(before);
    drop(readers);
    println!("{sent} bad requests; {before} MiB, and {grown} MiB more with thousands half-open");
    ensure!(grown <= GROWTH_MIB, "it has grown by {grown} MiB from {before} MiB");
    let log = brain.log();
    ensure!(
        !log.contains("panicked") && !log.contains("\"status\":500") && !log.contains("status=500"),
        "{log}"
    );
    ensure!(stranger.get("/v1/accounts?limit=1").await?.status == 200, "it goes on");
    Ok(())
}
