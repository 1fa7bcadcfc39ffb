//! The road of a slow log, for real: honcho-guest, sendmail, Postfix, DNS with two equal MXs, TLS with certificates on both sides,
//! Maildirs, importers, the store. Every setting is one that `honcho mail config` prints.
//!
//! ```text
//!   db1 (guest of nobody) --\                    /-- mx1: Postfix, honcho post import --\
//!   evil (not listed) -------+-- bridge -- dns --+                                       +-- brain
//!                            '                   \-- mx2: Postfix, honcho post import --/
//! ```

use anyhow::{Context as _, Result, ensure};
use honcho_api::client::Client;
use honcho_e2e::brain::Brain;
use honcho_e2e::lab::{Lab, LabHost, LabProcess};
use honcho_e2e::programs::program;
use honcho_e2e::slow_logs::{log, server, three_days_ago, totals, wait_for};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(super) const TO: &str = "slowlog@slowlog.test";
pub(super) const MAILDIR: &str = "/var/mail/slowlog";

struct World {
    client: Client,
    mx1: Receiver,
    mx2: Receiver,
    db1: LabHost,
    evil: LabHost,
    dns: LabHost,
    _name_server: LabProcess,
    brain: Brain,
    certificates: PathBuf,
    lab: Lab,
}

/// A receiver, and its importer while it is on.
pub(super) struct Receiver {
    pub(super) host: LabHost,
    pub(super) importer: Option<LabProcess>,
}

