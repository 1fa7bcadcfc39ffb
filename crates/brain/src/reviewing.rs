//! What follows, for each host of a restored brain, from what the backup has and what the host's agent reports.
//!
//! Pure. [`of_known`] and [`of_unknown`] give steps with a sentence each; `honcho restore status` shows the sentences, and
//! `honcho restore accept` takes the steps. The rules:
//!
//! - What was wanted after the backup is wanted again: the host's last manifest says it.
//! - What was ordered after the backup is written down again, where the backup has what it needs; else it stays as it is.
//! - What was deleted after the backup is not made again, and not started: it stays with an alarm until somebody says
//!   otherwise.
//! - A counter is as high as any that was reported: a boot is not repeated, and a running domain not replaced.
//! - A guest that was moved after the backup is where the latest of all hosts' manifests has it, and nowhere else.

use honcho_api::RestoreDifference;
use honcho_model::guest::Power;
use honcho_model::{Bytes, Epoch, Generation, GuestId, HostId};
use honcho_store::reviewing::{Counters, GuestReview, HostReview, Ids, VolumeFound};
use honcho_wire::{Absent, Existence, GuestWanted, Manifest, Orphan};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What becomes of guests that were deleted after the backup and whose disks are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// They stay, with an alarm.
    Kept,
    /// They are deleted here, too.
    Forgotten,
}

/// What is to be done about a guest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Its counters are raised.
    Raise(GuestId, Counters),
    /// What was wanted of it after the backup is wanted again.
    TakeOver(Box<(GuestReview, GuestWanted)>),
    /// It was there and is gone: it is never made again.
    NoteMade(GuestId),
    /// It stays, stopped, for this reason.
    Stop(GuestId, &'static str),
    /// It ends here, too.
    Forget(GuestId),
    /// It is written down.
    Adopt(Box<GuestWanted>, VolumeFound),
    /// It is here, and not where the backup has it.
    MoveHere(Box<(GuestReview, GuestWanted)>),
}

/// Which hosts' guests the wishes that came last are about: of a guest that was moved after the backup both its hosts may
/// still have a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    holders: BTreeMap<Uuid, Holder>,
    /// Whether a host has not been looked at that may hold what the others do not.
    pub(crate) is_incomplete: bool,
}

/// Who holds a guest by the latest manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    generation: Generation,
    host: HostId,
    name: String,
    /// Whether it is accepted together with whoever is looked at, so that the guest is taken over there.
    is_accepted: bool,
}

impl Whereabouts {
    /// By the last manifests of all hosts that wait; `is_accepted` says which of them are accepted now.
    pub(crate) fn of(waiting: &[HostReview], is_accepted: impl Fn(HostId) -> bool) -> Self {
        let mut holders: BTreeMap<Uuid, Holder> = BTreeMap::new();
        for review in waiting {
            for guest in former_guests(review) {
                let known = holders.get(&guest.uuid);
                if known.is_none_or(|known| known.generation < guest.generation) {
                    let (host, name) = (review.id, review.name.clone());
                    let is_accepted = is_accepted(host);
                    let holder = Holder { generation: guest.generation, host, name, is_accepted };
                    holders.insert(guest.uuid, holder);
                }
            }
        }
        let unheard = |review: &HostReview| review.joined && !(review.reported && is_accepted(review.id));
        Whereabouts { holders, is_incomplete: waiting.iter().any(unheard) }
    }

    /// The other host that holds a guest by a later wish than one of this generation.
    fn elsewhere(&self, review: &HostReview, guest: Uuid, generation: Generation) -> Option<&Holder> {
        self.holders.get(&guest).filter(|holder| holder.host != review.id && holder.generation > generation)
    }
}

/// A step, if one is needed, and what is said of it, if anything is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) steps: Vec<Step>,
    pub(crate) difference: Option<RestoreDifference>,
}

fn difference(kind: &str, guest: Option<i64>, name: &str, text: impl Into<String>) -> RestoreDifference {
    RestoreDifference { kind: kind.to_owned(), guest_id: guest, name: name.to_owned(), text: text.into() }
}

/// Decides about the guests that the backup has on a host.
pub(crate) fn of_known(review: &HostReview, places: &Whereabouts, missing: Missing) -> Vec<Decision> {
    review.guests.iter().map(|guest| known(review, guest, places, missing)).collect()
}

