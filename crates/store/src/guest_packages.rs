//! What guests say that they have installed. Where one has said it, that counts and not what its image was made with.

use crate::images::{WithPackages, having, like_pattern};
use crate::list::{ListError, Select};
use crate::sql::{Connection, execute, from_json, number, row, rows, time, to_json, values};
use crate::{Filters, Scope, StoreResult, Tx};
use honcho_api::ImagePackage;
use honcho_model::{GuestId, Timestamp};
use sea_orm::FromQueryResult;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// So many lists are read at a time. One has some tens of kilobytes, and at most some megabytes.
const AT_ONCE: i64 = 16;

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

/// A package of a list, lent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Installed<'l> {
    /// What it is called.
    #[serde(borrow)]
    pub name: Cow<'l, str>,
    /// Which version.
    #[serde(borrow)]
    pub version: Cow<'l, str>,
    /// `amd64`, `all`.
    #[serde(borrow)]
    pub architecture: Cow<'l, str>,
}

/// Of how many guests it is known what they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Those that said so,
    pub said: i64,
    /// those that said nothing, whose image's list is known,
    pub by_image: i64,
    /// and those of which nothing is known.
    pub unknown: i64,
}

/// Whose list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This guest said so.
    Guest(i64),
    /// This image was made with it, and so many guests of it have said nothing.
    Image(i64, i64),
}

impl Whose {
    /// How many guests have it.
    pub fn guests(self) -> i64 {
        match self {
            Whose::Guest(_) => 1,
            Whose::Image(_, guests) => guests,
        }
    }
}

/// Who may have a package: these guests, as they said, and whoever has said nothing and is made of these images.
#[derive(Clone, Copy, Debug)]
pub struct Among<'a> {
    /// Ids.
    pub guests: &'a [i64],
    /// Ids.
    pub images: &'a [i64],
}

impl Among<'_> {
    fn condition(self) -> String {
        // There is none with the number 0, and PostgreSQL takes no empty list.
        let list = |ids: &[i64]| {
            std::iter::once(&0).chain(ids).map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        format!(
            "(g.id IN ({}) OR w.guest_id IS NULL AND g.image_id IN ({}))",
            list(self.guests),
            list(self.images)
        )
    }
}

