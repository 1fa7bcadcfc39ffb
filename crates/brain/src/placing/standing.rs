//! How the fleet stands: kept in this brain's memory between orders, and brought up to date by what changed, inside the
//! transaction that decides by it. What an order costs does not grow with the fleet that it does not change.
//!
//! ```text
//!   order --> Standing::now(tx) --> taken out --> hosts that changed are read anew --> Now: decides
//!                                                                                      '--> dropped: back again
//! ```
//!
//! Whoever uses it has taken it out; a second one, or one who comes after somebody was stopped half-way, reads all of it
//! anew. What a change has written itself must not be kept before it is committed: one that has written reads for itself,
//! and keeps nothing. Whoever only looks has a fleet apart ([`Standing::seen`]), so that no order waits for them.

use super::fleet::{self, Busy, Kinds};
use super::{Decided, Lost, Together, together};
use honcho_model::{AccountId, Bytes, HostId, Name, Timestamp};
use honcho_placement::{Alike, ClusterId, ClusterRole, Fleet, Request, Rules, Sums, Told};
use honcho_store::rooms::{self, HostKin, KeptRooms, Loads, PlacedGuest, Renewed, Room};
use honcho_store::{Connection, Store, StoreError, StoreResult, Tx};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The fleet as this brain keeps it; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Standing(Arc<Parts>);

#[derive(Default)]
struct Parts {
    kept: Mutex<Option<Kept>>,
    /// What those see who only look; one of them brings it up to date while the others wait.
    seen: tokio::sync::Mutex<Option<Kept>>,
    /// Whether this brain has written down what hosts said of their load since it was read.
    loads_told: AtomicBool,
    /// What is renewed after each change of a test, and compared with what is read anew.
    #[cfg(test)]
    witness: Mutex<Option<Kept>>,
}

/// The fleet, ready to decide by.
struct Kept {
    rooms: KeptRooms,
    clusters: Clusters,
    fleet: Arc<Fleet>,
    busy: Busy,
    kinds: Kinds,
}

/// Clusters by a number, for a word names one within its account alone.
#[derive(Clone, Default)]
struct Clusters(HashMap<(AccountId, String), ClusterId>);

/// What no cluster's number is.
const NO_CLUSTER: ClusterId = ClusterId(0);

impl Clusters {
    fn number(&mut self, account: AccountId, word: &str) -> ClusterId {
        let next = ClusterId(i64::try_from(self.0.len()).unwrap_or(i64::MAX).saturating_add(1));
        *self.0.entry((account, word.to_owned())).or_insert(next)
    }

    fn known(&self, account: AccountId, word: &str) -> ClusterId {
        self.0.get(&(account, word.to_owned())).copied().unwrap_or(NO_CLUSTER)
    }
}

impl Standing {
    /// The fleet as a change sees it.
    pub(crate) async fn now(&self, tx: &Tx, rules: Rules) -> StoreResult<Now> {
        let may_keep = tx.is_unchanged();
        let held = if may_keep { self.0.taken() } else { None };
        let mut kept = match held {
            Some(mut kept) => {
                let told = self.0.loads_told.swap(false, Ordering::Relaxed);
                let loads = if told { Loads::Told } else { Loads::Unknown };
                if let Err(error) = kept.renew(tx, tx.now, loads).await {
                    // It is as it was, and the change is tried again: PostgreSQL refuses many when several brains place at once.
                    self.0.keep(kept);
                    return Err(error);
                }
                kept
            }
            None => Kept::read(tx, tx.now).await?,
        };
        kept.hold_to(rules);
        #[cfg(test)]
        kept.prove(tx, tx.now).await;
        let (fleet, home) = (kept.fleet.clone(), may_keep.then(|| self.clone()));
        Ok(Now { kept: Some(kept), fleet, home })
    }

    /// The fleet as it is now, for who only looks.
    pub(crate) async fn seen(&self, store: &Store, now: Timestamp, rules: Rules) -> StoreResult<Seen> {
        let mut held = self.0.seen.lock().await;
        let snapshot = store.snapshot().await?;
        let kept = Kept::renewed(held.take(), &snapshot, now, rules).await?;
        let seen = Seen { fleet: kept.fleet.clone(), busy: kept.busy };
        *held = Some(kept);
        Ok(seen)
    }

    /// The same, with the guests of one host told apart: for plans that rehouse them.
    pub(crate) async fn seen_with_guests_of(
        &self,
        store: &Store,
        now: Timestamp,
        rules: Rules,
        host: HostId,
    ) -> StoreResult<(Fleet, Vec<PlacedGuest>)> {
        let mut held = self.0.seen.lock().await;
        let snapshot = store.snapshot().await?;
        let kept = Kept::renewed(held.take(), &snapshot, now, rules).await?;
        let mut placed = rooms::guests(&snapshot, Some(host)).await?;
        rooms::look_at_the_day_of(&snapshot, &mut placed, now).await?;
        let guests = placed.iter().map(|guest| {
            let apart = guest.apart.as_ref().map(|(cluster, role)| ClusterRole {
                cluster: kept.clusters.known(guest.account, cluster),
                role: role.clone(),
            });
            fleet::told_apart(guest, apart)
        });
        let fleet = kept.fleet.with_guests(guests.collect());
        *held = Some(kept);
        Ok((fleet, placed))
    }

