//! Charts, drawn here and not in the browser: bars, lines and marks over time as SVG.
//!
//! Places across are in percent and places down in pixels, so that a chart is as wide as its page and its text is never distorted.
//! Each says in words what it shows, and the pages have its figures in a table besides.

use crate::panel::shown;
use askama::Template;
use honcho_api::SlowMark;
use jiff::Timestamp;
use std::fmt::Write as _;

/// How high the part is in which things are drawn, in pixels.
const HEIGHT: f64 = 150.0;
/// More periods are no picture.
const MOST: usize = 1_000;

/// The periods of a range and of the one before, side by side.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// When each begins, in microseconds since 1970.
    before: Vec<i64>,
    after: Vec<i64>,
    /// Whether the one does not end where the other begins.
    has_gap: bool,
    period: i64,
}

fn periods((since, until): (i64, i64), period: i64) -> Vec<i64> {
    let step = usize::try_from(period).unwrap_or(1).max(1);
    (since..until).step_by(step).take(MOST).collect()
}

impl Timeline {
    /// `after` is drawn as far as logs have come.
    pub(super) fn new(before: Option<(i64, i64)>, after: (i64, i64), covered: i64, period: i64) -> Timeline {
        let ends = covered.clamp(after.0 + 1, after.1.max(after.0 + 1));
        Timeline {
            before: before.map(|range| periods(range, period)).unwrap_or_default(),
            after: periods((after.0, ends), period),
            has_gap: before.is_some_and(|before| before.1 != after.0),
            period,
        }
    }

    fn slots(&self) -> usize {
        self.before.len() + usize::from(self.has_gap) + self.after.len()
    }

    fn first_after(&self) -> usize {
        self.before.len() + usize::from(self.has_gap)
    }

    /// When each period begins, which place it has, and whether it is one of the range before.
    fn places(&self) -> impl Iterator<Item = (i64, usize, bool)> + '_ {
        let before = self.before.iter().enumerate().map(|(at, begins)| (*begins, at, true));
        let first = self.first_after();
        before.chain(self.after.iter().enumerate().map(move |(at, begins)| (*begins, first + at, false)))
    }

    /// How far across a place begins, in percent.
    #[expect(clippy::cast_precision_loss, reason = "places in a picture")]
    fn across(&self, place: f64) -> f64 {
        place * 100.0 / self.slots().max(1) as f64
    }

    /// How far across a moment is.
    #[expect(clippy::cast_precision_loss, reason = "places in a picture")]
    fn moment(&self, at: i64) -> Option<f64> {
        let within = |begins: &[i64], first: usize| {
            let (start, last) = (begins.first()?, begins.last()?);
            let inside = (*start..last.saturating_add(self.period)).contains(&at);
            inside.then(|| self.across(first as f64 + (at - start) as f64 / self.period as f64))
        };
        let gap = || {
            let (ends, begins) = (self.before.last()?.saturating_add(self.period), self.after.first()?);
            let between = self.has_gap && (ends..*begins).contains(&at) && begins - ends <= self.period;
            between.then(|| self.across(self.before.len() as f64 + 0.5))
        };
        within(&self.after, self.first_after()).or_else(|| within(&self.before, 0)).or_else(gap)
    }

    /// Whether a moment is on it.
    pub(super) fn holds(&self, at: i64) -> bool {
        self.moment(at).is_some()
    }

    /// A moment of it in words.
    pub(super) fn said(&self, begins: i64) -> String {
        let at = Timestamp::from_microsecond(begins).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
        let format = if self.period < 86_400_000_000 { "%-d %b %H:%M" } else { "%a %-d %b" };
        at.strftime(format).to_string()
    }
}

/// A percentage or a length as SVG has it.
fn number(value: f64) -> String {
    format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The least of 1, 2, 5, 10, 20, … that is no less.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|round| *round >= value).unwrap_or(value)
}

struct Bar {
    x: String,
    width: String,
    y: String,
    height: String,
    is_before: bool,
    said: String,
}

struct Segment {
    x1: String,
    y1: String,
    x2: String,
    y2: String,
    kind: &'static str,
}

struct Dot {
    x: String,
    y: String,
    kind: &'static str,
    said: String,
}

struct Line {
    y: String,
    label_y: String,
    label: String,
}

struct Tick {
    x: String,
    anchor: &'static str,
    label: String,
}

struct MarkLine {
    x: String,
    anchor: &'static str,
    number: usize,
    said: String,
}

/// A chart over time.
#[derive(Template)]
#[template(path = "slow_chart.html")]
pub(super) struct Chart {
    said: String,
    grid: Vec<Line>,
    bars: Vec<Bar>,
    segments: Vec<Segment>,
    dots: Vec<Dot>,
    /// Many dots are a line, in which none should be seen.
    radius: &'static str,
    ticks: Vec<Tick>,
    marks: Vec<MarkLine>,
}

