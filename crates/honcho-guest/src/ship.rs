//! `honcho-guest ship`: slow logs by mail.

use crate::ask::Client;
use crate::words::{count, size, span};
use honcho_post::{
    Handed, Letterhead, Limits, Logging, Original, Part, Sendmail, Spool, SpoolError, Status, Taken, parts,
};
use std::error::Error as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often, and with which pause, another honcho-guest that is handing over is waited for.
const TRIES: u32 = 150;
const PAUSE: Duration = Duration::from_millis(200);
/// `EX_TEMPFAIL` of sysexits.h: something waits, and goes the next time.
const WAITS: u8 = 75;

const AFTER_HELP: &str = "\
Called by logrotate after it has rotated (the package's snippet does), by cron now and then, or by hand. Each FILE is copied into \
the spool first: from then on it may go. What is in the spool is compressed, cut into mails between two queries, and handed to \
sendmail; what sendmail does not take stays and goes the next time. The same file given twice is sent once, whatever its name; of \
one that has grown, what it has grown by.

What the server logs as slow (long_query_time) stands in no log: the server is asked, by its client over the local socket, and the \
answer goes along. Without an answer the log goes all the same, and nobody is told.

Without FILE it hands over what waits. Several may run at once: one hands over, and the others wait for it, half a minute at most.

Exit codes:
  0   all that is in the spool was handed over
  1   something failed: a file that cannot be read, a disk that is full
  2   the command line makes no sense
  75  sendmail did not take all of it, or another honcho-guest is still handing over: what waits goes the next time

Examples:
  honcho-guest ship --to slowlog@logs.example.net /var/log/mysql/mariadb-slow.log.1
  HONCHO_POST_TO=slowlog@logs.example.net honcho-guest ship
  honcho-guest ship --status
  honcho-guest ship --dry-run /var/log/mysql/mariadb-slow.log.1";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ShipArguments {
    /// Rotated slow logs
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The address that receives slow logs
    #[arg(long, value_name = "ADDRESS", env = "HONCHO_POST_TO", value_parser = address, required_unless_present_any = ["status", "dry_run"])]
    to: Option<String>,

    /// The sender's address; slowlog@ this machine, if not given
    #[arg(long, value_name = "ADDRESS", env = "HONCHO_POST_FROM", value_parser = address)]
    from: Option<String>,

    /// What this server calls itself, for people: whose a log is, the receiver sees from the certificate. This machine's name, if not given
    #[arg(long, value_name = "NAME", env = "HONCHO_POST_SERVER")]
    server: Option<String>,

    /// Where logs and mails wait
    #[arg(long, value_name = "DIR", env = "HONCHO_POST_SPOOL", default_value = "/var/spool/honcho-guest")]
    spool: PathBuf,

    /// The program that takes mails
    #[arg(long, value_name = "PROGRAM", env = "HONCHO_POST_SENDMAIL", default_value = "/usr/sbin/sendmail")]
    sendmail: PathBuf,

    /// The client that asks the server what it logs as slow: mariadb, or else mysql, if not given; none to ask nobody
    #[arg(long, value_name = "PROGRAM", env = "HONCHO_POST_CLIENT")]
    client: Option<PathBuf>,

    /// The client's option file, as in /etc/mysql/debian.cnf: how it gets in. Its usual ones, if not given
    #[arg(long, value_name = "FILE", env = "HONCHO_POST_DEFAULTS_FILE")]
    defaults_file: Option<PathBuf>,

    /// No mail is larger than this many bytes (Postfix takes 10240000 if it was told nothing)
    #[arg(long, value_name = "BYTES", env = "HONCHO_POST_MAIL_SIZE", default_value_t = 7_000_000,
        value_parser = clap::value_parser!(u32).range(500_000..=60_000_000))]
    mail_size: u32,

    /// Remove each FILE once it is in the spool
    #[arg(long)]
    remove: bool,

    /// Say what would be taken, and in how many mails it would go; change nothing
    #[arg(long, conflicts_with = "status")]
    dry_run: bool,

    /// Say what waits, since when, and why
    #[arg(long, conflicts_with = "files")]
    status: bool,

    /// Print JSON (with --status; times are microseconds since 1970)
    #[arg(long, requires = "status")]
    json: bool,
}

