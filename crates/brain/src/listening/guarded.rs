//! A connection's bytes, guarded against clients that are slow, broken or mean.
//!
//! hyper reads and writes through this. It adds what hyper has not:
//!
//! - the head of a request has a deadline, counted from when we began to wait for it, however it dribbles; whoever
//!   passes it is told so (408) before the connection is closed;
//! - whoever does not read our answer is waited for so long and no longer;
//! - what hyper says by itself about a head that it cannot read (400, 414, 431, with no body) is said in the one shape of
//!   errors instead;
//! - an answer that comes before the whole request was read is not lost: the rest is read and thrown away for a moment,
//!   for closing on unread bytes resets the connection, and the answer with it.
//!
//! ```text
//!   waiting --- head complete ---> answering --- body of the answer dropped ---> waiting
//!      |                              '--- 101 ---> handed over: raw bytes, no deadlines
//!      '--- patience ends ---> 408, shut down, linger, end of file
//! ```

use super::lobby::Seat;
use axum::http::StatusCode;
use futures::task::AtomicWaker;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long others are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the head of a request, and for the next request on a connection.
    pub(crate) head: Duration,
    /// For somebody to read what we send.
    pub(crate) unread: Duration,
    /// For the rest of a request that is answered already.
    pub(crate) linger: Duration,
}

/// What is usual.
pub(crate) const PATIENCE: Patience = Patience {
    head: Duration::from_secs(10),
    unread: Duration::from_mins(1),
    linger: Duration::from_secs(2),
};

/// How much is read of a request that is answered already.
const LINGER_BYTES: usize = 16 << 20;

/// What a connection is about, known to its requests too.
pub(crate) struct Phase {
    seat: Seat,
    /// Whether the seat goes back to waiting after each request.
    keeps_waiting: bool,
    answering: AtomicBool,
    handed_over: AtomicBool,
    /// Whether there may be bytes of the last request that nobody read.
    unread: AtomicBool,
    /// How many requests were answered.
    answered: AtomicU32,
    /// Of whoever reads: hyper does not look for the next request by itself, so that its deadline would not begin.
    reader: AtomicWaker,
}

/// Whether whoever is connected is known by a certificate, and so is not taken for half-open between two requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    Strangers,
    Proven,
}

impl Phase {
    pub(crate) fn new(seat: Seat, peers: Peers) -> Arc<Self> {
        if peers == Peers::Proven {
            seat.works();
        }
        Arc::new(Phase {
            seat,
            keeps_waiting: peers == Peers::Strangers,
            answering: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            answered: AtomicU32::new(0),
            reader: AtomicWaker::new(),
        })
    }

    /// Resolves when this connection has to give way to others.
    pub(crate) async fn gives_way(&self) {
        self.seat.gives_way.cancelled().await;
    }

    /// A request has come, with a body or without.
    pub(crate) fn begin(self: &Arc<Self>, with_body: bool) -> InFlight {
        self.answering.store(true, Ordering::Release);
        self.unread.store(with_body, Ordering::Release);
        self.seat.works();
        InFlight(self.clone())
    }
}

/// A request that is being answered; dropped with the last byte of its answer.
pub(crate) struct InFlight(Arc<Phase>);

impl InFlight {
    /// The answer is 101: what follows is no HTTP.
    pub(crate) fn hand_over(&self) {
        self.0.handed_over.store(true, Ordering::Release);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::AcqRel);
        self.0.answering.store(false, Ordering::Release);
        if self.0.keeps_waiting && !self.0.handed_over.load(Ordering::Acquire) {
            self.0.seat.waits();
        }
        self.0.reader.wake();
    }
}

/// What we say of our own accord before a connection is closed.
#[derive(Default)]
struct Words {
    bytes: Vec<u8>,
    sent: usize,
}

/// See the module.
pub(crate) struct Guarded<S> {
    inner: S,
    phase: Arc<Phase>,
    patience: Patience,
    head: Option<Pin<Box<Sleep>>>,
    /// The number of answers when `head` was begun.
    head_of: u32,
    /// Whether a byte came since.
    heard: bool,
    writing: Option<Pin<Box<Sleep>>>,
    words: Option<Words>,
    /// Whether `head` has passed: all that is left is to say so.
    too_late: bool,
    is_shut: bool,
    linger: Option<Pin<Box<Sleep>>>,
    lingered: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    pub(crate) fn new(inner: S, phase: Arc<Phase>, patience: Patience) -> Self {
        Guarded {
            inner,
            phase,
            patience,
            head: None,
            head_of: 0,
            heard: false,
            writing: None,
            words: None,
            too_late: false,
            is_shut: false,
            linger: None,
            lingered: 0,
        }
    }

    fn is_handed_over(&self) -> bool {
        self.phase.handed_over.load(Ordering::Acquire)
    }

