//! Queries ranked, compared with what was before, judged; by those whose they are.

use super::*;
use honcho_api::{SlowQueryDetails, SlowSettings, SlowSettingsUpdate};
use honcho_model::account::SampleValues;
use honcho_model::slow::{QueryFlag, QueryState};
use honcho_model::{AccountId, SlowMarkId, SlowQueryId};
use honcho_store::slow::{self, Against, Compared, Range, Ranking};
use honcho_store::{Filters, events};

pub(crate) const DAY: i64 = 86_400;

/// A statement asked so many times from a second on, a minute between each, taking so many milliseconds, a little more each time.
pub(crate) fn asked(statement: &str, second: i64, times: i64, milliseconds: i64) -> String {
    let event = |n: i64| {
        format!(
            "# User@Host: shop[shop] @ web{} [10.0.0.1]\n# Query_time: {:.6}  Lock_time: 0.001 Rows_sent: 1  Rows_examined: 900\n\
             SET timestamp={};\n{statement};\n",
            n % 3,
            f64::from(i32::try_from(milliseconds * 1000 + n).unwrap()) / 1e6,
            second + 60 * n
        )
    };
    (0..times).map(event).collect()
}

impl World {
    /// The midnight (UTC) so many days before this one, in seconds.
    pub(crate) fn midnight(&self, days_ago: i64) -> i64 {
        self.app.now().0.div_euclid(DAY * 1_000_000) * DAY - days_ago * DAY
    }

    pub(crate) async fn ranked(&self, server: i64, since: i64, until: i64) -> Vec<honcho_api::SlowQuery> {
        let range = Range { since: since * 1_000_000, until: until * 1_000_000 };
        self.ranking(server, range).read(self.app.store.reader()).await.unwrap()
    }

    async fn details(&self, ranking: Ranking, id: i64) -> SlowQueryDetails {
        let reader = self.app.store.reader();
        let known = slow::find_query(reader, Scope::Operator, SlowQueryId(id)).await.unwrap();
        slow::query(reader, Scope::Operator, known, ranking).await.unwrap()
    }

    async fn judge(&self, scope: Scope, id: i64, state: Option<&str>, note: Option<&str>) -> StoreResult<()> {
        let own = |text: &str| text.to_owned();
        let (state, note) = (state.map(own), note.map(own));
        let who = "token:9 (acme's)".to_owned();
        self.ask(&SlowQueryJudge { scope, id: SlowQueryId(id), who, state, note }).await
    }

    /// Two weeks: one query stays as it was, one takes three times as long in the second week, one a third, one is new then.
    pub(crate) async fn two_weeks(&self, node: &str) -> i64 {
        let (steady, slower, faster) = (
            "SELECT a FROM steady WHERE b = 1",
            "SELECT a FROM slower WHERE b = 1",
            "SELECT a FROM faster WHERE b = 1",
        );
        // Something was there before both weeks: only so can anything be new.
        let mut log = asked(steady, self.midnight(20), 5, 20);
        for ago in (1..=14).rev() {
            let (second, week) = (self.midnight(ago) + 3600, i64::from(ago <= 7));
            // No day is like the other.
            let noise = (ago * 7) % 5;
            log += &asked(steady, second, 20 + week * 20, 20 + noise);
            log += &asked(slower, second, 20, if week == 0 { 30 } else { 90 } + noise);
            log += &asked(faster, second, 20, if week == 0 { 60 } else { 20 } + noise);
            if ago <= 2 {
                log += &asked("SELECT a FROM young WHERE b = 1", second, 10, 5);
            }
        }
        self.post(node, 1, &log).await.unwrap();
        self.slow_server(node).await.id
    }
}

