//! Asking the database server what it logs as slow, by the client that is installed beside it. Whatever goes wrong, the log goes all
//! the same: then nobody is told.

use honcho_post::Logging;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer is longer.
const LONGEST: u64 = 64 << 10;
/// As `MariaDB` calls its client, and as `MySQL` and older ones do.
const CLIENTS: [&str; 2] = ["mariadb", "mysql"];
/// Stands for no client.
const NOBODY: &str = "none";

/// The client, and how it gets in.
pub(crate) struct Client<'a> {
    /// The program; whichever is installed, if none is named.
    pub(crate) program: Option<&'a Path>,
    /// Its option file, in place of those that it reads by itself.
    pub(crate) defaults_file: Option<&'a Path>,
}

impl Client<'_> {
    /// What the server logs as slow, or why that is not known; neither, if nobody is to be asked.
    pub(crate) fn ask(&self) -> Result<Option<Logging>, String> {
        let named: Vec<PathBuf> = match self.program {
            Some(program) if program == Path::new(NOBODY) => return Ok(None),
            Some(program) => vec![program.to_owned()],
            None => CLIENTS.map(PathBuf::from).to_vec(),
        };
        for program in &named {
            match self.run(program) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{} cannot be run: {error}", program.display())),
                Ok(said) => return said.map(Some),
            }
        }
        let named: Vec<String> = named.iter().map(|program| program.display().to_string()).collect();
        Err(format!("there is no {} to ask the server with", named.join(" and no ")))
    }

    fn run(&self, program: &Path) -> io::Result<Result<Logging, String>> {
        let (mut said, says) = io::pipe()?;
        let mut command = Command::new(program);
        // The client takes it in the first place alone.
        command.args(self.defaults_file.map(|file| format!("--defaults-file={}", file.display())));
        command.args(["--protocol=socket", "--connect-timeout=4", "--batch", "--skip-column-names"]);
        command.arg(format!("--execute={}", Logging::QUESTION));
        command.stdin(Stdio::null()).stdout(says.try_clone()?).stderr(says);
        let mut child = command.spawn()?;
        // With it goes our end of what it writes to: the reader then comes to an end when the client does.
        drop(command);
        let (answer, answered) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = said.by_ref().take(LONGEST).read_to_end(&mut bytes).map(|_| bytes);
            // Nobody waits any more if it took too long.
            let _ = answer.send(read);
        });
        let program = program.display();
        let Ok(bytes) = answered.recv_timeout(PATIENCE) else {
            give_up(&mut child)?;
            return Ok(Err(format!("{program} did not end within {} s", PATIENCE.as_secs())));
        };
        let text = String::from_utf8_lossy(&bytes?).into_owned();
        // It has closed what it writes to: there is nothing more to wait for.
        give_up(&mut child)?;
        let logging = Logging::of_variables(&text);
        if logging.is_known() {
            return Ok(Ok(logging));
        }
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let last: String = last.unwrap_or("it said nothing").chars().take(200).collect();
        Ok(Err(format!("{program}: {last}")))
    }
}

fn give_up(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}
