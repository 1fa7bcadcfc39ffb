//! Manifests of images with signatures that somebody made up, and keys that somebody gave: as three texts with NUL between them, and
//! once more as what is within the letters of a key and of a signature.
#![no_main]

use honcho_fuzz::base64;
use honcho_images::signing::{Signed, read_public_key, signer, verify};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let mut parts = text.splitn(3, '\0').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        check(&next(), next(), next());
    }
    let key = format!("ssh-ed25519 {} ann", base64(bytes).replace('\n', ""));
    let signature = format!("-----BEGIN SSH SIGNATURE-----\n{}-----END SSH SIGNATURE-----\n", base64(bytes));
    check(&key, "{}".to_owned(), signature);
});

fn check(key: &str, manifest: String, signature: String) {
    if let Ok((line, fingerprint)) = read_public_key(key) {
        assert!(!line.contains('\n'), "{line:?}");
        assert_eq!(read_public_key(&line).ok(), Some((line.clone(), fingerprint)));
    }
    let _ = signer(&signature);
    let signed = Signed { manifest, signature };
    // Nobody signs by chance.
    assert!(verify(key, &signed).is_err());
    assert!(verify(KEY, &signed).is_err());
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ann";
