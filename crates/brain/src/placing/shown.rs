//! A decision as it is kept with a guest, and as a dry run shows it.

use super::Decided;
use super::words::text;
use honcho_api::{Placement, PlacementCount, PlacementHost};
use honcho_model::GuestId;
use honcho_placement::{Refusal, Score, Verdict};
use honcho_store::Scope;
use jiff::Timestamp;

/// So many of the hosts that could have taken a guest are kept with it.
const BEST: usize = 10;

/// How much of a decision is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Counts and the ten best: what is kept.
    Kept,
    /// Every host: a dry run.
    Whole,
}

impl Decided {
    /// The decision, made at `at` from `inputs`.
    pub(crate) fn shown(&self, guest: Option<GuestId>, at: Timestamp, inputs: &str, told: Told) -> Placement {
        let counts = self.decision.counts().into_iter().map(|(filter, hosts)| PlacementCount {
            filter: filter.as_str().to_owned(),
            hosts: i64::try_from(hosts).unwrap_or(i64::MAX),
        });
        let place = self.place();
        let name = |place: super::Place| {
            self.fleet.position(place.host).map(|host| self.fleet.hosts()[host].name.clone())
        };
        Placement {
            guest_id: guest.map(|guest| guest.0),
            placed: place.is_some(),
            host_id: place.map(|place| place.host.0),
            host: place.and_then(name),
            pool_id: place.map(|place| place.pool.0),
            decided_at: Some(at),
            inputs: Some(inputs.to_owned()),
            reason: place.is_none().then(|| self.refused(Scope::Operator).join("; ")),
            refused: Some(counts.collect()),
            best: Some(self.scored(BEST)),
            hosts: (told == Told::Whole).then(|| {
                let mut hosts = self.scored(usize::MAX);
                hosts.extend(self.refusals());
                hosts
            }),
        }
    }

    fn scored(&self, most: usize) -> Vec<PlacementHost> {
        let best = self.decision.best(most).into_iter();
        best.map(|(host, score)| self.host(host, Some(&score), None)).collect()
    }

    fn refusals(&self) -> impl Iterator<Item = PlacementHost> {
        self.decision.verdicts.iter().enumerate().filter_map(|(host, verdict)| match verdict {
            Verdict::Refused(refusal) => Some(self.host(host, None, Some(refusal))),
            Verdict::Scored(_) => None,
        })
    }

    fn host(&self, at: usize, score: Option<&Score>, refusal: Option<&Refusal>) -> PlacementHost {
        let host = &self.fleet.hosts()[at];
        let spread = |component: usize| score.map(|score| score.spread[component]);
        PlacementHost {
            host_id: host.id.0,
            host: host.name.clone(),
            score: score.map(|score| score.total),
            memory_spread: spread(0),
            disk_spread: spread(1),
            vcpus_spread: spread(2),
            load_spread: spread(3),
            owner_part: score.map(|score| score.owner),
            filter: refusal.map(|refusal| refusal.filter().as_str().to_owned()),
            reason: refusal.map(|refusal| text(&self.fleet, &self.request, at, refusal)),
        }
    }
}

/// What a customer may know: that it was placed, and when.
pub(crate) fn for_customers(placement: &Placement) -> Placement {
    Placement {
        guest_id: placement.guest_id,
        placed: placement.placed,
        decided_at: placement.decided_at,
        host_id: None,
        host: None,
        pool_id: None,
        inputs: None,
        reason: None,
        refused: None,
        best: None,
        hosts: None,
    }
}
