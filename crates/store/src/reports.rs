//! What agents saw: applied only if newer, in one transaction, and written only where it changed.
//!
//! Applying a report also does what follows from it: a volume seen complete is `existing` from then on, a guest or a
//! network reported gone is buried, operations whose guest has settled are done, and what an operator should hear of
//! becomes an event. A host says nothing about what is not placed on it at the current epoch.

use crate::cells::cells;
use crate::events::{self, NewEvent};
use crate::sql::{Connection, Reach, execute, from_json, read, row, rows, signed, to_json, values};
use crate::{
    Change, Scope, StoreResult, Tx, guest_moves, guests_desired, image_uploads, networks, operations,
};
use honcho_model::event::ResourceKind;
use honcho_model::guest::Power;
use honcho_model::operation::{OperationKind, OperationState};
use honcho_model::{AccountId, GuestId, HostId, OperationId};
use honcho_wire::{
    CpuObserved, Gone, GuestObserved, HostObserved, Observation, PoolObserved, PoolState, Report,
    ReportAnswer, VolumeState,
};
use sea_orm::FromQueryResult;
use std::collections::HashMap;

/// A report of a host, to be applied.
pub struct ApplyReport {
    /// The host whose certificate it came under.
    pub host: HostId,
    /// Its name, for events.
    pub host_name: String,
    /// What it said.
    pub report: Report,
}

#[derive(FromQueryResult)]
struct Known {
    boot_id: Option<String>,
    run_id: Option<String>,
    sequence: i64,
    digest: Option<String>,
    orphans: Option<String>,
    machine: Option<String>,
    capabilities: Option<String>,
}

impl Change for ApplyReport {
    type Out = ReportAnswer;

    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<ReportAnswer> {
        let report = &self.report;
        let known: Option<Known> = row(
            tx,
            "SELECT boot_id, run_id, sequence, digest, orphans, machine, capabilities FROM host_observed WHERE host_id = $1",
            values![self.host.0],
        )
        .await?;
        let current = self.is_of_this_life(tx).await?;
        let run_id = report.run_id.to_string();
        let same_run = known.as_ref().is_some_and(|known| known.run_id.as_deref() == Some(&run_id));
        if let Some(known) = &known {
            if same_run && signed(report.sequence) <= known.sequence {
                return Ok(ReportAnswer::Stale);
            }
            self.note_boot(tx, known).await?;
        }
        self.note_capabilities(tx, known.as_ref()).await?;
        let held = known.as_ref().filter(|_| same_run).and_then(|known| known.digest.as_deref());
        let answer = match &report.observation {
            Some(observation) => {
                if current {
                    let orphans = known.as_ref().and_then(|known| known.orphans.as_deref());
                    self.note_machine(tx, observation, orphans).await?;
                    self.note_address(tx, known.as_ref(), observation).await?;
                    self.apply(tx, observation).await?;
                } else {
                    // What it says is about another manifest than any that this life has given.
                    self.note_refusal(tx, observation).await?;
                }
                ReportAnswer::Applied
            }
            None if held == Some(report.digest.as_str()) => ReportAnswer::Applied,
            None => ReportAnswer::SendEverything,
        };
        let digest = report.observation.is_some().then_some(report.digest.as_str()).or(held);
        let of = report.incarnation.filter(|_| current && report.observation.is_some());
        self.note_run(tx, &run_id, digest, of).await?;
        Ok(answer)
    }
}

/// Whether the last observation of a host that is held is the one that a heartbeat speaks of: this run's, with this digest,
/// about a manifest of this very life of the brain.
pub async fn holds(connection: &impl Connection, host: HostId, report: &Report) -> StoreResult<bool> {
    cells! {
        struct One {
            _one: i64 = "o.host_id",
        }
    }
    let Some(incarnation) = report.incarnation else { return Ok(false) };
    let sql = format!(
        "SELECT {} FROM host_observed o JOIN brain b ON b.id = 1 WHERE o.host_id = $1 AND o.run_id = $2 AND o.digest = $3 \
         AND o.incarnation = $4 AND b.incarnation = $4",
        One::COLUMNS.join(", ")
    );
    let values = values![host.0, report.run_id.to_string(), report.digest.as_str(), incarnation.0];
    let held: Vec<One> = read(connection, Reach::Few, sql, values).await?;
    Ok(!held.is_empty())
}

