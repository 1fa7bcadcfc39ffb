//! Slow queries in the words of a mail or an event.

use honcho_api::SlowQuery;
use honcho_store::slow::{Summary, short_name};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

const WIDTH: usize = 72;
/// So many queries are named under each heading.
pub(crate) const MOST: usize = 10;
/// So many are what is to be done first.
const FIRST: usize = 5;

/// A span of time.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        0.0..0.001 => format!("{:.0} us", seconds * 1e6),
        0.001..1.0 => format!("{:.1} ms", seconds * 1e3),
        1.0..100.0 => format!("{seconds:.2} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// What is said of a query that is new.
pub(crate) fn is_new(query: &SlowQuery) -> String {
    format!(
        "takes {:.1}% of the time, and was never seen before {}: {} times, {} on the average",
        query.share * 100.0,
        query.first_seen_at.strftime("%Y-%m-%d %H:%M"),
        query.events_count,
        span(query.mean_seconds)
    )
}

/// What is said of one that is worse.
pub(crate) fn is_worse(query: &SlowQuery) -> String {
    let was = query.before_mean_seconds.map_or_else(|| "-".to_owned(), span);
    let p95 = query.before_p95_seconds.map_or_else(|| "-".to_owned(), span);
    format!(
        "takes longer: {} on the average and {} at the 95th percentile, {was} and {p95} before",
        span(query.mean_seconds),
        span(query.p95_seconds)
    )
}

/// One query: what it is, what is said of it, and the first advice.
fn paragraph(out: &mut String, query: &SlowQuery, said: &str) {
    let _ = writeln!(out, "* {}", short_name(&query.fingerprint));
    wrapped(out, "  ", said);
    if let Some(advice) = query.advice.first() {
        let index = advice.index.as_ref().map_or_else(String::new, |index| {
            format!(" Try an index on {} ({}).", index.table, index.columns.join(", "))
        });
        wrapped(out, "  ", &format!("Advice ({}): {}{index}", advice.confidence, advice.reason));
    }
    let _ = writeln!(out, "  honcho slow query {}\n", query.id);
}

fn wrapped(out: &mut String, indent: &str, text: &str) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() + 1 > WIDTH {
            let _ = writeln!(out, "{indent}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(out, "{indent}{line}");
    }
}

/// The first of so many queries.
fn part(
    out: &mut String,
    heading: &str,
    queries: &[&SlowQuery],
    all: usize,
    said: impl Fn(&SlowQuery) -> String,
) {
    if queries.is_empty() {
        return;
    }
    let _ = writeln!(out, "{heading}\n");
    for query in queries.iter().take(MOST) {
        paragraph(out, query, &said(query));
    }
    if all > MOST {
        let _ = writeln!(out, "and {} more.\n", all - MOST);
    }
}

/// The mail on what was found just now. Subject and text.
pub(crate) fn news(node: &str, new: &[&SlowQuery], worse: &[&SlowQuery]) -> (String, String) {
    let mut counts = Vec::new();
    counts.extend((!new.is_empty()).then(|| format!("{} new", new.len())));
    counts.extend((!worse.is_empty()).then(|| format!("{} worse", worse.len())));
    let mut out = format!("Of the slow logs of {node}:\n\n");
    part(&mut out, "NEW among those that take the most time", new, new.len(), is_new);
    part(&mut out, "WORSE than in the four weeks before", worse, worse.len(), is_worse);
    (format!("Slow queries of {node}: {}", counts.join(", ")), out)
}

/// What became of an account's queries in a week.
pub(crate) struct Week {
    pub(crate) all: Summary,
    /// The first of those that are worse.
    pub(crate) worse: Vec<SlowQuery>,
    /// The first of those that are new.
    pub(crate) new: Vec<SlowQuery>,
    /// Those that take the most time.
    pub(crate) most_time: Vec<SlowQuery>,
    /// The names of the account's servers, by their ids.
    pub(crate) servers: HashMap<i64, String>,
}

impl Week {
    /// Which server a query is of, where there are several.
    fn on(&self, query: &SlowQuery) -> String {
        match self.servers.get(&query.slow_server_id) {
            Some(node) if self.servers.len() > 1 => format!("on {node} "),
            _ => String::new(),
        }
    }

    /// What to do first: a query that is asked on several servers is mended once.
    fn first(&self) -> Vec<&SlowQuery> {
        let mut first: Vec<&SlowQuery> =
            self.most_time.iter().filter(|query| !query.advice.is_empty()).collect();
        // What takes the most time comes first; of advice that may be meant otherwise, less is expected.
        let worth = |query: &SlowQuery| {
            query.total_seconds * if query.advice[0].confidence == "possible" { 0.2 } else { 1.0 }
        };
        first.sort_by(|one, other| worth(other).total_cmp(&worth(one)));
        let mut seen = HashSet::new();
        first.retain(|query| seen.insert(query.query_id.as_str()));
        first.truncate(FIRST);
        first
    }
}

/// The mail of a week: what got worse, what is new, and what to do first.
pub(crate) fn week(account: &str, since: &str, until: &str, week: &Week) -> (String, String) {
    let Summary { queries, total_seconds, new, worse, better } = week.all;
    let mut out = format!(
        "Slow queries of {account}, {since} to {until} (UTC), compared with the week before.\n{queries} kinds of queries took {} together: \
         {worse} worse, {new} new, {better} better.\n\n",
        span(total_seconds)
    );
    part(&mut out, "WORSE", &week.worse.iter().collect::<Vec<_>>(), worse, |query| {
        week.on(query) + &is_worse(query)
    });
    part(&mut out, "NEW", &week.new.iter().collect::<Vec<_>>(), new, |query| week.on(query) + &is_new(query));
    let first = week.first();
    part(&mut out, "WHAT TO DO FIRST", &first, first.len(), |query| {
        let on = week.on(query);
        format!("{on}{:.1}% of the time, {} each", query.share * 100.0, span(query.mean_seconds))
    });
    (format!("Slow queries of {account}: {worse} worse, {new} new"), out)
}