    /// Compares what is kept with what there is, if anything is kept. What differs is thrown away, and given in words: a change
    /// that placing did not hear of.
    pub(crate) async fn check(&self, store: &Store, now: Timestamp) -> StoreResult<Option<String>> {
        let Some(mut kept) = self.0.taken() else { return Ok(None) };
        let snapshot = store.snapshot().await?;
        if let Err(error) = kept.renew(&snapshot, now, Loads::Unknown).await {
            self.0.keep(kept);
            return Err(error);
        }
        let read = KeptRooms::read(&snapshot, now).await?;
        Ok(self.kept_if_true(kept, &read))
    }

    fn kept_if_true(&self, kept: Kept, read: &KeptRooms) -> Option<String> {
        let difference = kept.rooms.difference(read);
        if difference.is_none() {
            self.0.keep(kept);
        }
        difference
    }

    /// This brain has written down what hosts said of their load.
    pub(crate) fn loads_told(&self) {
        self.0.loads_told.store(true, Ordering::Relaxed);
    }
}

impl Parts {
    fn taken(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, kept: Kept) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

/// The fleet at one moment, for who only looks.
pub(crate) struct Seen {
    pub(crate) fleet: Arc<Fleet>,
    busy: Busy,
}

impl Seen {
    /// What would be said if a host were lost.
    pub(crate) fn without(&self, lost: &Lost) -> Seen {
        Seen { fleet: lost.after.clone(), busy: self.busy }
    }

    /// What would be said to a guest of this size.
    pub(crate) fn decide(&self, request: Request) -> Decided {
        let request = Request { load: self.busy.expected(request.vcpus), ..request };
        let decision = honcho_placement::place(&self.fleet, &request);
        Decided { fleet: self.fleet.clone(), request, decision }
    }
}

/// The fleet at one moment, lent to a change.
pub(crate) struct Now {
    /// There until it is given back.
    kept: Option<Kept>,
    /// What is decided by.
    fleet: Arc<Fleet>,
    /// Where it goes back to, if it may be kept.
    home: Option<Standing>,
}

impl Drop for Now {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            *home.0.kept.lock().unwrap_or_else(PoisonError::into_inner) = self.kept.take();
        }
    }
}

impl Now {
    /// Every host with what is taken of it.
    pub(crate) fn rooms(&self) -> &[Room] {
        self.kept.as_ref().map_or(&[], |kept| kept.rooms.rooms())
    }

    /// What guests of an account that are in a cluster and have a role there are kept apart by.
    pub(crate) fn role(&self, account: AccountId, cluster: &Name, role: &Name) -> ClusterRole {
        let known = self.kept.as_ref().map(|kept| kept.clusters.known(account, cluster.as_str()));
        ClusterRole { cluster: known.unwrap_or(NO_CLUSTER), role: role.as_str().to_owned() }
    }

    /// Decides where a guest goes.
    pub(crate) fn decide(&self, request: Request) -> Decided {
        let request = self.with_load(request);
        let decision = honcho_placement::place(&self.fleet, &request);
        Decided { fleet: self.fleet.clone(), request, decision }
    }

    /// Decides where several guests go, all of them or none; on a thread that may be kept busy.
    pub(crate) async fn decide_all(
        &self,
        requests: Vec<Request>,
    ) -> StoreResult<Result<Vec<Decided>, Box<Together>>> {
        let requests: Vec<Request> = requests.into_iter().map(|request| self.with_load(request)).collect();
        let fleet = self.fleet.clone();
        let deciding = tokio::task::spawn_blocking(move || together(&fleet, &requests));
        deciding.await.map_err(|error| StoreError::Damaged { what: "decision", why: error.to_string() })
    }

    fn with_load(&self, request: Request) -> Request {
        let load = self.kept.as_ref().map_or(0.0, |kept| kept.busy.expected(request.vcpus));
        Request { load, ..request }
    }
}

impl Kept {
    async fn read(connection: &impl Connection, now: Timestamp) -> StoreResult<Kept> {
        let rooms = KeptRooms::read(connection, now).await?;
        let mut clusters = Clusters::default();
        let busy = Busy::of(rooms.rooms());
        let mut kinds = Kinds::default();
        let fleet = Arc::new(prepared(&rooms, &mut clusters, &mut kinds, busy, Rules::default()));
        Ok(Kept { rooms, clusters, fleet, busy, kinds })
    }

