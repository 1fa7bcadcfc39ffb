//! Files that are imported: tables of our own, and NetBox's. What was read reads the same once written.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| honcho_brain::fuzzing::csv(bytes));
