//! What the program says: for people on a terminal, as JSON lines elsewhere. All on standard error.

use std::io::{IsTerminal as _, Write as _};
use tracing_subscriber::EnvFilter;

/// Begins to log.
pub(crate) fn begin() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
}

/// Says why the program ends.
pub(crate) fn fatal(error: &anyhow::Error) {
    if std::io::stderr().is_terminal() {
        say(&format!("honcho-agent: {error:#}"));
    } else {
        tracing::error!("{error:#}");
    }
}

/// Says something to the person who started the program.
pub(crate) fn say(text: &str) {
    // When nobody listens there is nobody to tell that nobody listens.
    let _unheard = writeln!(std::io::stderr(), "{text}");
}
