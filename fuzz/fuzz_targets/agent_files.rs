//! What the agent reads back from its own directory: identity and journal, which a power cut may have damaged.
#![no_main]

use honcho_agent_lib::identity::Identity;
use honcho_agent_lib::journal::Journal;
use std::time::{Duration, SystemTime};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(identity) = serde_json::from_slice::<Identity>(bytes) {
        let _ = identity.renewal_due_in(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    }
    if let Ok(journal) = serde_json::from_slice::<Journal>(bytes) {
        let again = serde_json::to_vec(&journal).expect("a journal can be written");
        assert!(serde_json::from_slice::<Journal>(&again).is_ok());
    }
});
