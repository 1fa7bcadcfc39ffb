//! `/v1/suites`: uploads into the archive, by operators and by tokens of a suite.
//!
//! An upload is a name of the client's choosing. Its files come one by one, as large as they are; what they are is looked at when all
//! are there, and then all of it is added or none.

use super::bodies;
use super::error::{ApiError, ApiResult};
use super::extract::{Body, Caller};
use crate::app::App;
use crate::archive::{OwnArchive, below};
use axum::Json;
use axum::body::Body as Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use futures::StreamExt as _;
use honcho_api::{ArchivePackage, ArchiveUpload, ErrorBody, UploadedFile};
use honcho_archive::{ArchiveError, Component, Published, SuiteName, Taken};
use honcho_model::Right;
use honcho_model::event::ResourceKind;
use honcho_store::events::{self, NewEvent};
use honcho_store::{Change, StoreResult, Tx};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use tokio::io::AsyncWriteExt as _;

/// The largest file, in bytes: packages with debugging symbols have some gigabytes.
const LARGEST_FILE: u64 = 4 << 30;

/// So many files an upload has at most,
const MOST_FILES: usize = 500;

/// and so many uploads into one suite are open at a time.
const MOST_UPLOADS: usize = 32;

/// An upload that somebody may make.
struct Place {
    suite: SuiteName,
    directory: PathBuf,
}

/// Which upload is meant, if there is such a suite and the caller may upload into it.
async fn place<'a>(
    app: &'a App,
    caller: &Caller,
    suite: &str,
    upload: &str,
) -> ApiResult<(&'a OwnArchive, Place)> {
    let may = match caller.right {
        Right::Operator => caller.scope.is_operator(),
        Right::Suite => caller.known.suite() == Some(suite),
        Right::Admin | Right::Viewer | Right::Machine => false,
    };
    if !may {
        let text = "only operators and tokens of this suite may upload into it";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", text)
            .hint("an operator makes one: honcho token create ci --suite bookworm"));
    }
    let archive = app.archive.as_ref().ok_or_else(ApiError::no_archive)?;
    let suite: SuiteName = suite.parse().map_err(|_| ApiError::not_found("suite"))?;
    if !archive.has(suite.clone()).await.map_err(failed)? {
        return Err(ApiError::not_found("suite"));
    }
    if !is_strict(upload) {
        return Err(ApiError::invalid("upload", "must be 1 to 64 letters, digits, - and _"));
    }
    let directory = archive.uploads(&suite).join(upload);
    Ok((archive, Place { suite, directory }))
}

fn is_strict(upload: &str) -> bool {
    (1..=64).contains(&upload.len())
        && upload.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// What the archive refuses, as the API says it; of a file only its name, for where it waited is nobody's business.
fn refused(error: ArchiveError, place: &Place) -> ApiError {
    match error {
        ArchiveError::Refused(_) | ArchiveError::NoPackage { .. } | ArchiveError::NotFound(_) => {
            let waited = format!("{}/", place.directory.display());
            ApiError::invalid("base", error.to_string().replace(&waited, ""))
        }
        ArchiveError::Io { error: cause, .. } if cause.kind() == ErrorKind::NotFound => {
            ApiError::invalid("base", "a file that is named was not uploaded")
        }
        error => failed(error),
    }
}

impl ApiError {
    /// 404: this brain serves no archive.
    pub(crate) fn no_archive() -> Self {
        ApiError::not_found("archive at this brain").hint("honcho serve --archive DIR serves one")
    }

    /// What failed in the archive, and is nobody's fault who asked.
    pub(crate) fn of_archive(error: ArchiveError) -> Self {
        failed(error)
    }
}

fn failed(error: ArchiveError) -> ApiError {
    tracing::error!(%error, request = %super::request_id(), "the archive failed");
    match error {
        ArchiveError::Io { error, .. } => unwritten(&error),
        _ => ApiError::internal("the archive is damaged or cannot be signed: the brain's log says more"),
    }
}

fn unwritten(error: &std::io::Error) -> ApiError {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let text = if full { "the archive's disk is full" } else { "the archive cannot be written" };
    ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "archive_store", text)
}

/// Sends a file of an upload.
#[utoipa::path(put, path = "/v1/suites/{suite}/uploads/{upload}/files/{name}", tag = "archive",
    params(("suite" = String, Path), ("upload" = String, Path, description = "The client's own name for the upload"),
        ("name" = String, Path, description = "As it is called in a .changes: hello_2.10-3_amd64.deb")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    description = "Sends a file of an upload: a .deb, a .dsc, a .changes, or what one of these names. At most 4 GiB. The same name again replaces it.",
    responses((status = 201, body = UploadedFile), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 408, body = ErrorBody, description = "Nothing more of it came for 30 s"),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody, description = "Too many uploads are open"),
        (status = 507, body = ErrorBody, description = "It could not be written: most often the disk is full")))]
