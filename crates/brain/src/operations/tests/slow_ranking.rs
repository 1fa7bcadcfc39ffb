//! Rankings of many queries, of several servers, and of ranges of unlike length: what is counted, tested and shown.

use super::post::mail;
use super::slow_queries::{DAY, asked};
use super::*;
use crate::post::import;
use honcho_api::{SlowQuery, SlowSettingsUpdate};
use honcho_model::{AccountId, SlowQueryId, SlowServerId};
use honcho_store::slow::{self, Against, Compared, Range, Ranking};

const HOUR: i64 = 3_600;

impl World {
    async fn read(&self, ranking: &Ranking) -> Vec<SlowQuery> {
        ranking.read(self.app.store.reader()).await.unwrap()
    }

    /// A mail that was cut then.
    async fn post_cut_at(&self, node: &str, sequence: u64, second: i64, log: &str) {
        let mail = mail(node, 1, sequence, second * 1_000_000, log);
        import(&self.app, Actor::honcho(), mail).await.unwrap();
    }
}

/// A name for each number, in which there is no digit that a fingerprint would leave out.
fn name(mut number: usize) -> String {
    let mut name = String::from("t_");
    for _ in 0..3 {
        name.push(char::from(b"abcdefghijklmnop"[number % 16]));
        number /= 16;
    }
    name
}

fn micros(since: i64, until: i64) -> Range {
    Range { since: since * 1_000_000, until: until * 1_000_000 }
}

#[tokio::test]
async fn what_is_ignored_makes_no_other_less_sure() {
    let world = World::new().await;
    // Five days on either side, so that the least probability there is is 1/252: enough of five queries together, and not of eight.
    let mut log = String::new();
    for ago in (1..=10).rev() {
        let second = world.midnight(ago) + HOUR;
        log += &asked("SELECT a FROM slower", second, 20, if ago > 5 { 30 } else { 90 } + ago % 3);
        for number in 0..7 {
            log += &asked(&format!("SELECT a FROM {}", name(number)), second, 20, 30 + (ago * 7) % 5);
        }
    }
    world.post("db1", 1, &log).await.unwrap();
    let server = world.slow_server("db1").await.id;
    let week = world.ranking(server, micros(world.midnight(5), world.midnight(0)));
    let queries = world.read(&week).await;
    assert_eq!(queries.len(), 8);
    assert!(queries.iter().all(|query| query.flags.is_empty()), "too many are asked about together");
    let judge = async |id: i64, state: &str| {
        let (who, state) = ("token:9 (acme's)".to_owned(), Some(state.to_owned()));
        let change = SlowQueryJudge { scope: Scope::Operator, id: SlowQueryId(id), who, state, note: None };
        world.ask(&change).await.unwrap();
    };
    for query in &queries[1..4] {
        judge(query.id, "ignored").await;
    }
    let left = world.read(&week).await;
    assert_eq!((left.len(), left[0].flags.as_slice()), (5, ["worse".to_owned()].as_slice()));
    // Accepted ones are shown, and tested.
    for query in &queries[1..4] {
        judge(query.id, "accepted").await;
    }
    assert!(world.read(&week).await.iter().all(|query| query.flags.is_empty()));
}

#[tokio::test]
async fn each_server_is_known_up_to_its_own_last_log() {
    let world = World::new().await;
    let now = world.second();
    // Each is asked every half hour, for two days; of one server the log of the last twelve hours has not come.
    for (node, until) in [("db1", now), ("db2", now - 12 * HOUR)] {
        let log: String = (0..96)
            .map(|n| now - 2 * DAY + n * HOUR / 2)
            .filter(|at| *at < until)
            .map(|at| asked("SELECT a FROM t", at, 1, 20))
            .collect();
        world.post_cut_at(node, 1, until, &log).await;
    }
    let servers = [world.slow_server("db1").await.id, world.slow_server("db2").await.id];
    let ranking = Ranking {
        servers: servers.map(SlowServerId).to_vec(),
        ..world.ranking(servers[0], micros(now - DAY, now + DAY))
    };
    for query in world.read(&ranking).await {
        let ratio = query.events_ratio.unwrap();
        assert!((0.9..1.1).contains(&ratio), "{ratio} on {}: {query:?}", query.slow_server_id);
    }
}