#[tokio::test]
async fn a_week_is_compared_with_the_one_before() {
    let world = World::new().await;
    let server = world.two_weeks("db1").await;
    let week = world.ranked(server, world.midnight(7), world.midnight(0)).await;
    let shown: Vec<String> = week
        .iter()
        .map(|query| {
            let table = query.fingerprint.split(' ').nth(3).unwrap();
            let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.1}"));
            format!(
                "{table} {} {} count {} mean {} p95 {}",
                query.events_count,
                query.flags.join(","),
                ratio(query.events_ratio),
                ratio(query.mean_ratio),
                ratio(query.p95_ratio)
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "slower 140 worse count 1.0 mean 2.9 p95 2.8",
            "steady 280  count 2.0 mean 1.0 p95 1.0",
            "faster 140 better count 1.0 mean 0.4 p95 0.4",
            "young 20 new count - mean - p95 -",
        ]
    );
    let slower = &week[0];
    assert_eq!((slower.before_events_count, week[3].before_events_count), (Some(140), Some(0)));
    assert!((week.iter().map(|query| query.share).sum::<f64>() - 1.0).abs() < 1e-9);
    assert!((slower.share - slower.before_share.unwrap() - slower.share_change.unwrap()).abs() < 1e-9);
    assert_eq!(slower.rows_examined_for_each_sent, Some(900.0));
    // Some of it.
    let range = Range { since: world.midnight(7) * 1_000_000, until: world.midnight(0) * 1_000_000 };
    let ranking = world.ranking(server, range);
    let flagged = Ranking { flags: vec![QueryFlag::Worse, QueryFlag::New], ..ranking.clone() };
    let ids = |queries: Vec<honcho_api::SlowQuery>| queries.iter().map(|query| query.id).collect::<Vec<_>>();
    assert_eq!(ids(flagged.read(world.app.store.reader()).await.unwrap()), [week[0].id, week[3].id]);
    let page = Ranking { offset: 1, limit: 2, ..ranking.clone() };
    assert_eq!(ids(page.read(world.app.store.reader()).await.unwrap()), [week[1].id, week[2].id]);
    // The other way round, better is worse; and what is not compared has neither.
    let before = Range { since: world.midnight(14) * 1_000_000, until: range.since };
    let back = Ranking { compared: Compared::Ranges(before, Against::Range(range)), ..ranking.clone() };
    let back = back.read(world.app.store.reader()).await.unwrap();
    assert_eq!(back.iter().map(|query| query.flags.join(",")).collect::<Vec<_>>(), ["worse", "better", ""]);
    let alone = Ranking { compared: Compared::Ranges(range, Against::Nothing), ..ranking };
    let alone = alone.read(world.app.store.reader()).await.unwrap();
    assert!(alone.iter().all(|query| query.flags.is_empty() && query.before_events_count.is_none()));
}

#[tokio::test]
async fn nothing_is_new_to_a_server_that_is_new_itself() {
    let world = World::new().await;
    let log = asked("SELECT a FROM t", world.midnight(3), 20, 10)
        + &asked("SELECT b FROM t", world.midnight(1), 20, 10);
    world.post("db1", 1, &log).await.unwrap();
    let server = world.slow_server("db1").await.id;
    let day = world.ranked(server, world.midnight(1), world.midnight(0)).await;
    assert_eq!(
        day.iter().map(|query| query.flags.join(",")).collect::<Vec<_>>(),
        ["new"],
        "there are two days before"
    );
    let two_days = world.ranked(server, world.midnight(2), world.midnight(0)).await;
    assert_eq!(two_days[0].flags, Vec::<String>::new(), "nobody knows what was four days ago");
}

