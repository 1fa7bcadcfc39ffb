//! An operator's requests to any route, over a connection and through the whole of the brain: never a 5xx, and every
//! refusal in the one shape of errors.
#![no_main]

use honcho_brain::fuzzing::Door;
use std::sync::OnceLock;

static DOOR: OnceLock<(tokio::runtime::Runtime, Door, tempfile::TempDir)> = OnceLock::new();

// The first line is method and path, and the rest the body.
libfuzzer_sys::fuzz_target!(|text: &str| {
    let (line, body) = text.split_once('\n').unwrap_or((text, ""));
    let Some((method, path)) = line.split_once(' ') else { return };
    // What is followed does not end; a path that is no path is for http_bytes.
    let whole = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
    if !whole || method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) || path.contains("/stream") {
        return;
    }
    let (runtime, door, _) = DOOR.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let door = runtime.block_on(Door::open(directory.path())).expect("a brain");
        (runtime, door, directory)
    });
    let (status, answer) = runtime.block_on(door.ask(method, path, body.as_bytes()));
    let said = String::from_utf8_lossy(&answer);
    assert!((200..500).contains(&status), "{status} {said}");
    // 410 gives what is gone.
    if status >= 400 && status != 410 && method != "HEAD" {
        assert!(Door::is_refusal(&answer), "{status} {said}");
    }
});
