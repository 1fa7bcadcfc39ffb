//! `Authorization: Bearer …` and `Basic …`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = honcho_brain::fuzzing::authorization(bytes);
});
