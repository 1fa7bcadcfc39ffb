//! Load over time: what a guest or a host took of its machine, in samples of which the older ones are coarser.
//!
//! ```text
//!   Minutes  1 min   kept for 6 h     <- what agents tell
//!   Fives    5 min   kept for 2 days  <- means of minutes
//!   Hours    1 h     kept for 90 days <- means of fives
//! ```
//!
//! A sample is a place on the clock, known by when it begins, and a value for each [`Measure`], or none: what nobody looked at
//! is a gap and not zero. Values are kept in 16 bits each, on a scale of equal ratios: any of them is right to a
//! thirtieth of a per cent, from a thousandth up to a thousand million millions.

use crate::Timestamp;

/// Something that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// Processors kept busy: 1.5 is one and a half.
    Cpu,
    /// The busiest minute of them.
    CpuPeak,
    /// Memory held, in bytes.
    Memory,
    /// Read from disks, bytes per second.
    DiskRead,
    /// Written to disks, bytes per second.
    DiskWritten,
    /// Read operations per second.
    DiskReads,
    /// Write operations per second.
    DiskWrites,
    /// Received from networks, bytes per second.
    Received,
    /// Sent into networks, bytes per second.
    Sent,
    /// Filled of a host's pools, in bytes. Guests have none.
    Filled,
}

/// How many measures there are.
pub const MEASURES: usize = 10;

impl Measure {
    /// All of them, in the order in which they are kept.
    pub const ALL: [Measure; MEASURES] = [
        Measure::Cpu,
        Measure::CpuPeak,
        Measure::Memory,
        Measure::DiskRead,
        Measure::DiskWritten,
        Measure::DiskReads,
        Measure::DiskWrites,
        Measure::Received,
        Measure::Sent,
        Measure::Filled,
    ];
}

/// A value for each measure that was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample([Option<f64>; MEASURES]);

impl Sample {
    /// Of one measure.
    pub fn get(&self, measure: Measure) -> Option<f64> {
        self.0[measure as usize]
    }

    /// With this value of one measure.
    #[must_use]
    pub fn with(mut self, measure: Measure, value: Option<f64>) -> Self {
        self.0[measure as usize] = value.filter(|value| value.is_finite() && *value >= 0.0);
        self
    }

    /// Whether nothing was looked at.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// What several that follow each other come to: the mean of what there is, and the highest of peaks.
    pub fn of_several(samples: &[Sample]) -> Sample {
        Measure::ALL.into_iter().fold(Sample::default(), |sum, measure| {
            let values = || samples.iter().filter_map(|sample| sample.get(measure));
            let count = values().count();
            if count == 0 {
                return sum;
            }
            #[expect(clippy::cast_precision_loss, reason = "a few dozen at most")]
            let value = match measure {
                Measure::CpuPeak => values().fold(0.0, f64::max),
                _ => values().sum::<f64>() / count as f64,
            };
            sum.with(measure, Some(value))
        })
    }
}

/// Whose load it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A guest's.
    Guest,
    /// A host's.
    Host,
}

impl Kind {
    /// How many of the measures are kept, from the first on.
    pub fn measures(self) -> usize {
        match self {
            Kind::Guest => MEASURES - 1,
            Kind::Host => MEASURES,
        }
    }

    /// Bytes that a sample takes.
    pub fn width(self) -> usize {
        self.measures() * 2
    }
}

/// How fine samples are, and for how long they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Span {
    /// A minute, for 6 hours.
    Minutes,
    /// Five minutes, for 2 days.
    Fives,
    /// An hour, for 90 days.
    Hours,
}

impl Span {
    /// All, the finest first.
    pub const ALL: [Span; 3] = [Span::Minutes, Span::Fives, Span::Hours];

