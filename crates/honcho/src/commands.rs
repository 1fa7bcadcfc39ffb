//! One file per command.

pub(crate) mod account;
pub(crate) mod address;
pub(crate) mod archive;
pub(crate) mod backup;
pub(crate) mod balance;
pub(crate) mod bench;
pub(crate) mod capacity;
pub(crate) mod cluster;
pub(crate) mod completion;
pub(crate) mod db;
pub(crate) mod demo;
pub(crate) mod event;
pub(crate) mod export;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod import;
mod load;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod mail;
pub(crate) mod network;
pub(crate) mod operation;
pub(crate) mod person;
pub(crate) mod placement;
pub(crate) mod pool;
pub(crate) mod post;
pub(crate) mod rack;
pub(crate) mod restore;
pub(crate) mod san;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod session;
pub(crate) mod simulate;
pub(crate) mod site;
pub(crate) mod slow;
pub(crate) mod token;
pub(crate) mod webhook;
pub(crate) mod whoami;

use crate::cli::{Cli, Command};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::output::Output;

/// Runs what was typed.
pub(crate) async fn run(cli: Cli, output: Output) -> Result<(), CommandError> {
    let context = Context::new(cli.global, output);
    run_in(&context, cli.command).await.map_err(|error| context.explain(error))
}

async fn run_in(context: &Context, command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Login(arguments) => login::run(context, arguments).await,
        Command::Logout(arguments) => logout::run(context, arguments).await,
        Command::Whoami => whoami::run(context).await,
        Command::Person(command) => person::run(context, command).await,
        Command::Session(command) => session::run(context, command).await,
        Command::Account(command) => account::run(context, command).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Site(command) => site::run(context, command).await,
        Command::Rack(command) => rack::run(context, command).await,
        Command::San(command) => san::run(context, command).await,
        Command::Host(command) => host::run(context, command).await,
        Command::Pool(command) => pool::run(context, command).await,
        Command::Network(command) => network::run(context, command).await,
        Command::Address(command) => address::run(context, command).await,
        Command::Image(command) => image::run(context, command).await,
        Command::Guest(command) => guest::run(context, command).await,
        Command::Cluster(command) => cluster::run(context, command).await,
        Command::Search(arguments) => search::run(context, &arguments).await,
        Command::Export(arguments) => export::run(context, &arguments).await,
        Command::Import(command) => import::run(context, command).await,
        Command::Operation(command) => operation::run(context, command).await,
        Command::Event(command) => event::run(context, command).await,
        Command::Db(command) => db::run(context, command).await,
        Command::Backup(arguments) => backup::run(context, arguments).await,
        Command::Restore(arguments) => restore::run(context, arguments).await,
        Command::Webhook(command) => webhook::run(context, command).await,
        Command::Balance(arguments) => balance::run(context, &arguments).await,
        Command::Capacity(arguments) => capacity::run(context, &arguments).await,
        Command::Placement(command) => placement::run(context, &command).await,
        Command::Archive(command) => archive::run(context, command).await,
        Command::Slow(command) => slow::run(context, &command).await,
        Command::Post(command) => post::run(context, &command).await,
        Command::Mail(command) => mail::run(context, &command),
        Command::Bench(arguments) => bench::run(context, &arguments),
        Command::Simulate(arguments) => simulate::run(context, &arguments),
        Command::Demo(arguments) => demo::run(context, &arguments),
        Command::Completion(arguments) => completion::run(context, &arguments),
    }
}

/// What an option gave: an empty text forgets what was said before.
fn emptied(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Prints what was deleted.
fn deleted<T: honcho_api::Resource>(context: &Context, item: &T) -> Result<(), CommandError> {
    if context.output.json {
        return context.output.json(item);
    }
    context.output.print(&format!(
        "{} {} (id {}) is deleted",
        T::WORD,
        crate::clean::clean(item.name()),
        item.id()
    ))
}
