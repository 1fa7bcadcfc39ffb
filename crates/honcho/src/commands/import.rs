//! `honcho import`: tables of the machine room out of CSV files.

use crate::clean::clean;
use crate::command_error::{CommandError, Ending};
use crate::context::Context;
use crate::table::{Cell, table};
use honcho_api::client::ClientError;
use honcho_api::{ErrorBody, ImportFile, ImportFiles, ImportOutcome};
use reqwest::{Method, RequestBuilder};
use std::io::Read as _;
use std::path::{Path, PathBuf};

const TABLE_HELP: &str = "\
The first line names the columns, in any order; `honcho export` writes all there are. What has no id is known by \
its name. A column that is not there leaves things as they are; an empty cell empties what it stands for. Either all \
lines are imported or none, and every bad line is named.

Examples:
  honcho import hosts hosts.csv --dry-run
  honcho import hosts hosts.csv";

const NETWORKS_HELP: &str = "\
The first line names the columns, in any order; `honcho export networks` writes all there are. What has no id is \
known by its name and account. What a network is made of stays: of one that is there, name and reserved ranges can \
change. An empty cell says nothing, save that of reserved_ranges. Either all lines are imported or none, and every \
bad line is named.

Examples:
  honcho import networks networks.csv --dry-run
  printf 'name,kind,vlan_id,subnet\\nfront,vlan,120,10.1.0.0/24\\n' | honcho import networks -";

const ADDRESSES_HELP: &str = "\
The first line names the columns, in any order; `honcho export addresses` writes all there are, of which status \
and guest_id are not read. What has no id is known by its network and itself. A line with an account allocates an \
address that is free; of one that is held, name and reverse_name can change, and an empty cell forgets one. Either \
all lines are imported or none, and every bad line is named.

Examples:
  honcho import addresses addresses.csv --dry-run
  printf 'network,address,account\\noffice,10.77.0.9,acme\\n' | honcho import addresses -";

const NETBOX_HELP: &str = "\
In NetBox: Devices, Export, \"All data\" or \"Current view\"; the same for Prefixes and VLANs. What a file holds is \
seen from its first line. Sites, racks and hosts are made of devices, networks of the prefixes that are active and \
hold no others; those of one VLAN are one network. Importing the same files again changes nothing.

Examples:
  honcho import netbox netbox_devices.csv netbox_prefixes.csv netbox_vlans.csv --dry-run
  honcho import netbox netbox_devices.csv netbox_prefixes.csv netbox_vlans.csv";

/// A file, and whether it is meant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TableArguments {
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum ImportCommand {
    /// Add hosts, and change those that are there
    #[command(after_help = TABLE_HELP)]
    Hosts(TableArguments),
    /// Make networks, and change those that are there
    #[command(after_help = NETWORKS_HELP)]
    Networks(TableArguments),
    /// Allocate addresses to accounts, and name those that are held
    #[command(after_help = ADDRESSES_HELP)]
    Addresses(TableArguments),
    /// Take over sites, racks, hosts and networks from NetBox
    #[command(after_help = NETBOX_HELP)]
    Netbox {
        /// CSV exports of devices, prefixes and VLANs
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) async fn run(context: &Context, command: ImportCommand) -> Result<(), CommandError> {
    let (kind, arguments) = match command {
        ImportCommand::Hosts(arguments) => ("hosts", arguments),
        ImportCommand::Networks(arguments) => ("networks", arguments),
        ImportCommand::Addresses(arguments) => ("addresses", arguments),
        ImportCommand::Netbox { files, dry_run } => {
            let files = files.iter().map(|file| file_of_netbox(file)).collect::<Result<Vec<_>, _>>()?;
            let request = request(context, "netbox", dry_run)?.json(&ImportFiles { files: Some(files) });
            return import(context, request).await;
        }
    };
    let bytes = read(&arguments.file)?;
    let request = request(context, kind, arguments.dry_run)?.header("content-type", "text/csv").body(bytes);
    import(context, request).await
}

fn request(context: &Context, kind: &str, dry_run: bool) -> Result<RequestBuilder, CommandError> {
    let request = context.client()?.request(Method::POST, &format!("/v1/imports/{kind}"));
    Ok(if dry_run { request.query(&[("dry_run", "true")]) } else { request })
}

fn read(file: &Path) -> Result<Vec<u8>, CommandError> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| CommandError::failed("cannot read standard input").cause(&error))?;
        return Ok(bytes);
    }
    std::fs::read(file)
        .map_err(|error| CommandError::failed(format!("cannot read {}", file.display())).cause(&error))
}

fn file_of_netbox(file: &Path) -> Result<ImportFile, CommandError> {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let text = String::from_utf8(read(file)?)
        .map_err(|error| CommandError::failed(format!("{} is not UTF-8", file.display())).cause(&error))?;
    Ok(ImportFile { name, text })
}

/// Sends it, however long it takes, and tells what came of it.
async fn import(context: &Context, request: RequestBuilder) -> Result<(), CommandError> {
    let answer = match context.client()?.send(request).await {
        Err(ClientError::Refused(body)) if body.errors.keys().any(|place| line_of(place).is_some()) => {
            return Err(bad_lines(&body));
        }
        answer => answer?,
    };
    let outcome = answer.json::<ImportOutcome>().await;
    let outcome = outcome
        .map_err(|error| CommandError::failed("the brain broke off in the midst of it").cause(&error))?;
    let output = &context.output;
    if output.json {
        return output.json(&outcome);
    }
    if !outcome.changes.is_empty() {
        let several = outcome.changes.iter().any(|change| change.file_name.is_some());
        let rows = outcome.changes.iter().map(|change| {
            let line = match &change.file_name {
                Some(file) if several => format!("{file}:{}", change.line),
                _ => change.line.to_string(),
            };
            vec![
                Cell::number(line),
                Cell::text(&change.action),
                Cell::text(&change.kind),
                Cell::text(&change.name),
                Cell::text(change.details.join("; ")),
            ]
        });
        output.page(&table(output, &["LINE", "DOES", "KIND", "NAME", "CHANGES"], rows.collect()))?;
    }
    for note in &outcome.notes {
        output.note(&format!("note: {}", clean(note)));
    }
    let [created, updated, same] = [outcome.created_count, outcome.updated_count, outcome.unchanged_count];
    let would = if outcome.dry_run { "Would be" } else { "Were" };
    output.note(&format!("{would} made: {created}, changed: {updated}; as they are already: {same}."));
    Ok(())
}

/// File and number of a line, as an error names it: `line 7`, `devices.csv line 7`.
fn line_of(place: &str) -> Option<(&str, i64)> {
    let (file, number) = place.rsplit_once("line ")?;
    Some((file, number.parse().ok()?))
}

/// Each bad line in the order of the file.
fn bad_lines(body: &ErrorBody) -> CommandError {
    let mut places: Vec<_> = body.errors.iter().collect();
    places.sort_by_key(|(place, _)| line_of(place));
    let count = places.iter().filter(|(place, _)| line_of(place).is_some()).count();
    let count = if count == 1 { "one line is bad".to_owned() } else { format!("{count} lines are bad") };
    let mut lines = vec![format!("nothing was imported: {count}")];
    for (place, texts) in places {
        let named = |text: &String| if place == "base" { text.clone() } else { format!("{place}: {text}") };
        lines.extend(texts.iter().map(named));
    }
    let message = lines.join("\n");
    let error = CommandError::new(Ending::Refused, message);
    match &body.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
