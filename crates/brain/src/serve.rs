//! Starting a brain.

use crate::app::{App, Parts, hash_secret};
use crate::archive::{ArchiveKeep, OwnArchive};
use crate::authority::{Authority, write_durably};
use crate::outside::Outside;
use crate::panel::Transport;
use crate::watching::Watching;
use crate::webhooks::{Guard, Webhooks};
use crate::{agents, controllers, http, listening};
use anyhow::Context as _;
use honcho_images::BlobStore;
use honcho_model::Timestamp;
use honcho_store::brain::{BindAuthority, Establish};
use honcho_store::tokens::TokenScope;
use honcho_store::{Actor, Change, Engine, Refusal, Store, StoreError, StoreResult, Tx, tokens};
use std::fs::{File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How a brain is started.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where people and programs are heard: HTTP on loopback, TLS elsewhere.
    pub listen: SocketAddr,
    /// Where agents are heard, by mutual TLS.
    pub agents_listen: SocketAddr,
    /// Where agents are told to find us, if that is not `agents_listen`.
    pub agents_advertise: Option<String>,
    /// CA, blobs, the operator's first token, and the database if that is a file.
    pub data: PathBuf,
    /// The database; a file in `data`, when `None`.
    pub database: Option<Engine>,
    /// Networks that webhooks may be sent to although they are not public.
    pub webhook_allow: Vec<ipnet::IpNet>,
    /// A Maildir whose mails this brain imports itself.
    pub post: Option<PathBuf>,
    /// How slow queries are kept, and mails sent.
    pub slow: crate::slow::SlowOptions,
    /// What placing holds to; brains of one database are given the same.
    pub rules: honcho_placement::Rules,
    /// So large may be what customers upload, and so much may be in it.
    pub largest_image: honcho_model::Bytes,
    /// Whether the machine room around it is none: every page of the panel says so.
    pub simulated: bool,
    /// The archive that it serves below `/apt`, and takes uploads into.
    pub archive: Option<PathBuf>,
    /// What is kept of it; all, where nothing is said.
    pub archive_keep: Option<ArchiveKeep>,
    /// Where that is served besides, alone and without TLS: what apt reads is signed.
    pub archive_listen: Option<SocketAddr>,
}

/// The database of a brain that was given none.
pub fn database_in(data: &Path) -> Engine {
    Engine::Sqlite(data.join("honcho.sqlite"))
}

fn lock_file(data: &Path, name: &str) -> anyhow::Result<File> {
    let path = data.join(name);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    file.with_context(|| format!("opening {}", path.display()))
}

/// Says that somebody uses the SQLite database in this directory, until the file is let go of. Refuses if somebody does.
pub(crate) fn hold(data: &Path) -> anyhow::Result<File> {
    let file = lock_file(data, "brain.lock")?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!("a brain is running on {}: end that first", data.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking brain.lock in {}", data.display()))
        }
    }
}

/// A stored time as certificates have it.
pub(crate) fn date(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Makes the operator's first token, unless there are tokens.
struct FirstToken {
    secret: String,
}

impl Change for FirstToken {
    type Out = bool;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<bool> {
        if tokens::exists(tx).await? {
            return Ok(false);
        }
        let name = "the operator's first token";
        tokens::create(tx, name, TokenScope::Operator, &hash_secret(&self.secret), None).await?;
        Ok(true)
    }
}

async fn first_token(app: &App, data: &Path) -> anyhow::Result<()> {
    let path = data.join("operator.token");
    if tokens::exists(app.store.reader()).await? {
        return Ok(());
    }
    // The file first: a token in the database that nobody was shown would be of no use.
    let secret = match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => app.outside.secret(),
    };
    write_durably(&path, format!("{secret}\n").as_bytes(), 0o600)?;
    app.write(Actor::honcho(), &FirstToken { secret }).await?;
    Ok(())
}

/// The secret in DATA/metrics.token, made at the first start: it opens `/metrics` and nothing else, so that a Prometheus
/// needs no operator's token.
fn metrics_token(data: &Path, outside: &Outside) -> anyhow::Result<String> {
    let path = data.join("metrics.token");
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    }
    let secret = outside.secret();
    write_durably(&path, format!("{secret}\n").as_bytes(), 0o600)?;
    Ok(secret)
}

/// The host in `HOST:PORT`.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

