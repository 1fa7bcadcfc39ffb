//! One decision: filters, then scores, and a verdict on every host.

use crate::filter::{Domain, Filter, Filters, Refusal};
use crate::fleet::{Fleet, NPlusOne, Request};
use crate::survive::{Coming, Survival};
use crate::tallies::{SPREAD, Tallies, share, signed};
use honcho_model::{HostId, PoolId};
use std::collections::{BTreeMap, HashMap};

/// Free memory, free disk, vCPUs per CPU: as Ganeti weighs them, all alike. Load, of which there is one number where
/// Ganeti has four.
const WEIGHTS: [f64; SPREAD] = [1.0, 1.0, 1.0, 1.0];
/// What each further guest of the same account on the same host weighs, divided by the number of hosts.
const OWNER: f64 = 0.5;

/// Where a guest goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which host.
    pub host: HostId,
    /// Which of its pools; none, if the guest has no disk.
    pub pool: Option<PoolId>,
}

/// What a host scored: the lower the better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// All together; hosts compare by it.
    pub total: f64,
    /// The deviations of free memory, free disk, vCPU ratio and load over all hosts, with the guest on this one.
    pub spread: [f64; SPREAD],
    /// For the account's other guests on this host.
    pub owner: f64,
}

/// What a host heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It can take the guest.
    Scored(Score),
    /// It cannot.
    Refused(Refusal),
}

/// Where a guest goes and why, with a verdict for each host of the fleet, in the fleet's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Where it goes; `None` where no host can take it.
    pub choice: Option<Choice>,
    /// What each host heard.
    pub verdicts: Vec<Verdict>,
}

/// Some of what was to be placed together could not.
#[derive(Clone, Debug, PartialEq)]
pub struct Impossible {
    /// Which of the requests.
    pub request: usize,
    /// Why not.
    pub decision: Decision,
    /// Those that had been placed before it, with where.
    pub placed: Vec<(usize, Decision)>,
}

/// Which of the hosts that can take a guest is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pick {
    /// The one with which all is spread most evenly.
    Even,
    /// The one that has the least memory left, so that what is large still fits elsewhere.
    Fullest,
}

impl Decision {
    /// How many hosts each filter refused.
    pub fn counts(&self) -> BTreeMap<Filter, usize> {
        let mut counts = BTreeMap::new();
        for verdict in &self.verdicts {
            if let Verdict::Refused(refusal) = verdict {
                *counts.entry(refusal.filter()).or_default() += 1;
            }
        }
        counts
    }

    /// The hosts that can take it (their places in the fleet), the best first.
    pub fn best(&self, most: usize) -> Vec<(usize, Score)> {
        let mut scored: Vec<(usize, Score)> = self
            .verdicts
            .iter()
            .enumerate()
            .filter_map(|(host, verdict)| match verdict {
                Verdict::Scored(score) => Some((host, *score)),
                Verdict::Refused(_) => None,
            })
            .collect();
        let better = |one: &(usize, Score), other: &(usize, Score)| {
            one.1.total.total_cmp(&other.1.total).then(one.0.cmp(&other.0))
        };
        if most > 0 && most < scored.len() {
            scored.select_nth_unstable_by(most - 1, better);
        }
        scored.truncate(most);
        scored.sort_unstable_by(better);
        scored
    }

    /// Why no host can take it, every host by name; the few that a person can read first.
    pub fn refusals(&self, fleet: &Fleet, request: &Request) -> String {
        if fleet.hosts().is_empty() {
            return "there is no host to place it on: add one with \"honcho host add\"".to_owned();
        }
        let texts = self.verdicts.iter().zip(fleet.hosts()).filter_map(|(verdict, host)| match verdict {
            Verdict::Refused(Refusal::NotWanted) | Verdict::Scored(_) => None,
            Verdict::Refused(refusal) => {
                Some(format!("{}: {}", host.name, refusal.text(host, request, |id| name_of(fleet, id))))
            }
        });
        format!("no host has room for it ({})", texts.collect::<Vec<_>>().join("; "))
    }
}

pub(crate) fn name_of(fleet: &Fleet, id: HostId) -> String {
    fleet.position(id).map_or_else(|| format!("host {id}"), |host| fleet.hosts[host].name.clone())
}

/// Decides where one guest goes.
pub fn place(fleet: &Fleet, request: &Request) -> Decision {
    decide(fleet, &fleet.tallies, request)
}

