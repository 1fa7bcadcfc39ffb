//! Slow queries in a real browser: a customer who has never seen them finds the query that hurts most, and the index it wants. The log
//! came as all do: by honcho-guest, a Maildir and `honcho post import`.

use super::panel::Office;
use anyhow::{Context as _, Result, ensure};
use honcho_e2e::programs::program;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
/// So many days the shop's log goes back.
const DAYS: u64 = 16;
/// A deploy, so many days ago, made one query slower and another quicker.
const DEPLOYED: u64 = 7;
const INDEX: &str = "ALTER TABLE `orders` ADD INDEX (`customer_id`, `created_at`);";

#[expect(clippy::disallowed_methods, reason = "programs under test go by the machine's clock")]
fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// One event: who, how long in milliseconds, how many rows are sent and read, and what is asked.
fn event(log: &mut String, at: u64, milliseconds: u64, rows: (u64, u64), statement: &str) {
    let _ = write!(
        log,
        "# User@Host: shop[shop] @ web{}.acme.example [10.0.0.{}]\n# Thread_id: {}  Schema: shop  QC_hit: No\n\
         # Query_time: {}.{:03}000  Lock_time: 0.000080  Rows_sent: {}  Rows_examined: {}\nSET timestamp={at};\n{statement};\n",
        at % 3 + 1,
        at % 3 + 1,
        at % 97,
        milliseconds / 1000,
        milliseconds % 1000,
        rows.0,
        rows.1,
    );
}

/// Some weeks of a shop: most of the time goes to one query that no index serves.
fn shop(now: u64) -> String {
    let mut log = String::new();
    for hour in 0..DAYS * 24 {
        let at = now - DAYS * DAY + hour * 3600;
        let ago = (now - at) / DAY;
        let busy = 2 + (hour % 24) * (24 - hour % 24) / 24;
        for n in 0..busy {
            let statement = format!(
                "SELECT id, total, state FROM orders WHERE customer_id = {} ORDER BY created_at DESC",
                hour * 31 + n
            );
            event(&mut log, at + n * 60, 1800 + hour * 7 % 900 + n * 40, (12, 184_000), &statement);
        }
        let cart = format!("SELECT * FROM carts WHERE session_token = 'token-{hour}'");
        event(&mut log, at + 5, if ago < DEPLOYED { 2900 } else { 640 } + hour % 50, (1, 41_000), &cart);
        let stock = format!("UPDATE stock SET reserved = reserved + 1 WHERE sku = 'sku-{hour}'");
        event(&mut log, at + 9, if ago < DEPLOYED { 210 } else { 1900 } + hour % 30, (0, 900), &stock);
        if ago < 2 {
            let search = format!("SELECT id, name FROM products WHERE LOWER(name) LIKE '%thing {hour}%'");
            event(&mut log, at + 11, 1500 + hour % 200, (8, 96_000), &search);
        }
        let table = [
            "aisles", "badges", "coupons", "drafts", "emails", "fees", "gifts", "hooks", "invoices", "jobs",
            "keys", "labels",
        ];
        let place = usize::try_from(hour % 12).unwrap_or(0);
        for column in ["owner_ref", "shop_ref", "kind"] {
            let statement = format!("SELECT name, {column} FROM {} WHERE {column} = {hour}", table[place]);
            event(&mut log, at + 13, 20 + hour % 60, (1, 40), &statement);
        }
    }
    log
}

/// Ships logs as honcho-guest does, the oldest first; the mails as they leave.
fn ship(directory: &Path, logs: &[String]) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory.join("out"))?;
    let sendmail = directory.join("sendmail");
    std::fs::write(&sendmail, format!("#!/bin/sh\ncat > {}/$$\n", directory.join("out").display()))?;
    std::fs::set_permissions(&sendmail, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut mails: Vec<PathBuf> = Vec::new();
    for (number, log) in logs.iter().enumerate() {
        let file = directory.join(format!("slow.log.{number}"));
        std::fs::write(&file, log)?;
        let output = Command::new(program("honcho-guest")?)
            .args(["ship", "--to", "slowlog@slowlog.test", "--sendmail"])
            .arg(&sendmail)
            .arg("--spool")
            .arg(directory.join("spool"))
            .arg(&file)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let out =
            directory.join("out").read_dir()?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        mails.extend(out.into_iter().filter(|mail| !mails.contains(mail)).collect::<Vec<_>>());
    }
    Ok(mails)
}

