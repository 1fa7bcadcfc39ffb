//! A digest for people: what took the time, ranked, and then each of it.

use super::document::seconds;
use super::reading::Told;
use crate::clean::clean;
use honcho_slowlog::{Advice, BURST, By, Class, Digest, Measures, Period, Resolution, Sample};
use jiff::Timestamp;
use std::fmt::Write as _;

/// How wide text is broken.
const WIDTH: usize = 100;

/// The report.
pub(super) fn text(digest: &Digest, told: &Told, top: usize) -> String {
    let mut classes: Vec<_> = digest.classes().iter().map(|class| (class, class.total())).collect();
    classes.sort_by(|(one, its), (other, others)| {
        others.query_time.sum.cmp(&its.query_time.sum).then(one.id().cmp(&other.id()))
    });
    let mut total = Measures::default();
    for (_, its) in &classes {
        total.merge(its);
    }
    let other = digest.other().map(Class::total);
    if let Some(other) = &other {
        total.merge(other);
    }
    let mut out = String::new();
    head(&mut out, &total, classes.len(), told);
    if total.count == 0 {
        return out;
    }
    let shown = &classes[..top.min(classes.len())];
    ranking(&mut out, &total, shown);
    let rest: u64 = classes[shown.len()..].iter().map(|(_, its)| its.query_time.sum).sum();
    if shown.len() < classes.len() {
        let count = classes.len() - shown.len();
        let share = share(rest, total.query_time.sum);
        let _ =
            writeln!(out, "      {share:>5}%  {:>9}  in {count} more (--top {})", span(rest), classes.len());
    }
    if let Some(other) = other {
        let share = share(other.query_time.sum, total.query_time.sum);
        let _ = writeln!(
            out,
            "      {share:>5}%  {:>9}  in classes for which there was no place: too many of them",
            span(other.query_time.sum),
        );
    }
    for (rank, (class, its)) in shown.iter().enumerate() {
        one(&mut out, digest, class, its, rank + 1, &total);
    }
    out.truncate(out.trim_end().len());
    out
}

fn head(out: &mut String, total: &Measures, classes: usize, told: &Told) {
    let _ = writeln!(
        out,
        "{} events, {} kinds of queries, {} of logs",
        thousands(total.count),
        thousands(classes as u64),
        bytes(told.bytes)
    );
    if let (Some(first), Some(last)) = (total.first_seen, total.last_seen) {
        let wall = u64::try_from(last - first).unwrap_or(0);
        let _ = write!(out, "{} to {} UTC", moment(first), moment(last));
        if wall > 0 {
            let _ = write!(
                out,
                " ({}); on average {:.2} at once",
                span(wall),
                seconds(total.query_time.sum) / seconds(wall)
            );
        }
        out.push('\n');
    }
    if total.count > 0 {
        let _ = writeln!(
            out,
            "{} of query time: half of the events within {}, 95% within {}, the slowest {}",
            span(total.query_time.sum),
            span(total.quantile(0.5)),
            span(total.quantile(0.95)),
            span(total.query_time.max),
        );
    }
    let mut note = |count: u64, what: &str| {
        if count > 0 {
            let _ = writeln!(out, "note: {} {what}", thousands(count));
        }
    };
    note(told.filtered, "events were left out by --since, --until or --filter");
    note(
        told.left_out,
        "pieces between headers were no events (without a query time that can be, or a statement)",
    );
    note(
        told.uncertain,
        "events stood where a literal may have been open: their users are not shown, they may be forged",
    );
    note(told.broken, "logs could not be read to their ends");
}

fn ranking(out: &mut String, total: &Measures, shown: &[(&Class, Measures)]) {
    let _ = writeln!(
        out,
        "\n{:>4} {:>6} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9}  QUERY",
        "RANK", "SHARE", "TIME", "COUNT", "MEAN", "P95", "SLOWEST", "READ/SENT"
    );
    for (rank, (class, its)) in shown.iter().enumerate() {
        let ratio = its
            .examined_for_each_sent()
            .filter(|_| its.rows_sent.sum > 0)
            .map_or_else(|| "-".to_owned(), ratio);
        let _ = writeln!(
            out,
            "{:>4} {:>5}% {:>10} {:>10} {:>9} {:>9} {:>9} {:>9}  {}",
            rank + 1,
            share(its.query_time.sum, total.query_time.sum),
            span(its.query_time.sum),
            thousands(its.count),
            span(its.mean()),
            span(its.quantile(0.95)),
            span(its.query_time.max),
            ratio,
            cut(&name(class), 60),
        );
    }
}

