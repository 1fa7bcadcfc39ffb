//! dpkg's status file, as it lies in an image.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = honcho_images::parse_dpkg_status(text);
});
