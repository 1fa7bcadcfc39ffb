//! The panel in a real browser, against a real brain with an agent: the main paths of both kinds of people.
//!
//! Every page that is looked at is looked at whole: nothing in the console, no address but the brain's, no wider than its window
//! at three widths, nothing that keeps people from using it. Pictures go to `target/screenshots`.

use anyhow::{Context as _, Result};
use honcho_api::{Account, AccountCreate, Guest, Load, Operation, Person, PersonCreate};
use honcho_e2e::agent::SimulatedAgent;
use honcho_e2e::brain::Brain;
use honcho_e2e::browser::{Browser, Colours};
use honcho_e2e::world::World;
use honcho_model::guest::{GuestStatus, Power};
use std::time::Duration;

/// Pages of which the guide has a picture: `docs/guide/pictures/renew` takes them over.
const OF_GUIDE: [&str; 7] =
    ["overview", "guest-operator", "console", "placement-what-if", "network", "slow-ranking", "slow-query"];

const PASSWORD: &str = "a violet fence sings";

/// A brain, its agent, a browser, and what was found wrong with pages.
pub(super) struct Office {
    pub(super) brain: Brain,
    pub(super) world: World,
    pub(super) browser: Browser,
    agent: SimulatedAgent,
    pub(super) directory: tempfile::TempDir,
    wrong: Vec<String>,
}

impl Office {
    pub(super) async fn open() -> Result<Office> {
        let directory = tempfile::tempdir()?;
        let brain = Brain::start(directory.path()).await?;
        let world = World::make(&brain).await?;
        let agent = SimulatedAgent::join(&brain, directory.path(), "h1").await?;
        world.pool_ready(agent.host_id).await?;
        let browser = Browser::start(directory.path()).await?;
        Ok(Office { brain, world, browser, agent, directory, wrong: Vec::new() })
    }

