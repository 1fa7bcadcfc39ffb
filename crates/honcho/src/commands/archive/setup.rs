//! `honcho archive init`, `suite` and `sources`.

use super::{WhichArchive, now};
use crate::command_error::CommandError;
use crate::context::Context;
use honcho_archive::{Architecture, Archive, Component, Settings, SuiteName, SuiteSettings, keyring};
use rand_core_06::OsRng;
use std::collections::BTreeMap;

pub(super) const INIT_HELP: &str = "\
The directory gets a key that signs (keys/, for its owner alone: keep a copy elsewhere) and a package with the keyring, which \
the first publication lists. Serve its public/ by any web server.

Examples:
  honcho archive init --origin Acme --suite bookworm
  honcho archive init --archive /srv/apt --origin Acme --label 'Acme hosting' --suite stable --suite testing \\
      --component main --component contrib --architecture amd64 --architecture arm64";

pub(super) const SUITE_HELP: &str = "\
Without options a new suite has the component main and the architecture amd64; a suite that is there keeps what no option \
names. What its indexes are changes with its next publication.

Examples:
  honcho archive suite testing
  honcho archive suite bookworm --architecture amd64 --architecture arm64
  honcho archive suite bookworm --contents && honcho archive publish bookworm
  honcho archive suite bookworm-backports --not-automatic --description 'newer than bookworm'";

pub(super) const SOURCES_HELP: &str = "\
The keyring has to be on the machine first; the package honcho-archive-keyring keeps it there afterwards.

Examples:
  curl -o /usr/share/keyrings/honcho-archive-keyring.gpg https://apt.example.com/honcho-archive-keyring.gpg
  honcho archive sources bookworm --url https://apt.example.com > /etc/apt/sources.list.d/acme.sources";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InitArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// Who makes it: Origin, by which apt's preferences can pin
    #[arg(long, value_name = "TEXT")]
    origin: String,
    /// What it is: Label, and the name of its key. The origin, where none is said
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// A suite; may be said several times
    #[arg(long = "suite", value_name = "NAME", required = true)]
    suites: Vec<SuiteName>,
    #[command(flatten)]
    parts: PartsArguments,
}

/// What a suite is made of.
#[derive(Clone, Debug, clap::Args)]
struct PartsArguments {
    /// A component; may be said several times [default: main]
    #[arg(long = "component", value_name = "NAME")]
    components: Vec<Component>,
    /// An architecture; may be said several times [default: amd64]
    #[arg(long = "architecture", value_name = "NAME")]
    architectures: Vec<Architecture>,
}

impl PartsArguments {
    fn settings(&self) -> Result<SuiteSettings, CommandError> {
        let or = |given: bool, usual: &str| if given { None } else { Some(usual.to_owned()) };
        let mut components = self.components.clone();
        components.extend(or(!components.is_empty(), "main").map(|name| name.parse()).transpose()?);
        let mut architectures = self.architectures.clone();
        architectures.extend(or(!architectures.is_empty(), "amd64").map(|name| name.parse()).transpose()?);
        Ok(SuiteSettings::new(components, architectures))
    }
}