impl ApplyReport {
    /// Whether the agent acts on a manifest of this life of the brain, or on none. One that acts on a later life's tells a
    /// restored brain that its incarnation is one which somebody had before, so that it takes one above that.
    async fn is_of_this_life(&self, tx: &Tx) -> StoreResult<bool> {
        let Some(reported) = self.report.incarnation else { return Ok(true) };
        let Some(identity) = crate::brain::get(tx).await? else { return Ok(true) };
        if reported > identity.incarnation {
            crate::restoring::overtake(tx, reported).await?;
        }
        Ok(reported == identity.incarnation)
    }

    async fn note_refusal(&self, tx: &Tx, observation: &Observation) -> StoreResult<()> {
        execute(
            tx,
            "INSERT INTO host_observed (host_id, last_seen_at, silent_noted, sequence, manifest_generation, machine, refused, \
             cpu_features) VALUES ($1, $2, FALSE, 0, 0, $3, $4, $5) \
             ON CONFLICT (host_id) DO UPDATE SET machine = $3, refused = $4, cpu_features = $5",
            values![
                self.host.0,
                tx.now.0,
                to_json(&without_features(&observation.host))?,
                observation.refused.clone(),
                features(&observation.host)
            ],
        )
        .await?;
        Ok(())
    }

    async fn note_run(
        &self,
        tx: &Tx,
        run_id: &str,
        digest: Option<&str>,
        of: Option<honcho_model::Incarnation>,
    ) -> StoreResult<()> {
        crate::hosts::note_return(tx, self.host).await?;
        execute(
            tx,
            "INSERT INTO host_observed (host_id, last_seen_at, silent_noted, boot_id, run_id, sequence, manifest_generation, \
             digest, incarnation, capabilities) VALUES ($1, $2, FALSE, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (host_id) DO UPDATE SET \
             last_seen_at = $2, silent_noted = FALSE, boot_id = $3, run_id = $4, sequence = $5, manifest_generation = $6, \
             digest = $7, incarnation = COALESCE($8, host_observed.incarnation), capabilities = $9",
            values![
                self.host.0,
                tx.now.0,
                self.report.boot_id.as_str(),
                run_id,
                signed(self.report.sequence),
                self.report.manifest_generation.0,
                digest,
                of.map(|of| of.0),
                self.report.capabilities.join(" ")
            ],
        )
        .await?;
        Ok(())
    }

    async fn note_boot(&self, tx: &Tx, known: &Known) -> StoreResult<()> {
        if known.boot_id.as_deref().is_some_and(|boot| boot != self.report.boot_id) {
            let resource = (ResourceKind::Host, self.host.0, self.host_name.as_str());
            events::record(tx, NewEvent::info("host.booted", resource, "the machine has booted")).await?;
        }
        Ok(())
    }

    /// What is asked of an agent depends on what it can: disks are read by those alone that know how.
    async fn note_capabilities(&self, tx: &Tx, known: Option<&Known>) -> StoreResult<()> {
        let before = known.and_then(|known| known.capabilities.as_deref());
        let same = before == Some(self.report.capabilities.join(" ").as_str());
        if !same && !image_uploads::captures_on(tx, self.host).await?.is_empty() {
            tx.touch(self.host);
        }
        Ok(())
    }

    /// Tells whoever fetches guests from this host where it is reached, if that is another place than before.
    async fn note_address(
        &self,
        tx: &Tx,
        known: Option<&Known>,
        observation: &Observation,
    ) -> StoreResult<()> {
        let machine = known.and_then(|known| known.machine.as_deref());
        let before: Option<honcho_wire::HostObserved> = from_json("host observation", machine)?;
        let address = &observation.host.movers_address;
        if before.is_some_and(|before| before.movers_address == *address) {
            return Ok(());
        }
        guest_moves::reached_at(tx, self.host, address.as_deref()).await
    }