#[tokio::test]
async fn all_about_one_query() {
    let world = World::new().await;
    let server = world.two_weeks("db1").await;
    let range = Range { since: world.midnight(7) * 1_000_000, until: world.midnight(0) * 1_000_000 };
    let ranking = world.ranking(server, range);
    let slower = ranking.read(world.app.store.reader()).await.unwrap().remove(0);
    let found = world.details(ranking, slower.id).await;
    assert_eq!(found.query, slower, "what a ranking says");
    assert_eq!(
        (found.resolution.as_str(), found.series.len(), found.slow_server_node.as_str()),
        ("day", 7, "db1")
    );
    assert!(found.series.iter().all(|point| point.events_count == 20 && point.p95_seconds.unwrap() > 0.089));
    assert_eq!(found.histogram.iter().map(|bin| bin.events_count).sum::<i64>(), 140);
    assert!(found.histogram[0].from_seconds < 0.09 && found.histogram[0].below_seconds > 0.09);
    let hosts: Vec<_> = found.by_host.iter().map(|share| (share.name.as_str(), share.events_count)).collect();
    assert_eq!(hosts, [("web1", 49), ("web0", 49), ("web2", 42)]);
    assert_eq!(found.by_user.len(), 1);
    assert!((found.by_user[0].share - 1.0).abs() < 1e-9);
    assert_eq!(
        (found.tables[0].name.as_str(), found.tables[0].columns.join(",")),
        ("slower", "a,b".to_owned())
    );
    assert!(found.query.sample.contains("b = ?"), "{}", found.query.sample);
    // By the hour, with the hours in which it was not asked.
    let range = Range { since: world.midnight(2) * 1_000_000, until: world.midnight(1) * 1_000_000 };
    let hours = world.details(world.ranking(server, range), slower.id).await;
    let counts: Vec<i64> = hours.series.iter().map(|point| point.events_count).collect();
    assert_eq!(
        (hours.resolution.as_str(), counts.len(), counts[1], counts.iter().sum::<i64>()),
        ("hour", 24, 20, 20)
    );
    assert_eq!(hours.series[0].mean_seconds, None);
}

#[tokio::test]
async fn what_people_make_of_a_query() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let server = world.two_weeks(&format!("guest-{}", guest.id)).await;
    let (since, until) = (world.midnight(7), world.midnight(0));
    let before = world.ranked(server, since, until).await;
    let id = before[0].id;
    let owner = Scope::Account(AccountId(world.account.id));
    assert_eq!(
        refused(world.judge(owner, id, Some("liked"), None).await),
        "state must be one of new, looked_at, accepted, ignored\n"
    );
    assert_eq!(
        refused(world.judge(owner, id, None, Some(" ")).await),
        "base say a state, or a note, or both\n"
    );
    let stranger = Scope::Account(AccountId(world.account.id + 1));
    assert!(matches!(
        world.judge(stranger, id, Some("ignored"), None).await,
        Err(StoreError::Refused(Refusal::NotFound("slow query")))
    ));
    world.judge(owner, id, Some("looked_at"), None).await.unwrap();
    world.judge(owner, id, Some("ignored"), Some("the nightly report")).await.unwrap();
    world.judge(owner, id, Some("ignored"), None).await.unwrap();
    world.judge(owner, id, None, Some("still")).await.unwrap();
    assert_eq!(world.events_of("slow_query.judge").await, 3, "what changes nothing is no event");
    let after = world.ranked(server, since, until).await;
    assert!(after.iter().all(|query| query.id != id) && after.len() == before.len() - 1);
    assert!((after[0].share - before[1].share).abs() < 1e-9, "its time is there all the same");
    let range = Range { since: since * 1_000_000, until: until * 1_000_000 };
    let ignored = Ranking { states: vec![QueryState::Ignored], ..world.ranking(server, range) };
    let ignored = ignored.read(world.app.store.reader()).await.unwrap();
    assert_eq!(ignored.iter().map(|query| query.id).collect::<Vec<_>>(), [id]);
    let found = world.details(world.ranking(server, range), id).await;
    let notes: Vec<_> = found
        .notes
        .iter()
        .map(|note| (note.state.as_deref(), note.text.as_str(), note.actor.as_str()))
        .collect();
    assert_eq!(
        notes,
        [
            (None, "still", "token:9 (acme's)"),
            (Some("ignored"), "the nightly report", "token:9 (acme's)"),
            (Some("looked_at"), "", "token:9 (acme's)")
        ]
    );
}

