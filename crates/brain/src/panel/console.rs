//! The console of a guest in its page, and what it printed before, as text.
//!
//! ```text
//!   console.js, xterm.js <-- WebSocket --> socket() <-- streams.rs, as for the API --> the agent of its host
//!                             binary frames: what is printed and what is typed, as it is
//!                             one text frame "connected", and which seat it is: what came before it is of the log
//!                             a close frame says why it ended: `Ending`
//! ```
//!
//! The cookie of a session goes along with requests that other sites' pages make a browser send, and no CORS guards a WebSocket. So
//! it is opened only where the browser says that a page of ours asks (`Origin`), and only for who may change the guest: whoever
//! types may do anything there.

use super::around::is_of_our_pages;
use super::assets;
use super::failure::{PanelError, PanelResult};
use super::shell::{Section, Shell, page};
use super::shown;
use super::visitor::{Asking, Guarded, PageId};
use crate::app::App;
use crate::http::{ApiError, ApiResult, Writer, streams};
use crate::streams::Seat;
use askama::Template;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use honcho_model::GuestId;
use honcho_model::guest::Power;
use honcho_model::printed::LogCleaner;
use honcho_store::guests;
use honcho_wire::StreamKind;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use uuid::Uuid;

/// So much may be typed, or pasted, at once: the script cuts what is longer.
const LARGEST: usize = 64 << 10;

/// So much of what was printed before is shown in the terminal.
const BEFORE: u64 = 8 << 10;

/// So much of it is shown as text.
const TAIL: u64 = 64 << 10;

/// An agent that cannot tell what was printed so soon is not waited for: the console is what was asked for.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// So long it is waited for to be told why the other side has closed a console.
const A_MOMENT: Duration = Duration::from_millis(300);

/// How long whoever has a console is waited for.
#[derive(Clone, Copy)]
struct Patience {
    /// A browser is asked so often whether it is there still, which also keeps what stands between from cutting a quiet console.
    ping: Duration,
    /// And is thought gone when it has said nothing for so long.
    silent: Duration,
    /// Whoever takes nothing of what is sent to them for so long is gone as well.
    unread: Duration,
}

/// What is usual.
const PATIENCE: Patience = Patience {
    ping: Duration::from_secs(20),
    silent: Duration::from_mins(1),
    unread: Duration::from_secs(30),
};

#[derive(Template)]
#[template(path = "console.html")]
struct ConsolePage {
    shell: Shell,
    id: i64,
    name: String,
    script: String,
    terminal: String,
    style: String,
}

/// The page with the terminal.
pub(super) async fn show(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    let writer = guarded.visitor.writer()?;
    let guest = guests::get(app.store.reader(), writer.scope, GuestId(id), app.now()).await?;
    page(&ConsolePage {
        shell: Shell::new(&app, &guarded.visit, Section::Guests, format!("Console of {}", guest.name)),
        id,
        name: guest.name,
        script: assets::address("console.js"),
        terminal: assets::address("xterm.mjs"),
        style: assets::address("xterm.css"),
    })
}

#[derive(Template)]
#[template(path = "console_log.html")]
struct LogPage {
    shell: Shell,
    id: i64,
    name: String,
    size: String,
    text: String,
    may_open: bool,
}

/// What the console printed, for everybody who sees the guest, and without scripts.
pub(super) async fn log(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
) -> PanelResult<Response> {
    let visitor = &guarded.visitor;
    let guest = guests::get(app.store.reader(), visitor.scope(), GuestId(id), app.now()).await?;
    let kind = StreamKind::Log { tail: TAIL, follow: false };
    let place = streams::open(&app, visitor.scope(), id, kind).await?;
    let printed = whole(streams::arrival(place).await?, TAIL).await?;
    let title = format!("What {} printed", guest.name);
    page(&LogPage {
        shell: Shell::new(&app, &guarded.visit, Section::Guests, title),
        id,
        size: shown::size(i64::try_from(TAIL).unwrap_or(i64::MAX)),
        text: LogCleaner::default().clean(&printed),
        may_open: visitor.may_change(guest.account_id) && guest.power == Power::Running,
        name: guest.name,
    })
}

