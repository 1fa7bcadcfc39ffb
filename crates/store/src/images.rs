//! Images.

use crate::list::{Column, Filters, ListError, Select, Shared};
use crate::sql::{Connection, execute, from_json, insert, number, row, signed, time, to_json, values};
use crate::{Refusal, Scope, StoreResult, Tx};
use honcho_api::{Image, ImagePackage};
use honcho_model::{AccountId, Bytes, Digest, ImageId, Name};
use sea_orm::FromQueryResult;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    uuid: Uuid,
    account_id: Option<i64>,
    name: String,
    digest: String,
    compressed: i64,
    unpacked: i64,
    packages_count: i64,
    architecture: Option<String>,
    distribution_id: Option<String>,
    distribution_version: Option<String>,
    distribution_name: Option<String>,
    init: Option<String>,
    kernel: Option<String>,
    files_count: Option<i64>,
    signed_by: Option<String>,
    key_name: Option<String>,
    created_at: i64,
    lock_version: i64,
}

const COLUMNS: &[Column] = &[
    Column::Integer("id", "m.id"),
    Column::Text("name", "m.name"),
    Column::Integer("account_id", "m.account_id"),
    Column::Text("digest", "m.digest"),
    Column::Text("distribution", "m.distribution_id"),
];

/// Images in scope; those without an account are everybody's.
pub async fn list(connection: &impl Connection, scope: Scope, filters: &Filters) -> StoreResult<Vec<Image>> {
    let mut select = Select::new(
        "SELECT m.id, m.uuid, m.account_id, m.name, m.digest, m.compressed, m.unpacked, m.packages_count, \
         m.architecture, m.distribution_id, m.distribution_version, m.distribution_name, m.init, m.kernel, \
         m.files_count, m.signed_by, k.name AS key_name, m.created_at, m.lock_version FROM images m \
         LEFT JOIN image_keys k ON k.fingerprint = m.signed_by AND k.deleted_at IS NULL",
        values![],
    );
    select.only("m.deleted_at IS NULL");
    select.scope(scope, "m.account_id", Shared::Yes);
    select.filter(filters, "m.id", COLUMNS)?;
    let rows: Vec<Row> = select.all(connection, "m.id", filters).await?;
    let image = |row: Row| Image {
        id: row.id,
        uuid: row.uuid,
        account_id: row.account_id,
        name: row.name,
        digest: row.digest,
        compressed_bytes: row.compressed,
        unpacked_bytes: row.unpacked,
        packages_count: row.packages_count,
        architecture: row.architecture,
        distribution: row.distribution_id,
        distribution_version: row.distribution_version,
        distribution_name: row.distribution_name,
        init: row.init,
        kernel: row.kernel,
        files_count: row.files_count,
        signature: match (&row.signed_by, &row.key_name) {
            (None, _) => "none",
            (Some(_), Some(_)) => "trusted",
            (Some(_), None) => "untrusted",
        }
        .to_owned(),
        signed_by: row.key_name,
        created_at: time(row.created_at),
        lock_version: row.lock_version,
    };
    Ok(rows.into_iter().map(image).collect())
}

/// One image.
pub async fn get(connection: &impl Connection, scope: Scope, id: ImageId) -> StoreResult<Image> {
    let found = list(connection, scope, &Filters::default().and("id", id)).await?;
    found.into_iter().next().ok_or_else(|| Refusal::NotFound("image").into())
}

#[derive(FromQueryResult)]
struct Packages {
    packages: Option<String>,
}

/// The packages in one, whose existence in scope was checked. They have no ids, so pages of them are counted.
pub async fn packages(
    connection: &impl Connection,
    id: ImageId,
    filters: &Filters,
) -> StoreResult<Vec<ImagePackage>> {
    let row: Option<Packages> =
        row(connection, "SELECT packages FROM images WHERE id = $1", values![id.0]).await?;
    let all: Option<Vec<ImagePackage>> =
        from_json("package list", row.and_then(|row| row.packages).as_deref())?;
    filtered(all.unwrap_or_default(), filters)
}

