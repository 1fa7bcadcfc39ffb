//! A slow log as `MariaDB` writes it, made from a seed: the same seed, the same bytes.
//!
//! Shaped after one of a real server with `log_slow_verbosity=query_plan` (427 bytes an event): a few hundred kinds of
//! statements, few of which make most events; reads by key, joins, lists of values, rows with text in them, an ORM's comments,
//! pings and quits.

use std::io::{Result, Write};

/// Small, fast and always the same (`SplitMix64`): this is no place for randomness.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    /// Small numbers more often than great ones.
    fn skewed(&mut self, most: u64) -> u64 {
        let (first, second, third) = (self.below(most), self.below(most), self.below(most));
        first.min(second).min(third)
    }
}

const TABLES: [&str; 20] = [
    "orders",
    "order_items",
    "customers",
    "products",
    "sessions",
    "carts",
    "invoices",
    "payments",
    "shipments",
    "users",
    "wp_posts",
    "wp_postmeta",
    "wp_options",
    "comments",
    "tags",
    "articles",
    "events",
    "logs",
    "jobs",
    "settings",
];
const COLUMNS: [&str; 10] =
    ["id", "user_id", "created_at", "updated_at", "status", "name", "email", "price", "quantity", "meta_key"];
const WORDS: [&str; 12] = [
    "lorem",
    "ipsum",
    "dolor",
    "it\\'s",
    "sit",
    "amet",
    "\\\"quoted\\\"",
    "consectetur",
    "adipiscing",
    "elit",
    "r\u{e9}sum\u{e9}",
    "100%",
];

/// Writes at least so many bytes of it. Answers with the number of events.
pub(crate) fn write(out: &mut impl Write, seed: u64, bytes: u64) -> Result<u64> {
    let mut numbers = Numbers::new(seed);
    let mut buffer = Vec::with_capacity(1 << 16);
    let (mut written, mut events, mut second, mut database) = (0, 0, 1_700_000_000_u64, u64::MAX);
    buffer.extend_from_slice(
        b"/usr/sbin/mariadbd, Version: 10.11.6-MariaDB-0+deb12u1-log (Debian 12). started with:\n\
          Tcp port: 3306  Unix socket: /run/mysqld/mysqld.sock\nTime\t\t    Id Command\tArgument\n",
    );
    while written < bytes {
        if numbers.below(20) == 0 {
            second += 1 + numbers.below(3);
            time_line(&mut buffer, second)?;
        }
        let shop = numbers.skewed(6);
        event(&mut buffer, &mut numbers, shop, second, std::mem::replace(&mut database, shop) != shop)?;
        events += 1;
        if buffer.len() >= 1 << 16 {
            out.write_all(&buffer)?;
            written += buffer.len() as u64;
            buffer.clear();
        }
    }
    out.write_all(&buffer)?;
    Ok(events)
}