fn mark(world: &World, account: Option<i64>, server: Option<i64>, at: i64) -> SlowMarkCreate {
    let at = jiff::Timestamp::from_second(at).unwrap().to_string();
    let body = honcho_api::SlowMarkCreate {
        account_id: account,
        slow_server_id: server,
        at: Some(at),
        text: Some("shop 4.2".into()),
    };
    let scope = Scope::Account(AccountId(world.account.id));
    SlowMarkCreate { scope, who: "token:9 (acme's)".into(), body }
}

#[tokio::test]
async fn what_came_after_a_mark_is_compared_with_what_was_before() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let server = world.two_weeks(&format!("guest-{}", guest.id)).await;
    let made =
        world.ask(&mark(&world, Some(world.account.id), None, world.midnight(7) + 1800)).await.unwrap();
    let other = world.ask(&mark(&world, None, Some(server), world.midnight(3))).await.unwrap();
    assert_eq!(world.events_of("slow_mark.create").await, 2);
    let both = mark(&world, Some(world.account.id), Some(server), 0);
    assert_eq!(
        refused(world.ask(&both).await),
        "at must be a time since 2000, as in 2026-11-27T06:00:00Z\nbase say of which account or of which server, and not both\n"
    );
    let range = Range { since: 0, until: i64::MAX };
    let around =
        Ranking { compared: Compared::Around(made.at.as_microsecond()), ..world.ranking(server, range) };
    let found = around.read(world.app.store.reader()).await.unwrap();
    let slower = &found[0];
    // Six whole days on either side of it, and what is left of the seventh.
    assert_eq!((slower.events_count, slower.before_events_count), (140, Some(140)));
    assert!((2.8..3.1).contains(&slower.mean_ratio.unwrap()), "{slower:?}");
    assert_eq!(slower.flags, ["worse"]);
    let shown = world.details(around, slower.id).await.marks;
    assert_eq!(shown.iter().map(|mark| mark.id).collect::<Vec<_>>(), [made.id, other.id]);
    // A stranger sees neither.
    let stranger = Scope::Account(AccountId(world.account.id + 1));
    let seen = slow::marks(world.app.store.reader(), stranger, &Filters::default()).await.unwrap();
    assert_eq!(seen, []);
    let delete = SlowMarkDelete { scope: stranger, id: SlowMarkId(made.id) };
    assert_eq!(refused(world.ask(&delete).await), "there is no such slow mark");
    world.ask(&SlowMarkDelete { scope: Scope::Operator, id: SlowMarkId(made.id) }).await.unwrap();
    let left = slow::marks(world.app.store.reader(), Scope::Operator, &Filters::default()).await.unwrap();
    assert_eq!(left.iter().map(|mark| mark.id).collect::<Vec<_>>(), [other.id]);
}

impl World {
    /// Five weeks in which a query is asked each day; in the last days it takes three times as long, and another one is new.
    async fn five_weeks(&self, node: &str) {
        let mut log = String::new();
        for ago in (1..=36).rev() {
            let milliseconds = if ago <= 4 { 90 } else { 30 } + (ago * 7) % 5;
            log += &asked("SELECT a FROM slower WHERE b = 1", self.midnight(ago) + 3600, 20, milliseconds);
        }
        log += &asked("SELECT * FROM young WHERE b = 1 LIMIT 20000, 5", self.midnight(2) + 7200, 20, 200);
        self.post(node, 1, &log).await.unwrap();
    }

    async fn set_slow(&self, body: SlowSettingsUpdate) -> StoreResult<SlowSettings> {
        let id = AccountId(self.account.id);
        self.ask(&SlowSettingsChange { scope: Scope::Account(id), id, body }).await
    }

