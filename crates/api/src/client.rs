//! A typed client of the API.

use crate::{
    ArchiveUpload, ArchiveUploadCreate, Blob, ErrorBody, Event, ImageUpload, Operation, Resource, SlowMail,
    UploadedFile,
};
use futures::{Stream, StreamExt};
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The brain refused it.
    #[error("{}", .0.sentence())]
    Refused(Box<ErrorBody>),
    /// The brain could not be reached, or broke off.
    #[error("the brain at {url} does not answer")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// It answered, but not with what the API promises.
    #[error("the brain at {url} gave an answer that is none of Honcho's: {what}")]
    Strange {
        /// Where it was looked for.
        url: String,
        /// What was wrong.
        what: String,
    },
}

/// A connection to a brain, with a token.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// A list's filters: attribute and value.
pub type Query<'a> = &'a [(&'a str, String)];

/// How long one call may take; streams and blobs have no such bound.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a piece of an upload may take; what came of one that took longer is kept.
const PIECE_TIMEOUT: Duration = Duration::from_mins(10);

impl Client {
    /// A client of the brain at `url` (as in `http://127.0.0.1:7070`). `http` brings TLS roots and the like.
    pub fn new(http: reqwest::Client, url: &str, token: &str) -> Self {
        Client { http, url: url.trim_end_matches('/').to_owned(), token: token.trim().to_owned() }
    }

    /// Where the brain is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A request to `path` (as in `/v1/guests.json`), with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        // Without one nothing is shown: that is how somebody logs in.
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.url.clone(), source }
    }

    fn strange(&self, what: impl Into<String>) -> ClientError {
        ClientError::Strange { url: self.url.clone(), what: what.into() }
    }

    /// Sends a request and gives the answer if it is a 2xx.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if status.is_success() || status.as_u16() == 101 {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(error))?;
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(error) => Err(ClientError::Refused(Box::new(error))),
            Err(_) => Err(self.strange(format!("HTTP {status} without Honcho's error body"))),
        }
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        self.json_answer(self.send(request.timeout(CALL_TIMEOUT)).await?).await
    }

    async fn json_answer<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let body = response.bytes().await.map_err(|error| self.unreachable(error))?;
        serde_json::from_slice(&body).map_err(|error| self.strange(error.to_string()))
    }

    /// `GET path` with a query.
    pub async fn get_path<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, path).query(query)).await
    }

    /// Asks for something at a path that is no thing's, as by `POST /v1/balance`.
    pub async fn post_path<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<T, ClientError> {
        self.json(self.request(Method::POST, path).query(query)).await
    }

    /// Every `T` that the query lets through.
    pub async fn list<T: Resource>(&self, query: Query<'_>) -> Result<Vec<T>, ClientError> {
        self.get_path(&format!("/v1/{}.json", T::PATH), query).await
    }

    /// One by id.
    pub async fn get<T: Resource>(&self, id: i64) -> Result<T, ClientError> {
        self.get_path(&format!("/v1/{}/{id}.json", T::PATH), &[]).await
    }

    /// Makes one.
    pub async fn create<T: Resource>(&self, body: &impl Serialize) -> Result<T, ClientError> {
        self.post(&format!("/v1/{}.json", T::PATH), body).await
    }

    /// `POST path` with a JSON body.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    /// `PUT path` with a JSON body.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(self.request(Method::PUT, path).json(body)).await
    }

    /// Changes some attributes of one (PATCH).
    pub async fn update<T: Resource>(&self, id: i64, body: &impl Serialize) -> Result<T, ClientError> {
        self.json(self.request(Method::PATCH, &format!("/v1/{}/{id}.json", T::PATH)).json(body)).await
    }

    /// Deletes one and gives what the brain answered: the operation for a guest, the object for others.
    pub async fn delete<T: Resource, A: DeserializeOwned>(
        &self,
        id: i64,
        query: Query<'_>,
    ) -> Result<A, ClientError> {
        self.json(self.request(Method::DELETE, &format!("/v1/{}/{id}.json", T::PATH)).query(query)).await
    }

    /// A member action, as in `PUT /v1/guests/7/reboot.json?hard=true`.
    pub async fn action<T: Resource, A: DeserializeOwned>(
        &self,
        id: i64,
        action: &str,
        query: Query<'_>,
    ) -> Result<A, ClientError> {
        self.json(self.request(Method::PUT, &format!("/v1/{}/{id}/{action}.json", T::PATH)).query(query))
            .await
    }

    /// Whether the brain holds a blob.
    pub async fn has_blob(&self, digest: &str) -> Result<bool, ClientError> {
        let request = self.request(Method::HEAD, &format!("/v1/blobs/{digest}")).timeout(CALL_TIMEOUT);
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        match response.status().as_u16() {
            200..=299 => Ok(true),
            404 => Ok(false),
            // An answer to HEAD has no body that could say why; GET's has.
            _ => self
                .send(self.request(Method::GET, "/v1/images.json?limit=1").timeout(CALL_TIMEOUT))
                .await
                .and(Err(self.strange(format!("HTTP {} to HEAD /v1/blobs/{digest}", response.status())))),
        }
    }

    /// The bytes of a blob, as they come; whoever wants it checks its digest.
    pub async fn blob(
        &self,
        digest: &str,
    ) -> Result<impl Stream<Item = Result<bytes::Bytes, ClientError>> + Unpin + use<>, ClientError> {
        let response = self.send(self.request(Method::GET, &format!("/v1/blobs/{digest}"))).await?;
        let client = self.clone();
        Ok(response.bytes_stream().map(move |chunk| chunk.map_err(|error| client.unreachable(error))).boxed())
    }

    /// Sends a blob of `size` bytes. The brain refuses it when what arrives does not have this digest.
    pub async fn send_blob<S, E>(&self, digest: &str, size: u64, content: S) -> Result<Blob, ClientError>
    where
        S: Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let request = self
            .request(Method::PUT, &format!("/v1/blobs/{digest}"))
            .header("content-type", "application/octet-stream")
            .header("content-length", size)
            .body(reqwest::Body::wrap_stream(content));
        self.json_answer(self.send(request).await?).await
    }

    /// Sends bytes of an upload, which begin at `offset`.
    pub async fn send_piece(
        &self,
        id: i64,
        offset: u64,
        piece: bytes::Bytes,
    ) -> Result<ImageUpload, ClientError> {
        let request = self
            .request(Method::PUT, &format!("/v1/image_uploads/{id}/content"))
            .query(&[("offset", offset)])
            .header("content-type", "application/octet-stream")
            .timeout(PIECE_TIMEOUT)
            .body(piece);
        self.json_answer(self.send(request).await?).await
    }

    /// Sends a file of an upload into a suite of the archive.
    pub async fn send_upload<S, E>(
        &self,
        (suite, upload, name): (&str, &str, &str),
        size: u64,
        content: S,
    ) -> Result<UploadedFile, ClientError>
    where
        S: Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let request = self
            .request(Method::PUT, &format!("/v1/suites/{suite}/uploads/{upload}/files/{name}"))
            .header("content-type", "application/octet-stream")
            .header("content-length", size)
            .body(reqwest::Body::wrap_stream(content));
        self.json_answer(self.send(request).await?).await
    }

    /// Adds what was uploaded. It waits for whoever else changes the archive.
    pub async fn add_upload(
        &self,
        (suite, upload): (&str, &str),
        body: &ArchiveUploadCreate,
    ) -> Result<ArchiveUpload, ClientError> {
        let path = format!("/v1/suites/{suite}/uploads/{upload}");
        self.json_answer(self.send(self.request(Method::POST, &path).json(body)).await?).await
    }

    /// Hands in a mail with a slow log, as it lies in a Maildir. It may be sent again: it is counted once.
    pub async fn hand_in_mail(&self, mail: Vec<u8>) -> Result<SlowMail, ClientError> {
        let request = self
            .request(Method::POST, "/v1/slow_mails.json")
            .header("content-type", "message/rfc822")
            .body(mail);
        self.json(request).await
    }

    /// What a guest's console printed: the last `tail` bytes, and with `follow` what it prints from then on.
    pub async fn guest_log(
        &self,
        id: i64,
        query: Query<'_>,
    ) -> Result<impl Stream<Item = Result<bytes::Bytes, ClientError>> + use<>, ClientError> {
        let response =
            self.send(self.request(Method::GET, &format!("/v1/guests/{id}/log")).query(query)).await?;
        let client = self.clone();
        Ok(response.bytes_stream().map(move |chunk| chunk.map_err(|error| client.unreachable(error))).boxed())
    }

    /// A guest's serial console, both ways.
    pub async fn guest_console(&self, id: i64) -> Result<reqwest::Upgraded, ClientError> {
        let request = self
            .request(Method::GET, &format!("/v1/guests/{id}/console"))
            .header("connection", "upgrade")
            .header("upgrade", "honcho-stream");
        let response = self.send(request).await?;
        if response.status().as_u16() != 101 {
            return Err(self.strange(format!("HTTP {} where a console was asked for", response.status())));
        }
        response.upgrade().await.map_err(|error| self.unreachable(error))
    }

    /// One operation.
    pub async fn operation(&self, id: i64) -> Result<Operation, ClientError> {
        self.get_path(&format!("/v1/operations/{id}.json"), &[]).await
    }

    /// Events as they come, after a cursor (server-sent events). The stream ends when the brain goes; go on from the
    /// last id that it gave.
    pub async fn events(
        &self,
        query: Query<'_>,
    ) -> Result<impl Stream<Item = Result<Event, ClientError>> + use<>, ClientError> {
        self.server_sent("/v1/events/stream", query).await
    }

    /// An operation as it proceeds (server-sent events), until it has ended.
    pub async fn watch_operation(
        &self,
        id: i64,
    ) -> Result<impl Stream<Item = Result<Operation, ClientError>> + use<>, ClientError> {
        self.server_sent(&format!("/v1/operations/{id}/stream"), &[]).await
    }

    async fn server_sent<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<impl Stream<Item = Result<T, ClientError>> + use<T>, ClientError> {
        let request = self.request(Method::GET, path).query(query).header("accept", "text/event-stream");
        let bytes = self.send(request).await?.bytes_stream().boxed();
        let state = (bytes, Vec::<u8>::new(), self.clone());
        Ok(futures::stream::unfold(state, |(mut bytes, mut buffer, client)| async move {
            loop {
                while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    let Some(data) = line.strip_prefix(b"data:") else { continue };
                    let item = serde_json::from_slice(data.trim_ascii());
                    let item = item.map_err(|error| client.strange(error.to_string()));
                    return Some((item, (bytes, buffer, client)));
                }
                match bytes.next().await? {
                    Ok(chunk) => buffer.extend_from_slice(&chunk),
                    Err(error) => {
                        let error = client.unreachable(error);
                        return Some((Err(error), (futures::stream::empty().boxed(), Vec::new(), client)));
                    }
                }
            }
        }))
    }
}
