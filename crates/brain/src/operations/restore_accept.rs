//! Accepting a restored brain: what its agents report is written down, and its hosts are changed again.

use super::guest_capture;
use super::guest_power::with_addresses;
use super::operators_only;
use crate::reviewing::{self, Findings, Missing, Step, Whereabouts};
use honcho_api::{Restore, RestoreHost};
use honcho_model::event::ResourceKind;
use honcho_model::{AccountId, GuestId, HostId};
use honcho_store::events::{self, NewEvent};
use honcho_store::reviewing::{Elsewhere, HostReview};
use honcho_store::{
    Change, Connection, Refusal, Scope, StoreResult, Turn, Tx, blobs, guests, guests_desired, image_uploads,
    restoring, reviewing as rows,
};

/// Accepts the present life on every host that has reported.
pub(crate) struct RestoreAccept {
    pub(crate) scope: Scope,
    /// Names or ids of hosts that are left as they are.
    pub(crate) without: Vec<String>,
    pub(crate) missing: Missing,
}

impl Change for RestoreAccept {
    type Out = Restore;
    // Guests that are written down again take the addresses that they have.
    const TURN: Turn = Turn::Addresses;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<Restore> {
        operators_only(self.scope)?;
        let life = restoring::life(tx).await?;
        let waiting = rows::hosts(tx, life.incarnation).await?;
        if life.restored_at.is_none() || (waiting.is_empty() && !life.is_unaccepted()) {
            return Err(Refusal::Conflict("there is nothing to accept".to_owned()).into());
        }
        let chosen = self.chosen(&waiting)?;
        let places = Whereabouts::of(&waiting, |host| chosen.iter().any(|review| review.id == host));
        for review in &chosen {
            accept_host(tx, review, &places, self.missing).await?;
        }
        restoring::accept_life(tx).await?;
        blobs::begin_anew(tx).await?;
        show(tx).await
    }
}

impl RestoreAccept {
    /// The hosts that are accepted: all that have reported. One that has not, and could, must be left out in so many words.
    fn chosen<'r>(&self, waiting: &'r [HostReview]) -> StoreResult<Vec<&'r HostReview>> {
        let names = |host: &HostReview, word: &String| *word == host.name || *word == host.id.to_string();
        for word in &self.without {
            if !waiting.iter().any(|host| names(host, word)) {
                return Err(Refusal::invalid(
                    "without",
                    format!("{word} is no host that waits to be accepted"),
                )
                .into());
            }
        }
        let mut chosen: Vec<&HostReview> = waiting.iter().collect();
        chosen.retain(|host| !self.without.iter().any(|word| names(host, word)));
        let awaited: Vec<&str> = chosen
            .iter()
            .filter(|host| host.joined && !host.reported)
            .map(|host| host.name.as_str())
            .collect();
        if !awaited.is_empty() {
            let text = format!(
                "have not reported in full yet: {}. Wait for them, or accept without them: nothing is changed on them until \
                 they are accepted in turn",
                awaited.join(", ")
            );
            return Err(Refusal::Conflict(text).into());
        }
        // For which no agent has joined yet, there is nothing to see; whoever joins is looked at then.
        chosen.retain(|host| host.reported);
        Ok(chosen)
    }
}

async fn accept_host(
    tx: &Tx,
    review: &HostReview,
    places: &Whereabouts,
    missing: Missing,
) -> StoreResult<()> {
    let mut said = Vec::new();
    rows::raise_ids(tx, reviewing::ids(review)).await?;
    for pool in review.former.iter().flat_map(|former| &former.pools) {
        if !rows::pool_is_known(tx, pool).await? {
            rows::adopt_pool(tx, review.id, pool).await?;
        }
    }
    // Those that end free addresses, which others have taken since.
    for decision in reviewing::of_known(review, places, missing) {
        for step in &decision.steps {
            take(tx, review.id, step).await?;
        }
        said.extend(decision.difference);
    }
    let findings = findings(tx, review).await?;
    for decision in reviewing::of_unknown(review, places, &findings) {
        for step in &decision.steps {
            take(tx, review.id, step).await?;
        }
        said.extend(decision.difference);
    }
    let seen = rows::generation_seen(tx, review.id).await?;
    let former = review.former.as_ref().map_or(seen, |former| former.generation.max(seen));
    restoring::accept_host(tx, review.id, former).await?;
    // Its guest may have run since, and what had come is not here.
    for (guest, _) in image_uploads::captures_on(tx, review.id).await? {
        guest_capture::give_up(
            tx,
            guest,
            "this brain was restored from a backup meanwhile: capture it again",
        )
        .await?;
    }
    let text = match said.len() {
        0 => "is accepted after a restore: it is as the backup has it".to_owned(),
        count => format!("is accepted after a restore, with {count} differences"),
    };
    let resource = (ResourceKind::Host, review.id.0, review.name.as_str());
    let told = serde_json::to_value(&said).ok();
    events::record(tx, NewEvent::info("host.accepted", resource, text).change(None, told)).await?;
    Ok(())
}

