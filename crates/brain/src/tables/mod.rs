//! Tables of the machine room as CSV: what is exported, and what is imported again.
//!
//! ```text
//!   bytes --read--> Table (lines, cells) --+--> one Change: every line through the operation that a single request
//!                      |                   |    would run; what is wrong with a line is noted, and the next one read
//!                      '--- bad lines -----+--> any bad line: refused, all of them named, nothing written
//! ```
//!
//! Reading decides nothing about hosts or networks; what a cell means is said in the file of its kind. The columns of an
//! export are those of the import, so that what was exported imports again and changes nothing.

mod compare;
mod guard;
mod outcome;
mod read;
mod write;

pub(crate) mod addresses;
pub(crate) mod hosts;
pub(crate) mod netbox;
mod netbox_prefixes;
mod netbox_vlans;
pub(crate) mod networks;
pub(crate) mod owners;

#[cfg(test)]
mod tests;

pub(crate) use outcome::{LineProblems, Tally};
pub(crate) use read::{Line, Table};
pub(crate) use write::written;
