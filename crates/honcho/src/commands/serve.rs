//! `honcho serve`: the brain itself.

use crate::command_error::CommandError;
use honcho_model::Timestamp;
use honcho_placement::{NPlusOne, Rules};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

const AFTER_HELP: &str = "\
At the first start it makes DATA with a database, a certificate authority and the operator's first \
token (DATA/operator.token, readable by its owner alone). It runs until SIGINT or SIGTERM; guests do \
not notice.

Examples:
  honcho serve
  honcho serve --database postgres://honcho@db.example.com/honcho
  honcho serve --archive /srv/apt --archive-listen 0.0.0.0:7080
  honcho serve --data ./var/brain --agents-listen 0.0.0.0:7071 --agents-advertise brain.example.com:7071";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeArguments {
    /// Where people and programs are heard (HTTP on loopback, TLS elsewhere)
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070")]
    pub(crate) listen: SocketAddr,

    /// Where agents are heard (mutual TLS alone)
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7071")]
    pub(crate) agents_listen: SocketAddr,

    /// How agents reach that from their machines; the address above, when absent
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) agents_advertise: Option<String>,

    /// The directory that holds all of the brain
    #[arg(long, value_name = "DIR", default_value = "/var/lib/honcho", env = "HONCHO_DATA")]
    pub(crate) data: PathBuf,

    #[arg(
        long,
        value_name = "URL",
        env = "HONCHO_DATABASE",
        hide_env_values = true,
        help = "PostgreSQL instead of a SQLite file in DATA: postgres://USER@HOST/NAME"
    )]
    pub(crate) database: Option<honcho_brain::Engine>,

    /// Webhooks may be sent to this network although it is not public (10.1.0.0/16); may be repeated
    #[arg(long, value_name = "NETWORK", env = "HONCHO_WEBHOOK_ALLOW", value_delimiter = ',')]
    pub(crate) webhook_allow: Vec<ipnet::IpNet>,

    /// Import the mails of this Maildir, which this machine's mail daemon delivers slow logs to
    #[arg(long, value_name = "DIR", env = "HONCHO_POST")]
    pub(crate) post: Option<PathBuf>,

    /// For so many days slow queries are known by the hour
    #[arg(long, value_name = "DAYS", env = "HONCHO_SLOW_HOURS_KEPT_DAYS", default_value_t = 35,
        value_parser = clap::value_parser!(u16).range(3..=3660))]
    pub(crate) slow_hours_kept_days: u16,

    /// For so many days they are known by the day
    #[arg(long, value_name = "DAYS", env = "HONCHO_SLOW_DAYS_KEPT_DAYS", default_value_t = 400,
        value_parser = clap::value_parser!(u16).range(3..=3660))]
    pub(crate) slow_days_kept_days: u16,

    /// The command of the local mail daemon, which mails to customers are handed to
    #[arg(long, value_name = "PROGRAM", env = "HONCHO_SENDMAIL", default_value = "/usr/sbin/sendmail")]
    pub(crate) sendmail: PathBuf,

    /// Whom those mails are from; honcho@ this machine, when absent
    #[arg(long, value_name = "ADDRESS", env = "HONCHO_MAIL_FROM", value_parser = honcho_brain::mail_address)]
    pub(crate) mail_from: Option<String>,

    /// So many vCPUs may be promised for each processor of a host; `none` is no limit
    #[arg(long, value_name = "RATIO", env = "HONCHO_VCPUS_PER_CPU", value_parser = ratio,
        default_value_t = Ratio(Some(honcho_brain::VCPUS_PER_CPU)))]
    pub(crate) vcpus_per_cpu: Ratio,

    /// Whether all guests of any one host must stay restartable elsewhere (N+1) when a guest is placed: where it can be
    /// so, always, or nobody looks
    #[arg(long, value_name = "HOW", env = "HONCHO_N_PLUS_ONE", default_value = "prefer")]
    pub(crate) n_plus_one: NPlusOneWord,

    /// So large may be what is uploaded to become an image, and so much may be in it, holes counted
    #[arg(long, value_name = "SIZE", env = "HONCHO_LARGEST_IMAGE", default_value_t = honcho_brain::LARGEST_IMAGE)]
    pub(crate) largest_image: honcho_model::Bytes,

    /// Serve this apt archive below /apt, keep it valid, and take uploads into it
    #[arg(long, value_name = "DIR", env = "HONCHO_SERVE_ARCHIVE")]
    pub(crate) archive: Option<PathBuf>,

    /// Serve it here besides, alone and without TLS: what apt reads is signed
    #[arg(long, value_name = "ADDRESS:PORT", env = "HONCHO_ARCHIVE_LISTEN", requires = "archive")]
    pub(crate) archive_listen: Option<SocketAddr>,

    /// Once a day, remove publications of it but the newest so many of each suite, and packages that none lists any more and no guest has
    /// installed. When absent, nothing is removed
    #[arg(long, value_name = "NUMBER", env = "HONCHO_ARCHIVE_KEEP", requires = "archive")]
    pub(crate) archive_keep: Option<usize>,

    /// Younger publications stay too, however many
    #[arg(long, value_name = "DAYS", env = "HONCHO_ARCHIVE_KEEP_DAYS", default_value_t = 30)]
    pub(crate) archive_keep_days: u32,

    /// Say on every page that all of it is simulated (`honcho demo` does)
    #[arg(long, env = "HONCHO_SIMULATED")]
    pub(crate) simulated: bool,

    /// End when the program that started this one ends, however that comes about
    #[arg(long)]
    pub(crate) end_with_parent: bool,
}

