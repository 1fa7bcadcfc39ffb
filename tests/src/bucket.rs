//! A bucket. `s3s` reads what it is asked as S3 does, and checks signatures; what is in it is kept in memory, and read by everybody, as
//! a bucket that apt reads is. It is not S3 itself: tags are told by nothing but a number, pages are short, and it can be told to be slow.

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use hyper_util::rt::TokioIo;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, ETag, EncodingType, GetObjectInput, GetObjectOutput,
    ListObjectsV2Input, ListObjectsV2Output, PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

/// Its name, and who may change it.
pub const NAME: &str = "apt";
/// The key of who may change it.
pub const KEY: &str = "AKIATESTTESTTESTTEST";
/// The secret to that.
pub const SECRET: &str = "a+secret/of/a/bucket/that/ends/with/the/test";

/// So many objects are on a page of its list.
const PAGE: usize = 7;

/// A server with one bucket, which ends with the test.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Where it is.
    pub url: String,
    state: Arc<Mutex<State>>,
}

/// What is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What was put there.
    pub content: Vec<u8>,
    /// The headers that came with it.
    pub content_type: Option<String>,
    /// The same.
    pub cache_control: Option<String>,
    tag: u64,
}

/// How a PUT is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing of it is there.
    Before,
    /// It is there, and nobody is told.
    After,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Object>,
    tags: u64,
    puts: Vec<String>,
    hold: Option<(usize, Held)>,
    is_held: bool,
    refusals: usize,
}

impl Bucket {
    /// Starts it on a port of its own.
    pub async fn start() -> Result<Bucket> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let bucket = Bucket { url, state: Arc::default() };
        let mut service = S3ServiceBuilder::new(bucket.clone());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        service.set_access(ReadByEverybody);
        let service = service.build();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                // How a connection ends is for who made it to tell.
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(bucket)
    }

    /// What is there under a key.
    pub fn object(&self, key: &str) -> Option<Object> {
        self.with(|state| state.objects.get(key).cloned())
    }

    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        self.with(|state| state.objects.keys().cloned().collect())
    }

    /// Puts something there behind everybody's back.
    pub fn set(&self, key: &str, content: Vec<u8>) {
        self.with(|state| {
            let tag = state.tag();
            let object = Object { content, content_type: None, cache_control: None, tag };
            state.objects.insert(key.to_owned(), object);
        });
    }

    /// The keys that were put since this was last asked, in their order.
    pub fn puts(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.puts))
    }

    /// Holds up one PUT for ever, after so many others; or none, from now on.
    pub fn hold(&self, which: Option<(usize, Held)>) {
        self.with(|state| {
            state.hold = which;
            state.is_held = false;
        });
    }

    /// Whether it was held up.
    pub fn is_held(&self) -> bool {
        self.with(|state| state.is_held)
    }

    /// Says of the next so many requests with a signature that they come too fast.
    pub fn refuse(&self, count: usize) {
        self.with(|state| state.refusals = count);
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_fast_enough(&self) -> S3Result<()> {
        let is_refused = self.with(|state| {
            let is_refused = state.refusals > 0;
            state.refusals = state.refusals.saturating_sub(1);
            is_refused
        });
        if is_refused { Err(s3_error!(SlowDown, "Slow down.")) } else { Ok(()) }
    }

    /// Waits for ever, if it is this PUT's turn to.
    async fn wait(&self, now: Held) {
        let held = self.with(|state| {
            let holds = match &mut state.hold {
                Some((0, held)) if *held == now => true,
                Some((left, _)) if now == Held::After => {
                    *left = left.saturating_sub(1);
                    false
                }
                _ => false,
            };
            state.is_held |= holds;
            holds
        });
        if held {
            std::future::pending::<()>().await;
        }
    }
}

fn known(name: &str) -> S3Result<()> {
    if name == NAME { Ok(()) } else { Err(s3_error!(NoSuchBucket, "There is no such bucket.")) }
}

impl State {
    fn tag(&mut self) -> u64 {
        self.tags += 1;
        self.tags
    }
}

impl Object {
    fn tag(&self) -> ETag {
        ETag::Strong(format!("{:032x}", self.tag))
    }
}

#[async_trait::async_trait]
impl S3 for Bucket {
    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let asked = request.input;
        known(&asked.bucket)?;
        self.is_fast_enough()?;
        let prefix = asked.prefix.clone().unwrap_or_default();
        let after = asked.continuation_token.clone().unwrap_or_default();
        let (mut page, mut last) = (Vec::new(), None);
        let is_truncated = self.with(|state| {
            let from = state.objects.range::<String, _>((Bound::Excluded(after), Bound::Unbounded));
            let mut matching = from.filter(|(key, _)| key.starts_with(&prefix));
            for (key, object) in matching.by_ref().take(PAGE) {
                last = Some(key.clone());
                page.push(s3s::dto::Object {
                    key: Some(encoded(key)),
                    size: i64::try_from(object.content.len()).ok(),
                    e_tag: Some(object.tag()),
                    ..Default::default()
                });
            }
            matching.next().is_some()
        });
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(page),
            encoding_type: Some(EncodingType::from("url".to_owned())),
            is_truncated: Some(is_truncated),
            next_continuation_token: last.filter(|_| is_truncated),
            ..Default::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        known(&request.input.bucket)?;
        let found = self.object(&request.input.key);
        let object = found.ok_or_else(|| s3_error!(NoSuchKey, "There is no such object."))?;
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(object.content.len()).ok(),
            e_tag: Some(object.tag()),
            content_type: object.content_type,
            cache_control: object.cache_control,
            body: Some(StreamingBlob::from(s3s::Body::from(object.content))),
            ..Default::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let asked = request.input;
        known(&asked.bucket)?;
        self.is_fast_enough()?;
        let mut content = Vec::new();
        if let Some(mut body) = asked.body {
            while let Some(piece) = body.try_next().await.map_err(|_| s3_error!(IncompleteBody))? {
                content.extend_from_slice(&piece);
            }
        }
        self.wait(Held::Before).await;
        let tag = self.with(|state| {
            let (content_type, cache_control) = (asked.content_type, asked.cache_control);
            let object = Object { content, content_type, cache_control, tag: state.tag() };
            let tag = object.tag();
            state.objects.insert(asked.key.clone(), object);
            state.puts.push(asked.key);
            tag
        });
        self.wait(Held::After).await;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(tag), ..Default::default() }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        known(&request.input.bucket)?;
        self.with(|state| drop(state.objects.remove(&request.input.key)));
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }
}

struct ReadByEverybody;

#[async_trait::async_trait]
impl S3Access for ReadByEverybody {
    async fn check(&self, asked: &mut S3AccessContext<'_>) -> S3Result<()> {
        if asked.credentials().is_some() || asked.s3_op().name() == "GetObject" {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "Access denied."))
    }
}

/// As S3 writes keys in its lists.
fn encoded(key: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./".contains(byte);
    let write =
        |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    key.bytes().map(write).collect()
}

/// Gives a program the right to change it.
pub fn by_right_of_its_owner(command: &mut std::process::Command, bucket: &Bucket) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_ENDPOINT_URL", &bucket.url);
}

/// What a file of JSON in it says.
pub fn json(bucket: &Bucket, key: &str) -> Result<serde_json::Value> {
    let object = bucket.object(key).with_context(|| format!("{key} is not there"))?;
    Ok(serde_json::from_slice(&object.content)?)
}