    async fn mails(&self) -> Vec<honcho_store::outgoing_mails::OutgoingMail> {
        honcho_store::outgoing_mails::due(self.app.store.reader(), Timestamp(i64::MAX)).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_new_or_worse_is_told_once() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let node = format!("guest-{}", guest.id);
    let mail_to = Some("ops@example.com".to_owned());
    world.set_slow(SlowSettingsUpdate { mail_to, ..SlowSettingsUpdate::default() }).await.unwrap();
    let (id, sample_values) = (AccountId(world.account.id), SampleValues::Kept);
    world.ask(&AccountSampleValues { scope: Scope::Operator, id, sample_values }).await.unwrap();
    world.five_weeks(&node).await;
    crate::controllers::slow_step(world.app.clone()).await.unwrap();
    assert_eq!(world.events_of("slow_query.new").await, 0, "its mails may not all have come");
    for _ in 0..3 {
        world.pass(120);
        crate::controllers::slow_step(world.app.clone()).await.unwrap();
        assert_eq!(
            (world.events_of("slow_query.new").await, world.events_of("slow_query.worse").await),
            (1, 1)
        );
        assert_eq!(world.mails().await.len(), 1);
        // Another mail of that server, on which it is looked through again.
        let number = 1 + world.slow_server(&node).await.mails_count.unsigned_abs();
        world
            .post(&node, number, &asked("SELECT a FROM slower WHERE b = 1", world.midnight(1) + 9000, 1, 90))
            .await
            .unwrap();
    }
    let mail = world.mails().await.remove(0);
    assert_eq!(
        (mail.recipient.as_str(), mail.subject),
        ("ops@example.com", format!("Slow queries of {node}: 1 new, 1 worse"))
    );
    for part in [
        "NEW among",
        "select * from young where b = ? limit ?",
        "WORSE than",
        "select a from slower",
        "Advice (certain): OFFSET skips",
    ] {
        assert!(mail.body.contains(part), "{part}: {}", mail.body);
    }
    assert!(mail.body.lines().all(|line| line.len() <= 80), "{}", mail.body);
    // What the account may take back is in nothing that stays.
    let server = world.slow_server(&node).await.id;
    assert!(world.slow_queries(server).await.iter().any(|query| query.sample.contains("20000, 5")));
    let filters = Filters::default().and("kind", "slow_query.new");
    let told = events::list(world.app.store.reader(), Scope::Operator, &filters).await.unwrap().remove(0);
    let told = serde_json::to_string(&told).unwrap();
    assert!(told.contains("limit ?") && !told.contains("20000, 5") && !mail.body.contains("20000"), "{told}");
}

#[tokio::test]
async fn nobody_is_told_who_does_not_want_to_be() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let node = format!("guest-{}", guest.id);
    world
        .set_slow(SlowSettingsUpdate { top_queries_count: Some(0), ..SlowSettingsUpdate::default() })
        .await
        .unwrap();
    world.five_weeks(&node).await;
    let server = world.slow_server(&node).await.id;
    let week = world.ranked(server, world.midnight(7), world.midnight(0)).await;
    for query in &week {
        world.judge(Scope::Operator, query.id, Some("ignored"), None).await.unwrap();
    }
    world.pass(120);
    crate::controllers::slow_step(world.app.clone()).await.unwrap();
    assert_eq!((world.events_of("slow_query.new").await, world.events_of("slow_query.worse").await), (0, 0));
    assert_eq!(world.mails().await, []);
}