pub(super) fn init(context: &Context, arguments: InitArguments) -> Result<(), CommandError> {
    let InitArguments { which, origin, label, suites, parts } = arguments;
    let own = parts.settings()?;
    let suites: BTreeMap<SuiteName, SuiteSettings> =
        suites.into_iter().map(|name| (name, own.clone())).collect();
    let names: Vec<SuiteName> = suites.keys().cloned().collect();
    let settings =
        Settings { label: label.unwrap_or_else(|| origin.clone()), origin, keys: Vec::new(), suites };
    let archive = Archive::create(&which.archive, settings, now(context), &mut OsRng)?;
    let mut changing = archive.change(|| ())?;
    changing.add_keyring(&names, now(context))?;
    let archive = changing.archive();
    let (root, public) = (archive.root().display(), archive.public());
    let key = archive.settings().keys.join(", ");
    if context.output.json {
        let made = serde_json::json!({ "archive": which.archive, "public": public, "keys": archive.settings().keys });
        return context.output.json(&made);
    }
    context.output.print(&format!("archive in {root}, signed by {key}"))?;
    context.output.note("keep a copy of its keys/ elsewhere: without them no machine takes its next release");
    context
        .output
        .note(&format!("`honcho archive publish` makes {} what a web server can serve", public.display()));
    Ok(())
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SuiteArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// The suite
    #[arg(value_name = "SUITE")]
    name: SuiteName,
    #[command(flatten)]
    parts: PartsArguments,
    /// One line of what it is
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// For so many days apt believes what is published
    #[arg(long, value_name = "DAYS")]
    valid_days: Option<u32>,
    /// apt installs from it only what is asked for from there, as with backports
    #[arg(long, conflicts_with = "automatic")]
    not_automatic: bool,
    /// apt installs from it like from any other
    #[arg(long)]
    automatic: bool,
    /// Tell which files are in which packages, for apt-file: each package's data is then read once
    #[arg(long, conflicts_with = "without_contents")]
    contents: bool,
    /// Do not tell it
    #[arg(long)]
    without_contents: bool,
}

pub(super) fn suite(context: &Context, arguments: SuiteArguments) -> Result<(), CommandError> {
    let SuiteArguments { which, name, parts, description, valid_days, not_automatic, automatic, .. } =
        arguments;
    let (contents, without_contents) = (arguments.contents, arguments.without_contents);
    let new = parts.settings()?;
    let mut changing = which.change(context)?;
    let known = changing.archive().settings().suites.contains_key(&name);
    changing.set(|settings| {
        let suite = settings.suites.entry(name.clone()).or_insert(new);
        if !parts.components.is_empty() {
            suite.components = parts.components;
        }
        if !parts.architectures.is_empty() {
            suite.architectures = parts.architectures;
        }
        suite.description = description.or(suite.description.take());
        suite.valid_days = valid_days.unwrap_or(suite.valid_days);
        suite.not_automatic = (suite.not_automatic || not_automatic) && !automatic;
        suite.contents = (suite.contents || contents) && !without_contents;
        Ok(())
    })?;
    if !known {
        changing.add_keyring(std::slice::from_ref(&name), now(context))?;
    }
    let suite = changing.archive().settings().suite(&name)?;
    if context.output.json {
        return context.output.json(suite);
    }
    context.output.print(&format!(
        "{name}: {} for {}, valid for {} days after each publication",
        words(&suite.components),
        words(&suite.architectures),
        suite.valid_days
    ))
}

fn words(names: &[impl ToString]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SourcesArguments {
    #[command(flatten)]
    which: WhichArchive,
    /// The suite
    suite: SuiteName,
    /// Where the archive's public/ is served
    #[arg(long, value_name = "URL", value_parser = url)]
    url: String,
    /// Source packages too, for `apt source`
    #[arg(long)]
    with_sources: bool,
}

/// What may stand in a line of a .sources file.
fn url(text: &str) -> Result<String, String> {
    let good = text.contains(':') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("is no URL that apt could read".to_owned())
    }
}

pub(super) fn sources(context: &Context, arguments: &SourcesArguments) -> Result<(), CommandError> {
    let archive = arguments.which.open()?;
    let suite = archive.settings().suite(&arguments.suite)?;
    let components: Vec<&str> = suite.components.iter().map(Component::as_str).collect();
    let text = format!(
        "Types: {}\nURIs: {}\nSuites: {}\nComponents: {}\nSigned-By: /usr/share/keyrings/{}",
        if arguments.with_sources { "deb deb-src" } else { "deb" },
        arguments.url,
        arguments.suite,
        components.join(" "),
        keyring::FILE,
    );
    if context.output.json {
        let keyring = format!("{}/{}", arguments.url, keyring::FILE);
        return context
            .output
            .json(&serde_json::json!({ "sources": format!("{text}\n"), "keyring": keyring }));
    }
    context.output.print(&text)
}
