//! What guests have of what a suite of the archive serves: counted for pages and programs, each of which sees its own guests.
//!
//! dpkg does not write down where a package came from. What a guest has is told by name, version and architecture, and of those names
//! alone that the suite serves ([`served`]). Guests may say what they like: however many versions they make up, a few of each package
//! are told apart.

mod served;

pub(crate) use served::Served;

use crate::app::App;
use crate::http::{ApiError, ApiResult};
use honcho_api::{ImagePackage, InstalledVersion, Suite, SuitePackage, SuitePackageGuest};
use honcho_archive::{SuiteName, compare_versions};
use honcho_store::guest_packages::{self, Among, Holder, Installed, Known, Whose};
use honcho_store::{Filters, Scope, StoreResult, people};
use served::Beside;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// So many versions of a package are told apart.
const MOST_VERSIONS: usize = 50;

/// So many guests that have a package are named where they are counted: a page of them, which need not be looked for then.
pub(crate) const FIRST: usize = 100;

/// So far behind what guests say may be what is shown of it.
const AGE: Duration = crate::shared::age(Duration::from_secs(10));

/// So far may be what pages show of it: with ten thousand guests it takes seconds to count.
const LATELY: Duration = crate::shared::age(Duration::from_mins(10));

/// What is older than that is not shown while it is counted anew, nor where that fails.
const TOO_OLD: Duration = crate::shared::age(Duration::from_hours(1));

/// What was counted of one package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    guests: i64,
    outdated: i64,
    installed: Vec<InstalledVersion>,
    /// The first guests by id that said they have it, and images with it of which some guests have said nothing.
    first: Vec<i64>,
    images: Vec<i64>,
    /// The list that was counted last, and whether it counted as outdated: a guest may have a package for several architectures.
    last: (u64, bool),
}

/// Counts lists.
struct Tally<'s> {
    suite: &'s Beside,
    lists: u64,
    counts: HashMap<&'s str, Count>,
}

impl<'s> Tally<'s> {
    fn new(suite: &'s Beside) -> Self {
        Tally { suite, lists: 0, counts: HashMap::new() }
    }

    fn add(&mut self, whose: Whose, list: &[Installed<'_>]) {
        self.lists += 1;
        let guests = whose.guests();
        for Installed { name, version, architecture } in list {
            let Some((name, served)) = self.suite.served.packages.get_key_value(name.as_ref()) else {
                continue;
            };
            let count = self.counts.entry(name).or_default();
            let known = count
                .installed
                .iter_mut()
                .find(|known| known.version == *version && known.architecture == *architecture);
            let is_outdated = known.as_ref().map_or_else(
                || self.suite.is_outdated(name, version, architecture),
                |known| known.is_outdated,
            );
            if let Some(known) = known {
                known.guests_count += guests;
            } else if count.installed.len() < MOST_VERSIONS {
                count.installed.push(InstalledVersion {
                    version: version.clone().into_owned(),
                    architecture: architecture.clone().into_owned(),
                    guests_count: guests,
                    is_outdated,
                    is_served: served.serves(version),
                });
            }
            if count.last.0 != self.lists {
                count.last = (self.lists, false);
                count.guests += guests;
                match whose {
                    Whose::Guest(id) if count.first.len() <= FIRST => count.first.push(id),
                    Whose::Guest(_) => {}
                    Whose::Image(id, _) => count.images.push(id),
                }
            }
            if is_outdated && !count.last.1 {
                count.last.1 = true;
                count.outdated += guests;
            }
        }
    }

    fn done(self) -> HashMap<String, Count> {
        let sorted = |(name, mut count): (&str, Count)| {
            count.installed.sort_by(|one, other| {
                compare_versions(&one.version, &other.version)
                    .then_with(|| one.architecture.cmp(&other.architecture))
            });
            (name.to_owned(), count)
        };
        self.counts.into_iter().map(sorted).collect()
    }
}

/// What pages share: the counts of a suite, by the publications that were compared and by who sees which guests.
pub(crate) type Counts = crate::shared::Shared<Asked, Arc<Counted>>;

/// What was asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    suite: SuiteName,
    numbers: Vec<u64>,
    scope: Scope,
    /// What somebody may in which accounts: whose right was taken away is shown nothing that was counted before.
    grants: Vec<(i64, String)>,
}