    /// What is kept for those who only look, as it is now; what could not be renewed is read anew by the next.
    async fn renewed(
        held: Option<Kept>,
        connection: &impl Connection,
        now: Timestamp,
        rules: Rules,
    ) -> StoreResult<Kept> {
        let mut kept = match held {
            Some(mut kept) => {
                kept.renew(connection, now, Loads::Unknown).await?;
                kept
            }
            None => Kept::read(connection, now).await?,
        };
        kept.hold_to(rules);
        Ok(kept)
    }

    async fn renew(&mut self, connection: &impl Connection, now: Timestamp, loads: Loads) -> StoreResult<()> {
        let renewed = self.rooms.renew(connection, now, loads).await?;
        self.busy = Busy::of(self.rooms.rooms());
        let Renewed::Hosts(hosts) = renewed else {
            let rules = self.fleet.rules();
            self.fleet =
                Arc::new(prepared(&self.rooms, &mut self.clusters, &mut self.kinds, self.busy, rules));
            return Ok(());
        };
        let (rooms, kin, busy) = (self.rooms.rooms(), self.rooms.kin(), self.busy);
        let told = hosts.into_iter().map(|renewal| {
            let room = &rooms[renewal.position];
            Told {
                host: fleet::host(room, busy, &mut self.kinds, taken_of),
                before: sums_of(room, &renewal.before, &mut self.clusters),
                now: sums_of(room, &kin[renewal.position], &mut self.clusters),
            }
        });
        let told = told.collect();
        let seen = |position: usize| {
            let room: &Room = &rooms[position];
            (room.status, fleet::load_of(room, busy))
        };
        Arc::make_mut(&mut self.fleet).renew(told, seen);
        Ok(())
    }

    fn hold_to(&mut self, rules: Rules) {
        if self.fleet.rules() != rules {
            Arc::make_mut(&mut self.fleet).hold_to(rules);
        }
    }
}

fn prepared(
    rooms: &KeptRooms,
    clusters: &mut Clusters,
    kinds: &mut Kinds,
    busy: Busy,
    rules: Rules,
) -> Fleet {
    let hosts = rooms.rooms().iter().map(|room| fleet::host(room, busy, kinds, taken_of)).collect();
    let mut all = Sums::default();
    for (room, kin) in rooms.rooms().iter().zip(rooms.kin()) {
        let sums = sums_of(room, kin, clusters);
        all.alike.extend(sums.alike);
        all.accounts.extend(sums.accounts);
        all.roles.extend(sums.roles);
    }
    Fleet::of_sums(hosts, &all, rules)
}

fn taken_of(_: honcho_model::PoolId, placed: i64) -> Bytes {
    Bytes(u64::try_from(placed).unwrap_or(0))
}

/// What a host's guests come to, and whose they are.
fn sums_of(room: &Room, kin: &HostKin, clusters: &mut Clusters) -> Sums {
    let count = |guests: i64| u32::try_from(guests).unwrap_or(0);
    let alike: Vec<Alike> = fleet::alike(room).collect();
    let mut accounts: BTreeMap<AccountId, u32> = BTreeMap::new();
    let mut roles = Vec::new();
    for ((account, apart), guests) in kin {
        *accounts.entry(*account).or_default() += count(*guests);
        if let Some((cluster, role)) = apart {
            let role = ClusterRole { cluster: clusters.number(*account, cluster), role: role.clone() };
            roles.push((role, room.host, count(*guests)));
        }
    }
    let accounts = accounts.into_iter().map(|(account, guests)| (account, room.host, guests)).collect();
    Sums { alike, accounts, roles }
}

/// After every change of every test what is kept is compared with what is read anew: a change that placing would not hear of,
/// or a sum that is folded wrongly, ends the test that made it.
#[cfg(test)]
impl Standing {
    pub(crate) async fn prove(&self, store: &Store, now: Timestamp) {
        let held = self.0.witness.lock().unwrap_or_else(PoisonError::into_inner).take();
        let snapshot = store.snapshot().await.unwrap();
        let kept = match held {
            Some(mut kept) => {
                kept.renew(&snapshot, now, Loads::Unknown).await.unwrap();
                kept
            }
            None => Kept::read(&snapshot, now).await.unwrap(),
        };
        kept.prove(&snapshot, now).await;
        *self.0.witness.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }

    /// Compares it with what was read at another moment.
    pub(crate) fn compare(&self, read: &KeptRooms) -> Option<String> {
        self.kept_if_true(self.0.taken()?, read)
    }

    /// Whether a fleet is kept just now.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

#[cfg(test)]
impl Kept {
    async fn prove(&self, connection: &impl Connection, now: Timestamp) {
        let anew = KeptRooms::read(connection, now).await.unwrap();
        assert_eq!(self.rooms.difference(&anew), None, "what is kept is not what there is");
        let mut clusters = self.clusters.clone();
        let (busy, rules) = (Busy::of(self.rooms.rooms()), self.fleet.rules());
        let fleet = prepared(&self.rooms, &mut clusters, &mut Kinds::default(), busy, rules);
        assert!(
            fleet == *self.fleet,
            "what was folded is not what is made anew: {:?} and {fleet:?}",
            self.fleet
        );
    }
}
