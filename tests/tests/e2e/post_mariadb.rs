//! A slow log from the server that writes it to the command that shows it, nothing of it ours but what Honcho is: Debian's `MariaDB`,
//! logrotate with the packaged snippet, `honcho-guest`, sendmail, Postfix, a Maildir, an importer, the store, `honcho slow queries`.
//!
//! ```text
//!   db1: mariadbd -> mariadb-slow.log -> logrotate -f -> honcho-guest ship -> Postfix --\
//!                                                                                       +-- mx1: Postfix -> Maildir -> importer -> brain
//! ```
//!
//! The log is rotated while statements run: as many as were sent are counted.

use super::post::{MAILDIR, Receiver, TO, certificates, set_up};
use anyhow::{Context as _, Result, ensure};
use honcho_e2e::brain::Brain;
use honcho_e2e::lab::{Lab, LabHost, LabProcess};
use honcho_e2e::programs::program;
use honcho_e2e::slow_logs::server;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How many statements of each kind are sent while the log is rotated.
const ROUNDS: u64 = 4000;
const LOG: &str = "/var/log/mysql/mariadb-slow.log";
/// What pt-query-digest makes of [`load`]'s statements.
const KINDS: [&str; 4] = [
    "select o.id, o.total from orders o where o.customer_id = ? and o.total > ? order by o.total limit ?",
    "insert into orders (customer_id, total, note) values(?+)",
    "update orders set total = total ? ? where id = ?",
    "select count(*) from orders where note like ?",
];

/// As Debian's packages lay a database server out, of the parts that a lab's machine shares with this one: `MariaDB`'s user and its
/// directories, the packaged snippet, its settings, and the programs where the snippet looks for them.
const INSTALL: &str = r"set -eu
umask 022
mkdir -p $D/etc/default $D/etc/mysql $D/log $D/bin $D/mysql
cat /etc/passwd > $D/etc/passwd; cat /etc/group > $D/etc/group
grep -q '^mysql:' $D/etc/passwd || echo 'mysql:x:64999:64999::/nonexistent:/bin/false' >> $D/etc/passwd
grep -q '^mysql:' $D/etc/group || echo 'mysql:x:64999:' >> $D/etc/group
mount --bind $D/etc/passwd /etc/passwd; mount --bind $D/etc/group /etc/group
cat > $D/etc/mysql/debian.cnf <<'CNF'
[client]
host = localhost
user = root
socket = /run/mysqld/mysqld.sock
CNF
mount --bind $D/etc/mysql /etc/mysql
sed -e '/^HONCHO_POST_TO=/d' $PACKAGE/default > $D/etc/default/honcho-guest
echo HONCHO_POST_TO=$TO >> $D/etc/default/honcho-guest
echo HONCHO_POST_SPOOL=$D/spool >> $D/etc/default/honcho-guest
mount --bind $D/etc/default /etc/default
mount --bind $D/log /var/log
install -d -o mysql -g adm -m 2750 /var/log/mysql
install -m 644 $PACKAGE/logrotate $D/etc/snippet
ln -sf $GUEST $D/bin/honcho-guest
mount -t tmpfs -o mode=755 data $D/mysql
chown mysql: $D/mysql /run/mysqld
mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --user=mysql --datadir=$D/mysql > $D/install.log 2>&1
";

struct Database {
    host: LabHost,
    _server: LabProcess,
}

impl Database {
    /// Installs `MariaDB` on a lab's machine, and starts it.
    fn start(host: LabHost) -> Result<Database> {
        let directory = host.directory().display().to_string();
        let package =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/honcho-guest").canonicalize()?;
        let variables = format!(
            "D={directory}\nTO={TO}\nPACKAGE={}\nGUEST={}\n",
            package.display(),
            program("honcho-guest")?.display()
        );
        host.run(&format!("{variables}{INSTALL}"))?;
        let mut command = host.command("mariadbd");
        command.args([
            "--no-defaults",
            "--user=mysql",
            "--skip-networking",
            "--socket=/run/mysqld/mysqld.sock",
        ]);
        command.arg(format!("--datadir={directory}/mysql")).arg("--innodb-buffer-pool-size=32M");
        command.args([
            "--slow-query-log=1",
            "--long-query-time=0",
            "--log-slow-verbosity=query_plan,explain",
        ]);
        command.arg(format!("--slow-query-log-file={LOG}"));
        let process = host.spawn(&mut command, "mariadbd.log")?;
        let database = Database { host, _server: process };
        database.host.run("for n in $(seq 300); do mariadb-admin --defaults-file=/etc/mysql/debian.cnf ping > /dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1")
            .with_context(|| std::fs::read_to_string(database.host.directory().join("mariadbd.log")).unwrap_or_default())?;
        database.sql(
            "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, customer_id INT, total INT, \
             note TEXT, INDEX (customer_id)); CREATE USER app@localhost; GRANT ALL ON shop.* TO app@localhost",
        )?;
        Ok(database)
    }

