//! Classes of queries: all events with one fingerprint, and what they add up to.
//!
//! ```text
//!  Digest -- Class (id, fingerprint) -- periods: hour -> Measures
//!                                    |- uses: database, user, host -> count, time
//!                                    '- worst sample
//! ```
//!
//! Memory is bounded, whatever a log holds. There are at most so many classes, and so many bytes of their texts; what
//! comes after is counted in one class more, `other`. When there are too many periods they become days, then
//! months, then one. Merging is adding: the order of digests and events does not matter as long as no bound is met, and never
//! for what all classes together add up to.

mod bursts;
mod measures;
mod names;
mod periods;

pub use bursts::BURST;
pub use measures::{Measures, Spread};
pub use periods::{Period, Resolution};

use crate::advice::{Advice, LONGEST_STATEMENT, advise};
use crate::event::Event;
use crate::fingerprint::{Dialect, Fingerprinter};
use crate::frame::Kind;
use crate::identifier::QueryId;
use crate::redact::redact;
use bursts::Bursts;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use names::{Names, Use, Uses};
use periods::Periods;
use std::hash::BuildHasher as _;

/// What is kept of a fingerprint: as much as pt-query-digest reports. The id is of the whole one.
const LONGEST_FINGERPRINT: usize = 5000;
/// How many bins of sketches there may be for each period, before periods become longer.
const BINS_PER_PERIOD: usize = 64;
const LONGEST_SAMPLE: usize = 1024;
const LONGEST_PLAN: usize = 1024;

/// Whether the values in a sample are kept. They are personal data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Samples {
    /// Values are replaced by `?`.
    #[default]
    Redacted,
    /// The statement as it was.
    WithLiterals,
}

/// How a digest is made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The dialect of fingerprints.
    pub dialect: Dialect,
    /// What samples show.
    pub samples: Samples,
    /// More classes than this are one.
    pub most_classes: usize,
    /// More bytes of fingerprints and samples than this are not kept: classes after that are one.
    pub most_text: usize,
    /// More periods (of all classes together) than this are joined into longer ones.
    pub most_periods: usize,
    /// More bytes of whole statements than this are not kept for advice: there is none on classes after that.
    pub most_statements: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            samples: Samples::Redacted,
            most_classes: 5_000,
            most_text: 10 << 20,
            most_periods: 20_000,
            most_statements: 8 << 20,
        }
    }
}

/// The event of a class that took longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How long.
    pub query_time: u64,
    /// When.
    pub time: Option<i64>,
    /// Who asked, from where, in which database.
    pub user: Vec<u8>,
    /// From where.
    pub host: Vec<u8>,
    /// The default database.
    pub database: Vec<u8>,
    /// The statement, redacted or not, cut if it was long.
    pub statement: Vec<u8>,
    /// `MariaDB`'s `# explain:` lines.
    pub explain: Vec<u8>,
    /// The whole statement with its values, for advice, and for those who ask for it.
    whole: Option<Box<[u8]>>,
}

impl Sample {
    /// The statement with its values, cut if it was long; none, if there was no room for it. Values are personal data: this is for
    /// those whose they are and who said so.
    pub fn with_values(&self) -> Option<&[u8]> {
        self.whole.as_deref().map(|whole| &whole[..whole.len().min(LONGEST_SAMPLE)])
    }
}

/// Whose share is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Databases.
    Database,
    /// Users.
    User,
    /// Hosts.
    Host,
}

/// How much of a class somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'digest> {
    /// Who; empty if not known, None for those who had no place of their own.
    pub name: Option<&'digest [u8]>,
    /// How many events.
    pub count: u64,
    /// Their query time.
    pub query_time: u64,
}

/// All events with one fingerprint.
#[derive(Clone, Debug)]
pub struct Class {
    id: QueryId,
    fingerprint: Box<[u8]>,
    whole: bool,
    periods: Periods,
    uses: [Uses; 3],
    worst: Option<Box<Sample>>,
}

impl Class {
    fn new(id: QueryId, fingerprint: &[u8]) -> Self {
        let kept = &fingerprint[..fingerprint.len().min(LONGEST_FINGERPRINT)];
        Self {
            id,
            fingerprint: kept.into(),
            whole: kept.len() == fingerprint.len(),
            periods: Periods::default(),
            uses: Default::default(),
            worst: None,
        }
    }

