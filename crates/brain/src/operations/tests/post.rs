//! Mails with slow logs: counted once, whatever comes twice, late, out of order or never; and seen by those whose they are.

use super::*;
use crate::post::{Counted, NotCounted, import};
use base64::Engine as _;
use honcho_api::{SlowQuery, SlowServer};
use honcho_model::account::SampleValues;
use honcho_model::{AccountId, SlowServerId};
use honcho_store::slow::{self, Against, Came, Compared, Range, Ranking};
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

/// A log in which connections ask for a list, and then for each of its rows by itself, so many times in each of so many seconds.
fn one_by_one(second: i64, seconds: i64, rows: i64) -> String {
    let event = |second: i64, statement: String| {
        format!(
            "# User@Host: shop[shop] @ web1 [10.0.0.1]\n# Thread_id: {}  Schema: shop  QC_hit: No\n\
             # Query_time: 0.000400  Lock_time: 0.0001 Rows_sent: 1  Rows_examined: 1\nSET timestamp={second};\n{statement};\n",
            17 + second % 3
        )
    };
    let mut log = String::new();
    for at in second..second + seconds {
        log += &event(at, "SELECT id FROM posts ORDER BY id DESC LIMIT 50".to_owned());
        for row in 0..rows {
            log += &event(at, format!("SELECT users.* FROM users WHERE users.id = {} LIMIT 1", row * 31));
        }
    }
    log
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

    pub(crate) async fn slow_server(&self, node: &str) -> SlowServer {
        let filters = Filters::default().and("node", node);
        slow::list(self.app.store.reader(), Scope::Operator, &filters).await.unwrap().remove(0)
    }

    pub(crate) async fn slow_server_node(&self, id: i64) -> String {
        slow::find(self.app.store.reader(), Scope::Operator, SlowServerId(id)).await.unwrap().node
    }

    pub(crate) async fn slow_queries(&self, server: i64) -> Vec<SlowQuery> {
        self.ranking(server, Range { since: 0, until: i64::MAX }).read(self.app.store.reader()).await.unwrap()
    }

    pub(crate) fn ranking(&self, server: i64, range: Range) -> Ranking {
        Ranking {
            servers: vec![SlowServerId(server)],
            compared: Compared::Ranges(range, Against::TheOneBefore),
            states: vec![],
            flags: vec![],
            text: None,
            only: None,
            significance: honcho_slowlog::compare::SIGNIFICANCE,
            now: self.app.now(),
            hours_since: 0,
            limit: 100,
            offset: 0,
        }
    }

    pub(crate) async fn events_of(&self, kind: &str) -> usize {
        let filters = Filters::default().and("kind", kind);
        events::list(self.app.store.reader(), Scope::Operator, &filters).await.unwrap().len()
    }

    pub(crate) fn second(&self) -> i64 {
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
async fn a_server_says_what_it_logs_as_slow() {
    let world = World::new().await;
    // What is known after a mail that was cut so many minutes ago and says this.
    let told = async |sequence: u64, minutes: i64, logging: &str| {
        let cut_at = world.app.now().0 - minutes * 60_000_000;
        let mail =
            String::from_utf8(mail("db1", 1, sequence, cut_at, &log(world.second() - 3600, 3))).unwrap();
        let mail = mail.replace("X-Honcho-State", &format!("X-Honcho-Logging: {logging}\nX-Honcho-State"));
        import(&world.app, Actor::honcho(), mail.into_bytes()).await.unwrap();
        let server = world.slow_server("db1").await;
        let at = server.logging_told_at.map(|at| (world.app.now().0 - at.as_microsecond()) / 60_000_000);
        let (long, indexes) = (server.long_query_time_seconds, server.log_queries_not_using_indexes);
        (long, indexes, server.log_slow_rate_limit, at)
    };
    // Nobody could ask it; what a stranger writes counts no less for that.
    assert_eq!(told(1, 50, "long_query_time=-1").await, (None, None, None, None));
    assert_eq!(world.slow_server("db1").await.events_count, 3);
    assert_eq!(told(2, 40, "long_query_time=250000").await, (Some(0.25), None, None, Some(40)));
    let all = "long_query_time=0 log_queries_not_using_indexes=1 log_slow_rate_limit=10";
    let known = (Some(0.0), Some(true), Some(10), Some(30));
    assert_eq!(told(3, 30, all).await, known);
    // A mail that was cut before says what was so before; one that says nothing leaves what is known.
    assert_eq!(told(4, 35, "long_query_time=9000000").await, known);
    assert_eq!(told(5, 20, "nothing").await, known);
    // A clock that is a year ahead is not the last to be believed.
    assert_eq!(told(6, -525_600, "long_query_time=1").await.3, Some(0));
    world.pass(60);
    assert_eq!(told(7, 0, "long_query_time=2000000").await, (Some(2.0), None, None, Some(0)));
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
        assert_eq!(world.events_of("slow_server.gap").await, 1, "1, 3, 4 and 6 are missing");
    }
    // What is missing besides is no news until all has come.
    world.post("db1", 9, &log).await.unwrap();
    world.pass(3700);
    crate::controllers::post_step(world.app.clone()).await.unwrap();
    assert_eq!(world.events_of("slow_server.gap").await, 1);
    for number in [4, 1, 6, 3, 8] {
        assert_eq!(world.events_of("slow_server.complete").await, 0, "{number}");
        assert!(matches!(world.post("db1", number, &log).await.unwrap().came, Came::Now(..)), "{number}");
        assert!(matches!(world.post("db1", number, &log).await.unwrap().came, Came::Before(_)), "{number}");
    }
    let server = world.slow_server("db1").await;
    assert_eq!((server.missing_mails_count, server.missing_since, server.mails_count), (0, None, 9));
    assert_eq!(world.events_of("slow_server.complete").await, 1);
    // And then it is news again.
    world.post("db1", 11, &log).await.unwrap();
    world.pass(3700);
    crate::controllers::post_step(world.app.clone()).await.unwrap();
    assert_eq!(world.events_of("slow_server.gap").await, 2);
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
    let queries = world.ranking(server.id, range).read(world.app.store.reader()).await.unwrap();
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
            suite: None,
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

#[tokio::test]
async fn one_query_for_each_row_is_told_whichever_mail_the_slowest_was_in() {
    let world = World::new().await;
    // The slowest one comes in a mail without bursts.
    let slowest = one_by_one(world.second(), 1, 1).replace("0.000400", "0.900000");
    for (number, log) in
        [(1, slowest), (2, one_by_one(world.second(), 3, 30)), (3, one_by_one(world.second() + 60, 3, 45))]
    {
        world.post("db1", number, &log).await.unwrap();
    }
    let queries = world.slow_queries(world.slow_server("db1").await.id).await;
    let found = queries.iter().find(|query| query.fingerprint.contains("from users")).unwrap();
    assert_eq!(
        (found.events_count, found.bursts_count, found.events_in_bursts_count, found.largest_burst_count),
        (226, 6, 225, 45)
    );
    let told: Vec<_> = found.advice.iter().filter(|one| one.rule == "one_by_one").collect();
    assert!(told.len() == 1 && told[0].confidence == "likely", "{:?}", found.advice);
    assert!(
        told[0].reason.starts_with("6 times one connection asked it 20 times or more within a second"),
        "{:?}",
        told[0]
    );
    let list = queries.iter().find(|query| query.fingerprint.contains("from posts")).unwrap();
    assert!(list.bursts_count == 0 && !list.advice.iter().any(|one| one.rule == "one_by_one"), "{list:?}");
    // Not in a span without them.
    let range = Range { since: world.app.now().0 - 7_200_000_000, until: world.app.now().0 - 3_600_000_000 };
    let before = world.ranking(found.slow_server_id, range).read(world.app.store.reader()).await.unwrap();
    assert_eq!(before, []);
}

/// All that is written in the brain's database, and beside it.
fn written(world: &World) -> Vec<u8> {
    if let Some(honcho_store::Engine::Postgres(url)) = &world.database {
        let dump = std::process::Command::new("pg_dump").args(["--data-only", url]).output().unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        return dump.stdout;
    }
    let mut written = Vec::new();
    let mut directories = vec![world.directory.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => directories.push(entry.path()),
                kind if kind.is_file() => written.extend(std::fs::read(entry.path()).unwrap()),
                _ => {}
            }
        }
    }
    written
}