/// Decides where several guests go, each counting on the others: all of them or none. The largest is placed first; the
/// decisions are in the order of the requests. Where the even spread leaves one without room, the fullest host that can
/// take a guest is tried for each before all are refused.
pub fn place_all(fleet: &Fleet, requests: &[Request]) -> Result<Vec<Decision>, Box<Impossible>> {
    place_together(fleet, requests, Pick::Even)
        .or_else(|impossible| place_together(fleet, requests, Pick::Fullest).map_err(|_| impossible))
}

fn place_together(fleet: &Fleet, requests: &[Request], pick: Pick) -> Result<Vec<Decision>, Box<Impossible>> {
    let mut tallies = fleet.tallies.clone();
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|index| {
        let request = &requests[*index];
        std::cmp::Reverse((request.memory, request.disk, request.vcpus))
    });
    let mut placed: Vec<(usize, Decision)> = Vec::with_capacity(requests.len());
    for index in order {
        let decision = decide_by(fleet, &tallies, &requests[index], pick);
        let Some(choice) = decision.choice else {
            return Err(Box::new(Impossible { request: index, decision, placed }));
        };
        commit(fleet, &mut tallies, &requests[index], choice);
        placed.push((index, decision));
    }
    placed.sort_unstable_by_key(|(index, _)| *index);
    Ok(placed.into_iter().map(|(_, decision)| decision).collect())
}

/// Takes what a choice takes.
pub(crate) fn commit(fleet: &Fleet, tallies: &mut Tallies, request: &Request, choice: Choice) {
    if let Some(host) = fleet.position(choice.host) {
        let pool = fleet.hosts[host].pools.iter().position(|pool| Some(pool.id) == choice.pool);
        tallies.add(&fleet.hosts, host, pool, request, request.load);
    }
}

pub(crate) fn decide(fleet: &Fleet, tallies: &Tallies, request: &Request) -> Decision {
    decide_by(fleet, tallies, request, Pick::Even)
}

fn decide_by(fleet: &Fleet, tallies: &Tallies, request: &Request, pick: Pick) -> Decision {
    let trial = Trial::new(fleet, tallies, request);
    let mut pools = Vec::with_capacity(fleet.hosts.len());
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(fleet.hosts.len());
    let mut filters = Filters::new(request, &fleet.rules);
    for (index, (host, tally)) in fleet.hosts.iter().zip(&tallies.hosts).enumerate() {
        let fits = filters.fit(host, tally);
        pools.push(fits.unwrap_or(None));
        verdicts.push(match fits {
            Ok(_) => Verdict::Scored(trial.score(index)),
            Err(refusal) => Verdict::Refused(refusal),
        });
    }
    trial.keep_n_plus_one(&mut verdicts);
    trial.keep_apart(&mut verdicts);
    let chosen = trial.choose(&verdicts, pick);
    let choice = chosen.map(|host| Choice {
        host: fleet.hosts[host].id,
        pool: pools[host].map(|pool| fleet.hosts[host].pools[pool].id),
    });
    Decision { choice, verdicts }
}

struct Trial<'a> {
    fleet: &'a Fleet,
    tallies: &'a Tallies,
    request: &'a Request,
    survival: Option<Survival<'a>>,
    deviations: [f64; SPREAD],
    /// How many guests of the same account are where.
    of_account: Option<&'a HashMap<usize, u32>>,
}

impl<'a> Trial<'a> {
    fn new(fleet: &'a Fleet, tallies: &'a Tallies, request: &'a Request) -> Self {
        let survival = (fleet.rules.n_plus_one != NPlusOne::Ignore)
            .then(|| Survival::new(&fleet.hosts, tallies, signed(request.memory)));
        let deviations = std::array::from_fn(|component| tallies.moments[component].deviation(tallies.open));
        let of_account = tallies.accounts.get(&request.account).filter(|counts| !counts.is_empty());
        Trial { fleet, tallies, request, survival, deviations, of_account }
    }