fn known(review: &HostReview, guest: &GuestReview, places: &Whereabouts, missing: Missing) -> Decision {
    let id = GuestId(guest.id);
    let later = former_guests(review).find(|later| later.id == id && later.uuid == guest.uuid);
    let raise = Step::Raise(id, counters(review, guest, later));
    let newest = later.map_or(Generation(0), |later| later.generation).max(Generation(guest.generation));
    if let Some(holder) = places.elsewhere(review, guest.uuid, newest) {
        return moved_away(guest, holder, raise);
    }
    if let Some(later) = later {
        return changed(guest, later, places, raise);
    }
    let going = review.former.iter().flat_map(|former| &former.absent).any(
        |absent| matches!(absent, Absent::Guest { id: gone, uuid, .. } if *gone == id && *uuid == guest.uuid),
    );
    let was_told =
        guest.existing || review.former.as_ref().is_some_and(|former| former.generation >= review.generation);
    let gone = matches!(guest.volume_state.as_deref(), Some("missing" | "unmade")) && !guest.seen_running;
    let (id, name) = (Some(guest.id), guest.name.as_str());
    if guest.deleting || (review.former.is_none() && !guest.existing) || !(was_told || going) {
        // It was to go in the backup already, or its agent was never told of it.
        return Decision { steps: vec![raise], difference: None };
    }
    if gone && missing == Missing::Forgotten {
        let text = "was deleted after the backup, and its disk is gone: it is deleted here, too";
        let steps = vec![Step::Forget(GuestId(guest.id))];
        return Decision { steps, difference: Some(difference("deleted", id, name, text)) };
    }
    if gone {
        let text = "was deleted after the backup, and its disk is gone: it stays with an alarm and is never made again; \
                    --forget-missing deletes it here, too";
        let steps = vec![Step::NoteMade(GuestId(guest.id)), raise];
        return Decision { steps, difference: Some(difference("deleted", id, name, text)) };
    }
    if going || (review.former.is_some() && was_told) {
        let text = "was being deleted when the brain was lost, and its disk is there: it stays, stopped; delete it again, or \
                    start it";
        let stop = Step::Stop(GuestId(guest.id), "its deletion was under way");
        let steps = vec![Step::NoteMade(GuestId(guest.id)), stop, raise];
        return Decision { steps, difference: Some(difference("deleting", id, name, text)) };
    }
    Decision { steps: vec![raise], difference: None }
}

/// A guest that was moved to another host: it is taken over there, with that host.
fn moved_away(guest: &GuestReview, holder: &Holder, raise: Step) -> Decision {
    let (id, to) = (GuestId(guest.id), &holder.name);
    let (steps, text) = if holder.is_accepted {
        (Vec::new(), format!("was moved to {to} after the backup, and is taken over there"))
    } else {
        let steps = vec![Step::NoteMade(id), Step::Stop(id, "it was moved to another host"), raise];
        (
            steps,
            format!(
                "was moved to {to} after the backup: it is taken over there once {to} is accepted, and not started here"
            ),
        )
    };
    Decision { steps, difference: Some(difference("moved", Some(guest.id), &guest.name, text)) }
}

/// A guest that its host's last manifest wants as well.
fn changed(guest: &GuestReview, later: &GuestWanted, places: &Whereabouts, raise: Step) -> Decision {
    if later.generation.0 <= guest.generation {
        return Decision { steps: vec![raise], difference: None };
    }
    let mut changes = Vec::new();
    let mut change = |what: &str, before: String, after: String| {
        if before != after {
            changes.push(format!("{what} {before} became {after}"));
        }
    };
    change("its name", guest.name.clone(), later.name.as_str().to_owned());
    let power = if guest.held_down { Power::Stopped.as_str() } else { guest.power.as_str() };
    change("its power", power.to_owned(), later.power.as_str().to_owned());
    change("its processors", guest.vcpus.to_string(), later.vcpus.to_string());
    change("its memory", size(guest.memory), later.memory.to_string());
    change("its disk", size(guest.disk), later.root.size.to_string());
    let boots = later.boots_wanted.saturating_sub(unsigned(guest.boots_wanted));
    if boots > 0 {
        let waits = guest.boots_done.is_some_and(|done| unsigned(done) < later.boots_wanted)
            && later.boots_wanted > later.boots_waived;
        changes.push(match (boots, waits) {
            (1, true) => "1 boot was asked for, which is still to come".to_owned(),
            (1, false) => "1 boot was asked for, which is not repeated".to_owned(),
            (_, true) => format!("{boots} boots were asked for, the last of which is still to come"),
            (_, false) => format!("{boots} boots were asked for, none of which is repeated"),
        });
    }
    match (guest.given_up, later.root.given_up) {
        (false, true) => changes.push("somebody gave up on what was asked of it".to_owned()),
        (true, false) => changes.push("it was asked for again".to_owned()),
        (true, true) | (false, false) => {}
    }
    if changes.is_empty() {
        changes.push("nothing that its host sees".to_owned());
    }
    let text = format!("was changed after the backup, and is taken over so: {}", changes.join("; "));
    let steps = vec![Step::TakeOver(Box::new((guest.clone(), later.clone()))), raise];
    let decision =
        Decision { steps, difference: Some(difference("changed", Some(guest.id), &guest.name, text)) };
    unless_given_away(decision, later, guest.seen_running, places)
}