    fn sql(&self, statements: &str) -> Result<String> {
        self.host.run(&format!("mariadb --defaults-file=/etc/mysql/debian.cnf -N -e '{statements}'"))
    }

    /// What logrotate's timer does each day. It says what honcho-guest said.
    fn rotate(&self) -> Result<String> {
        let directory = self.host.directory().display();
        self.host.run(&format!(
            "PATH={directory}/bin:$PATH logrotate --force --state {directory}/logrotate.state {directory}/etc/snippet 2>&1"
        ))
    }

    /// A client that sends these statements as a customer's program does.
    fn send(&self, statements: &str) -> Result<LabProcess> {
        let file = self.host.directory().join("load.sql");
        std::fs::write(&file, statements)?;
        let mut command = self.host.command("sh");
        command.arg("-c").arg(format!("mariadb --no-defaults -u app shop < {} > /dev/null", file.display()));
        self.host.spawn(&mut command, "load.log")
    }
}

/// Statements of several lines; some values look like a slow log's own lines.
fn load() -> String {
    let mut statements = String::new();
    for number in 0..ROUNDS {
        let statement = match number % 4 {
            0 => format!(
                "SELECT o.id,\n       o.total\n  FROM orders o\n WHERE o.customer_id = {number}\n   AND o.total > 3\n ORDER BY o.total\n LIMIT 5;\n"
            ),
            1 => format!(
                "INSERT INTO orders (customer_id, total, note)\nVALUES ({number}, 7, 'first\n;\n# User@Host: victim[victim] @ web1 [10.0.0.1]\n# Query_time: 99.0  Lock_time: 0.0\nSET timestamp=5;\nDELETE FROM everything');\n"
            ),
            2 => format!("UPDATE orders\n   SET total = total + 1\n WHERE id = {number};\n"),
            _ => format!("SELECT COUNT(*)\n  FROM orders\n WHERE note LIKE '%nobody {number}%';\n"),
        };
        statements.push_str(&statement);
    }
    statements
}

/// A brain, a receiver that is the domain's name server too, and a machine for the database with a Postfix.
async fn road() -> Result<(Lab, Brain, Receiver, LabProcess, LabHost)> {
    let lab = Lab::new()?;
    let address = IpAddr::V4(lab.brain_address());
    let brain = Brain::start_on(lab.directory(), address, address).await?;
    let made = lab.directory().join("certificates");
    std::fs::create_dir(&made)?;
    certificates(&made, &["mx1.logs.test", "db1"])?;
    let (mx1, db1) = (lab.server("mx1")?, lab.server("db1")?);
    let mut command = mx1.command("dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--conf-file=/dev/null",
    ]);
    command.arg("--mx-host=slowlog.test,mx1.logs.test,10");
    command.arg(format!("--host-record=mx1.logs.test,{}", mx1.address()));
    let name_server = mx1.spawn(&mut command, "dnsmasq.log")?;
    for host in [&mx1, &db1] {
        std::fs::write(host.directory().join("resolv.conf"), format!("nameserver {}\n", mx1.address()))?;
    }
    let node = format!("db1={}", made.join("db1.pem").display());
    let receiver = [
        "receiver",
        "--hostname",
        "mx1.logs.test",
        "--node",
        &node,
        "--maildir",
        MAILDIR,
        "--user",
        "nobody",
    ];
    set_up(&mx1, &made, "mx1.logs.test", &receiver)?;
    set_up(&db1, &made, "db1", &["sender", "--mx", "mx1.logs.test"])?;
    let mut mx1 = Receiver { host: mx1, importer: None };
    mx1.import(&brain)?;
    Ok((lab, brain, mx1, name_server, db1))
}

/// What is looked at of what `honcho slow queries --json` prints.
#[derive(Debug, serde::Deserialize)]
struct Shown {
    fingerprint: String,
    events_count: i64,
    full_scans_count: i64,
    rows_examined_count: i64,
    sample: String,
    sample_user: String,
    sample_database: String,
}