#[tokio::test]
async fn a_day_is_counted_by_hours_whatever_it_is_compared_with() {
    let world = World::new().await;
    let now = world.second();
    // One each hour for ten days.
    let log: String = (1..=240).rev().map(|ago| asked("SELECT a FROM t", now - ago * HOUR, 1, 20)).collect();
    world.post("db1", 1, &log).await.unwrap();
    let server = world.slow_server("db1").await.id;
    // As the API has it where no end is said.
    let day = Range { until: micros(0, now + DAY).until + 5, ..micros(now - DAY + 60, 0) };
    let week = micros(now - 9 * DAY + 60, now - 2 * DAY + 60);
    let ranking =
        Ranking { compared: Compared::Ranges(day, Against::Range(week)), ..world.ranking(server, day) };
    let query = world.read(&ranking).await.remove(0);
    // The hour that a range begins or ends in is counted whole.
    assert!((24..=25).contains(&query.events_count), "{query:?}");
    assert!((168..=169).contains(&query.before_events_count.unwrap()), "{query:?}");
    assert!((0.95..1.05).contains(&query.events_ratio.unwrap()), "{query:?}");
    // The long one the other way round; and where the hours are gone, days.
    let back = Ranking { compared: Compared::Ranges(week, Against::Range(day)), ..ranking.clone() };
    let query = world.read(&back).await.remove(0);
    assert!((168..=169).contains(&query.events_count), "{query:?}");
    let days = Ranking { hours_since: day.since, ..ranking };
    assert!(world.read(&days).await[0].before_events_count.unwrap() > 170);
}

#[tokio::test]
async fn more_queries_than_a_page_holds_are_all_counted() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let mail_to = Some("ops@example.com".to_owned());
    let body = SlowSettingsUpdate { mail_to, weekly_mail: Some(true), ..SlowSettingsUpdate::default() };
    let id = AccountId(world.account.id);
    world.ask(&SlowSettingsChange { scope: Scope::Account(id), id, body }).await.unwrap();
    // To the next Monday, seven o'clock.
    let monday = ((world.second() / DAY + 3) / 7 + 1) * 7 * DAY - 3 * DAY;
    world.pass(monday - world.second() + 7 * HOUR);
    let log: String = (0..1_050)
        .map(|number| {
            asked(
                &format!("SELECT a FROM {}", name(number)),
                world.midnight(2),
                1,
                10 + i64::try_from(number).unwrap(),
            )
        })
        .collect();
    let node = format!("guest-{}", guest.id);
    world.post(&node, 1, &log).await.unwrap();
    let server = world.slow_server(&node).await.id;
    let all = Ranking { limit: 5_000, ..world.ranking(server, micros(world.midnight(7), world.midnight(0))) };
    let first = world.read(&all).await;
    let second = world.read(&Ranking { offset: 1_000, ..all.clone() }).await;
    assert_eq!((first.len(), second.len()), (1_000, 50));
    assert!(first.last().unwrap().total_seconds > second[0].total_seconds);
    let looked = all.look(world.app.store.reader()).await.unwrap();
    let summary = looked.summary(&all);
    let total: f64 = first.iter().chain(&second).map(|query| query.total_seconds).sum();
    assert!(summary.queries == 1_050 && (summary.total_seconds - total).abs() < 1e-6, "{summary:?}");
    crate::controllers::slow_weekly_step(world.app.clone()).await.unwrap();
    let mails = honcho_store::outgoing_mails::due(world.app.store.reader(), Timestamp(i64::MAX)).await;
    let mail = mails.unwrap().remove(0);
    assert!(mail.body.contains("\n1050 kinds of queries took 561 s together"), "{}", mail.body);
}

