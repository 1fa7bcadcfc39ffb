//! Root filesystems on their way to become images: uploaded by people, or read off a guest's disk by its host. How much of one has
//! come is what lies in its file, and not known here.
//!
//! ```text
//!   receiving --finish--> sealing --> done (image_id)
//!       |                    '------> refused (problem)
//!       '--nothing comes, or given up--^
//! ```

use crate::list::{Column, Filters, Select, Shared};
use crate::sql::{Connection, execute, from_json, insert, number, rows, signed, time, to_json, values};
use crate::{Refusal, Scope, StoreResult, Tx};
use honcho_api::ImageUpload;
use honcho_model::{AccountId, Bytes, Digest, GuestId, HostId, ImageId, ImageUploadId, Name, Timestamp};
use sea_orm::FromQueryResult;
use std::time::Duration;
use uuid::Uuid;

/// Of which nothing came for so long is given up.
pub const PATIENCE: Duration = Duration::from_hours(24);

/// So long it is told how one ended.
pub const REMEMBERED: Duration = Duration::from_hours(7 * 24);

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    account_id: Option<i64>,
    guest_id: Option<i64>,
    name: String,
    size: i64,
    digest: String,
    host_kernel: bool,
    created_at: i64,
    touched_at: i64,
    finished_at: Option<i64>,
    stage: Option<String>,
    progress: Option<i64>,
    ended_at: Option<i64>,
    image_id: Option<i64>,
    problem: Option<String>,
    notes: Option<String>,
}

/// The same rule as in [`status`].
const STATUS: &str = "CASE WHEN u.ended_at IS NOT NULL AND u.image_id IS NOT NULL THEN 'done' \
    WHEN u.ended_at IS NOT NULL THEN 'refused' WHEN u.finished_at IS NOT NULL THEN 'sealing' ELSE 'receiving' END";

const COLUMNS: &[Column] = &[
    Column::Integer("id", "u.id"),
    Column::Integer("account_id", "u.account_id"),
    Column::Integer("guest_id", "u.guest_id"),
    Column::Text("name", "u.name"),
    Column::Text("digest", "u.digest"),
    Column::Text("status", STATUS),
];

fn status(row: &Row) -> &'static str {
    match (row.ended_at, row.image_id, row.finished_at) {
        (Some(_), Some(_), _) => "done",
        (Some(_), None, _) => "refused",
        (None, _, Some(_)) => "sealing",
        (None, _, None) => "receiving",
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn to_api(row: Row) -> StoreResult<ImageUpload> {
    let receiving = row.ended_at.is_none() && row.finished_at.is_none();
    Ok(ImageUpload {
        status: status(&row).to_owned(),
        expires_at: receiving.then(|| time(row.touched_at.saturating_add(micros(PATIENCE)))),
        notes: from_json("notes of an upload", row.notes.as_deref())?.unwrap_or_default(),
        id: row.id,
        uuid: row.uuid,
        account_id: row.account_id,
        guest_id: row.guest_id,
        name: row.name,
        size_bytes: row.size,
        digest: row.digest,
        host_kernel: row.host_kernel,
        // What was sealed had come whole; else its file knows.
        received_bytes: if row.finished_at.is_some() { row.size } else { 0 },
        stage: row.stage,
        progress_percent: row.progress,
        problem: row.problem,
        image_id: row.image_id,
        created_at: time(row.created_at),
        finished_at: row.finished_at.map(time),
        ended_at: row.ended_at.map(time),
    })
}

/// Uploads in scope, those that have ended lately too.
pub async fn list(
    connection: &impl Connection,
    scope: Scope,
    filters: &Filters,
) -> StoreResult<Vec<ImageUpload>> {
    let mut select = Select::new(
        "SELECT u.id, u.uuid, u.account_id, u.guest_id, u.name, u.size, u.digest, u.host_kernel, u.created_at, u.touched_at, \
         u.finished_at, u.stage, u.progress, u.ended_at, u.image_id, u.problem, u.notes FROM image_uploads u",
        values![],
    );
    // What is to become everybody's is an operator's business.
    select.scope(scope, "u.account_id", Shared::No);
    select.filter(filters, "u.id", COLUMNS)?;
    let found: Vec<Row> = select.all(connection, "u.id", filters).await?;
    found.into_iter().map(to_api).collect()
}

/// Those that have not ended.
pub fn open() -> Filters {
    let status = |word: &str| ("status".to_owned(), word.to_owned());
    Filters { equals: vec![status("receiving"), status("sealing")], ..Filters::default() }
}

/// One upload.
pub async fn get(connection: &impl Connection, scope: Scope, id: ImageUploadId) -> StoreResult<ImageUpload> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("upload").into())
}