#[tokio::test]
async fn what_an_account_is_told_is_checked() {
    let world = World::new().await;
    let update = |top: Option<i64>, mail_to: Option<&str>, weekly: Option<bool>| SlowSettingsUpdate {
        top_queries_count: top,
        mail_to: mail_to.map(str::to_owned),
        weekly_mail: weekly,
    };
    let wrong = world.set_slow(update(Some(101), Some("-oQ@example.com"), Some(true))).await;
    assert_eq!(
        refused(wrong),
        "mail_to must be an address, as in ops@example.com\ntop_queries_count must be from 0 to 100\n"
    );
    let nowhere = world.set_slow(update(None, None, Some(true))).await;
    assert_eq!(refused(nowhere), "mail_to can't be blank if there is to be a weekly mail\n");
    let set = world.set_slow(update(Some(3), Some("ops@example.com"), Some(true))).await.unwrap();
    assert_eq!(
        (set.top_queries_count, set.mail_to.as_deref(), set.weekly_mail),
        (3, Some("ops@example.com"), true)
    );
    world.set_slow(update(Some(3), None, None)).await.unwrap();
    assert_eq!(world.events_of("account.slow_settings").await, 1);
    let off = world.set_slow(update(None, Some(""), Some(false))).await.unwrap();
    assert_eq!((off.mail_to, off.weekly_mail), (None, false));
}

#[tokio::test]
async fn a_mail_each_week() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let (mail_to, weekly_mail) = (Some("ops@example.com".to_owned()), Some(true));
    world
        .set_slow(SlowSettingsUpdate { mail_to, weekly_mail, ..SlowSettingsUpdate::default() })
        .await
        .unwrap();
    // To the next Monday, seven o'clock.
    let day = 86_400;
    let monday = ((world.second() / day + 3) / 7 + 1) * 7 * day - 3 * day;
    world.pass(monday - world.second() + 7 * 3600);
    world.two_weeks(&format!("guest-{}", guest.id)).await;
    for _ in 0..2 {
        crate::controllers::slow_weekly_step(world.app.clone()).await.unwrap();
        assert_eq!(world.mails().await.len(), 1);
    }
    let mail = world.mails().await.remove(0);
    assert_eq!(mail.subject, "Slow queries of acme: 1 worse, 1 new");
    assert!(
        mail.body.contains("4 kinds of queries took") && mail.body.contains("1 worse, 1 new, 1 better"),
        "{}",
        mail.body
    );
    world.pass(7 * day);
    let log = asked("SELECT a FROM steady WHERE b = 1", world.midnight(3), 5, 20);
    world.post(&format!("guest-{}", guest.id), 2, &log).await.unwrap();
    crate::controllers::slow_weekly_step(world.app.clone()).await.unwrap();
    assert_eq!(world.mails().await.len(), 2, "and the next week another");
}

