//! Reads logs with several threads.
//!
//! Where events end is found by one thread, in order, since it depends on all that stands before. What an event says,
//! its fingerprint and its sums are most of the work: batches of whole events go to workers, each with a digest of its
//! own, and the digests are added up. When the workers are busy the reader does a batch itself.

use super::condition::Conditions;
use super::input::{self, Input};
use crate::clean::clean;
use crate::command_error::CommandError;
use crate::output::Output;
use crate::progress::Progress;
use honcho_slowlog::{Batch, Digest, Ending, Identity, Log, Settings};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// How much is read at once.
const PIECE: usize = 1 << 19;

/// How it went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// Bytes of logs, decompressed.
    pub(super) bytes: u64,
    /// Events.
    pub(super) events: u64,
    /// Events that the conditions left out.
    pub(super) filtered: u64,
    /// What was no event.
    pub(super) left_out: u64,
    /// Events whose user, host and database may be forged, and were not counted by them.
    pub(super) uncertain: u64,
    /// Files that could not be read to their ends.
    pub(super) broken: u64,
}

/// What a thread counts.
struct Counter<'run> {
    digest: Digest,
    told: Told,
    conditions: &'run Conditions,
}

impl<'run> Counter<'run> {
    fn new(settings: Settings, conditions: &'run Conditions) -> Self {
        Counter { digest: Digest::new(settings), told: Told::default(), conditions }
    }

    fn count(&mut self, batch: &Batch) {
        let (digest, told) = (&mut self.digest, &mut self.told);
        let reading = batch.events(|event| {
            if self.conditions.hold(event) {
                told.events += 1;
                told.uncertain += u64::from(event.identity == Identity::Uncertain);
                digest.add(event);
            } else {
                told.filtered += 1;
            }
        });
        told.left_out += reading.left_out;
    }
}

/// The digest of all these logs. Those that cannot be read are told of, and the others read.
pub(super) fn read(
    output: &Output,
    files: &[PathBuf],
    settings: &Settings,
    conditions: &Conditions,
    threads: usize,
) -> Result<(Digest, Told), CommandError> {
    // Together the threads may use what one alone may.
    let share = Settings {
        most_text: settings.most_text / threads.max(1),
        most_periods: settings.most_periods / threads.max(1),
        most_statements: settings.most_statements / threads.max(1),
        ..*settings
    };
    std::thread::scope(|scope| {
        let (work, queue) = sync_channel::<Batch>(2);
        let (used, reuse) = channel::<Batch>();
        let queue = Arc::new(Mutex::new(queue));
        let workers: Vec<_> = (1..threads)
            .map(|_| {
                let (queue, used) = (Arc::clone(&queue), used.clone());
                scope.spawn(move || worker(Counter::new(share, conditions), &queue, &used))
            })
            .collect();
        let work = (!workers.is_empty()).then_some(work);
        let mut reader = Reader { output, work, reuse, counter: Counter::new(share, conditions) };
        let mut opened = 0;
        for file in files {
            opened += u64::from(reader.file(file));
        }
        drop(reader.work);
        let (mut digest, mut told) = (Digest::new(*settings), reader.counter.told);
        digest.merge(&reader.counter.digest);
        for worker in workers {
            let counter =
                worker.join().map_err(|_| CommandError::failed("a thread that read the logs failed"))?;
            digest.merge(&counter.digest);
            told.events += counter.told.events;
            told.filtered += counter.told.filtered;
            told.left_out += counter.told.left_out;
            told.uncertain += counter.told.uncertain;
        }
        if opened == 0 {
            return Err(
                CommandError::failed("none of the logs can be read").hint("what is wrong stands above")
            );
        }
        Ok((digest, told))
    })
}

fn worker<'run>(
    mut counter: Counter<'run>,
    queue: &Mutex<Receiver<Batch>>,
    used: &Sender<Batch>,
) -> Counter<'run> {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else {
            return counter;
        };
        counter.count(&batch);
        // Once the reader has left, nobody wants the memory back.
        let _ = used.send(batch);
    }
}

struct Reader<'run> {
    output: &'run Output,
    work: Option<SyncSender<Batch>>,
    reuse: Receiver<Batch>,
    counter: Counter<'run>,
}

impl Reader<'_> {
    /// Reads one log. False if it could not even be opened.
    fn file(&mut self, path: &Path) -> bool {
        let name =
            if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        match input::open(path) {
            Ok(input) => {
                self.log(&name, input);
                true
            }
            Err(error) => {
                self.counter.told.broken += 1;
                self.output.note(&format!("{}: cannot be read: {error}", clean(&name)));
                false
            }
        }
    }

    fn log(&mut self, name: &str, mut input: Input) {
        let watched = !self.output.json && std::io::stderr().is_terminal();
        let mut progress = watched.then(|| Progress::new(self.output, "slow digest"));
        let mut log = Log::new();
        loop {
            let came = log.read_from(&mut input.source, PIECE);
            let (count, failure) = match came {
                Ok(count) => (count, None),
                Err(error) => (0, Some(error)),
            };
            self.counter.told.bytes += count as u64;
            let batch = self.reuse.try_recv().unwrap_or_default();
            let batch = log.take(if count == 0 { Ending::Last } else { Ending::More }, batch);
            self.hand_over(batch);
            if let Some(progress) = &mut progress {
                let read = input.read.load(Ordering::Relaxed);
                progress.step(name, input.length.map(|length| read.saturating_mul(100) / length.max(1)));
            }
            if let Some(error) = failure {
                self.counter.told.broken += 1;
                let far = self.counter.told.bytes;
                self.output.note(&format!("{}: broken, read up to byte {far}: {error}", clean(name)));
            }
            if count == 0 {
                return;
            }
        }
    }

    fn hand_over(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let refused = match &self.work {
            None => batch,
            Some(work) => match work.try_send(batch) {
                Ok(()) => return,
                Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => batch,
            },
        };
        self.counter.count(&refused);
    }
}
