//! Requests to S3, and to what speaks like it: signed by `rusty-s3`, made by the client that everything else here uses, and made again
//! where that may help.
//!
//! A signature is part of the URL, a session's token too: no URL is shown or logged.

use super::s3_settings::Settings;
use crate::command_error::CommandError;
use crate::connection;
use crate::context::Context;
use crate::output::Output;
use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use futures::TryStreamExt as _;
use honcho_archive::About;
use indicatif::ProgressBar;
use reqwest::{RequestBuilder, Response, StatusCode, Url, header};
use rusty_s3::S3Action;
use rusty_s3::actions::ListObjectsV2;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

/// How long a signature is good for: as long as S3 lets clocks differ.
const GOOD_FOR: Duration = Duration::from_mins(15);

/// What is waited before a request is made again.
const WAITS: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// The longest that a server is believed that it needs.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// So long a server may be silent, once all was sent or while nothing can be sent.
const SILENCE: Duration = Duration::from_secs(90);

/// So many bytes a second a line lets through, or it is none.
const SLOWEST: u64 = 16 << 10;

/// So much is taken in one request (S3: 5 GiB), and nobody makes larger packages.
const LARGEST: u64 = 5 << 30;

/// So much of an answer is read: the notes of 500,000 packages are less.
const LARGEST_ANSWER: usize = 128 << 20;

/// So much is read of a file at a time.
const PIECE: usize = 256 << 10;

/// A bucket, and the right to change it.
pub(super) struct S3 {
    settings: Settings,
    http: reqwest::Client,
    /// Tells the time.
    clock: Output,
}

/// An object, as it is listed.
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) length: u64,
    pub(super) tag: Option<String>,
}

/// What became of a file.
pub(super) struct Put {
    pub(super) tag: Option<String>,
    /// The file that was sent.
    pub(super) about: About,
}

/// What those are told who ask for an object later.
#[derive(Clone, Copy)]
pub(super) struct Headers {
    pub(super) content_type: &'static str,
    pub(super) cache_control: &'static str,
}

impl Headers {
    fn on(self, request: RequestBuilder) -> RequestBuilder {
        request
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::CACHE_CONTROL, self.cache_control)
    }
}

/// Why there is no good answer.
enum Failure {
    /// The next time it may go better; whoever refused may have said when.
    Passing { error: anyhow::Error, after: Option<Duration> },
    /// It never will.
    Lasting(anyhow::Error),
}

impl Failure {
    /// There was no answer, or none to its end. What is told on the way to the cause adds nothing to it.
    fn cut(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut root: &dyn std::error::Error = &error;
        while let Some(deeper) = root.source() {
            root = deeper;
        }
        Failure::Passing { error: anyhow!("{root}"), after: None }
    }
}

impl S3 {
    pub(super) fn of_environment(context: &Context, bucket: &str) -> Result<Self, CommandError> {
        let settings = Settings::read(bucket, |name| std::env::var(name).ok())?;
        let http = connection::http(settings.ca.as_deref(), settings.bucket.base_url())?;
        Ok(S3 { settings, http, clock: context.output.clone() })
    }

