//! `honcho demo`: who starts it finds a data centre, a month of slow queries, and nothing of it once it has ended.

use anyhow::{Context as _, Result, ensure};
use honcho_api::client::Client;
use honcho_api::{Account, Host, Load, SessionCreate, SlowQuery};
use honcho_e2e::browser::Browser;
use honcho_e2e::programs::{Process, program};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn demo(directory: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(program("honcho")?);
    command.arg("demo").args(arguments).env("TMPDIR", directory);
    Ok(command)
}

/// What it prints once it stands.
fn welcome(process: &mut Process, log: &Path) -> Result<String> {
    let begun = Instant::now();
    loop {
        let said = std::fs::read_to_string(log)?;
        if said.contains("Ctrl-C ends it") {
            return Ok(said);
        }
        ensure!(process.runs() && begun.elapsed() < Duration::from_mins(3), "{said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// With which password somebody logs in.
fn password<'s>(said: &'s str, name: &str) -> Result<&'s str> {
    let line = said.lines().find(|line| line.trim_start().starts_with(name)).context("a login")?;
    line.split_whitespace().nth(1).context("a password")
}

/// Pages that need a house with more than one host to be worth a picture in the guide.
async fn looked_at(directory: &Path, url: &str, said: &str) -> Result<()> {
    let browser = Browser::start(directory).await?;
    browser.go(&format!("{url}/login")).await?;
    browser.fill("#login", "operator").await?;
    browser.fill("#password", password(said, "operator")?).await?;
    browser.click(".login button").await?;
    browser.says("Needs attention").await?;
    for (page, words, name) in [("/racks", "Racks", "racks"), ("/placement", "Memory promised", "placement")]
    {
        browser.go(&format!("{url}{page}")).await?;
        browser.says(words).await?;
        for width in [2560, 1280] {
            browser.width(width).await?;
            browser.picture(&format!("demo-{name}-{width}")).await?;
            ensure!(browser.overflow().await? <= 0, "{page} is wider than its window of {width}");
        }
        browser.guide_picture(name).await?;
    }
    let errors = browser.console_errors().await?;
    ensure!(errors.is_empty(), "{errors:?}");
    Ok(())
}

/// The client of the person who is shown with a password.
async fn logged_in(http: &reqwest::Client, url: &str, said: &str, name: &str) -> Result<Client> {
    let password = password(said, name)?;
    let nobody = Client::new(http.clone(), url, "");
    let order = SessionCreate { login: Some(name.to_owned()), password: Some(password.to_owned()) };
    let session: serde_json::Value = nobody.post("/v1/sessions.json", &order).await?;
    let token = session["secret"].as_str().context("a token")?;
    Ok(Client::new(http.clone(), url, token))
}

/// As the API takes it.
fn a_week_ago() -> Result<String> {
    let output = Command::new("date").args(["-u", "-d", "7 days ago", "+%Y-%m-%dT%H:%M:%SZ"]).output()?;
    ensure!(output.status.success(), "date: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[tokio::test]
async fn whoever_starts_it_finds_the_query_that_hurts_and_the_index_it_wants() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let own = directory.path().join("own");
    std::fs::create_dir(&own)?;
    let log = directory.path().join("log");
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let sizes = ["--hosts", "16", "--guests", "120", "--days", "16", "--step-ms", "50", "--still"];
    let mut command = demo(&own, &[&["--listen", listen.as_str()], sizes.as_slice()].concat())?;
    let mut process = Process::start(&mut command, &log)?;
    let said = welcome(&mut process, &log)?;
    let url = format!("http://{listen}");
    assert!(said.contains(&url), "{said}");

    // It only fails when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let page = http.get(format!("{url}/")).send().await?.text().await?;
    assert!(page.contains("<strong>Simulated.</strong>"), "{page}");

    let operator = logged_in(&http, &url, &said, "operator").await?;
    let hosts: Vec<Host> = operator.list(&[]).await?;
    assert_eq!(hosts.len(), 16);
    assert!(
        hosts.iter().all(|host| host.rack_id.is_some() && host.hypervisor.as_deref() == Some("simulated"))
    );

    // Guests that were running have a past, and a present soon.
    let path = format!("/v1/hosts/{}/load.json", hosts[0].id);
    let load: Load = operator.get_path(&path, &[("span", "90d".to_owned())]).await?;
    assert!(load.cpus.iter().flatten().count() > 2_000, "{load:?}");

    looked_at(directory.path(), &url, &said).await?;
    let customer = logged_in(&http, &url, &said, "customer").await?;
    let accounts: Vec<Account> = customer.list(&[]).await?;
    let [account] = accounts.as_slice() else { anyhow::bail!("a customer sees one account: {accounts:?}") };
    let path = format!("/v1/accounts/{}/slow_queries.json", account.id);
    let queries: Vec<SlowQuery> = customer.get_path(&path, &[("since", a_week_ago()?)]).await?;
    let worst = queries.first().context("queries")?;
    let advised = worst.advice.iter().find_map(|advice| advice.index.as_ref()).context("an index")?;
    assert_eq!((advised.table.as_str(), advised.columns[0].as_str()), ("orders", "customer_email"));
    let flagged = |flag: &str, text: &str| {
        queries
            .iter()
            .any(|query| query.flags.iter().any(|had| had == flag) && query.fingerprint.contains(text))
    };
    for (flag, text) in [("new", "from wishlists"), ("worse", "from cart_lines"), ("better", "from invoices")]
    {
        assert!(flagged(flag, text), "{flag}: {text} of {queries:#?}");
    }
    let bursts = queries.iter().find(|query| query.fingerprint.contains("from products where id = ?"));
    assert!(bursts.context("the query of a loop")?.bursts_count > 0);

    assert!(process.end()?, "it was told to end: {}", std::fs::read_to_string(&log)?);
    assert!(TcpStream::connect(&listen).is_err(), "nobody is there any more");
    assert_eq!(std::fs::read_dir(&own)?.count(), 0, "nothing is left");
    Ok(())
}

#[test]
fn no_brain_outlives_a_demonstration_that_was_killed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("log");
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut process = Process::start(&mut demo(directory.path(), &["--listen", &listen])?, &log)?;
    let begun = Instant::now();
    while TcpStream::connect(&listen).is_err() {
        ensure!(
            process.runs() && begun.elapsed() < Duration::from_mins(1),
            "{}",
            std::fs::read_to_string(&log)?
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    process.kill();
    let begun = Instant::now();
    while TcpStream::connect(&listen).is_ok() {
        ensure!(begun.elapsed() < Duration::from_mins(1), "the brain goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn it_is_shown_on_loopback_alone_and_where_nobody_else_is() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let output = demo(directory.path(), &["--listen", "0.0.0.0:7070"])?.output()?;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("on loopback alone"));

    let somebody = TcpListener::bind("127.0.0.1:0")?;
    let output = demo(directory.path(), &["--listen", &somebody.local_addr()?.to_string()])?.output()?;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("choose another by --listen"), "{said}");
    assert_eq!(std::fs::read_dir(directory.path())?.count(), 0);
    Ok(())
}
