//! People and their sessions, with a brain that really is there.

use crate::real::RealBrain;
use crate::{Run, transcript};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PASSWORD: &str = "five violet fences";

fn said(run: &Run, what: &[&str]) {
    let text = transcript(run);
    for part in what {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// A brain that knows ann, admin of acme, and with `PASSWORD`.
async fn office() -> RealBrain {
    let brain = RealBrain::start().await;
    brain.operate(&["account", "create", "acme"], b"").await;
    let words = ["person", "create", "ann@example.com", "--full-name", "Ann", "--password-file", "-"];
    brain.operate(&words, PASSWORD.as_bytes()).await;
    brain.operate(&["person", "grant", "ann@example.com", "--account", "acme"], b"").await;
    brain
}

async fn login(brain: &RealBrain, password: &str) -> Run {
    let words = ["login", "--name", "ann@example.com", "--password-file", "-"];
    brain.run(&words, password.as_bytes()).await
}

#[tokio::test]
async fn a_person_is_made_logs_in_is_who_they_are_and_logs_out() {
    let brain = office().await;
    let shown = brain.operate(&["people", "list"], b"").await;
    said(&shown, &["ann@example.com", "admin of acme", "set"]);
    let nobody = brain.run(&["guests", "list"], b"").await;
    said(&nobody, &["nobody has logged in", "hint: `honcho login` lets a person in", "--- exit 2"]);

    let ended = login(&brain, PASSWORD).await;
    said(&ended, &["Logged in at http://127.0.0.1:", "as ann@example.com until 2", "The session is kept in"]);
    assert!(!transcript(&ended).contains("session-"), "the secret is not printed");
    let me = brain.run(&["whoami"], b"").await;
    said(&me, &["person:1 (ann@example.com)", "admin of acme", "the session in "]);
    said(&brain.run(&["accounts", "list"], b"").await, &["acme"]);
    let listed = brain.run(&["sessions", "list"], b"").await;
    said(&listed, &["ann@example.com", "127.0.0.1", "this one"]);
    // A token that is given goes first.
    let token = brain.token().await;
    let me = brain.run(&["whoami", "--json", "--token", &token], b"").await;
    said(&me, &[r#""scope": "operator""#]);

    // Logging in again leaves one session and not two.
    login(&brain, PASSWORD).await;
    let listed = brain.run(&["sessions", "list", "--json"], b"").await;
    let sessions: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(sessions.len(), 1, "{sessions:?}");

    said(&brain.run(&["logout"], b"").await, &["ann@example.com is logged out at http://127.0.0.1:"]);
    assert_eq!(brain.session_files(), Vec::<std::path::PathBuf>::new());
    said(&brain.run(&["logout"], b"").await, &["Nobody was logged in at"]);
    said(&brain.run(&["whoami"], b"").await, &["--- exit 2"]);
    said(&brain.operate(&["sessions", "list"], b"").await, &["Nobody is logged in."]);
}

#[tokio::test]
async fn a_session_file_is_its_owners_alone_or_it_is_not_used() {
    let brain = office().await;
    login(&brain, PASSWORD).await;
    let files = brain.session_files();
    let [file] = files.as_slice() else { panic!("one file and nothing beside it: {files:?}") };
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with("http%3A%2F%2F127.0.0.1%3A"));

    std::fs::set_permissions(file, PermissionsExt::from_mode(0o640)).unwrap();
    let refused = brain.run(&["whoami"], b"").await;
    said(
        &refused,
        &[
            "is open to others (its mode is 0640)",
            "hint: somebody may have read it",
            "chmod 600",
            "--- exit 2",
        ],
    );
    // What may have been read has to be ended, and that works all the same.
    said(&brain.run(&["logout"], b"").await, &["is logged out"]);
    said(&brain.operate(&["sessions", "list"], b"").await, &["Nobody is logged in."]);

    login(&brain, PASSWORD).await;
    std::fs::write(file, "{").unwrap();
    said(&brain.run(&["whoami"], b"").await, &["is damaged", "`honcho login` writes it anew", "--- exit 2"]);
    login(&brain, PASSWORD).await;
    said(&brain.run(&["whoami"], b"").await, &["person:1"]);
}

#[tokio::test]
async fn a_session_that_was_ended_says_so_and_nothing_else_is_shown_in_its_place() {
    let brain = office().await;
    login(&brain, PASSWORD).await;
    let sessions = brain.operate(&["sessions", "list", "--json", "--person", "ann@example.com"], b"").await;
    let sessions: Vec<Value> = serde_json::from_slice(&sessions.stdout).unwrap();
    let id = sessions[0]["id"].to_string();
    // Whoever it concerns is asked first.
    said(&brain.operate_anyway(&["session", "end", &id], b"").await, &["nobody can be asked: end session"]);
    said(&brain.operate(&["session", "end", &id, "--yes"], b"").await, &["of ann@example.com has ended"]);
    // An operator's token lies beside; ann is not to become an operator by being logged out.
    brain.leave_an_operators_token();
    let refused = brain.run(&["guests", "list"], b"").await;
    said(
        &refused,
        &[
            "error: the session of ann@example.com at http://127.0.0.1:",
            "has ended",
            "hint: `honcho login --name ann@example.com` begins another",
            "--- exit 4",
        ],
    );
    said(&brain.run(&["logout"], b"").await, &["had ended already; its file is removed"]);
    said(&brain.run(&["whoami"], b"").await, &["operator", "the token in var/brain/operator.token"]);
}

#[tokio::test]
async fn wrong_passwords_are_refused_lock_and_an_operator_unlocks() {
    let brain = office().await;
    let refused = login(&brain, "not this one at all").await;
    said(
        &refused,
        &[
            "name or password is wrong",
            "hint: a locked person is let in again after 15 minutes",
            "--- exit 4",
        ],
    );
    let wrong = (0..9).map(|_| login(&brain, "not this one at all"));
    futures::future::join_all(wrong).await;
    // Of several at once one is tried, and the others have to pause.
    let at_once = futures::future::join_all((0..5).map(|_| login(&brain, PASSWORD))).await;
    let paused = at_once.iter().find(|run| transcript(run).contains("from this address"));
    let paused = paused.expect("none had to pause");
    said(paused, &["too many wrong passwords from this address", "hint: try again in ", "--- exit 4"]);
    assert!(at_once.iter().all(|run| run.code == Some(4)), "whoever is locked is not let in");
    assert_eq!(brain.session_files(), Vec::<std::path::PathBuf>::new());
    said(&brain.operate(&["person", "show", "ann@example.com"], b"").await, &["locked until ", "(in 1"]);
    said(&brain.operate(&["person", "unlock", "ann@example.com"], b"").await, &["password   set"]);
    let waited = async {
        loop {
            let ended = login(&brain, PASSWORD).await;
            if ended.code == Some(0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("ann was not let in");
}

#[tokio::test]
async fn a_password_is_changed_by_its_owner_and_by_an_operator() {
    let brain = office().await;
    login(&brain, PASSWORD).await;
    let own = ["person", "password", "--current-password-file", "-", "--password-file", "-"];
    let changed = brain.run(&own, b"five violet fences\nseven green lamps\n").await;
    said(&changed, &["ann@example.com has another password. Their other sessions have ended."]);
    said(&brain.run(&["whoami"], b"").await, &["person:1"]);
    said(&login(&brain, PASSWORD).await, &["--- exit 4"]);
    said(&login(&brain, "seven green lamps").await, &["Logged in"]);
    let short = brain
        .operate_anyway(&["person", "password", "ann@example.com", "--password-file", "-"], b"short\n")
        .await;
    said(&short, &["password is too short (12 characters at least", "--- exit 4"]);
    let words = ["person", "password", "1", "--password-file", "-"];
    said(&brain.operate(&words, b"nine amber gates\n").await, &["Their sessions have ended."]);
    said(&brain.run(&["whoami"], b"").await, &["has ended", "--- exit 4"]);
    said(&brain.operate_anyway(&["person", "password"], b"").await, &["say whose password", "--- exit 2"]);
}

#[tokio::test]
async fn people_are_changed_and_deleted() {
    let brain = office().await;
    let words = ["person", "update", "ann@example.com", "--name", "ann", "--full-name", "", "--operator"];
    said(&brain.operate(&words, b"").await, &["person ann\n", "full name  -", "operator   yes"]);
    said(&brain.operate(&["person", "update", "ann", "--no-operator"], b"").await, &["operator   no"]);
    said(
        &brain.operate(&["person", "grant", "ann", "--account", "acme", "--viewer"], b"").await,
        &["viewer of acme"],
    );
    let revoked = brain.operate(&["person", "revoke", "ann", "--account", "acme", "--json"], b"").await;
    said(&revoked, &[r#""grants": []"#]);
    said(
        &brain.operate_anyway(&["person", "revoke", "ann", "--account", "acme"], b"").await,
        &["is not granted", "--- exit 4"],
    );
    said(&brain.operate(&["person", "create", "bob", "--no-password"], b"").await, &["password   none yet"]);
    said(
        &brain.operate(&["person", "delete", "ann", "--dry-run"], b"").await,
        &["Would do this: delete person ann (id 1)"],
    );
    said(&brain.operate(&["person", "delete", "ann", "--yes"], b"").await, &["person ann (id 1) is deleted"]);
    let people = brain.operate(&["people", "list"], b"").await;
    assert!(!transcript(&people).contains("ann"), "{}", transcript(&people));
}

/// On a terminal, which `script` makes.
#[tokio::test]
async fn a_password_that_is_typed_is_not_shown() {
    let brain = office().await;
    let mut command = brain.on_a_terminal("login --name ann@example.com");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let asked = async {
        while !String::from_utf8_lossy(&shown).contains("Password of ann@example.com at http://") {
            assert!(screen.read_buf(&mut shown).await.unwrap() > 0, "{}", String::from_utf8_lossy(&shown));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("nothing was asked");
    // The echo is switched off right after the question; people are slower.
    tokio::time::sleep(Duration::from_secs(1)).await;
    keyboard.write_all(format!("{PASSWORD}\n").as_bytes()).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), screen.read_to_end(&mut shown)).await;
    ended.expect("the program did not end").unwrap();
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("Logged in at") && !shown.contains("violet"), "{shown}");
    // Without one there is nobody to ask.
    let refused = brain.run(&["login", "--name", "ann@example.com"], b"").await;
    said(&refused, &["nobody can be asked for the password", "--password-file -", "--- exit 2"]);
}

/// Ctrl-C at the question leaves a terminal that shows what is typed.
#[tokio::test]
async fn a_question_that_is_interrupted_leaves_the_terminal_as_it_was() {
    let brain = office().await;
    let mut command = brain.on_a_terminal("login --name ann@example.com; echo code $?; stty -a");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let asked = async {
        while !String::from_utf8_lossy(&shown).contains("Password of ann@example.com at http://") {
            assert!(screen.read_buf(&mut shown).await.unwrap() > 0, "{}", String::from_utf8_lossy(&shown));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("nothing was asked");
    tokio::time::sleep(Duration::from_secs(1)).await;
    keyboard.write_all(&[3]).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), screen.read_to_end(&mut shown)).await;
    ended.expect("the program did not end").unwrap();
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("code 130") && shown.contains(" echo ") && !shown.contains("-echo "), "{shown}");
}

#[tokio::test]
async fn a_password_goes_to_another_machine_by_tls_alone() {
    let brain = office().await;
    let words = ["login", "--name", "ann", "--password-file", "-", "--url", "http://192.0.2.1:7070"];
    let refused = brain.run(&words, PASSWORD.as_bytes()).await;
    said(
        &refused,
        &["a password is not sent to http://192.0.2.1:7070 without TLS", "https://", "--- exit 2"],
    );
}