/// A CA, and a certificate for each of these names.
pub(super) fn certificates(directory: &Path, names: &[&str]) -> Result<()> {
    let mut script = String::from(
        "set -e\nopenssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=ca -keyout ca-key.pem -out ca.pem\n",
    );
    for name in names {
        let made = format!(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -addext subjectAltName=DNS:{name} \
             -keyout {name}-key.pem -out {name}.csr\n\
             openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -copy_extensions copy -out {name}.pem\n"
        );
        script.push_str(&made);
    }
    let output = Command::new("sh").args(["-c", &script]).current_dir(directory).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What `honcho mail config …` prints, run on a host.
pub(super) fn set_up(host: &LabHost, certificates: &Path, name: &str, arguments: &[&str]) -> Result<()> {
    let file = |name: &str| certificates.join(name).display().to_string();
    let output = Command::new(program("honcho")?)
        .args(["mail", "config"])
        .args(arguments)
        .args(["--to", TO, "--mail-ca", &file("ca.pem"), "--certificate", &file(&format!("{name}.pem"))])
        .args(["--key", &file(&format!("{name}-key.pem"))])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let script = host.directory().join("set-up.sh");
    std::fs::write(&script, &output.stdout)?;
    host.run(&format!("sh {} 2>&1", script.display()))?;
    start_postfix(host)
}

/// Postfix stays when this returns, and keeps hold of what it was given to write to.
fn start_postfix(host: &LabHost) -> Result<()> {
    let log = host.directory().join("start.log");
    host.run(&format!("postfix start > {} 2>&1 < /dev/null", log.display())).map(drop)
}

impl World {
    async fn new() -> Result<World> {
        let lab = Lab::new()?;
        let brain = Brain::start_on(
            lab.directory(),
            IpAddr::V4(lab.brain_address()),
            IpAddr::V4(lab.brain_address()),
        )
        .await?;
        let certificates_in = lab.directory().join("certificates");
        std::fs::create_dir(&certificates_in)?;
        certificates(&certificates_in, &["mx1.logs.test", "mx2.logs.test", "db1", "evil"])?;
        let [dns, mx1, mx2, db1, evil] = ["dns", "mx1", "mx2", "db1", "evil"].map(|name| lab.server(name));
        let (dns, mx1, mx2, db1, evil) = (dns?, mx1?, mx2?, db1?, evil?);
        let mut command = dns.command("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--user=root",
            "--conf-file=/dev/null",
        ]);
        for mx in [&mx1, &mx2] {
            let name = format!("{}.logs.test", mx.name());
            command.arg(format!("--mx-host=slowlog.test,{name},10"));
            command.arg(format!("--host-record={name},{}", mx.address()));
        }
        let name_server = dns.spawn(&mut command, "dnsmasq.log")?;
        for host in [&mx1, &mx2, &db1, &evil] {
            std::fs::write(host.directory().join("resolv.conf"), format!("nameserver {}\n", dns.address()))?;
        }
        let node = format!("db1={}", certificates_in.join("db1.pem").display());
        for mx in [&mx1, &mx2] {
            let name = format!("{}.logs.test", mx.name());
            let arguments =
                ["receiver", "--hostname", &name, "--node", &node, "--maildir", MAILDIR, "--user", "nobody"];
            set_up(mx, &certificates_in, &name, &arguments)?;
        }
        for (host, name) in [(&db1, "db1"), (&evil, "evil")] {
            let arguments = ["sender", "--mx", "mx1.logs.test", "--mx", "mx2.logs.test"];
            set_up(host, &certificates_in, name, &arguments)?;
            // Who is off is noticed at once: the test need not wait for it as long as a real network has to.
            host.run("postconf -P 'honcho-post/unix/smtp_connect_timeout=2s' && postfix reload 2>&1")?;
        }
        let (client, certificates) = (brain.client()?, certificates_in);
        let [mx1, mx2] = [mx1, mx2].map(|host| Receiver { host, importer: None });
        let mut world =
            World { client, mx1, mx2, db1, evil, dns, _name_server: name_server, brain, certificates, lab };
        world.mx1.import(&world.brain)?;
        world.mx2.import(&world.brain)?;
        Ok(world)
    }

    /// A log is rotated on a host and shipped, as logrotate has it done. Gives what was said.
    fn ship(&self, host: &LabHost, name: &str, log: &str, mail_size: u32) -> Result<String> {
        self.ship_all(host, name, &[log.to_owned()], mail_size)
    }

    /// The same with several.
    #[expect(clippy::unused_self, reason = "it happens in this world")]
    fn ship_all(&self, host: &LabHost, name: &str, logs: &[String], mail_size: u32) -> Result<String> {
        let mut files = Vec::new();
        for (number, log) in logs.iter().enumerate() {
            let file = host.directory().join(format!("{name}.{number}"));
            std::fs::write(&file, log)?;
            files.push(file.display().to_string());
        }
        let spool = host.directory().join("spool");
        host.run(&format!(
            "{} ship --to {TO} --spool {} --mail-size {mail_size} {}",
            program("honcho-guest")?.display(),
            spool.display(),
            files.join(" ")
        ))
    }

    /// Why the last mails wait on a host, as Postfix says it.
    #[expect(clippy::unused_self, reason = "it happens in this world")]
    fn mail_log(&self, host: &LabHost) -> String {
        std::fs::read_to_string(host.directory().join("mail.log")).unwrap_or_default()
    }
}

impl Receiver {
    pub(super) fn import(&mut self, brain: &Brain) -> Result<()> {
        let mut command = self.host.command(program("honcho")?);
        command.args(["--url", &brain.url(), "--ca"]).arg(brain.ca());
        command.arg("--token-file").arg(brain.data().join("operator.token"));
        command.args(["post", "import", MAILDIR, "--follow"]);
        self.importer = Some(self.host.spawn(&mut command, "importer.log")?);
        Ok(())
    }

    fn power_off(&mut self) -> Result<()> {
        self.importer = None;
        self.host.power_off()
    }

    fn boot(&mut self, brain: &Brain) -> Result<()> {
        self.host.boot()?;
        start_postfix(&self.host)?;
        self.import(brain)
    }

    fn maildir(&self) -> PathBuf {
        self.host.directory().join("var/mail/slowlog/new")
    }

