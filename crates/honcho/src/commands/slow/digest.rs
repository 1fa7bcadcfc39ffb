//! `honcho slow digest`: which queries took the time.

use super::condition::{self, Condition, Conditions};
use super::document::Document;
use super::{reading, report};
use crate::command_error::CommandError;
use crate::context::Context;
use honcho_slowlog::{Dialect, Quoting, Samples, Settings};
use std::num::NonZeroUsize;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Slow logs of MySQL, MariaDB and Percona Server are read as they come, plain, by gzip or by zstd (told by what they are, not by their names); `-` is \
standard input. Memory stays the same for a log of any length. Broken logs are read as far as they go.

Fingerprints and query ids are those of pt-query-digest 3.5. Times are in UTC. Percentiles are within 0.8 percent. \
Values in statements are personal data and not shown unless --literals is given.

Under each query stands advice, as far as its slowest statement and what its events add up to tell, with how sure it is: \
certain (it follows from the statement, or was measured), likely, or possible (look whether it is so). It holds no values.

--filter takes an attribute, one of = != ~ !~ > >= < <=, and a value; ~ means that the text holds the value. \
Attributes: user, host, database, statement, query_time, lock_time (in seconds), rows_sent, rows_examined. \
Several have to hold all.

Examples:
  honcho slow digest /var/log/mysql/mariadb-slow.log
  honcho slow digest --since 2026-11-27 --until '2026-11-28 06:00' slow.log.1.gz slow.log
  honcho slow digest --filter user=shop --filter 'query_time>=0.5' slow.log
  zstdcat slow.log.zst | honcho slow digest -
  honcho slow digest --json slow.log | jq -r '.classes[:3][].fingerprint'";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DigestArguments {
    /// Slow logs; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only what ended at this time or later: 2026-11-27, '2026-11-27 06:00', 2h (ago), or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what ended before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only events of which this holds, as in user=shop (below is how it is written)
    #[arg(long, value_name = "CONDITION", value_parser = condition::parse)]
    filter: Vec<Condition>,
    /// Show so many classes of queries (--json has all)
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Read with so many threads; all processors if not given
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Show the slowest statement of each class with its values, which are personal data
    #[arg(long)]
    literals: bool,
    /// Tell the ends of literals as Percona Toolkit 3.2 and before do, for ids that are compared with theirs
    #[arg(long)]
    toolkit_3_2: bool,
}

pub(crate) fn run(context: &Context, arguments: &DigestArguments) -> Result<(), CommandError> {
    let now = context.output.now();
    let time = |option: &str, text: &Option<String>| {
        let parse = |text: &String| condition::time(text, now).map_err(|error| wrong(option, text, &error));
        text.as_ref().map(parse).transpose()
    };
    let conditions = Conditions {
        since: time("--since", &arguments.since)?,
        until: time("--until", &arguments.until)?,
        all: arguments.filter.clone(),
    };
    let settings = Settings {
        samples: if arguments.literals { Samples::WithLiterals } else { Samples::Redacted },
        dialect: Dialect {
            quoting: if arguments.toolkit_3_2 { Quoting::Toolkit32 } else { Quoting::Toolkit35 },
            ..Dialect::default()
        },
        ..Settings::default()
    };
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok());
    let threads = threads.map_or(1, NonZeroUsize::get);
    let (digest, reading) =
        reading::read(&context.output, &arguments.files, &settings, &conditions, threads)?;
    if context.output.json {
        return context.output.json(&Document::of(&digest));
    }
    context.output.page(&report::text(&digest, &reading, arguments.top))
}

fn wrong(option: &str, text: &str, error: &str) -> CommandError {
    CommandError::usage(format!("{option} {text}: {error}")).hint(
        "as in 2026-11-27, '2026-11-27 06:00', 2026-11-27T06:00:00Z, 90m, 2h, 3d, or seconds since 1970",
    )
}
