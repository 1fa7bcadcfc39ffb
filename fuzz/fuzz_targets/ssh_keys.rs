//! SSH keys: one that the brain takes must not fail at the agent, where nobody can mend it any more.
#![no_main]

use honcho_agent_lib::storage::identity::check_key;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let agent = check_key(text.trim());
    if honcho_brain::fuzzing::public_key(text) {
        assert_eq!(agent, Ok(()), "{text:?}");
    }
});