/// A guest that was leaving and does not run any more may be another host's by now. Until every host has been looked at it is
/// not started.
fn unless_given_away(
    mut decision: Decision,
    guest: &GuestWanted,
    runs: bool,
    places: &Whereabouts,
) -> Decision {
    if guest.leaving.is_some() && !runs && places.is_incomplete {
        decision.steps.push(Step::Stop(guest.id, "another host may have it, which has not been looked at"));
        if let Some(difference) = &mut decision.difference {
            difference.text.push_str(
                ". It was leaving for another host, and not every host has been looked at: it stays stopped; start it once \
                 you know that no other host has it",
            );
        }
    }
    decision
}

fn size(bytes: i64) -> String {
    Bytes(unsigned(bytes)).to_string()
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

fn former_guests(review: &HostReview) -> impl Iterator<Item = &GuestWanted> {
    review.former.iter().flat_map(|former| &former.guests)
}

/// As high as anything that was reported of a guest.
fn counters(review: &HostReview, guest: &GuestReview, later: Option<&GuestWanted>) -> Counters {
    let domain =
        review.orphans.iter().find(|orphan| orphan.kind == "domain" && orphan.uuid == Some(guest.uuid));
    let epochs = [later.map(|later| later.epoch), domain.and_then(|domain| domain.epoch)];
    let boots = [
        later.map(|later| later.boots_wanted),
        domain.and_then(|domain| domain.boots),
        guest.boots_done.map(unsigned),
    ];
    Counters {
        generation: later.map_or(Generation(0), |later| later.generation),
        epoch: epochs.into_iter().flatten().max().unwrap_or(Epoch(0)),
        boots: boots.into_iter().flatten().max().unwrap_or(0),
    }
}

/// The guests of a host's last manifest that the backup does not have there.
pub(crate) fn unknown(review: &HostReview) -> impl Iterator<Item = &GuestWanted> {
    former_guests(review).filter(|guest| review.guests.iter().all(|known| known.uuid != guest.uuid))
}

/// What the backup has of the guests that it does not have on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Why a guest cannot be written down.
    pub(crate) obstacles: BTreeMap<GuestId, String>,
    /// Those that it has on another host, and the name of that.
    pub(crate) moved: BTreeMap<GuestId, (String, GuestReview)>,
}

/// Decides about what the backup does not have on a host.
pub(crate) fn of_unknown(review: &HostReview, places: &Whereabouts, findings: &Findings) -> Vec<Decision> {
    let orphaned = |uuid| review.orphans.iter().any(|orphan| orphan.uuid == Some(uuid));
    let mut decisions: Vec<Decision> = Vec::new();
    for guest in unknown(review) {
        let runs = review.orphans.iter().find(|o| o.kind == "domain" && o.uuid == Some(guest.uuid));
        let made = guest.root.existence == Existence::Existing || orphaned(guest.root.uuid);
        let state = match (runs, made) {
            (Some(_), _) => "runs here",
            (None, true) => "is here",
            (None, false) => "is not made yet",
        };
        let (id, name) = (Some(guest.id.0), guest.name.as_str());
        if let Some(holder) = places.elsewhere(review, guest.uuid, guest.generation) {
            let text = format!(
                "was ordered after the backup and moved to {}: what is left of it here stays",
                holder.name
            );
            let difference = Some(difference("moved", id, name, text));
            decisions.push(Decision { steps: Vec::new(), difference });
            continue;
        }
        if let Some((from, known)) = findings.moved.get(&guest.id) {
            let both = Box::new((known.clone(), guest.clone()));
            let text = format!(
                "{state} and was moved here from {from} after the backup: it is taken over here, as it is"
            );
            let counters = counters(review, known, Some(guest));
            let steps =
                vec![Step::MoveHere(both.clone()), Step::TakeOver(both), Step::Raise(guest.id, counters)];
            let decision = Decision { steps, difference: Some(difference("moved", id, name, text)) };
            decisions.push(unless_given_away(decision, guest, runs.is_some(), places));
            continue;
        }
        decisions.push(match findings.obstacles.get(&guest.id) {
            None => {
                let volume = if made { VolumeFound::Once } else { VolumeFound::Never };
                let text = format!(
                    "{state} and was ordered after the backup: it becomes a guest of account {} again, as it is",
                    guest.account
                );
                let steps = vec![Step::Adopt(Box::new(guest.clone()), volume)];
                let decision = Decision { steps, difference: Some(difference("ordered", id, name, text)) };
                unless_given_away(decision, guest, runs.is_some(), places)
            }
            Some(why) => {
                let text = format!(
                    "{state} and cannot be written down again: {why}. It stays as it is, and nobody manages it"
                );
                Decision { steps: Vec::new(), difference: Some(difference("unmanaged", id, name, text)) }
            }
        });
    }
    decisions.extend(review.orphans.iter().filter(|orphan| !is_accounted_for(review, orphan)).map(stray));
    decisions
}