pub(super) async fn upload_file(
    State(app): State<App>,
    caller: Caller,
    named: Result<Path<(String, String, String)>, PathRejection>,
    body: Bytes,
) -> ApiResult<(StatusCode, Json<UploadedFile>)> {
    let Path((suite, upload, name)) = named.map_err(|_| ApiError::not_found("suite"))?;
    let (archive, place) = place(&app, &caller, &suite, &upload).await?;
    if !honcho_archive::is_file_name(&name) {
        let text = "must be letters, digits, and . + - ~ _, of which the first is a letter or a digit";
        return Err(ApiError::invalid("name", text));
    }
    let open = below(&archive.uploads(&place.suite)).map_err(failed)?;
    if open.len() >= MOST_UPLOADS && !open.contains(&place.directory) {
        let text = "too many uploads into this suite are open";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
            .hint("one that nobody goes on with is forgotten after a day")
            .closing());
    }
    if below(&place.directory).map_err(failed)?.len() >= MOST_FILES {
        return Err(ApiError::invalid("base", format!("an upload has at most {MOST_FILES} files")).closing());
    }
    tokio::fs::create_dir_all(&place.directory).await.map_err(|error| unwritten(&error))?;
    let size = written(&place.directory.join(&name), body).await?;
    let size_bytes = i64::try_from(size).unwrap_or(i64::MAX);
    Ok((StatusCode::CREATED, Json(UploadedFile { name, size_bytes })))
}

/// Writes what comes under a name of its own, which it gets when it is whole.
async fn written(path: &std::path::Path, body: Bytes) -> ApiResult<u64> {
    let directory = path.parent().unwrap_or(path);
    let unwritten = |error: std::io::Error| {
        tracing::error!(%error, request = %super::request_id(), "an upload cannot be written");
        unwritten(&error)
    };
    let part = tempfile::Builder::new().prefix(".part-").tempfile_in(directory).map_err(unwritten)?;
    let mut file = tokio::fs::File::from_std(part.reopen().map_err(unwritten)?);
    let (mut pieces, mut size) = (bodies::pieces(body), 0_u64);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => bodies::broke_off(),
            _ => ApiError::new(StatusCode::BAD_REQUEST, "broken_upload", "the file did not come whole"),
        })?;
        size += piece.len() as u64;
        if size > LARGEST_FILE {
            let text = format!("a file has at most {LARGEST_FILE} bytes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text).closing());
        }
        file.write_all(&piece).await.map_err(unwritten)?;
    }
    file.flush().await.map_err(unwritten)?;
    part.persist(path).map_err(|error| unwritten(error.error))?;
    Ok(size)
}

/// Writes down who added what.
struct Noted<'n> {
    suite: &'n str,
    publication: Option<i64>,
    message: String,
    after: serde_json::Value,
}

impl Change for Noted<'_> {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let resource = (ResourceKind::Suite, self.publication.unwrap_or(0), self.suite);
        let event = NewEvent::info("suite.upload", resource, self.message.clone());
        events::record(tx, event.change(None, Some(self.after.clone()))).await?;
        Ok(())
    }
}

/// Adds what was uploaded.
#[utoipa::path(post, path = "/v1/suites/{suite}/uploads/{upload}", tag = "archive",
    params(("suite" = String, Path), ("upload" = String, Path)), request_body = honcho_api::ArchiveUploadCreate,
    description = "Adds what was uploaded to a suite, and publishes it unless told otherwise: all of it or none. Each .changes with all that it names; where there is \
        none, each .dsc and each .deb. Whoever else changes the archive is waited for. The uploaded files are gone afterwards, unless the archive failed.",
    responses((status = 201, body = ArchiveUpload), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody), (status = 507, body = ErrorBody)))]
