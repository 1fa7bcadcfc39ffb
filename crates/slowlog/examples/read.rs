//! Reads a slow log on standard input into a digest, by one thread, and prints how many events and classes there are, and what it
//! took: what the engine costs by itself. `honcho slow digest` is the same with a report.

use honcho_slowlog::{Batch, Digest, Ending, Log, Settings};
use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let mut source = std::io::stdin().lock();
    let mut log = Log::new();
    let mut batch = Batch::default();
    let mut digest = Digest::new(Settings::default());
    let (mut events, mut bytes) = (0, 0);
    loop {
        let count = log.read_from(&mut source, 1 << 19)?;
        bytes += count;
        batch = log.take(if count == 0 { Ending::Last } else { Ending::More }, batch);
        events += batch.events(|event| digest.add(event)).events;
        if count == 0 {
            break;
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    // Nanoseconds on a processor, by the kernel's own count.
    let ran = std::fs::read_to_string("/proc/self/schedstat")?;
    let ran: f64 = ran.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = bytes as f64 * 1e3 / ran;
    writeln!(
        std::io::stdout(),
        "{events} events, {} classes, peak memory {peak}, {:.2} s of processor time, {rate:.0} MB/s",
        digest.classes().len(),
        ran / 1e9
    )
}