#[tokio::test]
async fn a_mail_waits_until_the_mail_daemon_takes_it() {
    let world = World::new().await;
    let guest = world.order("web1").await;
    let mail_to = Some("ops@example.com".to_owned());
    world.set_slow(SlowSettingsUpdate { mail_to, ..SlowSettingsUpdate::default() }).await.unwrap();
    world.five_weeks(&format!("guest-{}", guest.id)).await;
    world.pass(120);
    crate::controllers::slow_step(world.app.clone()).await.unwrap();
    let program = world.app.slow.sendmail.clone();
    assert!(!program.exists(), "the mail daemon is down");
    crate::controllers::mailing_step(world.app.clone()).await.unwrap();
    assert_eq!(world.mails().await[0].failures, 1);
    let taken = program.with_file_name("taken");
    let script = format!("#!/bin/sh\necho \"$@\" > {0}.arguments\ncat > {0}\n", taken.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    crate::controllers::mailing_step(world.app.clone()).await.unwrap();
    assert!(!taken.exists(), "it is not tried again at once");
    world.pass(60);
    crate::controllers::mailing_step(world.app.clone()).await.unwrap();
    assert_eq!(world.mails().await, []);
    let mail = std::fs::read_to_string(&taken).unwrap();
    assert!(
        mail.contains("\nTo: ops@example.com\nSubject: Slow queries of guest-")
            && mail.contains("\n\nOf the slow logs"),
        "{mail}"
    );
    let arguments = std::fs::read_to_string(program.with_file_name("taken.arguments")).unwrap();
    assert_eq!(arguments, "-i -f honcho@localhost -- ops@example.com\n");
}

#[tokio::test]
async fn what_is_old_is_thrown_away() {
    let world = World::new().await;
    let log = asked("SELECT a FROM gone", world.midnight(500), 50, 10)
        + &asked("SELECT a FROM kept", world.midnight(500), 50, 10)
        + &asked("SELECT a FROM kept", world.midnight(100), 50, 10)
        + &asked("SELECT a FROM kept", world.midnight(1), 50, 10);
    world.post("db1", 1, &log).await.unwrap();
    let server = world.slow_server("db1").await.id;
    let all = async || world.ranked(server, 0, i64::MAX / 1_000_000).await;
    assert_eq!(all().await.iter().map(|query| query.events_count).collect::<Vec<_>>(), [150, 50]);
    // Without its last hour: whole days are read as days.
    let day = async |ago: i64| {
        world.ranked(server, world.midnight(ago), world.midnight(ago - 1) - 3600).await.len()
    };
    crate::controllers::slow_forget_step(world.app.clone()).await.unwrap();
    assert_eq!(
        all().await.iter().map(|query| query.events_count).collect::<Vec<_>>(),
        [100],
        "a year and a month"
    );
    // By the hour there is the last month alone; `ranking` here asks for hours whatever is kept.
    assert_eq!((day(1).await, day(100).await), (1, 0));
    let kept = world.app.slow.kept(world.app.now());
    let range = Range { since: world.midnight(100) * 1_000_000, until: world.midnight(99) * 1_000_000 };
    let by_day = Ranking { hours_since: kept.hours_since, ..world.ranking(server, range) };
    assert_eq!(by_day.read(world.app.store.reader()).await.unwrap()[0].events_count, 50);
}

#[tokio::test]
async fn a_log_that_tells_of_ages_overflows_nothing() {
    let world = World::new().await;
    let honest = asked("SELECT a FROM honest", world.midnight(1), 10, 20);
    let ages: String = (0..40)
        .map(|n| asked("SELECT a FROM ages", world.midnight(1) + n, 1, 1).replace("0.001000", "31000000.0"))
        .collect();
    assert!(ages.contains("Query_time: 31000000.0"), "{}", &ages[..200]);
    for number in 1..=3 {
        world.post("db1", number, &format!("{ages}{honest}")).await.unwrap();
    }
    let ranked = world.ranked(world.slow_server("db1").await.id, world.midnight(2), world.midnight(-1)).await;
    let told: Vec<_> = ranked.iter().map(|query| (query.fingerprint.as_str(), query.events_count)).collect();
    assert_eq!(told, [("select a from ages", 120), ("select a from honest", 30)]);
    assert!(ranked.iter().all(|query| query.share.is_finite() && query.share <= 1.0), "{ranked:?}");
}

#[tokio::test]
async fn what_was_left_by_a_killed_forgetting_goes_the_next_time() {
    let world = World::new().await;
    world.post("db1", 1, &asked("SELECT a FROM gone", world.midnight(500), 50, 10)).await.unwrap();
    let server = world.slow_server("db1").await.id;
    let id = world.ranked(server, 0, i64::MAX / 1_000_000).await[0].id;
    // The first piece of it alone: the periods.
    let kept = world.app.slow.kept(world.app.now());
    for _ in 0..2 {
        world.app.write(Actor::honcho(), &slow::Forget { kept, from: 0 }).await.unwrap();
    }
    assert_eq!(world.ranked(server, 0, i64::MAX / 1_000_000).await.len(), 0);
    let find = async || slow::find_query(world.app.store.reader(), Scope::Operator, SlowQueryId(id)).await;
    assert!(find().await.is_ok(), "its name and who asked for it are there still");
    crate::controllers::slow_forget_step(world.app.clone()).await.unwrap();
    assert!(find().await.is_err());
}
