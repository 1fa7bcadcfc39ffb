//! Two ends of a wire in one process: a volume gets across whole, through cuts, and to nobody else.

use super::frames::Question;
use super::serve::Server;
use super::*;
use crate::drivers::{Drivers, ProgressSink, Storage};
use crate::simulated;
use honcho_model::{Epoch, Generation, GuestId, PoolId};
use honcho_wire::{Existence, PoolKind};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

const TICKET: &str = "a ticket";
const OWN: &str = "fingerprint of the target";

fn pool() -> PoolWanted {
    PoolWanted {
        id: PoolId(1),
        uuid: Uuid::from_u128(1),
        generation: Generation(1),
        existence: Existence::Make,
        kind: PoolKind::Directory { path: "/pool".into() },
    }
}

fn arriving() -> Arriving {
    Arriving {
        guest: GuestId(7),
        uuid: Uuid::from_u128(7),
        epoch: Epoch(2),
        volume: VolumeId(9),
        volume_uuid: Uuid::from_u128(9),
        pool: PoolId(1),
        address: "nowhere:1".into(),
        certificates: Vec::new(),
        ticket: TICKET.into(),
    }
}

/// The way to the other agent, which is cut after so many bytes, if it is to be.
struct Wire {
    server: Server,
    shown: &'static str,
    cut_after: Mutex<Option<u64>>,
    carried: Arc<AtomicU64>,
}

#[async_trait]
impl Peers for Wire {
    async fn connect(&self, _: &Arriving) -> DriverResult<Box<dyn Duplex>> {
        let (near, middle) = tokio::io::duplex(1 << 20);
        let (far, mut end) = tokio::io::duplex(1 << 20);
        let (server, shown) = (self.server.clone(), self.shown);
        tokio::spawn(async move {
            let mut far: Box<dyn Duplex> = Box::new(far);
            let question: Question = super::frames::hear(&mut far).await.unwrap();
            // It says what went wrong to whoever asked, too.
            let _said = server.answer(far, shown, &question).await;
        });
        let cut = self.cut_after.lock().unwrap().take();
        let carried = Arc::clone(&self.carried);
        tokio::spawn(async move {
            let (mut from_near, mut to_near) = tokio::io::split(middle);
            let mut left = cut.unwrap_or(u64::MAX);
            let mut buffer = vec![0; 64 << 10];
            let (mut from_end, mut to_end) = tokio::io::split(&mut end);
            let asking = async { tokio::io::copy(&mut from_near, &mut to_end).await };
            let answering = async {
                while left > 0 {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let read = from_end.read(&mut buffer[..most]).await?;
                    if read == 0 {
                        break;
                    }
                    left -= read as u64;
                    carried.fetch_add(read as u64, Ordering::SeqCst);
                    to_near.write_all(&buffer[..read]).await?;
                }
                Ok::<_, std::io::Error>(())
            };
            tokio::select! {
                _ = asking => {}
                _ = answering => {}
            }
        });
        Ok(Box::new(near))
    }
}

/// Nobody asks who these hosts are: what each showed is said by the test.
struct Nobody;

impl OwnIdentity for Nobody {
    fn identity(&self) -> Arc<Identity> {
        unreachable!("no handshake")
    }
}

/// Two simulated hosts; the volume stands on one of them.
struct Two {
    _directory: tempfile::TempDir,
    from: Drivers,
    to: Drivers,
    departures: watch::Sender<Departures>,
    wire: Wire,
}

/// A volume of so many MiB, each block with its number in it but those that are holes.
fn fill(path: &Path, mib: u64, is_hole: impl Fn(u64) -> bool) {
    let file = std::fs::File::options().write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(mib << 20).unwrap();
    for block in (0..mib).filter(|block| !is_hole(*block)) {
        let bytes: Vec<u8> = block.to_le_bytes().iter().copied().cycle().take(1 << 20).collect();
        file.write_all_at(&bytes, block << 20).unwrap();
        file.write_all_at(b"x", block << 20).unwrap();
    }
}

fn content(storage: &dyn Storage) -> Option<Vec<u8>> {
    let arriving = arriving();
    std::fs::read(storage.disk_path(&pool(), arriving.volume, arriving.volume_uuid)).ok()
}

impl Two {
    async fn new(mib: u64, is_hole: impl Fn(u64) -> bool) -> Two {
        let directory = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let host = directory.path().join(name);
            std::fs::create_dir_all(&host).unwrap();
            std::fs::write(host.join("settings.json"), r#"{"step_ms":0}"#).unwrap();
            simulated::open(&host).unwrap()
        };
        let (from, to) = (open("from"), open("to"));
        for drivers in [&from, &to] {
            drivers.storage.init_pool(Uuid::from_u128(2), &pool()).await.unwrap();
        }
        let arriving = arriving();
        fill(&from.storage.disk_path(&pool(), arriving.volume, arriving.volume_uuid), mib, is_hole);
        let departure = Departure {
            pool: pool(),
            volume: arriving.volume,
            uuid: arriving.volume_uuid,
            certificates: vec![OWN.to_owned()],
        };
        let departures = Arc::new(BTreeMap::from([(ticket_hash(TICKET), departure)]));
        let (departures, receiver) = watch::channel(departures);
        let server =
            Server { identity: Arc::new(Nobody), storage: Arc::clone(&from.storage), departures: receiver };
        let wire =
            Wire { server, shown: OWN, cut_after: Mutex::new(None), carried: Arc::new(AtomicU64::new(0)) };
        Two { _directory: directory, from, to, departures, wire }
    }