    fn other() -> Self {
        Self::new(QueryId::from_bytes([0; 16]), b"")
    }

    /// Its id.
    pub fn id(&self) -> QueryId {
        self.id
    }

    /// Its fingerprint, cut after 5000 bytes.
    pub fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// What happened in each period, in order.
    pub fn periods(&self) -> &[Period] {
        self.periods.list()
    }

    /// What happened in all of them.
    pub fn total(&self) -> Measures {
        let mut total = Measures::default();
        self.periods().iter().for_each(|period| total.merge(&period.measures));
        total
    }

    /// The event that took longest.
    pub fn worst(&self) -> Option<&Sample> {
        self.worst.as_deref()
    }

    /// Advice on its queries, the surest first; none, if its slowest statement was not kept whole or does not parse.
    pub fn advice(&self) -> Vec<Advice> {
        self.advice_on(&self.total())
    }

    /// The same by somebody who has added its periods up.
    pub fn advice_on(&self, total: &Measures) -> Vec<Advice> {
        let statement = self.worst.as_deref().and_then(|worst| worst.whole.as_deref());
        statement.map_or_else(Vec::new, |statement| advise(statement, total))
    }

    fn bins(&self) -> usize {
        self.periods().iter().map(|period| period.measures.query_times.bins()).sum()
    }

    fn is(&self, fingerprint: &[u8]) -> bool {
        if self.whole { *self.fingerprint == *fingerprint } else { self.id == QueryId::of(fingerprint) }
    }
}

/// What one or more logs add up to.
#[derive(Clone, Debug)]
pub struct Digest {
    settings: Settings,
    classes: Vec<Class>,
    found: HashTable<u32>,
    other: Option<Class>,
    names: Names,
    resolution: Resolution,
    periods: usize,
    bins: usize,
    text: usize,
    /// Bytes of whole statements.
    statements: usize,
    /// The period of the last event, and from when to when it is.
    period: (i64, i64, i64),
    /// What connections do at the moment; nothing of it is merged.
    running: Bursts,
    fingerprinter: Fingerprinter,
}

