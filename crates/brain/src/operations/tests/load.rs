//! Load over time, from what an agent tells to what people are shown.

use super::*;
use crate::controllers::{load_roll_step, load_write_step};
use honcho_model::load::{Measure, Span};
use honcho_store::load::{kept, of_guest, rolled_until};
use honcho_wire::{GuestTaken, LoadReport, LoadSample, Taken};

const RUN: Uuid = Uuid::from_u128(0xa);

fn sample(number: u64, minutes_ago: u64, guest: i64, cpu_ms: u64) -> LoadSample {
    let taken = Taken { cpu_ms: Some(cpu_ms), ..Taken::default() };
    let guests = vec![GuestTaken { id: GuestId(guest), taken }];
    LoadSample { number, ended_ms_ago: minutes_ago * 60_000, lasted_ms: 60_000, host: None, guests }
}

impl World {
    async fn kept(&self) -> u64 {
        kept(self.app.store.reader(), HostId(self.host.id), RUN).await.unwrap()
    }

    async fn tell(&self, samples: Vec<LoadSample>) {
        let report = LoadReport { run_id: RUN, samples };
        self.app.loads.hear(HostId(self.host.id), report, self.kept().await, self.app.now());
    }

    async fn cpus(&self, guest: i64, span: Span) -> Vec<f64> {
        let found =
            of_guest(self.app.store.reader(), Scope::Operator, GuestId(guest), span, self.app.now()).await;
        found
            .unwrap()
            .iter()
            .map(|(_, sample)| (sample.get(Measure::Cpu).unwrap() * 10.0).round() / 10.0)
            .collect()
    }
}

#[tokio::test]
async fn what_an_agent_told_while_the_brain_was_away_is_shown_in_its_minutes() {
    let world = World::new().await;
    let id = world.order("web1").await.id;
    world.tell(vec![sample(1, 2, id, 30_000), sample(2, 0, id, 60_000)]).await;
    assert_eq!((world.kept().await, world.cpus(id, Span::Minutes).await), (0, vec![]), "in memory alone");
    load_write_step(world.app.clone()).await.unwrap();
    assert_eq!((world.kept().await, world.cpus(id, Span::Minutes).await), (2, vec![0.5, 1.0]));
    // The agent has not heard that and tells it again, with another.
    world.pass(60);
    world.tell(vec![sample(1, 3, id, 30_000), sample(2, 1, id, 60_000), sample(3, 0, id, 90_000)]).await;
    load_write_step(world.app.clone()).await.unwrap();
    assert_eq!(world.cpus(id, Span::Minutes).await, [0.5, 1.0, 1.5]);
}

#[tokio::test]
async fn samples_are_made_coarser_once_no_agent_has_any_left_to_tell() {
    let world = World::new().await;
    let id = world.order("web1").await.id;
    for number in 1..=90 {
        world.pass(60);
        world.tell(vec![sample(number, 0, id, 600 * number)]).await;
        load_write_step(world.app.clone()).await.unwrap();
        load_roll_step(world.app.clone()).await.unwrap();
    }
    let now = world.app.now();
    let rolled = async |span| rolled_until(world.app.store.reader(), span).await.unwrap().unwrap();
    let (fives, hours) = (rolled(Span::Fives).await, rolled(Span::Hours).await);
    let minutes = |since: honcho_model::Timestamp| now.since(since).as_secs() / 60;
    assert!((25..=30).contains(&minutes(fives)), "{}", minutes(fives));
    assert_eq!(hours, Span::Hours.begin(fives));
    let shown = world.cpus(id, Span::Fives).await;
    assert!((18..=19).contains(&shown.len()) && shown.is_sorted(), "{shown:?}");
    let shown = world.cpus(id, Span::Hours).await;
    assert!((2..=3).contains(&shown.len()) && shown.is_sorted(), "{shown:?}");
}
