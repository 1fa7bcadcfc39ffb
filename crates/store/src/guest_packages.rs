//! What guests say that they have installed. Where one has said it, that counts and not what its image was made with.

use crate::images::{having, like_pattern};
use crate::list::Select;
use crate::sql::{Connection, execute, from_json, row, to_json, values};
use crate::{Scope, StoreResult, Tx};
use honcho_api::ImagePackage;
use honcho_model::{GuestId, Timestamp};
use sea_orm::FromQueryResult;

/// What a guest has said.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// What it has installed.
    pub packages: Vec<ImagePackage>,
    /// When it said so, by the brain's clock.
    pub reported_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Row {
    packages: String,
    reported_at: i64,
}

/// Writes down what a guest says, in place of what it said before.
pub async fn report(tx: &Tx, guest: GuestId, packages: &[ImagePackage]) -> StoreResult<()> {
    execute(
        tx,
        "INSERT INTO guest_packages (guest_id, packages, reported_at) VALUES ($1, $2, $3) \
         ON CONFLICT (guest_id) DO UPDATE SET packages = excluded.packages, reported_at = excluded.reported_at",
        values![guest.0, to_json(&packages)?, tx.now.0],
    )
    .await?;
    Ok(())
}

/// What a guest, whose existence in scope was checked, has said; `None` where it never said anything.
pub async fn of(connection: &impl Connection, guest: GuestId) -> StoreResult<Option<Reported>> {
    let sql = "SELECT packages, reported_at FROM guest_packages WHERE guest_id = $1";
    let Some(Row { packages, reported_at }) = row(connection, sql, values![guest.0]).await? else {
        return Ok(None);
    };
    let packages: Option<Vec<ImagePackage>> = from_json("package list", Some(&packages))?;
    Ok(Some(Reported { packages: packages.unwrap_or_default(), reported_at: Timestamp(reported_at) }))
}

/// The guests in scope that say that they have a package of this name of which `fits` holds.
pub async fn with_package(
    connection: &impl Connection,
    scope: Scope,
    name: &str,
    fits: &(dyn Fn(&ImagePackage) -> bool + Sync),
) -> StoreResult<Vec<i64>> {
    let sql = "SELECT w.guest_id AS id, w.packages FROM guest_packages w JOIN guests g ON g.id = w.guest_id";
    let like = like_pattern(name)?;
    let select = || {
        let mut select = Select::new(sql, values![]);
        select.only("g.deleted_at IS NULL");
        select.only_with("w.packages LIKE ? ESCAPE '!'", like.as_str());
        select.scope_of_machine(scope, "g.account_id", "g.id = ?");
        select
    };
    having(connection, select, "w.guest_id", name, fits).await
}

/// Forgets what a guest, which goes, has said.
pub(crate) async fn forget(tx: &Tx, guest: GuestId) -> StoreResult<()> {
    execute(tx, "DELETE FROM guest_packages WHERE guest_id = $1", values![guest.0]).await?;
    Ok(())
}