/// All that an agent sends of a log, and no more than was asked for.
async fn whole(agent: Upgraded, most: u64) -> ApiResult<Vec<u8>> {
    let mut printed = Vec::new();
    let read = TokioIo::new(agent).take(most).read_to_end(&mut printed).await;
    read.map_err(|error| {
        tracing::info!(%error, "a log could not be read to its end");
        ApiError::conflict("its host's agent did not send all of it").hint("load the page anew")
    })?;
    Ok(printed)
}

/// Why a console in a page ended; the script knows what each number means.
enum Ending {
    /// The other side closed it: the guest stopped, or somebody on its host took it.
    Closed,
    /// Somebody opened it elsewhere.
    Taken,
    /// Whoever opened it may not any more, or has logged out.
    NoMore,
    /// It was not opened at all.
    Refused(String),
    /// There is nobody to tell.
    Left,
}

impl Ending {
    fn frame(self) -> Option<CloseFrame> {
        let (code, mut reason) = match self {
            Ending::Closed => (4000, String::new()),
            Ending::Taken => (4001, String::new()),
            Ending::NoMore => (4003, String::new()),
            Ending::Refused(text) => (4009, text),
            Ending::Left => return None,
        };
        // The frame has room for no more.
        reason.truncate(reason.floor_char_boundary(123));
        Some(CloseFrame { code, reason: reason.into() })
    }
}

/// How the script asks for a console.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Opening {
    /// There if it is by itself that it connects again: the seat that it had, or nothing. Then nobody loses theirs.
    again: Option<String>,
}

/// Whose seat may be taken.
#[derive(Clone, Copy)]
enum Taking {
    /// Whoever sits there.
    Any,
    /// The one that was one's own, whose end was not heard of yet.
    Own(Option<Uuid>),
}