    /// How people name it: by how far back it reaches.
    pub fn as_str(self) -> &'static str {
        match self {
            Span::Minutes => "6h",
            Span::Fives => "2d",
            Span::Hours => "90d",
        }
    }

    /// The span of that name.
    pub fn named(name: &str) -> Option<Span> {
        Span::ALL.into_iter().find(|span| span.as_str() == name)
    }

    /// Microseconds from one sample to the next.
    pub fn step(self) -> i64 {
        const MINUTE: i64 = 60_000_000;
        match self {
            Span::Minutes => MINUTE,
            Span::Fives => 5 * MINUTE,
            Span::Hours => 60 * MINUTE,
        }
    }

    /// So many samples are shown.
    pub fn samples(self) -> i64 {
        match self {
            Span::Minutes => 6 * 60,
            Span::Fives => 2 * 24 * 12,
            Span::Hours => 90 * 24,
        }
    }

    /// So many samples lie in one chunk, which is what is written at once: the finer ones are written more often.
    pub fn chunk(self) -> i64 {
        match self {
            Span::Minutes => 30,
            Span::Fives | Span::Hours => 48,
        }
    }

    /// So many chunks are kept; then the oldest one's place is taken again. One more than is shown, for the newest is not
    /// full.
    pub fn chunks(self) -> i64 {
        self.samples() / self.chunk() + 1
    }

    /// What samples of this span are made of; those of the finest come from agents.
    pub fn finer(self) -> Option<Span> {
        match self {
            Span::Minutes => None,
            Span::Fives => Some(Span::Minutes),
            Span::Hours => Some(Span::Fives),
        }
    }

    /// When the sample begins in which a moment lies.
    pub fn begin(self, at: Timestamp) -> Timestamp {
        Timestamp(at.0.div_euclid(self.step()) * self.step())
    }

    /// When the chunk begins in which a moment lies.
    pub fn chunk_begin(self, at: Timestamp) -> Timestamp {
        let length = self.step() * self.chunk();
        Timestamp(at.0.div_euclid(length) * length)
    }

    /// Where that chunk is kept: the place is taken again once the chunk is too old to be shown.
    pub fn place(self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.step() * self.chunk()).rem_euclid(self.chunks())
    }

    /// When the oldest sample begins that is shown at a moment, the one that is not over included.
    pub fn first_shown(self, now: Timestamp) -> Timestamp {
        Timestamp(self.begin(now).0 - (self.samples() - 1) * self.step())
    }

    /// The samples (by when they begin) that an interval tells of: those whose middle lies in it. Intervals follow each other
    /// closely and come with a delay that varies a little, so that one reaches back a bit further than it says.
    pub fn told_by(self, from: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
        /// No more than that do delays vary, or a gap of less is none.
        const SLACK: i64 = 5_000_000;
        let step = self.step();
        let half = step / 2;
        let first = (from.0 - SLACK - half).div_euclid(step) + 1;
        let last = (until.0 - half).div_euclid(step);
        (first..=last).map(move |number| Timestamp(number * step))
    }
}

/// Where the scale begins: less is nothing.
const LEAST: f64 = 1e-3;
/// Where it ends.
const MOST: f64 = 1e15;
/// The highest step of it; 0 is "not looked at", 1 is nothing.
const STEPS: f64 = 65_533.0;

/// A value as it is kept.
fn pack(value: Option<f64>) -> u16 {
    let Some(value) = value else { return 0 };
    if value < LEAST {
        return 1;
    }
    let place = (value.min(MOST) / LEAST).ln() / (MOST / LEAST).ln() * STEPS;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65533")]
    let place = place.round() as u16;
    place + 2
}

fn unpack(kept: u16) -> Option<f64> {
    match kept {
        0 => None,
        1 => Some(0.0),
        place => Some(LEAST * (f64::from(place - 2) / STEPS * (MOST / LEAST).ln()).exp()),
    }
}

/// A chunk of samples, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    kind: Kind,
    span: Span,
    /// When its first sample begins.
    pub begins: Timestamp,
    bytes: Vec<u8>,
}

impl Chunk {
    /// The one in which a moment lies, with nothing in it.
    pub fn empty(kind: Kind, span: Span, at: Timestamp) -> Chunk {
        let length = usize::try_from(span.chunk()).unwrap_or(0) * kind.width();
        Chunk { kind, span, begins: span.chunk_begin(at), bytes: vec![0; length] }
    }

    /// One that was kept; `None` if that is none.
    pub fn kept(kind: Kind, span: Span, begins: Timestamp, bytes: Vec<u8>) -> Option<Chunk> {
        let empty = Chunk::empty(kind, span, begins);
        (empty.begins == begins && empty.bytes.len() == bytes.len()).then_some(Chunk { bytes, ..empty })
    }

    /// What is kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn at(&self, begins: Timestamp) -> Option<std::ops::Range<usize>> {
        let number = usize::try_from((begins.0 - self.begins.0).div_euclid(self.span.step())).ok()?;
        let range = number * self.kind.width()..(number + 1) * self.kind.width();
        (range.end <= self.bytes.len()).then_some(range)
    }

    /// Puts a sample in its place. One that lies in another chunk is left out.
    pub fn put(&mut self, begins: Timestamp, sample: &Sample) {
        let Some(range) = self.at(begins) else { return };
        for (place, value) in self.bytes[range].chunks_exact_mut(2).zip(sample.0) {
            place.copy_from_slice(&pack(value).to_le_bytes());
        }
    }

    /// The samples of it, each with when it begins; empty ones are left out.
    pub fn samples(&self) -> impl Iterator<Item = (Timestamp, Sample)> + '_ {
        self.bytes.chunks_exact(self.kind.width()).zip(0..).filter_map(|(bytes, number)| {
            let mut sample = Sample::default();
            for (value, kept) in sample.0.iter_mut().zip(bytes.chunks_exact(2)) {
                *value = unpack(u16::from_le_bytes([kept[0], kept[1]]));
            }
            (!sample.is_empty()).then_some((Timestamp(self.begins.0 + number * self.span.step()), sample))
        })
    }
}

