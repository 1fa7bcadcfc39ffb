//! A query in a ranking, and its advice in words.

use super::asked::Asked;
use super::charts::{Spark, Timeline};
use crate::panel::shown::{self, Badge};
use honcho_api::{SlowAdvice, SlowIndex, SlowQuery};
use honcho_store::slow::{Drawn, short_name};
use std::collections::HashMap;

/// A query, as rankings show it.
pub(super) struct Row {
    pub(super) address: String,
    pub(super) name: String,
    pub(super) server: Option<String>,
    pub(super) flags: Vec<Badge>,
    pub(super) state: Option<Badge>,
    /// What to do about it, in a few words.
    pub(super) advice: Option<String>,
    pub(super) index: Option<String>,
    pub(super) share: String,
    /// As wide as its share.
    pub(super) bar: String,
    pub(super) spark: Spark,
    pub(super) total: String,
    pub(super) count: String,
    pub(super) count_change: Option<String>,
    pub(super) mean: String,
    pub(super) mean_was: Option<String>,
    pub(super) mean_change: Option<String>,
    pub(super) p95: String,
    pub(super) examined: String,
}

/// What became of it.
pub(super) fn flags(query: &SlowQuery) -> Vec<Badge> {
    let flag = |word: &String| match word.as_str() {
        "new" => Some(Badge { word: "new", tone: "busy" }),
        "worse" => Some(Badge { word: "worse", tone: "bad" }),
        "better" => Some(Badge { word: "better", tone: "good" }),
        _ => None,
    };
    query.flags.iter().filter_map(flag).collect()
}

/// What people made of it, if they did.
pub(super) fn state(word: &str) -> Option<Badge> {
    match word {
        "looked_at" => Some(Badge { word: "looked at", tone: "busy" }),
        "accepted" => Some(Badge { word: "accepted", tone: "off" }),
        "ignored" => Some(Badge { word: "ignored", tone: "off" }),
        _ => None,
    }
}

/// A rule of advice in words.
pub(super) fn rule(word: &str) -> String {
    match word {
        "missing_index" => "An index is missing".to_owned(),
        "function_on_column" => "A function keeps a column from its index".to_owned(),
        "leading_wildcard" => "A pattern begins with a wildcard".to_owned(),
        "or_across_columns" => "OR over several columns".to_owned(),
        "long_in_list" => "A very long IN".to_owned(),
        "implicit_cross_join" => "Two tables that nothing joins".to_owned(),
        "huge_offset" => "A huge OFFSET".to_owned(),
        "select_star" => "SELECT *".to_owned(),
        "no_limit" => "Many rows and no LIMIT".to_owned(),
        "lock_waits" => "It waits for locks".to_owned(),
        "one_by_one" => "Asked row by row (N+1)".to_owned(),
        "examined_far_above_sent" => "Reads far more rows than it sends".to_owned(),
        other => shown::words(other),
    }
}

/// How sure advice is.
pub(super) fn confidence(word: &str) -> Badge {
    match word {
        "certain" => Badge { word: "certain", tone: "good" },
        "likely" => Badge { word: "likely", tone: "busy" },
        _ => Badge { word: "possible", tone: "off" },
    }
}

/// A name as `MySQL` and `MariaDB` take it, whatever it is. What is before a dot is a database.
fn quoted(name: &str) -> String {
    name.split('.').map(|part| format!("`{}`", part.replace('`', "``"))).collect::<Vec<_>>().join(".")
}

/// The statement that makes an index.
pub(super) fn index_line(index: &SlowIndex) -> String {
    let columns: Vec<String> =
        index.columns.iter().map(|column| format!("`{}`", column.replace('`', "``"))).collect();
    format!("ALTER TABLE {} ADD INDEX ({});", quoted(&index.table), columns.join(", "))
}

fn index_in_short(index: &SlowIndex) -> String {
    format!("{} ({})", index.table, index.columns.join(", "))
}

/// The advice that is worth a line: an index before anything else.
pub(super) fn first_advice(query: &SlowQuery) -> Option<&SlowAdvice> {
    query.advice.iter().find(|advice| advice.index.is_some()).or_else(|| query.advice.first())
}

/// Rows read for each one sent.
pub(super) fn examined(query: &SlowQuery) -> String {
    match query.rows_examined_for_each_sent {
        #[expect(clippy::cast_possible_truncation, reason = "for people")]
        Some(rows) if rows >= 10.0 => format!("{} : 1", shown::count(rows.round() as i64)),
        Some(rows) => format!("{rows:.1} : 1"),
        None => "\u{2013}".to_owned(),
    }
}

/// A share as the width of a bar.
pub(super) fn width(share: f64) -> String {
    format!("{:.2}%", (share * 100.0).clamp(0.4, 100.0))
}

/// Queries as rows; `names` are those of their servers, where there are several.
pub(super) fn rows(
    drawn: &[Drawn],
    timeline: &Timeline,
    names: &HashMap<i64, String>,
    asked: &Asked,
) -> Vec<Row> {
    let time = asked.time_alone();
    let row = |one: &Drawn| {
        let query = &one.query;
        let advice = first_advice(query);
        let index = advice.and_then(|advice| advice.index.as_ref()).map(index_in_short);
        Row {
            address: time.with(&format!("/slow_queries/{}", query.id), |_| {}),
            name: short_name(&query.fingerprint),
            server: names.get(&query.slow_server_id).cloned(),
            flags: flags(query),
            state: state(&query.state),
            advice: advice.filter(|_| index.is_none()).map(|advice| rule(&advice.rule)),
            index,
            share: shown::percent(query.share),
            bar: width(query.share),
            spark: Spark::new(timeline, &one.before, &one.after),
            total: shown::seconds(query.total_seconds),
            count: shown::count(query.events_count),
            count_change: query.events_ratio.and_then(shown::times),
            mean: shown::seconds(query.mean_seconds),
            mean_was: query.before_mean_seconds.map(shown::seconds),
            mean_change: query.mean_ratio.and_then(shown::times),
            p95: shown::seconds(query.p95_seconds),
            examined: examined(query),
        }
    };
    drawn.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_a_line_to_copy_whatever_things_are_called() {
        let line = |table: &str, columns: &[&str]| {
            let columns = columns.iter().map(|column| (*column).to_owned()).collect();
            index_line(&SlowIndex { table: table.to_owned(), columns })
        };
        assert_eq!(
            line("orders", &["customer_id", "at"]),
            "ALTER TABLE `orders` ADD INDEX (`customer_id`, `at`);"
        );
        assert_eq!(line("shop.order", &["a`b"]), "ALTER TABLE `shop`.`order` ADD INDEX (`a``b`);");
    }
}