    async fn note_machine(
        &self,
        tx: &Tx,
        observation: &Observation,
        known_orphans: Option<&str>,
    ) -> StoreResult<()> {
        let orphans = to_json(&observation.orphans)?;
        if !observation.orphans.is_empty() && known_orphans != Some(orphans.as_str()) {
            let names: Vec<_> =
                observation.orphans.iter().map(|orphan| format!("{} {}", orphan.kind, orphan.name)).collect();
            let text =
                format!("carries our mark and nobody wants it; kept until you speak: {}", names.join(", "));
            let resource = (ResourceKind::Host, self.host.0, self.host_name.as_str());
            events::record(tx, NewEvent::info("host.orphans", resource, text).alarm()).await?;
        }
        execute(
            tx,
            "INSERT INTO host_observed (host_id, last_seen_at, silent_noted, sequence, manifest_generation, machine, orphans, \
             refused, former, cpu_features) VALUES ($1, $2, FALSE, 0, 0, $3, $4, $5, $6, $7) \
             ON CONFLICT (host_id) DO UPDATE SET machine = $3, orphans = $4, refused = $5, former = $6, cpu_features = $7",
            values![
                self.host.0,
                tx.now.0,
                to_json(&without_features(&observation.host))?,
                orphans,
                observation.refused.clone(),
                observation.former.as_ref().map(to_json).transpose()?,
                features(&observation.host)
            ],
        )
        .await?;
        Ok(())
    }

    async fn apply(&self, tx: &Tx, observation: &Observation) -> StoreResult<()> {
        for pool in &observation.pools {
            self.apply_pool(tx, pool).await?;
        }
        let before: HashMap<i64, Before> =
            self.guests_before(tx).await?.into_iter().map(|known| (known.id, known)).collect();
        for guest in &observation.guests {
            if let Some(known) = before.get(&guest.id.0).filter(|known| known.epoch == guest.epoch.0) {
                self.apply_guest(tx, known, guest).await?;
            }
        }
        if self.is_frozen(tx).await? {
            // One of two machines says so; the other may still run it. It is said again after the thaw.
            return Ok(());
        }
        for guest in observation.guests.iter().filter(|guest| guest.held) {
            guest_moves::held(tx, guest.id, self.host, guest.epoch).await?;
        }
        for arrival in &observation.arrivals {
            guest_moves::arrival(tx, self.host, arrival).await?;
        }
        for gone in &observation.gone {
            match gone {
                Gone::Guest { id, epoch, generation } => {
                    guest_moves::gone(tx, *id, self.host, *epoch).await?;
                    let buried = guests_desired::bury(tx, *id, self.host, *epoch, *generation).await?;
                    if let Some(guests_desired::Gone { name, account, kept }) = buried {
                        let resource = (ResourceKind::Guest, id.0, name.as_str());
                        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
                        let text = match kept.as_slice() {
                            [] => "is gone from its host; its name and addresses are free".to_owned(),
                            kept => format!(
                                "is gone from its host; its name is free, its addresses too but {}, kept by its account",
                                kept.join(", ")
                            ),
                        };
                        events::record(tx, NewEvent::info("guest.deleted", resource, text).of(Some(account)))
                            .await?;
                        self.end_operations(tx, *id, &name, account, generation.0, Ending::Deleted).await?;
                    }
                }
                Gone::Network { id, generation } => {
                    networks::gone_from_host(tx, *id, self.host, generation.0).await?;
                }
            }
        }
        Ok(())
    }

    async fn is_frozen(&self, tx: &Tx) -> StoreResult<bool> {
        let sql = "SELECT 1 AS n FROM hosts WHERE id = $1 AND (frozen_at IS NOT NULL OR unaccepted_since IS NOT NULL)";
        Ok(crate::sql::number(tx, sql, values![self.host.0]).await?.is_some())
    }

