//! What the score would be after a move, in constant time, and whether the move is legal.

use super::members::{JustEnough, Movable, Online};
use super::score::{DEVIATIONS, Moments, Shares, WEIGHTS, is_short, is_unsafe, sums_of};
use super::state::{Compare, Spread};
use super::{GuestIndex, HostIndex, Place, SpreadGuest, SpreadHost};

impl Spread {
    /// Whether a guest may go there from where it is: its class allows it, there is room, and no tag of it is there.
    pub fn fits(&self, guest: GuestIndex, to: Place) -> bool {
        let moved = &self.guests[guest as usize];
        let from = moved.place;
        if moved.movable == Movable::No || from == to || to.secondary == Some(to.primary) {
            return false;
        }
        let primary_fits = from.primary == to.primary || self.primary_fits(moved, to.primary, from.secondary);
        // To run it elsewhere on the same mirror, Ganeti lets the mirror's host run it meanwhile.
        let meanwhile_fits = match (from.secondary, to.secondary) {
            (Some(mirror), Some(same)) if mirror == same && from.primary != to.primary => {
                self.primary_fits(moved, mirror, from.secondary)
            }
            _ => true,
        };
        primary_fits
            && meanwhile_fits
            && to.secondary.is_none_or(|secondary| {
                Some(secondary) == from.secondary || self.secondary_fits(moved, secondary, from)
            })
            && (to.secondary.is_none() || self.is_forced(moved) || self.stays_safe(guest, to))
    }

    /// Whether rules give way that only keep order. Ganeti's do for guests whose host is off: better crowded than down.
    fn is_forced(&self, guest: &SpreadGuest) -> bool {
        let off = |host: HostIndex| self.hosts[host as usize].online == Online::No;
        self.compare == Compare::MustRemain
            && (off(guest.place.primary) || guest.place.secondary.is_some_and(off))
    }

    fn remains(&self, free: i64) -> bool {
        match self.compare {
            Compare::MayFill => free >= 0,
            Compare::MustRemain => free > 0,
        }
    }

    fn primary_fits(&self, guest: &SpreadGuest, to: HostIndex, mirror: Option<HostIndex>) -> bool {
        let host = &self.hosts[to as usize];
        let has_its_disk = mirror == Some(to);
        self.classes[guest.class as usize][to as usize]
            && host.online == Online::Yes
            && self.remains(host.memory_free - guest.memory_now)
            && (guest.disk == 0 || has_its_disk || self.disk_fits(host, guest))
            && (self.is_orderly(guest, to) || self.is_forced(guest))
    }

    fn is_orderly(&self, guest: &SpreadGuest, to: HostIndex) -> bool {
        let host = &self.hosts[to as usize];
        self.remains(host.memory_free_if_all_ran - guest.memory)
            && vcpus_fit(host, guest.vcpus)
            && guest.tags.iter().all(|tag| host.has_tag(*tag) == 0)
            && self.domain_fits(guest, host.domain)
    }

    fn disk_fits(&self, host: &SpreadHost, guest: &SpreadGuest) -> bool {
        self.remains(host.disk_free - guest.disk)
            && (host.spindles + guest.spindles <= host.spindles_limit || self.is_forced(guest))
    }

    fn secondary_fits(&self, guest: &SpreadGuest, to: HostIndex, from: Place) -> bool {
        let host = &self.hosts[to as usize];
        let leaves = if from.primary == to { guest.memory_now } else { 0 };
        self.classes[guest.class as usize][to as usize]
            && host.online == Online::Yes
            && (from.primary == to || self.disk_fits(host, guest))
            && (host.memory_free + leaves > guest.memory_mirrored || self.is_forced(guest))
    }

