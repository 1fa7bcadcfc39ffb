//! `honcho mail`: settings for the mail daemons that carry slow logs.
//!
//! Printed as a shell script that makes them so, with what each is for; read it, then give it to `sh`. What carries slow logs:
//! a sender's daemon speaks to either of several equal receivers by TLS, both sides showing certificates of one CA; a receiver
//! takes mail of certificates that it lists alone, and writes the name it knows each by into the mail. Nothing bounces: a bounce
//! would be a log lost.

mod receiver;
mod sender;

use crate::command_error::CommandError;
use crate::context::Context;

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum MailCommand {
    /// Print settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Of a server that sends slow logs
    #[command(after_help = sender::HELP)]
    Sender(sender::SenderArguments),
    /// Of a machine that receives them, and no other mail
    #[command(after_help = receiver::HELP)]
    Receiver(receiver::ReceiverArguments),
}

pub(crate) fn run(context: &Context, command: &MailCommand) -> Result<(), CommandError> {
    let MailCommand::Config(command) = command;
    let script = match command {
        ConfigCommand::Sender(arguments) => sender::script(arguments),
        ConfigCommand::Receiver(arguments) => receiver::script(arguments)?,
    };
    if context.output.json {
        return context.output.json(&serde_json::json!({ "script": script }));
    }
    context.output.print(script.trim_end())
}

/// The one CA, and a certificate of this machine. Paths are those on the machine that is set up.
#[derive(Clone, Debug, clap::Args)]
struct CertificateArguments {
    /// The CA that all senders and receivers have their certificates of
    // Not named `ca`: clap would take it for the global option of that name.
    #[arg(long = "mail-ca", id = "mail_ca", value_name = "FILE", default_value = "/etc/honcho/mail/ca.pem", value_parser = path)]
    ca: String,
    /// This machine's certificate
    #[arg(long, value_name = "FILE", default_value = "/etc/honcho/mail/certificate.pem", value_parser = path)]
    certificate: String,
    /// Its key
    #[arg(long, value_name = "FILE", default_value = "/etc/honcho/mail/key.pem", value_parser = path)]
    key: String,
}

/// A path as it may stand in a script and in main.cf: without quotes, spaces and what else either would read in.
fn path(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte);
    if text.starts_with('/') && text.len() <= 1024 && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err("must be an absolute path of letters, digits and . _ - + @".to_owned())
    }
}

/// A name of a machine or a domain.
fn name(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts && text.len() <= 253 && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err("must be a name, as in mx1.example.net".to_owned())
    }
}

/// An address, as its two halves.
#[derive(Clone, Debug)]
struct Address {
    local: String,
    domain: String,
}

fn address(text: &str) -> Result<Address, String> {
    let wrong = || "must be an address of mail, as in slowlog@logs.example.net".to_owned();
    let (local, domain) = text.split_once('@').ok_or_else(wrong)?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
    let domain = name(domain).map_err(|_| wrong())?;
    if local.is_empty() || local.starts_with('-') || local.len() > 64 || !local.bytes().all(good) {
        return Err(wrong());
    }
    Ok(Address { local: local.to_owned(), domain })
}
