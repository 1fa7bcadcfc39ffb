//! `honcho archive`: an apt repository in a directory. Needs no brain, but for `upload` and `guests`, which speak to one; `prune` asks one if it can.

mod build;
mod contents;
mod copy;
mod guests;
mod held;
mod history;
mod key;
mod packages;
mod publish;
mod setup;
mod upload;

use crate::command_error::CommandError;
use crate::context::Context;
use honcho_archive::{Archive, ArchiveError, Changing};
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Make an archive, with a key of its own
    #[command(after_help = setup::INIT_HELP)]
    Init(setup::InitArguments),
    /// Add a suite, or change what it is
    #[command(after_help = setup::SUITE_HELP)]
    Suite(setup::SuiteArguments),
    /// What apt needs to know, as a .sources file
    #[command(after_help = setup::SOURCES_HELP)]
    Sources(setup::SourcesArguments),
    /// Add packages, for the next publication
    #[command(after_help = packages::ADD_HELP)]
    Add(packages::AddArguments),
    /// Build a package of its source in a clean chroot, and add it
    #[command(after_help = build::HELP)]
    Build(build::BuildArguments),
    /// Upload packages into the archive of a brain, by its API
    #[command(after_help = upload::HELP)]
    Upload(upload::UploadArguments),
    /// Take packages out, for the next publication
    #[command(after_help = packages::REMOVE_HELP)]
    Remove(packages::RemoveArguments),
    /// Take over what another suite lists, for the next publication
    #[command(after_help = packages::PROMOTE_HELP)]
    Promote(packages::PromoteArguments),
    /// Go back to what a suite once listed, with the next publication
    #[command(after_help = packages::ROLL_BACK_HELP)]
    RollBack(packages::RollBackArguments),
    /// Forget what was added and removed and not published
    #[command(after_help = packages::DISCARD_HELP)]
    Discard(packages::DiscardArguments),
    /// Let everybody see what was added and removed
    #[command(after_help = publish::HELP)]
    Publish(publish::PublishArguments),
    /// Suites: what is served, until when it is valid, what is not yet published
    #[command(after_help = contents::STATUS_HELP)]
    Status(contents::StatusArguments),
    /// Packages that a suite lists
    #[command(visible_alias = "ls", after_help = contents::LIST_HELP)]
    List(contents::ListArguments),
    /// Guests: which have what a suite serves, and which of them an older version
    #[command(after_help = guests::HELP)]
    Guests(guests::GuestsArguments),
    /// A suite's publications
    #[command(after_help = history::HISTORY_HELP)]
    History(history::HistoryArguments),
    /// What changed from one publication to another
    #[command(after_help = history::DIFF_HELP)]
    Diff(history::DiffArguments),
    /// Remove old publications, and packages that none lists any more
    #[command(after_help = history::PRUNE_HELP)]
    Prune(history::PruneArguments),
    /// Keys that sign
    #[command(subcommand)]
    Key(key::KeyCommand),
}

pub(crate) async fn run(context: &Context, command: ArchiveCommand) -> Result<(), CommandError> {
    match command {
        ArchiveCommand::Init(arguments) => setup::init(context, arguments),
        ArchiveCommand::Suite(arguments) => setup::suite(context, arguments),
        ArchiveCommand::Sources(arguments) => setup::sources(context, &arguments),
        ArchiveCommand::Add(arguments) => packages::add(context, &arguments),
        ArchiveCommand::Build(arguments) => build::run(context, arguments).await,
        ArchiveCommand::Upload(arguments) => upload::run(context, arguments).await,
        ArchiveCommand::Remove(arguments) => packages::remove(context, &arguments),
        ArchiveCommand::Promote(arguments) => packages::promote(context, &arguments),
        ArchiveCommand::RollBack(arguments) => packages::roll_back(context, &arguments),
        ArchiveCommand::Discard(arguments) => packages::discard(context, &arguments),
        ArchiveCommand::Publish(arguments) => publish::run(context, &arguments).await,
        ArchiveCommand::Status(arguments) => contents::status(context, &arguments),
        ArchiveCommand::List(arguments) => contents::list(context, &arguments),
        ArchiveCommand::Guests(arguments) => guests::run(context, arguments).await,
        ArchiveCommand::History(arguments) => history::history(context, &arguments),
        ArchiveCommand::Diff(arguments) => history::diff(context, &arguments),
        ArchiveCommand::Prune(arguments) => history::prune(context, &arguments).await,
        ArchiveCommand::Key(command) => key::run(context, &command),
    }
}

/// Which archive.
#[derive(Clone, Debug, clap::Args)]
struct WhichArchive {
    /// The archive's directory; below it, public/ is what a web server serves
    #[arg(long, value_name = "DIR", default_value = "/var/lib/honcho/archive", env = "HONCHO_ARCHIVE")]
    archive: PathBuf,
}

impl WhichArchive {
    fn open(&self) -> Result<Archive, CommandError> {
        Ok(Archive::open(&self.archive)?)
    }

    /// Takes it, after whoever is at it.
    fn change(&self, context: &Context) -> Result<Changing, CommandError> {
        let waiting =
            || context.output.note("somebody else is changing the archive: waiting until they are done");
        let archive = self.open()?;
        if let Some(owner) = self.other_owner()? {
            return Err(self.of_other_owner(&owner).hint(format!("sudo -u {owner} honcho archive …")));
        }
        Ok(archive.change(waiting)?)
    }

    /// Whose it is, if it is another's than root's and we are root: what root writes there its owner could not change, and
    /// the brain could not sign anew.
    fn other_owner(&self) -> Result<Option<String>, CommandError> {
        let archive = std::fs::metadata(&self.archive).map_err(|error| {
            CommandError::failed(format!("cannot look at {}", self.archive.display())).cause(&error)
        })?;
        let owner = std::os::unix::fs::MetadataExt::uid(&archive);
        if owner == 0 || !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        // Without a name, a number as sudo takes it.
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = accounts.lines().find_map(|line| {
            let mut words = line.split(':');
            let name = words.next()?;
            (words.nth(1)?.parse() == Ok(owner)).then(|| name.to_owned())
        });
        Ok(Some(name.unwrap_or_else(|| format!("'#{owner}'"))))
    }

    fn of_other_owner(&self, owner: &str) -> CommandError {
        CommandError::failed(format!(
            "the archive {} belongs to {owner}, who could not change what root writes into it",
            self.archive.display()
        ))
    }
}

impl From<ArchiveError> for CommandError {
    fn from(error: ArchiveError) -> Self {
        match &error {
            ArchiveError::Io { error: cause, .. } if cause.kind() == std::io::ErrorKind::StorageFull => {
                CommandError::failed(error.to_string())
                    .hint("nothing was changed; `honcho archive prune --dry-run` says what can go")
            }
            ArchiveError::Damaged { .. } => CommandError::failed(error.to_string())
                .hint("a backup has it as it was; what is served was not touched"),
            _ => CommandError::failed(error.to_string()),
        }
    }
}

/// Seconds since 1970, as archives count.
fn now(context: &Context) -> i64 {
    context.output.now().as_second()
}
