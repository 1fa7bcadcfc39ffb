//! Files of Ganeti's htools: what was read is written so that it reads the same, and can be scored.
#![no_main]

use honcho_placement::ganeti::{read, write};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(cluster) = read(text) {
        let again = read(&write(&cluster)).expect("what was written can be read");
        assert_eq!(write(&cluster), write(&again));
        for group in 0..cluster.groups.len() {
            assert!(!cluster.spread(group).spread.score().is_nan());
        }
    }
});