/// An address as sendmail's arguments may have it: one that begins with a hyphen would be an option.
fn address(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"@._+-=".contains(&byte);
    let one_at = text.matches('@').count() == 1 && !text.starts_with('@') && !text.ends_with('@');
    if one_at && !text.starts_with('-') && text.len() <= 250 && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err("must be an address of mail, as in slowlog@logs.example.net".to_owned())
    }
}

#[expect(clippy::disallowed_methods, reason = "main is where time comes in")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "what went wrong")]
fn complain(line: &str) {
    eprintln!("honcho-guest: {line}");
}

/// What this machine calls itself, as far as it can stand in an address.
fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    plain(name.trim())
}

fn plain(name: &str) -> String {
    let good = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
    let name: String = name.chars().filter(good).take(100).collect();
    let name = name.trim_matches(['.', '-']);
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

fn failed(doing: &str, error: &SpoolError) -> String {
    match error.source() {
        Some(cause) => format!("{doing}: {error}: {cause}"),
        None => format!("{doing}: {error}"),
    }
}

fn open(root: &Path) -> Result<Spool, SpoolError> {
    Spool::open(root, || {
        let mut bytes = [0; 16];
        if let Err(error) = getrandom::fill(&mut bytes) {
            // Two spools of one name would be taken for one.
            complain(&format!("the kernel gives no randomness: {error}"));
            std::process::exit(1);
        }
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    })
}

pub(crate) fn run(arguments: &ShipArguments) -> ExitCode {
    let spool = if (arguments.status || arguments.dry_run) && !arguments.spool.exists() {
        None
    } else {
        match open(&arguments.spool) {
            Ok(spool) => Some(spool),
            Err(error) => {
                complain(&failed("the spool cannot be used", &error));
                return ExitCode::FAILURE;
            }
        }
    };
    match spool {
        _ if arguments.dry_run => rehearse(arguments, spool.as_ref()),
        None => {
            say(if arguments.json { "null" } else { "nothing was ever taken: there is no spool yet" });
            ExitCode::SUCCESS
        }
        Some(spool) if arguments.status => tell(&spool, arguments.json),
        Some(spool) => ship(arguments, &spool),
    }
}

fn ship(arguments: &ShipArguments, spool: &Spool) -> ExitCode {
    let server = arguments.server.as_deref().map_or_else(own_name, plain);
    let Some(to) = arguments.to.clone() else { return ExitCode::FAILURE };
    let from = arguments.from.clone().unwrap_or_else(|| format!("slowlog@{server}"));
    let mut head = Letterhead { server, from, to, logging: None };
    let mut code = ExitCode::SUCCESS;
    let mut later = Vec::new();
    for file in &arguments.files {
        match take(arguments, spool, file) {
            Ok(()) => {}
            Err(error) if error.is_full() => later.push(file),
            Err(error) => {
                complain(&failed("not taken", &error));
                code = ExitCode::FAILURE;
            }
        }
    }
    // What was taken by somebody who was killed is cut now, too.
    if !arguments.files.is_empty() || spool.status().is_ok_and(|status| status.logs > 0) {
        head.logging = ask(arguments);
    }
    let sendmail = Sendmail { program: arguments.sendmail.clone(), patience: Duration::from_mins(5) };
    let limits = Limits::of_mail(arguments.mail_size as usize);
    let hand_over = || {
        // Another one may have looked for the last time before our logs were in.
        for _ in 0..TRIES {
            match spool.hand_over(&head, limits, &sendmail, now) {
                Ok(Handed::Busy) => std::thread::sleep(PAUSE),
                Ok(handed) => return told(&handed),
                Err(error) => {
                    complain(&failed("what is in the spool waits", &error));
                    return ExitCode::FAILURE;
                }
            }
        }
        told(&Handed::Busy)
    };
    let mut handed = hand_over();
    // What was handed over is room for what did not fit.
    for file in later {
        match take(arguments, spool, file) {
            Ok(()) => handed = hand_over(),
            Err(error) => {
                complain(&failed("not taken, and left where it is", &error));
                code = ExitCode::FAILURE;
            }
        }
    }
    if code == ExitCode::SUCCESS { handed } else { code }
}

/// What the server logs as slow, if it says so.
fn ask(arguments: &ShipArguments) -> Option<Logging> {
    let client =
        Client { program: arguments.client.as_deref(), defaults_file: arguments.defaults_file.as_deref() };
    client.ask().unwrap_or_else(|why| {
        complain(&format!("what the server logs as slow is not known: {why}; the log goes all the same"));
        None
    })
}

fn take(arguments: &ShipArguments, spool: &Spool, file: &Path) -> Result<(), SpoolError> {
    let original = if arguments.remove { Original::Remove } else { Original::Keep };
    let name = file.display();
    match spool.take(file, original, now())? {
        Taken::Bytes(bytes) => say(&format!("{name}: {} taken", size(bytes))),
        Taken::Known(at) => say(&format!("{name}: was taken before, {} ago", span(now() - at))),
        Taken::Empty => say(&format!("{name}: is empty")),
    }
    Ok(())
}

fn told(handed: &Handed) -> ExitCode {
    match handed {
        Handed::All(mails) => {
            say(&format!("{} handed over, nothing waits", count(*mails, "mail")));
            ExitCode::SUCCESS
        }
        Handed::Busy => {
            complain(&format!(
                "another honcho-guest has been handing over for {} s and goes on: what was taken now is in the spool, and goes with it or \
                 the next time; `honcho-guest ship --status` tells what waits",
                (PAUSE * TRIES).as_secs()
            ));
            ExitCode::from(WAITS)
        }
        Handed::Waiting(mails, why) => {
            complain(&format!("{} handed over; the next one was not taken: {why}", count(*mails, "mail")));
            complain(
                "it waits in the spool and goes the next time: `honcho-guest ship --status` tells what waits",
            );
            ExitCode::from(WAITS)
        }
    }
}

fn rehearse(arguments: &ShipArguments, spool: Option<&Spool>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let limits = Limits::of_mail(arguments.mail_size as usize);
    for file in &arguments.files {
        let name = file.display();
        let known = spool.map_or(Ok(Taken::Bytes(0)), |spool| spool.would_take(file, now()));
        let (mut mails, mut raw, mut sent) = (0, 0, 0_u64);
        let count_part = |part: Part| {
            mails += 1;
            raw += part.raw;
            sent += part.compressed.len() as u64 / 57 * 78;
            Ok(())
        };
        match known {
            Ok(Taken::Known(at)) => say(&format!("{name}: was taken before, {} ago", span(now() - at))),
            Ok(Taken::Empty) => say(&format!("{name}: is empty")),
            Err(error) => {
                complain(&failed("would not be taken", &error));
                code = ExitCode::FAILURE;
            }
            Ok(Taken::Bytes(_)) => match File::open(file).and_then(|file| parts(file, limits, count_part)) {
                Ok(()) if raw == 0 => say(&format!("{name}: is empty")),
                Ok(()) => say(&format!(
                    "{name}: {} would be taken, and go in {} of {} together",
                    size(raw),
                    count(mails, "mail"),
                    size(sent)
                )),
                Err(error) => {
                    complain(&format!("{name} would not be taken: {error}"));
                    code = ExitCode::FAILURE;
                }
            },
        }
    }
    if arguments.files.is_empty() {
        match spool {
            Some(spool) => return tell(spool, false),
            None => say("nothing waits"),
        }
    }
    code
}

fn tell(spool: &Spool, json: bool) -> ExitCode {
    match spool.status() {
        Ok(status) if json => say(&serde_json::to_string(&status).unwrap_or_default()),
        Ok(status) => say(&text(&status, now())),
        Err(error) => {
            complain(&failed("the spool cannot be read", &error));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn text(status: &Status, now: i64) -> String {
    let mut lines = vec![format!("spool {}, next mail {}", status.spool, status.next)];
    match status.since {
        None => lines.push("nothing waits".to_owned()),
        Some(since) => lines.push(format!(
            "waiting for {}: {} ({}), {} ({})",
            span(now - since),
            count(status.mails, "mail"),
            size(status.mail_bytes),
            count(status.logs, "uncut log"),
            size(status.log_bytes),
        )),
    }
    match &status.last {
        None => lines.push("nothing was handed over yet".to_owned()),
        Some(last) => {
            let ago = span(now - last.at);
            lines.push(match &last.refused {
                None => format!("{ago} ago {} handed over, and all was well", count(last.handed, "mail")),
                Some(why) => format!("{ago} ago {} handed over, then: {why}", count(last.handed, "mail")),
            });
        }
    }
    lines.join("\n")
}
