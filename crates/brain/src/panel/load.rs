//! Graphs of what a guest or a host took over time. Drawn here; where there are scripts they say what a place means.
//!
//! Places across are in percent of the page, and the lines themselves are stretched: a stroke keeps its width. Beside each
//! picture stand its words, and below all of them the figures as a table.

use askama::Template;
use honcho_model::Timestamp;
use honcho_model::load::{Kind, Measure, Sample, Span};
use std::fmt::Write as _;

/// How high the part is in which lines are drawn.
const HEIGHT: f64 = 120.0;
/// A line has no more points: of more, each is the mean of a few.
const POINTS: usize = 360;
/// So many rows has the table.
const ROWS: usize = 24;

/// What stands in the query of a page that has graphs.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    span: String,
}

impl Asked {
    /// What is none of the spans is the shortest: an address is no form.
    pub(super) fn span(&self) -> Span {
        Span::named(&self.span).unwrap_or(Span::Minutes)
    }
}

/// What values of a measure are counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Processors,
    Bytes,
    BytesPerSecond,
    PerSecond,
}

impl Unit {
    /// The word by which scripts know it.
    fn word(self) -> &'static str {
        match self {
            Unit::Processors => "processors",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "bytes-per-second",
            Unit::PerSecond => "per-second",
        }
    }

    fn said(self, value: f64) -> String {
        match self {
            Unit::Processors => format!("{value:.2}"),
            Unit::Bytes => about(value),
            Unit::BytesPerSecond => format!("{}/s", about(value)),
            Unit::PerSecond if value < 10.0 => format!("{value:.1}/s"),
            Unit::PerSecond => format!("{value:.0}/s"),
        }
    }

    /// What the top of a chart stands for: round, and no less.
    fn top(self, most: f64) -> f64 {
        let (scale, least) = match self {
            Unit::Processors => (1.0, 0.1),
            Unit::PerSecond => (1.0, 1.0),
            Unit::Bytes | Unit::BytesPerSecond => {
                let power = (most.max(1.0).log2() / 10.0).floor().clamp(0.0, 4.0);
                (1024_f64.powf(power), 1.0)
            }
        };
        let most = (most / scale).max(least);
        let power = 10_f64.powf(most.log10().floor());
        let round = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter().map(|step| step * power);
        round.into_iter().find(|round| *round >= most * 0.999).unwrap_or(most) * scale
    }
}