    async fn apply_pool(&self, tx: &Tx, pool: &PoolObserved) -> StoreResult<()> {
        #[derive(FromQueryResult)]
        struct Row {
            name: String,
            existing: bool,
            state: Option<String>,
            problem: Option<String>,
            size: Option<i64>,
            free: Option<i64>,
            reflink: Option<bool>,
        }
        let known: Option<Row> = row(
            tx,
            "SELECT p.name, p.existing, o.state, o.problem, o.size, o.free, o.reflink FROM pools p LEFT JOIN pool_observed o ON o.pool_id = p.id \
             WHERE p.id = $1 AND p.host_id = $2",
            values![pool.id.0, self.host.0],
        )
        .await?;
        let Some(known) = known else { return Ok(()) };
        let state = pool_state(pool.state);
        if known.state.as_deref() != Some(state) {
            let resource = (ResourceKind::Pool, pool.id.0, known.name.as_str());
            let text = pool.problem.clone().unwrap_or_else(|| format!("is {state}"));
            let kind = format!("pool.{state}");
            let event = NewEvent::info(&kind, resource, text);
            events::record(tx, if pool.state == PoolState::Wrong { event.alarm() } else { event }).await?;
        }
        if pool.state == PoolState::Ready && !known.existing {
            execute(
                tx,
                "UPDATE pools SET existing = TRUE, generation = generation + 1 WHERE id = $1",
                values![pool.id.0],
            )
            .await?;
            tx.touch(self.host);
        }
        let same = known.state.as_deref() == Some(state)
            && known.problem == pool.problem
            && known.size == Some(signed(pool.size.0))
            && known.free == Some(signed(pool.free.0))
            && known.reflink == Some(pool.reflink);
        if same {
            // Most of a host's reports are about its guests.
            return Ok(());
        }
        execute(
            tx,
            "INSERT INTO pool_observed (pool_id, state, problem, size, free, reflink) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (pool_id) DO UPDATE SET state = $2, problem = $3, size = $4, free = $5, reflink = $6",
            values![pool.id.0, state, pool.problem.clone(), signed(pool.size.0), signed(pool.free.0), pool.reflink],
        )
        .await?;
        Ok(())
    }

    async fn guests_before(&self, tx: &Tx) -> StoreResult<Vec<Before>> {
        rows(
            tx,
            "SELECT g.id, g.name, g.account_id, g.epoch, g.generation AS wanted, v.existing, v.size, v.growing_to, o.generation, \
             o.settled, o.power, o.boots_done, o.volume_state, o.volume_size, o.ssh_host_key, o.progress, o.failure, COALESCE(o.unexpected_stops, 0) AS unexpected_stops FROM guests g JOIN volumes v ON v.guest_id = g.id \
             LEFT JOIN guest_observed o ON o.guest_id = g.id AND o.epoch = g.epoch \
             WHERE g.host_id = $1 AND g.deleted_at IS NULL",
            values![self.host.0],
        )
        .await
    }

