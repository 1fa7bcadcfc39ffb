//! `honcho archive upload`: into the archive that a brain serves.

use crate::command_error::CommandError;
use crate::context::Context;
use crate::progress::bytes_bar;
use crate::table::{Cell, table};
use futures::StreamExt as _;
use honcho_api::ArchiveUploadCreate;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(super) const HELP: &str = "\
A token of the suite is enough for it (`honcho token create ci --suite bookworm`). Of a .changes and of a .dsc the files that they \
name are uploaded too; they lie beside it. All of it is added, or none, and published unless --draft is given. Whoever else \
uploads at the same time is waited for.

Examples:
  honcho archive upload ../hello_2.10-3_amd64.changes --suite bookworm
  honcho archive upload *.deb --suite bookworm --draft";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UploadArguments {
    /// .deb, .dsc and .changes files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The suite
    #[arg(long, value_name = "SUITE")]
    suite: honcho_archive::SuiteName,
    /// Its part
    #[arg(long, value_name = "COMPONENT", default_value = "main")]
    component: honcho_archive::Component,
    /// Add it for the next publication, and do not publish
    #[arg(long)]
    draft: bool,
    /// What the publication is for, kept in the history
    #[arg(long, value_name = "TEXT", conflicts_with = "draft")]
    note: Option<String>,
}

/// These files, and those that they name.
fn with_named(files: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let mut all = Vec::new();
    let mut names = BTreeSet::new();
    let mut waiting: Vec<PathBuf> = files.iter().rev().cloned().collect();
    while let Some(path) = waiting.pop() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !honcho_archive::is_file_name(&name) {
            return Err(CommandError::usage(format!("{} is no name of a package's file", path.display())));
        }
        if !names.insert(name) {
            continue;
        }
        if path.extension().is_some_and(|ending| ending == "changes" || ending == "dsc") {
            let beside = honcho_archive::named_beside(&path)?;
            waiting.extend(beside.into_iter().rev());
        }
        all.push(path);
    }
    Ok(all)
}

pub(super) async fn run(context: &Context, arguments: UploadArguments) -> Result<(), CommandError> {
    let UploadArguments { files, suite, component, draft, note } = arguments;
    let client = context.client()?;
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random)
        .map_err(|error| CommandError::failed("the kernel gives no randomness").cause(&error))?;
    let upload = format!("{:016x}", u64::from_ne_bytes(random));
    for path in with_named(&files)? {
        send(client, (suite.as_str(), &upload), &path).await?;
    }
    let body = ArchiveUploadCreate { component: Some(component.to_string()), publish: Some(!draft), note };
    let added = client.add_upload((suite.as_str(), &upload), &body).await?;
    if context.output.json {
        return context.output.json(&added);
    }
    let headings = ["PACKAGE", "VERSION", "ARCHITECTURE", "IN THE POOL", ""];
    let rows = added.packages.iter().map(|one| {
        vec![
            Cell::text(&one.package),
            Cell::text(&one.version),
            Cell::text(&one.architecture),
            Cell::text(&one.place),
            Cell::text(if one.is_new { "added" } else { "there already" }),
        ]
    });
    context.output.print(&table(&context.output, &headings, rows.collect()))?;
    match added.publication {
        Some(number) => context.output.note(&format!("{suite}@{number} is served")),
        None if draft => context
            .output
            .note(&format!("not yet published: `honcho archive publish {suite}` on the archive's machine")),
        None => context.output.note(&format!("{suite}: nothing to publish")),
    }
    Ok(())
}

async fn send(
    client: &honcho_api::client::Client,
    (suite, upload): (&str, &str),
    path: &Path,
) -> Result<(), CommandError> {
    let cannot_read = |error| CommandError::failed(format!("cannot read {}", path.display())).cause(&error);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let file = tokio::fs::File::open(path).await.map_err(cannot_read)?;
    let size = file.metadata().await.map_err(cannot_read)?.len();
    let bar = bytes_bar(&format!("send {name}"), size);
    let counter = bar.clone();
    let chunks = tokio_util::io::ReaderStream::with_capacity(file, 256 * 1024).inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            counter.inc(chunk.len() as u64);
        }
    });
    let sent = client.send_upload((suite, upload, &name), size, chunks).await;
    bar.finish_and_clear();
    sent?;
    Ok(())
}