impl Digest {
    /// Of nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            classes: Vec::new(),
            found: HashTable::new(),
            other: None,
            names: Names::default(),
            resolution: Resolution::Hour,
            periods: 0,
            bins: 0,
            text: 0,
            statements: 0,
            period: (0, 0, 0),
            running: Bursts::default(),
            fingerprinter: Fingerprinter::new(settings.dialect),
        }
    }

    /// One more event.
    pub fn add(&mut self, event: &Event<'_>) {
        let mut fingerprinter = std::mem::take(&mut self.fingerprinter);
        self.add_to_class(event, fingerprint_of(&mut fingerprinter, event));
        self.fingerprinter = fingerprinter;
    }

    /// The classes, in the order in which they came.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// All events for whose class there was no place.
    pub fn other(&self) -> Option<&Class> {
        self.other.as_ref()
    }

    /// How long the periods are.
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// Who asked for a class, most time first.
    pub fn shares(&self, class: &Class, by: By) -> Vec<Share<'_>> {
        let share = |known: &Use| Share {
            name: self.names.name(known.who),
            count: known.count,
            query_time: known.query_time,
        };
        let mut shares: Vec<_> = class.uses[by as usize].list().iter().map(share).collect();
        shares.sort_by(|one, other| other.query_time.cmp(&one.query_time).then(one.name.cmp(&other.name)));
        shares
    }

    fn add_to_class(&mut self, event: &Event<'_>, fingerprint: &[u8]) {
        let begins = event.time.map(|time| self.period_of(time));
        let who = [event.database, event.user, event.host];
        let who =
            [By::Database, By::User, By::Host].map(|by| self.names.of_kind(by as usize, who[by as usize]));
        let at = class_for(&self.settings, &mut self.classes, &mut self.found, &mut self.text, fingerprint);
        let burst = match (at, event.time) {
            (Some(at), Some(time)) if event.connection != 0 && event.kind == Kind::Query => {
                self.running.add(at, event.connection, time, event.statement)
            }
            _ => None,
        };
        let class = match at {
            Some(at) => &mut self.classes[at as usize],
            None => self.other.get_or_insert_with(Class::other),
        };
        let before = class.periods.list().len();
        let measures = class.periods.of(begins);
        let bins = measures.query_times.bins();
        measures.add(event);
        if let Some(run) = burst {
            measures.add_to_burst(run);
        }
        self.bins += measures.query_times.bins() - bins;
        self.periods += class.periods.list().len() - before;
        for (uses, who) in class.uses.iter_mut().zip(who) {
            uses.add(Use { who, count: 1, query_time: event.query_time });
        }
        let worst = class.worst.as_ref().map(|worst| (worst.query_time, std::cmp::Reverse(worst.time)));
        if worst.is_none_or(|worst| (event.query_time, std::cmp::Reverse(event.time)) >= worst) {
            let sample = sample_of(event, self.settings.samples);
            let other = class.fingerprint.is_empty();
            let room = if other { 0 } else { self.settings.most_statements };
            keep_worse(&mut class.worst, sample, &mut self.text, &mut self.statements, room);
        }
        self.keep_within_bounds();
    }

    fn period_of(&mut self, time: i64) -> i64 {
        let (begins, from, to) = self.period;
        if time >= from && time < to {
            return begins;
        }
        let begins = self.resolution.period_of(time);
        // An hour is the part of every period that is the same for all its times.
        let hour = Resolution::Hour.period_of(time);
        self.period = (begins, hour, hour + 3_600_000_000);
        begins
    }

    /// The same in longer periods: hours as days, days as months.
    pub fn coarsen(&mut self, resolution: Resolution) {
        if resolution <= self.resolution {
            return;
        }
        self.resolution = resolution;
        self.period = (0, 0, 0);
        self.periods = 0;
        self.bins = 0;
        for class in self.classes.iter_mut().chain(self.other.as_mut()) {
            class.periods.coarsen(resolution);
            self.periods += class.periods.list().len();
            self.bins += class.bins();
        }
    }

    /// All of another one.
    pub fn merge(&mut self, other: &Self) {
        self.coarsen(other.resolution);
        for class in &other.classes {
            let into = if class.whole { Some(&*class.fingerprint) } else { None };
            self.merge_class(class, into, &other.names);
        }
        if let Some(class) = &other.other {
            let mut mine = self.other.take().unwrap_or_else(Class::other);
            self.merge_into(&mut mine, class, &other.names);
            self.other = Some(mine);
        }
        self.keep_within_bounds();
    }

    fn keep_within_bounds(&mut self) {
        let too_much = self.periods > self.settings.most_periods
            || self.bins > BINS_PER_PERIOD * self.settings.most_periods;
        if too_much && self.resolution != Resolution::All {
            self.coarsen(self.resolution.coarser());
        }
    }

    fn merge_class(&mut self, class: &Class, fingerprint: Option<&[u8]>, names: &Names) {
        let at = match fingerprint {
            Some(fingerprint) => {
                let hash = FixedState::default().hash_one(fingerprint);
                let classes = &self.classes;
                self.found.find(hash, |at| classes[*at as usize].is(fingerprint)).map(|at| *at as usize)
            }
            // Long ones are known by their ids.
            None => self.classes.iter().position(|mine| mine.id == class.id),
        };
        let full = self.classes.len() >= self.settings.most_classes || self.text >= self.settings.most_text;
        let mut mine = match at {
            Some(at) => std::mem::replace(&mut self.classes[at], Class::other()),
            None if full => self.other.take().unwrap_or_else(Class::other),
            None => Class { whole: class.whole, ..Class::new(class.id, &class.fingerprint) },
        };
        self.merge_into(&mut mine, class, names);
        match at {
            Some(at) => self.classes[at] = mine,
            None if full => self.other = Some(mine),
            None => {
                self.text += mine.fingerprint.len();
                let hash = FixedState::default().hash_one(fingerprint.unwrap_or(&class.id.bytes()[..]));
                insert(&mut self.classes, &mut self.found, mine, hash);
            }
        }
    }

    fn merge_into(&mut self, mine: &mut Class, class: &Class, names: &Names) {
        let before = (mine.periods.list().len(), mine.bins());
        for period in class.periods() {
            mine.periods
                .of(period.begins.map(|time| self.resolution.period_of(time)))
                .merge(&period.measures);
        }
        self.periods += mine.periods.list().len() - before.0;
        self.bins += mine.bins() - before.1;
        for (uses, more) in mine.uses.iter_mut().zip(&class.uses) {
            uses.merge(more, |who| self.names.adopt(names, who));
        }
        if let Some(worst) = &class.worst {
            let room = if mine.fingerprint.is_empty() { 0 } else { self.settings.most_statements };
            keep_worse(&mut mine.worst, Sample::clone(worst), &mut self.text, &mut self.statements, room);
        }
    }
}