/// How N+1 is held to.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum NPlusOneWord {
    Prefer,
    Keep,
    Ignore,
}

/// vCPUs for each processor; none is no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio(Option<f64>);

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(ratio) => ratio.fmt(f),
            None => f.write_str("none"),
        }
    }
}

fn ratio(text: &str) -> Result<Ratio, String> {
    match text.parse::<f64>() {
        _ if text == "none" => Ok(Ratio(None)),
        Ok(ratio) if ratio.is_finite() && ratio > 0.0 => Ok(Ratio(Some(ratio))),
        _ => Err("write how many vCPUs, as in 8 or 1.5, or none".to_owned()),
    }
}

pub(crate) async fn run(arguments: ServeArguments) -> Result<(), CommandError> {
    log_to_stderr();
    if arguments.end_with_parent {
        end_with_parent()?;
    }
    let ending = CancellationToken::new();
    let on_signal = ending.clone();
    let (mut interrupt, mut terminate) =
        signals().map_err(|error| CommandError::failed("cannot listen for signals").cause(&error))?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        on_signal.cancel();
    });
    let rules = Rules {
        vcpus_per_cpu: arguments.vcpus_per_cpu.0,
        n_plus_one: match arguments.n_plus_one {
            NPlusOneWord::Prefer => NPlusOne::Prefer,
            NPlusOneWord::Keep => NPlusOne::Keep,
            NPlusOneWord::Ignore => NPlusOne::Ignore,
        },
    };
    let options = honcho_brain::ServeOptions {
        listen: arguments.listen,
        agents_listen: arguments.agents_listen,
        agents_advertise: arguments.agents_advertise,
        data: arguments.data.clone(),
        database: arguments.database,
        webhook_allow: arguments.webhook_allow,
        post: arguments.post,
        slow: honcho_brain::SlowOptions {
            hours_kept_days: arguments.slow_hours_kept_days,
            days_kept_days: arguments.slow_days_kept_days,
            sendmail: arguments.sendmail,
            mail_from: arguments.mail_from.unwrap_or_else(mail_from),
        },
        rules,
        largest_image: arguments.largest_image,
        simulated: arguments.simulated,
        archive: arguments.archive,
        archive_keep: arguments
            .archive_keep
            .map(|newest| honcho_brain::ArchiveKeep { newest, days: arguments.archive_keep_days }),
        archive_listen: arguments.archive_listen,
    };
    let data = arguments.data.display().to_string();
    let ready = |people: SocketAddr, agents: SocketAddr| {
        tracing::info!(%people, %agents, data, version = env!("CARGO_PKG_VERSION"), "the brain listens");
    };
    honcho_brain::serve(options, outside(), ending, ready).await.map_err(|error| {
        let cause: &(dyn std::error::Error + Send + Sync) = error.as_ref();
        CommandError::failed("the brain could not go on").cause(cause)
    })
}

/// The kernel sends SIGTERM when the parent is gone; if it was gone before this was asked for, nobody is left to end with.
fn end_with_parent() -> Result<(), CommandError> {
    let parent = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .map_err(|error| CommandError::failed("cannot ask to be told when the parent ends").cause(&error))?;
    if rustix::process::getppid() != parent {
        return Err(CommandError::failed("the program that started this one has ended already"));
    }
    Ok(())
}

/// An address of this machine's, whose name the kernel knows.
fn mail_from() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    honcho_brain::mail_address(&format!("honcho@{name}")).unwrap_or_else(|_| "honcho@localhost".to_owned())
}

fn signals() -> std::io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}

/// The real clock and the kernel's randomness; everything below takes them as arguments.
fn outside() -> honcho_brain::Outside {
    #[expect(clippy::disallowed_methods, reason = "main is where time comes in")]
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    };
    let random = |bytes: &mut [u8]| {
        if let Err(error) = getrandom::fill(bytes) {
            // A brain without randomness must not hand out secrets that could be guessed.
            tracing::error!(%error, "the kernel gives no randomness");
            std::process::abort();
        }
    };
    honcho_brain::Outside::new(now, random)
}

/// Lines for people on a terminal, JSON for whoever collects logs; `HONCHO_LOG=debug` says more.
fn log_to_stderr() {
    // Once thousands of agents come back at once, each that waits a moment for the database would be a line. How long requests take
    // is counted, and who waits in vain is an error.
    let usual = "info,sqlx::pool::acquire=error";
    let filter = tracing_subscriber::EnvFilter::try_from_env("HONCHO_LOG").unwrap_or_else(|_| usual.into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.init();
    } else {
        builder.json().init();
    }
}