    /// Whether no host that was safe becomes unsafe: seen by doing it.
    fn stays_safe(&self, guest: GuestIndex, to: Place) -> bool {
        let moved = &self.guests[guest as usize];
        let mirrored = moved.memory_mirrored;
        let from = moved.place;
        let reserved = |host: HostIndex, gains: Option<HostIndex>, loses: Option<HostIndex>| {
            let state = &self.hosts[host as usize];
            let mut most = 0;
            for (peer, need) in &state.peers {
                let lost = if loses == Some(*peer) { mirrored } else { 0 };
                let gained = if gains == Some(*peer) { mirrored } else { 0 };
                most = most.max(need - lost + gained);
            }
            match gains {
                Some(peer) if !state.peers.contains_key(&peer) => most.max(mirrored),
                _ => most,
            }
        };
        let loses = |host: HostIndex| (from.secondary == Some(host)).then_some(from.primary);
        let reserved_after =
            |host: HostIndex| reserved(host, (to.secondary == Some(host)).then_some(to.primary), loses(host));
        // Ganeti takes the guest away first, and asks whether what is left was safe.
        let is_unsafe_without = |host: HostIndex| {
            let state = &self.hosts[host as usize];
            if from.primary == host {
                return state.memory_reported + moved.memory_now <= state.reserved;
            }
            match loses(host) {
                Some(peer) => state.memory_reported <= reserved(host, None, Some(peer)),
                None => is_unsafe(state),
            }
        };
        let free_after = |host: HostIndex| {
            let mut free = self.hosts[host as usize].memory_reported;
            free += if from.primary == host { moved.memory_now } else { 0 };
            free - if to.primary == host { moved.memory_now } else { 0 }
        };
        // To run it elsewhere on the same mirror, the mirror's host runs it meanwhile, and mirrors it no more then.
        let meanwhile =
            from.secondary.filter(|mirror| to.secondary == Some(*mirror) && to.primary != from.primary);
        let safe_meanwhile = meanwhile.is_none_or(|host| {
            let free = self.hosts[host as usize].memory_reported - moved.memory_now;
            is_unsafe_without(host) || free > reserved(host, None, loses(host))
        });
        safe_meanwhile
            && [Some(to.primary).filter(|host| *host != from.primary), to.secondary]
                .into_iter()
                .flatten()
                .all(|host| is_unsafe_without(host) || free_after(host) > reserved_after(host))
    }

    fn domain_fits(&self, guest: &SpreadGuest, domain: u32) -> bool {
        if guest.domain_tags.is_empty() || self.hosts[guest.place.primary as usize].domain == domain {
            return true;
        }
        guest
            .domain_tags
            .iter()
            .all(|tag| self.domain_tags.get(&(*tag, domain)).is_none_or(|count| *count == 0))
    }

    /// Whether two guests without mirrors may change places, judged as if both left first.
    pub(super) fn swap_fits(&self, one: GuestIndex, other: GuestIndex) -> bool {
        let (a, b) = (&self.guests[one as usize], &self.guests[other as usize]);
        let (at_a, at_b) = (a.place.primary, b.place.primary);
        self.lands(a, at_b, b) && self.lands(b, at_a, a)
    }

    fn lands(&self, guest: &SpreadGuest, to: HostIndex, leaving: &SpreadGuest) -> bool {
        let host = &self.hosts[to as usize];
        self.classes[guest.class as usize][to as usize]
            && host.online == Online::Yes
            && self.remains(host.memory_free + leaving.memory_now - guest.memory_now)
            && self.remains(host.memory_free_if_all_ran + leaving.memory - guest.memory)
            && (guest.disk == 0 || self.remains(host.disk_free + leaving.disk - guest.disk))
            && (guest.disk == 0 || host.spindles - leaving.spindles + guest.spindles <= host.spindles_limit)
            && vcpus_fit(host, guest.vcpus - leaving.vcpus)
            && guest.tags.iter().all(|tag| host.has_tag(*tag) == u32::from(leaving.tags.contains(tag)))
            && self.domain_fits(guest, host.domain)
    }

