//! When a move that waits for its turn may begin.
//!
//! The moves of a plan are legal in its order: one may need the room that an earlier one leaves. So a move waits for earlier
//! ones that are about one of its hosts, and no host is busy with more than a few at once: each reads or writes as fast as
//! disks and network go, beside the guests that are there.

use honcho_model::MoveId;
use honcho_store::guest_moves::{Pending, Phase};

/// So many moves are under way from a host and to it at once.
pub(crate) const MOVES_PER_HOST: usize = 2;

fn shares_a_host(one: &Pending, other: &Pending) -> bool {
    [other.from, other.to].into_iter().any(|host| host == one.from || host == one.to)
}

/// Whether a move's turn has come; `all` are those that have not ended, in their order.
pub(crate) fn may_begin(all: &[Pending], id: MoveId) -> bool {
    let Some(own) = all.iter().find(|pending| pending.id == id && pending.phase == Phase::Waiting) else {
        return false;
    };
    let earlier_waits =
        all.iter().any(|other| other.id < id && other.phase == Phase::Waiting && shares_a_host(own, other));
    let busy = |host| {
        let about =
            |other: &&Pending| other.phase == Phase::Begun && (other.from == host || other.to == host);
        all.iter().filter(about).count() >= MOVES_PER_HOST
    };
    !earlier_waits && !busy(own.from) && !busy(own.to)
}

/// Whether something earlier may still leave the room that a move does not find: it waits on then, and is refused if not.
pub(crate) fn may_get_room(all: &[Pending], id: MoveId) -> bool {
    let own = all.iter().find(|pending| pending.id == id);
    own.is_some_and(|own| all.iter().any(|other| other.id < id && shares_a_host(own, other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use honcho_model::HostId;

    fn all(moves: &[(i64, i64, Phase)]) -> Vec<Pending> {
        let pending = |(at, (from, to, phase)): (i64, &(i64, i64, Phase))| Pending {
            id: MoveId(at),
            from: HostId(*from),
            to: HostId(*to),
            phase: *phase,
        };
        (1..).zip(moves).map(pending).collect()
    }

    fn turns(moves: &[(i64, i64, Phase)]) -> Vec<i64> {
        let all = all(moves);
        all.iter().filter(|pending| may_begin(&all, pending.id)).map(|pending| pending.id.0).collect()
    }

    #[test]
    fn a_host_is_busy_with_a_few_at_once_and_others_go_on() {
        use Phase::{Begun, Leaving, Waiting};
        assert_eq!(turns(&[(1, 2, Waiting), (1, 3, Waiting), (4, 5, Waiting)]), [1, 3]);
        assert_eq!(turns(&[(1, 2, Begun), (1, 3, Waiting), (4, 1, Waiting)]), [2]);
        assert_eq!(turns(&[(1, 2, Begun), (3, 1, Begun), (4, 1, Waiting), (4, 5, Waiting)]), [] as [i64; 0]);
        assert_eq!(
            turns(&[(1, 2, Begun), (3, 1, Leaving), (4, 1, Waiting)]),
            [3],
            "a copy that goes costs nothing"
        );
    }

    #[test]
    fn room_may_come_of_what_is_earlier_and_about_the_same_hosts() {
        use Phase::{Leaving, Waiting};
        let all = all(&[(2, 3, Leaving), (1, 2, Waiting), (4, 5, Waiting)]);
        assert!(may_get_room(&all, MoveId(2)));
        assert!(!may_get_room(&all, MoveId(3)));
    }
}
