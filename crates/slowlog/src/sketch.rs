//! Quantiles that can be added up: a `DDSketch` over whole numbers.
//!
//! A `DDSketch` (Masson, Rim, Lee; VLDB 2019) counts values in bins whose width grows with the value, so that any quantile
//! comes out with a bounded *relative* error, and two sketches are added by adding their bins: in any order, with the same
//! result as if one had seen all. The bins here are the linearly interpolated ones: each power of two is cut into 64
//! equal bins, found by shifting, with no logarithm and so alike on every machine.
//!
//! **Error bound.** Values below 64 are exact. Above, a bin `[low, low + 2^(e-6))` with `low >= 2^e` is answered by its
//! middle, which is off by at most `2^(e-7) / 2^e`: 1/128, under 0.8 percent of the true value of that rank.

use serde::{Deserialize, Serialize};

/// Bins per power of two, as a power of two.
const BITS: u32 = 6;
const EXACT: u64 = 1 << BITS;

/// A bin and how often a value fell into it (two halves, so that it takes six bytes: there are millions of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bin([u16; 3]);

impl Bin {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
    fn new(bin: u16, count: u32) -> Self {
        Self([bin, (count >> 16) as u16, count as u16])
    }

    fn bin(self) -> u16 {
        self.0[0]
    }

    fn count(self) -> u32 {
        (u32::from(self.0[1]) << 16) | u32::from(self.0[2])
    }
}

/// How many values fell into which bin. Kept sparse: most classes of queries use a few dozen bins. One bin that has
/// counted to `u32::MAX` is followed by another of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    bins: Vec<Bin>,
    count: u64,
}

impl Sketch {
    /// How far a quantile may be from the true value of its rank, relative to that value.
    pub const RELATIVE_ERROR: f64 = 1.0 / 128.0;

    /// One more value.
    pub fn add(&mut self, value: u64) {
        self.add_many(bin_of(value), 1);
    }

    fn add_many(&mut self, bin: u16, count: u32) {
        self.count += u64::from(count);
        match self.bins.binary_search_by_key(&bin, |known| known.bin()) {
            Ok(at) => match self.bins[at].count().checked_add(count) {
                Some(sum) => self.bins[at] = Bin::new(bin, sum),
                None => self.bins.insert(at, Bin::new(bin, count)),
            },
            Err(at) => self.bins.insert(at, Bin::new(bin, count)),
        }
    }

    /// All values of another one.
    pub fn merge(&mut self, other: &Self) {
        for bin in &other.bins {
            self.add_many(bin.bin(), bin.count());
        }
    }

    /// How many values it has seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many bins it uses.
    pub fn bins(&self) -> usize {
        self.bins.len()
    }

    /// How many values there are in each doubling: from a power of two (the first from 0) to below the next, and how many. Exact, for
    /// no bin spans a power of two. What lies between is there, if there is none in it, too.
    pub fn doublings(&self) -> Vec<(u64, u64, u64)> {
        let mut counts = [0_u64; 64];
        for bin in &self.bins {
            let exponent = middle_of(bin.bin()).max(1).ilog2() as usize;
            counts[exponent] += u64::from(bin.count());
        }
        let first = counts.iter().position(|count| *count > 0).unwrap_or(counts.len());
        let last = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        #[expect(clippy::cast_possible_truncation, reason = "less than 64")]
        let doubling = |exponent: usize| {
            let low = if exponent == 0 { 0 } else { 1_u64 << exponent };
            (low, 1_u64.checked_shl(exponent as u32 + 1).unwrap_or(u64::MAX), counts[exponent])
        };
        (first..last).map(doubling).collect()
    }

    /// The least value that so many are at or below, `0.95` for the 95th percentile: within [`Self::RELATIVE_ERROR`]. None
    /// if it has seen none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank"
    )]
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let last = self.bins.last()?;
        let rank = (quantile.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.bins.iter().find(|bin| {
            seen += u64::from(bin.count());
            seen >= rank
        });
        Some(middle_of(found.unwrap_or(last).bin()))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most 59 * 64 + 63")]
fn bin_of(value: u64) -> u16 {
    if value < EXACT {
        return value as u16;
    }
    let exponent = value.ilog2();
    let shift = exponent - BITS;
    ((u64::from(shift + 1) << BITS) + ((value >> shift) & (EXACT - 1))) as u16
}

fn middle_of(bin: u16) -> u64 {
    let bin = u64::from(bin);
    if bin < EXACT {
        return bin;
    }
    let shift = (bin >> BITS) - 1;
    let low = (EXACT + (bin & (EXACT - 1))) << shift;
    low + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quantile_is_as_near_as_promised(mut values in prop::collection::vec(any::<u64>().prop_map(|v| v >> (v % 60)), 1..200), quantile in 0.0_f64..=1.0) {
            let mut sketch = Sketch::default();
            for value in &values {
                sketch.add(*value);
            }
            values.sort_unstable();
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
            let rank = (quantile * values.len() as f64).ceil().max(1.0) as usize;
            let (truth, found) = (values[rank - 1], sketch.quantile(quantile).unwrap());
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let off = truth.abs_diff(found) as f64;
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let bound = truth as f64 * Sketch::RELATIVE_ERROR;
            prop_assert!(off <= bound, "{truth} was answered by {found}");
        }

        #[test]
        fn adding_up_is_seeing_all(first in prop::collection::vec(any::<u64>(), 0..50), second in prop::collection::vec(any::<u64>(), 0..50)) {
            let of = |values: &[u64]| {
                let mut sketch = Sketch::default();
                for value in values {
                    sketch.add(*value);
                }
                sketch
            };
            let mut merged = of(&first);
            merged.merge(&of(&second));
            let all: Vec<u64> = second.iter().chain(&first).copied().collect();
            prop_assert_eq!(merged, of(&all));
        }
    }

    #[test]
    fn doublings_hold_every_value_once() {
        let mut sketch = Sketch::default();
        for value in [0, 1, 2, 3, 4, 4095, 4096, 8191, u64::MAX] {
            sketch.add(value);
        }
        let doublings = sketch.doublings();
        assert_eq!(doublings[..3], [(0, 2, 2), (2, 4, 2), (4, 8, 1)]);
        assert_eq!((doublings[11], doublings[12]), ((2048, 4096, 1), (4096, 8192, 2)));
        assert_eq!(doublings.last(), Some(&(1 << 63, u64::MAX, 1)));
        assert_eq!(doublings.iter().map(|(_, _, count)| count).sum::<u64>(), sketch.count());
        assert_eq!(Sketch::default().doublings(), []);
    }

    #[test]
    fn bins_follow_each_other() {
        for value in (0..100_000).chain([u64::MAX - 1]) {
            assert!(bin_of(value) <= bin_of(value + 1));
            assert_eq!(bin_of(middle_of(bin_of(value))), bin_of(value));
        }
    }
}