/// The other end of the page's WebSocket.
pub(super) async fn socket(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    Asking(opening): Asking<Opening>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> PanelResult<Response> {
    if !headers.contains_key(header::ORIGIN) || !is_of_our_pages(&headers, guarded.visit.transport) {
        let text = "this console was asked for by a page that is not ours";
        return Err(PanelError::Api(ApiError::new(StatusCode::FORBIDDEN, "forbidden", text)));
    }
    let writer = guarded.visitor.writer()?;
    guests::get(app.store.reader(), writer.scope, GuestId(id), app.now()).await?;
    let upgrade = upgrade.map_err(|_| {
        let text = "a console is reached by a WebSocket, which its page opens";
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", text)
    })?;
    let upgrade = upgrade.max_message_size(LARGEST).max_frame_size(LARGEST);
    let taking = opening.again.map_or(Taking::Any, |own| Taking::Own(own.parse().ok()));
    Ok(upgrade.on_upgrade(move |mut socket| async move {
        let standing = writer.standing.clone();
        let ending = tokio::select! {
            ending = served(&app, &writer, id, taking, &mut socket) => ending,
            () = standing.ends(app.clone()) => Ending::NoMore,
        };
        if let Some(frame) = ending.frame() {
            // Whoever does not take it in time is gone.
            let _gone = timeout(PATIENCE.unread, socket.send(Message::Close(Some(frame)))).await;
        }
    }))
}

async fn served(app: &App, writer: &Writer, id: i64, taking: Taking, socket: &mut WebSocket) -> Ending {
    let is_taken = || match taking {
        Taking::Any => false,
        Taking::Own(own) => app.streams.is_taken(GuestId(id), own),
    };
    if is_taken() {
        return Ending::Taken;
    }
    match opened(app, writer, id, is_taken).await {
        Err(error) => {
            let said: Vec<&str> = error.said().map(|(_, text)| text).collect();
            Ending::Refused(said.join("; "))
        }
        Ok(None) => Ending::Taken,
        Ok(Some(Opened { before, mut seat, agent })) => {
            let said = [Message::Binary(before.into()), Message::text(format!("connected {}", seat.id))];
            let used = || {
                let (standing, app) = (writer.standing.clone(), app.clone());
                async move { standing.used(&app).await }
            };
            let ending = tokio::select! {
                ending = pumped(socket, said, TokioIo::new(agent), PATIENCE, used) => ending,
                _ = &mut seat.taken => return Ending::Taken,
            };
            // The agent may end the stream a moment before the other has sat down.
            match ending {
                Ending::Closed if timeout(A_MOMENT, &mut seat.taken).await.is_ok() => Ending::Taken,
                ending => ending,
            }
        }
    }
}

/// An open console.
struct Opened {
    /// What was printed before, if that can be told.
    before: Vec<u8>,
    seat: Seat,
    agent: Upgraded,
}

/// Opens it; nothing if somebody else has sat down there meanwhile who may not be disturbed.
async fn opened(
    app: &App,
    writer: &Writer,
    id: i64,
    is_taken: impl Fn() -> bool,
) -> ApiResult<Option<Opened>> {
    let guest = guests::get(app.store.reader(), writer.scope, GuestId(id), app.now()).await?;
    if guest.power != Power::Running {
        return Err(ApiError::conflict("it is stopped, so nobody would answer"));
    }
    let printed =
        streams::open(app, writer.scope, id, StreamKind::Log { tail: BEFORE, follow: false }).await?;
    let console = streams::open(app, writer.scope, id, StreamKind::Console).await?;
    let before = async { whole(streams::arrival(printed).await?, BEFORE).await };
    let console = async {
        let agent = streams::arrival(console).await?;
        Ok((!is_taken()).then(|| (app.streams.sit(GuestId(id), app.outside.uuid()), agent)))
    };
    let (before, console): (_, ApiResult<_>) = tokio::join!(timeout(LOG_PATIENCE, before), console);
    let before = match before {
        Ok(Ok(before)) => before,
        // The console is what was asked for, and says itself whether it works.
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let Some((seat, agent)) = console? else { return Ok(None) };
    streams::note_console(app, writer.actor.clone(), writer.scope, id).await;
    Ok(Some(Opened { before, seat, agent }))
}

/// Hands over what is printed and what is typed, until either side ends. Neither waits for the other: who cannot read as fast as
/// a guest prints can still interrupt it.
async fn pumped<S, A, Noted>(
    socket: S,
    said: [Message; 2],
    agent: A,
    patience: Patience,
    used: impl Fn() -> Noted,
) -> Ending
where
    S: Sink<Message> + Stream<Item = Result<Message, axum::Error>>,
    A: AsyncRead + AsyncWrite,
    Noted: Future<Output = ()>,
{
    let (to_browser, from_browser) = socket.split();
    let (from_guest, to_guest) = tokio::io::split(agent);
    tokio::select! {
        ending = printed(from_guest, to_browser, said, patience) => ending,
        ending = typed(from_browser, to_guest, patience, used) => ending,
    }
}

/// Sends what a guest prints, and asks whether there is somebody still.
async fn printed(
    mut from_guest: impl AsyncRead + Unpin,
    mut to_browser: impl Sink<Message> + Unpin,
    said: [Message; 2],
    patience: Patience,
) -> Ending {
    for message in said {
        if !sent(&mut to_browser, message, patience).await {
            return Ending::Left;
        }
    }
    let mut bytes = vec![0; 16 << 10];
    let mut pings = tokio::time::interval(patience.ping);
    loop {
        let message = tokio::select! {
            count = from_guest.read(&mut bytes) => match count {
                Ok(0) | Err(_) => return Ending::Closed,
                Ok(count) => Message::Binary(bytes[..count].to_vec().into()),
            },
            _ = pings.tick() => Message::Ping(Vec::new().into()),
        };
        if !sent(&mut to_browser, message, patience).await {
            return Ending::Left;
        }
    }
}

/// Hands a guest what is typed.
async fn typed<Noted: Future<Output = ()>>(
    mut from_browser: impl Stream<Item = Result<Message, axum::Error>> + Unpin,
    mut to_guest: impl AsyncWrite + Unpin,
    patience: Patience,
    used: impl Fn() -> Noted,
) -> Ending {
    loop {
        let typed = match timeout(patience.silent, from_browser.next()).await {
            Ok(Some(Ok(Message::Binary(typed)))) => typed,
            // Whoever touches a key is there: a session ends when nobody was for long. What else comes the terminal answers by itself.
            Ok(Some(Ok(Message::Text(_)))) => {
                used().await;
                continue;
            }
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return Ending::Left,
        };
        let written = async {
            to_guest.write_all(&typed).await?;
            to_guest.flush().await
        };
        match timeout(patience.unread, written).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ending::Closed,
            Err(_) => return Ending::Refused("the guest takes nothing of what is typed".to_owned()),
        }
    }
}

/// Whether the browser took it.
async fn sent(to_browser: &mut (impl Sink<Message> + Unpin), message: Message, patience: Patience) -> bool {
    matches!(timeout(patience.unread, to_browser.send(message)).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::channel::mpsc;
    use std::cell::Cell;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// The brain's end of a WebSocket whose browser takes what is sent from one channel, and types into another.
    struct Socket {
        to_browser: mpsc::Sender<Message>,
        from_browser: mpsc::UnboundedReceiver<Result<Message, axum::Error>>,
    }

    impl Stream for Socket {
        type Item = Result<Message, axum::Error>;
        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.from_browser.poll_next_unpin(cx)
        }
    }

    impl Sink<Message> for Socket {
        type Error = mpsc::SendError;
        fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            self.to_browser.poll_ready_unpin(cx)
        }
        fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Self::Error> {
            self.to_browser.start_send_unpin(message)
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            self.to_browser.poll_flush_unpin(cx)
        }
        fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            self.to_browser.poll_close_unpin(cx)
        }
    }

    fn said() -> [Message; 2] {
        [Message::text("before"), Message::text("connected")]
    }

    const SHORT: Patience = Patience {
        ping: Duration::from_millis(50),
        silent: Duration::from_millis(300),
        unread: Duration::from_millis(300),
    };

    #[tokio::test]
    async fn who_does_not_read_what_is_printed_can_still_interrupt_it() {
        let (to_browser, taken) = mpsc::channel(4);
        let (keyboard, from_browser) = mpsc::unbounded();
        let (agent, guest) = tokio::io::duplex(64);
        let times = Cell::new(0);
        let used = || async { times.set(times.get() + 1) };
        let patience = Patience { silent: Duration::from_mins(1), ..SHORT };
        let pump = pumped(Socket { to_browser, from_browser }, said(), agent, patience, used);
        let (mut keys, mut line) = tokio::io::split(guest);
        let flood = async { while line.write_all(&[b'y'; 64]).await.is_ok() {} };
        let interrupts = async {
            // By then nobody takes what is printed any more.
            tokio::time::sleep(SHORT.unread / 3).await;
            keyboard.unbounded_send(Ok(Message::text("there"))).unwrap();
            keyboard.unbounded_send(Ok(Message::Binary(vec![3].into()))).unwrap();
            let mut heard = [0; 1];
            keys.read_exact(&mut heard).await.unwrap();
            heard
        };
        let in_time = async { timeout(SHORT.unread, interrupts).await };
        let (ending, heard) = tokio::select! {
            both = async { tokio::join!(pump, in_time) } => both,
            () = flood => unreachable!("the guest prints until nobody is there"),
        };
        assert_eq!(heard, Ok([3]), "while what is printed waits");
        assert!(matches!(ending, Ending::Left), "one that takes nothing for long is gone");
        assert_eq!(times.get(), 1, "a touched key is a use of the session, and bytes are none");
        drop(taken);
    }

    #[tokio::test]
    async fn a_guest_that_takes_nothing_is_not_waited_for_and_a_browser_that_says_nothing_is_gone() {
        let (to_browser, _taken) = mpsc::channel(100);
        let (keyboard, from_browser) = mpsc::unbounded();
        let (agent, _guest) = tokio::io::duplex(4);
        keyboard.unbounded_send(Ok(Message::Binary(vec![b'x'; 9].into()))).unwrap();
        let socket = Socket { to_browser, from_browser };
        let ending = pumped(socket, said(), agent, SHORT, || async {}).await;
        assert!(matches!(ending, Ending::Refused(_)));

        let (to_browser, _taken) = mpsc::channel(100);
        let (_keyboard, from_browser) = mpsc::unbounded();
        let (agent, _guest) = tokio::io::duplex(4);
        let socket = Socket { to_browser, from_browser };
        let ending = pumped(socket, said(), agent, SHORT, || async {}).await;
        assert!(matches!(ending, Ending::Left));
    }
}