/// Those of packages that are asked for.
pub fn filtered(mut packages: Vec<ImagePackage>, filters: &Filters) -> StoreResult<Vec<ImagePackage>> {
    let after = filters.after.is_some() || filters.cursor.is_some();
    let unknown = filters.equals.iter().map(|(attribute, _)| attribute.as_str()).find(|name| *name != "name");
    if let Some(unknown) = unknown.or(after.then_some("after")) {
        return Err(ListError::UnknownFilter(unknown.to_owned(), "name".to_owned()).into());
    }
    packages.retain(|package| {
        filters.equals.is_empty() || filters.equals.iter().any(|(_, name)| *name == package.name)
    });
    if filters.descending {
        packages.reverse();
    }
    let count = |number: Option<i64>, absent: usize| {
        number.map_or(absent, |number| usize::try_from(number).unwrap_or(usize::MAX))
    };
    let rest = packages.into_iter().skip(count(filters.offset, 0));
    Ok(rest.take(count(filters.limit, usize::MAX)).collect())
}

/// The recipe of one, whose existence in scope was checked.
pub async fn recipe(connection: &impl Connection, id: ImageId) -> StoreResult<Option<String>> {
    let row: Option<Recipe> =
        row(connection, "SELECT recipe FROM images WHERE id = $1", values![id.0]).await?;
    Ok(row.and_then(|row| row.recipe))
}

#[derive(FromQueryResult)]
struct Recipe {
    recipe: Option<String>,
}

/// What was signed of an image, and how.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Signature {
    /// The text that was signed.
    pub manifest: String,
    /// The signature.
    pub signature: String,
    /// The fingerprint of the key.
    pub signed_by: String,
}

/// The signature of one, whose existence in scope was checked.
pub async fn signature(connection: &impl Connection, id: ImageId) -> StoreResult<Option<Signature>> {
    let sql = "SELECT manifest, signature, signed_by FROM images WHERE id = $1 AND signed_by IS NOT NULL";
    row(connection, sql, values![id.0]).await
}

/// What has packages, and which.
#[derive(FromQueryResult)]
pub(crate) struct WithPackages {
    pub(crate) id: i64,
    pub(crate) packages: String,
}

/// The images in scope, deleted ones too, that hold a package of this name of which `fits` holds. Package lists are texts:
/// those that name it are read.
pub async fn with_package(
    connection: &impl Connection,
    scope: Scope,
    name: &str,
    fits: &(dyn Fn(&ImagePackage) -> bool + Sync),
) -> StoreResult<Vec<i64>> {
    let like = like_pattern(name)?;
    let select = || {
        let mut select = Select::new("SELECT m.id, m.packages FROM images m", values![]);
        select.only_with("m.packages LIKE ? ESCAPE '!'", like.as_str());
        select.scope(scope, "m.account_id", Shared::Yes);
        select
    };
    having(connection, select, "m.id", name, fits).await
}

/// So many lists are in memory at once.
const LISTS_AT_ONCE: i64 = 16;

/// The ids among the rows of a select whose lists hold a package of which `fits` holds, page by page.
pub(crate) async fn having(
    connection: &impl Connection,
    select: impl Fn() -> Select,
    id: &str,
    name: &str,
    fits: &(dyn Fn(&ImagePackage) -> bool + Sync),
) -> StoreResult<Vec<i64>> {
    let page = Filters { limit: Some(LISTS_AT_ONCE), ..Filters::default() };
    let (mut found, mut after) = (Vec::new(), Some(i64::MIN));
    while let Some(last) = after {
        let mut select = select();
        select.only_with(&format!("{id} > ?"), last);
        let rows: Vec<WithPackages> = select.all(connection, id, &page).await?;
        let full = i64::try_from(rows.len()) == Ok(LISTS_AT_ONCE);
        after = rows.last().map(|row| row.id).filter(|_| full);
        for WithPackages { id, packages } in rows {
            let packages: Option<Vec<ImagePackage>> = from_json("package list", Some(&packages))?;
            if packages.iter().flatten().any(|package| package.name == name && fits(package)) {
                found.push(id);
            }
        }
    }
    Ok(found)
}

/// What a list with this package is like.
pub(crate) fn like_pattern(name: &str) -> StoreResult<String> {
    let name = to_json(&name)?.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    Ok(format!("%\"name\":{name}%"))
}

