//! A slow log of many different queries, by mail, as a database server's comes.

use crate::api::served::Served;
use crate::process::apart;
use crate::slowlog::mails;
use anyhow::{Context as _, Result, ensure};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::UNIX_EPOCH;

/// Queries are spread over so many hours before now.
const HOURS: u64 = 150;

/// Words for numbers: figures in names of tables would be taken for parameters of one query.
fn letters(mut n: u32) -> String {
    let mut word = String::new();
    for _ in 0..6 {
        word.push(char::from(b'a' + u8::try_from(n % 10).unwrap_or(0)));
        n /= 10;
    }
    word
}

/// Writes it. Each query is asked three times: the first ones take the longest.
fn write(path: &Path, queries: u32, now: u64) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let count = u64::from(queries) * 3;
    for at in 0..count {
        let query = u32::try_from(at % u64::from(queries))?;
        let second = now - 3_600 - (count - at) * HOURS * 3_600 / count;
        let micros = 1_000_000 + u64::from(queries - query) * 137;
        let word = letters(query);
        let mut event = String::new();
        writeln!(event, "# User@Host: shop[shop] @ app1 [10.0.0.5]")?;
        writeln!(
            event,
            "# Query_time: {}.{:06}  Lock_time: 0.000010  Rows_sent: 1  Rows_examined: {}",
            micros / 1_000_000,
            micros % 1_000_000,
            10_000 + query
        )?;
        writeln!(event, "SET timestamp={second};")?;
        writeln!(
            event,
            "SELECT {word}_id, {word}_name FROM table_{word} WHERE owner_{word} = {at} ORDER BY {word}_at;"
        )?;
        file.write_all(event.as_bytes())?;
    }
    file.flush()?;
    Ok(())
}

/// Writes it, mails it, and has it imported by the brain on `data`.
pub(super) fn import(directory: &Path, data: &Path, url: &str, queries: u32) -> Result<()> {
    let log = directory.join("slow.log");
    write(&log, queries, UNIX_EPOCH.elapsed()?.as_secs())?;
    let guest = std::env::current_exe()?.with_file_name("honcho-guest");
    ensure!(guest.exists(), "{} is missing: cargo build --release -p honcho-guest", guest.display());
    mails(directory, &log, &guest)?;
    let status = apart(&std::env::current_exe()?.with_file_name("honcho"))
        .args(["--url", url, "--token-file"])
        .arg(data.join("operator.token"))
        .args(["post", "import"])
        .arg(directory.join("mail"))
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "honcho post import ended with {status}");
    Ok(())
}

/// The server that they came from, and the first of its queries.
pub(super) async fn newest(brain: &Served) -> Result<(i64, i64)> {
    let first = |json: &[u8]| -> Result<i64> {
        let list: serde_json::Value = serde_json::from_slice(json)?;
        list[0]["id"].as_i64().context("the list is empty")
    };
    let server = first(&brain.get("/v1/slow_servers").await?)?;
    let queries = brain.get(&format!("/v1/slow_servers/{server}/queries?limit=1")).await?;
    Ok((server, first(&queries)?))
}