    async fn fetch(&self, arriving: &Arriving) -> DriverResult<()> {
        let silent: ProgressSink = Arc::new(|_, _| {});
        fetch(self.to.storage.as_ref(), &pool(), arriving, &self.wire, &silent).await
    }

    fn arrived(&self) -> Option<Vec<u8>> {
        content(self.to.storage.as_ref())
    }

    fn assert_the_same(&self) {
        let (from, to) = (content(self.from.storage.as_ref()), self.arrived());
        assert!(from.is_some() && from == to);
    }
}

#[tokio::test]
async fn a_volume_gets_across_whole_and_its_holes_stay_holes() {
    let two = Two::new(40, |block| block % 4 != 1).await;
    two.fetch(&arriving()).await.unwrap();
    two.assert_the_same();
    let carried = two.wire.carried.load(Ordering::SeqCst);
    assert!((10 << 20..11 << 20).contains(&carried), "{carried} bytes for 10 MiB of data");
    let arriving_volume = arriving();
    let path = two.to.storage.disk_path(&pool(), arriving_volume.volume, arriving_volume.volume_uuid);
    let kept = blocks::allocated(&std::fs::File::open(path).unwrap()).unwrap();
    assert!(kept < 12 << 20, "{kept} bytes on disk");
    // Once more it has nothing to do.
    two.fetch(&arriving()).await.unwrap();
    assert_eq!(two.wire.carried.load(Ordering::SeqCst), carried);
}

#[tokio::test]
async fn a_cut_costs_what_came_since_the_last_sync_and_no_more() {
    let two = Two::new(100, |_| false).await;
    *two.wire.cut_after.lock().unwrap() = Some(70 << 20);
    let cut = two.fetch(&arriving()).await.unwrap_err().to_string();
    assert!(cut.contains("broke"), "{cut}");
    assert!(two.arrived().is_none(), "half of it passes for the whole");
    two.wire.carried.store(0, Ordering::SeqCst);
    two.fetch(&arriving()).await.unwrap();
    two.assert_the_same();
    let carried = two.wire.carried.load(Ordering::SeqCst);
    assert!((36 << 20..38 << 20).contains(&carried), "{carried} bytes after 64 MiB were kept");
}

#[tokio::test]
async fn what_another_move_left_is_not_taken_for_the_beginning_of_this_one() {
    let two = Two::new(80, |_| false).await;
    *two.wire.cut_after.lock().unwrap() = Some(50 << 20);
    two.fetch(&arriving()).await.unwrap_err();
    // The guest went on running where it was, and is moved again.
    let arriving = Arriving { ticket: "another ticket".to_owned(), ..arriving() };
    let path = two.from.storage.disk_path(&pool(), arriving.volume, arriving.volume_uuid);
    std::fs::File::options().write(true).open(path).unwrap().write_all_at(b"changed", 0).unwrap();
    let departure = two.departures.borrow().values().next().unwrap().clone();
    two.departures.send_replace(Arc::new(BTreeMap::from([(ticket_hash("another ticket"), departure)])));
    two.fetch(&arriving).await.unwrap();
    two.assert_the_same();
}

#[tokio::test]
async fn what_has_gone_bad_on_the_way_is_found_out_and_fetched_anew() {
    let two = Two::new(80, |_| false).await;
    *two.wire.cut_after.lock().unwrap() = Some(50 << 20);
    two.fetch(&arriving()).await.unwrap_err();
    let half = two.to.storage.arriving(&pool(), VolumeId(9), Uuid::from_u128(9)).await.unwrap().unwrap();
    std::fs::File::options().write(true).open(half).unwrap().write_all_at(b"rot", 5).unwrap();
    let refused = two.fetch(&arriving()).await.unwrap_err().to_string();
    assert!(refused.contains("not what the other host has"), "{refused}");
    assert!(two.arrived().is_none());
    two.fetch(&arriving()).await.unwrap();
    two.assert_the_same();
}

#[tokio::test]
async fn nobody_else_gets_it_and_nobody_gets_it_once_it_does_not_leave() {
    let mut two = Two::new(3, |_| false).await;
    let other = Arriving { ticket: "guessed".to_owned(), ..arriving() };
    let refused = two.fetch(&other).await.unwrap_err().to_string();
    assert!(refused.contains("no guest is leaving by this ticket"), "{refused}");
    two.wire.shown = "fingerprint of a third host";
    let refused = two.fetch(&arriving()).await.unwrap_err().to_string();
    assert!(refused.contains("given to another host"), "{refused}");
    two.wire.shown = OWN;
    two.departures.send_replace(Departures::default());
    let refused = two.fetch(&arriving()).await.unwrap_err().to_string();
    assert!(refused.contains("no guest is leaving by this ticket"), "{refused}");
    assert!(two.arrived().is_none());
}
