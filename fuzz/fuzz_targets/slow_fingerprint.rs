//! Fingerprints: of any bytes, in every dialect, in linear steps; and samples without values.
#![no_main]

use honcho_slowlog::{Checksums, Dialect, Fingerprinter, Numbers, Quoting, redact};

libfuzzer_sys::fuzz_target!(|statement: &[u8]| {
    for quoting in [Quoting::Toolkit32, Quoting::Toolkit35] {
        for numbers in [Numbers::Everywhere, Numbers::AlonePlaced] {
            for checksums in [Checksums::Kept, Checksums::Replaced] {
                let mut fingerprinter = Fingerprinter::new(Dialect { quoting, numbers, checksums });
                let first = fingerprinter.fingerprint(statement).to_vec();
                assert!(first.len() <= 2 * statement.len() + 16);
                assert_eq!(fingerprinter.fingerprint(statement), first, "its buffers hold nothing over");
                assert!(fingerprinter.steps() <= 200 * statement.len() as u64 + 16_384);
            }
        }
    }
    assert!(redact(statement, 1000).len() <= 1000);
});