impl Asked {
    async fn of(app: &App, scope: Scope, suite: SuiteName, beside: &Beside) -> ApiResult<Self> {
        let grants = match scope {
            Scope::Person(id, _) => {
                let grants = people::grants(app.store.reader(), id).await?;
                grants.into_iter().map(|grant| (grant.account_id, grant.scope)).collect()
            }
            _ => Vec::new(),
        };
        Ok(Asked { suite, numbers: beside.numbers(), scope, grants })
    }
}

/// The counts of a suite, by package.
type Counted = HashMap<String, Count>;

/// A suite, if there is such a one, beside the others.
async fn beside(app: &App, suite: &str) -> ApiResult<(SuiteName, Beside)> {
    let archive = app.archive.as_ref().ok_or_else(ApiError::no_archive)?;
    let suite: SuiteName = suite.parse().map_err(|_| ApiError::not_found("suite"))?;
    let all = archive.all_served().await.map_err(ApiError::of_archive)?;
    let served = all.get(&suite).ok_or_else(|| ApiError::not_found("suite"))?.clone();
    let others = all.into_iter().filter(|(name, _)| *name != suite).map(|(_, other)| other).collect();
    Ok((suite, Beside { served, others }))
}

async fn counted(app: &App, scope: Scope, suite: SuiteName, beside: &Beside) -> ApiResult<Arc<Counted>> {
    let count = async || -> ApiResult<Arc<Counted>> {
        let mut tally = Tally::new(beside);
        guest_packages::each(app.store.reader(), scope, &mut |whose, list| tally.add(whose, list)).await?;
        Ok(Arc::new(tally.done()))
    };
    let asked = Asked::of(app, scope, suite, beside).await?;
    app.looks.installed.recent(asked, AGE, || app.now(), count).await
}

/// The same for pages: what was counted in the last minutes. Where that is longer ago it is counted anew beside them, and where it never
/// was a page waits for a moment.
async fn counted_lately(
    app: &App,
    scope: Scope,
    suite: SuiteName,
    beside: &Beside,
) -> ApiResult<Option<Arc<Counted>>> {
    let known = app.looks.installed.last(Asked::of(app, scope, suite.clone(), beside).await?);
    let since = crate::shared::since(app.now(), LATELY);
    if let Some((made, counted)) = &known
        && (since..=app.now()).contains(made)
    {
        return Ok(Some(counted.clone()));
    }
    let (of, beside) = (app.clone(), beside.clone());
    let counting = tokio::spawn(async move {
        let counted = counted(&of, scope, suite, &beside).await;
        // Nobody may be waiting for it any more.
        if let Err(error) = &counted {
            tracing::error!(?error, "what guests have of the archive could not be counted");
        }
        counted
    });
    let since = crate::shared::since(app.now(), TOO_OLD);
    if let Some((_, counted)) = known.filter(|(made, _)| !cfg!(test) && (since..=app.now()).contains(made)) {
        return Ok(Some(counted));
    }
    match tokio::time::timeout(crate::shared::WAIT, counting).await {
        Err(_) => Ok(None),
        Ok(Ok(counted)) => counted.map(Some),
        Ok(Err(error)) => {
            tracing::error!(%error, "what guests have could not be counted");
            Err(ApiError::internal("what guests have could not be counted"))
        }
    }
}

/// A package that is older than what a suite serves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Behind {
    /// Which, as it is installed.
    pub(crate) package: ImagePackage,
    /// The suite that serves a newer one,
    pub(crate) suite: String,
    /// and its version there.
    pub(crate) served: String,
}