    async fn apply_guest(&self, tx: &Tx, before: &Before, seen: &GuestObserved) -> StoreResult<()> {
        let progress = seen.progress.as_ref().map(to_json).transpose()?;
        let failure = seen.failure.as_ref().map(to_json).transpose()?;
        if before.says_the_same(seen, progress.as_deref(), failure.as_deref()) {
            return Ok(());
        }
        self.guest_events(tx, before, seen).await?;
        if seen.volume.state == VolumeState::Present && !before.existing {
            execute(tx, "UPDATE volumes SET existing = TRUE WHERE guest_id = $1", values![seen.id.0]).await?;
            tx.touch(self.host);
        }
        execute(
            tx,
            "INSERT INTO guest_observed (guest_id, epoch, generation, settled, power, boots_done, volume_state, ssh_host_key, \
             progress, failure, unexpected_stops, volume_size) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (guest_id) DO UPDATE SET epoch = $2, generation = $3, settled = $4, power = $5, boots_done = $6, \
             volume_state = $7, ssh_host_key = COALESCE($8, guest_observed.ssh_host_key), progress = $9, failure = $10, unexpected_stops = $11, \
             volume_size = COALESCE($12, guest_observed.volume_size)",
            values![
                seen.id.0,
                seen.epoch.0,
                seen.generation.0,
                seen.settled,
                seen.power.as_str(),
                seen.boots_done.map(signed),
                volume_state(seen.volume.state),
                seen.ssh_host_key.clone(),
                progress,
                failure,
                signed(seen.unexpected_stops),
                volume_size(seen)
            ],
        )
        .await?;
        if seen.settled {
            let account = AccountId(before.account_id);
            if before.growing_to.is_some() && seen.generation.0 >= before.wanted {
                self.growth_is_over(tx, before, seen).await?;
            }
            self.end_operations(tx, seen.id, &before.name, account, seen.generation.0, Ending::Settled)
                .await?;
        }
        Ok(())
    }

    /// The growth of a disk that somebody gave up on is over, for its host has nothing under way: what has grown in the
    /// meantime is what it has, and what has not counts no more.
    async fn growth_is_over(&self, tx: &Tx, before: &Before, seen: &GuestObserved) -> StoreResult<()> {
        let grown = volume_size(seen).filter(|size| *size > before.size);
        let sql = "UPDATE volumes SET size = $1, growing_to = NULL WHERE guest_id = $2";
        execute(tx, sql, values![grown.unwrap_or(before.size), seen.id.0]).await?;
        if grown.is_none() {
            return Ok(());
        }
        // Who holds an older copy must not write its size back.
        let sql = "UPDATE guests SET lock_version = lock_version + 1 WHERE id = $1";
        execute(tx, sql, values![seen.id.0]).await?;
        tx.touch(self.host);
        let guest = crate::guests::get(tx, Scope::System, seen.id, tx.now).await?;
        let mut after = serde_json::to_value(&guest).unwrap_or_default();
        if let Some(after) = after.as_object_mut() {
            // Usage is read from events alone.
            let held = guests_desired::addresses(tx, seen.id).await?;
            after.insert("addresses".to_owned(), held.into());
        }
        let resource = (ResourceKind::Guest, seen.id.0, before.name.as_str());
        let text = format!("its disk has {} after all: it grew while that was given up", seen.volume.size);
        let event = NewEvent::info("guest.grown", resource, text).of(Some(AccountId(before.account_id)));
        events::record(tx, event.change(None, Some(after))).await?;
        Ok(())
    }

    async fn guest_events(&self, tx: &Tx, before: &Before, seen: &GuestObserved) -> StoreResult<()> {
        let resource = (ResourceKind::Guest, before.id, before.name.as_str());
        let account = Some(AccountId(before.account_id));
        let was_running = before.power.as_deref() == Some(Power::Running.as_str());
        if signed(seen.unexpected_stops) > before.unexpected_stops {
            let text =
                format!("stopped without having been told to ({} times by now)", seen.unexpected_stops);
            events::record(tx, NewEvent::info("guest.stopped_by_itself", resource, text).of(account)).await?;
        } else if was_running && seen.power == Power::Stopped {
            events::record(tx, NewEvent::info("guest.stopped", resource, "has stopped").of(account)).await?;
        }
        if !was_running && seen.power == Power::Running {
            events::record(tx, NewEvent::info("guest.running", resource, "runs").of(account)).await?;
        }
        if seen.volume.state == VolumeState::Missing && before.volume_state.as_deref() != Some("missing") {
            let text = "its volume is missing from its pool; nothing is made in its place";
            events::record(tx, NewEvent::info("guest.volume_missing", resource, text).of(account).alarm())
                .await?;
        }
        let known: Option<honcho_wire::Failure> = from_json("failure", before.failure.as_deref())?;
        if let Some(failure) = &seen.failure
            && known.as_ref().is_none_or(|known| known.step != failure.step || known.error != failure.error)
        {
            let text = crate::guests::describe_failure(failure);
            events::record(tx, NewEvent::info("guest.step_failed", resource, text).of(account)).await?;
        }
        Ok(())
    }