pub(crate) async fn open(
    options: &ServeOptions,
    outside: Outside,
    ending: CancellationToken,
) -> anyhow::Result<App> {
    let data = &options.data;
    let archive = options
        .archive
        .as_deref()
        .map(|root| OwnArchive::open(root, options.archive_keep))
        .transpose()?
        .map(Arc::new);
    crate::backup::refuse_unfinished(data)?;
    std::fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700))
        .with_context(|| format!("closing {} to others", data.display()))?;
    let database = options.database.clone().unwrap_or_else(|| database_in(data));
    let alone = match &database {
        Engine::Sqlite(_) => Some(Arc::new(hold(data)?)),
        Engine::Postgres(_) => None,
    };
    // Brains that share DATA and start at the same moment make one authority and one first token.
    let starting = lock_file(data, "starting.lock")?;
    starting
        .lock()
        .with_context(|| format!("waiting for another brain that starts in {}", data.display()))?;
    let authority = Authority::open(&data.join("ca"), date(outside.now()))?;
    let store = Store::open(&database).await.with_context(|| format!("opening the database {database}"))?;
    store.write(Actor::honcho(), outside.now(), &Establish { uuid: outside.uuid() }).await?;
    let bind = BindAuthority { fingerprint: authority.fingerprint() };
    match store.write(Actor::honcho(), outside.now(), &bind).await {
        Err(StoreError::Refused(Refusal::Conflict(why))) => anyhow::bail!(why),
        outcome => outcome?,
    }
    let advertise = options.agents_advertise.clone().unwrap_or_else(|| options.agents_listen.to_string());
    let started_at = outside.now();
    let listeners =
        [Some(options.listen.ip()), Some(options.agents_listen.ip()), host_of(&advertise).parse().ok()];
    let own: Vec<_> = listeners.into_iter().flatten().collect();
    let guard = Guard::new(store.clone(), &options.webhook_allow, &own, Guard::system_lookup());
    let app = App::from(Parts {
        started_at,
        people_transport: if options.listen.ip().is_loopback() { Transport::Plain } else { Transport::Tls },
        lead: Arc::new(store.lead()),
        _alone: alone,
        watching: Watching::new(),
        looks: Arc::default(),
        rules: options.rules,
        standing: crate::placing::Standing::default(),
        slow: options.slow.clone(),
        simulated: options.simulated,
        archive,
        accepted: Arc::default(),
        data: data.as_path().into(),
        database_files: database.files().into(),
        metrics_token_hash: hash_secret(&metrics_token(data, &outside)?).into(),
        webhooks: Webhooks::new(store.clone(), outside.clone(), guard),
        store,
        blobs: BlobStore::in_directory(&data.join("blobs"))?,
        uploads: crate::uploads::Uploads::in_directory(&data.join("uploads"), options.largest_image)?,
        authority: Arc::new(authority),
        outside,
        liveness: crate::liveness::Liveness::default(),
        loads: crate::load::Loads::default(),
        runs: crate::runs::Runs::default(),
        streams: crate::streams::Streams::default(),
        credentials: crate::credentials::Credentials::default(),
        passwords: crate::passwords::Passwords::default(),
        agents_address: advertise.into(),
        ending,
    });
    first_token(&app, data).await?;
    drop(starting);
    Ok(app)
}

/// The names under which people reach a listener: its address, this machine's name, and `localhost`.
fn names_of(listen: SocketAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    // A machine without a name is reached by its address alone.
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if honcho_model::Name::new(own.trim()).is_ok() {
        names.push(own.trim().to_owned());
    }
    names
}

async fn bind(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}: is something else there? {option} chooses another"))
}

/// Serves until `ending`. `ready` is called with the two addresses once both are open.
pub async fn serve(
    options: ServeOptions,
    outside: Outside,
    ending: CancellationToken,
    ready: impl FnOnce(SocketAddr, SocketAddr),
) -> anyhow::Result<()> {
    let app = open(&options, outside, ending.clone()).await?;
    listening::raise_open_files();
    let people = bind(options.listen, "--listen").await?;
    let machines = bind(options.agents_listen, "--agents-listen").await?;
    let archive = match options.archive_listen {
        Some(address) => Some(bind(address, "--archive-listen").await?),
        None => None,
    };
    let now = date(app.now());
    let people_tls = if options.listen.ip().is_loopback() {
        None
    } else {
        Some(Arc::new(app.authority.people_tls(names_of(options.listen), now)?))
    };
    let agents_tls = Some(Arc::new(app.authority.agents_tls(now)?));
    ready(people.local_addr()?, machines.local_addr()?);
    controllers::start(&app);
    let own_post =
        options.post.as_deref().map(|directory| crate::post::start(&app, directory)).transpose()?;
    tokio::join!(
        listening::serve(people, people_tls, http::router(app.clone()), listening::PEOPLE, ending.clone()),
        async {
            if let Some(archive) = archive {
                tracing::info!(address = ?archive.local_addr().ok(), "the archive is served");
                let router = crate::apt::router(app.clone());
                listening::serve(archive, None, router, listening::PEOPLE, ending.clone()).await;
            }
        },
        listening::serve(
            machines,
            agents_tls,
            agents::router(app.clone()),
            listening::AGENTS,
            ending.clone()
        ),
    );
    if let Some(own_post) = own_post {
        own_post.await.context("the thread that imports the post failed")?;
    }
    Ok(())
}