/// What of these packages some suite serves newer; nothing where no archive is served.
pub(crate) async fn behind(app: &App, packages: &[ImagePackage]) -> ApiResult<Vec<Behind>> {
    let Some(archive) = &app.archive else { return Ok(Vec::new()) };
    let all = archive.all_served().await.map_err(ApiError::of_archive)?;
    let mut behind = Vec::new();
    for (suite, served) in &all {
        let others = all.iter().filter(|(name, _)| *name != suite).map(|(_, other)| other.clone());
        let beside = Beside { served: served.clone(), others: others.collect() };
        for package in packages {
            let newer = beside.newer(&package.name, &package.version, &package.architecture);
            behind.extend(newer.map(|newer| Behind {
                package: package.clone(),
                suite: suite.to_string(),
                served: newer.to_owned(),
            }));
        }
    }
    Ok(behind)
}

/// The suites of the archive; and of how many guests in scope it is known what they have.
pub(crate) async fn suites(app: &App, scope: Scope) -> ApiResult<Vec<Suite>> {
    let archive = app.archive.as_ref().ok_or_else(ApiError::no_archive)?;
    let mut suites = archive.suites().await.map_err(ApiError::of_archive)?;
    let Known { said, by_image, unknown } = guest_packages::known(app.store.reader(), scope).await?;
    for suite in &mut suites {
        (suite.guests_said_count, suite.guests_by_image_count, suite.guests_unknown_count) =
            (said, by_image, unknown);
    }
    Ok(suites)
}

/// What a suite serves, with what guests in scope have of it.
#[derive(Debug)]
pub(crate) struct SuiteInstalled {
    served: Arc<Served>,
    counted: Arc<Counted>,
}

impl SuiteInstalled {
    /// Reads and counts it.
    pub(crate) async fn of(app: &App, scope: Scope, suite: &str) -> ApiResult<Self> {
        let (suite, beside) = beside(app, suite).await?;
        let counted = counted(app, scope, suite, &beside).await?;
        Ok(SuiteInstalled { served: beside.served, counted })
    }

    /// The same for pages, as of the last minutes; and whether guests were counted at all yet.
    pub(crate) async fn lately(app: &App, scope: Scope, suite: &str) -> ApiResult<(Self, bool)> {
        let (suite, beside) = beside(app, suite).await?;
        let counted = counted_lately(app, scope, suite, &beside).await?;
        let is_counted = counted.is_some();
        Ok((SuiteInstalled { served: beside.served, counted: counted.unwrap_or_default() }, is_counted))
    }

    /// Its packages whose names are wanted, by name.
    pub(crate) fn packages<'a>(
        &'a self,
        wanted: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = SuitePackage> + 'a {
        self.served.packages.keys().filter(move |name| wanted(name)).filter_map(|name| self.package(name))
    }

    /// One of them.
    pub(crate) fn package(&self, name: &str) -> Option<SuitePackage> {
        let served = self.served.packages.get(name)?;
        let Count { guests, outdated, installed, .. } = self.counted.get(name).cloned().unwrap_or_default();
        Some(SuitePackage {
            package: name.to_owned(),
            architectures: served.architectures.iter().cloned().collect(),
            versions: served.versions.clone(),
            guests_count: guests,
            outdated_count: outdated,
            installed,
        })
    }
}

/// Who has a package that a suite serves.
#[derive(Clone)]
pub(crate) struct Holders {
    app: App,
    scope: Scope,
    beside: Beside,
    package: String,
}

impl Holders {
    /// Those in scope, if the suite serves such a package.
    pub(crate) async fn of(app: &App, scope: Scope, suite: &str, package: &str) -> ApiResult<Self> {
        let (_, beside) = beside(app, suite).await?;
        if !beside.served.packages.contains_key(package) {
            return Err(ApiError::not_found("package"));
        }
        Ok(Holders { app: app.clone(), scope, beside, package: package.to_owned() })
    }

