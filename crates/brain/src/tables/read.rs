//! From the bytes of a CSV file to lines and cells, or to every line that cannot be read.
//!
//! Files come out of spreadsheets: with a byte order mark, with semicolons where the comma is the decimal sign, with
//! line feeds of either kind, with quoted line breaks, with empty lines at their end.

use super::guard::unguarded;
use super::outcome::LineProblems;
use std::sync::Arc;

/// So many lines are taken at once: while they are written, nothing else is.
const MOST_LINES: usize = 20_000;

/// A line of a table.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Counted in the file from 1.
    pub(crate) number: i64,
    /// The file, where there is more than one.
    pub(crate) file: Option<Arc<str>>,
    cells: Vec<String>,
}

impl Line {
    /// How it is named in an error.
    pub(crate) fn place(&self) -> String {
        match &self.file {
            Some(file) => format!("{file} line {}", self.number),
            None => format!("line {}", self.number),
        }
    }
}

/// A table as it was read.
#[derive(Debug)]
pub(crate) struct Table {
    /// The columns by the names they have here; `None` for one whose cells are not looked at.
    columns: Vec<Option<&'static str>>,
    /// Its lines, without the header.
    pub(crate) lines: Vec<Line>,
}

impl Table {
    /// What stands in a column; `None` when there is no such column. An empty cell is an empty text.
    pub(crate) fn cell<'t>(&self, line: &'t Line, column: &str) -> Option<&'t str> {
        let at = self.columns.iter().position(|known| *known == Some(column))?;
        Some(line.cells.get(at).map_or("", |cell| cell.trim()))
    }

    /// The same, where an empty cell says nothing.
    pub(crate) fn filled<'t>(&self, line: &'t Line, column: &str) -> Option<&'t str> {
        self.cell(line, column).filter(|cell| !cell.is_empty())
    }

    /// Whether there is such a column.
    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.contains(&Some(column))
    }

    /// Reads a file whose columns are these.
    pub(crate) fn read(bytes: &[u8], known: &'static [&'static str]) -> Result<Table, LineProblems> {
        let raw = Raw::read(bytes, None)?;
        let mut problems = LineProblems::default();
        let mut columns = Vec::new();
        for (number, text) in raw.header.cells.iter().enumerate() {
            let name = text.trim().to_ascii_lowercase();
            let column = known.iter().find(|known| **known == name).copied();
            if column.is_some() && columns.contains(&column) {
                problems.add(&raw.header, format!("column {name} stands there twice"));
            } else if name.is_empty() && !raw.is_empty_column(number) {
                problems.add(&raw.header, format!("column {} has no name", number + 1));
            } else if column.is_none() && !name.is_empty() {
                let text = format!("there is no column {}: columns are {}", clipped(&name), known.join(", "));
                problems.add(&raw.header, text);
            }
            columns.push(column);
        }
        raw.finish(columns, problems)
    }
}

/// A file whose header has not been understood yet.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) header: Line,
    lines: Vec<Line>,
    problems: LineProblems,
}

impl Raw {
    /// Reads a file; what is wrong with single lines is kept for the end.
    pub(crate) fn read(bytes: &[u8], file: Option<&str>) -> Result<Raw, LineProblems> {
        let whole = |text: &str| match file {
            Some(file) => LineProblems::whole(format!("{file} {text}")),
            None => LineProblems::whole(text),
        };
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(whole("is UTF-16: save it as \"CSV UTF-8\""));
        }
        let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
        let file = file.map(Arc::from);
        let mut problems = LineProblems::default();
        let mut lines = Vec::new();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter(bytes))
            .from_reader(bytes);
        let mut record = csv::ByteRecord::new();
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(whole(&format!("cannot be read: {error}"))),
            }
            if lines.len() > MOST_LINES {
                return Err(whole(&format!("has more than {MOST_LINES} lines: split it")));
            }
            let number = first_line(bytes, &record);
            let mut line = Line { number, file: file.clone(), cells: Vec::with_capacity(record.len()) };
            for (at, cell) in record.iter().enumerate() {
                let text = std::str::from_utf8(cell).unwrap_or_else(|_| {
                    problems
                        .add(&line, format!("cell {} is not UTF-8: save the file as \"CSV UTF-8\"", at + 1));
                    ""
                });
                line.cells.push(unguarded(text));
            }
            if lines.is_empty() || line.cells.iter().any(|cell| !cell.trim().is_empty()) {
                lines.push(line);
            }
        }
        let mut lines = lines.into_iter();
        let header = lines.next().filter(|header| header.cells.iter().any(|cell| !cell.trim().is_empty()));
        let header = header.ok_or_else(|| whole("is empty: its first line names the columns"))?;
        Ok(Raw { header, lines: lines.collect(), problems })
    }

    /// The names in the first line, as they stand there.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.header.cells.iter().map(|cell| cell.trim())
    }

    fn is_empty_column(&self, column: usize) -> bool {
        self.lines.iter().all(|line| line.cells.get(column).is_none_or(|cell| cell.trim().is_empty()))
    }

    /// Whether any line says something in a column.
    pub(crate) fn says_something(&self, column: usize) -> bool {
        !self.is_empty_column(column)
    }

    /// The table, now that it is known what its columns are; or all that is wrong with it.
    pub(crate) fn finish(
        self,
        columns: Vec<Option<&'static str>>,
        mut problems: LineProblems,
    ) -> Result<Table, LineProblems> {
        problems.extend(self.problems);
        for line in &self.lines {
            let beyond = line.cells.iter().skip(columns.len()).any(|cell| !cell.trim().is_empty());
            if beyond || line.cells.len() < columns.len() {
                problems.add(
                    line,
                    format!("has {} cells, and there are {} columns", line.cells.len(), columns.len()),
                );
            }
        }
        if problems.is_empty() { Ok(Table { columns, lines: self.lines }) } else { Err(problems) }
    }
}

/// The line on which a record begins: empty lines before it are read as part of it.
fn first_line(bytes: &[u8], record: &csv::ByteRecord) -> i64 {
    let Some(position) = record.position() else { return 0 };
    let begin = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let before = bytes.get(begin..).unwrap_or_default();
    let empty =
        before.iter().take_while(|byte| b"\r\n".contains(byte)).filter(|byte| **byte == b'\n').count();
    i64::try_from(position.line()).unwrap_or(i64::MAX).saturating_add(i64::try_from(empty).unwrap_or(0))
}

/// What stands between the cells: a comma, unless the first line has more of another.
fn delimiter(bytes: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in bytes.iter().skip_while(|byte| b"\r\n".contains(byte)) {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            byte if !quoted => {
                if let Some((_, count)) = counts.iter_mut().find(|(known, _)| known == byte) {
                    *count += 1;
                }
            }
            _ => {}
        }
    }
    let [comma, others @ ..] = counts;
    others.into_iter().fold(comma, |best, other| if other.1 > best.1 { other } else { best }).0
}

/// A text from a file, as it may stand in an error: in quotation marks, and not all of it when it is long.
pub(crate) fn clipped(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