async fn take(tx: &Tx, host: HostId, step: &Step) -> StoreResult<()> {
    match step {
        Step::Raise(id, counters) => rows::raise(tx, *id, *counters).await,
        Step::NoteMade(id) => rows::note_volume_made(tx, *id).await,
        Step::Stop(id, why) => {
            rows::stop(tx, *id).await?;
            record(tx, "guest.restored", *id, &format!("stays stopped after a restore: {why}")).await
        }
        Step::Forget(id) => {
            let text = "was deleted after the backup that this brain was restored from: its name and addresses are free";
            record(tx, "guest.deleted", *id, text).await?;
            rows::forget(tx, host, *id).await
        }
        Step::TakeOver(both) => {
            rows::take_over(tx, &both.0, &both.1).await?;
            let text = "was changed after the backup that this brain was restored from, and is taken over";
            record(tx, "guest.restored", GuestId(both.0.id), text).await
        }
        Step::MoveHere(both) => {
            rows::move_here(tx, host, &both.1).await?;
            let text =
                "was moved after the backup that this brain was restored from, and is where it was moved to";
            record(tx, "guest.restored", GuestId(both.0.id), text).await
        }
        Step::Adopt(guest, volume) => {
            rows::adopt(tx, host, guest, *volume).await?;
            let text =
                "was ordered after the backup that this brain was restored from, and is written down again";
            record(tx, "guest.restored", guest.id, text).await
        }
    }
}

/// Writes an event that tells all of a guest, as usage needs it.
async fn record(tx: &Tx, kind: &str, id: GuestId, text: &str) -> StoreResult<()> {
    let guest = guests::get(tx, Scope::System, id, tx.now).await?;
    let resource = (ResourceKind::Guest, guest.id, guest.name.as_str());
    let account = Some(AccountId(guest.account_id));
    let mut event = NewEvent::info(kind, resource, text).of(account);
    if kind != "guest.deleted" {
        let held = guests_desired::addresses(tx, id).await?;
        let after = serde_json::to_value(&guest).ok().map(|after| with_addresses(after, &held));
        event = event.change(None, after);
    }
    events::record(tx, event).await?;
    Ok(())
}

async fn findings(connection: &impl Connection, review: &HostReview) -> StoreResult<Findings> {
    let mut findings = Findings::default();
    for guest in reviewing::unknown(review) {
        match rows::elsewhere(connection, review.id, guest).await? {
            Elsewhere::Nowhere => {
                if let Some(why) = rows::why_not_adoptable(connection, review.id, guest).await? {
                    findings.obstacles.insert(guest.id, why);
                }
            }
            Elsewhere::Moved(from, known) => {
                findings.moved.insert(guest.id, (from, *known));
            }
            Elsewhere::Held(why) => {
                findings.obstacles.insert(guest.id, why);
            }
        }
    }
    Ok(findings)
}

/// What there is to accept.
pub(crate) async fn show(connection: &impl Connection) -> StoreResult<Restore> {
    let life = restoring::life(connection).await?;
    let mut hosts = Vec::new();
    let waiting = rows::hosts(connection, life.incarnation).await?;
    let reported = |host: HostId| waiting.iter().any(|review| review.id == host && review.reported);
    let places = Whereabouts::of(&waiting, reported);
    for review in waiting {
        let mut decisions = Vec::new();
        if review.reported {
            decisions = reviewing::of_known(&review, &places, Missing::Kept);
            let findings = findings(connection, &review).await?;
            decisions.extend(reviewing::of_unknown(&review, &places, &findings));
        }
        let state = match (review.joined, review.reported) {
            (_, true) => "reported",
            (true, false) => "awaited",
            (false, false) => "waiting",
        };
        hosts.push(RestoreHost {
            host_id: review.id.0,
            name: review.name,
            state: state.to_owned(),
            problem: review.refused,
            differences: decisions.into_iter().filter_map(|decision| decision.difference).collect(),
        });
    }
    let state = match (life.restored_at, life.accepted_at) {
        (None, _) => "none",
        (Some(_), None) => "unaccepted",
        (Some(_), Some(_)) => "accepted",
    };
    let time = |at: Option<honcho_model::Timestamp>| {
        at.map(|at| jiff::Timestamp::from_microsecond(at.0).unwrap_or_default())
    };
    Ok(Restore {
        incarnation: life.incarnation.0,
        state: state.to_owned(),
        backed_up_at: time(life.backed_up_at),
        restored_at: time(life.restored_at),
        accepted_at: time(life.accepted_at),
        hosts,
    })
}
