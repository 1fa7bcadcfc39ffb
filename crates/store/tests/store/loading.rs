//! Load over time: what is told is kept once, in its place, and made coarser; what goes takes it along.

use crate::world::{World, act, connect, saw, seen};
use honcho_model::load::{Kind, Measure, Sample, Span};
use honcho_model::{AccountId, GuestId, HostId, Timestamp};
use honcho_store::load::{self, Roll, Rolled, Told, ToldSample, WriteLoad};
use honcho_store::{Actor, Change, Refusal, Scope, StoreError, StoreResult, Tx, hosts};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use std::time::Instant;
use uuid::Uuid;

const MINUTE: i64 = 60_000_000;
const RUN: Uuid = Uuid::from_u128(0xa);

fn cpu(value: f64) -> Sample {
    Sample::default().with(Measure::Cpu, Some(value)).with(Measure::CpuPeak, Some(value))
}

/// A sample of the minute that ends at `now`.
fn told(number: u64, now: Timestamp, guests: &[(GuestId, f64)]) -> ToldSample {
    let guests = guests.iter().map(|(guest, value)| (*guest, cpu(*value))).collect();
    ToldSample { number, from: Timestamp(now.0 - MINUTE), until: now, host: Some(cpu(7.0)), guests }
}

impl World {
    async fn tell(&self, host: HostId, run: Uuid, samples: Vec<ToldSample>) {
        self.write(&WriteLoad { told: vec![Told { host, run, samples }] }).await.unwrap();
    }

    /// Minutes (since the first that is shown) and processors of a guest.
    async fn load(&self, guest: GuestId, span: Span) -> Vec<(i64, f64)> {
        let found =
            load::of_guest(self.store.reader(), Scope::System, guest, span, self.now()).await.unwrap();
        minutes(&found)
    }

    /// Makes all samples of a span that lie before `until`.
    async fn roll(&self, span: Span, from: Timestamp, until: Timestamp) {
        for (from, until) in load::parts(span, from, until) {
            for kind in [Kind::Guest, Kind::Host] {
                let roll = Roll { span, from, until, kind, after: i64::MIN };
                assert_eq!(self.write(&roll).await.unwrap(), None);
            }
        }
        self.write(&Rolled { span, until }).await.unwrap();
    }
}

/// Minutes since 1970 and processors, of samples.
fn minutes(samples: &[(Timestamp, Sample)]) -> Vec<(i64, f64)> {
    let rounded = |sample: &Sample| (sample.get(Measure::Cpu).unwrap() * 100.0).round() / 100.0;
    samples.iter().map(|(at, sample)| (at.0 / MINUTE, rounded(sample))).collect()
}

async fn world() -> (World, GuestId) {
    let world = World::new().await;
    // Four hours into a chunk of fives.
    world.pass(14_400 * 1000 - world.now().0 / 1_000_000);
    let id = world.guest("web1").await;
    (world, id)
}

#[tokio::test]
async fn what_is_told_is_kept_once_and_of_guests_that_are_there() {
    let (world, id) = world().await;
    let base = world.now().0 / MINUTE;
    let stranger = world.new_host("h2").await;
    let kept = async |run| load::kept(world.store.reader(), world.host, run).await.unwrap();
    world.pass(40);
    let first = told(1, world.now(), &[(id, 0.5), (GuestId(999), 3.0)]);
    world.tell(world.host, RUN, vec![first.clone()]).await;
    assert_eq!(world.load(id, Span::Minutes).await, [(base, 0.5)], "the minute whose middle it saw");
    assert_eq!((kept(RUN).await, kept(Uuid::from_u128(5)).await), (1, 0));
    // Told again with another, and by a host that it is not on.
    world.pass(60);
    let second = told(2, world.now(), &[(id, 1.5)]);
    let again = ToldSample { guests: vec![(id, cpu(9.0))], ..first };
    world.tell(world.host, RUN, vec![again, second]).await;
    world.tell(stranger, RUN, vec![told(1, world.now(), &[(id, 5.0)])]).await;
    assert_eq!(world.load(id, Span::Minutes).await, [(base, 0.5), (base + 1, 1.5)]);
    assert_eq!(kept(RUN).await, 2);
    // A run that begins anew begins to count anew, and a gap stays one.
    world.pass(180);
    world.tell(world.host, Uuid::from_u128(0xb), vec![told(1, world.now(), &[(id, 2.5)])]).await;
    assert_eq!(world.load(id, Span::Minutes).await, [(base, 0.5), (base + 1, 1.5), (base + 4, 2.5)]);
    let of_host = load::of_host(world.store.reader(), world.host, Span::Minutes, world.now()).await.unwrap();
    assert_eq!(minutes(&of_host), [(base, 7.0), (base + 1, 7.0), (base + 4, 7.0)]);
}