fn time_line(out: &mut Vec<u8>, second: u64) -> Result<()> {
    let of_day = second % 86_400;
    let day = 14 + (second / 86_400 - 1_699_920_000 / 86_400) % 14;
    writeln!(out, "# Time: 2311{day:02} {:2}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

fn event(out: &mut Vec<u8>, numbers: &mut Numbers, shop: u64, second: u64, uses: bool) -> Result<()> {
    let (host, thread) = (1 + numbers.below(9), 1000 + numbers.below(500));
    writeln!(out, "# User@Host: shop{shop}[shop{shop}] @ web{host}.example.net [10.0.{shop}.{host}]")?;
    writeln!(out, "# Thread_id: {thread}  Schema: shop{shop}  QC_hit: No")?;
    let most = 1 << (8 + numbers.below(14));
    let micros = 50 + numbers.skewed(most);
    let (sent, examined) = (numbers.skewed(200), numbers.skewed(20_000));
    let lock = numbers.skewed(900);
    writeln!(
        out,
        "# Query_time: {}.{:06}  Lock_time: 0.{lock:06}  Rows_sent: {sent}  Rows_examined: {examined}",
        micros / 1_000_000,
        micros % 1_000_000,
    )?;
    writeln!(out, "# Rows_affected: {}  Bytes_sent: {}", numbers.skewed(3), sent * 80 + 11)?;
    if numbers.below(3) == 0 {
        let yes = |odds: bool| if odds { "Yes" } else { "No" };
        let (scan, table) = (numbers.below(3) == 0, numbers.below(4) == 0);
        writeln!(
            out,
            "# Full_scan: {}  Full_join: No  Tmp_table: {}  Tmp_table_on_disk: No",
            yes(scan),
            yes(table)
        )?;
        writeln!(
            out,
            "# Filesort: {}  Filesort_on_disk: No  Merge_passes: 0  Priority_queue: No",
            yes(table)
        )?;
    }
    if uses {
        writeln!(out, "use shop{shop};")?;
    }
    writeln!(out, "SET timestamp={second};")?;
    statement(out, numbers)?;
    out.extend_from_slice(b";\n");
    Ok(())
}

fn text(out: &mut Vec<u8>, numbers: &mut Numbers) -> Result<()> {
    let words = 1 + numbers.skewed(40);
    for at in 0..words {
        let word = WORDS[usize::try_from(numbers.below(12)).unwrap_or(0)];
        write!(out, "{}{word}", if at > 0 { " " } else { "" })?;
    }
    Ok(())
}

fn statement(out: &mut Vec<u8>, numbers: &mut Numbers) -> Result<()> {
    let which = usize::try_from(numbers.skewed(20)).unwrap_or(0);
    let (table, other) = (TABLES[which], TABLES[(7 * which + 3) % TABLES.len()]);
    // Each table is asked for by two columns.
    let column = COLUMNS[(which + usize::try_from(numbers.below(2)).unwrap_or(0)) % COLUMNS.len()];
    let id = numbers.below(1_000_000);
    match numbers.below(16) {
        0..=4 => write!(out, "SELECT `{table}`.* FROM `{table}` WHERE `{table}`.`{column}` = {id} LIMIT 1"),
        5..=6 => write!(
            out,
            "SELECT t.id, t.{column}, o.name FROM {table} t INNER JOIN {other} o ON o.id = t.user_id\n  WHERE t.status = \
             'active' AND t.created_at > '2023-11-{:02} 00:00:00'\n  ORDER BY t.{column} ASC LIMIT {}, 20",
            1 + id % 28,
            id % 1000,
        ),
        7..=8 => {
            write!(out, "SELECT id, {column} FROM {table} WHERE {column} IN (")?;
            let values = 1 + numbers.skewed(60);
            for at in 0..values {
                write!(out, "{}{}", if at > 0 { ", " } else { "" }, numbers.below(1_000_000))?;
            }
            write!(out, ")")
        }
        9..=10 => {
            write!(out, "INSERT INTO {table} (user_id, name, body, created_at) VALUES ({id}, 'n{id}', '")?;
            text(out, numbers)?;
            write!(out, "', NOW())")
        }
        11 => {
            write!(out, "UPDATE {table} SET {column} = '")?;
            text(out, numbers)?;
            write!(out, "', updated_at = '2023-11-14 22:13:20' WHERE id = {id}")
        }
        12 => write!(
            out,
            "SELECT COUNT(*) FROM `{table}` WHERE `{table}`.`{column}` = {id} AND `deleted_at` IS NULL \
             /*application:Shop,controller:{other},action:index*/",
        ),
        13 => write!(out, "DELETE FROM {table} WHERE {column} < {id} AND status <> -1"),
        14 => write!(out, "COMMIT"),
        _ => write!(out, "# administrator command: {}", if id.is_multiple_of(3) { "Ping" } else { "Quit" }),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_same_seed_makes_the_same_log() {
        let make = |seed| {
            let mut log = Vec::new();
            let events = super::write(&mut log, seed, 1 << 20).unwrap();
            (events, log)
        };
        let (events, log) = make(1);
        assert!(make(1).1 == log && make(2).1 != log);
        let mean = log.len() as u64 / events;
        assert!((350..500).contains(&mean), "{mean} bytes an event: a real log had 427");
    }
}