#[tokio::test]
async fn no_value_is_written_down_unless_the_account_says_so() {
    const CANARIES: [&str; 6] = ["Xanthippe", "424243", "Yggdrasil", "Quetzal", "Kolibri", "777.125"];
    let world = World::new().await;
    let node = format!("guest-{}", world.order("web1").await.id);
    let log = |micros: i64| {
        let statements = [
            "SELECT * FROM users WHERE name = 'Xanthippe' AND id = 424243 /* for Kolibri */",
            "SELECT a FROM t WHERE a LIKE \"%Yggdrasil%\" OR b IN (424243, 'Quetzal', 777.125) -- Kolibri",
            "INSERT INTO t (a, b) VALUES ('Xanthippe', 424243),\n  ('it\\'s Yggdrasil', 777.125)",
            "SELEC nothing that parses FROM 'Quetzal' WHERE 424243",
            "CALL rename_user('Xanthippe', 424243)",
        ];
        let event = |statement: &&str| {
            format!(
                "# User@Host: shop[shop] @ web1 [10.0.0.1]\n# Query_time: 0.{micros:06}  Lock_time: 0.001 Rows_sent: 1  Rows_examined: 90000\n\
                 # explain: id\tselect_type\n# explain: 1\tSIMPLE\nSET timestamp={};\n{statement};\n",
                world.second()
            )
        };
        statements.iter().map(event).collect::<String>()
    };
    let found = |world: &World| {
        let written = written(world);
        let is_in = |canary: &&str| written.windows(canary.len()).any(|bytes| bytes == canary.as_bytes());
        assert!(written.windows(5).any(|bytes| bytes == b"users"), "the statements are in it");
        CANARIES.into_iter().filter(is_in).collect::<Vec<_>>()
    };
    world.post(&node, 1, &log(1000)).await.unwrap();
    world.post("db1", 1, &log(1000)).await.unwrap();
    assert_eq!(found(&world), Vec::<&str>::new());

    // It says so: from the next, slower ones on; and only its own servers.
    let account = AccountId(world.account.id);
    let say = async |scope: Scope, sample_values: SampleValues| {
        world.ask(&AccountSampleValues { scope, id: account, sample_values }).await
    };
    let others = AccountId(account.0 + 1);
    assert!(say(Scope::Account(others), SampleValues::Kept).await.is_err(), "it is for nobody else to say");
    assert_eq!(
        say(Scope::Account(account), SampleValues::Kept).await.unwrap().sample_values,
        SampleValues::Kept
    );
    world.post(&node, 2, &log(5000)).await.unwrap();
    world.post("db1", 2, &log(5000)).await.unwrap();
    let samples = async |node: &str| {
        let server = world.slow_server(node).await.id;
        let samples = world.slow_queries(server).await.into_iter().map(|query| query.sample);
        samples.filter(|sample| CANARIES.iter().any(|canary| sample.contains(canary))).count()
    };
    assert_eq!((samples(&node).await, samples("db1").await), (5, 0));
    assert!(found(&world).contains(&"Xanthippe"));

    // No more of it: what was kept is gone, also from the file.
    say(Scope::Operator, SampleValues::Redacted).await.unwrap();
    world.post(&node, 3, &log(9000)).await.unwrap();
    assert_eq!(samples(&node).await, 0);
    assert_eq!(
        world.events_of("account.keep_sample_values").await
            + world.events_of("account.redact_sample_values").await,
        2
    );
    world.app.store.clone().close().await.unwrap();
    assert_eq!(found(&world), Vec::<&str>::new());
}