#[tokio::test]
async fn coarser_samples_are_there_before_and_after_they_are_kept() {
    let (world, id) = world().await;
    let base = world.now();
    for number in 1..=130_u32 {
        world.pass(60);
        if !(20..=40).contains(&number) {
            let sample = told(number.into(), world.now(), &[(id, f64::from(number))]);
            world.tell(world.host, RUN, vec![sample]).await;
        }
    }
    let base = base.0 / MINUTE;
    let (fives, hours) = (world.load(id, Span::Fives).await, world.load(id, Span::Hours).await);
    assert_eq!(
        fives[..5],
        [(base, 3.0), (base + 5, 8.0), (base + 10, 13.0), (base + 15, 17.5), (base + 40, 43.0)]
    );
    assert_eq!(hours.len(), 3);
    let end = Timestamp((base + 60) * MINUTE);
    world.roll(Span::Fives, Timestamp(base * MINUTE), end).await;
    world.roll(Span::Hours, Timestamp(base * MINUTE), end).await;
    // Twice is once.
    world.roll(Span::Fives, Timestamp(base * MINUTE), end).await;
    let close = |one: &[(i64, f64)], other: &[(i64, f64)]| {
        one.len() == other.len()
            && one
                .iter()
                .zip(other)
                .all(|(one, other)| one.0 == other.0 && (one.1 / other.1 - 1.0).abs() < 0.002)
    };
    let (fives_after, hours_after) = (world.load(id, Span::Fives).await, world.load(id, Span::Hours).await);
    assert!(close(&fives, &fives_after), "{fives:?} {fives_after:?}");
    assert!(close(&hours, &hours_after), "{hours:?} {hours_after:?}");
    // What a day came to, by its hours: one of them is complete.
    let of_a_day =
        async |kind| load::busy_of_a_day(world.store.reader(), kind, None, world.now()).await.unwrap();
    let guests = of_a_day(Kind::Guest).await;
    assert_eq!(guests.keys().copied().collect::<Vec<_>>(), [id.0]);
    assert!((guests[&id.0] / hours[0].1 - 1.0).abs() < 0.002, "{guests:?} {hours:?}");
    assert!((of_a_day(Kind::Host).await[&world.host.0] - 7.0).abs() < 0.01);
    world.pass(21 * 3600);
    assert_eq!(of_a_day(Kind::Guest).await.len(), 1, "it began less than a day ago");
    world.pass(3600);
    assert!(of_a_day(Kind::Guest).await.is_empty() && of_a_day(Kind::Host).await.is_empty());
    // Two days on the minutes are long gone, and their place is taken by others; the hours are not.
    world.pass(86_400);
    assert_eq!(world.load(id, Span::Minutes).await, []);
    let left = world.load(id, Span::Hours).await;
    assert_eq!(left.first().map(|(at, _)| *at), Some(base));
    world.pass(91 * 86_400);
    assert_eq!(world.load(id, Span::Hours).await, []);
}

