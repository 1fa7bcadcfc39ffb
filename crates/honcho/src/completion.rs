//! Completion of names, out of the brain.
//!
//! The shell calls the program anew at each TAB with `COMPLETE=SHELL` set. Whatever goes wrong then (no brain, no
//! token) completes to nothing: a person in the middle of a line has no use for an error.

use crate::connection;
use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;
use honcho_api::{
    Account, Cluster, Guest, Host, Image, ImageKey, Network, Person, Pool, Rack, Resource, San, Site, Suite,
    Token,
};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A person waits at the keyboard.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers, and ends the program, if it is the shell that asks.
pub(crate) fn answer_the_shell() {
    CompleteEnv::with_factory(crate::cli::Cli::command).complete();
}

#[derive(Parser)]
struct OnlyGlobal {
    #[command(flatten)]
    global: connection::GlobalArguments,
}

fn names<T: Resource>() -> Vec<CompletionCandidate> {
    those::<T>(|name| honcho_model::Name::new(name).is_ok())
}

fn those<T: Resource>(proper: fn(&str) -> bool) -> Vec<CompletionCandidate> {
    listed::<T>(&format!("/v1/{}.json", T::PATH), |item| item.name().to_owned(), proper)
}

fn listed<T: DeserializeOwned>(
    path: &str,
    name: fn(&T) -> String,
    proper: fn(&str) -> bool,
) -> Vec<CompletionCandidate> {
    // The half-typed line is not at hand here, so the brain is the one that the environment names.
    let Ok(arguments) = OnlyGlobal::try_parse_from(["honcho"]) else { return Vec::new() };
    let Ok(connection::Connection { client, .. }) = connection::connect(&arguments.global) else {
        return Vec::new();
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let list = async { tokio::time::timeout(PATIENCE, client.get_path::<Vec<T>>(path, &[])).await };
    let Ok(Ok(items)) = runtime.block_on(list) else { return Vec::new() };
    items
        .iter()
        .map(name)
        // Only proper names: what else might be in one has no business on a command line.
        .filter(|name| proper(name))
        .map(CompletionCandidate::new)
        .collect()
}

pub(crate) fn accounts() -> Vec<CompletionCandidate> {
    names::<Account>()
}
pub(crate) fn clusters() -> Vec<CompletionCandidate> {
    names::<Cluster>()
}
pub(crate) fn guests() -> Vec<CompletionCandidate> {
    names::<Guest>()
}
pub(crate) fn hosts() -> Vec<CompletionCandidate> {
    names::<Host>()
}
pub(crate) fn images() -> Vec<CompletionCandidate> {
    names::<Image>()
}
pub(crate) fn networks() -> Vec<CompletionCandidate> {
    names::<Network>()
}
pub(crate) fn suites() -> Vec<CompletionCandidate> {
    let proper = |name: &str| name.parse::<honcho_archive::SuiteName>().is_ok();
    listed::<Suite>("/v1/suites.json", |suite| suite.name.clone(), proper)
}
/// Suites of the archive on this machine.
pub(crate) fn own_suites() -> Vec<CompletionCandidate> {
    let root = std::env::var_os("HONCHO_ARCHIVE").unwrap_or_else(|| "/var/lib/honcho/archive".into());
    let Ok(archive) = honcho_archive::Archive::open(root.as_ref()) else { return Vec::new() };
    archive.settings().suites.keys().map(|suite| CompletionCandidate::new(suite.as_str())).collect()
}
pub(crate) fn people() -> Vec<CompletionCandidate> {
    those::<Person>(|name| honcho_model::password::login(name).is_ok())
}
pub(crate) fn pools() -> Vec<CompletionCandidate> {
    names::<Pool>()
}
pub(crate) fn racks() -> Vec<CompletionCandidate> {
    names::<Rack>()
}
pub(crate) fn sans() -> Vec<CompletionCandidate> {
    names::<San>()
}
pub(crate) fn image_keys() -> Vec<CompletionCandidate> {
    names::<ImageKey>()
}
pub(crate) fn sites() -> Vec<CompletionCandidate> {
    names::<Site>()
}
pub(crate) fn tokens() -> Vec<CompletionCandidate> {
    names::<Token>()
}
