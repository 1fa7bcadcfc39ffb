//! A real browser: Debian's Chromium, driven by chromedriver.
//!
//! It is spoken to by the few calls of the W3C's protocol that the tests need, and by Chromium's own, which no library has (its logs,
//! the size of its window, the colours that its system prefers, pictures of whole pages). Of the libraries for the rest, one makes
//! every program that is built beside it keep the order of JSON's keys, the other brings old versions of half a browser's parts.

use crate::brain::free_port;
use crate::programs::Process;
use crate::world::eventually;
use anyhow::{Context as _, Result};
use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long an element may take to be there.
const PATIENCE: Duration = Duration::from_secs(15);

/// The key that is held while the next one is pressed.
const CONTROL: char = '\u{e009}';

/// A browser with a window and a profile of its own.
pub struct Browser {
    driver: String,
    session: String,
    http: reqwest::Client,
    /// Ends with us.
    _process: Process,
}

impl Drop for Browser {
    /// Chromium outlives a chromedriver that is killed: it is ended first, also where a test has failed.
    fn drop(&mut self) {
        // Nobody is left to be told: whether the test was content is decided already.
        let _ = self.end();
    }
}

/// What the system prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Browser {
    fn end(&self) -> std::io::Result<()> {
        let address = self.driver.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "DELETE /session/{} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n",
            self.session
        )?;
        // It answers once the browser is gone.
        stream.read_exact(&mut [0; 12])
    }

    /// Starts one; `directory` keeps its profile and its log.
    pub async fn start(directory: &Path) -> Result<Browser> {
        let port = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let process = Process::start(&mut command, &directory.join("chromedriver.log"))
            .context("starting chromedriver: packaging/install-packages.sh test installs it")?;
        let driver = format!("http://127.0.0.1:{port}");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build()?;
        eventually("chromedriver answers", PATIENCE, async || {
            http.get(format!("{driver}/status")).send().await?.error_for_status()?;
            Ok(())
        })
        .await?;
        let profile = directory.join("profile");
        let capabilities = json!({
            // A brain that is not on loopback is its own certificate authority.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "args": [
                // The tests run as root, whom Chromium's sandbox refuses.
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                "--no-proxy-server", "--force-color-profile=srgb", format!("--user-data-dir={}", profile.display()),
            ] },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let mut browser = Browser { driver, session: String::new(), http, _process: process };
        let asked = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let begun =
            browser.answer(browser.http.post(format!("{}/session", browser.driver)).json(&asked)).await?;
        begun["sessionId"].as_str().context("a session has an id")?.clone_into(&mut browser.session);
        browser.width(1280).await?;
        Ok(browser)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer: Value = request.send().await?.json().await?;
        if let Some(error) = answer["value"]["error"].as_str() {
            anyhow::bail!("the browser said: {error}: {}", answer["value"]["message"]);
        }
        Ok(answer["value"].clone())
    }

    async fn ask(&self, path: &str, body: Value) -> Result<Value> {
        let address = format!("{}/session/{}/{path}", self.driver, self.session);
        self.answer(self.http.post(address).json(&body)).await
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.ask("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Makes its window that wide.
    pub async fn width(&self, pixels: u32) -> Result<()> {
        let height = if pixels < 600 { 844 } else { 900 };
        let metrics = json!({ "width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await?;
        Ok(())
    }

    /// Makes it believe that its system prefers these.
    pub async fn colours(&self, colours: Colours) -> Result<()> {
        let word = if colours == Colours::Light { "light" } else { "dark" };
        // Nothing is to be on its way from one colour to another when a picture is taken.
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": word },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", features).await?;
        Ok(())
    }

    /// Goes to an address.
    pub async fn go(&self, address: &str) -> Result<()> {
        self.ask("url", json!({ "url": address })).await?;
        Ok(())
    }

    /// The element that this CSS selector finds first, once there is one.
    async fn element(&self, css: &str) -> Result<String> {
        eventually(&format!("there is {css}"), PATIENCE, async || {
            let found = self.ask("element", json!({ "using": "css selector", "value": css })).await?;
            let id = found.as_object().and_then(|found| found.values().next()?.as_str());
            Ok(id.context("an element has an id")?.to_owned())
        })
        .await
    }

    /// Clicks on what this CSS selector finds first.
    pub async fn click(&self, css: &str) -> Result<()> {
        let element = self.element(css).await?;
        self.ask(&format!("element/{element}/click"), json!({}))
            .await
            .with_context(|| format!("clicking on {css}"))?;
        Ok(())
    }

    /// Types where this CSS selector points to; `\u{e007}` is Enter.
    pub async fn type_into(&self, css: &str, text: &str) -> Result<()> {
        let element = self.element(css).await?;
        self.ask(&format!("element/{element}/value"), json!({ "text": text })).await?;
        Ok(())
    }

    /// Presses keys, one after the other, wherever the focus is; `\u{e009}` is Control, held until the next one.
    pub async fn keys(&self, text: &str) -> Result<()> {
        let mut actions = Vec::new();
        let mut is_held = false;
        for key in text.chars() {
            let key_of = |kind: &str, key: char| json!({ "type": kind, "value": key.to_string() });
            actions.push(key_of("keyDown", key));
            if key == CONTROL {
                is_held = true;
                continue;
            }
            actions.push(key_of("keyUp", key));
            if std::mem::take(&mut is_held) {
                actions.push(key_of("keyUp", CONTROL));
            }
        }
        self.ask("actions", json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }))
            .await?;
        Ok(())
    }

    /// Empties a field and types into it.
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let element = self.element(css).await?;
        self.ask(&format!("element/{element}/clear"), json!({})).await?;
        self.type_into(css, text).await
    }

    /// Runs a script in the page; what it returns.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.ask("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// All that the page says, without its markup.
    pub async fn text(&self) -> Result<String> {
        Ok(self.run("return document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page says this, without loading it anew.
    pub async fn says(&self, words: &str) -> Result<()> {
        eventually("the page says so", Duration::from_mins(1), async || {
            let text = self.text().await?;
            anyhow::ensure!(text.contains(words), "it does not say \"{words}\":\n{text}");
            Ok(())
        })
        .await
    }

    /// Waits until a script gives this: what a click leads to comes after it.
    pub async fn gives(&self, script: &str, expected: &str) -> Result<()> {
        eventually(&format!("the page gives {expected}"), PATIENCE, async || {
            let given = self.run(script).await?;
            anyhow::ensure!(given == expected, "{script} gives {given}");
            Ok(())
        })
        .await
    }

    /// Errors in the console since the last time this was asked.
    pub async fn console_errors(&self) -> Result<Vec<String>> {
        let entries = self.ask("se/log", json!({ "type": "browser" })).await?;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        Ok(severe.map(|entry| entry["message"].to_string()).collect())
    }

    /// Addresses that were asked for since the last time this was asked.
    pub async fn requests(&self) -> Result<Vec<String>> {
        let entries = self.ask("se/log", json!({ "type": "performance" })).await?;
        let mut addresses = Vec::new();
        for entry in entries.as_array().cloned().unwrap_or_default() {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap_or("{}"))?;
            if message["message"]["method"] == "Network.requestWillBeSent" {
                let address = &message["message"]["params"]["request"]["url"];
                addresses.push(address.as_str().unwrap_or_default().to_owned());
            }
        }
        Ok(addresses)
    }

    /// What axe-core finds that keeps people from using the page: the rule, and where.
    pub async fn barriers(&self) -> Result<Vec<String>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&path)
            .with_context(|| format!("{} is missing: run npm ci in tests/browser", path.display()))?;
        self.run(&axe).await?;
        let script = "const done = arguments[arguments.length - 1]; \
            axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations.map((one) => \
            one.impact + ' ' + one.id + ': ' + one.nodes.map((node) => node.target + ' (' + node.any.map((any) => any.message) + ')').join('; '))))";
        let found = self.ask("execute/async", json!({ "script": script, "args": [] })).await?;
        let found: Vec<String> = serde_json::from_value(found)?;
        Ok(found
            .into_iter()
            .filter(|one| one.starts_with("serious") || one.starts_with("critical"))
            .collect())
    }

    /// By how many pixels the page is wider than its window.
    pub async fn overflow(&self) -> Result<i64> {
        let script = "const root = document.documentElement; return root.scrollWidth - root.clientWidth";
        self.run(script).await?.as_i64().context("a number")
    }

    /// Keeps what its window shows as a picture for the guide, small, in `target/screenshots/guide`.
    pub async fn guide_picture(&self, name: &str) -> Result<PathBuf> {
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await?;
        let height = size["cssContentSize"]["height"].as_f64().context("a height")?.min(900.0);
        let clip = json!({ "x": 0, "y": 0, "width": 1280, "height": height, "scale": 1 });
        let asked = json!({ "format": "webp", "quality": 70, "captureBeyondViewport": true, "clip": clip });
        let answer = self.devtools("Page.captureScreenshot", asked).await?;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(answer["data"].as_str().context("a picture")?)?;
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots/guide");
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{name}.webp"));
        std::fs::write(&path, bytes)?;
        Ok(path)
    }

    /// Keeps a picture of the whole page in `target/screenshots`.
    pub async fn picture(&self, name: &str) -> Result<PathBuf> {
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await?;
        let size = &size["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.devtools("Page.captureScreenshot", asked).await?;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(answer["data"].as_str().context("a picture")?)?;
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{name}.png"));
        std::fs::write(&path, bytes)?;
        Ok(path)
    }
}