    /// The first of them, of those that had it when they were counted.
    pub(crate) async fn first_of(
        &self,
        counted: &SuiteInstalled,
        limit: i64,
    ) -> StoreResult<Vec<SuitePackageGuest>> {
        let Some(Count { first, images, .. }) = counted.counted.get(&self.package) else {
            return Ok(Vec::new());
        };
        let filters = Filters { limit: Some(limit), ..Filters::default() };
        self.among(Some(Among { guests: first, images }), None, &filters).await
    }

    /// Guests by id; with `outdated`, those alone that have an older version than the suite serves, or those alone that have none.
    pub(crate) async fn page(
        &self,
        outdated: Option<bool>,
        filters: &Filters,
    ) -> StoreResult<Vec<SuitePackageGuest>> {
        self.among(None, outdated, filters).await
    }

    async fn among(
        &self,
        among: Option<Among<'_>>,
        outdated: Option<bool>,
        filters: &Filters,
    ) -> StoreResult<Vec<SuitePackageGuest>> {
        let is_outdated = |holder: &Holder| {
            let is_old =
                |one: &ImagePackage| self.beside.is_outdated(&self.package, &one.version, &one.architecture);
            holder.packages.iter().any(is_old)
        };
        let wanted = |holder: &Holder| outdated.is_none_or(|outdated| is_outdated(holder) == outdated);
        let reader = self.app.store.reader();
        let holders =
            guest_packages::holders(reader, self.scope, &self.package, among, filters, &wanted).await?;
        let told = |holder: Holder| SuitePackageGuest {
            is_outdated: is_outdated(&holder),
            guest_id: holder.guest_id,
            name: holder.name,
            account_id: holder.account_id,
            installed: holder.packages,
            reported_at: holder.reported_at,
        };
        Ok(holders.into_iter().map(told).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    /// `NAME VERSION ARCHITECTURE INDEX` by line.
    fn served(text: &str) -> Arc<Served> {
        let mut all = Served::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let [name, version, architecture, index] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            all.add(name, version, architecture, index);
        }
        Arc::new(all)
    }

    fn check(text: &str, lists: &[&str], expected: &Expect) {
        let beside = Beside { served: served(text), others: Vec::new() };
        check_beside(&beside, lists, expected);
    }

    /// `lists`: `GUESTS: NAME VERSION ARCHITECTURE, …`.
    fn check_beside(beside: &Beside, lists: &[&str], expected: &Expect) {
        let mut tally = Tally::new(beside);
        for list in lists {
            let (guests, list) = list.split_once(": ").unwrap();
            let list: Vec<Installed<'_>> = list
                .split(", ")
                .map(|one| {
                    let [name, version, architecture] = one.split(' ').collect::<Vec<_>>()[..] else {
                        panic!("{one}")
                    };
                    Installed {
                        name: name.into(),
                        version: version.into(),
                        architecture: architecture.into(),
                    }
                })
                .collect();
            tally.add(Whose::Image(1, guests.parse().unwrap()), &list);
        }
        let mut told = String::new();
        for (name, count) in tally.done().into_iter().collect::<BTreeMap<_, _>>() {
            writeln!(told, "{name}: {} have it, {} outdated", count.guests, count.outdated).unwrap();
            for InstalledVersion { version, architecture, guests_count, is_outdated, is_served } in
                count.installed
            {
                let word = if is_outdated { " outdated" } else { "" };
                let from = if is_served { " served" } else { "" };
                writeln!(told, "  {version} {architecture} {guests_count}{word}{from}").unwrap();
            }
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn versions_are_compared_as_dpkg_does() {
        check(
            "hello 1.9 amd64 amd64\nhello 1.10 amd64 amd64\ntool 1:2~rc1 all amd64",
            &[
                "2: hello 1.9 amd64, other 1 amd64",
                "1: hello 1.10 amd64, tool 9 all",
                "1: hello 1.10+b1 amd64, tool 1:2 all",
            ],
            &expect![[r"
                hello: 4 have it, 2 outdated
                  1.9 amd64 2 outdated served
                  1.10 amd64 1 served
                  1.10+b1 amd64 1
                tool: 2 have it, 1 outdated
                  9 all 1 outdated
                  1:2 all 1
            "]],
        );
    }

    #[test]
    fn each_architecture_is_outdated_by_its_own_index() {
        check(
            "lib 2 amd64 amd64\nlib 1 i386 i386\nnew 3 all amd64\nnew 3 all i386",
            &[
                // A guest with both is one guest.
                "1: lib 2 amd64, lib 1 i386",
                "1: lib 1 amd64, lib 1 i386",
                // What became a package for all replaces what was one for this architecture.
                "1: new 2 amd64",
                "1: lib 1 arm64",
            ],
            &expect![[r"
                lib: 3 have it, 1 outdated
                  1 amd64 1 outdated served
                  1 arm64 1 served
                  1 i386 2 served
                  2 amd64 1 served
                new: 1 have it, 1 outdated
                  2 amd64 1 outdated
            "]],
        );
    }

    #[test]
    fn what_another_suite_serves_is_not_outdated_here() {
        let (bookworm, trixie) = ("hello 1.0 amd64 amd64\nhello 1.2 amd64 amd64", "hello 2.0 amd64 amd64");
        let lists = ["4: hello 1.2 amd64", "1: hello 1.0 amd64", "2: hello 2.0 amd64", "1: hello 0.9 amd64"];
        let beside = |one, other| Beside { served: served(one), others: vec![served(other)] };
        check_beside(
            &beside(trixie, bookworm),
            &lists,
            // Where 0.9 came from nobody knows.
            &expect![[r"
                hello: 8 have it, 1 outdated
                  0.9 amd64 1 outdated
                  1.0 amd64 1
                  1.2 amd64 4
                  2.0 amd64 2 served
            "]],
        );
        check_beside(
            &beside(bookworm, trixie),
            &lists,
            &expect![[r"
                hello: 8 have it, 2 outdated
                  0.9 amd64 1 outdated
                  1.0 amd64 1 outdated served
                  1.2 amd64 4 served
                  2.0 amd64 2
            "]],
        );
        // A mend that one suite has and the other lacks: who has the old one from here is outdated, though it is served elsewhere.
        let mut mended = Arc::unwrap_or_clone(served("hello 1.0+s1 amd64 amd64"));
        mended.packages.get_mut("hello").unwrap().former.insert("1.0".to_owned());
        let one_more = Beside { served: Arc::new(mended), others: vec![served("hello 1.0 amd64 amd64")] };
        let expected = expect![[r"
            hello: 1 have it, 1 outdated
              1.0 amd64 1 outdated
        "]];
        check_beside(&one_more, &["1: hello 1.0 amd64"], &expected);
        // A promotion: both serve it, and one serves a newer one besides.
        let (stable, testing) = ("hello 1.0 amd64 amd64", "hello 1.0 amd64 amd64\nhello 1.1 amd64 amd64");
        let expected = expect![[r"
            hello: 1 have it, 0 outdated
              1.0 amd64 1 served
        "]];
        check_beside(&beside(stable, testing), &["1: hello 1.0 amd64"], &expected);
    }

    #[test]
    fn made_up_versions_are_counted_and_not_kept() {
        let served = {
            let mut served = Served::default();
            served.add("hello", "500", "all", "amd64");
            served
        };
        let beside = Beside { served: Arc::new(served), others: Vec::new() };
        let mut tally = Tally::new(&beside);
        for n in 0..1000 {
            let version = n.to_string();
            let one = Installed { name: "hello".into(), version: version.into(), architecture: "all".into() };
            tally.add(Whose::Guest(n), &[one]);
        }
        let counts = tally.done();
        let count = &counts["hello"];
        assert_eq!((count.guests, count.outdated, count.installed.len()), (1000, 500, MOST_VERSIONS));
        assert_eq!(count.first, (0..=100).collect::<Vec<i64>>(), "a page, and whether there are more");
    }
}
