//! The grammar of the command line.

use crate::commands::{
    account::AccountCommand, address::AddressCommand, archive::ArchiveCommand, backup::BackupArguments,
    balance::BalanceArguments, bench::BenchArguments, capacity::CapacityArguments, cluster::ClusterCommand,
    completion::CompletionArguments, db::DbCommand, demo::DemoArguments, event::EventCommand,
    export::ExportArguments, guest::GuestCommand, host::HostCommand, image::ImageCommand,
    import::ImportCommand, login::LoginArguments, logout::LogoutArguments, mail::MailCommand,
    network::NetworkCommand, operation::OperationCommand, person::PersonCommand, placement::PlacementCommand,
    pool::PoolCommand, post::PostCommand, rack::RackCommand, restore::RestoreArguments, san::SanCommand,
    search::SearchArguments, serve::ServeArguments, session::SessionCommand, simulate::SimulateArguments,
    site::SiteCommand, slow::SlowCommand, token::TokenCommand, webhook::WebhookCommand, whoami,
};
use crate::connection::GlobalArguments;

const AFTER_HELP: &str = "\
Names and ids are both accepted (`honcho guest show web1`, `honcho guest show 7`), and so are plural \
words (`honcho guests list`).

Exit codes:
  0  fine
  1  failed
  2  the command line makes no sense, or there is neither token nor session
  3  the brain cannot be reached
  4  the brain refused (4xx), or what was named does not exist
  5  an operation ended otherwise than done
  6  waiting took too long
`honcho guest ssh` ends with the code of OpenSSH.

Examples:
  honcho account create acme
  honcho network create office --subnet 10.77.0.0/24
  honcho guest create web1 --account acme --image debian-12 --memory 512M --disk 3G \\
      --network office --ssh-key ~/.ssh/id_ed25519.pub --wait
  honcho guest ssh web1
  honcho guests list --json | jq '.[].address'";

/// The brain of a small data centre, and the way to speak with it
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "honcho", version, after_help = AFTER_HELP, max_term_width = 110, subcommand_required = true)]
#[command(arg_required_else_help = true, infer_long_args = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Run the brain
    Serve(ServeArguments),
    /// Log in: later commands are yours
    Login(LoginArguments),
    /// Log out
    Logout(LogoutArguments),
    /// Tell who the brain takes you for
    #[command(after_help = whoami::EXAMPLES)]
    Whoami,
    /// Accounts: who owns guests
    #[command(subcommand, visible_alias = "accounts")]
    Account(AccountCommand),
    /// People: who logs in, and what they may
    #[command(subcommand, visible_alias = "people")]
    Person(PersonCommand),
    /// Sessions: who is logged in
    #[command(subcommand, visible_alias = "sessions")]
    Session(SessionCommand),
    /// Tokens: what programs show to be let in
    #[command(subcommand, visible_alias = "tokens")]
    Token(TokenCommand),
    /// Sites: where racks stand
    #[command(subcommand, visible_alias = "sites")]
    Site(SiteCommand),
    /// Racks: what hosts are screwed into
    #[command(subcommand, visible_alias = "racks")]
    Rack(RackCommand),
    /// Hosts: the physical machines
    #[command(subcommand, visible_alias = "hosts")]
    Host(HostCommand),
    /// Pools: the storage of hosts
    #[command(subcommand, visible_alias = "pools")]
    Pool(PoolCommand),
    /// SANs: storage that several hosts reach
    #[command(subcommand, visible_alias = "sans")]
    San(SanCommand),
    /// Networks: their subnets, and what is reserved of them
    #[command(subcommand, visible_alias = "networks")]
    Network(NetworkCommand),
    /// Addresses: which are held, by whom, and their names
    #[command(subcommand, visible_alias = "addresses")]
    Address(AddressCommand),
    /// Images: what guests' disks are made from
    #[command(subcommand, visible_alias = "images")]
    Image(ImageCommand),
    /// Guests: the virtual machines
    #[command(subcommand, visible_alias = "guests")]
    Guest(GuestCommand),
    /// Clusters: guests that are ordered and ended as one
    #[command(subcommand, visible_alias = "clusters")]
    Cluster(ClusterCommand),
    /// Look for anything: by name, address, MAC address, serial number, owner, id
    Search(SearchArguments),
    /// Write a table of the machine room as CSV
    Export(ExportArguments),
    /// Read tables of the machine room from CSV files, our own or NetBox's
    #[command(subcommand)]
    Import(ImportCommand),
    /// Operations: what was asked for and how it goes
    #[command(subcommand, visible_alias = "operations")]
    Operation(OperationCommand),
    /// Events: what happened
    #[command(subcommand, visible_alias = "events")]
    Event(EventCommand),
    /// Where the brain remembers
    #[command(subcommand)]
    Db(DbCommand),
    /// Keep everything the brain remembers in one file
    Backup(BackupArguments),
    /// Begin a brain's next life from a backup
    Restore(RestoreArguments),
    /// Webhooks: receivers that are told events
    #[command(subcommand, visible_alias = "webhooks")]
    Webhook(WebhookCommand),
    /// Spread guests more evenly: which to move where, in which order
    Balance(BalanceArguments),
    /// How many more guests fit, and what runs out first
    Capacity(CapacityArguments),
    /// Placement: where guests go, and why
    #[command(subcommand)]
    Placement(PlacementCommand),
    /// An apt repository of your own, in a directory. Needs no brain
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// Slow logs of databases: which queries took the time
    #[command(subcommand)]
    Slow(SlowCommand),
    /// The post: import the mails that servers send slow logs in
    #[command(subcommand)]
    Post(PostCommand),
    /// Settings for the mail daemons that carry slow logs. Needs no brain
    #[command(subcommand)]
    Mail(MailCommand),
    /// Measure Honcho on this machine
    Bench(BenchArguments),
    /// A data centre with simulated hosts and guests around a real brain
    Simulate(SimulateArguments),
    /// Look around in a simulated data centre with a month of slow queries
    Demo(DemoArguments),
    /// Print what makes a shell complete honcho's words and names
    Completion(CompletionArguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        super::Cli::command().debug_assert();
    }
}