    pub(super) async fn person(&self, name: &str, operator: bool, grants: &[(i64, &str)]) -> Result<()> {
        let body = PersonCreate {
            name: Some(name.to_owned()),
            full_name: None,
            operator: Some(operator),
            password: Some(PASSWORD.to_owned()),
        };
        let person: Person = self.world.client.create(&body).await?;
        for (account, scope) in grants {
            let path = format!("/v1/people/{}/grant?account_id={account}&scope={scope}", person.id);
            let request = self.world.client.request(reqwest::Method::PUT, &path);
            self.world.client.send(request).await?;
        }
        Ok(())
    }

    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.brain.url())
    }

    pub(super) async fn log_in(&self, name: &str) -> Result<()> {
        self.browser.go(&self.address("/login")).await?;
        self.browser.fill("#login", name).await?;
        self.browser.fill("#password", PASSWORD).await?;
        self.browser.click(".login button").await
    }

    pub(super) async fn log_out(&self) -> Result<()> {
        self.browser.click(".top .menu summary").await?;
        self.browser.click("form[action='/logout'] button").await?;
        self.browser.says("You are logged out.").await
    }

    /// Looks at the page that the browser shows, in all ways; what is wrong is gathered.
    pub(super) async fn look(&mut self, name: &str) -> Result<()> {
        for (width, colours) in
            [(390, Colours::Light), (2560, Colours::Light), (1280, Colours::Dark), (1280, Colours::Light)]
        {
            self.browser.width(width).await?;
            self.browser.colours(colours).await?;
            let word = if colours == Colours::Light { "light" } else { "dark" };
            self.browser.picture(&format!("{name}-{width}-{word}")).await?;
            let overflow = self.browser.overflow().await?;
            if overflow > 0 {
                self.wrong.push(format!("{name} is {overflow} px wider than its window of {width}"));
            }
            for barrier in self.browser.barriers().await? {
                self.wrong.push(format!("{name} at {width}, {word}: {barrier}"));
            }
        }
        if OF_GUIDE.contains(&name) {
            self.browser.guide_picture(name).await?;
        }
        for error in self.browser.console_errors().await? {
            self.wrong.push(format!("{name}, console: {error}"));
        }
        self.requests(name).await
    }

    async fn requests(&mut self, name: &str) -> Result<()> {
        let ours = self.brain.url();
        let asked = self.browser.requests().await?;
        // The browser's own pages and pictures are in itself.
        for address in
            asked.iter().filter(|address| address.starts_with("http") && !address.starts_with(&ours))
        {
            self.wrong.push(format!("{name} asked for {address}"));
        }
        Ok(())
    }

    pub(super) fn close(self) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        // The browser writes into the directory: it ends first.
        drop(self.browser);
        drop(self.directory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_and_a_customer_find_their_way() -> Result<()> {
    let mut office = Office::open().await?;
    let account = office.world.account.id;
    let other = AccountCreate { name: Some("zenith".to_owned()), ..AccountCreate::default() };
    let other: Account = office.world.client.create(&other).await?;
    office.person("ann", true, &[]).await?;
    office.person("bob@acme.example", false, &[(account, "admin")]).await?;
    office.person("eve", false, &[(other.id, "admin")]).await?;
    let mut guests: Vec<Guest> = Vec::new();
    for name in ["web1", "web2", "db1"] {
        guests.push(office.world.running(name).await?);
    }
    let web1 = guests.first().context("web1")?.id;

    // Somebody who is not logged in.
    office.browser.go(&office.address(&format!("/guests/{web1}"))).await?;
    office.look("login").await?;
    office.browser.fill("#login", "ann").await?;
    office.browser.fill("#password", "is not this one").await?;
    office.browser.click(".login button").await?;
    office.browser.says("name or password is wrong").await?;
    // That the answer is 401 is in the console, and is meant.
    office.browser.console_errors().await?;
    office.look("login-refused").await?;
    office.browser.fill("#password", PASSWORD).await?;
    office.browser.click(".login button").await?;
    office.browser.says("Why it is where it is").await?;
    office.look("guest-operator").await?;

    operator(&mut office, web1).await?;
    graphs(&mut office, guests.last().context("db1")?.id).await?;
    office.log_out().await?;
    customer(&mut office, web1).await?;
    office.log_out().await?;

    // A stranger is told that there is no such guest.
    office.log_in("eve").await?;
    office.browser.says("There are no guests here").await?;
    office.look("guests-none").await?;
    office.browser.go(&office.address(&format!("/guests/{web1}"))).await?;
    office.browser.says("There is no such page").await?;
    office.browser.console_errors().await?;
    office.look("not-found").await?;
    office.close();
    Ok(())
}

async fn operator(office: &mut Office, web1: i64) -> Result<()> {
    // "/" goes to the search box wherever somebody is.
    office.browser.type_into("body", "/").await?;
    let focused = office.browser.run("return document.activeElement.id").await?;
    assert_eq!(focused, "q", "\"/\" goes to the search box");
    office.browser.fill("#q", "web").await?;
    office.browser.type_into("#q", "\u{e007}").await?;
    office.browser.says("web2").await?;
    office.look("search").await?;

    office.browser.go(&office.address("/guests")).await?;
    office.browser.says("db1").await?;
    office.look("guests").await?;

    // A view is saved under a name, and stands above the table from then on.
    office.browser.go(&office.address("/guests?status=running")).await?;
    office
        .browser
        .run("document.querySelector(\"form[action='/guests/views']\").closest('details').open = true")
        .await?;
    office.browser.fill("#view-name", "What runs").await?;
    office.browser.click("form[action='/guests/views'] button").await?;
    office.browser.says("The view What runs is saved.").await?;
    office.look("guests-view").await?;
    let script = "return fetch('/guests.csv?status=running').then((answer) => answer.text())";
    let csv = office.browser.run(script).await?;
    assert!(
        csv.as_str().is_some_and(|csv| csv.lines().count() == 4 && csv.contains(",web2,acme,running,")),
        "{csv}"
    );

    // Dark stays dark, whatever the system prefers.
    office.browser.click(".top .menu summary").await?;
    office.browser.click("button[value=dark]").await?;
    let scheme = "return getComputedStyle(document.documentElement).colorScheme";
    office.browser.gives(scheme, "dark").await?;
    office.browser.click(".top .menu summary").await?;
    office.browser.click("button[value=system]").await?;
    office.browser.gives(scheme, "light dark").await?;

    let (host, network, account) = (office.agent.host_id, office.world.network.id, office.world.account.id);
    for (name, path) in [
        ("overview", "/".to_owned()),
        ("hosts", "/hosts".to_owned()),
        ("host", format!("/hosts/{host}")),
        ("drain", format!("/hosts/{host}/drain")),
        ("networks", "/networks".to_owned()),
        ("network", format!("/networks/{network}")),
        ("accounts", "/accounts".to_owned()),
        ("account", format!("/accounts/{account}")),
        ("usage", format!("/accounts/{account}/usage")),
        ("capacity", format!("/capacity?if_lost={host}")),
        ("placement", "/placement".to_owned()),
        ("placement-what-if", format!("/placement?memory=64M&vcpus=1&disk=1G&if_lost={host}")),
        ("placement-loss", "/placement?by=loss".to_owned()),
        ("images", "/images".to_owned()),
        ("image", format!("/images/{}", office.world.image.id)),
        ("image-diff", format!("/images/{}/diff?with={}", office.world.image.id, office.world.image.id)),
        ("password", "/password".to_owned()),
        ("people", "/people".to_owned()),
        ("person", "/people/2".to_owned()),
        ("events", "/events".to_owned()),
        ("order", "/guests/new".to_owned()),
    ] {
        office.browser.go(&office.address(&path)).await?;
        office.look(name).await?;
    }

    console(office, web1).await?;
    archive(office, web1).await?;

    // What happens is seen without loading the page anew.
    office.browser.go(&office.address(&format!("/guests/{web1}"))).await?;
    office.browser.run("window.stays = true").await?;
    let last_menu = ".acts details:last-of-type";
    office.browser.run(&format!("document.querySelector('{last_menu}').open = true")).await?;
    office.browser.run(&format!("document.querySelector('{last_menu} button').focus()")).await?;
    let stop: Operation = office.world.client.action::<Guest, _>(web1, "stop", &[]).await?;
    office.world.ended(stop.id).await?;
    office.browser.says("stopped").await?;
    assert_eq!(office.browser.run("return window.stays").await?, true, "it is the same page still");
    // What can be done with it has changed, too; and whoever was about to press something still is.
    office
        .browser
        .gives("return document.querySelector('form[action$=\"/start\"] button').textContent", "Start")
        .await?;
    office.browser.gives("return document.activeElement.textContent.trim()", "Cancel web1").await?;
    Ok(())
}

/// What the archive serves, what changed in it, who has it, and that somebody is told whose guests are behind.
async fn archive(office: &mut Office, web1: i64) -> Result<()> {
    let directory = office.directory.path().to_owned();
    let root = directory.join("apt");
    let honcho = |arguments: &[&str]| {
        let mut command = std::process::Command::new(honcho_e2e::programs::program("honcho")?);
        command.env("HONCHO_ARCHIVE", &root).arg("archive").args(arguments);
        super::apt::run(&mut command)
    };
    let at = root.display().to_string();
    honcho(&["init", "--archive", &at, "--origin", "Acme", "--suite", "bookworm"])?;
    for version in ["1.9", "1.10"] {
        let package = super::apt::built(&directory, version)?.display().to_string();
        honcho(&["add", &package, "--suite", "bookworm", "--publish"])?;
    }
    office.brain.serve_archive(&root).await?;
    let status = "Package: acme-tool\nStatus: install ok installed\nVersion: 1.9\nArchitecture: all\n\n";
    let path = format!("/v1/guests/{web1}/packages");
    let said = office.world.client.request(reqwest::Method::PUT, &path).body(status);
    office.world.client.send(said).await?;

    office.browser.go(&office.address("/")).await?;
    office.browser.says("guests have an older acme-tool than it serves").await?;
    office.browser.console_errors().await?;
    office.look("overview-outdated").await?;
    for (name, path) in [
        ("archive", "/archive"),
        ("archive-suite", "/archive/bookworm"),
        ("archive-outdated", "/archive/bookworm?show=outdated"),
        ("archive-history", "/archive/bookworm/history"),
        ("archive-diff", "/archive/bookworm/history?from=1&to=2"),
        ("archive-package", "/archive/bookworm/packages/acme-tool"),
    ] {
        office.browser.go(&office.address(path)).await?;
        office.look(name).await?;
    }
    office.browser.says("outdated on 1").await?;
    office.browser.go(&office.address(&format!("/guests/{web1}"))).await?;
    office.browser.click("a[href$='/packages']").await?;
    office.browser.says("The archive serves newer versions of 1").await?;
    office.look("guest-packages").await
}

/// What a guest and its host took is drawn once their agent has told it, without scripts too; with them it says what a place means.
async fn graphs(office: &mut Office, db1: i64) -> Result<()> {
    honcho_e2e::world::eventually("its agent has told what it took", Duration::from_secs(200), async || {
        let load: Load = office.world.client.get_path(&format!("/v1/guests/{db1}/load.json"), &[]).await?;
        anyhow::ensure!(load.cpus.iter().flatten().count() > 0, "nothing yet");
        Ok(())
    })
    .await?;
    office.browser.go(&office.address(&format!("/guests/{db1}"))).await?;
    office.look("guest-load").await?;
    office.browser.click("a[href$='span=2d#load-over-time']").await?;
    office
        .browser
        .gives("return document.querySelector('.graphs [aria-current]').textContent", "2 days")
        .await?;
    let count =
        office.browser.run("return document.querySelectorAll('.graphs figure svg[role=img]').length").await?;
    assert_eq!(count, 5, "processors, memory, disk, its operations, network");
    let hover = "const picture = document.querySelector('.graph svg'); const box = picture.getBoundingClientRect(); \
        picture.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: box.right - 1, clientY: box.top + 9 })); \
        return document.querySelector('.graph-said').textContent";
    let said = office.browser.run(hover).await?;
    let said = said.as_str().context("a text")?;
    assert!(said.contains("busiest minute 0.") && said.contains(", busy 0."), "{said}");
    office.browser.click(".graphs details summary").await?;
    office.look("guest-load-days").await?;
    let host = office.agent.host_id;
    office.browser.go(&office.address(&format!("/hosts/{host}?span=90d"))).await?;
    office.browser.says("Load over time").await?;
    office.look("host-load").await
}

/// What is typed is answered (the simulated guest says it again), whoever loses the console is told, and there is a way out for those
/// who have no mouse.
async fn console(office: &mut Office, web1: i64) -> Result<()> {
    office.browser.go(&office.address(&format!("/guests/{web1}"))).await?;
    office.browser.click(".head a[href$='/console']").await?;
    office.browser.says("(simulated): echoes what is typed").await?;
    let word = "return document.getElementById('console-word').textContent";
    office.browser.gives(word, "connected").await?;
    // In one of 16 million colours: the policy of the page forbids what that is usually made of.
    office.browser.keys("\u{e00c}[1;38;2;12;200;99mhello out there").await?;
    office.browser.says("hello out there").await?;
    office.look("console").await?;

    let focused = "return document.activeElement.id || document.activeElement.className";
    office.browser.gives(focused, "xterm-helper-textarea").await?;
    office.browser.keys("\u{e004}\u{e009}]").await?;
    office.browser.gives(focused, "console-reader").await?;
    office.browser.keys("\u{e007}").await?;
    office
        .browser
        .gives("return String(document.querySelectorAll('.xterm-accessibility').length)", "1")
        .await?;
    office.browser.click("#console-size option[value='132x43']").await?;
    office.browser.says("stty cols 132 rows 43").await?;
    office.look("console-large").await?;
    office.browser.click("#console-size option[value='80x24']").await?;
    office.browser.click("#console-reader").await?;

    // A page that connects again by itself takes the console from nobody.
    let again = "window.code = 'none'; const again = new WebSocket(document.getElementById('console').dataset.socket + '?again='); \
        again.onclose = (event) => (window.code = String(event.code))";
    office.browser.run(again).await?;
    office.browser.gives("return window.code", "4001").await?;
    office.browser.gives(word, "connected").await?;
    // What a guest has asked of the mouse is over when another begins to listen.
    office.browser.run("document.querySelector('.xterm-helper-textarea').focus()").await?;
    office.browser.keys("\u{e00c}[?1000h").await?;
    let mouse = "return String(document.querySelector('.xterm.enable-mouse-events') !== null)";
    office.browser.gives(mouse, "true").await?;

    let elsewhere = office.world.client.guest_console(web1).await?;
    office.browser.says("Somebody opened this console elsewhere.").await?;
    office.look("console-taken").await?;
    drop(elsewhere);
    office.browser.click("#console-connect").await?;
    office.browser.gives(word, "connected").await?;
    office.browser.gives(mouse, "false").await?;

    // Whoever logs out in another tab has no console any more, and is told why.
    let leave = "const token = document.querySelector(\"form[action='/logout'] [name=token]\").value; \
        fetch('/logout', { method: 'POST', body: new URLSearchParams({ token }) })";
    office.browser.run(leave).await?;
    office.browser.says("Your session has ended: load this page anew to log in.").await?;
    office.log_in("ann").await?;
    office.browser.says("Needs attention").await?;
    office.browser.go(&office.address(&format!("/guests/{web1}/console"))).await?;
    office.browser.gives(word, "connected").await?;

    office.browser.click(".console a[href$='/log']").await?;
    office.browser.says("What web1 printed").await?;
    office.look("console-log").await?;
    // Another site's page has the browser's cookie sent along, and its own name.
    let socket = office.address(&format!("/guests/{web1}/console/socket")).replace("http://", "ws://");
    office.browser.go("data:text/html,<title>elsewhere</title>").await?;
    let script = format!(
        "window.heard = 'nothing'; const socket = new WebSocket('{socket}'); \
        socket.onopen = () => (window.heard = 'opened'); socket.onclose = () => (window.heard += ', closed');"
    );
    office.browser.run(&script).await?;
    office.browser.gives("return window.heard", "nothing, closed").await?;
    office.browser.console_errors().await?;
    Ok(())
}

async fn customer(office: &mut Office, web1: i64) -> Result<()> {
    office.log_in("bob@acme.example").await?;
    office.browser.says("db1").await?;
    office.look("guests-customer").await?;
    office.browser.go(&office.address(&format!("/guests/{web1}"))).await?;
    office.browser.click("form[action$='/start'] button").await?;
    office.browser.says("web1 is being started.").await?;
    office
        .browser
        .gives("return document.querySelector('.badge.large').textContent.trim()", "running")
        .await?;
    office.look("guest-customer").await?;

    office.browser.fill("#memory_bytes", "many").await?;
    office.browser.click("form[action$='/resize'] button").await?;
    office.browser.says("This has to be mended first").await?;
    office.browser.console_errors().await?;
    office.look("guest-resize-refused").await?;
    // A form that was sent can be sent again by whoever goes back to it.
    office.browser.run("history.back()").await?;
    office.browser.gives("return String(document.querySelector('.problems') === null)", "true").await?;
    office.browser.fill("#memory_bytes", "128M").await?;
    office.browser.click("input[name=restart]").await?;
    office.browser.click("form[action$='/resize'] button").await?;
    office.browser.says("web1 is being resized.").await?;
    honcho_e2e::world::eventually("it has its size", Duration::from_secs(30), async || {
        let guest = office.world.guest(web1).await?;
        anyhow::ensure!(guest.memory_bytes == 128 << 20 && guest.status == GuestStatus::Running, "{guest:?}");
        Ok(())
    })
    .await?;

    office.browser.go(&office.address(&format!("/guests/{web1}"))).await?;
    office.browser.click("section.acts details:last-of-type summary").await?;
    office.browser.click("form[action$='/cancel'] button").await?;
    office.browser.says("Until it is deleted that can be undone").await?;
    office.look("guest-cancelled").await?;
    office.browser.click("form[action$='/restore'] button").await?;
    office.browser.says("web1 is taken back.").await?;
    assert_eq!(office.world.guest(web1).await?.power, Power::Running);
    Ok(())
}
