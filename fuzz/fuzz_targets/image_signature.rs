//! Manifests of images with signatures that somebody made up, and keys that somebody gave.
#![no_main]

use honcho_images::signing::{Signed, read_public_key, signer, verify};

libfuzzer_sys::fuzz_target!(|parts: (&str, &str, &str)| {
    let (key, manifest, signature) = parts;
    if let Ok((line, fingerprint)) = read_public_key(key) {
        assert!(!line.contains('\n'), "{line:?}");
        assert_eq!(read_public_key(&line).ok(), Some((line.clone(), fingerprint)));
    }
    let _ = signer(signature);
    let signed = Signed { manifest: manifest.to_owned(), signature: signature.to_owned() };
    // Nobody signs by chance.
    assert!(verify(key, &signed).is_err());
    assert!(verify(KEY, &signed).is_err());
});

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ann";