/// About so many bytes: `1.5 G`.
fn about(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "K", "M", "G"] {
        if value < 1000.0 {
            return if value < 10.0 && unit != "B" && value.fract() != 0.0 {
                format!("{value:.1}\u{202f}{unit}")
            } else {
                format!("{value:.0}\u{202f}{unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1}\u{202f}T")
}

/// A line of a chart.
struct Series {
    label: &'static str,
    /// Its look: `one`, `two`, or `peak`, which is a field and no line.
    look: &'static str,
    /// In a field of so many points by [`HEIGHT`].
    path: String,
    /// The points of it that have no neighbours, each a dot.
    alone: String,
    /// Its values for scripts, comma between; nothing where nobody looked.
    values: String,
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

struct Chart {
    title: &'static str,
    said: String,
    unit: &'static str,
    grid: Vec<Line>,
    series: Vec<Series>,
}

struct Row {
    when: String,
    values: Vec<String>,
}

struct Choice {
    word: &'static str,
    label: &'static str,
    is_chosen: bool,
}

/// The part of a page.
#[derive(Template)]
#[template(path = "load.html")]
pub(super) struct Graphs {
    /// The page on which it stands.
    page: String,
    /// From where it is told anew.
    pub(super) live: String,
    choices: Vec<Choice>,
    is_empty: bool,
    of_host: bool,
    charts: Vec<Chart>,
    ticks: Vec<Tick>,
    points: usize,
    /// For scripts: when the first point is, and how far apart they are, in milliseconds.
    begins: i64,
    step: i64,
    headings: Vec<&'static str>,
    rows: Vec<Row>,
}

/// A place on the way from the first sample shown to the last.
struct Timeline {
    first: i64,
    step: i64,
    count: usize,
}

impl Timeline {
    fn said(&self, place: usize) -> String {
        let at = self.first + self.step * i64::try_from(place).unwrap_or(0);
        let at = jiff::Timestamp::from_microsecond(at).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
        at.strftime(if self.step < 3_600_000_000 { "%-d %b %H:%M" } else { "%-d %b %H:00" }).to_string()
    }

    /// The samples that stand for each of so many points; several together come to one.
    fn points(&self, samples: &[(Timestamp, Sample)], most: usize) -> (Vec<Sample>, usize) {
        let together = self.count.div_ceil(most).max(1);
        let mut parts: Vec<Vec<Sample>> = vec![Vec::new(); self.count.div_ceil(together)];
        for (at, sample) in samples {
            let place = usize::try_from((at.0 - self.first) / self.step).ok();
            if let Some(part) = place.and_then(|place| parts.get_mut(place / together)) {
                part.push(*sample);
            }
        }
        (parts.iter().map(|part| Sample::of_several(part)).collect(), together)
    }
}

fn number(value: f64) -> String {
    format!("{value:.1}").trim_end_matches(".0").to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn middle(place: usize) -> f64 {
    place as f64 + 0.5
}

/// The line through values, broken where there is none; and those that stand alone, each of which is drawn as a dot.
fn line(values: &[Option<f64>], top: f64) -> (String, String) {
    let (mut path, mut alone) = (String::new(), String::new());
    let known = |place: Option<usize>| place.and_then(|place| *values.get(place)?).is_some();
    for (place, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let (x, y) = (number(middle(place)), number(HEIGHT * (1.0 - value / top)));
        let follows = known(place.checked_sub(1));
        // Writing into a text does not fail.
        let _ = if follows || known(Some(place + 1)) {
            write!(path, "{}{x} {y}", if follows { "L" } else { "M" })
        } else {
            write!(alone, "M{x} {y}h.01")
        };
    }
    (path, alone)
}

/// The field below values.
fn field(values: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    for (place, value) in values.iter().enumerate() {
        if let Some(value) = value.filter(|value| *value > 0.0) {
            let y = number(HEIGHT * (1.0 - value / top));
            let _ = write!(path, "M{place} {HEIGHT}V{y}h1V{HEIGHT}z");
        }
    }
    path
}

/// A chart and what is in it.
struct Plan {
    id: &'static str,
    title: &'static str,
    unit: Unit,
    lines: &'static [(Measure, &'static str, &'static str)],
}

const PLANS: &[Plan] = &[
    Plan {
        id: "processors",
        title: "Processors",
        unit: Unit::Processors,
        lines: &[(Measure::CpuPeak, "busiest minute", "peak"), (Measure::Cpu, "busy", "one")],
    },
    Plan {
        id: "memory-held",
        title: "Memory",
        unit: Unit::Bytes,
        lines: &[(Measure::Memory, "held", "one")],
    },
    Plan {
        id: "disk",
        title: "Disk",
        unit: Unit::BytesPerSecond,
        lines: &[(Measure::DiskRead, "read", "one"), (Measure::DiskWritten, "written", "two")],
    },
    Plan {
        id: "disk-operations",
        title: "Disk operations",
        unit: Unit::PerSecond,
        lines: &[(Measure::DiskReads, "reads", "one"), (Measure::DiskWrites, "writes", "two")],
    },
    Plan {
        id: "network",
        title: "Network",
        unit: Unit::BytesPerSecond,
        lines: &[(Measure::Received, "received", "one"), (Measure::Sent, "sent", "two")],
    },
    Plan { id: "filled", title: "Pools", unit: Unit::Bytes, lines: &[(Measure::Filled, "filled", "one")] },
];

#[expect(clippy::cast_precision_loss, reason = "a few hundred")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl Plan {
    /// The lines of it that say something at this span: on the finest a peak is what its minute is.
    fn lines(&self, span: Span) -> impl Iterator<Item = &(Measure, &'static str, &'static str)> {
        self.lines.iter().filter(move |(measure, ..)| *measure != Measure::CpuPeak || span != Span::Minutes)
    }

    fn chart(&self, span: Span, points: &[Sample]) -> Chart {
        let values = |measure: Measure| points.iter().map(move |sample| sample.get(measure));
        let all = self.lines(span).flat_map(|(measure, ..)| values(*measure)).flatten();
        let top = self.unit.top(all.fold(0.0, f64::max));
        let line_at = |part: f64| Line {
            y: number(HEIGHT * (1.0 - part)),
            label_y: number(HEIGHT * (1.0 - part) + 4.0),
            label: self.unit.said(top * part),
        };
        let mut said = Vec::new();
        let mut series = Vec::new();
        for (measure, label, look) in self.lines(span) {
            let values: Vec<Option<f64>> = values(*measure).collect();
            let known: Vec<f64> = values.iter().copied().flatten().collect();
            let most = known.iter().copied().reduce(f64::max);
            said.push(match most {
                Some(most) => {
                    format!(
                        "{label}: {} on the average, {} at most",
                        self.unit.said(mean(&known)),
                        self.unit.said(most)
                    )
                }
                None => format!("{label}: not known"),
            });
            let plain = |value: &Option<f64>| value.map(|value| format!("{value:.3e}")).unwrap_or_default();
            let (path, alone) =
                if *look == "peak" { (field(&values, top), String::new()) } else { line(&values, top) };
            series.push(Series {
                label,
                look,
                path,
                alone,
                values: values.iter().map(plain).collect::<Vec<_>>().join(","),
            });
        }
        Chart {
            title: self.title,
            said: said.join("; "),
            unit: self.unit.word(),
            grid: vec![line_at(1.0), line_at(0.5)],
            series,
        }
    }
}

impl Graphs {
    /// Of a guest or a host, for the page where it is shown.
    pub(super) fn new(
        page: String,
        kind: Kind,
        span: Span,
        now: Timestamp,
        samples: &[(Timestamp, Sample)],
    ) -> Graphs {
        let count = usize::try_from(span.samples()).unwrap_or(0);
        let timeline = Timeline { first: span.first_shown(now).0, step: span.step(), count };
        let (points, together) = timeline.points(samples, POINTS);
        let plans = || PLANS.iter().filter(|plan| plan.id != "filled" || kind == Kind::Host);
        let (rows, each) = timeline.points(samples, ROWS);
        let row = |(place, sample): (usize, &Sample)| Row {
            when: timeline.said(place * each),
            values: plans()
                .flat_map(|plan| plan.lines(span).map(|(measure, ..)| (plan.unit, *measure)))
                .map(|(unit, measure)| {
                    sample.get(measure).map_or_else(|| "–".to_owned(), |value| unit.said(value))
                })
                .collect(),
        };
        let headings = plans().flat_map(|plan| plan.lines(span).map(|(measure, ..)| heading(*measure)));
        let choice = |one: Span| Choice { word: one.as_str(), label: label(one), is_chosen: one == span };
        Graphs {
            live: format!("{page}/load/live?span={}", span.as_str()),
            page,
            choices: Span::ALL.map(choice).into(),
            is_empty: samples.is_empty(),
            of_host: kind == Kind::Host,
            charts: plans().map(|plan| plan.chart(span, &points)).collect(),
            ticks: ticks(&timeline),
            points: points.len(),
            begins: timeline.first / 1000,
            step: timeline.step * i64::try_from(together).unwrap_or(1) / 1000,
            headings: headings.collect(),
            rows: rows.iter().enumerate().rev().map(row).collect(),
        }
    }
}

fn label(span: Span) -> &'static str {
    match span {
        Span::Minutes => "6 hours",
        Span::Fives => "2 days",
        Span::Hours => "90 days",
    }
}

fn heading(measure: Measure) -> &'static str {
    match measure {
        Measure::Cpu => "Processors",
        Measure::CpuPeak => "Busiest minute",
        Measure::Memory => "Memory",
        Measure::DiskRead => "Read",
        Measure::DiskWritten => "Written",
        Measure::DiskReads => "Reads",
        Measure::DiskWrites => "Writes",
        Measure::Received => "Received",
        Measure::Sent => "Sent",
        Measure::Filled => "Pools filled",
    }
}

/// The first moment, one in the middle, and the last.
fn ticks(timeline: &Timeline) -> Vec<Tick> {
    let tick = |x: &str, anchor, place: usize| Tick { x: x.to_owned(), anchor, label: timeline.said(place) };
    vec![
        tick("0", "start", 0),
        tick("50", "middle", timeline.count / 2),
        tick("100", "end", timeline.count.saturating_sub(1)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn a_gap_is_a_gap_and_one_alone_is_seen() {
        let values = [Some(1.0), Some(2.0), None, Some(0.0), None];
        assert_eq!(line(&values, 2.0), ("M0.5 60L1.5 0".to_owned(), "M3.5 120h.01".to_owned()));
        assert_eq!(field(&values, 2.0), "M0 120V60h1V120zM1 120V0h1V120z");
        assert_eq!(line(&[None], 1.0), (String::new(), String::new()));
    }

    #[test]
    fn charts_say_in_words_what_they_show_and_end_at_something_round() {
        let now = Timestamp(1_000_000 * MINUTE);
        let sample =
            |cpu: f64| Sample::default().with(Measure::Cpu, Some(cpu)).with(Measure::CpuPeak, Some(1.9));
        let samples = [(Timestamp(now.0 - MINUTE), sample(0.5)), (now, sample(1.5))];
        let graphs = Graphs::new("/guests/7".to_owned(), Kind::Guest, Span::Minutes, now, &samples);
        assert_eq!(graphs.charts.len(), 5);
        let cpu = &graphs.charts[0];
        assert_eq!(cpu.said, "busy: 1.00 on the average, 1.50 at most");
        assert_eq!(cpu.grid[0].label, "1.50");
        assert_eq!(cpu.series[0].path, "M358.5 80L359.5 0");
        assert!(cpu.series[0].values.ends_with(",5.000e-1,1.500e0"), "{}", cpu.series[0].values);
        assert_eq!(graphs.charts[1].said, "held: not known");
        assert_eq!((graphs.rows.len(), graphs.rows[0].values[0].as_str()), (24, "1.00"));
        let coarse = Graphs::new("/hosts/7".to_owned(), Kind::Host, Span::Hours, now, &samples);
        assert_eq!((coarse.charts.len(), coarse.points, coarse.charts[0].series.len()), (6, 360, 2));
        assert!(coarse.render().unwrap().contains("Pools"));
        let empty = Graphs::new("/guests/7".to_owned(), Kind::Guest, Span::Fives, now, &[]);
        assert!(empty.is_empty && !empty.render().unwrap().contains("<svg"));
        let tops =
            [(Unit::Bytes, 3e9), (Unit::Bytes, 0.0), (Unit::PerSecond, 17.0), (Unit::Processors, 0.01)];
        let tops = tops.map(|(unit, most)| unit.said(unit.top(most)).replace('\u{202f}', " "));
        assert_eq!(tops, ["3 G", "1 B", "20/s", "0.10"]);
    }

    #[test]
    fn a_page_of_graphs_is_light() {
        let now = Timestamp(1_000_000 * MINUTE);
        let sample = |number: i64| {
            Measure::ALL.into_iter().fold(Sample::default(), |sample, measure| {
                #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
                let value = (number * 7919 % 10_007) as f64 * 12_345.678;
                sample.with(measure, Some(value))
            })
        };
        for span in Span::ALL {
            let first = span.first_shown(now).0;
            let samples: Vec<(Timestamp, Sample)> =
                (0..span.samples()).map(|n| (Timestamp(first + n * span.step()), sample(n))).collect();
            let page = Graphs::new("/hosts/1".to_owned(), Kind::Host, span, now, &samples).render().unwrap();
            assert!(page.len() < 120_000, "{}: {} bytes", span.as_str(), page.len());
        }
    }
}
