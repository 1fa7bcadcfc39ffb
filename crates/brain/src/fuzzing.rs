//! What the fuzz targets under `fuzz/` call: the parsers of this crate that read what a stranger wrote. No part of what
//! the crate offers.

use crate::app::App;
use crate::authority::Authority;
use crate::operations::JoinToken;
use crate::serve::{ServeOptions, open};
use crate::{Outside, http, listening};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use honcho_model::{HostId, Timestamp};
use honcho_store::Filters;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// Reads a backup, unpacked, which may be anybody's file.
pub fn backup(bytes: &[u8]) {
    // What it holds is checked on the way; that it is refused is as good.
    let _ = crate::backup::archive::read_for_nobody(bytes);
}

/// Reads a body as every shape that the API takes. What was read must be readable again once written.
pub fn body(bytes: &[u8]) {
    macro_rules! shapes {
        ($($shape:ident),*) => {$(
            if let Ok(body) = http::parse_body::<honcho_api::$shape>(bytes) {
                let again = serde_json::to_vec(&body.value).unwrap_or_default();
                assert!(http::parse_body::<honcho_api::$shape>(&again).is_ok(), "{}", stringify!($shape));
            }
        )*};
    }
    shapes!(
        AccountCreate,
        HostCreate,
        SiteCreate,
        RackCreate,
        SanCreate,
        PoolCreate,
        NetworkCreate,
        AddressCreate,
        AddressUpdate,
        ImageCreate,
        TokenCreate,
        TokenUpdate,
        PersonCreate,
        PersonUpdate,
        PasswordChange,
        SessionCreate,
        WebhookCreate,
        GuestCreate,
        GuestUpdate
    );
}

/// Reads the token out of an `Authorization` header.
pub fn authorization(bytes: &[u8]) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(bytes).ok()?);
    http::token(&headers)
}

/// Reads a join token; what was read must read the same once written.
pub fn join_token(text: &str) {
    if let Some(token) = JoinToken::parse(text) {
        let again = JoinToken::parse(&token.text());
        assert_eq!(again.map(|again| (again.text(), again.hash())), Some((token.text(), token.hash())));
    }
}

/// Whether an order may carry this SSH key.
pub fn public_key(text: &str) -> bool {
    crate::operations::public_key(text).is_ok()
}

/// Takes `.json` off a path.
pub fn path(text: &str) {
    if let Ok(uri) = text.parse::<Uri>() {
        let _ = http::without_json_suffix(&uri);
    }
}

/// A certificate authority to try certificate requests on.
pub struct Certifier(Authority);

impl Certifier {
    /// Makes one in an empty directory.
    pub fn new(directory: &Path) -> anyhow::Result<Self> {
        Ok(Certifier(Authority::open(directory, OffsetDateTime::UNIX_EPOCH)?))
    }

    /// Certifies a request; gives whether it could be used.
    pub fn certify(&self, request_pem: &str) -> bool {
        self.0.certify_host(request_pem, HostId(1), OffsetDateTime::UNIX_EPOCH).is_ok()
    }
}

/// Reads the query string of a list.
pub fn filters(query: &str) -> Option<Filters> {
    http::filters(&format!("/v1/x?{query}").parse().ok()?).ok()
}

/// What a client does once it has sent all that it has to say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// It closes its side: whoever does so while its answer is worked out gets none.
    Close,
    /// It waits for the answer.
    Wait,
}

/// A brain that is reached over connections in memory, by an operator and by strangers.
pub struct Door {
    app: App,
    token: String,
}

impl Door {
    /// Opens one whose data is in an empty directory.
    pub async fn open(directory: &Path) -> anyhow::Result<Door> {
        // Time stands still but for what is asked, and nothing is random: the same input does the same.
        let (clock, drawn) = (AtomicI64::new(1_000_000_000_000_000), AtomicI64::new(1));
        let outside = Outside::new(
            move || Timestamp(clock.fetch_add(1, Ordering::Relaxed)),
            move |bytes| {
                let n = drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                bytes.iter_mut().zip(n.iter().cycle()).for_each(|(byte, n)| *byte = *n);
            },
        );
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = ServeOptions {
            listen: nowhere,
            agents_listen: nowhere,
            agents_advertise: None,
            data: directory.to_owned(),
            database: None,
            webhook_allow: Vec::new(),
            post: None,
            slow: crate::slow::SlowOptions::default(),
            rules: crate::USUAL_RULES,
            largest_image: crate::LARGEST_IMAGE,
            simulated: false,
            archive: None,
            archive_keep: None,
            archive_listen: None,
        };
        let app = open(&options, outside, CancellationToken::new()).await?;
        let token = std::fs::read_to_string(directory.join("operator.token"))?.trim().to_owned();
        Ok(Door { app, token })
    }

    /// Sends bytes as they are and closes our side; gives all that is answered.
    pub async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        self.converse(bytes, Afterwards::Close).await
    }

    async fn converse(&self, bytes: &[u8], afterwards: Afterwards) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let router = http::router(self.app.clone());
        let connection = tokio::spawn(listening::serve_one(server, router));
        let mut answered = Vec::new();
        // A connection that was closed before all was sent has said why.
        let _ = client.write_all(bytes).await;
        if afterwards == Afterwards::Close {
            let _ = client.shutdown().await;
        }
        let _ = client.read_to_end(&mut answered).await;
        connection.abort();
        answered
    }

    /// Asks as an operator; gives status and body.
    pub async fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: brain\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        let answered = self.converse(&[head.as_bytes(), body].concat(), Afterwards::Wait).await;
        let status = answered.get(9..12).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        let end =
            answered.windows(4).position(|four| four == b"\r\n\r\n").map_or(answered.len(), |at| at + 4);
        (status.unwrap_or(0), answered.get(end..).unwrap_or_default().to_vec())
    }

    /// Whether this is a refusal in the one shape.
    pub fn is_refusal(body: &[u8]) -> bool {
        serde_json::from_slice::<honcho_api::ErrorBody>(body).is_ok_and(|body| !body.errors.is_empty())
    }
}

/// Reads a file as each table that is imported, and as NetBox's; what was read must read the same once written.
pub fn csv(bytes: &[u8]) {
    use crate::tables::{Table, addresses, hosts, netbox, networks, written};
    for known in [hosts::COLUMNS, networks::COLUMNS, addresses::COLUMNS] {
        let Ok(table) = Table::read(bytes, known) else { continue };
        let columns: Vec<&'static str> = known.iter().copied().filter(|column| table.has(column)).collect();
        let cells = |table: &Table| -> Vec<Vec<String>> {
            let cell = |line, column: &&str| table.cell(line, column).unwrap_or_default().to_owned();
            table.lines.iter().map(|line| columns.iter().map(|column| cell(line, column)).collect()).collect()
        };
        let before = cells(&table);
        let mut again = written(columns.iter().copied());
        for line in &before {
            again.extend(written(line.iter().map(String::as_str)));
        }
        // A line of which only unnamed columns say something is empty once written.
        let full: Vec<_> =
            before.into_iter().filter(|line| line.iter().any(|cell| !cell.is_empty())).collect();
        assert_eq!(Table::read(&again, known).map(|table| cells(&table)).ok(), Some(full));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        netbox::read_for_fuzzing(text);
    }
}
