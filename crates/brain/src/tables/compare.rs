//! What a line says beside what is so, cell by cell.

use super::{Line, Table};

/// Whether a line says what is so already, letter by letter. An empty cell says that nothing is there in the columns of
/// `empty_says`, and nothing at all in others.
pub(super) fn says_the_same(
    table: &Table,
    line: &Line,
    (columns, cells): (&[&str], &[String]),
    empty_says: &[&str],
) -> bool {
    columns.iter().zip(cells).all(|(column, is)| match table.cell(line, column) {
        None => true,
        Some("") if !empty_says.contains(column) => true,
        // Spaces around a cell are nobody's, whoever wrote them.
        Some(said) => said == is.trim(),
    })
}

/// What differs between two states, as in `serial: S1 -> S2`.
pub(super) fn differences(columns: &[&str], before: &[String], after: &[String]) -> Vec<String> {
    let shown = |cell: &String| if cell.is_empty() { "nothing".to_owned() } else { cell.clone() };
    let pairs = columns.iter().zip(before.iter().zip(after)).filter(|(_, (before, after))| before != after);
    pairs
        .map(|(column, (before, after))| format!("{column}: {} -> {}", shown(before), shown(after)))
        .collect()
}
