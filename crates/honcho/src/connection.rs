//! Which brain, and with which token or session.

use crate::command_error::CommandError;
use crate::kept_session::{self, KeptSession, Openness};
use crate::output::ColorChoice;
use honcho_api::client::Client;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a brain on this machine puts the operator's first token: under `./run`'s directory, or installed.
const TOKEN_FILES: [&str; 2] = ["var/brain/operator.token", "/var/lib/honcho/operator.token"];

/// A brain that is there answers a connection much faster.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Options that every command takes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArguments {
    /// Where the brain is
    #[arg(
        long,
        global = true,
        env = "HONCHO_URL",
        default_value = "http://127.0.0.1:7070",
        value_name = "URL"
    )]
    pub(crate) url: String,

    /// The token to show (other users of this machine can see a command's options: prefer --token-file)
    #[arg(long, global = true, env = "HONCHO_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,

    /// The file that holds the token. When absent: the session of `honcho login`, then, for a brain on this
    /// machine, ./var/brain/operator.token and /var/lib/honcho/operator.token
    #[arg(long, global = true, env = "HONCHO_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// For https: trust the CA certificates (PEM) in this file, and no others
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Print the API's JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to colour (auto: on a terminal, unless `NO_COLOR` is set)
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
}

/// What is shown to the brain, and where it came from.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// `--token` or its variable.
    Token,
    /// A file with a token.
    TokenFile(PathBuf),
    /// What `honcho login` kept.
    Session(KeptSession),
}

/// A brain, and who one is there.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) credential: Credential,
}

/// The address that the options name.
pub(crate) fn address(arguments: &GlobalArguments) -> Result<reqwest::Url, CommandError> {
    reqwest::Url::parse(&arguments.url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            CommandError::usage(format!("\"{}\" is not the URL of a brain", arguments.url))
                .hint("write it as in http://127.0.0.1:7070 (--url or HONCHO_URL)")
        })
}

/// The brain that the options name, with the token or session that goes with it.
pub(crate) fn connect(arguments: &GlobalArguments) -> Result<Connection, CommandError> {
    let url = address(arguments)?;
    let (secret, credential) = credential(arguments, &url)?;
    Ok(Connection {
        client: Client::new(http(arguments.ca.as_deref(), &url)?, &arguments.url, &secret),
        credential,
    })
}

/// The same brain, to which nothing is shown: for logging in.
pub(crate) fn connect_as_nobody(arguments: &GlobalArguments) -> Result<Client, CommandError> {
    let url = address(arguments)?;
    if url.scheme() == "http" && !is_this_machine(&url) {
        let error = CommandError::usage(format!("a password is not sent to {} without TLS", arguments.url));
        return Err(error.hint("give the brain's https:// address: --url or HONCHO_URL"));
    }
    Ok(Client::new(http(arguments.ca.as_deref(), &url)?, &arguments.url, ""))
}

/// The same brain, shown the secret of a session.
pub(crate) fn connect_in(arguments: &GlobalArguments, session: &KeptSession) -> Result<Client, CommandError> {
    let url = address(arguments)?;
    Ok(Client::new(http(arguments.ca.as_deref(), &url)?, &arguments.url, &session.secret))
}

/// What speaks HTTP to whoever is there, by these CA certificates in place of the system's.
pub(crate) fn http(ca: Option<&Path>, url: &reqwest::Url) -> Result<reqwest::Client, CommandError> {
    let mut http = reqwest::Client::builder()
        .user_agent(concat!("honcho/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // The API never redirects; following one could carry the token elsewhere.
        .redirect(reqwest::redirect::Policy::none());
    if is_this_machine(url) {
        http = http.no_proxy();
    }
    if let Some(file) = ca {
        http = http.tls_certs_only(certificates(file)?);
    } else if url.scheme() == "http" {
        // Without TLS there is no need to read the system's certificates, nor to have any.
        http = http.tls_certs_only([]);
    }
    http.build().map_err(|error| CommandError::failed("cannot set up HTTP").cause(&error))
}

fn is_this_machine(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What was asked for goes first, then whoever logged in there, then what lies about on this machine.
fn credential(arguments: &GlobalArguments, url: &reqwest::Url) -> Result<(String, Credential), CommandError> {
    if let Some(token) = &arguments.token {
        return Ok((checked(token, "the token")?, Credential::Token));
    }
    if let Some(file) = &arguments.token_file {
        return Ok((read(file)?, Credential::TokenFile(file.clone())));
    }
    // One that has ended is no reason to take the operator's token instead: who logged in wants to be who they are.
    if let Some(kept) = kept_session::load(url, Openness::Refused)? {
        return Ok((checked(&kept.secret, "the session file")?, Credential::Session(kept)));
    }
    let here = is_this_machine(url);
    // A brain elsewhere must not be shown the token of the one here.
    if let Some(file) = TOKEN_FILES.iter().map(Path::new).find(|file| here && file.exists()) {
        return Ok((read(file)?, Credential::TokenFile(file.to_owned())));
    }
    let error = CommandError::usage("no token for the brain, and nobody has logged in").tokenless();
    let tried = TOKEN_FILES.join(" or ");
    Err(error
        .hint("`honcho login` lets a person in; a token is given by --token-file FILE or HONCHO_TOKEN_FILE")
        .hint(if here {
            format!("looked for {tried} (`honcho serve` writes the first token to DATA/operator.token)")
        } else {
            "files of this machine are not tried, since the brain is on another one".to_owned()
        }))
}

fn read(file: &Path) -> Result<String, CommandError> {
    let what = format!("the token file {}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let error = CommandError::usage(format!("cannot read {what}")).cause(&error);
        if denied {
            error.hint("it belongs to the operator: run as that user, or give another token")
        } else {
            error
        }
    })?;
    checked(&text, &what)
}

fn checked(text: &str, what: &str) -> Result<String, CommandError> {
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CommandError::usage(format!("{what} does not hold one token on one line")));
    }
    Ok(token.to_owned())
}

fn certificates(file: &Path) -> Result<Vec<reqwest::Certificate>, CommandError> {
    let error = || CommandError::usage(format!("cannot read the CA certificates in {}", file.display()));
    let pem = std::fs::read(file).map_err(|cause| error().cause(&cause))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|cause| error().cause(&cause))?;
    if certificates.is_empty() { Err(error().hint("it holds no PEM certificate")) } else { Ok(certificates) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine() {
        let here = |url: &str| is_this_machine(&reqwest::Url::parse(url).unwrap());
        for url in ["http://127.0.0.1:7070", "http://localhost", "http://[::1]:7070", "http://127.9.9.9"] {
            assert!(here(url), "{url}");
        }
        for url in ["http://10.0.0.1", "https://localhost.example.com", "http://127.0.0.1.example.com"] {
            assert!(!here(url), "{url}");
        }
    }
}
