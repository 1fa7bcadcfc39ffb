//! `honcho guest`: the virtual machines.

mod capture;
mod console;
mod create;
mod delete;
mod list;
mod log;
mod move_to;
mod packages;
mod power;
mod rename;
mod resize;
mod restore;
mod show;
mod ssh;
mod update;

pub(super) use list::status_cell;

use crate::command_error::CommandError;
use crate::context::Context;

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum GuestCommand {
    /// Make a guest
    Create(create::CreateArguments),
    /// List guests
    List(list::ListGuestsArguments),
    /// Show one
    Show(show::ShowArguments),
    /// Show what one took over time
    Load(super::load::GuestLoadArguments),
    /// Start one that is stopped
    Start(power::StartArguments),
    /// Stop one; it stays stopped
    Stop(power::StopArguments),
    /// Stop and start one that runs
    Reboot(power::RebootArguments),
    /// Change memory, processors or disk
    Resize(resize::ResizeArguments),
    /// Say whether one may start without the brain
    Update(update::UpdateArguments),
    /// Give one another name
    Rename(rename::RenameArguments),
    /// Move one to another host
    Move(move_to::MoveArguments),
    /// Make an image of the disk of one that is stopped
    Capture(capture::CaptureArguments),
    /// Cancel one: it stops, and is deleted when its grace period ends
    Delete(delete::DeleteArguments),
    /// Take a cancelled one back
    Restore(restore::RestoreArguments),
    /// Open its serial console
    Console(console::ConsoleArguments),
    /// Print what its console printed
    Log(log::LogArguments),
    /// List the packages in one
    Packages(packages::PackagesArguments),
    /// Log in by SSH
    Ssh(ssh::SshArguments),
}

pub(crate) async fn run(context: &Context, command: GuestCommand) -> Result<(), CommandError> {
    match command {
        GuestCommand::Create(arguments) => create::run(context, arguments).await,
        GuestCommand::List(arguments) => list::run(context, arguments).await,
        GuestCommand::Show(arguments) => show::run(context, &arguments).await,
        GuestCommand::Load(arguments) => super::load::of_guest(context, &arguments).await,
        GuestCommand::Start(arguments) => power::start(context, &arguments).await,
        GuestCommand::Stop(arguments) => power::stop(context, &arguments).await,
        GuestCommand::Reboot(arguments) => power::reboot(context, &arguments).await,
        GuestCommand::Resize(arguments) => resize::run(context, &arguments).await,
        GuestCommand::Update(arguments) => update::run(context, &arguments).await,
        GuestCommand::Rename(arguments) => rename::run(context, &arguments).await,
        GuestCommand::Move(arguments) => move_to::run(context, &arguments).await,
        GuestCommand::Capture(arguments) => capture::run(context, &arguments).await,
        GuestCommand::Delete(arguments) => delete::run(context, &arguments).await,
        GuestCommand::Restore(arguments) => restore::run(context, &arguments).await,
        GuestCommand::Console(arguments) => console::run(context, &arguments).await,
        GuestCommand::Log(arguments) => log::run(context, &arguments).await,
        GuestCommand::Packages(arguments) => packages::run(context, arguments).await,
        GuestCommand::Ssh(arguments) => ssh::run(context, &arguments).await,
    }
}
