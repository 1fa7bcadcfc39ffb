//! Backups, unpacked: whatever they hold, nothing but what a backup holds is taken from them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| honcho_brain::fuzzing::backup(bytes));