#[tokio::test]
async fn others_see_nothing_and_what_goes_takes_its_samples_along() {
    let (world, id) = world().await;
    world.report(saw(vec![seen(id, 1)])).await;
    world.pass(60);
    world.tell(world.host, RUN, vec![told(1, world.now(), &[(id, 0.5)])]).await;
    let seen_by = async |scope| {
        load::of_guest(world.store.reader(), scope, id, Span::Minutes, world.now())
            .await
            .map(|found| found.len())
    };
    assert_eq!(seen_by(Scope::Account(world.account)).await.unwrap(), 1);
    let stranger = world.new_account("other").await;
    for scope in [
        Scope::Account(stranger),
        Scope::Account(AccountId(99)),
        Scope::Machine(world.account, GuestId(id.0 + 1)),
    ] {
        let refused = seen_by(scope).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused(Refusal::NotFound(_))), "{refused}");
    }
    world.delete(id).await;
    world.report_gone(id).await;
    assert_eq!(world.load(id, Span::Minutes).await, []);
    // What its host had not told yet comes too late.
    world.tell(world.host, RUN, vec![told(2, world.now(), &[(id, 0.5)])]).await;
    assert_eq!(world.load(id, Span::Minutes).await, []);
    let host = world.host;
    world.write(&act(|tx, _| Box::pin(hosts::delete(tx, host)))).await.unwrap();
    assert_eq!(load::kept(world.store.reader(), host, RUN).await.unwrap(), 0);
    let connection = connect(&world.engine).await;
    let sql = "SELECT subject_id FROM load_chunks UNION ALL SELECT host_id FROM load_told";
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    assert_eq!(connection.query_all_raw(statement).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_damaged_chunk_counts_as_empty_and_keeps_nobody_elses_from_being_kept() {
    let (world, id) = world().await;
    let other = world.guest("web2").await;
    world.pass(60);
    world.tell(world.host, RUN, vec![told(1, world.now(), &[(id, 1.0), (other, 2.0)])]).await;
    let connection = connect(&world.engine).await;
    let backend = connection.get_database_backend();
    let nothing = if backend == DbBackend::Postgres { "'\\x01'" } else { "x'01'" };
    let sql = format!("UPDATE load_chunks SET samples = {nothing} WHERE kind = 0 AND subject_id = {id}");
    connection.execute_raw(Statement::from_string(backend, sql)).await.unwrap();
    let at = world.now().0 / MINUTE;
    assert_eq!(world.load(id, Span::Minutes).await, []);
    let from = Span::Fives.begin(Timestamp(world.now().0 - 10 * MINUTE));
    world.roll(Span::Fives, from, Span::Fives.begin(Timestamp(world.now().0 + 5 * MINUTE))).await;
    world.pass(60);
    world.tell(world.host, RUN, vec![told(2, world.now(), &[(id, 3.0), (other, 4.0)])]).await;
    assert_eq!(world.load(id, Span::Minutes).await, [(at, 3.0)]);
    assert_eq!(world.load(other, Span::Minutes).await, [(at - 1, 2.0), (at, 4.0)]);
}

/// Makes so many copies of a guest on each host; gives the first one's id.
async fn multiply(world: &World, guest: GuestId, hosts: &[HostId], copies: usize) -> i64 {
    let connection = connect(&world.engine).await;
    let backend = connection.get_database_backend();
    let sql = format!("SELECT * FROM guests WHERE id = {guest}");
    let row = connection.query_one_raw(Statement::from_string(backend, sql)).await.unwrap().unwrap();
    let columns = row.column_names();
    let uuid = if backend == DbBackend::Postgres { "gen_random_uuid()" } else { "randomblob(16)" };
    let first = guest.0 + 1000;
    for (place, host) in hosts.iter().enumerate() {
        let id = format!("{} + number", first - 1 + i64::try_from(place * copies).unwrap());
        let values = columns.iter().map(|column| match column.as_str() {
            "id" => id.clone(),
            "uuid" => uuid.to_owned(),
            "name" => format!("t.name || '-' || ({id})"),
            "host_id" => host.to_string(),
            other => format!("t.{other}"),
        });
        let values: Vec<String> = values.collect();
        let sql = format!(
            "WITH RECURSIVE copies (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM copies WHERE number < {copies}) \
             INSERT INTO guests ({}) SELECT {} FROM guests t CROSS JOIN copies WHERE t.id = {guest}",
            columns.join(", "),
            values.join(", ")
        );
        connection.execute_unprepared(&sql).await.unwrap();
    }
    first
}

/// Puts samples of a span.
struct Put<'s>(Span, &'s load::Samples);