/// The fingerprint that an event is counted under.
fn fingerprint_of<'made>(fingerprinter: &'made mut Fingerprinter, event: &'made Event<'_>) -> &'made [u8] {
    match event.kind {
        Kind::Query => fingerprinter.fingerprint(event.statement),
        Kind::Administrator => event.statement,
        Kind::Nothing => b"",
    }
}

/// The class of a fingerprint, made if there is place for it. None: it is among all others.
fn class_for(
    settings: &Settings,
    classes: &mut Vec<Class>,
    found: &mut HashTable<u32>,
    text: &mut usize,
    fingerprint: &[u8],
) -> Option<u32> {
    let state = FixedState::default();
    let long = fingerprint.len() > LONGEST_FINGERPRINT;
    let hash = if long {
        state.hash_one(&QueryId::of(fingerprint).bytes()[..])
    } else {
        state.hash_one(fingerprint)
    };
    if let Some(at) = found.find(hash, |at| classes[*at as usize].is(fingerprint)) {
        return Some(*at);
    }
    if classes.len() >= settings.most_classes || *text >= settings.most_text {
        return None;
    }
    let class = Class::new(QueryId::of(fingerprint), fingerprint);
    *text += class.fingerprint.len();
    Some(insert(classes, found, class, hash))
}

fn insert(classes: &mut Vec<Class>, found: &mut HashTable<u32>, class: Class, hash: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "classes are capped far below")]
    let at = classes.len() as u32;
    classes.push(class);
    let state = FixedState::default();
    let key = |class: &Class| {
        if class.whole { state.hash_one(&*class.fingerprint) } else { state.hash_one(&class.id.bytes()[..]) }
    };
    found.insert_unique(hash, at, |at| key(&classes[*at as usize]));
    at
}

fn sample_of(event: &Event<'_>, samples: Samples) -> Sample {
    let statement = match samples {
        Samples::Redacted => redact(event.statement, LONGEST_SAMPLE),
        Samples::WithLiterals => event.statement[..event.statement.len().min(LONGEST_SAMPLE)].to_vec(),
    };
    let name = |name: &[u8]| name[..name.len().min(256)].to_vec();
    Sample {
        query_time: event.query_time,
        time: event.time,
        user: name(event.user),
        host: name(event.host),
        database: name(event.database),
        statement,
        explain: event.explain[..event.explain.len().min(LONGEST_PLAN)].to_vec(),
        whole: (event.kind == Kind::Query && event.statement.len() <= LONGEST_STATEMENT)
            .then(|| event.statement.into()),
    }
}

/// Keeps the worse of two samples, and count of the text of all of them; its whole statement, if there is room.
fn keep_worse(
    kept: &mut Option<Box<Sample>>,
    mut sample: Sample,
    text: &mut usize,
    statements: &mut usize,
    most_statements: usize,
) {
    if kept.as_ref().is_none_or(|known| rank(&sample) > rank(known)) {
        *text += weight(&sample);
        *text -= kept.as_deref().map_or(0, weight);
        let length = |sample: &Sample| sample.whole.as_deref().map_or(0, <[u8]>::len);
        *statements -= kept.as_deref().map_or(0, length);
        if *statements + length(&sample) > most_statements {
            sample.whole = None;
        }
        *statements += length(&sample);
        *kept = Some(Box::new(sample));
    }
}

fn weight(sample: &Sample) -> usize {
    let names = sample.user.len() + sample.host.len() + sample.database.len();
    sample.statement.len() + sample.explain.len() + names
}

/// Which of two samples of a class is kept: the slower one, then the earlier one, then whichever always comes out first.
fn rank(sample: &Sample) -> impl Ord + '_ {
    let time = std::cmp::Reverse(sample.time);
    (sample.query_time, time, &sample.statement, &sample.user, &sample.host, &sample.database, &sample.whole)
}

#[cfg(test)]
mod tests;