    fn coming(&self, host: usize) -> Coming {
        Coming { host, memory: signed(self.request.memory) }
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52 where precision matters")]
    fn score(&self, index: usize) -> Score {
        let (host, tally) = (&self.fleet.hosts[index], &self.tallies.hosts[index]);
        let changes = [
            -share(self.request.memory.0 as f64, host.memory.0 as f64),
            -share(self.request.disk.0 as f64, tally.disk),
            share(f64::from(self.request.vcpus), f64::from(host.cpus)),
            self.request.load * host.load.of_one,
        ];
        let values = tally.values;
        let mut spread = self.deviations;
        for component in 0..SPREAD {
            if changes[component] != 0.0 {
                let mut moments = self.tallies.moments[component];
                moments.replace(values[component], values[component] + changes[component]);
                spread[component] = moments.deviation(self.tallies.open);
            }
        }
        let others = self.of_account.and_then(|counts| counts.get(&index)).copied().unwrap_or(0);
        let owner = OWNER * f64::from(others) / self.tallies.open;
        let total = spread.iter().zip(WEIGHTS).map(|(part, weight)| part * weight).sum::<f64>() + owner;
        Score { total, spread, owner }
    }

    /// Refuses hosts that would strand another's guests: all of them, or while there is one that would not.
    fn keep_n_plus_one(&self, verdicts: &mut [Verdict]) {
        let Some(survival) = &self.survival else { return };
        let plain = |host: usize| survival.plainly_kept(self.coming(host));
        let scored = |verdict: &Verdict| matches!(verdict, Verdict::Scored(_));
        let found: Vec<(usize, HostId)> = (0..verdicts.len())
            .filter(|host| scored(&verdicts[*host]) && !plain(*host))
            .filter_map(|host| survival.strands(self.coming(host)).map(|lost| (host, lost)))
            .collect();
        let candidates = verdicts.iter().filter(|verdict| scored(verdict)).count();
        if found.len() == candidates && self.fleet.rules.n_plus_one == NPlusOne::Prefer {
            return;
        }
        for (host, lost) in found {
            verdicts[host] = Verdict::Refused(Refusal::Strands(lost));
        }
    }

    /// Two guests of one cluster and role are on one host only while no other host can take one; likewise in one rack,
    /// and in one site.
    fn keep_apart(&self, verdicts: &mut [Verdict]) {
        let Some(role) = &self.request.apart else { return };
        let Some(there) = self.tallies.roles.get(role) else { return };
        let crowd = |host: usize| there.get(&host).copied().unwrap_or(0);
        self.refuse_unless_all(verdicts, |host| {
            let count = crowd(host);
            (count > 0).then_some(Refusal::Crowded(count))
        });
        let hosts = &self.fleet.hosts;
        let sites: Vec<_> = there.keys().filter_map(|host| hosts[*host].site).collect();
        self.refuse_unless_all(verdicts, |host| {
            let taken = hosts[host].site.is_some_and(|site| sites.contains(&site));
            taken.then_some(Refusal::SameDomain(Domain::Site))
        });
        let racks: Vec<_> = there.keys().filter_map(|host| hosts[*host].rack).collect();
        self.refuse_unless_all(verdicts, |host| {
            let taken = hosts[host].rack.is_some_and(|rack| racks.contains(&rack));
            taken.then_some(Refusal::SameDomain(Domain::Rack))
        });
    }

    #[expect(clippy::unused_self, reason = "it is one of the trial's rules")]
    fn refuse_unless_all(&self, verdicts: &mut [Verdict], why: impl Fn(usize) -> Option<Refusal>) {
        let candidates: Vec<usize> =
            (0..verdicts.len()).filter(|host| matches!(verdicts[*host], Verdict::Scored(_))).collect();
        if candidates.iter().all(|host| why(*host).is_some()) {
            return;
        }
        for host in candidates {
            if let Some(refusal) = why(host) {
                verdicts[host] = Verdict::Refused(refusal);
            }
        }
    }

    /// The lowest score; of equals the first. Where every host is crowded, the least crowded ones only.
    fn choose(&self, verdicts: &[Verdict], pick: Pick) -> Option<usize> {
        let there = self.request.apart.as_ref().and_then(|role| self.tallies.roles.get(role));
        let crowd = |host: usize| there.and_then(|there| there.get(&host)).copied().unwrap_or(0);
        let left = |host: usize| match pick {
            Pick::Even => 0,
            Pick::Fullest => self.tallies.hosts[host].memory_free,
        };
        verdicts
            .iter()
            .enumerate()
            .filter_map(|(host, verdict)| match verdict {
                Verdict::Scored(score) => Some(((crowd(host), left(host)), score.total, host)),
                Verdict::Refused(_) => None,
            })
            .min_by(|one, other| {
                one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2))
            })
            .map(|(.., host)| host)
            .filter(|host| self.tallies.hosts[*host].open)
    }
}