    /// The score after a move. Guests without mirrors are judged from four numbers a component; for a mirrored one the
    /// move is made and taken back.
    pub fn score_after(&mut self, guest: GuestIndex, to: Place) -> f64 {
        let from = self.guests[guest as usize].place;
        if from.secondary.is_none() && to.secondary.is_none() {
            let moved = &self.guests[guest as usize];
            return self.score_exchanged(from.primary, to.primary, moved, None);
        }
        let kept = (self.moments, self.sums, self.parts, self.means, self.slopes, self.total);
        let touched = [Some(from.primary), from.secondary, Some(to.primary), to.secondary];
        let judged = touched.map(|host| host.map(|host| self.hosts[host as usize].just_enough));
        self.apply(guest, to);
        let score = self.score();
        self.apply(guest, from);
        for (host, judged) in touched.into_iter().zip(judged) {
            if let (Some(host), Some(judged)) = (host, judged) {
                self.hosts[host as usize].just_enough = judged;
            }
        }
        (self.moments, self.sums, self.parts, self.means, self.slopes, self.total) = kept;
        score
    }

    /// What the score after a move is not below. It costs a fraction of [`Spread::score_after`]: a standard deviation
    /// is convex, so that it lies above every tangent.
    pub(super) fn score_at_least(&self, guest: GuestIndex, to: Place) -> f64 {
        let moved = &self.guests[guest as usize];
        if moved.place.secondary.is_some() || to.secondary.is_some() {
            return f64::NEG_INFINITY;
        }
        self.exchanged_at_least(moved.place.primary, to.primary, moved, None)
    }

    /// Likewise, for two guests that change places.
    pub(super) fn score_swapped_at_least(&self, one: GuestIndex, other: GuestIndex) -> f64 {
        let (a, b) = (&self.guests[one as usize], &self.guests[other as usize]);
        self.exchanged_at_least(a.place.primary, b.place.primary, a, Some(b))
    }

    fn exchanged_at_least(
        &self,
        from: HostIndex,
        to: HostIndex,
        leaving: &SpreadGuest,
        coming: Option<&SpreadGuest>,
    ) -> f64 {
        let (source, target) = (&self.hosts[from as usize], &self.hosts[to as usize]);
        let net = Net::of(leaving, coming);
        let less = net.shares(&self.shares[from as usize]);
        let more = net.shares(&self.shares[to as usize]);
        let (old_source, old_target) = (&self.values[from as usize], &self.values[to as usize]);
        let mut score = self.total;
        for component in 0..DEVIATIONS {
            let mean = self.means[component];
            score += self.slopes[component]
                * ((old_target[component] - mean) * more[component]
                    - (old_source[component] - mean) * less[component]);
        }
        score + self.sums_change(source, target, leaving, coming, &net)
    }

    /// The score after two guests without mirrors have changed places.
    pub(super) fn score_swapped(&self, one: GuestIndex, other: GuestIndex) -> f64 {
        let (a, b) = (&self.guests[one as usize], &self.guests[other as usize]);
        self.score_exchanged(a.place.primary, b.place.primary, a, Some(b))
    }

    /// The score if `leaving` went from `from` to `to` and `coming` the other way.
    fn score_exchanged(
        &self,
        from: HostIndex,
        to: HostIndex,
        leaving: &SpreadGuest,
        coming: Option<&SpreadGuest>,
    ) -> f64 {
        let (source, target) = (&self.hosts[from as usize], &self.hosts[to as usize]);
        let net = Net::of(leaving, coming);
        let mut score = self.sums.score() + self.sums_change(source, target, leaving, coming, &net);
        let source_change = net.shares(&self.shares[from as usize]);
        let target_change = net.shares(&self.shares[to as usize]);
        let (old_source, old_target) = (&self.values[from as usize], &self.values[to as usize]);
        for component in 0..DEVIATIONS {
            let (less, more) = (source_change[component], target_change[component]);
            score += if less == 0.0 && more == 0.0 {
                self.parts[component]
            } else {
                let mut moments: Moments = self.moments[component];
                moments.replace(old_source[component], old_source[component] - less);
                moments.replace(old_target[component], old_target[component] + more);
                WEIGHTS[component] * moments.deviation(self.online)
            };
        }
        score
    }

