//! Sources that somebody adds to the archive: refused with a reason, or placed below the pool, each file under a name of its own, and
//! listed as one package.
#![no_main]

use honcho_archive::{Digest, Paragraph, Source};
use std::path::{Component, Path};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let main = "main".parse().expect("a component");
    let Ok(source) = Source::read(Path::new("x.dsc"), bytes) else { return };
    let directory = source.directory(&main);
    let stanza = source.stanza(&directory, 1, Digest::of(bytes));
    let read = Paragraph::parse(stanza.as_bytes()).expect("what is listed is one paragraph");
    assert_eq!(read.get("Directory"), Some(directory.as_str()));
    let files: Vec<&str> = stanza
        .lines()
        .skip_while(|line| *line != "Checksums-Sha256:")
        .skip(1)
        .map(|line| line.split_whitespace().nth(2).expect("a name"))
        .collect();
    assert_eq!(files[0], source.dsc());
    for file in files {
        let place = format!("{directory}/{file}");
        let mut parts = Path::new(&place).components();
        assert!(place.starts_with("pool/main/") && parts.all(|part| matches!(part, Component::Normal(_))), "{place}");
        assert_eq!(Path::new(&place).parent(), Some(Path::new(&directory)), "{place}");
    }
});