/// Whether something that no manifest of this life wants belongs to a guest that was spoken of already.
fn is_accounted_for(review: &HostReview, orphan: &Orphan) -> bool {
    let Some(uuid) = orphan.uuid else { return false };
    let of_manifest = |former: &Manifest| {
        former.guests.iter().any(|guest| guest.uuid == uuid || guest.root.uuid == uuid)
            || former.networks.iter().any(|network| network.uuid == uuid)
            || former.absent.iter().any(|absent| match absent {
                Absent::Guest { uuid: of, volumes, .. } => {
                    *of == uuid || volumes.iter().any(|volume| volume.uuid == uuid)
                }
                Absent::Network { uuid: of, .. } => *of == uuid,
            })
    };
    review.guests.iter().any(|guest| guest.uuid == uuid) || review.former.as_ref().is_some_and(of_manifest)
}

fn stray(orphan: &Orphan) -> Decision {
    let text = "carries our mark, and neither the backup nor the host's last manifest speaks of it: it stays as it is";
    let name = format!("{} {}", orphan.kind, orphan.name);
    let guest = (orphan.kind == "domain").then_some(orphan.id);
    Decision { steps: Vec::new(), difference: Some(difference("stray", guest, &name, text)) }
}

/// The highest ids that a host's agent has reported.
pub(crate) fn ids(review: &HostReview) -> Ids {
    let mut ids = Ids::default();
    let raise = |to: &mut i64, id: i64| *to = (*to).max(id);
    if let Some(former) = &review.former {
        ids = ids_of(former);
    }
    for orphan in &review.orphans {
        match orphan.kind.as_str() {
            "domain" => raise(&mut ids.guests, orphan.id),
            "volume" => raise(&mut ids.volumes, orphan.id),
            _ => raise(&mut ids.networks, orphan.id),
        }
        let interfaces = orphan.interfaces.iter().map(|interface| interface.0).max();
        raise(&mut ids.interfaces, interfaces.unwrap_or(0));
    }
    ids
}

/// The highest ids that a manifest speaks of.
fn ids_of(former: &Manifest) -> Ids {
    let highest = |ids: &mut dyn Iterator<Item = i64>| ids.max().unwrap_or(0);
    let guests = || former.guests.iter();
    let mut ids = Ids {
        accounts: highest(&mut guests().map(|guest| guest.account.0)),
        pools: highest(&mut former.pools.iter().map(|pool| pool.id.0)),
        networks: highest(&mut former.networks.iter().map(|network| network.id.0)),
        guests: highest(&mut guests().map(|guest| guest.id.0)),
        volumes: highest(&mut guests().map(|guest| guest.root.id.0)),
        interfaces: highest(
            &mut guests().flat_map(|guest| &guest.interfaces).map(|interface| interface.id.0),
        ),
    };
    for absent in &former.absent {
        match absent {
            Absent::Guest { id, volumes, interfaces, .. } => {
                ids.guests = ids.guests.max(id.0);
                ids.volumes = ids.volumes.max(highest(&mut volumes.iter().map(|volume| volume.id.0)));
                ids.interfaces =
                    ids.interfaces.max(highest(&mut interfaces.iter().map(|interface| interface.0)));
            }
            Absent::Network { id, .. } => ids.networks = ids.networks.max(id.0),
        }
    }
    ids
}

#[cfg(test)]
#[path = "reviewing_tests.rs"]
mod tests;
