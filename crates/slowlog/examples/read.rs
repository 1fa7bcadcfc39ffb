//! Reads a slow log on standard input into a digest, by one thread, and prints how many events and classes there are:
//! what the engine costs by itself. `honcho slow digest` is the same with a report.

use honcho_slowlog::{Batch, Digest, Ending, Log, Settings};
use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let mut source = std::io::stdin().lock();
    let mut log = Log::new();
    let mut batch = Batch::default();
    let mut digest = Digest::new(Settings::default());
    let mut events = 0;
    loop {
        let count = log.read_from(&mut source, 1 << 19)?;
        batch = log.take(if count == 0 { Ending::Last } else { Ending::More }, batch);
        events += batch.events(|event| digest.add(event)).events;
        if count == 0 {
            break;
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    writeln!(std::io::stdout(), "{events} events, {} classes, peak memory {peak}", digest.classes().len())
}
