//! Prints the fingerprint of each statement on standard input, one JSON string a line.

use honcho_slowlog::{Checksums, Dialect, Fingerprinter, Numbers, Quoting};
use std::io::{BufRead as _, Write as _};

fn main() -> std::io::Result<()> {
    let has = |option: &str| std::env::args().any(|argument| argument == option);
    let mut fingerprinter = Fingerprinter::new(Dialect {
        quoting: if has("--toolkit-3.2") { Quoting::Toolkit32 } else { Quoting::Toolkit35 },
        numbers: if has("--match-embedded-numbers") { Numbers::AlonePlaced } else { Numbers::Everywhere },
        checksums: if has("--match-md5-checksums") { Checksums::Replaced } else { Checksums::Kept },
    });
    let mut out = std::io::BufWriter::new(std::io::stdout());
    for line in std::io::stdin().lock().lines() {
        let statement: String = serde_json::from_str(&line?)?;
        let fingerprint = String::from_utf8_lossy(fingerprinter.fingerprint(statement.as_bytes()));
        serde_json::to_writer(&mut out, &fingerprint)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
