//! `honcho slow fingerprint`: statements without their values.

use crate::command_error::CommandError;
use crate::context::Context;
use honcho_slowlog::{Checksums, Dialect, Fingerprinter, Numbers, QueryId, Quoting};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};

const AFTER_HELP: &str = "\
Reads one JSON string a line from standard input and prints one JSON string a line: the fingerprint that \
pt-query-digest 3.5 makes, byte for byte. A line that is no JSON string is told of, and answered by null.

Examples:
  echo '\"SELECT * FROM guests WHERE id = 7\"' | honcho slow fingerprint
  jq -c .statement queries.json | honcho slow fingerprint | sort | uniq -c
  honcho slow fingerprint --ids < statements.jsonl";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct FingerprintArguments {
    /// Print query ids (the MD5 of each fingerprint) and not fingerprints
    #[arg(long)]
    ids: bool,
    /// Keep numbers inside words, as pt-fingerprint does with this option
    #[arg(long)]
    match_embedded_numbers: bool,
    /// Take 32 hex digits in names for values, as pt-fingerprint does with this option
    #[arg(long)]
    match_md5_checksums: bool,
    /// Tell the ends of literals as Percona Toolkit 3.2 and before do
    #[arg(long)]
    toolkit_3_2: bool,
}

pub(crate) fn run(context: &Context, arguments: &FingerprintArguments) -> Result<(), CommandError> {
    let mut fingerprinter = Fingerprinter::new(Dialect {
        quoting: if arguments.toolkit_3_2 { Quoting::Toolkit32 } else { Quoting::Toolkit35 },
        numbers: if arguments.match_embedded_numbers { Numbers::AlonePlaced } else { Numbers::Everywhere },
        checksums: if arguments.match_md5_checksums { Checksums::Replaced } else { Checksums::Kept },
    });
    let mut input = BufReader::with_capacity(1 << 16, std::io::stdin().lock());
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        match serde_json::from_slice::<String>(&line) {
            Ok(statement) => {
                let fingerprint = fingerprinter.fingerprint(statement.as_bytes());
                let answer = if arguments.ids {
                    QueryId::of(fingerprint).to_string()
                } else {
                    String::from_utf8_lossy(fingerprint).into_owned()
                };
                serde_json::to_writer(&mut out, &answer).map_err(std::io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Err(error) => {
                context.output.note(&format!("line {number} is no JSON string: {error}"));
                out.write_all(b"null\n")?;
            }
        }
        // Whoever sends the next line only after this answer has to get it.
        if input.buffer().is_empty() {
            out.flush()?;
        }
    }
    Ok(out.flush()?)
}
