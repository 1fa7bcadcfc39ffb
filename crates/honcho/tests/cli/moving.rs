//! `honcho db move`, on a brain that really was there.

use crate::{honcho, run, transcript};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;

pub(crate) fn brain(data: &Path) -> Child {
    let mut command = honcho(&["serve", "--listen", "127.0.0.1:0", "--agents-listen", "127.0.0.1:0"]);
    command.arg("--data").arg(data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

async fn db_move(data: &Path, to: &str) -> String {
    let mut command = honcho(&["db", "move", "--json", "--to", to]);
    command.arg("--data").arg(data);
    transcript(&run(command, b"").await)
}

#[tokio::test]
async fn a_database_is_moved_once_and_not_under_a_running_brain() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("brain");
    let to = honcho_test_postgres::cluster().create_empty();
    let said = db_move(&data, &to).await;
    assert!(said.contains("there is no database in"), "{said}");
    let mut serving = brain(&data);
    for _ in 0..500 {
        if data.join("operator.token").exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let said = db_move(&data, &to).await;
    assert!(said.contains("a brain is running on") && said.contains("--- exit 1"), "{said}");
    serving.kill().await.unwrap();
    let mut command = honcho(&["db", "move", "--json", "--to", &to]);
    command.arg("--data").arg(&data);
    let ended = run(command, b"").await;
    assert_eq!(ended.code, Some(0), "{}", transcript(&ended));
    let tables: Vec<Value> = serde_json::from_slice(&ended.stdout).unwrap();
    let tokens = tables.iter().find(|table| table["table"] == "tokens").unwrap();
    assert_eq!((&tokens["rows_before"], &tokens["rows_after"]), (&Value::from(1), &Value::from(1)));
    assert!(tables.len() > 15 && tables.iter().all(|table| table["rows_before"] == table["rows_after"]));
    let said = db_move(&data, &to).await;
    assert!(said.contains("is not empty"), "{said}");
    let said = db_move(&data, "mysql://x/y").await;
    assert!(said.contains("is no database: give postgres://"), "{said}");
}
