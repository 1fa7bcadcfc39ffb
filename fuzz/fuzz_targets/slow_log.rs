//! Slow logs: the same events in whatever pieces they come, in linear steps, and digests that add up.
#![no_main]

use honcho_slowlog::{Batch, Digest, Ending, Log, Settings};

fn read(log: &[u8], size: usize) -> (Vec<String>, u64) {
    let mut events = Vec::new();
    let mut reader = Log::new();
    let mut batch = Batch::default();
    for piece in log.chunks(size) {
        reader.push(piece);
        batch = reader.take(Ending::More, batch);
        batch.events(|event| events.push(format!("{event:?}")));
    }
    reader.take(Ending::Last, batch).events(|event| events.push(format!("{event:?}")));
    (events, reader.steps())
}

libfuzzer_sys::fuzz_target!(|input: (u16, &[u8])| {
    let (size, log) = input;
    let (whole, steps) = read(log, log.len().max(1));
    assert_eq!(read(log, usize::from(size) + 1).0, whole);
    assert!(steps <= 5 * log.len() as u64 + 64);

    let mut reader = Log::new();
    reader.push(log);
    let batch = reader.take(Ending::Last, Batch::default());
    let (mut digest, mut count) = (Digest::new(Settings::default()), 0);
    batch.events(|event| {
        digest.add(event);
        count += 1;
    });
    let mut twice = Digest::new(Settings { most_classes: 3, most_periods: 5, ..Settings::default() });
    twice.merge(&digest);
    twice.merge(&digest);
    let sum = |digest: &Digest| digest.classes().iter().chain(digest.other()).map(|class| class.total().count).sum::<u64>();
    assert_eq!((sum(&digest), sum(&twice)), (count, 2 * count));
});
