//! Slow logs for tests, and what is known of them.

use anyhow::{Context as _, Result};
use honcho_api::client::Client;
use honcho_api::{SlowQuery, SlowServer};
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Three days ago, in seconds since 1970: what a log tells of longer ago is not kept for good.
#[expect(clippy::disallowed_methods, reason = "programs under test go by the machine's clock")]
pub fn three_days_ago() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - 3 * 86_400)
}

/// A slow log of so many queries of three kinds, from this second on. `text` bytes of each are like random, so that mails are
/// as large as is wished.
pub fn log(second: u64, events: u64, text: usize) -> String {
    let mut log = String::new();
    let mut mixed = second;
    for at in 0..events {
        let mut noise = String::new();
        while noise.len() < text {
            mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let _ = write!(noise, "{:x}", mixed >> 8);
        }
        let statement = match at % 3 {
            0 => format!("SELECT * FROM orders WHERE name = '{noise}'"),
            1 => format!("UPDATE carts SET note = '{noise}' WHERE id = {at}"),
            _ => format!("DELETE FROM sessions WHERE token = '{noise}'"),
        };
        let uses = if at % 7 == 0 { "use shop;\n" } else { "" };
        let _ = write!(
            log,
            "# User@Host: shop[shop] @ web{}.example.net [10.0.0.1]\n\
             # Query_time: {}.{:06}  Lock_time: 0.000100 Rows_sent: {}  Rows_examined: {}\n\
             {uses}SET timestamp={};\n{statement};\n",
            at % 5,
            at % 3,
            (at * 7919) % 1_000_000,
            at % 10,
            at % 1000,
            second + at / 4,
        );
    }
    log
}

/// What must not depend on how the mails came: everything but ids and times of receipt.
pub async fn totals(client: &Client, node: &str) -> Result<Vec<SlowQuery>> {
    let server = server(client, node).await?.with_context(|| format!("nothing of {node} came"))?;
    let path = format!("/v1/slow_servers/{}/queries.json", server.id);
    let mut queries: Vec<SlowQuery> = client.get_path(&path, &[("limit", "10000".into())]).await?;
    for query in &mut queries {
        (query.id, query.slow_server_id) = (0, 0);
    }
    queries.sort_by(|one, other| one.query_id.cmp(&other.query_id));
    Ok(queries)
}

/// A server that sends, if it did.
pub async fn server(client: &Client, node: &str) -> Result<Option<SlowServer>> {
    Ok(client.list::<SlowServer>(&[("node", node.to_owned())]).await?.into_iter().next())
}

/// Waits until so many queries of a server were counted, and not one more.
pub async fn wait_for(client: &Client, node: &str, events: u64) -> Result<SlowServer> {
    let begun = Instant::now();
    loop {
        let found = server(client, node).await?;
        let count = found.as_ref().map_or(0, |server| server.events_count);
        if let Some(server) = found.filter(|_| count >= i64::try_from(events).unwrap_or(i64::MAX)) {
            anyhow::ensure!(count == i64::try_from(events)?, "{count} queries were counted, of {events}");
            return Ok(server);
        }
        anyhow::ensure!(
            begun.elapsed() < Duration::from_mins(1),
            "{count} of {events} queries came in a minute"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
