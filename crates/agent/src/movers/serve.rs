//! Hears other hosts' agents, and reads volumes out to those that may have them.

use super::blocks::{Block, Blocks, Next, allocated};
use super::frames::{Answer, Piece, Question, VERSION, hear, say, send};
use super::{BLOCK, Departure, Departures, GREETING, OwnIdentity, PATIENCE, ticket_hash};
use crate::drivers::{Duplex, Storage};
use crate::tls;
use honcho_model::Digest;
use std::collections::HashMap;
use std::io::{Error, Result};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// So many volumes are read out at once; whoever comes then is told to come again.
const AT_ONCE: usize = 4;
/// So many connections are held at once, and so many from one address; what comes beyond that is hung up on.
const CONNECTIONS: usize = 64;
const OF_ONE_ADDRESS: usize = 16;
/// How often it is looked anew at which address this host is reached.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// What is passed over in silence at most, in blocks.
const SILENT_BLOCKS: u32 = 64;

/// Where other agents are heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoversOptions {
    /// The address to listen at.
    pub listen: SocketAddr,
    /// Where others reach that, `HOST:PORT`; found out if it is not said.
    pub advertise: Option<String>,
}

/// What a server of volumes works with.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) identity: Arc<dyn OwnIdentity>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) departures: watch::Receiver<Departures>,
}