fn queries(brain: &Brain) -> Result<Vec<Shown>> {
    let token = brain.data().join("operator.token");
    let output = Command::new(program("honcho")?)
        .args(["--url", &brain.url(), "--ca"])
        .arg(brain.ca())
        .arg("--token-file")
        .arg(token)
        .args(["slow", "queries", "--server", "db1", "--since", "1d", "--top", "1000", "--json"])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// How many of each of [`KINDS`] were counted.
fn counted(queries: &[Shown]) -> [i64; 4] {
    KINDS.map(|kind| {
        queries.iter().filter(|query| query.fingerprint == kind).map(|query| query.events_count).sum()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mariadb_logs_is_counted_though_it_is_rotated_meanwhile() -> Result<()> {
    let begun = Instant::now();
    let (lab, brain, mx1, name_server, db1) = road().await?;
    let database = Database::start(db1)?;
    println!("{:?}: everything runs", begun.elapsed());
    let mut sending = database.send(&load())?;
    let mut rotations = 0;
    while sending.ended()?.is_none() {
        let said = database.rotate()?;
        ensure!(said.contains("taken") && said.contains("nothing waits"), "{said}");
        rotations += u32::from(sending.ended()?.is_none());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    ensure!(sending.ended()?.is_some_and(|status| status.success()), "the statements were refused");
    ensure!(rotations > 0, "nothing was rotated while statements ran: let there be more of them");
    database.rotate()?;
    println!("{:?}: {ROUNDS} statements, {rotations} rotations meanwhile", begun.elapsed());

    // Each statement once, whichever file it was in.
    let client = brain.client()?;
    let sent = i64::try_from(ROUNDS / 4)?;
    let waiting = Instant::now();
    let found = loop {
        let known = server(&client, "db1").await?.is_some();
        let found = if known { queries(&brain)? } else { Vec::new() };
        if counted(&found) == [sent; 4] {
            break found;
        }
        let log = || std::fs::read_to_string(database.host.directory().join("mail.log")).unwrap_or_default();
        ensure!(
            waiting.elapsed() < Duration::from_secs(30),
            "{:?} of {sent} each came: {}",
            counted(&found),
            log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    println!("{:?}: all of them are counted", begun.elapsed());

    // And nothing that stood in a value was taken for a statement, or for somebody's.
    let known = server(&client, "db1").await?.context("it sent")?;
    ensure!(known.left_out_count == 0 && known.missing_mails_count == 0, "{known:?}");
    ensure!(
        !found.iter().any(|query| query.fingerprint.contains("everything") || query.sample_user == "victim")
    );
    for query in found.iter().filter(|query| KINDS.contains(&query.fingerprint.as_str())) {
        ensure!((query.sample_user.as_str(), query.sample_database.as_str()) == ("app", "shop"), "{query:?}");
        ensure!(!query.sample.contains("victim") && !query.sample.contains("nobody"), "{query:?}");
    }
    let scans = found.iter().find(|query| query.fingerprint == KINDS[3]).context("it is there")?;
    ensure!(scans.full_scans_count == sent && scans.rows_examined_count > 0, "{scans:?}");
    // What it logs as slow it said itself, by the packaged settings; and when that changes, with the next log.
    ensure!(
        (known.long_query_time_seconds, known.log_queries_not_using_indexes, known.log_slow_rate_limit)
            == (Some(0.0), Some(false), Some(1)),
        "{known:?}"
    );
    database.sql("SET GLOBAL long_query_time = 0.25, GLOBAL log_queries_not_using_indexes = ON")?;
    database.sql("SELECT SLEEP(0.3)")?;
    let said = database.rotate()?;
    ensure!(said.contains("taken") && !said.contains("not known"), "{said}");
    let waiting = Instant::now();
    let told = loop {
        let told = server(&client, "db1").await?.context("it sent")?;
        if told.long_query_time_seconds == Some(0.25) {
            break told;
        }
        ensure!(waiting.elapsed() < Duration::from_secs(30), "{told:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    ensure!(told.log_queries_not_using_indexes == Some(true) && told.logging_told_at.is_some(), "{told:?}");
    // What the log was kept in on db1 is gone with what was sent.
    let status = database.host.run(&format!(
        "{} ship --status --spool {}/spool",
        program("honcho-guest")?.display(),
        database.host.directory().display()
    ))?;
    ensure!(status.contains("nothing waits"), "{status}");
    drop((mx1, name_server, lab));
    Ok(())
}