pub(super) async fn upload_add(
    State(app): State<App>,
    caller: Caller,
    named: Result<Path<(String, String)>, PathRejection>,
    body: Body<honcho_api::ArchiveUploadCreate>,
) -> ApiResult<(StatusCode, Json<ArchiveUpload>)> {
    let Path((suite, upload)) = named.map_err(|_| ApiError::not_found("suite"))?;
    let (archive, place) = place(&app, &caller, &suite, &upload).await?;
    let asked = body.value;
    let component = asked.component.as_deref().unwrap_or("main");
    let component: Component =
        component.parse().map_err(|error: ArchiveError| ApiError::invalid("component", error.to_string()))?;
    if asked.note.as_ref().is_some_and(|note| note.len() > 500 || note.chars().any(char::is_control)) {
        return Err(ApiError::invalid("note", "must be one line of at most 500 bytes"));
    }
    let added = to_be_added(&place)?;
    let (publish, note, now) = (asked.publish != Some(false), asked.note, app.now().0.div_euclid(1_000_000));
    let done = archive
        .change({
            let suite = place.suite.clone();
            move |changing| {
                if publish {
                    return changing.add_and_publish(&suite, &component, &added, note, now);
                }
                Ok((changing.add(&suite, &component, &added)?, Published::Nothing))
            }
        })
        .await
        .map_err(|error| refused(error, &place));
    let (added, published) = match done {
        Ok(done) => done,
        Err(error) => {
            if error.status().is_client_error() {
                forgotten(&place).await;
            }
            return Err(error);
        }
    };
    let publication = match published {
        Published::New { number, .. } => Some(i64::try_from(number).unwrap_or(i64::MAX)),
        Published::Nothing => None,
    };
    let packages: Vec<ArchivePackage> = added
        .into_iter()
        .map(|one| ArchivePackage {
            package: one.package,
            version: one.version,
            architecture: one.architecture,
            place: one.place,
            is_new: one.taken == Taken::New,
        })
        .collect();
    let answer = ArchiveUpload { suite: place.suite.to_string(), upload, publication, packages };
    let message = match (answer.packages.as_slice(), publication) {
        ([one], Some(_)) => format!("has {} {}, published", one.package, one.version),
        ([one], None) => format!("has {} {} for its next publication", one.package, one.version),
        (many, Some(_)) => format!("has {} packages more, published", many.len()),
        (many, None) => format!("has {} packages more for its next publication", many.len()),
    };
    let after = serde_json::to_value(&answer).unwrap_or_default();
    let noted = Noted { suite: place.suite.as_str(), publication, message, after };
    app.write(caller.actor, &noted).await?;
    forgotten(&place).await;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Removes what waited. It is published or refused by now, whatever comes of this; what stays goes a day later.
async fn forgotten(place: &Place) {
    if let Err(error) = tokio::fs::remove_dir_all(&place.directory).await {
        tracing::warn!(%error, directory = %place.directory.display(), "what was uploaded is still there");
    }
}

/// What of an upload is named to the archive, which finds the rest beside it.
fn to_be_added(place: &Place) -> ApiResult<Vec<PathBuf>> {
    let mut files = below(&place.directory).map_err(failed)?;
    files.sort();
    let ending =
        |wanted: &'static str| move |path: &&PathBuf| path.extension().is_some_and(|ending| ending == wanted);
    let changes: Vec<PathBuf> = files.iter().filter(ending("changes")).cloned().collect();
    let named = if changes.is_empty() {
        files.iter().filter(|path| ending("deb")(path) || ending("dsc")(path)).cloned().collect()
    } else {
        are_all_named(&files, &changes).map_err(|error| refused(error, place))?;
        changes
    };
    if named.is_empty() {
        return Err(ApiError::invalid(
            "base",
            "it has no .changes, no .dsc and no .deb: send its files first",
        ));
    }
    Ok(named)
}

/// Refuses what no `.changes` names: it would be thrown away, and whoever sent it would believe that it is there.
fn are_all_named(files: &[PathBuf], changes: &[PathBuf]) -> Result<(), ArchiveError> {
    let mut named: HashSet<PathBuf> = changes.iter().cloned().collect();
    for path in changes {
        named.extend(honcho_archive::named_beside(path)?);
    }
    // What has a dot in front is just being sent.
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let more: Vec<String> = files.iter().filter(|path| !named.contains(*path)).filter_map(name).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).filter(|name| !name.starts_with('.')).collect();
    if more.is_empty() {
        return Ok(());
    }
    Err(ArchiveError::Refused(format!("{}: named by no .changes of this upload", more.join(", "))))
}

/// Forgets an upload.
#[utoipa::path(delete, path = "/v1/suites/{suite}/uploads/{upload}", tag = "archive",
    params(("suite" = String, Path), ("upload" = String, Path)),
    description = "Forgets the files of an upload that was not added. That there are none is as good.",
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn upload_forget(
    State(app): State<App>,
    caller: Caller,
    named: Result<Path<(String, String)>, PathRejection>,
) -> ApiResult<StatusCode> {
    let Path((suite, upload)) = named.map_err(|_| ApiError::not_found("suite"))?;
    let (_, place) = place(&app, &caller, &suite, &upload).await?;
    match tokio::fs::remove_dir_all(&place.directory).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritten(&error)),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
