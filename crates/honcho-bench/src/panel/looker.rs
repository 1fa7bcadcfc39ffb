//! An operator with a browser that keeps a cookie and reads gzip.

use crate::api::served::Served;
use anyhow::{Context as _, Result, ensure};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, SET_COOKIE};
use std::time::{Duration, Instant};

const NAME: &str = "bench";
const PASSWORD: &str = "seven quiet otters measure pages";

/// What came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// From asking until the first byte of the page.
    pub(super) first_byte: Duration,
    /// Of the page, as it came.
    pub(super) bytes: usize,
}

pub(super) struct Looker {
    client: reqwest::Client,
    url: String,
    cookie: String,
}

/// The cookie that an answer sets.
fn cookie(answer: &reqwest::Response, name: &str) -> Option<String> {
    let all = answer.headers().get_all(SET_COOKIE).iter();
    let pairs = all.filter_map(|value| Some(value.to_str().ok()?.split(';').next()?.to_owned()));
    pairs.into_iter().find(|pair| pair.starts_with(&format!("{name}=")))
}

impl Looker {
    /// Makes an operator and logs in, by the form.
    pub(super) async fn log_in(served: &Served) -> Result<Looker> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let person = serde_json::json!({ "name": NAME, "operator": true, "password": PASSWORD });
        let made = client.post(format!("{}/v1/people", served.url)).bearer_auth(&served.token).json(&person);
        made.send().await?.error_for_status().context("making an operator")?;
        let form = client.get(format!("{}/login", served.url)).header(ACCEPT, "text/html").send().await?;
        let visit = cookie(&form, "honcho_visit").context("the login form has a cookie")?;
        let page = form.text().await?;
        let token = page.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let body = format!(
            "token={}&login={NAME}&password={}",
            token.context("the login form has a token")?,
            PASSWORD.replace(' ', "+")
        );
        let sent = client
            .post(format!("{}/login", served.url))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, visit)
            .body(body);
        let answer = sent.send().await?;
        let session = cookie(&answer, "honcho_session");
        let cookie = session.with_context(|| format!("logging in was answered by {}", answer.status()))?;
        Ok(Looker { client, url: served.url.clone(), cookie })
    }

    /// Looks at a page.
    pub(super) async fn look(&self, page: &str) -> Result<Seen> {
        let asked = self.client.get(format!("{}{page}", self.url));
        let asked =
            asked.header(COOKIE, &self.cookie).header(ACCEPT, "text/html").header(ACCEPT_ENCODING, "gzip");
        let begun = Instant::now();
        let mut answer = asked.send().await?;
        let status = answer.status();
        let mut bytes = answer.chunk().await?.map_or(0, |piece| piece.len());
        let first_byte = begun.elapsed();
        ensure!(status.is_success(), "{page} was answered by {status}");
        while let Some(piece) = answer.chunk().await? {
            bytes += piece.len();
        }
        Ok(Seen { first_byte, bytes })
    }
}
