//! `honcho completion`: what makes a shell complete honcho's words and names.

use crate::cli::Cli;
use crate::command_error::CommandError;
use crate::context::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

const AFTER_HELP: &str = "\
The lines it prints ask the program itself at each TAB, which in turn asks the brain (HONCHO_URL, \
HONCHO_TOKEN_FILE) for names. With --static they know the words alone and ask nobody.

Examples:
  honcho completion bash > /etc/bash_completion.d/honcho
  honcho completion zsh > /usr/local/share/zsh/site-functions/_honcho
  honcho completion fish > ~/.config/fish/completions/honcho.fish";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CompletionArguments {
    /// Which shell
    #[arg(value_enum)]
    shell: ShellName,

    /// Complete words alone, without asking the brain for names
    #[arg(long = "static")]
    without_names: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(context: &Context, arguments: &CompletionArguments) -> Result<(), CommandError> {
    let mut script = Vec::new();
    if arguments.without_names {
        let shell = match arguments.shell {
            ShellName::Bash => Shell::Bash,
            ShellName::Zsh => Shell::Zsh,
            ShellName::Fish => Shell::Fish,
        };
        clap_complete::generate(shell, &mut Cli::command(), "honcho", &mut script);
    } else {
        let shell: &dyn EnvCompleter = match arguments.shell {
            ShellName::Bash => &Bash,
            ShellName::Zsh => &Zsh,
            ShellName::Fish => &Fish,
        };
        shell.write_registration("COMPLETE", "honcho", "honcho", "honcho", &mut script)?;
    }
    context.output.raw(&script)
}