/// Listens until the agent ends, and tells where, as long as it does. A port that is taken is tried again.
pub(crate) async fn serve_forever(
    server: Server,
    options: MoversOptions,
    brain: String,
    told: watch::Sender<Option<String>>,
) {
    let mut complained = false;
    loop {
        match listen(options.listen).await {
            Ok(listener) => {
                complained = false;
                if let Err(error) = accept_forever(&server, &listener, &options, &brain, &told).await {
                    tracing::error!(%error, "other agents cannot be heard any more; listening anew");
                }
            }
            Err(error) if !complained => {
                complained = true;
                tracing::error!(listen = %options.listen, %error,
                    "other agents cannot reach this host, so that no guest can be moved away from it; is the port taken? \
                     Another one is given by --movers");
            }
            Err(_) => {}
        }
        told.send_replace(None);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// A host without IPv6 is heard by IPv4.
async fn listen(at: SocketAddr) -> Result<TcpListener> {
    match TcpListener::bind(at).await {
        Err(_) if at.ip() == IpAddr::from([0_u16; 8]) => {
            TcpListener::bind((IpAddr::from([0_u8; 4]), at.port())).await
        }
        bound => bound,
    }
}

async fn accept_forever(
    server: &Server,
    listener: &TcpListener,
    options: &MoversOptions,
    brain: &str,
    told: &watch::Sender<Option<String>>,
) -> Result<()> {
    let own = listener.local_addr()?;
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    let (at_once, mut connections) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    let mut of_address: HashMap<IpAddr, usize> = HashMap::new();
    loop {
        tokio::select! {
            _ = looks.tick() => {
                let address = match &options.advertise {
                    Some(address) => Some(address.clone()),
                    None => reached_at(own, brain).await,
                };
                // Where it was found once it stays, though a name is not found just now.
                told.send_if_modified(|told| {
                    address.is_some() && std::mem::replace(told, address.clone()) != address
                });
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, from))
                    if connections.len() < CONNECTIONS
                        && of_address.get(&from.ip()).is_none_or(|held| *held < OF_ONE_ADDRESS) =>
                {
                    *of_address.entry(from.ip()).or_default() += 1;
                    let (server, at_once) = (server.clone(), Arc::clone(&at_once));
                    connections.spawn(async move {
                        if let Err(error) = server.greet(stream, &at_once).await {
                            tracing::warn!(%from, %error, "a volume was not read out to another host");
                        }
                        from.ip()
                    });
                }
                Ok((_, from)) => tracing::debug!(%from, "too many connections at once: hung up"),
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection; will go on");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
            Some(ended) = connections.join_next() => match ended {
                Ok(address) => {
                    let held = of_address.remove(&address).unwrap_or(0);
                    if held > 1 {
                        of_address.insert(address, held - 1);
                    }
                }
                // Whose it was is not said: all are counted anew from here, which lets in more and never fewer.
                Err(error) => {
                    tracing::error!(%error, "reading a volume out broke off, which is a defect of the agent");
                    of_address.clear();
                }
            }
        }
    }
}

/// Where others reach a listener: at the address by which this host reaches its brain, if none is given. Nothing is sent to
/// find that out.
async fn reached_at(own: SocketAddr, brain: &str) -> Option<String> {
    if !own.ip().is_unspecified() {
        return Some(own.to_string());
    }
    for address in tokio::net::lookup_host(brain).await.ok()? {
        let any: SocketAddr = if address.is_ipv4() { ([0_u8; 4], 0).into() } else { ([0_u16; 8], 0).into() };
        let Ok(socket) = UdpSocket::bind(any).await else { continue };
        if socket.connect(address).await.is_ok()
            && let Ok(local) = socket.local_addr()
        {
            return Some(SocketAddr::new(local.ip(), own.port()).to_string());
        }
    }
    None
}

impl Server {
    /// Lets in who shows a certificate of our brain's, and hears what is asked for.
    async fn greet(&self, stream: TcpStream, at_once: &Semaphore) -> Result<()> {
        stream.set_nodelay(true)?;
        let greeting = async {
            let identity = self.identity.identity();
            let config = tls::for_movers(&identity).map_err(Error::other)?;
            let stream = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(|shown| shown.first());
            let shown = shown.map(tls::fingerprint).unwrap_or_default();
            let mut stream: Box<dyn Duplex> = Box::new(stream);
            let question: Question = hear(&mut stream).await?;
            Ok::<_, Error>((stream, shown, question))
        };
        let greeted = tokio::time::timeout(GREETING, greeting).await;
        let Ok(Ok((mut stream, shown, question))) = greeted else {
            // Anybody can connect and say nothing: that is nothing to wake somebody for.
            tracing::debug!("whoever connected did not ask for a volume as an agent of this brain does");
            return Ok(());
        };
        // Whoever waited here in silence would be given up by the other side, and hold its place all the same.
        let Ok(_turn) = at_once.try_acquire() else {
            let why = format!("it reads {AT_ONCE} volumes out to others just now");
            return say(&mut stream, &Answer::Refused(why)).await;
        };
        self.answer(stream, &shown, &question).await
    }

    /// Answers a question of whoever showed the certificate of this fingerprint.
    pub(super) async fn answer(
        &self,
        mut stream: Box<dyn Duplex>,
        shown: &str,
        question: &Question,
    ) -> Result<()> {
        let ticket = ticket_hash(&question.ticket);
        let opened = match self.may_have(ticket, shown, question) {
            Ok(departure) => self.open(&departure).await,
            Err(why) => Err(why),
        };
        let (blocks, answer) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                say(&mut stream, &Answer::Refused(why.clone())).await?;
                return Err(Error::other(why));
            }
        };
        say(&mut stream, &answer).await?;
        tracing::info!(from = question.from, size = blocks.size(), "a volume is read out to another host");
        self.read_out(&mut stream, blocks, ticket, question.from).await
    }

    fn may_have(
        &self,
        ticket: Digest,
        shown: &str,
        question: &Question,
    ) -> std::result::Result<Departure, String> {
        if question.version != VERSION {
            return Err(format!("it speaks version {}, and this agent {VERSION}", question.version));
        }
        let departure = self.departures.borrow().get(&ticket).cloned();
        let departure =
            departure.ok_or("no guest is leaving by this ticket, or it is not held still just now")?;
        if departure.certificates.iter().any(|named| named == shown) {
            Ok(departure)
        } else {
            Err("this ticket was given to another host".to_owned())
        }
    }

    async fn open(&self, departure: &Departure) -> std::result::Result<(Blocks, Answer), String> {
        let leaving = self.storage.leaving(&departure.pool, departure.volume, departure.uuid).await;
        let leaving = leaving.map_err(|error| error.to_string())?;
        let opened = tokio::task::spawn_blocking(move || {
            let data = allocated(&leaving.file)?;
            let blocks = Blocks::new(leaving.file)?;
            let answer = Answer::Comes { size: blocks.size(), data, ssh_host_key: leaving.ssh_host_key };
            Ok::<_, Error>((blocks, answer))
        });
        opened.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    async fn read_out(
        &self,
        stream: &mut Box<dyn Duplex>,
        mut blocks: Blocks,
        ticket: Digest,
        from: u64,
    ) -> Result<()> {
        let mut silent = 0;
        loop {
            if !self.departures.borrow().contains_key(&ticket) {
                let why = "the guest does not leave any more";
                in_time(send(stream, &Piece::Broken(why.to_owned()))).await?;
                return Err(Error::other(why));
            }
            let (back, next) = tokio::task::spawn_blocking(move || {
                let next = blocks.next();
                (blocks, next)
            })
            .await
            .map_err(Error::other)?;
            blocks = back;
            match next {
                Ok(Next::Block(block)) if is_new(&block, from) => {
                    silent = 0;
                    in_time(send(stream, &Piece::Block(block))).await?;
                }
                Ok(Next::Block(_)) if silent < SILENT_BLOCKS => silent += 1,
                Ok(Next::Block(_) | Next::Passed) => {
                    silent = 0;
                    in_time(send(stream, &Piece::Passed(blocks.position()))).await?;
                }
                Ok(Next::End) => return in_time(send(stream, &Piece::End(blocks.digest()))).await,
                Err(error) => {
                    in_time(send(stream, &Piece::Broken(format!("its disk cannot be read: {error}"))))
                        .await?;
                    return Err(error);
                }
            }
        }
    }
}

/// Whether a block is not there yet, where all before `from` is.
fn is_new(block: &Block, from: u64) -> bool {
    block.offset + BLOCK > from
}

async fn in_time(sending: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::time::timeout(PATIENCE, sending)
        .await
        .map_err(|_| Error::other("the other host takes nothing any more"))?
}
