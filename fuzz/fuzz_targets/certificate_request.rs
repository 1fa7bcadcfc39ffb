//! PKCS#10 requests, which reach the brain from whoever can reach its port.
#![no_main]

use honcho_brain::fuzzing::Certifier;
use std::sync::OnceLock;

static CERTIFIER: OnceLock<(tempfile::TempDir, Certifier)> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (_, certifier) = CERTIFIER.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let certifier = Certifier::new(directory.path()).expect("an authority");
        (directory, certifier)
    });
    let _ = certifier.certify(text);
});
