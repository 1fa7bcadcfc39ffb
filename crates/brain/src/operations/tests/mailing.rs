//! Mails that are to be sent: which go, in which order, and which do not any more.

use super::*;
use honcho_api::SlowSettingsUpdate;
use honcho_model::AccountId;
use honcho_store::{StoreResult, Tx, outgoing_mails};
use std::os::unix::fs::PermissionsExt as _;

/// Writes a mail of an account.
struct WriteMail {
    account: AccountId,
    to: &'static str,
    subject: String,
}

impl Change for WriteMail {
    type Out = i64;
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<i64> {
        outgoing_mails::write(tx, self.account, self.to, &self.subject, "what it tells").await
    }
}

const OPS: &str = "ops@example.com";
const BAD: &str = "nobody@example.com";

impl World {
    /// An account whose mails go there.
    async fn account_at(&self, name: &str, mail_to: &str) -> Account {
        let body = honcho_api::AccountCreate {
            name: Some(name.into()),
            grace_seconds: Some(100),
            ..honcho_api::AccountCreate::default()
        };
        let uuid = self.app.outside.uuid();
        let account = self.ask(&AccountCreate { scope: Scope::Operator, uuid, body }).await.unwrap();
        self.mail_to(account.id, mail_to).await;
        account
    }

    async fn mail_to(&self, account: i64, address: &str) {
        let body = SlowSettingsUpdate { mail_to: Some(address.to_owned()), ..SlowSettingsUpdate::default() };
        let id = AccountId(account);
        self.ask(&SlowSettingsChange { scope: Scope::Operator, id, body }).await.unwrap();
    }

    async fn write_mail(&self, account: &Account, to: &'static str, subject: &str) -> i64 {
        let account = AccountId(account.id);
        self.ask(&WriteMail { account, to, subject: subject.to_owned() }).await.unwrap()
    }

    /// The mail daemon: it takes what is to OPS, and does not know BAD.
    fn mail_daemon(&self) {
        let taken = self.app.slow.sendmail.with_file_name("taken");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *{BAD}*) cat > /dev/null; exit 67;; esac\ngrep ^Subject >> {}\n",
            taken.display()
        );
        std::fs::write(&self.app.slow.sendmail, script).unwrap();
        std::fs::set_permissions(&self.app.slow.sendmail, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The subjects of the mails that it took.
    fn taken(&self) -> Vec<String> {
        let taken = self.app.slow.sendmail.with_file_name("taken");
        let text = std::fs::read_to_string(taken).unwrap_or_default();
        text.lines().map(|line| line.trim_start_matches("Subject: ").to_owned()).collect()
    }

    async fn mailing(&self) {
        crate::controllers::mailing_step(self.app.clone()).await.unwrap();
    }

    /// How many wait.
    async fn waiting(&self) -> Vec<(String, i64)> {
        let all = outgoing_mails::due(self.app.store.reader(), Timestamp(i64::MAX)).await.unwrap();
        let mut all: Vec<_> = all.into_iter().map(|mail| (mail.subject, mail.failures)).collect();
        all.sort();
        all
    }
}

#[tokio::test]
async fn an_address_that_is_refused_holds_up_no_other() {
    let world = World::new().await;
    let (bad, good) = (world.account_at("bad", BAD).await, world.account_at("good", OPS).await);
    world.mail_daemon();
    // More of them than are tried at a time.
    for number in 0..25 {
        world.write_mail(&bad, BAD, &format!("bad {number}")).await;
    }
    world.write_mail(&good, OPS, "good").await;
    world.mailing().await;
    world.mailing().await;
    assert_eq!(world.taken(), ["good"]);
    assert!(
        world.waiting().await.iter().all(|(subject, failures)| subject.starts_with("bad") && *failures == 1)
    );
    // One that does not run is asked once, for all.
    world.write_mail(&good, OPS, "later").await;
    std::fs::remove_file(&world.app.slow.sendmail).unwrap();
    world.pass(10);
    world.mailing().await;
    assert_eq!(world.waiting().await.iter().filter(|(_, failures)| *failures == 2).count(), 0);
    world.mail_daemon();
    world.pass(10);
    world.mailing().await;
    world.mailing().await;
    assert_eq!(world.taken(), ["good", "later"]);
}

#[tokio::test]
async fn a_mail_that_nobody_takes_is_given_up_and_somebody_is_told() {
    let world = World::new().await;
    let bad = world.account_at("bad", BAD).await;
    world.mail_daemon();
    world.write_mail(&bad, BAD, "old").await;
    for _ in 0..14 {
        world.mailing().await;
        world.pass(86_400);
    }
    assert_eq!(world.waiting().await, [("old".to_owned(), 14)], "for fourteen days it is tried");
    assert_eq!(world.events_of("account.mail_given_up").await, 0);
    world.pass(60);
    world.mailing().await;
    assert_eq!(world.waiting().await, []);
    let filters = honcho_store::Filters::default().and("kind", "account.mail_given_up");
    let scope = Scope::Account(AccountId(bad.id));
    let told = honcho_store::events::list(world.app.store.reader(), scope, &filters).await.unwrap().remove(0);
    assert!(
        told.message.contains("the mail \"old\" to nobody@example.com was given up after 14 days")
            && told.message.contains("does not know the recipient"),
        "{}",
        told.message
    );
}

#[tokio::test]
async fn what_nobody_wants_any_more_does_not_go() {
    let world = World::new().await;
    world.mail_daemon();
    let moved = world.account_at("moved", OPS).await;
    let silent = world.account_at("silent", OPS).await;
    let gone = world.account_at("gone", OPS).await;
    let stays = world.account_at("stays", OPS).await;
    for (account, subject) in [(&moved, "moved"), (&silent, "silent"), (&gone, "gone"), (&stays, "stays")] {
        world.write_mail(account, OPS, subject).await;
    }
    world.mail_to(moved.id, "dba@example.com").await;
    world.mail_to(silent.id, "").await;
    let cancel = AccountCancel { scope: Scope::Operator, id: AccountId(gone.id), grace: Grace::None };
    world.ask(&cancel).await.unwrap();
    world.mailing().await;
    assert_eq!(world.taken(), ["stays"]);
    assert_eq!(world.waiting().await, [], "and is not kept either");
}