    /// All objects whose key begins so.
    pub(super) async fn list(&self, prefix: &str) -> anyhow::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.again(async || {
                let mut action = self.settings.bucket.list_objects_v2(Some(&self.settings.credentials));
                action.with_prefix(prefix);
                if let Some(token) = &token {
                    action.with_continuation_token(token.as_str());
                }
                read(self.answered(self.http.get(self.signed(&action))).await?).await
            });
            let page = page.await.with_context(|| format!("listing {prefix}"))?;
            let page = ListObjectsV2::parse_response(&String::from_utf8_lossy(&page))
                .map_err(|error| anyhow!("listing {prefix}: the answer is not as S3's are: {error}"))?;
            for object in page.contents {
                let length =
                    object.size.with_context(|| format!("{} is listed without a length", object.key))?;
                listed.push(Listed { key: object.key, length, tag: object.etag.as_deref().map(unquoted) });
            }
            match page.next_continuation_token {
                None => return Ok(listed),
                same if same == token => bail!("listing {prefix}: one page leads to itself"),
                next => token = next,
            }
        }
    }

    /// An object, if there is one.
    pub(super) async fn read(&self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let action = self.settings.bucket.get_object(Some(&self.settings.credentials), key);
        let found =
            self.again(async || read(self.answered(self.http.get(self.signed(&action))).await?).await).await;
        match found {
            Err(error) if Refusal::of(&error).is_some_and(Refusal::is_absence) => Ok(None),
            found => found.map(Some).with_context(|| format!("reading {key}")),
        }
    }

    /// Writes what is at hand.
    pub(super) async fn write(&self, key: &str, content: Bytes, headers: Headers) -> anyhow::Result<()> {
        let action = self.settings.bucket.put_object(Some(&self.settings.credentials), key);
        let written = self.again(async || {
            let request = headers.on(self.http.put(self.signed(&action)));
            let length = content.len() as u64;
            let request = request.header(header::CONTENT_LENGTH, length).body(content.clone());
            // Notes of many packages take their time where the line is thin.
            let within = SILENCE + Duration::from_secs(length / SLOWEST);
            let answer = request.timeout(within).send().await.map_err(Failure::cut)?;
            self.checked(answer).await.map(drop)
        });
        written.await.with_context(|| format!("writing {key}"))
    }

    /// Sends a file, a piece at a time.
    pub(super) async fn put(
        &self,
        key: &str,
        from: &Path,
        headers: Headers,
        sent: &ProgressBar,
    ) -> anyhow::Result<Put> {
        let action = self.settings.bucket.put_object(Some(&self.settings.credentials), key);
        let put = self.again(async || {
            let (file, about) = open(from).await.map_err(Failure::Lasting)?;
            let moved = Arc::new(AtomicU64::new(0));
            let pieces = {
                let (moved, sent) = (moved.clone(), sent.clone());
                ReaderStream::with_capacity(file, PIECE).inspect_ok(move |piece| {
                    moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    sent.inc(piece.len() as u64);
                })
            };
            let request = headers.on(self.http.put(self.signed(&action)));
            let request = request.header(header::CONTENT_LENGTH, about.length);
            let answer = self.watched(request.body(reqwest::Body::wrap_stream(pieces)), &moved).await;
            let answer = answer.inspect_err(|_| sent.dec(moved.load(Ordering::Relaxed)))?;
            let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(unquoted);
            Ok(Put { tag, about })
        });
        put.await.with_context(|| format!("writing {key}"))
    }

    /// Deletes an object; that there is none is as good.
    pub(super) async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let action = self.settings.bucket.delete_object(Some(&self.settings.credentials), key);
        let gone =
            self.again(async || self.answered(self.http.delete(self.signed(&action))).await.map(drop)).await;
        match gone {
            Err(error) if Refusal::of(&error).is_some_and(Refusal::is_absence) => Ok(()),
            gone => gone.with_context(|| format!("deleting {key}")),
        }
    }

    async fn again<T>(&self, attempt: impl AsyncFn() -> Result<T, Failure>) -> anyhow::Result<T> {
        let whom = self.settings.bucket.base_url().origin().ascii_serialization();
        again(&WAITS, attempt).await.map_err(|ended| match ended {
            Failure::Passing { error, .. } => {
                error.context(format!("{whom} was asked {} times", WAITS.len() + 1))
            }
            Failure::Lasting(error) => error,
        })
    }

    fn signed<'a>(&self, action: &impl S3Action<'a>) -> Url {
        action.sign_with_time(GOOD_FOR, &self.clock.now())
    }

    /// A good answer to a small request.
    async fn answered(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let answer = request.timeout(SILENCE).send().await.map_err(Failure::cut)?;
        self.checked(answer).await
    }

    /// A good answer to one that may take as long as it takes, while something moves.
    async fn watched(&self, request: RequestBuilder, moved: &AtomicU64) -> Result<Response, Failure> {
        let mut sending = std::pin::pin!(request.send());
        let mut before = 0;
        loop {
            match tokio::time::timeout(SILENCE, &mut sending).await {
                Ok(answer) => return self.checked(answer.map_err(Failure::cut)?).await,
                Err(_) if moved.load(Ordering::Relaxed) == before => {
                    let error = anyhow!("the server took nothing and said nothing for {SILENCE:?}");
                    return Err(Failure::Passing { error, after: None });
                }
                Err(_) => before = moved.load(Ordering::Relaxed),
            }
        }
    }

    async fn checked(&self, answer: Response) -> Result<Response, Failure> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        let after = header("retry-after").and_then(|after| Some(Duration::from_secs(after.parse().ok()?)));
        let theirs = header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let ahead = theirs.map_or(0, |theirs| self.clock.now().as_second() - theirs.timestamp().as_second());
        let region = header("x-amz-bucket-region").map(str::to_owned);
        let status = answer.status();
        // Where there is no more than a status, that has to do.
        let said = read(answer).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let (code, message) = (element(&said, "Code"), element(&said, "Message"));
        let refusal = Refusal { status, code, message, region, ahead };
        Err(if refusal.is_passing() {
            Failure::Passing { error: refusal.into(), after }
        } else {
            Failure::Lasting(refusal.into())
        })
    }
}

