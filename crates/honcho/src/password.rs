//! Passwords, from the terminal without echo or from a file. Never from an option: other users can see those.

use crate::command_error::{CommandError, Ending};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal};
use std::path::Path;

/// The password in a file, or the next line of standard input for `-`.
fn from_file(file: &Path) -> Result<String, CommandError> {
    if file == Path::new("-") {
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(|error| CommandError::failed("cannot read standard input").cause(&error))?;
        return one_line(&line, "standard input");
    }
    let what = format!("the password file {}", file.display());
    let text = std::fs::read_to_string(file)
        .map_err(|error| CommandError::usage(format!("cannot read {what}")).cause(&error))?;
    one_line(&text, &what)
}

/// All but the line feed at the end counts, spaces too.
fn one_line(text: &str, what: &str) -> Result<String, CommandError> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') {
        return Err(CommandError::usage(format!("{what} does not hold one password on one line")));
    }
    Ok(line.to_owned())
}

/// The exit code of a program that SIGINT has ended, as shells tell it.
const INTERRUPTED: u8 = 130;

/// Asks for a password.
async fn ask(prompt: &str, option: &str) -> Result<String, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::usage("nobody can be asked for the password")
            .hint(format!("{option} FILE reads it from a file, {option} - from standard input")));
    }
    // Whoever changes their mind at the question gets a terminal back that shows what is typed.
    let before = tcgetattr(std::io::stdin()).map_err(std::io::Error::from)?;
    let prompt = prompt.to_owned();
    let asking = tokio::task::spawn_blocking(move || rpassword::prompt_password(prompt));
    let answer = tokio::select! {
        answer = asking => answer,
        _ = tokio::signal::ctrl_c() => {
            tcsetattr(std::io::stdin(), OptionalActions::Drain, &before).map_err(std::io::Error::from)?;
            return Err(CommandError::silent(Ending::Child(INTERRUPTED)));
        }
    };
    answer.map_err(std::io::Error::other).flatten().map_err(|error| match error.kind() {
        // Ctrl-C, and the reading has noticed it first.
        std::io::ErrorKind::Interrupted => CommandError::silent(Ending::Child(INTERRUPTED)),
        _ => CommandError::failed("cannot ask for the password").cause(&error),
    })
}

/// Takes a password from a file, or asks for it.
pub(crate) async fn known(file: Option<&Path>, prompt: &str, option: &str) -> Result<String, CommandError> {
    match file {
        Some(file) => from_file(file),
        None => ask(prompt, option).await,
    }
}

/// Takes a new password from a file, or asks for it twice, since nobody sees what they type.
pub(crate) async fn new(file: Option<&Path>, option: &str) -> Result<String, CommandError> {
    if let Some(file) = file {
        return from_file(file);
    }
    let least = honcho_model::password::FEWEST_CHARACTERS;
    let first = ask(&format!("New password ({least} characters or more): "), option).await?;
    if ask("The same again: ", option).await? == first {
        Ok(first)
    } else {
        Err(CommandError::failed("not done: the two are not the same"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_all_of_one_line() {
        for text in [" two words ", " two words \n", " two words \r\n"] {
            assert_eq!(one_line(text, "x").unwrap(), " two words ", "{text:?}");
        }
        for text in ["", "\n", "one\ntwo\n"] {
            assert!(one_line(text, "x").is_err(), "{text:?}");
        }
    }
}
