//! The logs' way to the brain: the one that honcho-guest takes, with a `sendmail` that delivers into a Maildir at once.

use super::kinds::Trade;
use super::slow_logs::{self, DAY, Source};
use crate::simulate::progress::Progress;
use anyhow::{Context as _, Result, bail, ensure};
use honcho_api::SlowServer;
use honcho_api::client::Client;
use honcho_post::{Handed, Letterhead, Limits, Logging, Original, Sendmail, Spool};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long nothing may move while the brain imports.
const PATIENCE: Duration = Duration::from_mins(2);
/// The most that a mail may have: what `honcho-guest ship` takes by itself.
const LARGEST_MAIL: usize = 8 << 20;

/// A guest whose database sends its slow log.
pub(crate) struct Database {
    pub(crate) guest: i64,
    pub(crate) name: String,
    pub(crate) trade: Trade,
}

/// Where mails are delivered.
pub(crate) struct Mailbox(PathBuf);

impl Mailbox {
    pub(crate) fn make(path: &Path) -> Result<Mailbox> {
        for part in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(path.join(part))?;
        }
        Ok(Mailbox(path.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A `sendmail` of this guest: it writes over each mail whose certificate was seen, as a receiver does, and delivers it.
    fn sendmail(&self, directory: &Path, guest: i64) -> Result<PathBuf> {
        let program = directory.join("sendmail");
        let mailbox = self.0.display();
        let script = format!(
            "#!/bin/sh\nset -e\nname=$(date +%s).$$.{guest}\n\
             {{ printf 'X-Verified-Node: guest-{guest}\\nReceived: from guest-{guest}\\n'; cat; }} > '{mailbox}/tmp/'$name\n\
             mv '{mailbox}/tmp/'$name '{mailbox}/new/'$name\n"
        );
        std::fs::write(&program, script)?;
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(program)
    }
}

/// Which month it is.
#[derive(Clone, Copy)]
pub(crate) struct Month {
    pub(crate) now: i64,
    pub(crate) days: i64,
    pub(crate) seed: u64,
}

/// Sends the logs of all of them, a day at a time as logrotate would, and waits until the brain has counted every query.
pub(crate) async fn post(
    client: &Client,
    mailbox: &Mailbox,
    directory: &Path,
    databases: &[Database],
    month: &Month,
    progress: &Progress,
) -> Result<()> {
    let mut expected = 0;
    for (number, database) in databases.iter().enumerate() {
        let own = directory.join(format!("guest-{}", database.guest));
        std::fs::create_dir(&own)?;
        let sendmail = mailbox.sendmail(&own, database.guest)?;
        let source = Source {
            trade: database.trade,
            seed: month.seed.wrapping_mul(1_000).wrapping_add(number as u64),
            begins: month.now - month.days * DAY,
            now: month.now,
        };
        let name = database.name.clone();
        expected += tokio::task::spawn_blocking(move || send(&own, &sendmail, &name, &source)).await??;
        progress.tell("slow logs are sent", number + 1, Some(databases.len()));
    }
    progress.say(&format!(
        "{expected} slow queries of {} servers and {} days are in the post",
        databases.len(),
        month.days
    ));
    counted(client, expected, progress).await
}

/// Sends one server's logs; gives how many queries are in them.
fn send(directory: &Path, sendmail: &Path, name: &str, source: &Source) -> Result<u64> {
    let spool = Spool::open(&directory.join("spool"), Uuid::new_v4)?;
    let letterhead = Letterhead {
        server: name.to_owned(),
        from: format!("slowlog@{name}"),
        to: "slowlog@localhost".to_owned(),
        // As whoever looks at all of their queries has it.
        logging: Some(Logging {
            long_query_time: Some(0),
            queries_not_using_indexes: Some(false),
            rate_limit: Some(1),
        }),
    };
    let sendmail = Sendmail { program: sendmail.to_owned(), patience: Duration::from_mins(1) };
    let log = directory.join("slow.log.1");
    // Here the real world comes in: a mail says when it was cut.
    #[allow(clippy::disallowed_methods)]
    let clock = || jiff::Timestamp::now().as_microsecond();
    let (mut queries, mut from) = (0, source.begins);
    while from < source.now {
        // Logs are rotated at midnight.
        let until = source.now.min((from / DAY + 1) * DAY);
        let (text, count) = slow_logs::log(source, from..until);
        std::fs::write(&log, text)?;
        spool.take(&log, Original::Remove, clock())?;
        queries += count;
        from = until;
    }
    match spool.hand_over(&letterhead, Limits::of_mail(LARGEST_MAIL), &sendmail, clock)? {
        Handed::All(_) => Ok(queries),
        Handed::Waiting(_, why) => bail!("a mail was not delivered: {why}"),
        Handed::Busy => bail!("somebody else uses the spool"),
    }
}

async fn counted(client: &Client, expected: u64, progress: &Progress) -> Result<()> {
    let (mut moved, mut last, begun) = (Instant::now(), 0, Instant::now());
    loop {
        let servers: Vec<SlowServer> = client.list(&[("limit", "1000".to_owned())]).await?;
        let sum: i64 = servers.iter().map(|server| server.events_count).sum();
        let counted = u64::try_from(sum).context("a count is not negative")?;
        ensure!(counted <= expected, "{counted} queries were counted of {expected}");
        if counted == expected {
            progress.say(&format!("all are imported, {:.1} s later", begun.elapsed().as_secs_f64()));
            return Ok(());
        }
        if counted != last {
            (moved, last) = (Instant::now(), counted);
        }
        ensure!(
            moved.elapsed() < PATIENCE,
            "{counted} of {expected} slow queries were imported, and nothing moves"
        );
        progress.tell(
            "slow queries are imported",
            usize::try_from(counted)?,
            Some(usize::try_from(expected)?),
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