/// Has these mails delivered, as a receiver does that has seen a server's certificate, and imported.
fn import(office: &Office, node: &str, mails: &[PathBuf]) -> Result<()> {
    let maildir = office.directory.path().join("mail");
    std::fs::create_dir_all(maildir.join("new"))?;
    for (number, mail) in mails.iter().enumerate() {
        let stamp = format!("X-Verified-Node: {node}\nReceived: from {node}\n");
        let path = maildir.join("new").join(format!("{node}.{number}"));
        std::fs::write(path, [stamp.as_bytes(), &std::fs::read(mail)?].concat())?;
    }
    let said = office.brain.honcho(&["post", "import", &maildir.display().to_string()])?;
    ensure!(said.0 && maildir.join("new").read_dir()?.count() == 0, "{}", said.1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_finds_the_query_that_hurts_most() -> Result<()> {
    let mut office = Office::open().await?;
    let account = office.world.account.id;
    office.person("ann", true, &[]).await?;
    office.person("bob", false, &[(account, "admin")]).await?;
    office.person("vic", false, &[(account, "viewer")]).await?;
    let (db1, db2) = (office.world.running("db1").await?.id, office.world.running("db2").await?.id);

    // Before anything has come.
    office.log_in("bob").await?;
    office.browser.go(&office.address("/slow_queries")).await?;
    office.browser.says("No slow logs come from here yet").await?;
    office.look("slow-none").await?;

    let now = now()?;
    let own = office.directory.path().join("db1");
    std::fs::create_dir(&own)?;
    import(&office, &format!("guest-{db1}"), &ship(&own, &[shop(now)])?)?;
    // Of the other server's three logs the second is lost on the way.
    let other = office.directory.path().join("db2");
    std::fs::create_dir(&other)?;
    let mut quiet = Vec::new();
    for number in 0..3 {
        let mut log = String::new();
        for n in 0..20 {
            let statement = format!("SELECT name FROM customers WHERE id = {n}");
            event(&mut log, now - (3 - number) * DAY + n * 600, 30 + n, (1, 1), &statement);
        }
        quiet.push(log);
    }
    let mails = ship(&other, &quiet)?;
    ensure!(mails.len() == 3, "each log is a mail: {mails:?}");
    import(&office, &format!("guest-{db2}"), &[mails[0].clone(), mails[2].clone()])?;

    // From the page that customers begin on it is one click to the query and its index, without scrolling.
    office.browser.go(&office.address("/")).await?;
    office.browser.says("See which queries hurt most").await?;
    office.look("guests-with-slow-queries").await?;
    office.browser.click("a[href='/slow_queries']").await?;
    office.browser.says("What hurts most").await?;
    office.browser.says(INDEX).await?;
    let bottom = "return document.querySelector('code.copy').getBoundingClientRect().bottom < innerHeight ? 'seen' : 'below'";
    office.browser.gives(bottom, "seen").await?;
    office.browser.says("mail is missing since").await?;
    office.look("slow-ranking").await?;

    // A deploy is marked, and what was before it is compared with what came after.
    office.browser.click("a[href$='/slow_marks']").await?;
    office.browser.fill("#text", "shop 4.2 deployed").await?;
    let at = format!("new Date({}000).toISOString().slice(0, 16)", now - DEPLOYED * DAY);
    office.browser.run(&format!("document.querySelector('#at').value = {at}")).await?;
    office.browser.click("main form.stack button").await?;
    office.browser.says("is marked.").await?;
    office.look("slow-marks").await?;
    office.browser.click("main table a").await?;
    office.browser.says("compared with before").await?;
    office.browser.says("New and worse").await?;
    office.browser.says("What got better").await?;
    office.look("slow-ranking-mark").await?;

    // One query.
    office.browser.click("section[aria-labelledby=news] a.statement").await?;
    office.browser.says("Before and now").await?;
    office.look("slow-query-mark").await?;
    office.browser.go(&office.address(&format!("/accounts/{account}/slow_queries"))).await?;
    office.browser.click(".worst a.button").await?;
    office.browser.says("An index is missing").await?;
    office.look("slow-query").await?;
    let query = office.browser.run("return location.pathname").await?;
    let query = query.as_str().context("a path")?.to_owned();
    office.browser.fill("#note", "the index is in the next release").await?;
    office.browser.run("document.querySelector('#state').value = 'looked_at'").await?;
    office.browser.click("form[action*='/judge'] button").await?;
    office.browser.says("is written down").await?;
    office.browser.says("the index is in the next release").await?;

    office.browser.go(&office.address(&format!("/accounts/{account}/slow_settings"))).await?;
    office.look("slow-settings").await?;
    office.log_out().await?;

    // Who may only look has nothing to press.
    office.log_in("vic").await?;
    office.browser.says("See which queries hurt most").await?;
    office.browser.go(&office.address(&query)).await?;
    office.browser.says("the index is in the next release").await?;
    office
        .browser
        .gives("return String(document.querySelectorAll('main form[method=post]').length)", "0")
        .await?;
    office.look("slow-query-viewer").await?;
    office.log_out().await?;

    office.log_in("ann").await?;
    office.browser.says("Needs attention").await?;
    office.browser.go(&office.address("/slow_queries")).await?;
    office.browser.says("db1").await?;
    office.look("slow-servers").await?;
    office.browser.click("main table a").await?;
    office.browser.says("What hurts most").await?;
    office.look("slow-ranking-operator").await?;
    office.close();
    Ok(())
}