/// Samples of a coarser span out of finer ones, which are in the order of time.
pub fn coarser(fine: &[(Timestamp, Sample)], span: Span) -> Vec<(Timestamp, Sample)> {
    fine.chunk_by(|(one, _), (other, _)| span.begin(*one) == span.begin(*other))
        .filter_map(|together| {
            let samples: Vec<Sample> = together.iter().map(|(_, sample)| *sample).collect();
            Some((span.begin(together.first()?.0), Sample::of_several(&samples)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000_000;

    fn cpu(value: f64) -> Sample {
        Sample::default().with(Measure::Cpu, Some(value)).with(Measure::CpuPeak, Some(value))
    }

    proptest! {
        #[test]
        fn what_is_kept_is_right_to_a_thirtieth_of_a_per_cent(exponent in -3.0_f64..15.0) {
            let value = 10_f64.powf(exponent);
            let read = unpack(pack(Some(value))).unwrap();
            prop_assert!((read / value - 1.0).abs() < 0.0004, "{value} {read}");
        }

        #[test]
        fn intervals_that_follow_each_other_leave_no_sample_out(
            begun in 0..MINUTE, late in proptest::collection::vec(0..4_000_000_i64, 20)
        ) {
            let ends: Vec<i64> = late.iter().zip(1..).map(|(late, n)| begun + n * MINUTE + late).collect();
            let mut told: Vec<i64> = ends.iter().flat_map(|end| {
                Span::Minutes.told_by(Timestamp(end - MINUTE), Timestamp(*end)).map(|at| at.0 / MINUTE)
            }).collect();
            told.dedup();
            prop_assert!(told.windows(2).all(|pair| pair[1] == pair[0] + 1), "{told:?}");
            prop_assert!(told.len() >= 19, "{told:?}");
        }

        #[test]
        fn no_two_chunks_that_are_shown_have_one_place(now in 0..10_i64.pow(17)) {
            for span in Span::ALL {
                let now = Timestamp(now);
                let length = span.step() * span.chunk();
                let first = span.chunk_begin(span.first_shown(now)).0;
                let mut places: Vec<i64> = (first..=now.0).step_by(usize::try_from(length).unwrap())
                    .map(|at| span.place(Timestamp(at))).collect();
                let shown = places.len();
                places.sort_unstable();
                places.dedup();
                prop_assert_eq!(places.len(), shown);
                prop_assert!(places.iter().all(|place| (0..span.chunks()).contains(place)));
            }
        }
    }

    #[test]
    fn nothing_and_not_looked_at_are_told_apart() {
        assert_eq!((unpack(pack(Some(0.0))), unpack(pack(None))), (Some(0.0), None));
        let sample =
            Sample::default().with(Measure::Sent, Some(f64::NAN)).with(Measure::Received, Some(-1.0));
        assert!(sample.is_empty(), "what is no number, and what is less than nothing, was not looked at");
        assert_eq!(unpack(pack(Some(1e300))).map(f64::log10).map(f64::round), Some(15.0));
    }

    #[test]
    fn a_chunk_gives_back_what_was_put_into_it() {
        let begins = Timestamp(30 * MINUTE);
        let mut chunk = Chunk::empty(Kind::Guest, Span::Minutes, Timestamp(31 * MINUTE + 7));
        assert_eq!((chunk.begins, chunk.bytes().len()), (begins, 30 * 18));
        chunk.put(Timestamp(33 * MINUTE), &cpu(1.5));
        chunk.put(Timestamp(59 * MINUTE), &Sample::default().with(Measure::Filled, Some(7.0)));
        chunk.put(Timestamp(60 * MINUTE), &cpu(2.0));
        chunk.put(Timestamp(29 * MINUTE), &cpu(2.0));
        let kept = Chunk::kept(Kind::Guest, Span::Minutes, begins, chunk.bytes().to_vec()).unwrap();
        let found: Vec<_> = kept.samples().collect();
        assert_eq!(found.len(), 1, "a guest has no pools, and others lie in other chunks: {found:?}");
        assert_eq!(found[0].0, Timestamp(33 * MINUTE));
        assert!((found[0].1.get(Measure::Cpu).unwrap() - 1.5).abs() < 0.001);
        for (begins, bytes) in [(begins.0 + 1, 540), (begins.0, 539)] {
            assert_eq!(Chunk::kept(Kind::Guest, Span::Minutes, Timestamp(begins), vec![0; bytes]), None);
        }
    }

    #[test]
    fn coarser_samples_are_means_and_peaks_of_what_there_is() {
        let fine = [(0, 1.0), (1, 2.0), (4, 3.0), (10, 4.0)]
            .map(|(minute, value)| (Timestamp(minute * MINUTE), cpu(value)));
        let coarse = coarser(&fine, Span::Fives);
        let told: Vec<_> = coarse
            .iter()
            .map(|(at, sample)| (at.0 / MINUTE, sample.get(Measure::Cpu), sample.get(Measure::CpuPeak)))
            .collect();
        assert_eq!(told, [(0, Some(2.0), Some(3.0)), (10, Some(4.0), Some(4.0))]);
        assert_eq!(coarse[0].1.get(Measure::Memory), None);
    }
}
