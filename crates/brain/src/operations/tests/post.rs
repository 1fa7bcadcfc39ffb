//! Mails with slow logs: counted once, whatever comes twice, late, out of order or never; and seen by those whose they are.

use super::*;
use crate::post::{Counted, NotCounted, import};
use base64::Engine as _;
use honcho_api::{SlowQuery, SlowServer};
use honcho_model::{AccountId, SlowServerId};
use honcho_store::slow::{self, Came, Range};
use honcho_store::{Filters, events};
use sha2::Digest as _;

/// A log in which `shop` asks two kinds of queries, so many times each, from this second on.
pub(crate) fn log(second: i64, events: i64) -> String {
    let event = |at: i64| {
        let statement =
            if at % 3 == 0 { "SELECT * FROM orders WHERE id = 7" } else { "UPDATE carts SET n = 1" };
        format!(
            "# User@Host: shop[shop] @ web1 [10.0.0.1]\n# Query_time: 0.{:06}  Lock_time: 0.001 Rows_sent: 1  Rows_examined: 9\n\
             SET timestamp={};\n{statement};\n",
            1000 + at,
            second + at
        )
    };
    (0..events).map(event).collect()
}

/// A mail as a receiver's Maildir has it.
pub(crate) fn mail(node: &str, spool: u128, sequence: u64, cut_at: i64, log: &str) -> Vec<u8> {
    let compressed = zstd::encode_all(log.as_bytes(), 3).unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(&compressed);
    let lines: Vec<&str> =
        body.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!(
        "Return-Path: <slowlog@db1>\nX-Verified-Node: {node}\nReceived: from db1 by mx1\nFrom: slowlog@db1\n\
         X-Honcho-Post: 1\nX-Honcho-Server: acme-db1\nX-Honcho-Spool: {}\nX-Honcho-Sequence: {sequence}\nX-Honcho-Part: 1/1\n\
         X-Honcho-Cut-At: {cut_at}\nX-Honcho-Digest: {}\nX-Honcho-Length: {}\nX-Honcho-State: distrusted=0 database=\n\
         Content-Type: application/zstd\nContent-Transfer-Encoding: base64\n\n{}\n",
        Uuid::from_u128(spool).simple(),
        hex::encode(sha2::Sha256::digest(&compressed)),
        log.len(),
        lines.join("\n")
    )
    .into_bytes()
}

impl World {
    pub(crate) async fn post(&self, node: &str, sequence: u64, log: &str) -> Result<Counted, NotCounted> {
        let mail = mail(node, 1, sequence, self.app.now().0, log);
        import(&self.app, Actor::honcho(), mail).await
    }

    async fn slow_server(&self, node: &str) -> SlowServer {
        let filters = Filters::default().and("node", node);
        slow::list(self.app.store.reader(), Scope::Operator, &filters).await.unwrap().remove(0)
    }

    async fn slow_queries(&self, server: i64) -> Vec<SlowQuery> {
        let range = Range { since: 0, until: i64::MAX };
        slow::queries(self.app.store.reader(), SlowServerId(server), range, 100, 0).await.unwrap()
    }

    async fn events_of(&self, kind: &str) -> usize {
        let filters = Filters::default().and("kind", kind);
        events::list(self.app.store.reader(), Scope::Operator, &filters).await.unwrap().len()
    }

    fn second(&self) -> i64 {
        self.app.now().0 / 1_000_000
    }
}

