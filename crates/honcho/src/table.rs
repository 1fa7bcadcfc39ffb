//! Tables without borders, and the two-column view of one thing.

use crate::clean::clean;
use crate::output::{Output, Tone};
use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, Table};

/// A cell: text (cleaned here, so that no caller can forget) and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
    right: Align,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

impl Cell {
    /// Text.
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Cell { text: clean(text.as_ref()), tone: Tone::Plain, right: Align::Left }
    }

    /// A number, to the right.
    #[expect(clippy::needless_pass_by_value, reason = "numbers are given, not lent")]
    pub(crate) fn number(number: impl ToString) -> Self {
        Cell { text: clean(&number.to_string()), tone: Tone::Plain, right: Align::Right }
    }

    /// A size, to the right.
    pub(crate) fn size(bytes: i64) -> Self {
        Self::number(crate::values::size_text(bytes))
    }

    /// What may be missing: a dash then.
    pub(crate) fn maybe(text: Option<impl AsRef<str>>) -> Self {
        text.map_or_else(Self::none, Self::text)
    }

    /// Nothing: a dash.
    pub(crate) fn none() -> Self {
        Cell { text: "-".to_owned(), tone: Tone::Faint, right: Align::Left }
    }

    /// With a meaning.
    #[must_use]
    pub(crate) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

/// A table with a line of headings.
pub(crate) fn table(output: &Output, headings: &[&str], rows: Vec<Vec<Cell>>) -> String {
    let mut table = bare(output);
    table.set_header(headings.iter().map(|text| heading(output, text)));
    let right: Vec<bool> = (0..headings.len())
        .map(|column| rows.iter().any(|row| row.get(column).is_some_and(|cell| cell.right == Align::Right)))
        .collect();
    for row in rows {
        table.add_row(row.iter().map(|cell| cell_of(output, cell)));
    }
    finish(table, &right)
}

/// One thing: attribute and value, one a line.
pub(crate) fn details(output: &Output, title: &str, rows: Vec<(&str, Cell)>) -> String {
    let mut table = bare(output);
    for (name, cell) in rows {
        table.add_row([comfy_table::Cell::new(format!("  {name}")), cell_of(output, &cell)]);
    }
    format!("{}\n{}", clean(title), finish(table, &[false, false]))
}

fn bare(output: &Output) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    match output.width() {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if output.color() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

fn finish(mut table: Table, right: &[bool]) -> String {
    let columns = right.len();
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 == columns { 0 } else { 2 }));
        if right[index] {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    // Cells are filled up to their column's width; at the end of a line nobody needs that.
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn heading(output: &Output, text: &str) -> comfy_table::Cell {
    let cell = comfy_table::Cell::new(text);
    if output.color() { cell.add_attribute(Attribute::Bold) } else { cell }
}

fn cell_of(output: &Output, cell: &Cell) -> comfy_table::Cell {
    let plain = comfy_table::Cell::new(&cell.text);
    match cell.tone {
        _ if !output.color() => plain,
        Tone::Plain => plain,
        Tone::Good => plain.fg(Color::Green),
        Tone::Busy => plain.fg(Color::Yellow),
        Tone::Bad => plain.fg(Color::Red),
        Tone::Faint => plain.add_attribute(Attribute::Dim),
    }
}
