//! Join tokens, bodies of /v1/join, and paths with `.json` at their end.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    honcho_brain::fuzzing::join_token(text);
    honcho_brain::fuzzing::path(text);
    if let Ok(request) = serde_json::from_str::<honcho_wire::JoinRequest>(text) {
        honcho_brain::fuzzing::join_token(&request.token);
    }
});