/// What a new upload is.
pub struct NewUpload {
    /// Random; its file is named by it.
    pub uuid: Uuid,
    /// Whose image it becomes.
    pub account: Option<AccountId>,
    /// The image's name.
    pub name: Name,
    /// What it comes from.
    pub from: UploadFrom,
    /// Whether it is given the kernel of the brain's machine.
    pub host_kernel: bool,
}

/// What an upload comes from.
pub enum UploadFrom {
    /// A file of somebody's.
    File {
        /// How long it is.
        size: Bytes,
        /// SHA-256 of it.
        digest: Digest,
    },
    /// A guest's disk, of which neither is known before it was read.
    Guest(GuestId),
}

/// Begins one.
pub async fn create(tx: &Tx, new: &NewUpload) -> StoreResult<ImageUploadId> {
    let (size, digest, guest) = match new.from {
        UploadFrom::File { size, digest } => (size, digest.to_string(), None),
        UploadFrom::Guest(guest) => (Bytes(0), String::new(), Some(guest.0)),
    };
    let id = insert(
        tx,
        "INSERT INTO image_uploads (uuid, account_id, name, size, digest, host_kernel, created_at, touched_at, guest_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id AS n",
        values![
            new.uuid,
            new.account.map(|account| account.0),
            new.name.as_str(),
            signed(size.0),
            digest,
            new.host_kernel,
            tx.now.0,
            tx.now.0,
            guest
        ],
    )
    .await?;
    let id = ImageUploadId(id);
    tell_host(tx, id).await?;
    Ok(id)
}

/// What is read off a guest's disk is in its host's manifest for as long as it is to be read.
async fn tell_host(tx: &Tx, id: ImageUploadId) -> StoreResult<()> {
    let sql = "SELECT g.host_id AS n FROM image_uploads u JOIN guests g ON g.id = u.guest_id WHERE u.id = $1 AND g.host_id IS NOT NULL";
    if let Some(host) = number(tx, sql, values![id.0]).await? {
        tx.touch(HostId(host));
    }
    Ok(())
}

/// The one that is read off the disk of a guest on this host, ended or not.
pub async fn captured_on(
    connection: &impl Connection,
    uuid: Uuid,
    host: HostId,
) -> StoreResult<Option<ImageUpload>> {
    let sql = "SELECT u.id AS n FROM image_uploads u JOIN guests g ON g.id = u.guest_id WHERE u.uuid = $1 AND g.host_id = $2";
    match number(connection, sql, values![uuid, host.0]).await? {
        Some(id) => get(connection, Scope::System, ImageUploadId(id)).await.map(Some),
        None => Ok(None),
    }
}

/// The disks that are to be read on a host: guests, and the uploads that they are.
pub async fn captures_on(connection: &impl Connection, host: HostId) -> StoreResult<Vec<(GuestId, Uuid)>> {
    #[derive(FromQueryResult)]
    struct Row {
        guest_id: i64,
        uuid: Uuid,
    }
    let sql = "SELECT u.guest_id, u.uuid FROM image_uploads u JOIN guests g ON g.id = u.guest_id \
               WHERE g.host_id = $1 AND u.ended_at IS NULL AND u.finished_at IS NULL";
    let found: Vec<Row> = rows(connection, sql, values![host.0]).await?;
    Ok(found.into_iter().map(|row| (GuestId(row.guest_id), row.uuid)).collect())
}

