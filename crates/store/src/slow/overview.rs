//! A ranking as a page shows it: the part of it that is asked for, what is new, worse and better, how many there are of each
//! kind, and the time of all queries together over time.

use super::ranking::{Drawn, Ranked, Ranking, Whole, drawn, places, seconds};
use crate::StoreResult;
use crate::sql::{Connection, rows, unsigned, values};
use honcho_model::slow::{QueryFlag, QueryState};
use sea_orm::FromQueryResult;

/// What there is to see of some servers in a range.
#[derive(Clone, Debug)]
pub struct Overview {
    /// How long each period is: `hour` or `day` (UTC).
    pub resolution: &'static str,
    /// The same in microseconds.
    pub period: i64,
    /// From when to when is looked, in microseconds since 1970: whole periods.
    pub after: (i64, i64),
    /// What that is compared with.
    pub before: Option<(i64, i64)>,
    /// Up to when logs have come of the first.
    pub covered: i64,
    /// The time that all queries took together, the ignored ones, too.
    pub total_seconds: f64,
    /// The same in the range before.
    pub before_total_seconds: f64,
    /// The time that all queries took together, period by period, in both ranges: those in which there was any.
    pub over_time: Vec<(i64, f64)>,
    /// How many kinds of queries are in each state.
    pub states: Vec<(QueryState, usize)>,
    /// Of how many each flag is said; of those that are not ignored.
    pub flags: Vec<(QueryFlag, usize)>,
    /// How many there are of what is asked for.
    pub found: usize,
    /// The part of those that is asked for, most time first.
    pub queries: Vec<Drawn>,
    /// The first of those that are new or worse, most time first.
    pub news: Vec<Drawn>,
    /// The first of those that are better, the most time that is saved first.
    pub better: Vec<Drawn>,
}

#[derive(FromQueryResult)]
struct Period {
    begins: i64,
    query_time: i64,
}

impl Ranking {
    /// All of that; of what is new, worse or better `most` each.
    pub async fn overview(&self, connection: &impl Connection, most: usize) -> StoreResult<Overview> {
        let mut whole = self.whole(connection).await?;
        self.judge(connection, &mut whole).await?;
        let page = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
        let wanted: Vec<&Ranked> = whole.ranked.iter().filter(|one| self.wants(one)).collect();
        let found = wanted.len();
        let shown: Vec<&Ranked> = wanted.into_iter().skip(page(self.offset)).take(page(self.limit)).collect();
        let news = flagged(&whole, &[QueryFlag::New, QueryFlag::Worse]).take(most).collect::<Vec<_>>();
        let mut better: Vec<&Ranked> = flagged(&whole, &[QueryFlag::Better]).collect();
        better.sort_by_key(|one| one.after.query_time.saturating_sub(one.before.query_time));
        better.truncate(most);
        let queries = drawn(connection, &whole, &shown).await?;
        let news = drawn(connection, &whole, &news).await?;
        let better = drawn(connection, &whole, &better).await?;
        let states = QueryState::ALL
            .iter()
            .map(|state| (*state, whole.ranked.iter().filter(|one| one.state == *state).count()));
        let flags =
            QueryFlag::ALL.iter().map(|flag| (*flag, flagged(&whole, std::slice::from_ref(flag)).count()));
        Ok(Overview {
            resolution: whole.ranges.span.word(),
            period: whole.ranges.span.length(),
            after: whole.ranges.after,
            before: whole.ranges.before,
            covered: whole.ranges.covered,
            total_seconds: seconds(unsigned(whole.total_after)),
            before_total_seconds: seconds(unsigned(whole.total_before)),
            over_time: self.over_time(connection, &whole).await?,
            states: states.collect(),
            flags: flags.collect(),
            found,
            queries,
            news,
            better,
        })
    }

    /// What all queries took together in each period.
    async fn over_time(&self, connection: &impl Connection, whole: &Whole) -> StoreResult<Vec<(i64, f64)>> {
        let n = self.servers.len();
        if n == 0 {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT p.begins, CAST(SUM(p.query_time) AS BIGINT) AS query_time FROM slow_periods p WHERE p.span = {} \
             AND p.slow_class_id IN (SELECT c.id FROM slow_classes c WHERE c.slow_server_id IN ({})) \
             AND p.begins >= ${} AND p.begins < ${} GROUP BY p.begins ORDER BY p.begins",
            whole.ranges.span.number(),
            places(1, n),
            n + 1,
            n + 2,
        );
        let mut over_time = Vec::new();
        for range in whole.ranges.before.into_iter().chain([whole.ranges.after]) {
            let mut bound = self.bound();
            bound.extend(values![range.0, range.1]);
            let found: Vec<Period> = rows(connection, &sql, bound).await?;
            over_time.extend(found.into_iter().map(|row| (row.begins, seconds(unsigned(row.query_time)))));
        }
        Ok(over_time)
    }
}

/// Those of which one of these is said and that are not ignored, most time first.
fn flagged<'whole>(whole: &'whole Whole, flags: &'whole [QueryFlag]) -> impl Iterator<Item = &'whole Ranked> {
    let is_one = move |one: &&Ranked| {
        one.state != QueryState::Ignored && one.flags.iter().any(|flag| flags.contains(flag))
    };
    whole.ranked.iter().filter(is_one)
}