    /// Ends every open operation of a guest that the generation satisfies.
    async fn end_operations(
        &self,
        tx: &Tx,
        guest: GuestId,
        name: &str,
        account: AccountId,
        generation: i64,
        ending: Ending,
    ) -> StoreResult<()> {
        for open in operations::open_of_guest(tx, guest).await? {
            // A guest that is to go settles only by being gone.
            let on_its_way =
                open.kind == OperationKind::Move && guest_moves::of_guest(tx, guest).await?.is_some();
            let satisfied = open.generation <= generation
                && !on_its_way
                && (open.kind == OperationKind::Delete) <= (ending == Ending::Deleted);
            if satisfied && operations::end(tx, OperationId(open.id), OperationState::Done, None).await? {
                let resource = (ResourceKind::Guest, guest.0, name);
                let kind = format!("guest.{}_done", open.kind.as_str());
                let text = format!("operation {} ({}) is done", open.id, open.kind.as_str());
                events::record(tx, NewEvent::info(&kind, resource, text).of(Some(account))).await?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Settled,
    Deleted,
}

#[derive(FromQueryResult)]
struct Before {
    id: i64,
    name: String,
    account_id: i64,
    epoch: i64,
    wanted: i64,
    existing: bool,
    size: i64,
    growing_to: Option<i64>,
    generation: Option<i64>,
    settled: Option<bool>,
    power: Option<String>,
    boots_done: Option<i64>,
    volume_state: Option<String>,
    volume_size: Option<i64>,
    ssh_host_key: Option<String>,
    progress: Option<String>,
    failure: Option<String>,
    unexpected_stops: i64,
}

impl Before {
    /// Whether an observation says nothing that is not known: most of a host's guests, in most of its reports.
    fn says_the_same(&self, seen: &GuestObserved, progress: Option<&str>, failure: Option<&str>) -> bool {
        self.generation == Some(seen.generation.0)
            && self.settled == Some(seen.settled)
            && self.power.as_deref() == Some(seen.power.as_str())
            && self.boots_done == seen.boots_done.map(signed)
            && self.volume_state.as_deref() == Some(volume_state(seen.volume.state))
            && (volume_size(seen).is_none() || self.volume_size == volume_size(seen))
            // Made with the volume and never again: while the pool cannot be looked into, it is still known.
            && (seen.ssh_host_key.is_none() || self.ssh_host_key == seen.ssh_host_key)
            && self.progress.as_deref() == progress
            && self.failure.as_deref() == failure
            && self.unexpected_stops == signed(seen.unexpected_stops)
    }
}

/// What is kept of a machine in one piece, and read for every order: not the long list of what its processors can.
fn without_features(host: &HostObserved) -> HostObserved {
    let cpu = host.cpu.clone().map(|cpu| CpuObserved { features: Vec::new(), ..cpu });
    HostObserved { cpu, ..host.clone() }
}

/// What its processors can: words with a space before and behind each.
fn features(host: &HostObserved) -> Option<String> {
    host.cpu.as_ref().map(|cpu| format!(" {} ", cpu.features.join(" ")))
}

fn pool_state(state: PoolState) -> &'static str {
    match state {
        PoolState::Ready => "ready",
        PoolState::Blank => "blank",
        PoolState::Wrong => "wrong",
    }
}

/// The size of a volume that can be looked at; what was seen of one that cannot is still known.
fn volume_size(seen: &GuestObserved) -> Option<i64> {
    (seen.volume.state == VolumeState::Present).then(|| signed(seen.volume.size.0))
}

fn volume_state(state: VolumeState) -> &'static str {
    match state {
        VolumeState::Present => "present",
        VolumeState::Unmade => "unmade",
        VolumeState::Missing => "missing",
        VolumeState::Unknown => "unknown",
    }
}
