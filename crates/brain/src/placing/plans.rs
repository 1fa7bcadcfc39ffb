//! Plans: emptying a host, spreading guests more evenly, what would fit. None of them changes anything; whoever asks for
//! that orders their moves.

use super::whole;
use honcho_api::{Balance, Capacity, Drain, Homeless, PlacementCount, PlannedMove};
use honcho_model::{Bytes, GuestId, HostId};
use honcho_placement::spread::Limits;
use honcho_placement::{Fleet, Request, Rules, balance, capacity, drain, if_lost};
use honcho_store::rooms::{PlacedGuest, Room};
use std::collections::HashMap;
use std::sync::Arc;

/// What plans call things by.
struct Names<'a> {
    fleet: &'a Fleet,
    guests: HashMap<GuestId, &'a PlacedGuest>,
}

impl<'a> Names<'a> {
    fn new(fleet: &'a Fleet, guests: &'a [PlacedGuest]) -> Self {
        Names { fleet, guests: guests.iter().map(|guest| (guest.id, guest)).collect() }
    }

    fn host(&self, id: HostId) -> String {
        self.fleet.position(id).map_or_else(String::new, |host| self.fleet.hosts()[host].name.clone())
    }

    fn planned(&self, guest: GuestId, to: HostId, score_after: Option<f64>) -> Option<PlannedMove> {
        let guest = self.guests.get(&guest)?;
        Some(PlannedMove {
            guest_id: guest.id.0,
            guest: guest.name.clone(),
            account_id: guest.account.0,
            from_host_id: guest.host.0,
            from_host: self.host(guest.host),
            to_host_id: to.0,
            to_host: self.host(to),
            copied_bytes: super::signed(guest.disk),
            score_after,
            operation_id: None,
        })
    }

    fn homeless(&self, of: Vec<(GuestId, String)>) -> Vec<Homeless> {
        let homeless = |(id, reason): (GuestId, String)| Homeless {
            guest_id: id.0,
            guest: self.guests.get(&id).map_or_else(String::new, |guest| guest.name.clone()),
            reason,
        };
        of.into_iter().map(homeless).collect()
    }
}

/// Where the guests of a host would go; `None` if there is no such host. Since when it drains is for the caller to say.
pub(crate) fn drain_of(fleet: &Fleet, placed: &[PlacedGuest], host: HostId) -> Option<Drain> {
    let names = Names::new(fleet, placed);
    let plan = drain(fleet, host)?;
    let moves = plan.rehoused.iter().filter_map(|(guest, choice)| names.planned(*guest, choice.host, None));
    Some(Drain {
        host_id: host.0,
        host: names.host(host),
        draining_since: None,
        moves: moves.collect(),
        homeless: names.homeless(plan.homeless),
    })
}

/// Moves that would spread guests more evenly.
pub(crate) fn balance_of(rooms: &[Room], placed: &[PlacedGuest], rules: Rules, limits: &Limits) -> Balance {
    let fleet = whole(rooms, placed, rules);
    let names = Names::new(&fleet, placed);
    let plan = balance(&fleet, limits);
    let moves = plan.moves.iter().filter_map(|one| names.planned(one.guest, one.to, Some(one.score_after)));
    Balance { score_before: plan.score_before, score_after: plan.score_after, moves: moves.collect() }
}

/// A size that guests may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Size {
    pub(crate) memory: Bytes,
    pub(crate) vcpus: u32,
    pub(crate) disk: Bytes,
}

impl Size {
    /// What a guest of this size asks for, which needs nothing else.
    pub(crate) fn request(self) -> Request {
        Request::of_size(self.memory, self.vcpus, self.disk)
    }
}

/// What the loss of a host would mean.
pub(crate) struct Lost {
    /// Which host.
    pub(crate) host: HostId,
    /// What that is called.
    pub(crate) name: String,
    /// How many of its guests would be restarted elsewhere.
    pub(crate) restarted: i64,
    /// Those that would not.
    pub(crate) homeless: Vec<Homeless>,
    /// What would be afterwards.
    pub(crate) after: Arc<Fleet>,
}

impl Lost {
    /// If this host were lost; `None` if there is no such host.
    pub(crate) fn of(fleet: &Fleet, placed: &[PlacedGuest], host: HostId) -> Option<Lost> {
        let loss = if_lost(fleet, host)?;
        let names = Names::new(fleet, placed);
        Some(Lost {
            host,
            name: names.host(host),
            restarted: i64::try_from(loss.rehoused.len()).unwrap_or(i64::MAX),
            homeless: names.homeless(loss.homeless),
            after: Arc::new(loss.after),
        })
    }

    /// How many more guests of a size would fit then.
    pub(crate) fn fitting(&self, size: Size) -> Capacity {
        Capacity {
            lost_host_id: Some(self.host.0),
            restarted: Some(self.restarted),
            homeless: Some(self.homeless.clone()),
            ..fitting(&self.after, size)
        }
    }
}

/// How many more guests of a size fit, as everything is.
pub(crate) fn fitting(fleet: &Fleet, size: Size) -> Capacity {
    shown(&capacity(fleet, &size.request()))
}

fn shown(capacity: &honcho_placement::Capacity) -> Capacity {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let count = |(filter, hosts): &(honcho_placement::Filter, usize)| PlacementCount {
        filter: filter.as_str().to_owned(),
        hosts: number(*hosts),
    };
    Capacity {
        fit: number(capacity.fit),
        fit_with_n_plus_one: number(capacity.fit_with_n_plus_one),
        capped: capacity.capped,
        runs_out: capacity.runs_out.iter().map(count).collect(),
        lost_host_id: None,
        restarted: None,
        homeless: None,
    }
}