    fn delivered(&self) -> usize {
        let log = std::fs::read_to_string(self.host.directory().join("mail.log")).unwrap_or_default();
        log.matches("status=sent (delivered to maildir)").count()
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !condition() {
        ensure!(begun.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn queued(host: &LabHost) -> Result<usize> {
    Ok(host.run("postqueue -j")?.lines().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_log_comes_by_mail_whatever_happens_on_the_way() -> Result<()> {
    let mut world = World::new().await?;
    let begun = Instant::now();
    let second = three_days_ago()?;
    let client = world.client.clone();

    // By both, in parts; counted exactly.
    let mut logs = vec![log(second, 3000, 1000)];
    logs.extend((0..16).map(|number| log(second + 800 + number * 10, 30, 500)));
    world.ship_all(&world.db1, "slow.log.1", &logs, 500_000)?;
    let known = wait_for(&client, "db1", 3480).await.with_context(|| world.mail_log(&world.db1))?;
    ensure!(known.sequence >= 19 && known.missing_mails_count == 0, "{known:?}");
    // Postfix writes its log down a little after it has delivered.
    let shared =
        until("two equal MXs to share", || world.mx1.delivered() > 0 && world.mx2.delivered() > 0).await;
    println!("{:?}: {} by mx1, {} by mx2", begun.elapsed(), world.mx1.delivered(), world.mx2.delivered());
    shared.with_context(|| world.mail_log(&world.db1))?;

    // One of them is down.
    world.mx1.power_off()?;
    world.ship(&world.db1, "slow.log.2", &log(second + 1000, 300, 500), 7_000_000)?;
    wait_for(&client, "db1", 3780).await.with_context(|| world.mail_log(&world.db1))?;
    println!("{:?}: mx1 down", begun.elapsed());

    // Both are, and come back.
    world.mx2.power_off()?;
    world.ship(&world.db1, "slow.log.3", &log(second + 2000, 300, 500), 7_000_000)?;
    until("the mail to be deferred", || world.mail_log(&world.db1).contains("status=deferred")).await?;
    ensure!(queued(&world.db1)? == 1, "it waits");
    world.mx1.boot(&world.brain)?;
    world.mx2.boot(&world.brain)?;
    // A lab's machine has another card after each boot, which a real one has not.
    world.db1.run("ip neigh flush dev eth0; postqueue -f")?;
    wait_for(&client, "db1", 4080).await.with_context(|| world.mail_log(&world.db1))?;
    println!("{:?}: both down and back", begun.elapsed());

    a_duplicate(&mut world, second + 3000).await?;
    println!("{:?}: a duplicate", begun.elapsed());
    a_forger(&world).await?;
    println!("{:?}: a forger", begun.elapsed());

    // All that was sent is counted, and nothing twice: as if the logs had been read in one place.
    logs.extend([log(second + 1000, 300, 500), log(second + 2000, 300, 500), log(second + 3000, 300, 1000)]);
    let digest = digest_of(&world.lab.directory().join("all.log"), &logs.concat())?;
    let counted = totals(&client, "db1").await?;
    let shown: Vec<_> = counted.iter().map(|query| (query.query_id.clone(), query.events_count)).collect();
    assert_eq!(shown, digest);
    let (fine, said) =
        world.brain.honcho(&["--ca", &world.brain.ca().display().to_string(), "slow", "servers"])?;
    ensure!(fine && said.contains("db1") && said.contains("sends"), "{said}");
    drop(world.dns);
    Ok(())
}

/// mx1 has a mail and dies before it can say so: it comes by mx2 too, and is counted once.
async fn a_duplicate(world: &mut World, second: u64) -> Result<()> {
    world.mx2.power_off()?;
    world.mx1.importer = None;
    let before = world.mx1.maildir().read_dir()?.count();
    // What mx1 says takes a while to come: one byte a millisecond.
    world.mx1.host.run("tc qdisc add dev eth0 root tbf rate 8kbit burst 1600 limit 30000")?;
    world.ship(&world.db1, "slow.log.4", &log(second, 300, 1000), 7_000_000)?;
    let maildir = world.mx1.maildir();
    until("mx1 to have the mail", || maildir.read_dir().is_ok_and(|mails| mails.count() > before)).await?;
    world.mx1.power_off()?;
    ensure!(queued(&world.db1)? == 1, "db1 was not told that mx1 has it");
    world.mx2.boot(&world.brain)?;
    // db1 would wait ten minutes for what mx1 has to say; it is restarted meanwhile.
    world.db1.run("postfix stop > /dev/null 2>&1")?;
    start_postfix(&world.db1)?;
    let begun = Instant::now();
    while queued(&world.db1)? > 0 {
        ensure!(begun.elapsed() < Duration::from_mins(1), "{}", world.mail_log(&world.db1));
        world.db1.run("ip neigh flush dev eth0; postqueue -f")?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    wait_for(&world.client, "db1", 4380).await?;
    // And now the other copy.
    ensure!(world.mx1.maildir().read_dir()?.count() == before + 1, "mx1 has it on its disk");
    world.mx1.boot(&world.brain)?;
    let maildir = world.mx1.maildir();
    until("mx1's copy to go", || maildir.read_dir().is_ok_and(|mut mails| mails.next().is_none())).await?;
    wait_for(&world.client, "db1", 4380).await?;
    ensure!(
        !world.mx1.host.directory().join("var/mail/slowlog/quarantine").exists(),
        "known, and not refused"
    );
    Ok(())
}

/// A server with a certificate of the CA that is not listed, which says to be another; and one whose certificate is its own.
async fn a_forger(world: &World) -> Result<()> {
    let forged = "printf 'From: a@b\\nTo: slowlog@slowlog.test\\nX-Verified-Node: db1\\n\\nx\\n' | sendmail -i -f a@b slowlog@slowlog.test";
    world.evil.run(forged)?;
    until("the forger to be refused", || {
        world.mail_log(&world.evil).contains("Recipient address rejected")
            || world.mail_log(&world.evil).contains("Access denied")
    })
    .await?;
    world.ship(&world.evil, "slow.log.1", &log(5, 3, 10), 7_000_000)?;
    // A certificate that no CA of ours signed.
    world.evil.run(&format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=db1 -keyout {0}/own-key.pem -out {0}/own.pem 2>&1 && \
         postconf -P 'honcho-post/unix/smtp_tls_cert_file={0}/own.pem' 'honcho-post/unix/smtp_tls_key_file={0}/own-key.pem' && postfix reload 2>&1",
        world.evil.directory().display()
    ))?;
    world.evil.run("sleep 1; postqueue -f")?;
    until("a stranger's certificate to be refused", || {
        let log = world.mail_log(&world.evil);
        log.contains("Client certificate not trusted")
            || log.contains("No client certificate")
            || log.contains("421 ")
    })
    .await?;
    ensure!(queued(&world.evil)? == 2, "nothing bounced: it waits");
    ensure!(
        server(&world.client, "evil").await?.is_none()
            && server(&world.client, "db1").await?.is_some_and(|db1| db1.events_count == 4380)
    );
    ensure!(world.certificates.exists());
    Ok(())
}

/// Query ids and counts, by `honcho slow digest`.
fn digest_of(file: &Path, log: &str) -> Result<Vec<(String, i64)>> {
    std::fs::write(file, log)?;
    let output = Command::new(program("honcho")?)
        .args(["slow", "digest", "--json"])
        .arg(file)
        .stderr(Stdio::inherit())
        .output()?;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let mut classes = Vec::new();
    for class in document["classes"].as_array().context("classes")? {
        let id = class["id"].as_str().context("an id")?.to_owned();
        classes.push((id, class["count"].as_i64().context("a count")?));
    }
    classes.sort();
    Ok(classes)
}