/// Gives the lists of all guests in scope that are not deleted to `visit`: as each guest said, guests by id, and before them of those
/// that said nothing what their image was made with. A few are in memory at a time, however many there are.
pub async fn each(
    connection: &impl Connection,
    scope: Scope,
    visit: &mut (dyn FnMut(Whose, &[Installed<'_>]) + Send),
) -> StoreResult<()> {
    // These first: one that says so for the first time meanwhile counts twice, and not never.
    for Silent { image_id, guests, .. } in silent(connection, scope).await? {
        let Some(image_id) = image_id else { continue };
        let packages: Option<Unnamed> =
            row(connection, "SELECT packages FROM images WHERE id = $1", values![image_id]).await?;
        if let Some(packages) = packages.and_then(|image| image.packages) {
            visit(Whose::Image(image_id, guests), &lent(&packages)?);
        }
    }
    let mut after = 0;
    loop {
        let sql = "SELECT g.id, w.packages FROM guest_packages w JOIN guests g ON g.id = w.guest_id";
        let mut select = Select::new(sql, values![]);
        select.only("g.deleted_at IS NULL");
        select.only_with("w.guest_id > ?", after);
        select.scope_of_machine(scope, "g.account_id", "g.id = ?");
        let few = Filters { limit: Some(AT_ONCE), ..Filters::default() };
        let lists: Vec<WithPackages> = select.all(connection, "w.guest_id", &few).await?;
        let Some(last) = lists.last() else { break };
        after = last.id;
        for list in &lists {
            visit(Whose::Guest(list.id), &lent(&list.packages)?);
        }
    }
    Ok(())
}

/// Those of these packages (name, version, architecture) that some guest has that is not deleted, and how many guests have each.
#[expect(clippy::implicit_hasher, reason = "whoever asks has a set of the usual kind")]
pub async fn installed_of(
    connection: &impl Connection,
    scope: Scope,
    wanted: &HashSet<ImagePackage>,
) -> StoreResult<HashMap<ImagePackage, i64>> {
    let names: HashMap<&str, Vec<&ImagePackage>> = wanted.iter().fold(HashMap::new(), |mut names, one| {
        names.entry(one.name.as_str()).or_default().push(one);
        names
    });
    let mut found: HashMap<&ImagePackage, i64> = HashMap::new();
    each(connection, scope, &mut |whose, list| {
        for Installed { name, version, architecture } in list {
            let same = names.get(name.as_ref()).into_iter().flatten();
            for one in same.filter(|one| one.version == *version && one.architecture == *architecture) {
                *found.entry(one).or_default() += whose.guests();
            }
        }
    })
    .await?;
    Ok(found.into_iter().map(|(one, guests)| (one.clone(), guests)).collect())
}

/// Of how many guests in scope, not deleted, it is known what they have.
pub async fn known(connection: &impl Connection, scope: Scope) -> StoreResult<Known> {
    let mut select = Select::new("", values![]);
    select.only("g.deleted_at IS NULL");
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    let (conditions, values) = select.into_conditions();
    let sql = format!(
        "SELECT COUNT(*) AS n FROM guest_packages w JOIN guests g ON g.id = w.guest_id WHERE {conditions}"
    );
    let said = number(connection, &sql, values).await?.unwrap_or(0);
    let mut known = Known { said, ..Known::default() };
    for Silent { guests, packages_count, .. } in silent(connection, scope).await? {
        // An image of which nobody knew has an empty list.
        let by_image = packages_count.is_some_and(|count| count > 0);
        *(if by_image { &mut known.by_image } else { &mut known.unknown }) += guests;
    }
    Ok(known)
}

#[derive(FromQueryResult)]
struct Unnamed {
    packages: Option<String>,
}

#[derive(FromQueryResult)]
struct Silent {
    image_id: Option<i64>,
    packages_count: Option<i64>,
    guests: i64,
}

/// How many guests of each image have never said anything.
async fn silent(connection: &impl Connection, scope: Scope) -> StoreResult<Vec<Silent>> {
    let mut select = Select::new("", values![]);
    select.only("g.deleted_at IS NULL");
    select.only("NOT EXISTS (SELECT 1 FROM guest_packages w WHERE w.guest_id = g.id)");
    select.scope_of_machine(scope, "g.account_id", "g.id = ?");
    let (conditions, values) = select.into_conditions();
    let sql = format!(
        "SELECT g.image_id, m.packages_count, COUNT(*) AS guests FROM guests g LEFT JOIN images m ON m.id = g.image_id \
         WHERE {conditions} GROUP BY g.image_id, m.packages_count ORDER BY g.image_id"
    );
    rows(connection, &sql, values).await
}

fn lent(packages: &str) -> StoreResult<Vec<Installed<'_>>> {
    serde_json::from_str(packages)
        .map_err(|error| crate::StoreError::Damaged { what: "package list", why: error.to_string() })
}

/// A guest that has a package.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The guest.
    pub guest_id: i64,
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub account_id: i64,
    /// When it said so; `None` where it never said anything, and its image was made with it.
    pub reported_at: Option<jiff::Timestamp>,
    /// The package, as often as it has it: for several architectures.
    pub packages: Vec<ImagePackage>,
}

#[derive(FromQueryResult)]
struct HolderRow {
    id: i64,
    name: String,
    account_id: i64,
    reported_at: Option<i64>,
    packages: String,
}

/// The guests in scope, not deleted, that have a package of this name and of which `wanted` holds, by id, paged as the filters say.
/// Where it is known who may, no other is looked at.
pub async fn holders(
    connection: &impl Connection,
    scope: Scope,
    name: &str,
    among: Option<Among<'_>>,
    filters: &Filters,
    wanted: &(dyn Fn(&Holder) -> bool + Sync),
) -> StoreResult<Vec<Holder>> {
    if let Some((attribute, _)) = filters.equals.first() {
        return Err(ListError::UnknownFilter(attribute.clone(), "outdated".to_owned()).into());
    }
    let (mut skip, limit) = (filters.offset.unwrap_or(0), filters.limit.unwrap_or(i64::MAX));
    let mut few = Filters {
        after: filters.after,
        cursor: filters.cursor,
        descending: filters.descending,
        limit: Some(AT_ONCE),
        ..Filters::default()
    };
    let mut found = Vec::new();
    loop {
        let sql = "SELECT g.id, g.name, g.account_id, w.reported_at, COALESCE(w.packages, m.packages) AS packages \
                   FROM guests g LEFT JOIN guest_packages w ON w.guest_id = g.id LEFT JOIN images m ON m.id = g.image_id";
        let mut select = Select::new(sql, values![]);
        select.only("g.deleted_at IS NULL");
        if let Some(among) = among {
            select.only(&among.condition());
        }
        select.only_with("COALESCE(w.packages, m.packages) LIKE ? ESCAPE '!'", like_pattern(name)?);
        select.scope_of_machine(scope, "g.account_id", "g.id = ?");
        select.filter(&few, "g.id", &[])?;
        let rows: Vec<HolderRow> = select.all(connection, "g.id", &few).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        few.after = Some(last.id);
        for HolderRow { id, name: guest, account_id, reported_at, packages } in rows {
            let packages: Option<Vec<ImagePackage>> = from_json("package list", Some(&packages))?;
            let packages: Vec<ImagePackage> =
                packages.into_iter().flatten().filter(|package| package.name == name).collect();
            let reported_at = reported_at.map(time);
            let holder = Holder { guest_id: id, name: guest, account_id, reported_at, packages };
            if holder.packages.is_empty() || !wanted(&holder) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if i64::try_from(found.len()).is_ok_and(|count| count >= limit) {
                return Ok(found);
            }
            found.push(holder);
        }
    }
}
