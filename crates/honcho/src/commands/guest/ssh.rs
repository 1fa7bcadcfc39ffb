//! `honcho guest ssh`: OpenSSH, told beforehand which host key is right.

use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::resolve::{Cancelled, GuestArgument};
use honcho_api::Guest;
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
The guest's host key was made with its disk and is known to the brain: OpenSSH is given it, so it \
neither asks nor trusts anything else. The exit code is OpenSSH's own: the remote command's, or 255.

Examples:
  honcho guest ssh web1
  honcho guest ssh web1 -i ~/.ssh/acme -- systemctl --failed
  honcho guest ssh web1 -o ProxyJump=rack1-07.example.com";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SshArguments {
    #[command(flatten)]
    guest: GuestArgument,
    /// The private key to log in with; what OpenSSH tries by itself, when absent
    #[arg(short = 'i', long = "identity", value_name = "KEY")]
    identity: Option<PathBuf>,
    /// Who to log in as
    #[arg(short = 'l', long = "user", value_name = "USER", default_value = "root")]
    user: String,
    /// Where SSH answers in the guest
    #[arg(short, long, value_name = "PORT", default_value_t = 22)]
    port: u16,
    /// Another option for OpenSSH, as in its -o; may be repeated
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// What to run there, instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) async fn run(context: &Context, arguments: &SshArguments) -> Result<(), CommandError> {
    let guest = arguments.guest.find(context, Cancelled::Hidden).await?;
    let directory = tempfile::Builder::new().prefix("honcho-ssh-").tempdir()?;
    let known_hosts = directory.path().join("known_hosts");
    let (address, line) = identity(&guest)?;
    std::fs::write(&known_hosts, line)?;
    // Ctrl-C is for OpenSSH, which passes it on or ends; we outlive it to remove the file.
    let mut interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let mut child = tokio::process::Command::new("ssh")
        .args(words(arguments, &guest, address, &known_hosts))
        .spawn()
        .map_err(|error| {
            CommandError::failed("cannot run ssh").cause(&error).hint("it is in the package openssh-client")
        })?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            _ = interrupts.recv() => {}
        }
    };
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    match u8::try_from(code).unwrap_or(255) {
        0 => Ok(()),
        code => Err(CommandError::silent(Ending::Child(code))),
    }
}

/// Where the guest is, and its line for `known_hosts`. Both come from elsewhere and go to another program: nothing but
/// an address and a key may pass.
fn identity(guest: &Guest) -> Result<(IpAddr, String), CommandError> {
    let name = clean(&guest.name);
    let address = guest
        .address
        .as_deref()
        .ok_or_else(|| CommandError::failed(format!("guest {name} has no address")))?;
    let address = address.parse().map_err(|_| {
        CommandError::failed(format!("the address of guest {name} is none: \"{}\"", clean(address)))
    })?;
    let key = guest.ssh_host_key.as_deref().ok_or_else(|| {
        CommandError::failed(format!("the host key of guest {name} is not known yet")).hint(format!(
            "it is made with the guest's disk: `honcho guest show {name}` says how far that is"
        ))
    })?;
    let words: Vec<&str> = key.split(' ').collect();
    let proper = |word: &&str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-@._".contains(&b))
    };
    match words.as_slice() {
        [algorithm, body, ..] if proper(algorithm) && proper(body) => {
            Ok((address, format!("{} {algorithm} {body}\n", alias(guest))))
        }
        _ => Err(CommandError::failed(format!("the host key of guest {name} is none: \"{}\"", clean(key)))),
    }
}

fn alias(guest: &Guest) -> String {
    format!("honcho-guest-{}", guest.uuid)
}

fn words(arguments: &SshArguments, guest: &Guest, address: IpAddr, known_hosts: &Path) -> Vec<OsString> {
    let mut known = OsString::from("UserKnownHostsFile=");
    known.push(known_hosts);
    let mut words: Vec<OsString> = vec!["-o".into(), known];
    let alias = format!("HostKeyAlias={}", alias(guest));
    let ours = [
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "CheckHostIP=no",
    ];
    for option in ours.into_iter().chain([alias.as_str()]).chain(arguments.options.iter().map(String::as_str))
    {
        words.extend(["-o".into(), option.into()]);
    }
    if let Some(key) = &arguments.identity {
        words.extend(["-i".into(), key.into(), "-o".into(), "IdentitiesOnly=yes".into()]);
    }
    words.extend(["-l".into(), (&arguments.user).into(), "-p".into(), arguments.port.to_string().into()]);
    words.extend(["--".into(), address.to_string().into()]);
    words.extend(arguments.command.iter().cloned());
    words
}