impl Change for Put<'_> {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        load::put(tx, self.0, self.1).await
    }
}

/// How many bytes the chunks take, their index included.
async fn size(world: &World) -> i64 {
    let connection = connect(&world.engine).await;
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "SELECT pg_total_relation_size('load_chunks') AS n",
        _ => "SELECT page_count * page_size AS n FROM pragma_page_count(), pragma_page_size()",
    };
    let row = connection.query_one_raw(Statement::from_string(backend, sql)).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}

/// What guests take that are 90 days old.
#[allow(clippy::print_stdout, clippy::disallowed_methods)]
async fn grow_old(world: &World) {
    const GUESTS: i64 = 1000;
    let before = size(world).await;
    for span in Span::ALL {
        for chunk in 0..span.chunks() {
            let at = Timestamp(world.now().0 - chunk * span.chunk() * span.step());
            let samples = (0..GUESTS).map(|guest| ((Kind::Guest, 1_000_000 + guest), vec![(at, cpu(0.5))]));
            world.write(&Put(span, &samples.collect())).await.unwrap();
        }
    }
    println!("a guest of 90 days: {} bytes", (size(world).await - before) / GUESTS);
}

/// What a minute of 10,000 guests costs: `cargo test -p honcho-store -- --ignored --nocapture a_minute_of`.
#[tokio::test]
#[ignore = "for figures: it takes a minute, and asserts only that all of it is there"]
#[allow(clippy::print_stdout, clippy::disallowed_methods, clippy::cast_precision_loss)]
async fn a_minute_of_ten_thousand_guests() {
    const HOSTS: usize = 400;
    const GUESTS: usize = 25;
    let world = World::new().await;
    world.pass(86_400 * 20_000);
    let order = world.guest("web1").await;
    let mut hosts = vec![world.host];
    for number in 2..=HOSTS {
        hosts.push(world.new_host(&format!("h{number}")).await);
    }
    let last = multiply(&world, order, &hosts, GUESTS).await;
    let id = move |number: usize| GuestId(last + i64::try_from(number).unwrap());
    let of = |host: usize| (0..GUESTS).map(move |n| id(host * GUESTS + n));
    let minute = |number: u64, now: Timestamp| -> Vec<Told> {
        let host = |(place, host): (usize, &HostId)| {
            let guests: Vec<(GuestId, f64)> = of(place).map(|id| (id, 0.1 * (id.0 % 17) as f64)).collect();
            Told { host: *host, run: RUN, samples: vec![told(number, now, &guests)] }
        };
        hosts.iter().enumerate().map(host).collect()
    };
    let (mut times, mut longest) = (Vec::new(), std::time::Duration::ZERO);
    for number in 1..=8 {
        world.pass(60);
        let told = minute(number, world.now());
        let begun = Instant::now();
        // As the controller does it: a thousand guests at a time.
        for some in told.chunks(1000 / GUESTS) {
            let one = Instant::now();
            let change = WriteLoad { told: some.to_vec() };
            world.store.write(Actor::honcho(), world.now(), &change).await.unwrap();
            longest = longest.max(one.elapsed());
        }
        times.push(begun.elapsed());
    }
    println!(
        "a minute of {} guests and {HOSTS} hosts: {times:?}; a transaction of 1,000: {longest:?} at most",
        HOSTS * GUESTS
    );
    let (begun, from) = (Instant::now(), Span::Fives.begin(Timestamp(world.now().0 - 6 * MINUTE)));
    for kind in [Kind::Guest, Kind::Host] {
        let mut after = Some(i64::MIN);
        while let Some(last) = after {
            let until = Timestamp(from.0 + Span::Fives.step());
            after = world.write(&Roll { span: Span::Fives, from, until, kind, after: last }).await.unwrap();
        }
    }
    println!("made coarser, once in five minutes: {:?}", begun.elapsed());
    grow_old(&world).await;
    let begun = Instant::now();
    let found = world.load(GuestId(last + 7), Span::Minutes).await;
    println!("read: {:?}", begun.elapsed());
    assert_eq!(found.len(), 8);
}
