//! Packages that somebody adds to the archive: refused with a reason, or placed below the pool and listed as one package.
#![no_main]

use honcho_archive::{Deb, Paragraph};
use std::path::{Component, Path};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let main = "main".parse().expect("a component");
    if let Ok(deb) = Deb::read(Path::new("x.deb"), bytes) {
        let place = deb.place(&main);
        let mut parts = Path::new(&place).components();
        assert!(place.starts_with("pool/main/") && parts.all(|part| matches!(part, Component::Normal(_))), "{place}");
        let stanza = deb.stanza(&place, 1, honcho_archive::Digest::of(bytes));
        let read = Paragraph::parse(stanza.as_bytes()).expect("what is listed is one paragraph");
        assert_eq!(read.get("Filename"), Some(place.as_str()));
        assert_eq!(read.get("Package"), Some(deb.name.as_str()));
    }
    // A control file is met more often where it stands alone.
    if let Ok(paragraph) = Paragraph::parse(bytes) {
        assert_eq!(Paragraph::parse(paragraph.text().as_bytes()).as_ref(), Ok(&paragraph));
        assert!(!paragraph.text().contains("\n\n"));
    }
});
