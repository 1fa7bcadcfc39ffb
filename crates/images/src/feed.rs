//! A compressed tarball on its way into a program that reads tarballs, and into our reader of attributes beside it: both
//! are given one and the same buffer.

use crate::attributes::Attributes;
use bytes::Bytes as Compressed;
use std::io::{Read, Write};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How much is read at a time; what comes out of it is bounded as well, so that no stream can fill the memory.
pub(crate) const CHUNK: usize = 256 << 10;

/// The thread that decompresses what comes.
pub(crate) struct Feed {
    /// Gone once the thread wants no more.
    to: Option<mpsc::Sender<Compressed>>,
    outcome: JoinHandle<Fed>,
}

/// What became of the stream.
pub(crate) struct Fed {
    pub(crate) attributes: Result<Attributes, String>,
    /// Why it is no zstd, or too much of it.
    pub(crate) nonsense: Option<String>,
}

impl Feed {
    pub(crate) fn begin(pipe: std::io::PipeWriter, most: u64) -> Self {
        let (to, from) = mpsc::channel(8);
        let chunks = Chunks { from, chunk: Compressed::new() };
        let outcome = tokio::task::spawn_blocking(move || feed(chunks, pipe, most));
        Feed { to: Some(to), outcome }
    }

    pub(crate) async fn take(&mut self, chunk: Compressed) {
        if let Some(to) = &self.to
            && to.send(chunk).await.is_err()
        {
            // It says in the end why it wants no more.
            self.to = None;
        }
    }

    pub(crate) async fn end(self) -> std::io::Result<Fed> {
        drop(self.to);
        self.outcome.await.map_err(std::io::Error::other)
    }
}

/// Decompresses a stream into a pipe, and reads its attributes beside. No more than `most` bytes come out of it.
pub(crate) fn feed(from: impl Read, pipe: std::io::PipeWriter, most: u64) -> Fed {
    let decoder =
        match zstd::stream::read::Decoder::with_buffer(std::io::BufReader::with_capacity(CHUNK, from)) {
            Ok(decoder) => decoder,
            Err(error) => {
                return Fed { attributes: Err(error.to_string()), nonsense: Some(error.to_string()) };
            }
        };
    let mut tee =
        Tee { decoder, pipe: Some(pipe), buffer: vec![0; CHUNK], at: 0, end: 0, left: most, nonsense: None };
    let attributes = Attributes::read(&mut tee, most);
    // The reader stops at the end mark, or at what it does not understand; the other end hears all of it.
    while tee.refill().is_ok_and(|more| more) {}
    Fed { attributes, nonsense: tee.nonsense }
}

/// The stream as it comes.
struct Chunks {
    from: mpsc::Receiver<Compressed>,
    chunk: Compressed,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            match self.from.blocking_recv() {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.chunk.len());
        buffer[..n].copy_from_slice(&self.chunk.split_to(n));
        Ok(n)
    }
}

/// Decompresses, and puts each buffer into the pipe before its reader sees it.
struct Tee<R: std::io::BufRead> {
    decoder: zstd::stream::read::Decoder<'static, R>,
    /// Gone once nobody listens any more: who did has read tar's end mark, or has failed, which its last words tell.
    pipe: Option<std::io::PipeWriter>,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    left: u64,
    nonsense: Option<String>,
}

impl<R: std::io::BufRead> Tee<R> {
    /// Whether there is more.
    fn refill(&mut self) -> std::io::Result<bool> {
        let read = self.decoder.read(&mut self.buffer).and_then(|n| {
            self.left = self
                .left
                .checked_sub(n as u64)
                .ok_or_else(|| std::io::Error::other("it is far larger than it says"))?;
            Ok(n)
        });
        let n = read.inspect_err(|error| {
            self.nonsense = Some(format!("it cannot be decompressed ({error})"));
        })?;
        (self.at, self.end) = (0, n);
        if let Some(pipe) = &mut self.pipe
            && pipe.write_all(&self.buffer[..n]).is_err()
        {
            self.pipe = None;
        }
        Ok(n > 0)
    }
}

impl<R: std::io::BufRead> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.end && !self.refill()? {
            return Ok(0);
        }
        let n = buffer.len().min(self.end - self.at);
        buffer[..n].copy_from_slice(&self.buffer[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