fn one(out: &mut String, digest: &Digest, class: &Class, its: &Measures, rank: usize, total: &Measures) {
    let _ = writeln!(
        out,
        "\nQuery {rank}: {} {}",
        class.id(),
        "-".repeat(WIDTH.saturating_sub(42 + rank.to_string().len())),
    );
    for line in wrapped(&name(class), WIDTH - 2).into_iter().take(12) {
        let _ = writeln!(out, "  {line}");
    }
    out.push('\n');
    line(
        out,
        "time",
        &format!(
            "{} ({}%), mean {}, p50 {}, p95 {}, p99 {}, slowest {}",
            span(its.query_time.sum),
            share(its.query_time.sum, total.query_time.sum),
            span(its.mean()),
            span(its.quantile(0.5)),
            span(its.quantile(0.95)),
            span(its.quantile(0.99)),
            span(its.query_time.max),
        ),
    );
    line(out, "count", &format!("{} ({}%)", thousands(its.count), share(its.count, total.count)));
    if its.lock_time.sum > 0 {
        line(
            out,
            "locks",
            &format!(
                "waited {} ({}% of its time), at most {}",
                span(its.lock_time.sum),
                share(its.lock_time.sum, its.query_time.sum),
                span(its.lock_time.max),
            ),
        );
    }
    rows(out, its);
    work(out, its);
    if its.bursts > 0 {
        let text = format!(
            "{} times one connection asked it {BURST} times or more within a second, {} times at most",
            thousands(its.bursts),
            thousands(its.largest_burst),
        );
        line(out, "bursts", &text);
    }
    for (by, word) in [(By::Database, "databases"), (By::User, "users"), (By::Host, "hosts")] {
        let shares = digest.shares(class, by);
        let known = |name: Option<&[u8]>| {
            name.map_or_else(|| "(others)".to_owned(), |name| clean(&String::from_utf8_lossy(name)))
        };
        let texts: Vec<_> = shares
            .iter()
            .filter(|share| share.name != Some(b""))
            .take(4)
            .map(|one| format!("{} {}%", known(one.name), share(one.query_time, its.query_time.sum)))
            .collect();
        if !texts.is_empty() {
            let more = if shares.len() > 4 { format!(", {} more", shares.len() - 4) } else { String::new() };
            line(out, word, &(texts.join(", ") + &more));
        }
    }
    when(out, class.periods(), digest.resolution(), its);
    if let Some(sample) = class.worst() {
        worst(out, sample);
    }
    for advice in class.advice() {
        advise(out, &advice);
    }
}

/// What could be better, how sure that is, and why.
fn advise(out: &mut String, advice: &Advice) {
    let index = advice.index.as_ref().map_or_else(String::new, |index| {
        format!(": index on {} ({})", clean(&index.table), clean(&index.columns.join(", ")))
    });
    line(out, "advice", &format!("{} ({}){index}", advice.rule.name(), advice.confidence.name()));
    for row in wrapped(&clean(&advice.reason), WIDTH - 13) {
        let _ = writeln!(out, "             {row}");
    }
}

fn rows(out: &mut String, its: &Measures) {
    if its.rows_examined.sum + its.rows_sent.sum + its.rows_affected.sum == 0 {
        return;
    }
    let mut text =
        format!("read {}, sent {}", thousands(its.rows_examined.sum), thousands(its.rows_sent.sum));
    if let Some(each) = its.examined_for_each_sent().filter(|_| its.rows_sent.sum > 0) {
        let _ = write!(text, " ({} read for each sent)", ratio(each));
    }
    if its.rows_affected.sum > 0 {
        let _ = write!(text, ", changed {}", thousands(its.rows_affected.sum));
    }
    if its.bytes_sent.sum > 0 {
        let _ = write!(text, ", {} sent", bytes(its.bytes_sent.sum));
    }
    line(out, "rows", &text);
}

fn work(out: &mut String, its: &Measures) {
    let parts = [
        (its.full_scans, "read a whole table"),
        (its.full_joins, "joined without an index"),
        (its.temporary_tables, "made a temporary table"),
        (its.temporary_tables_on_disk, "made one on disk"),
        (its.sorts, "sorted"),
        (its.sorts_on_disk, "sorted on disk"),
    ];
    let texts: Vec<_> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{}% {what}", share(*count, its.count)))
        .collect();
    if !texts.is_empty() {
        line(out, "work", &texts.join(", "));
    }
}

