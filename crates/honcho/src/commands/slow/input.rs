//! A log to read: a file or standard input, plain or compressed, which its first bytes tell.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is read, and how far.
pub(super) struct Input {
    pub(super) source: Box<dyn Read>,
    /// How much of the file was read, before it was decompressed.
    pub(super) read: Arc<AtomicU64>,
    /// How long it is, if that is known.
    pub(super) length: Option<u64>,
}

/// Counts what goes through.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Opens a log.
pub(super) fn open(path: &Path) -> io::Result<Input> {
    let (raw, length): (Box<dyn Read>, _) = if path == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path)?;
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        (Box::new(file), about.is_file().then_some(about.len()))
    };
    let read = Arc::new(AtomicU64::new(0));
    let mut counted = Counted { inner: raw, count: Arc::clone(&read) };
    let mut first = Vec::with_capacity(4);
    counted.by_ref().take(4).read_to_end(&mut first)?;
    let plain = Cursor::new(first.clone()).chain(counted);
    let source: Box<dyn Read> = if first.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(1 << 16, plain)))
    } else if first == [0x28, 0xb5, 0x2f, 0xfd] {
        Box::new(zstd::Decoder::new(plain)?)
    } else {
        Box::new(plain)
    };
    Ok(Input { source, read, length })
}