impl Chart {
    fn new(timeline: &Timeline, most: f64, marks: &[SlowMark], said: String) -> Chart {
        let top = round_up(most);
        let line = |part: f64| Line {
            y: number(HEIGHT * (1.0 - part)),
            label_y: number(HEIGHT * (1.0 - part) + 4.0),
            label: shown::seconds(top * part),
        };
        Chart {
            said,
            grid: vec![line(1.0), line(0.5)],
            bars: Vec::new(),
            segments: Vec::new(),
            dots: Vec::new(),
            radius: if timeline.slots() > 60 { "1" } else { "2.5" },
            ticks: ticks(timeline),
            marks: mark_lines(timeline, marks),
        }
    }

    /// Time that something took, period by period.
    pub(super) fn bars(timeline: &Timeline, values: &[(i64, f64)], marks: &[SlowMark], what: &str) -> Chart {
        let of = |begins: i64| values.iter().find(|(at, _)| *at == begins).map_or(0.0, |(_, value)| *value);
        let most = timeline
            .places()
            .map(|(begins, _, _)| (begins, of(begins)))
            .max_by(|(_, one), (_, other)| one.total_cmp(other))
            .unwrap_or((0, 0.0));
        let each = if timeline.period < 86_400_000_000 { "hour" } else { "day" };
        let said =
            format!("{what}, each {each}: most, {}, at {}", shown::seconds(most.1), timeline.said(most.0));
        let mut chart = Chart::new(timeline, most.1, marks, said);
        let top = round_up(most.1);
        let width = timeline.across(1.0);
        for (begins, place, is_before) in timeline.places() {
            let value = of(begins);
            if value <= 0.0 {
                continue;
            }
            // What is there is seen, however little it is.
            let height = (HEIGHT * value / top).max(1.0);
            chart.bars.push(Bar {
                x: number(timeline.across(to_f64(place)) + width * 0.1),
                width: number(width * 0.8),
                y: number(HEIGHT - height),
                height: number(height),
                is_before,
                said: format!("{}: {}", timeline.said(begins), shown::seconds(value)),
            });
        }
        chart
    }

    /// How long something takes, on the average and at the 95th percentile.
    pub(super) fn lines(timeline: &Timeline, values: &[(i64, f64, f64)], marks: &[SlowMark]) -> Chart {
        let of =
            |begins: i64| values.iter().find(|(at, _, _)| *at == begins).map(|(_, mean, p95)| (*mean, *p95));
        let most = values.iter().map(|(_, mean, p95)| mean.max(*p95)).fold(0.0, f64::max);
        let mean = values.iter().map(|(_, mean, _)| *mean).fold(0.0, f64::max);
        let said = format!(
            "How long one takes: the mean is {} at most, the 95th percentile {}",
            shown::seconds(mean),
            shown::seconds(values.iter().map(|(_, _, p95)| *p95).fold(0.0, f64::max))
        );
        let mut chart = Chart::new(timeline, most, marks, said);
        let top = round_up(most);
        for (kind, which) in [("p95", 1_u8), ("mean", 0)] {
            let mut last: Option<(f64, f64)> = None;
            for (begins, place, is_before) in timeline.places() {
                let value = of(begins).map(|(mean, p95)| if which == 1 { p95 } else { mean });
                let point =
                    value.map(|value| (timeline.across(to_f64(place) + 0.5), HEIGHT * (1.0 - value / top)));
                // Nothing joins the last of one range to the first of another that comes later.
                let joins = is_before || place > timeline.first_after() || !timeline.has_gap;
                if let (Some(from), Some(to), true) = (last, point, joins) {
                    chart.segments.push(Segment {
                        x1: number(from.0),
                        y1: number(from.1),
                        x2: number(to.0),
                        y2: number(to.1),
                        kind,
                    });
                }
                if let (Some((x, y)), Some(value)) = (point, value) {
                    let label = if which == 1 { "95th percentile" } else { "mean" };
                    chart.dots.push(Dot {
                        x: number(x),
                        y: number(y),
                        kind,
                        said: format!("{}, {label}: {}", timeline.said(begins), shown::seconds(value)),
                    });
                }
                last = point;
            }
        }
        chart
    }
}

#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn to_f64(place: usize) -> f64 {
    place as f64
}

/// The first of each range, and the last.
fn ticks(timeline: &Timeline) -> Vec<Tick> {
    let mut ticks = Vec::new();
    if let Some(first) = timeline.before.first() {
        ticks.push(Tick { x: "0".to_owned(), anchor: "start", label: timeline.said(*first) });
    }
    if let Some(first) = timeline.after.first() {
        let x = timeline.across(to_f64(timeline.first_after()));
        ticks.push(Tick { x: number(x), anchor: "start", label: timeline.said(*first) });
    }
    if let Some(last) = timeline.after.last().filter(|_| timeline.after.len() > 2) {
        ticks.push(Tick { x: "100".to_owned(), anchor: "end", label: timeline.said(*last) });
    }
    ticks
}