#[tokio::test]
async fn a_mail_of_the_week_says_which_server() {
    let world = World::new().await;
    let (mail_to, weekly_mail) = (Some("ops@example.com".to_owned()), Some(true));
    let body = SlowSettingsUpdate { mail_to, weekly_mail, ..SlowSettingsUpdate::default() };
    let id = AccountId(world.account.id);
    world.ask(&SlowSettingsChange { scope: Scope::Account(id), id, body }).await.unwrap();
    let guests = [world.order("web1").await, world.order("web2").await];
    let nodes = guests.map(|guest| format!("guest-{}", guest.id));
    let monday = ((world.second() / DAY + 3) / 7 + 1) * 7 * DAY - 3 * DAY;
    world.pass(monday - world.second() + 7 * HOUR);
    for (node, milliseconds) in nodes.iter().zip([100, 90]) {
        let log = asked("SELECT * FROM t WHERE b = 1 LIMIT 20000, 5", world.midnight(2), 20, milliseconds);
        world.post(node, 1, &log).await.unwrap();
    }
    crate::controllers::slow_weekly_step(world.app.clone()).await.unwrap();
    let mails = honcho_store::outgoing_mails::due(world.app.store.reader(), Timestamp(i64::MAX)).await;
    let mail = mails.unwrap().remove(0).body;
    // One index mends both: it is to be done once, where it takes the most time.
    assert!(mail.contains(&format!("\n  on {} 52.6% of the time", nodes[0])), "{mail}");
    assert_eq!(mail.matches("select * from t").count(), 1, "{mail}");
}

#[tokio::test]
async fn a_server_whose_mails_never_pause_is_looked_through_all_the_same() {
    let world = World::new().await;
    let mut log = String::new();
    for ago in (1..=36).rev() {
        log += &asked("SELECT a FROM old", world.midnight(ago) + HOUR, 20, 30);
    }
    log += &asked("SELECT a FROM young", world.midnight(2) + HOUR, 20, 200);
    world.post("db1", 1, &log).await.unwrap();
    let mut minutes = 0;
    for number in 2..60 {
        world.pass(30);
        world.post("db1", number, &asked("SELECT a FROM old", world.second() - 60, 1, 30)).await.unwrap();
        crate::controllers::slow_step(world.app.clone()).await.unwrap();
        if world.events_of("slow_query.new").await > 0 {
            minutes = number / 2;
            break;
        }
    }
    assert!((15..=17).contains(&minutes), "after {minutes} minutes");
    // And then not again at each mail.
    let waits =
        async || slow::to_look_through(world.app.store.reader(), world.app.now().0, 10).await.unwrap().len();
    world.pass(30);
    world.post("db1", 100, &asked("SELECT a FROM old", world.second() - 60, 1, 30)).await.unwrap();
    assert_eq!(waits().await, 0);
    world.pass(61);
    assert_eq!(waits().await, 1, "it pauses");
}

#[tokio::test]
async fn a_mail_that_is_missing_for_long_is_told_of_before_it_comes() {
    let world = World::new().await;
    let log = |second: i64| asked("SELECT a FROM t", second, 1, 20);
    world.post("db1", 1, &log(world.second() - 60)).await.unwrap();
    // The second one lies in a queue.
    let cut_at = world.second();
    world.pass(60);
    world.post("db1", 3, &log(world.second())).await.unwrap();
    let step = async || {
        crate::controllers::post_step(world.app.clone()).await.unwrap();
        let late = world.slow_server("db1").await.late_since.is_some();
        (world.events_of("slow_server.late").await, late)
    };
    for number in 4..=9 {
        world.pass(HOUR - 60);
        assert_eq!(step().await, (0, false));
        world.post("db1", number, &log(world.second())).await.unwrap();
    }
    world.pass(2 * HOUR);
    assert_eq!(step().await, (1, true));
    // One that comes in time says nothing of it; nor is it told twice.
    world.post("db1", 10, &log(world.second())).await.unwrap();
    assert_eq!(step().await, (1, true));
    world.post_cut_at("db1", 2, cut_at, &log(cut_at)).await;
    assert_eq!(step().await, (1, true));
    world.post("db1", 11, &log(world.second())).await.unwrap();
    assert_eq!(step().await, (1, false));
}