/// From when to when, and a picture of the time in each period.
fn when(out: &mut String, periods: &[Period], resolution: Resolution, its: &Measures) {
    const BARS: [char; 9] =
        [' ', '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
    let (Some(first), Some(last)) = (its.first_seen, its.last_seen) else {
        return;
    };
    let mut text = format!("{} to {}", moment(first), moment(last));
    let step = match resolution {
        Resolution::Hour => 3_600_000_000,
        Resolution::Day => 86_400_000_000,
        Resolution::Month | Resolution::All => 0,
    };
    let known: Vec<_> =
        periods.iter().filter_map(|period| Some((period.begins?, period.measures.query_time.sum))).collect();
    if let (Some((from, _)), Some((to, _)), true) = (known.first(), known.last(), step > 0)
        && known.len() > 1
        && (to - from) / step < 72
    {
        let most = known.iter().map(|(_, sum)| *sum).max().unwrap_or(0).max(1);
        let bar = |begins: i64| {
            let sum = known.iter().find(|(time, _)| *time == begins).map_or(0, |(_, sum)| *sum);
            let height = if sum == 0 { 0 } else { 1 + u128::from(sum) * 7 / u128::from(most) };
            BARS[usize::try_from(height).unwrap_or(8).min(8)]
        };
        let picture: String = (0..=(to - from) / step).map(|at| bar(from + at * step)).collect();
        let word = if resolution == Resolution::Hour { "hour" } else { "day" };
        let _ = write!(text, "\n             |{picture}| by {word}");
    }
    line(out, "when", &text);
}

fn worst(out: &mut String, sample: &Sample) {
    let mut text = span(sample.query_time);
    if let Some(time) = sample.time {
        let _ = write!(text, " at {}", moment(time));
    }
    let known = |bytes: &[u8]| clean(&String::from_utf8_lossy(bytes));
    if !sample.user.is_empty() {
        let _ = write!(text, ", {}@{}", known(&sample.user), known(&sample.host));
    }
    if !sample.database.is_empty() {
        let _ = write!(text, " in {}", known(&sample.database));
    }
    line(out, "slowest", &text);
    for (part, prefix) in [(&sample.statement, "    "), (&sample.explain, "")] {
        for row in String::from_utf8_lossy(part).lines().take(20) {
            let row = row.trim_end_matches('\r').trim_start_matches("# explain: ").replace('\t', "  ");
            for row in wrapped(&clean(&row), WIDTH - 4) {
                let _ = writeln!(out, "    {prefix}{row}");
            }
        }
    }
}

fn line(out: &mut String, word: &str, text: &str) {
    let _ = writeln!(out, "  {word:<10} {text}");
}

/// What a class is called: its fingerprint, on one line.
fn name(class: &Class) -> String {
    match class.fingerprint() {
        b"" => "(a statement that is not in the log: USE, as a rule)".to_owned(),
        fingerprint => clean(&String::from_utf8_lossy(fingerprint)),
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['\u{2026}']).collect()
}

/// Broken at blanks where there are some.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let mut length = 0;
    for word in text.split_inclusive(' ') {
        let long = word.chars().count();
        if length > 0 && length + long > width + 1 {
            lines.push(current.trim_end().to_owned());
            current.clear();
            length = 0;
        }
        current.push_str(word);
        length += long;
        while length > width + 1 {
            let head: String = current.chars().take(width).collect();
            current = current.chars().skip(width).collect();
            length -= width;
            lines.push(head);
        }
    }
    lines.push(current.trim_end().to_owned());
    lines
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    format!("{percent:.1}")
}

fn ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.1}") } else { format!("{ratio:.0}") }
}

/// A span of microseconds.
fn span(micros: u64) -> String {
    let time = seconds(micros);
    match micros {
        0..1000 => format!("{micros} \u{b5}s"),
        1000..10_000 => format!("{:.1} ms", time * 1000.0),
        10_000..1_000_000 => format!("{:.0} ms", time * 1000.0),
        1_000_000..100_000_000 => format!("{time:.1} s"),
        _ => {
            let (minutes, hours, days) =
                (micros / 60_000_000, micros / 3_600_000_000, micros / 86_400_000_000);
            match (days, hours) {
                (0, 0) => format!("{minutes}m {}s", micros / 1_000_000 % 60),
                (0, _) => format!("{hours}h {}m", minutes % 60),
                _ => format!("{days}d {}h", hours % 24),
            }
        }
    }
}

fn moment(micros: i64) -> String {
    Timestamp::from_microsecond(micros)
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "a size")]
fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        _ if count < 1e3 => format!("{count} bytes"),
        _ if count < 1e6 => format!("{:.1} kB", count / 1e3),
        _ if count < 1e9 => format!("{:.1} MB", count / 1e6),
        _ => format!("{:.1} GB", count / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_numbers() {
        for (micros, text) in [
            (7, "7 \u{b5}s"),
            (1500, "1.5 ms"),
            (15_000, "15 ms"),
            (1_500_000, "1.5 s"),
            (125_000_000, "2m 5s"),
            (7_500_000_000, "2h 5m"),
            (90_000_000_000, "1d 1h"),
        ] {
            assert_eq!(span(micros), text);
        }
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(wrapped("select a from t", 8), ["select a", "from t"]);
        assert_eq!(wrapped("abcdefghijkl", 5), ["abcde", "fghij", "kl"]);
    }
}