fn mark_lines(timeline: &Timeline, marks: &[SlowMark]) -> Vec<MarkLine> {
    let line = |(at, mark): (usize, &SlowMark)| {
        let x = timeline.moment(mark.at.as_microsecond())?;
        let anchor = if x > 95.0 { "end" } else { "start" };
        Some(MarkLine { x: number(x), anchor, number: at + 1, said: mark.text.clone() })
    };
    marks.iter().enumerate().filter_map(line).collect()
}

/// A chart without words, of the size of a word.
pub(super) struct Spark {
    /// Bars as one path, in a field of 100 by 24: of the range before, and of this one.
    pub(super) before: String,
    pub(super) after: String,
    pub(super) said: String,
}

impl Spark {
    pub(super) fn new(timeline: &Timeline, before: &[(i64, f64)], after: &[(i64, f64)]) -> Spark {
        let of = |values: &[(i64, f64)], begins: i64| {
            values.iter().find(|(at, _)| *at == begins).map_or(0.0, |(_, value)| *value)
        };
        let most = before.iter().chain(after).map(|(_, value)| *value).fold(0.0, f64::max);
        let width = timeline.across(1.0);
        let (mut was, mut is) = (String::new(), String::new());
        for (begins, place, is_before) in timeline.places() {
            let value = of(if is_before { before } else { after }, begins);
            if value <= 0.0 {
                continue;
            }
            let (x, y) = (timeline.across(to_f64(place)), 24.0 - (23.0 * value / most).max(1.0));
            let path = if is_before { &mut was } else { &mut is };
            let (left, right) = (number(x + width * 0.08), number(x + width * 0.92));
            let _ = write!(path, "M{left} 24V{}H{right}V24Z", number(y));
        }
        let peak = after.iter().max_by(|(_, one), (_, other)| one.total_cmp(other));
        let said = peak.map_or_else(
            || "not asked".to_owned(),
            |(begins, value)| format!("most, {}, at {}", shown::seconds(*value), timeline.said(*begins)),
        );
        Spark { before: was, after: is, said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn a_range_stands_beside_the_one_before() {
        let timeline = Timeline::new(Some((0, 2 * HOUR)), (2 * HOUR, 4 * HOUR), 4 * HOUR, HOUR);
        assert_eq!(timeline.slots(), 4);
        let chart = Chart::bars(&timeline, &[(0, 1.0), (3 * HOUR, 4.0)], &[], "Time");
        let bars: Vec<_> =
            chart.bars.iter().map(|bar| (bar.x.as_str(), bar.height.as_str(), bar.is_before)).collect();
        assert_eq!(bars, [("2.5", "30", true), ("77.5", "120", false)]);
        assert_eq!(chart.grid[0].label, "5.00\u{202f}s");
        assert!(chart.said.contains("at 1 Jan 03:00"), "{}", chart.said);
        assert_eq!(timeline.moment(HOUR + HOUR / 2).map(number).as_deref(), Some("37.5"));
        assert_eq!(timeline.moment(5 * HOUR), None);
    }

    #[test]
    fn the_hour_of_a_mark_is_a_gap_and_the_mark_stands_in_it() {
        let timeline = Timeline::new(Some((0, HOUR)), (2 * HOUR, 4 * HOUR), 4 * HOUR, HOUR);
        assert_eq!(timeline.slots(), 4);
        assert_eq!(timeline.moment(HOUR + HOUR / 2).map(number).as_deref(), Some("37.5"));
        let points = [(0, 1.0, 2.0), (2 * HOUR, 1.0, 2.0), (3 * HOUR, 1.0, 2.0)];
        let chart = Chart::lines(&timeline, &points, &[]);
        assert_eq!((chart.dots.len(), chart.segments.len()), (6, 2), "nothing crosses the gap");
        // Far apart, a moment in between is in neither.
        let apart = Timeline::new(Some((0, HOUR)), (20 * HOUR, 21 * HOUR), 21 * HOUR, HOUR);
        assert_eq!(apart.moment(10 * HOUR), None);
    }

    #[test]
    fn what_is_not_there_is_drawn_as_nothing() {
        let timeline = Timeline::new(None, (0, 24 * HOUR), 0, HOUR);
        assert_eq!(timeline.slots(), 1, "as far as logs have come, and one at least");
        let spark = Spark::new(&timeline, &[], &[]);
        assert_eq!((spark.after.as_str(), spark.said.as_str()), ("", "not asked"));
        assert!(Chart::bars(&timeline, &[], &[], "Time").bars.is_empty());
        let rounds = [0.0, 0.03, 1.0, 7.2, f64::NAN].map(|value| number(round_up(value)));
        assert_eq!(rounds, ["1", "0.05", "1", "10", "1"]);
    }
}
