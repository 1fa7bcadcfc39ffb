//! Bodies of the API, as every shape that it takes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| honcho_brain::fuzzing::body(bytes));
