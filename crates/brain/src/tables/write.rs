//! A line of CSV.

use super::guard::guarded;

/// Cells as a line: quoted where that is needed (RFC 4180), and none a formula.
pub(crate) fn written<'t>(cells: impl IntoIterator<Item = &'t str>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let cells: Vec<_> = cells.into_iter().map(guarded).collect();
    // Writing to memory cannot fail, and one line has as many cells as itself.
    let _ = writer.write_record(cells.iter().map(|cell| cell.as_bytes()));
    writer.into_inner().unwrap_or_default()
}
