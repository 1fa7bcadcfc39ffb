//! What is made of many measurements, and how figures are printed.

use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use std::time::Duration;

/// Several measurements of the same thing, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The least.
    pub(crate) min: f64,
    /// The one in the middle; of an even number, halfway between the two in the middle.
    pub(crate) median: f64,
    /// The most.
    pub(crate) max: f64,
    /// Each, in the order they were taken.
    pub(crate) all: Vec<f64>,
}

impl Spread {
    /// Of what was measured; `None` of nothing.
    pub(crate) fn of(all: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let all: Vec<f64> = all.into_iter().collect();
        let mut sorted = all.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Spread { min, median, max, all })
    }

    /// Of spans of time.
    pub(crate) fn of_spans(all: impl IntoIterator<Item = Duration>) -> Option<Spread> {
        Self::of(all.into_iter().map(|span| span.as_secs_f64()))
    }
}

/// A table without borders: words to the left, numbers to the right.
pub(crate) fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING).force_no_tty();
    table.set_header(headings);
    table.add_rows(rows);
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if number > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Prints what was asked for.
#[expect(clippy::print_stdout, reason = "figures are what this program is for")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}

/// Tells how it goes, beside what was asked for.
#[expect(clippy::print_stderr, reason = "whoever waits wants to know for what")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_in_the_middle() {
        let median = |all: &[f64]| Spread::of(all.iter().copied()).map(|spread| spread.median);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }
}
