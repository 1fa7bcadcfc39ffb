//! The console of a guest in its page, and what it printed before, as text.
//!
//! ```text
//!   console.js, xterm.js <-- WebSocket --> socket() <-- streams.rs, as for the API --> the agent of its host
//!                             binary frames: what is printed and what is typed, as it is
//!                             one text frame "connected": what came before it is of the log
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
use super::visitor::{Guarded, PageId};
use crate::app::App;
use crate::http::{ApiError, ApiResult, Writer, streams};
use crate::streams::Seat;
use askama::Template;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use honcho_model::GuestId;
use honcho_model::guest::Power;
use honcho_model::printed::LogCleaner;
use honcho_store::guests;
use honcho_wire::StreamKind;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

/// So much may be typed, or pasted, at once: the script cuts what is longer.
const LARGEST: usize = 64 << 10;

/// So much of what was printed before is shown in the terminal.
const BEFORE: u64 = 8 << 10;

/// So much of it is shown as text.
const TAIL: u64 = 64 << 10;

/// An agent that cannot tell what was printed so soon is not waited for: the console is what was asked for.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// A browser is asked so often whether it is there still, which also keeps what stands between from cutting a quiet console.
const PING: Duration = Duration::from_secs(20);

/// And is thought gone when it has said nothing for so long.
const GONE: Duration = Duration::from_mins(1);

/// So long it is waited for to be told why the other side has closed a console.
const A_MOMENT: Duration = Duration::from_millis(300);

/// A browser that takes nothing of what is sent to it for so long is gone as well.
const UNREAD: Duration = Duration::from_secs(30);

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

/// The other end of the page's WebSocket.
pub(super) async fn socket(
    State(app): State<App>,
    guarded: Guarded,
    PageId(id): PageId,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> PanelResult<Response> {
    if !headers.contains_key(header::ORIGIN) || !is_of_our_pages(&headers) {
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
    Ok(upgrade.on_upgrade(move |mut socket| async move {
        let standing = writer.standing.clone();
        let ending = tokio::select! {
            ending = served(&app, &writer, id, &mut socket) => ending,
            () = standing.ends(app.clone()) => Ending::NoMore,
        };
        if let Some(frame) = ending.frame() {
            // Whoever does not take it in time is gone.
            let _gone = timeout(UNREAD, socket.send(Message::Close(Some(frame)))).await;
        }
    }))
}

async fn served(app: &App, writer: &Writer, id: i64, socket: &mut WebSocket) -> Ending {
    match opened(app, writer, id).await {
        Err(error) => {
            let said: Vec<&str> = error.said().map(|(_, text)| text).collect();
            Ending::Refused(said.join("; "))
        }
        Ok(Opened { before, mut seat, agent }) => {
            let ending = tokio::select! {
                ending = pumped(socket, before, agent) => ending,
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

async fn opened(app: &App, writer: &Writer, id: i64) -> ApiResult<Opened> {
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
        Ok((app.streams.sit(GuestId(id), app.outside.uuid()), agent))
    };
    let (before, console): (_, ApiResult<_>) = tokio::join!(timeout(LOG_PATIENCE, before), console);
    let before = match before {
        Ok(Ok(before)) => before,
        // The console is what was asked for, and says itself whether it works.
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let (seat, agent) = console?;
    streams::note_console(app, writer.actor.clone(), writer.scope, id).await;
    Ok(Opened { before, seat, agent })
}

/// Hands over what is printed and what is typed, until either side ends.
async fn pumped(socket: &mut WebSocket, before: Vec<u8>, agent: Upgraded) -> Ending {
    let (mut from_guest, mut to_guest) = tokio::io::split(TokioIo::new(agent));
    let mut printed = vec![0; 16 << 10];
    let mut pings = tokio::time::interval(PING);
    let mut heard = Instant::now();
    let first = [Message::Binary(before.into()), Message::text("connected")];
    for message in first {
        if !sent(socket, message).await {
            return Ending::Left;
        }
    }
    loop {
        tokio::select! {
            count = from_guest.read(&mut printed) => match count {
                Ok(0) | Err(_) => return Ending::Closed,
                Ok(count) => {
                    if !sent(socket, Message::Binary(printed[..count].to_vec().into())).await {
                        return Ending::Left;
                    }
                }
            },
            message = socket.recv() => {
                heard = Instant::now();
                let typed = match message {
                    Some(Ok(Message::Binary(typed))) => typed,
                    Some(Ok(Message::Text(typed))) => typed.into(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ending::Left,
                };
                let written = async {
                    to_guest.write_all(&typed).await?;
                    to_guest.flush().await
                };
                if written.await.is_err() {
                    return Ending::Closed;
                }
            }
            _ = pings.tick() => {
                if heard.elapsed() > GONE || !sent(socket, Message::Ping(Vec::new().into())).await {
                    return Ending::Left;
                }
            }
        }
    }
}

/// Whether the browser took it.
async fn sent(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(UNREAD, socket.send(message)).await, Ok(Ok(())))
}
