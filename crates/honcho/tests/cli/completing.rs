//! Completion of words and names.

use crate::brain::Brain;
use crate::things::{guest, with};
use crate::{honcho, run};
use expect_test::{Expect, expect};
use serde_json::json;

async fn check(words: &[&str], expected: Expect) {
    let hostile = with(guest(), &json!({"name": "$(reboot)"}));
    let other = with(guest(), &json!({"name": "web2"}));
    let brain = Brain::new().on("GET /v1/guests.json", json!([guest(), hostile, other]));
    let mut command = honcho(&["--"]);
    command.args(words).env("HONCHO_URL", brain.start().await).env("COMPLETE", "bash");
    command.env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string()).env("_CLAP_IFS", "\n");
    expected.assert_eq(&String::from_utf8(run(command, b"").await.stdout).unwrap());
}

#[tokio::test]
async fn words_and_names() {
    check(&["honcho", "gue"], expect!["guest"]).await;
    check(
        &["honcho", "guest", "re"],
        expect![[r#"
        reboot
        resize
        rename
        restore"#]],
    )
    .await;
    check(
        &["honcho", "guest", "show", "web"],
        expect![[r#"
        web1
        web2"#]],
    )
    .await;
}

#[tokio::test]
async fn every_shell_gets_its_lines() {
    for shell in ["bash", "zsh", "fish"] {
        for arguments in [vec!["completion", shell], vec!["completion", shell, "--static"]] {
            let ended = run(honcho(&arguments), b"").await;
            assert!(
                ended.code == Some(0) && String::from_utf8(ended.stdout).unwrap().contains("honcho"),
                "{arguments:?}"
            );
        }
    }
}
