//! Strangers' root filesystems: refused with a reason, or packed so that they read as themselves.
#![no_main]

libfuzzer_sys::fuzz_target!(|tarball: &[u8]| {
    honcho_images::import::check_reader(tarball);
    // Of headers whose sums are right more is read.
    let mended = honcho_fuzz::with_good_sums(tarball);
    if mended != tarball {
        honcho_images::import::check_reader(&mended);
    }
});