/// What a guest's disk came to.
pub async fn measured(tx: &Tx, id: ImageUploadId, size: Bytes, digest: Digest) -> StoreResult<()> {
    let sql = "UPDATE image_uploads SET size = $1, digest = $2 WHERE id = $3";
    execute(tx, sql, values![signed(size.0), digest.to_string(), id.0]).await?;
    Ok(())
}

/// More of it came.
pub async fn touch(tx: &Tx, id: ImageUploadId) -> StoreResult<()> {
    execute(tx, "UPDATE image_uploads SET touched_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

/// All of it has come, and is to be sealed.
pub async fn finish(tx: &Tx, id: ImageUploadId) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE image_uploads SET finished_at = $1, problem = NULL, stage = NULL, progress = NULL WHERE id = $2",
        values![tx.now.0, id.0],
    )
    .await?;
    tell_host(tx, id).await
}

/// How far its sealing, or its reading, is.
pub async fn progress(tx: &Tx, id: ImageUploadId, stage: &str, percent: i64) -> StoreResult<u64> {
    let sql = "UPDATE image_uploads SET stage = $1, progress = $2 WHERE id = $3 AND ended_at IS NULL";
    execute(tx, sql, values![stage, percent, id.0]).await
}

/// It waits to be finished once more, and why.
pub async fn put_back(tx: &Tx, id: ImageUploadId, problem: &str) -> StoreResult<()> {
    let sql = "UPDATE image_uploads SET finished_at = NULL, stage = NULL, progress = NULL, problem = $1, touched_at = $2 \
               WHERE id = $3";
    execute(tx, sql, values![problem, tx.now.0, id.0]).await?;
    Ok(())
}

/// How an upload ends.
pub enum End {
    /// It is an image by now, of which its owner should know this.
    Image(ImageId, Vec<String>),
    /// It is none, and why.
    Problem(String),
}

/// Ends one.
pub async fn end(tx: &Tx, id: ImageUploadId, end: &End) -> StoreResult<()> {
    let (image, problem, notes) = match end {
        End::Image(image, notes) => (Some(image.0), None, Some(to_json(notes)?)),
        End::Problem(problem) => (None, Some(problem.clone()), None),
    };
    execute(
        tx,
        "UPDATE image_uploads SET ended_at = $1, image_id = $2, problem = $3, notes = $4, stage = NULL, progress = NULL \
         WHERE id = $5",
        values![tx.now.0, image, problem, notes, id.0],
    )
    .await?;
    tell_host(tx, id).await
}

#[derive(FromQueryResult)]
struct Expired {
    id: i64,
    uuid: Uuid,
}

/// Those of which nothing came for too long, with the names of their files.
pub async fn expired(
    connection: &impl Connection,
    now: Timestamp,
) -> StoreResult<Vec<(ImageUploadId, Uuid)>> {
    let sql = "SELECT id, uuid FROM image_uploads WHERE ended_at IS NULL AND finished_at IS NULL AND touched_at <= $1 ORDER BY id";
    let found: Vec<Expired> = rows(connection, sql, values![now.0.saturating_sub(micros(PATIENCE))]).await?;
    Ok(found.into_iter().map(|row| (ImageUploadId(row.id), row.uuid)).collect())
}

/// Forgets those that ended long ago.
pub async fn forget(tx: &Tx) -> StoreResult<u64> {
    let before = tx.now.0.saturating_sub(micros(REMEMBERED));
    execute(tx, "DELETE FROM image_uploads WHERE ended_at <= $1", values![before]).await
}
