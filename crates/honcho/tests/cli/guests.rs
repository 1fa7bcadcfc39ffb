//! What can be done with guests and other things.

use crate::brain::{Answer, Brain};
use crate::things::{account, done_as, guest, host, operation, with};
use crate::{check, honcho, run, transcript};
use expect_test::expect;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

fn brain() -> Brain {
    Brain::new()
        .on("GET /v1/guests.json?name=web1", json!([guest()]))
        .on("GET /v1/accounts/5.json", account())
        .answer("DELETE /v1/guests/7.json", Answer::Json(202, operation(&json!({"kind": "cancel"}))))
        .answer("DELETE /v1/guests/7.json?now=true", Answer::Json(202, operation(&json!({"kind": "delete"}))))
}

#[tokio::test]
async fn deleting_says_what_it_does_and_asks() {
    let brain = brain();
    check(&brain, "guest delete web1 --dry-run", expect![[r#"
        Would do this: cancel guest web1 (id 7, running): it is stopped; its disk (3G), its name and 10.77.0.2 are kept for 14d, then the disk is destroyed. `honcho guest restore 7` takes it back until then.
    "#]]).await;
    check(&brain, "guest delete web1", expect![[r#"
        --- stderr
        error: not done, because nobody can be asked: cancel guest web1 (id 7, running): it is stopped; its disk (3G), its name and 10.77.0.2 are kept for 14d, then the disk is destroyed. `honcho guest restore 7` takes it back until then.
        hint: --yes does it without asking; --dry-run only says what would happen
        --- exit 2
    "#]]).await;
    check(&brain, "guest delete web1 --now --dry-run --json", expect![[r#"
        {
          "dry_run": true,
          "would": "delete guest web1 (id 7, running) now: it is ended, its disk (3G) is destroyed, its name and 10.77.0.2 become free. Nothing brings it back."
        }
    "#]]).await;
    assert!(brain.writes().is_empty());
    check(
        &brain,
        "guest delete web1 --now --yes",
        expect![[r#"
        delete web1 is under way (operation 12)
        --- stderr
        `honcho operation watch 12` shows how it goes; --wait does so at once
    "#]],
    )
    .await;
    assert_eq!(brain.writes(), ["DELETE /v1/guests/7.json?now=true"]);
}

#[tokio::test]
async fn resizing_and_renaming() {
    let brain = brain()
        .answer(
            "PUT /v1/guests/7/resize.json?memory_bytes=1073741824&vcpus=2&restart=true",
            Answer::Json(202, done_as("resize")),
        )
        .on("PATCH /v1/guests/7.json", with(guest(), &json!({"name": "web2"})));
    check(
        &brain,
        "guest resize web1 --memory 1G --vcpus 2 --restart",
        expect![[r#"
            resize web1: done after 20s
        "#]],
    )
    .await;
    check(
        &brain,
        "guest rename web1 web2",
        expect![[r#"
        guest web1 is now named web2
    "#]],
    )
    .await;
    expect![[r#"
        PUT /v1/guests/7/resize.json?memory_bytes=1073741824&vcpus=2&restart=true
        PATCH /v1/guests/7.json {"name":"web2"}"#]]
    .assert_eq(&brain.writes().join("\n"));
}

#[tokio::test]
async fn adding_a_host_prints_how_its_agent_joins() {
    let added = with(host(), &json!({"status": "waiting", "join_token": "2.abcDEF-_9.0011ff"}));
    let brain = Brain::new().answer("POST /v1/hosts.json", Answer::Json(201, added));
    check(
        &brain,
        "host add rack1-07",
        expect![[r#"
        honcho-agent join --brain http://BRAIN --token 2.abcDEF-_9.0011ff
        --- stderr
        Host rack1-07 is added. On that machine, as root, run this (the token in it works once):
    "#]],
    )
    .await;
    let hostile = with(host(), &json!({"join_token": "2.a; rm -rf /"}));
    let brain = Brain::new().answer("POST /v1/hosts.json", Answer::Json(201, hostile));
    check(
        &brain,
        "host add rack1-07",
        expect![[r#"
        --- stderr
        error: host rack1-07 is added, but the brain gave no join token for it
        hint: `honcho host rejoin 2` asks for one
        --- exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_log_goes_into_a_pipe_as_it_is() {
    let brain = brain()
        .answer("GET /v1/guests/7/log?tail=1024", Answer::Bytes(b"[\x1b[32m  OK  \x1b[0m]\r\n".to_vec()))
        .refuse(
            "GET /v1/guests/7/log?tail=65536",
            409,
            json!({"base": ["the agent of its host is not connected"]}),
            None,
        );
    check(&brain, "guest log web1 --tail 1K", expect![["[\u{1b}[32m  OK  \u{1b}[0m]\r\n"]]).await;
    check(
        &brain,
        "guest log web1",
        expect![[r#"
        --- stderr
        error: the agent of its host is not connected
        --- exit 4
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_console_speaks_both_ways() {
    let brain = brain().answer("GET /v1/guests/7/console", Answer::Upgrade("login: "));
    let mut command = honcho(&["guest", "console", "web1"]);
    command.env("HONCHO_URL", brain.start().await);
    expect![[r#"
        login: ROOT
        --- stderr
        Console of web1; Ctrl-] leaves. (Return may be needed to see a prompt.)

        The console of web1 was closed: it stopped, or somebody else took it.
    "#]]
    .assert_eq(&transcript(&run(command, b"root\n").await));
}

#[tokio::test]
async fn ssh_is_given_the_guests_host_key() {
    let directory = tempfile::tempdir().unwrap();
    let ssh = directory.path().join("ssh");
    let script = "#!/bin/sh\nfor word; do echo \"$word\" | sed 's|/.*/known_hosts|KNOWN_HOSTS|'; done\ncat \"${2#UserKnownHostsFile=}\"\nexit 7\n";
    std::fs::write(&ssh, script).unwrap();
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let brain = brain();
    let mut command = honcho(&["guest", "ssh", "web1", "-i", "key", "--", "uname", "-a"]);
    command
        .env("HONCHO_URL", brain.start().await)
        .env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()));
    expect![[r#"
        -o
        UserKnownHostsFile=KNOWN_HOSTS
        -o
        GlobalKnownHostsFile=/dev/null
        -o
        StrictHostKeyChecking=yes
        -o
        UpdateHostKeys=no
        -o
        CheckHostIP=no
        -o
        HostKeyAlias=honcho-guest-00000000-0000-4000-8000-000000000007
        -i
        key
        -o
        IdentitiesOnly=yes
        -l
        root
        -p
        22
        --
        10.77.0.2
        uname
        -a
        honcho-guest-00000000-0000-4000-8000-000000000007 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHosthosthosthosthosthosthosthosthosthosthost
        --- exit 7
    "#]].assert_eq(&transcript(&run(command, b"").await));
}

#[tokio::test]
async fn ssh_is_never_given_anything_but_an_address_and_a_key() {
    for changes in [
        json!({"address": "-oProxyCommand=touch /tmp/owned"}),
        json!({"ssh_host_key": "ssh-ed25519 AAAA\n* ssh-ed25519 BBBB"}),
        json!({"ssh_host_key": null}),
    ] {
        let brain = Brain::new().on("GET /v1/guests.json?name=web1", json!([with(guest(), &changes)]));
        let mut command = honcho(&["guest", "ssh", "web1"]);
        command.env("HONCHO_URL", brain.start().await).env("PATH", "/nowhere");
        let ended = run(command, b"").await;
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.code == Some(1) && said.contains("of guest web1 is"), "{said}");
    }
}

#[tokio::test]
async fn a_private_key_stays_here() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    let path = key.path().display().to_string();
    let mut command = honcho(&["guest", "create", "web1", "--image", "i", "--memory", "1G", "--disk", "1G"]);
    command.args(["--network", "n", "--ssh-key", &path]).env("HONCHO_URL", "http://127.0.0.1:9");
    expect![[r#"
        --- stderr
        error: KEY holds a private key, which must stay with you
        hint: give its public half: --ssh-key KEY.pub
        --- exit 1
    "#]]
    .assert_eq(&transcript(&run(command, b"").await).replace(&path, "KEY"));
}

#[tokio::test]
async fn the_secret_of_a_token_is_shown_once() {
    let token = json!({
        "id": 4, "name": "shop", "scope": "admin", "account_id": 5, "guest_id": null, "last_used_at": null, "receives_post": false, "lock_version": 1, "created_at": crate::things::ago(1),
        "expires_at": null, "secret": "hunter2",
    });
    let brain = Brain::new()
        .on("GET /v1/accounts.json?name=acme", json!([account()]))
        .answer("POST /v1/tokens.json", Answer::Json(201, token));
    check(
        &brain,
        "token create shop --account acme --expires 90d",
        expect![[r#"
            token shop
              id         4
              scope      admin
              account    #5
              guest      -
              expires    -
              last used  -
              secret     hunter2
            --- stderr
            The secret is shown this once: keep it.
        "#]],
    )
    .await;
    expect![[r#"POST /v1/tokens.json {"name":"shop","scope":"admin","account_id":5,"guest_id":null,"receives_post":null,"suite":null,"expires_in_seconds":7776000}"#]].assert_eq(&brain.writes().join("\n"));
}

#[tokio::test]
async fn the_token_to_delete_is_not_the_token_to_show() {
    let token = json!({
        "id": 4, "name": "shop", "scope": "operator", "account_id": null, "guest_id": null, "last_used_at": null, "receives_post": false, "lock_version": 1, "created_at": crate::things::ago(1),
        "expires_at": null, "secret": null,
    });
    let brain = Brain::new()
        .on("GET /v1/tokens.json?name=shop", json!([token.clone()]))
        .on("DELETE /v1/tokens/4.json", token);
    check(
        &brain,
        "token delete shop --yes",
        expect![[r#"
        token shop (id 4) is deleted
    "#]],
    )
    .await;
}