async fn open(path: &Path) -> anyhow::Result<(File, About)> {
    let reading = || format!("reading {}", path.display());
    let file = File::open(path).await.with_context(reading)?;
    let about = About::of(&file.metadata().await.with_context(reading)?);
    if about.length > LARGEST {
        bail!("{} is larger than the 5 GiB that S3 takes at once: a directory can have it", path.display());
    }
    Ok((file, about))
}

/// Makes a request until it goes well, never will, or was made often enough.
async fn again<T>(waits: &[Duration], attempt: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
    for wait in waits {
        match attempt().await {
            Err(Failure::Passing { after, .. }) => {
                tokio::time::sleep(after.unwrap_or(*wait).clamp(*wait, LONGEST_WAIT)).await;
            }
            ended => return ended,
        }
    }
    attempt().await
}

/// All of an answer.
async fn read(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(Failure::cut)? {
        if whole.len() + piece.len() > LARGEST_ANSWER {
            return Err(Failure::Lasting(anyhow!("the answer is larger than {LARGEST_ANSWER} bytes")));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// What stands in an element of what S3 says of an error.
fn element(xml: &str, name: &str) -> String {
    let inside = xml
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")))
        .map_or("", |(inside, _)| inside.trim());
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    escapes.iter().fold(inside.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

fn unquoted(tag: &str) -> String {
    tag.trim_matches('"').to_owned()
}

/// An answer that is not a good one.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// S3's own word for it, and its sentence.
    code: String,
    message: String,
    /// Where the bucket is, if somebody else than who was asked has it.
    region: Option<String>,
    /// So many seconds our clock is ahead of theirs.
    ahead: i64,
}

impl Refusal {
    fn of(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref())
    }

    fn is_absence(&self) -> bool {
        self.code == "NoSuchKey" || (self.status == StatusCode::NOT_FOUND && self.code.is_empty())
    }

    fn is_passing(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
            || matches!(self.code.as_str(), "RequestTimeout" | "OperationAborted")
    }

    /// The next thing to do, where it is plain.
    pub(super) fn hint(&self) -> Option<String> {
        // First, for each server has another word for it.
        if self.ahead.abs() > 300 && matches!(self.status.as_u16(), 400 | 403) {
            let (minutes, whither) =
                (self.ahead.abs() / 60, if self.ahead > 0 { "ahead of" } else { "behind" });
            return Some(format!(
                "this machine's clock is {minutes} minutes {whither} the server's: set it right"
            ));
        }
        let hint = match self.code.as_str() {
            "NoSuchBucket" => {
                "make the bucket first; AWS_REGION and AWS_ENDPOINT_URL say where it is looked for"
            }
            "InvalidAccessKeyId" => {
                "AWS_ACCESS_KEY_ID is not known there; AWS_ENDPOINT_URL says where that is"
            }
            "SignatureDoesNotMatch" => {
                "AWS_SECRET_ACCESS_KEY is not the one that belongs to AWS_ACCESS_KEY_ID"
            }
            "ExpiredToken" | "InvalidToken" => {
                "AWS_SESSION_TOKEN is not good, or not any more: fetch new credentials, or unset it"
            }
            "RequestTimeTooSkewed" => "set this machine's clock right",
            "AccessDenied" | "AllAccessDisabled" => {
                "this key needs s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it"
            }
            _ => {
                let is_elsewhere = self.status.is_redirection()
                    || matches!(
                        self.code.as_str(),
                        "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError"
                    );
                return match &self.region {
                    Some(region) if is_elsewhere => {
                        Some(format!("the bucket is in {region}: set AWS_REGION={region}"))
                    }
                    None if is_elsewhere => Some("AWS_REGION has to name the bucket's own region".to_owned()),
                    _ => None,
                };
            }
        };
        Some(hint.to_owned())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server says {}", self.status.as_u16())?;
        match (self.code.as_str(), self.message.as_str()) {
            ("", _) => Ok(()),
            (code, "") => write!(f, " {code}"),
            (code, message) => write!(f, " {code}: {message}"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn refusal(status: u16, code: &str) -> Refusal {
        Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.to_owned(),
            message: "It is so.".to_owned(),
            region: None,
            ahead: 0,
        }
    }

    #[test]
    fn what_s3_says_of_an_error_is_read() {
        let said = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>No &lt;a&gt; &amp;amp; b.</Message></Error>";
        assert_eq!(element(said, "Code"), "NoSuchKey");
        assert_eq!(element(said, "Message"), "No <a> &amp; b.");
        for broken in ["", "<Code>", "</Code><Code>", "<Message>x</Message>", "<html>ü</html>"] {
            assert_eq!(element(broken, "Code"), "");
        }
        assert_eq!(refusal(403, "AccessDenied").to_string(), "the server says 403 AccessDenied: It is so.");
        assert_eq!(refusal(502, "").to_string(), "the server says 502");
    }

    #[test]
    fn whoever_is_refused_is_told_what_to_do() {
        let hint = |refusal: &Refusal| refusal.hint().unwrap_or_default();
        assert!(hint(&refusal(404, "NoSuchBucket")).contains("make the bucket first"));
        assert!(hint(&refusal(403, "SignatureDoesNotMatch")).starts_with("AWS_SECRET_ACCESS_KEY is not"));
        assert!(hint(&refusal(403, "AccessDenied")).contains("s3:ListBucket"));
        let late = Refusal { ahead: -7200, ..refusal(403, "AccessDenied") };
        assert_eq!(hint(&late), "this machine's clock is 120 minutes behind the server's: set it right");
        let elsewhere = Refusal { region: Some("eu-west-1".into()), ..refusal(301, "PermanentRedirect") };
        assert_eq!(hint(&elsewhere), "the bucket is in eu-west-1: set AWS_REGION=eu-west-1");
        assert_eq!(hint(&refusal(400, "InvalidRequest")), "");
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_again_and_what_will_not_is_told_at_once() {
        let tried = async |status: u16, code: &str, good_at: u32| {
            let attempts = Cell::new(0);
            let ended = again(&[Duration::ZERO; 5], async || {
                attempts.set(attempts.get() + 1);
                let refusal = refusal(status, code);
                match refusal.is_passing() {
                    _ if attempts.get() == good_at => Ok(()),
                    true => Err(Failure::Passing { error: refusal.into(), after: None }),
                    false => Err(Failure::Lasting(refusal.into())),
                }
            })
            .await;
            (attempts.get(), ended.is_ok())
        };
        assert_eq!(tried(503, "SlowDown", 3).await, (3, true));
        assert_eq!(tried(429, "", 0).await, (6, false));
        assert_eq!(tried(400, "RequestTimeout", 2).await, (2, true));
        assert_eq!(tried(403, "AccessDenied", 2).await, (1, false));
    }
}