    /// Counts how long the other side leaves unread what we send.
    fn written<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() || self.is_handed_over() {
            self.writing = None;
            return outcome;
        }
        let unread = self.patience.unread;
        let deadline = self.writing.get_or_insert_with(|| Box::pin(tokio::time::sleep(unread)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was left unread")))
    }

    /// Sends our own words to their end.
    fn poll_words(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(words) = &mut self.words
            && words.sent < words.bytes.len()
        {
            let outcome = Pin::new(&mut self.inner).poll_write(cx, &words.bytes[words.sent..]);
            let count = ready!(self.written(cx, outcome))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(words) = &mut self.words {
                words.sent += count;
            }
        }
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.written(cx, outcome)
    }

    /// Shuts down our side, and reads what is still coming so that nothing we said is lost.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
            ready!(self.written(cx, outcome))?;
            self.is_shut = true;
        }
        let lingers = self.words.is_some() || self.phase.unread.load(Ordering::Acquire);
        if !lingers || self.is_handed_over() {
            return Poll::Ready(Ok(()));
        }
        let linger = self.patience.linger;
        let deadline = self.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(linger)));
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut scrap = [0_u8; 4096];
        while self.lingered < LINGER_BYTES {
            let mut scrap = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(&mut self.inner).poll_read(cx, &mut scrap)) {
                Ok(()) if !scrap.filled().is_empty() => self.lingered += scrap.filled().len(),
                // The other side is done, or gone.
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the head that we wait for is late.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.phase.reader.register(cx.waker());
        if self.phase.answering.load(Ordering::Acquire) || self.is_handed_over() {
            self.head = None;
            return Poll::Pending;
        }
        let head = self.patience.head;
        let head = self.head.get_or_insert_with(|| Box::pin(tokio::time::sleep(head)));
        head.as_mut().poll(cx)
    }

    /// A connection that was answered and brings no more requests is closed without a word: what is said then would be
    /// taken for the answer to the next request.
    fn begin_farewell(&mut self) {
        self.too_late = true;
        if self.heard || self.phase.answered.load(Ordering::Acquire) == 0 {
            self.words = Some(words(StatusCode::REQUEST_TIMEOUT));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.too_late {
            let answered = this.phase.answered.load(Ordering::Acquire);
            if this.head_of != answered {
                (this.head_of, this.head, this.heard) = (answered, None, false);
            }
            let before = buffer.filled().len();
            match Pin::new(&mut this.inner).poll_read(cx, buffer) {
                Poll::Pending => {
                    ready!(this.poll_late(cx));
                    this.begin_farewell();
                }
                // One that sends byte after byte is never pending, and as late.
                Poll::Ready(Ok(())) if this.head.is_some() && this.poll_late(cx).is_ready() => {
                    this.heard = true;
                    buffer.set_filled(before);
                    this.begin_farewell();
                }
                ready @ Poll::Ready(_) => {
                    this.heard |= buffer.filled().len() > before;
                    return ready;
                }
            }
        }
        // Whatever happens to our words, the connection has ended.
        if ready!(this.poll_words(cx)).is_ok() {
            let _ = ready!(this.poll_farewell(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some(status) = refusal_of_hyper(bytes).filter(|_| !this.is_handed_over()) {
            this.words.get_or_insert_with(|| words(status));
            ready!(this.poll_words(cx))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.written(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            return self.poll_write(cx, only);
        }
        let this = &mut *self;
        let outcome = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let outcome = Pin::new(&mut this.inner).poll_flush(cx);
        this.written(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_farewell(cx)
    }
}

/// The status in an answer that hyper gives by itself. Every answer of ours that is no success carries a request id.
fn refusal_of_hyper(bytes: &[u8]) -> Option<StatusCode> {
    let head = std::str::from_utf8(bytes).ok()?;
    let code = head.strip_prefix("HTTP/1.1 4").or_else(|| head.strip_prefix("HTTP/1.0 4"))?;
    let alone = head.ends_with("\r\n\r\n") && head.matches("\r\n\r\n").count() == 1;
    if !alone || head.len() > 512 || head.contains("x-request-id") || !head.contains("content-length: 0") {
        return None;
    }
    format!("4{}", code.get(..2)?).parse().ok()
}

/// A refusal of the connection itself, as bytes on the wire. There was no request, so it has no id.
pub(super) fn refusal(status: StatusCode) -> Vec<u8> {
    let (code, text, hint) = match status {
        StatusCode::REQUEST_TIMEOUT => {
            ("too_slow", format!("no whole request came within {} s", PATIENCE.head.as_secs()), None)
        }
        StatusCode::URI_TOO_LONG => ("too_long", "the address is too long".to_owned(), None),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("too_large", "the headers are too many or too long".to_owned(), None)
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            ("busy", "too many connections are open".to_owned(), Some("ask again in a moment".to_owned()))
        }
        _ => ("malformed_request", "that is no HTTP request".to_owned(), None),
    };
    let body = honcho_api::ErrorBody {
        status: status.as_u16(),
        code: code.to_owned(),
        errors: [("base".to_owned(), vec![text])].into(),
        hint,
        request_id: String::new(),
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Refused"),
        body.len()
    );
    [head.into_bytes(), body].concat()
}

fn words(status: StatusCode) -> Words {
    Words { bytes: refusal(status), sent: 0 }
}

#[cfg(test)]
#[path = "guarded_tests.rs"]
mod tests;