#[tokio::test]
async fn a_mail_is_counted_once_however_often_it_comes() {
    let world = World::new().await;
    let log = log(world.second(), 30);
    let first = world.post("db1", 1, &log).await.unwrap();
    assert!(matches!(first.came, Came::Now(_, 30)), "{first:?}");
    for _ in 0..2 {
        assert!(matches!(world.post("db1", 1, &log).await.unwrap().came, Came::Before(_)));
    }
    let server = world.slow_server("db1").await;
    assert_eq!((server.mails_count, server.events_count, server.sequence), (1, 30, 1));
    assert_eq!(usize::try_from(server.log_bytes).unwrap(), log.len());
    assert_eq!(server.reported_name, "acme-db1");
    let queries = world.slow_queries(server.id).await;
    assert_eq!(queries.iter().map(|query| query.events_count).collect::<Vec<_>>(), [20, 10]);
    assert_eq!(queries[0].fingerprint, "update carts set n = ?");
    assert!((queries.iter().map(|query| query.share).sum::<f64>() - 1.0).abs() < 1e-9);
    assert_eq!(queries[1].sample, "SELECT * FROM orders WHERE id = ?");
    assert!(queries[1].advice.iter().any(|advice| advice.rule == "select_star"), "{:?}", queries[1].advice);
    // The same number with other contents is no mail to be counted, and no mail to be thrown away.
    let other = world.post("db1", 1, "# nothing\n").await;
    assert!(matches!(other, Err(NotCounted::Contradicts(1))), "{other:?}");
    assert_eq!(world.events_of("slow_server.contradiction").await, 1);
    assert_eq!(world.slow_server("db1").await.mails_count, 1);
}

#[tokio::test]
async fn the_order_of_mails_does_not_matter() {
    let world = World::new().await;
    let second = world.second();
    let logs: Vec<String> = (0..6).map(|number| log(second + number * 2000, 10 + number)).collect();
    for (node, order) in [("one", [1, 2, 3, 4, 5, 6]), ("two", [4, 1, 6, 3, 2, 5])] {
        for number in order {
            world.post(node, number, &logs[usize::try_from(number).unwrap() - 1]).await.unwrap();
        }
    }
    let of = async |node: &str| {
        let server = world.slow_server(node).await.id;
        let queries = world.slow_queries(server).await;
        queries.into_iter().map(|query| SlowQuery { id: 0, slow_server_id: 0, ..query }).collect::<Vec<_>>()
    };
    assert_eq!(of("one").await, of("two").await);
    assert_eq!(of("one").await.iter().map(|query| query.events_count).sum::<i64>(), 75);
    assert_eq!(world.slow_server("two").await.missing_mails_count, 0);
}

#[tokio::test]
async fn what_is_missing_is_known_and_told_once() {
    let world = World::new().await;
    let log = log(world.second(), 1);
    for number in [2, 7, 5] {
        world.post("db1", number, &log).await.unwrap();
    }
    let server = world.slow_server("db1").await;
    assert_eq!((server.sequence, server.missing_mails_count), (7, 4), "1, 3, 4 and 6");
    crate::controllers::post_step(world.app.clone()).await.unwrap();
    assert_eq!(world.events_of("slow_server.gap").await, 0, "it may come by another way");
    world.pass(3700);
    for _ in 0..2 {
        crate::controllers::post_step(world.app.clone()).await.unwrap();
        assert_eq!(world.events_of("slow_server.gap").await, 3);
    }
    for number in [4, 1, 6, 3] {
        assert!(matches!(world.post("db1", number, &log).await.unwrap().came, Came::Now(..)), "{number}");
        assert!(matches!(world.post("db1", number, &log).await.unwrap().came, Came::Before(_)), "{number}");
    }
    let server = world.slow_server("db1").await;
    assert_eq!((server.missing_mails_count, server.missing_since, server.mails_count), (0, None, 7));
}

#[tokio::test]
async fn a_mail_is_known_when_its_digest_is_forgotten() {
    let world = World::new().await;
    let log = log(world.second(), 1);
    let mail = mail("db1", 1, 1, world.app.now().0, &log);
    import(&world.app, Actor::honcho(), mail.clone()).await.unwrap();
    world.pass(100 * 86_400);
    crate::controllers::post_step(world.app.clone()).await.unwrap();
    assert!(matches!(import(&world.app, Actor::honcho(), mail).await.unwrap().came, Came::Before(_)));
    assert_eq!(world.slow_server("db1").await.mails_count, 1);
    // One that was cut since then and has that number is another: its spool was set back, and nothing of it is thrown away.
    let another = world.post("db1", 1, &log).await;
    assert!(matches!(another, Err(NotCounted::Contradicts(1))), "{another:?}");
    assert_eq!(world.events_of("slow_server.contradiction").await, 1);
}

