//! Why a command failed: what happened, what caused it, and the next thing to do.
//!
//! Everything is cleaned before it is printed: half of it comes from the brain.

use crate::clean::clean;
use crate::output::{Output, Tone};
use honcho_api::client::ClientError;

/// What the program's exit code says. `honcho --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Something went wrong.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// The brain cannot be reached.
    Unreachable,
    /// The brain refused.
    Refused,
    /// An operation ended otherwise than done.
    EndedOtherwise,
    /// Waiting took too long.
    TimedOut,
    /// Whoever read our output left, as `head` does.
    ReaderGone,
    /// A program that we ran ended so.
    Child(u8),
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct CommandError {
    ending: Ending,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    /// The code of the brain's answer, if it was a 401.
    unauthorized: Option<String>,
    /// Whether there is no token to show to a brain.
    tokenless: bool,
}

impl CommandError {
    /// An error that ends so, and says so.
    pub(crate) fn new(ending: Ending, message: impl Into<String>) -> Self {
        CommandError {
            ending,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            unauthorized: None,
            tokenless: false,
        }
    }

    /// Something went wrong.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Ending::Failed, message)
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Ending::Usage, message)
    }

    /// Ends with this code and says nothing: who ended so has said it.
    pub(crate) fn silent(ending: Ending) -> Self {
        Self::new(ending, "")
    }

    /// Adds an error and all that caused it.
    #[must_use]
    pub(crate) fn cause(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many errors repeat their source in their own text.
            if !self.causes.last().is_some_and(|last| last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds the next thing to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Puts a better next thing to do in the place of those until now.
    #[must_use]
    pub(crate) fn only_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.clear();
        self.hint(hint)
    }

    /// Whether the brain did not take the token or session that it was shown.
    pub(crate) fn is_about_the_credential(&self) -> bool {
        self.unauthorized.as_deref().is_some_and(|code| code != "login_refused")
    }

    /// This error as one of having no token at all.
    #[must_use]
    pub(crate) fn tokenless(self) -> Self {
        CommandError { tokenless: true, ..self }
    }

    /// Whether nobody gave a token or logged in: a command that can do without a brain does.
    pub(crate) fn is_tokenless(&self) -> bool {
        self.tokenless
    }

    /// The program's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.ending {
            Ending::Failed => 1,
            Ending::Usage => 2,
            Ending::Unreachable => 3,
            Ending::Refused => 4,
            Ending::EndedOtherwise => 5,
            Ending::TimedOut => 6,
            // As if SIGPIPE had ended it: 128 + 13.
            Ending::ReaderGone => 141,
            Ending::Child(code) => code,
        }
    }

    /// Prints it.
    pub(crate) fn report(&self, output: &Output) {
        if matches!(self.ending, Ending::ReaderGone | Ending::Child(_)) {
            return;
        }
        let line = |tone, label: &str, text: &str| {
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            output.note(&format!("{} {}", output.paint_note(tone, label), clean(first)));
            lines.for_each(|line| output.note(&format!("    {}", clean(line))));
        };
        line(Tone::Bad, "error:", &self.message);
        for cause in &self.causes {
            line(Tone::Plain, "caused by:", cause);
        }
        for hint in &self.hints {
            line(Tone::Good, "hint:", hint);
        }
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::silent(Ending::ReaderGone)
        } else {
            Self::failed("cannot write the output").cause(&error)
        }
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(body) => refused(&body),
            ClientError::Unreachable { url, source } => unreachable(&url, &source),
            ClientError::Strange { .. } => Self::failed(error.to_string())
                .hint("check --url: is it the people's address of a Honcho brain?"),
        }
    }
}

fn refused(body: &honcho_api::ErrorBody) -> CommandError {
    let ending = if (400..500).contains(&body.status) { Ending::Refused } else { Ending::Failed };
    let sentence = match body.sentence() {
        empty if empty.is_empty() => format!("the brain answered {} ({})", body.status, body.code),
        sentence => sentence,
    };
    let mut error = CommandError::new(ending, sentence);
    error.unauthorized = (body.status == 401).then(|| body.code.clone());
    if let Some(hint) = &body.hint {
        error = error.hint(hint);
    } else if body.status >= 500 {
        error = error.hint(format!("the brain's log says more: look for request {}", body.request_id));
    }
    error
}

fn unreachable(url: &str, source: &reqwest::Error) -> CommandError {
    let mut error = CommandError::new(Ending::Unreachable, format!("the brain at {url} does not answer"));
    // What reqwest and hyper say on the way ("error sending request", "client error") adds nothing to what they stand on.
    let mut root: &dyn std::error::Error = source;
    while let Some(deeper) = root.source() {
        root = deeper;
    }
    error = error.cause(root);
    if error.causes.iter().any(|cause| cause.contains("ertificate")) {
        error.hint("--ca FILE names the CA certificate (PEM) that the brain's certificate comes from")
    } else {
        error.hint("is it running? `honcho serve` starts one; --url or HONCHO_URL says where it is")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ending_has_its_code() {
        let codes =
            [Ending::Failed, Ending::Usage, Ending::Unreachable, Ending::Refused, Ending::EndedOtherwise]
                .map(|ending| CommandError::silent(ending).exit_code());
        assert_eq!(codes, [1, 2, 3, 4, 5]);
        assert_eq!(CommandError::silent(Ending::TimedOut).exit_code(), 6);
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(CommandError::from(gone).exit_code(), 141);
    }
}
