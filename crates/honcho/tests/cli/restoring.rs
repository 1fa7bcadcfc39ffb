//! `honcho backup` and `honcho restore`, on a brain that really is there.

use crate::moving::brain;
use crate::{honcho, run, transcript};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn said(arguments: &[&str]) -> String {
    transcript(&run(honcho(arguments), b"").await)
}

#[tokio::test]
async fn a_backup_is_whole_or_not_there_and_restored_once() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (directory.path().join("brain"), directory.path().join("backup.tar.zst"));
    let nothing = said(&["backup", text(&file), "--data", text(&data)]).await;
    assert!(nothing.contains("there is no brain in") && nothing.contains("--- exit 1"), "{nothing}");
    let mut serving = brain(&data);
    for _ in 0..500 {
        if data.join("metrics.token").exists() && data.join("operator.token").exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Killed at any moment, it leaves no half of one under its name, and nothing that keeps the next from being made.
    for milliseconds in [1, 4, 8, 15, 30, 60] {
        let mut command = honcho(&["backup", text(&file), "--data", text(&data), "--replace"]);
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        child.kill().await.unwrap();
        if file.exists() {
            let target = directory.path().join("never");
            let dry = said(&["restore", text(&file), "--data", text(&target), "--dry-run"]).await;
            assert!(
                dry.contains("The backup is whole") && !target.exists(),
                "after {milliseconds} ms: {dry}"
            );
        }
    }
    let made = run(honcho(&["backup", text(&file), "--data", text(&data), "--replace", "--json"]), b"").await;
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["backup"]["tables"]["tokens"], 1);
    let left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    let again = said(&["backup", text(&file), "--data", text(&data)]).await;
    assert!(again.contains("is there already: give another name, or --replace"), "{again}");
    serving.kill().await.unwrap();

    let restored = directory.path().join("restored");
    let done = said(&["restore", text(&file), "--data", text(&restored)]).await;
    assert!(done.contains("is restored to") && done.contains("honcho restore status"), "{done}");
    let again = said(&["restore", text(&file), "--data", text(&restored)]).await;
    assert!(again.contains("is not empty: it holds") && again.contains("--- exit 1"), "{again}");
    let token = |data: &Path| std::fs::read_to_string(data.join("operator.token")).unwrap();
    assert_eq!(token(&restored), token(&data));
    std::fs::write(&file, b"something else").unwrap();
    let other = said(&["restore", text(&file), "--data", text(&directory.path().join("other"))]).await;
    assert!(other.contains("cannot be restored") && !directory.path().join("other").exists(), "{other}");
}
