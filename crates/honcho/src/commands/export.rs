//! `honcho export`: tables of the machine room as CSV.

use crate::command_error::CommandError;
use crate::context::Context;
use reqwest::Method;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Sites, racks, networks and accounts stand by their names. What was exported imports again and changes nothing. \
A text that a spreadsheet would take for a formula (it begins with =, +, - or @) has an apostrophe before it, \
which an import takes off.

Examples:
  honcho export hosts > hosts.csv
  honcho export networks --file networks.csv
  honcho export addresses --file addresses.csv";

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Exported {
    /// Every host
    Hosts,
    /// Every network
    Networks,
    /// Every address that somebody holds
    Addresses,
}

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ExportArguments {
    /// What to export
    #[arg(value_name = "WHAT")]
    what: Exported,
    /// Write it there and not to standard output; what is there is replaced once all has arrived
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, arguments: &ExportArguments) -> Result<(), CommandError> {
    let client = context.client()?;
    let path = match arguments.what {
        Exported::Hosts => "/v1/hosts.csv",
        Exported::Networks => "/v1/networks.csv",
        Exported::Addresses => "/v1/addresses.csv",
    };
    let mut answer = client.send(client.request(Method::GET, path)).await?;
    let mut file = arguments.file.as_deref().map(Partial::beside).transpose()?;
    loop {
        let chunk = answer.chunk().await;
        let chunk = chunk
            .map_err(|error| CommandError::failed("the brain broke off in the midst of it").cause(&error))?;
        match (chunk, &mut file) {
            (None, _) => break,
            (Some(bytes), Some(file)) => file.write(&bytes)?,
            (Some(bytes), None) => context.output.raw(&bytes)?,
        }
    }
    match file {
        Some(file) => file.keep(),
        None => Ok(()),
    }
}

/// A file that gets its name when it is complete.
struct Partial<'p> {
    file: tempfile::NamedTempFile,
    name: &'p Path,
}

impl<'p> Partial<'p> {
    fn beside(name: &'p Path) -> Result<Self, CommandError> {
        let directory =
            name.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::NamedTempFile::new_in(directory).map_err(|error| cannot_write(name, &error))?;
        Ok(Partial { file, name })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CommandError> {
        self.file.write_all(bytes).map_err(|error| cannot_write(self.name, &error))
    }

    fn keep(self) -> Result<(), CommandError> {
        self.file.persist(self.name).map_err(|error| cannot_write(self.name, &error.error))?;
        Ok(())
    }
}

fn cannot_write(name: &Path, error: &std::io::Error) -> CommandError {
    CommandError::failed(format!("cannot write {}", name.display())).cause(error)
}
