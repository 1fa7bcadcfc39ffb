//! The importer is killed (SIGKILL) at random moments while it imports a known set of logs: what is counted is what an import without
//! any kill counts, exactly. On both engines; once the importer is a process of its own, once the brain itself.

use anyhow::{Context as _, Result, ensure};
use honcho_api::SlowQuery;
use honcho_e2e::brain::Brain;
use honcho_e2e::programs::{Process, program};
use honcho_e2e::slow_logs::{log, server, three_days_ago, totals};
use rand::{Rng as _, SeedableRng as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How many logs, each a mail, how many queries in each, and by how many servers they are sent.
const LOGS: u64 = 60;
const QUERIES: u64 = 60;
const SERVERS: usize = 25;
const KILLS: u32 = 200;

/// Mails of a server's logs as honcho-guest makes them.
fn mails(directory: &Path) -> Result<Vec<PathBuf>> {
    let out = directory.join("out");
    std::fs::create_dir(&out)?;
    let sendmail = directory.join("sendmail");
    let text = format!("#!/bin/sh\ncat > {}/$$\n", out.display());
    std::fs::write(&sendmail, text)?;
    std::fs::set_permissions(&sendmail, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let begun = three_days_ago()?;
    for number in 0..LOGS {
        let file = directory.join(format!("slow.log.{number}"));
        std::fs::write(&file, log(begun + number * 1800, QUERIES, 200))?;
    }
    let files = (0..LOGS).map(|number| directory.join(format!("slow.log.{number}")));
    let output = Command::new(program("honcho-guest")?)
        .args(["ship", "--to", "slowlog@slowlog.test", "--sendmail"])
        .arg(&sendmail)
        .arg("--spool")
        .arg(directory.join("spool"))
        .args(files)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mails = out.read_dir()?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(mails.len() as u64 == LOGS);
    Ok(mails)
}

/// Delivers them, as so many servers' own.
fn deliver(mails: &[PathBuf], servers: usize, maildir: &Path) -> Result<()> {
    std::fs::create_dir_all(maildir.join("new"))?;
    for mail in mails {
        let (name, contents) = (mail.file_name().context("a name")?.to_string_lossy(), std::fs::read(mail)?);
        for server in 0..servers {
            let stamp = format!("X-Verified-Node: db{server}\nReceived: from db{server}\n");
            let path = maildir.join("new").join(format!("{name}.{server}"));
            std::fs::write(path, [stamp.as_bytes(), &contents].concat())?;
        }
    }
    Ok(())
}

fn waiting(maildir: &Path) -> Result<usize> {
    Ok(maildir.join("new").read_dir()?.count())
}

fn importer(brain: &Brain, maildir: &Path, log: &Path) -> Result<Process> {
    let mut command = Command::new(program("honcho")?);
    command.args(["--url", &brain.url(), "--token-file"]).arg(brain.data().join("operator.token"));
    command.args(["post", "import", "--follow"]).arg(maildir);
    Process::start(&mut command, log)
}

/// What an import that nobody disturbs counts.
async fn undisturbed(directory: &Path, mails: &[PathBuf]) -> Result<Vec<SlowQuery>> {
    std::fs::create_dir(directory)?;
    let brain = Brain::start(directory).await?;
    let maildir = directory.join("mail");
    deliver(mails, 1, &maildir)?;
    let said = brain.honcho(&["post", "import", &maildir.display().to_string()])?;
    ensure!(said.0 && waiting(&maildir)? == 0, "{}", said.1);
    totals(&brain.client()?, "db0").await
}

async fn killed(
    brain: &mut Brain,
    directory: &Path,
    mails: &[PathBuf],
    expected: &[SlowQuery],
) -> Result<()> {
    let seed: u64 =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let maildir = directory.join("mail");
    let begun = Instant::now();
    let mut kills = 0;
    // Every mail comes again and again, as after a kill of a mail daemon: killing goes on while there is something to import.
    while kills < KILLS {
        if waiting(&maildir).unwrap_or(0) < 5 {
            deliver(mails, SERVERS, &maildir)?;
        }
        if kills % 10 == 9 {
            // Now and then it is the brain that dies, in the midst of a transaction.
            let importer = importer(brain, &maildir, &directory.join("importer.log"))?;
            tokio::time::sleep(Duration::from_micros(random.random_range(0..150_000))).await;
            brain.kill();
            drop(importer);
            brain.resume().await?;
        } else {
            let mut importer = importer(brain, &maildir, &directory.join("importer.log"))?;
            tokio::time::sleep(Duration::from_micros(random.random_range(10_000..150_000))).await;
            importer.kill();
        }
        kills += 1;
        ensure!(begun.elapsed() < Duration::from_mins(5), "{kills} kills in five minutes");
    }
    deliver(mails, SERVERS, &maildir)?;
    let said = brain.honcho(&["post", "import", &maildir.display().to_string()])?;
    ensure!(said.0 && waiting(&maildir)? == 0, "{}", said.1);
    ensure!(!maildir.join("quarantine").exists(), "nothing was refused");
    for number in 0..SERVERS {
        let (client, node) = (brain.client()?, format!("db{number}"));
        let server = server(&client, &node).await?.with_context(|| node.clone())?;
        let expected_of_it = (i64::try_from(LOGS)?, i64::try_from(LOGS * QUERIES)?);
        ensure!((server.mails_count, server.events_count) == expected_of_it, "{server:?}");
        ensure!(server.missing_mails_count == 0);
        assert_eq!(totals(&client, &node).await?, expected, "{node}");
    }
    println!("{KILLS} kills in {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_two_hundred_times_on_sqlite() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mails = mails(directory.path())?;
    let expected = undisturbed(&directory.path().join("calm"), &mails).await?;
    let own = directory.path().join("killed");
    std::fs::create_dir(&own)?;
    let mut brain = Brain::start(&own).await?;
    killed(&mut brain, &own, &mails, &expected).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_two_hundred_times_on_postgres() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mails = mails(directory.path())?;
    let expected = undisturbed(&directory.path().join("calm"), &mails).await?;
    let own = directory.path().join("killed");
    std::fs::create_dir(&own)?;
    let mut brain = Brain::start_sharing(&own, 1, &honcho_test_postgres::cluster().create_empty()).await?;
    killed(&mut brain, &own, &mails, &expected).await
}
