//! The `sendmail` command, which every mail daemon of Unix has.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often it is looked whether it has ended.
const GLANCE: Duration = Duration::from_millis(5);

/// A command that takes a mail.
#[derive(Clone, Debug)]
pub struct Sendmail {
    /// The program, as in /usr/sbin/sendmail.
    pub program: PathBuf,
    /// How long it may take for one mail.
    pub patience: Duration,
}

/// What became of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The mail daemon has it.
    Queued,
    /// It does not take this one: why, in a sentence. It may take others.
    Refused(String),
    /// There is no answer: it cannot be run, or does not end. It is not to be expected that it takes another.
    None(String),
}

impl Sendmail {
    /// Hands over the mail in this file.
    pub fn hand_over(&self, mail: &Path, from: &str, to: &str) -> io::Result<Answer> {
        let mut command = Command::new(&self.program);
        // -i: a line of a single dot does not end the mail.
        command.args(["-i", "-f", from, "--", to]).stdin(File::open(mail)?).stdout(Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                return Ok(Answer::None(format!("{} cannot be run: {error}", self.program.display())));
            }
        };
        let glances = self.patience.as_millis() / GLANCE.as_millis();
        for _ in 0..glances {
            if let Some(status) = child.try_wait()? {
                return Ok(match status.code() {
                    Some(0) => Answer::Queued,
                    Some(code) => Answer::Refused(format!(
                        "{} ended with {code}: {}",
                        self.program.display(),
                        meaning(code)
                    )),
                    None => Answer::None(format!("{} was killed", self.program.display())),
                });
            }
            std::thread::sleep(GLANCE);
        }
        give_up(&mut child)?;
        let seconds = self.patience.as_secs();
        Ok(Answer::None(format!("{} did not end within {seconds} s", self.program.display())))
    }
}

fn give_up(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

/// What sysexits.h says of it, in the words of somebody who has a mail to send.
fn meaning(code: i32) -> &'static str {
    match code {
        64 => "it does not know these options (EX_USAGE)",
        65 => "it finds fault with the mail (EX_DATAERR)",
        67 => "it does not know the recipient (EX_NOUSER)",
        68 => "it does not know the recipient's host (EX_NOHOST)",
        69 => "the mail service is not available (EX_UNAVAILABLE)",
        70 => "an error of its own (EX_SOFTWARE)",
        71 => "the system lacks something (EX_OSERR)",
        72 => "a file of the system is missing (EX_OSFILE)",
        73 => "it cannot write its queue (EX_CANTCREAT)",
        74 => "it could not read or write (EX_IOERR)",
        75 => "not now: its queue is full, or the mail is larger than it takes (EX_TEMPFAIL)",
        77 => "it may not do that (EX_NOPERM)",
        78 => "its settings are wrong (EX_CONFIG)",
        _ => "it did not take the mail",
    }
}