    fn sums_change(
        &self,
        source: &SpreadHost,
        target: &SpreadHost,
        leaving: &SpreadGuest,
        coming: Option<&SpreadGuest>,
        net: &Net,
    ) -> f64 {
        let plain = source.online == Online::Yes
            && target.online == Online::Yes
            && source.secondaries == 0
            && target.secondaries == 0;
        let tagged = !leaving.tags.is_empty() || coming.is_some_and(|guest| !guest.tags.is_empty());
        let judged = self.just_enough_once_moved;
        let safe = |free: i64| !is_short(free, 0, judged) && !is_short(free, 0, JustEnough::IsSafe);
        if plain
            && !tagged
            && safe(source.memory_reported)
            && safe(target.memory_reported)
            && safe(target.memory_reported - net.memory_now)
        {
            return 0.0;
        }
        let mut change = 0.0;
        for (host, sign) in [(source, -1), (target, 1)] {
            let before = sums_of(host);
            let mut after = before;
            let moved = f64::from(sign) * net.guests;
            if host.online == Online::No {
                after.on_offline += moved;
                after.run_on_offline += moved;
            } else if host.online == Online::Yes {
                let guests = f64::from(host.primaries + host.secondaries) + moved;
                let free = host.memory_reported - i64::from(sign) * net.memory_now;
                after.unsafe_guests = if is_short(free, host.reserved, judged) { guests } else { 0.0 };
                let (arrives, leaves) =
                    if sign > 0 { (Some(leaving), coming) } else { (coming, Some(leaving)) };
                after.crowded += crowding(host, arrives, leaves);
            }
            change += after.score() - before.score();
        }
        change
    }
}

/// How the number of crowded guests of a host changes.
fn crowding(host: &SpreadHost, arrives: Option<&SpreadGuest>, leaves: Option<&SpreadGuest>) -> f64 {
    let gone = leaves.map_or(&[][..], |guest| &guest.tags);
    let come = arrives.map_or(&[][..], |guest| &guest.tags);
    let mut change = 0;
    for tag in gone {
        change -= i32::from(host.has_tag(*tag) > 1);
    }
    for tag in come {
        let left = host.has_tag(*tag) - u32::from(gone.contains(tag));
        change += i32::from(left > 0);
    }
    f64::from(change)
}

fn vcpus_fit(host: &SpreadHost, more: i64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "vCPUs are far below 2^52")]
    let after = (host.vcpus + more) as f64;
    more <= 0 || host.vcpus_limit.is_none_or(|limit| after <= limit)
}

/// What one host loses and the other gains.
struct Net {
    guests: f64,
    memory_now: i64,
    numbers: [f64; 6],
}

impl Net {
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "sizes in MiB are far below 2^52")]
    fn of(leaving: &SpreadGuest, coming: Option<&SpreadGuest>) -> Net {
        let numbers = |guest: &SpreadGuest| {
            [
                guest.memory_now as f64,
                guest.memory as f64,
                guest.disk as f64,
                guest.vcpus as f64,
                guest.spindles,
                guest.load,
            ]
        };
        let mut net = Net { guests: 1.0, memory_now: leaving.memory_now, numbers: numbers(leaving) };
        if let Some(coming) = coming {
            net.guests = 0.0;
            net.memory_now -= coming.memory_now;
            for (own, other) in net.numbers.iter_mut().zip(numbers(coming)) {
                *own -= other;
            }
        }
        net
    }

    /// The change of a host's values when it gains this.
    #[inline]
    fn shares(&self, one: &Shares) -> [f64; DEVIATIONS] {
        let [now, memory, disk, vcpus, spindles, load] = self.numbers;
        [
            -now * one.memory,
            -memory * one.memory,
            -disk * one.disk,
            vcpus * one.vcpus,
            spindles * one.spindles,
            0.0,
            load * one.load,
            load * one.load,
        ]
    }
}