#[tokio::test]
async fn silence_and_slow_queues_are_told_once() {
    let world = World::new().await;
    world.post("db1", 1, &log(world.second(), 1)).await.unwrap();
    world.pass(71 * 3600);
    crate::controllers::post_step(world.app.clone()).await.unwrap();
    assert_eq!(world.events_of("slow_server.silent").await, 0);
    world.pass(2 * 3600);
    for _ in 0..2 {
        crate::controllers::post_step(world.app.clone()).await.unwrap();
        assert_eq!(world.events_of("slow_server.silent").await, 1);
    }
    assert!(world.slow_server("db1").await.silent_since.is_some());
    // It is heard again, by mails that were cut long ago.
    let old = world.app.now().0 - 7 * 3_600_000_000;
    for number in [2, 3] {
        let mail = mail("db1", 1, number, old, &log(world.second(), 1));
        import(&world.app, Actor::honcho(), mail).await.unwrap();
    }
    assert_eq!(
        (world.events_of("slow_server.heard").await, world.events_of("slow_server.late").await),
        (1, 1)
    );
    let server = world.slow_server("db1").await;
    assert!(server.silent_since.is_none() && server.late_since.is_some());
    world.post("db1", 4, &log(world.second(), 1)).await.unwrap();
    assert!(world.slow_server("db1").await.late_since.is_none());
}

#[tokio::test]
async fn a_server_belongs_to_the_guest_that_its_certificate_names() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let log = log(world.second(), 3);
    world.post(&format!("guest-{}", guest.id), 1, &log).await.unwrap();
    world.post("guest-99", 1, &log).await.unwrap();
    world.post("mx1", 1, &log).await.unwrap();
    let seen = async |scope: Scope| {
        let all = slow::list(world.app.store.reader(), scope, &Filters::default()).await.unwrap();
        all.into_iter().map(|server| server.node).collect::<Vec<_>>()
    };
    let account = AccountId(world.account.id);
    let own = vec![format!("guest-{}", guest.id)];
    assert_eq!(seen(Scope::Account(account)).await, own);
    assert_eq!(seen(Scope::Machine(account, GuestId(guest.id))).await, own);
    assert_eq!(seen(Scope::Machine(account, GuestId(guest.id + 1))).await, Vec::<String>::new());
    assert_eq!(seen(Scope::Account(AccountId(account.0 + 1))).await, Vec::<String>::new());
    assert_eq!(seen(Scope::Operator).await.len(), 3);
}

#[tokio::test]
async fn times_that_cannot_be_are_counted_when_the_log_was_cut() {
    let world = World::new().await;
    let log = format!("{}{}{}", log(253_402_300_000, 2), log(5, 2), log(world.second(), 2));
    world.post("db1", 1, &log).await.unwrap();
    let server = world.slow_server("db1").await;
    assert_eq!(server.events_count, 6);
    let (now, hour) = (world.app.now().0, 3_600_000_000);
    let range = Range { since: now, until: now + hour };
    let queries =
        slow::queries(world.app.store.reader(), SlowServerId(server.id), range, 10, 0).await.unwrap();
    assert_eq!(queries.iter().map(|query| query.events_count).sum::<i64>(), 6);
}

#[tokio::test]
async fn only_operators_make_receivers() {
    let world = World::new().await;
    let guest = world.order("mx1").await;
    let make = async |scope: Scope, guest_id: Option<i64>| {
        let body = honcho_api::TokenCreate {
            name: Some("mx1".into()),
            scope: Some(if guest_id.is_some() { "machine" } else { "admin" }.into()),
            account_id: Some(world.account.id),
            guest_id,
            receives_post: Some(true),
            ..honcho_api::TokenCreate::default()
        };
        world.ask(&TokenCreate { scope, secret: world.app.outside.secret(), ends_with: None, body }).await
    };
    assert!(make(Scope::Operator, Some(guest.id)).await.unwrap().receives_post);
    let refused_text = "receives_post is given by operators alone, to a machine\n";
    assert_eq!(
        refused(make(Scope::Account(AccountId(world.account.id)), Some(guest.id)).await),
        refused_text
    );
    assert_eq!(refused(make(Scope::Operator, None).await), refused_text);
}
