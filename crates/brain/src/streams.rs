//! Byte streams between a person and a guest's console: handed from the person's request to the agent's.
//!
//! ```text
//!   person: GET /v1/guests/7/console ---> open() --- wakes the agent's long poll, which answers with the stream's id
//!   agent:  POST /agent/streams/ID   ---> meet() --- both ends meet; bytes flow until either closes
//! ```
//!
//! Streams are not desired state: they live in memory and end with the person's connection or with this process.
//!
//! A console has one reader: whoever opens it takes it from whoever had it, who is told so by [`Seat::taken`].

use honcho_model::{GuestId, HostId};
use honcho_wire::{StreamKind, StreamWanted};
use hyper::upgrade::Upgraded;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Streams for which the agent has not come yet.
#[derive(Clone, Default)]
pub(crate) struct Streams {
    waiting: Arc<Mutex<HashMap<Uuid, Waiting>>>,
    /// Who sits before the console of a guest.
    seats: Arc<Mutex<Seats>>,
}

/// Which seat is whose, and by what they are told that it is taken.
type Seats = HashMap<GuestId, (Uuid, oneshot::Sender<()>)>;

struct Waiting {
    host: HostId,
    wanted: StreamWanted,
    told: bool,
    meet: oneshot::Sender<Upgraded>,
}

/// A person's place in the waiting room; leaving it ends the wait.
pub(crate) struct Place {
    id: Uuid,
    streams: Streams,
    pub(crate) arrival: oneshot::Receiver<Upgraded>,
}

/// Somebody's seat before the console of a guest.
pub(crate) struct Seat {
    pub(crate) id: Uuid,
    guest: GuestId,
    streams: Streams,
    /// Resolves when somebody else has sat down there.
    pub(crate) taken: oneshot::Receiver<()>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.streams.seats();
        if seats.get(&self.guest).is_some_and(|(id, _)| *id == self.id) {
            seats.remove(&self.guest);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.id);
    }
}

impl Streams {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody sits before the console of a guest whose seat is not this one.
    pub(crate) fn is_taken(&self, guest: GuestId, own: Option<Uuid>) -> bool {
        self.seats().get(&guest).is_some_and(|(id, _)| Some(*id) != own)
    }

    /// Sits down before the console of a guest. Whoever sat there is told that it is taken. `id` is one that was never used.
    pub(crate) fn sit(&self, guest: GuestId, id: Uuid) -> Seat {
        let (take, taken) = oneshot::channel();
        if let Some((_, before)) = self.seats().insert(guest, (id, take)) {
            // They may have left in this moment.
            let _gone = before.send(());
        }
        Seat { id, guest, streams: self.clone(), taken }
    }

    /// Begins to wait for the agent of `host`. Wake its long poll afterwards.
    pub(crate) fn open(&self, id: Uuid, host: HostId, guest: GuestId, kind: StreamKind) -> Place {
        let (meet, arrival) = oneshot::channel();
        let wanted = StreamWanted { id, guest, kind };
        self.lock().insert(id, Waiting { host, wanted, told: false, meet });
        Place { id, streams: self.clone(), arrival }
    }

    /// The streams that the agent of `host` has not been told of; it is told now.
    pub(crate) fn tell(&self, host: HostId) -> Vec<StreamWanted> {
        let mut waiting = self.lock();
        let untold = waiting.values_mut().filter(|stream| stream.host == host && !stream.told);
        untold
            .map(|stream| {
                stream.told = true;
                stream.wanted.clone()
            })
            .collect()
    }

    /// The other end of a stream, for the agent of `host`; `None` when nobody waits there any more.
    pub(crate) fn meet(&self, host: HostId, id: Uuid) -> Option<oneshot::Sender<Upgraded>> {
        let mut waiting = self.lock();
        if waiting.get(&id)?.host != host {
            return None;
        }
        waiting.remove(&id).map(|stream| stream.meet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_has_one_seat_and_who_loses_it_is_told() {
        let streams = Streams::default();
        let mut first = streams.sit(GuestId(7), Uuid::from_u128(1));
        let mut elsewhere = streams.sit(GuestId(8), Uuid::from_u128(2));
        assert!(first.taken.try_recv().is_err());
        assert!(streams.is_taken(GuestId(7), None) && !streams.is_taken(GuestId(9), None));
        let mut second = streams.sit(GuestId(7), Uuid::from_u128(3));
        assert!(
            streams.is_taken(GuestId(7), Some(Uuid::from_u128(1))),
            "whoever had it before has it no more"
        );
        assert!(!streams.is_taken(GuestId(7), Some(Uuid::from_u128(3))));
        assert_eq!(first.taken.try_recv(), Ok(()));
        // Whoever lost it takes nothing away by leaving.
        drop(first);
        assert!(second.taken.try_recv().is_err() && elsewhere.taken.try_recv().is_err());
        drop(second);
        assert_eq!(streams.seats().len(), 1);
    }
}
