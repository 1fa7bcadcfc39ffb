//! A guest's serial console: the pseudo-terminal that QEMU holds the other end of.
//!
//! Only one reader makes sense, for two would each get half of the bytes. So whoever opens a console takes it from
//! whoever had it: in this process by ending the other's stream, elsewhere (`virsh console`) by opening it through
//! libvirt once with force, which throws the other out.

use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

/// An open console. Reads end when the guest does, and when somebody else opens it.
pub(crate) struct Console {
    // A terminal is read and written as a pipe is; tokio has no type of its own for it.
    reader: pipe::Receiver,
    writer: pipe::Sender,
    // `None` once it was taken: a channel that has spoken must not be asked again.
    taken: Option<oneshot::Receiver<()>>,
}

impl Console {
    /// Opens the terminal. The console ends when `taken` is sent or its sender dropped.
    pub(crate) fn open(path: &Path, taken: oneshot::Receiver<()>) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        // Raw: what the guest prints and the person types passes untouched, and is not echoed here.
        let mut settings = tcgetattr(&file)?;
        settings.make_raw();
        tcsetattr(&file, OptionalActions::Now, &settings)?;
        Ok(Console {
            reader: pipe::Receiver::from_file_unchecked(file.try_clone()?)?,
            writer: pipe::Sender::from_file_unchecked(file)?,
            taken: Some(taken),
        })
    }

    fn was_taken(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(taken) = &mut self.taken
            && Pin::new(taken).poll(context).is_ready()
        {
            self.taken = None;
        }
        self.taken.is_none()
    }
}

/// QEMU closing its end shows as EIO here.
fn is_hangup(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

impl AsyncRead for Console {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.was_taken(context) {
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(&mut self.reader).poll_read(context, buffer)) {
            Err(error) if is_hangup(&error) => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl AsyncWrite for Console {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.was_taken(context) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the console was opened by somebody else",
            )));
        }
        Pin::new(&mut self.writer).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
