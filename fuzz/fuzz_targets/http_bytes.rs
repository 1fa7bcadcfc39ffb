//! Whatever bytes come over a connection, what is answered is HTTP: never a 5xx, and it ends.
#![no_main]

use honcho_brain::fuzzing::Door;
use std::sync::OnceLock;
use std::time::Duration;

static DOOR: OnceLock<(tokio::runtime::Runtime, Door, tempfile::TempDir)> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (runtime, door, _) = DOOR.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let door = runtime.block_on(Door::open(directory.path())).expect("a brain");
        (runtime, door, directory)
    });
    let answer = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(8), door.send(bytes)).await });
    let answer = answer.expect("the connection does not end");
    if !answer.is_empty() {
        let status = answer.get(9..10);
        assert!(answer.starts_with(b"HTTP/1.") && matches!(status, Some(b"1" | b"2" | b"3" | b"4")), "{}", String::from_utf8_lossy(&answer));
    }
});