/// What a new image is made of.
pub struct NewImage {
    /// Random.
    pub uuid: Uuid,
    /// Whose it is; everybody's, when `None`.
    pub account: Option<AccountId>,
    /// Unique among the living.
    pub name: Name,
    /// SHA-256 of the tar.zst.
    pub digest: Digest,
    /// Its size.
    pub compressed: Bytes,
    /// The sum of the sizes of the files in it.
    pub unpacked: Bytes,
    /// What is in it.
    pub packages: Vec<ImagePackage>,
    /// What it was built from.
    pub recipe: Option<String>,
    /// Whose processors its programs are made for, if it says so.
    pub architecture: Option<String>,
    /// What was found in it.
    pub facts: ImageFacts,
    /// Who vouches for it.
    pub signature: Option<Signature>,
}

/// What an image says of itself, as far as somebody looked.
#[derive(Clone, Debug, Default)]
pub struct ImageFacts {
    /// As in `debian`.
    pub distribution_id: Option<String>,
    /// As in `12`.
    pub distribution_version: Option<String>,
    /// As in `Debian GNU/Linux 12 (bookworm)`.
    pub distribution_name: Option<String>,
    /// Where its first program is.
    pub init: Option<String>,
    /// Where its kernel is.
    pub kernel: Option<String>,
    /// How many files, directories and links it holds.
    pub files_count: Option<i64>,
}

/// Registers one.
pub async fn create(tx: &Tx, new: &NewImage) -> StoreResult<ImageId> {
    let id = insert(
        tx,
        "INSERT INTO images (uuid, account_id, name, digest, compressed, unpacked, packages, packages_count, recipe, \
         created_at, architecture, distribution_id, distribution_version, distribution_name, init, kernel, files_count, \
         manifest, signature, signed_by, lock_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
         $15, $16, $17, $18, $19, $20, 1) \
         RETURNING id AS n",
        values![
            new.uuid,
            new.account.map(|account| account.0),
            new.name.as_str(),
            new.digest.to_string(),
            signed(new.compressed.0),
            signed(new.unpacked.0),
            to_json(&new.packages)?,
            signed(new.packages.len() as u64),
            new.recipe.clone(),
            tx.now.0,
            new.architecture.clone(),
            new.facts.distribution_id.clone(),
            new.facts.distribution_version.clone(),
            new.facts.distribution_name.clone(),
            new.facts.init.clone(),
            new.facts.kernel.clone(),
            new.facts.files_count,
            new.signature.as_ref().map(|signed| signed.manifest.clone()),
            new.signature.as_ref().map(|signed| signed.signature.clone()),
            new.signature.as_ref().map(|signed| signed.signed_by.clone())
        ],
    )
    .await?;
    Ok(ImageId(id))
}

/// Keeps who vouches for one.
pub async fn sign(tx: &Tx, id: ImageId, signature: &Signature) -> StoreResult<()> {
    execute(
        tx,
        "UPDATE images SET manifest = $1, signature = $2, signed_by = $3, lock_version = lock_version + 1 WHERE id = $4",
        values![
            signature.manifest.clone(),
            signature.signature.clone(),
            signature.signed_by.clone(),
            id.0
        ],
    )
    .await?;
    Ok(())
}

/// Hides one from new guests. Guests that were made from it keep it, and so does whatever still names its blob.
pub async fn delete(tx: &Tx, id: ImageId) -> StoreResult<()> {
    execute(tx, "UPDATE images SET deleted_at = $1 WHERE id = $2", values![tx.now.0, id.0]).await?;
    Ok(())
}

/// Whether the manifest of a host names this blob: the image of a guest that is placed there.
pub async fn is_wanted_on(
    connection: &impl Connection,
    digest: Digest,
    host: honcho_model::HostId,
) -> StoreResult<bool> {
    let wanted = number(
        connection,
        "SELECT 1 AS n FROM guests g JOIN images m ON m.id = g.image_id \
         WHERE g.host_id = $1 AND m.digest = $2 AND g.deleting_at IS NULL LIMIT 1",
        values![host.0, digest.to_string()],
    )
    .await?;
    Ok(wanted.is_some())
}
