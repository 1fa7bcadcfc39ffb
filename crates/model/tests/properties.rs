//! What holds for any name, size, address, subnet, set of facts and row of operations.
#![allow(clippy::unwrap_used, missing_docs)]

use honcho_model::guest::{Condition, Fact, Facts, GuestStatus, RULES, status};
use honcho_model::host::{HostStatus, SILENT_AFTER};
use honcho_model::operation::OperationKind;
use honcho_model::{AddressRange, Bytes, Digest, InterfaceId, Mac, Name, Timestamp, range, subnet};
use proptest::prelude::*;
use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::time::Duration;

fn facts(holding: &[bool]) -> Facts {
    Fact::ALL.into_iter().zip(holding).fold(Facts::default(), |facts, (fact, holds)| facts.with(fact, *holds))
}

proptest! {
    #[test]
    fn a_name_is_exactly_a_dns_label(text in "\\PC{0,70}|[a-z0-9-]{0,70}") {
        let is_label = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-') && !text.ends_with('-');
        prop_assert_eq!(Name::new(&text).is_ok(), is_label);
        prop_assert_eq!(text.parse::<Name>().ok().map(String::from), is_label.then_some(text));
    }

    #[test]
    fn a_size_that_was_typed_is_shown_so_that_it_can_be_typed(n in 0..1_u64 << 20, unit in 0..5_usize) {
        let text = format!("{n}{}", ["", "K", "M", "G", "T"][unit]);
        let size: Bytes = text.parse().unwrap();
        prop_assert_eq!(size.0, n << (10 * unit));
        let shown = size.to_string();
        // One that no unit divides is shown with a fraction, for people, and never larger than it is.
        match shown.parse::<Bytes>() {
            Ok(again) => prop_assert_eq!(again, size),
            Err(_) => prop_assert!(shown.contains('.'), "{}", shown),
        }
    }

    #[test]
    fn no_text_is_a_size_by_accident(text in "\\PC{0,12}") {
        if let Ok(size) = text.parse::<Bytes>() {
            prop_assert!(text.starts_with(|c: char| c.is_ascii_digit()), "{} is {}", text, size);
        }
    }

    #[test]
    fn macs_of_interfaces_differ_and_are_locally_administered(a in 1..1_i64 << 40, b in 1..1_i64 << 40) {
        let mac = Mac::of_interface(InterfaceId(a));
        prop_assert_eq!(mac == Mac::of_interface(InterfaceId(b)), a == b);
        prop_assert_eq!(mac.0[0] & 0b11, 0b10, "locally administered, unicast");
        prop_assert_eq!(mac.to_string().parse(), Ok(mac));
    }

    #[test]
    fn a_digest_reads_back(bytes in any::<[u8; 32]>(), at in 0..64_usize, wrong in "[^0-9a-f]") {
        let digest = Digest(bytes);
        let mut text = digest.to_string();
        prop_assert_eq!(text.parse(), Ok(digest));
        text.replace_range(at..=at, &wrong);
        prop_assert!(text.parse::<Digest>().is_err());
    }

    #[test]
    fn a_subnets_addresses_are_its_own_and_nobody_elses(base in any::<u32>(), prefix in 16..=29_u8) {
        let net = ipnet::Ipv4Net::new(base.into(), prefix).unwrap().trunc();
        prop_assert_eq!(subnet::parse(&net.to_string()), Ok(net));
        let all: Vec<_> = subnet::guest_addresses(net, subnet::gateway(net)).collect();
        prop_assert_eq!(all.len(), (1 << (32 - u32::from(prefix))) - 3);
        prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(all.iter().all(|address| net.contains(address)));
        for taken in [net.network(), subnet::gateway(net), net.broadcast()] {
            prop_assert!(net.contains(&taken) && !all.contains(&taken));
        }
    }

    /// Walking a subnet by `next6` meets every address once, ascending, but the gateway and what is reserved.
    #[test]
    fn an_ipv6_subnet_is_given_out_from_its_beginning_to_its_end(
        base in any::<u128>(), prefix in 116..=120_u8, gateway in 1..256_u128, reserved in proptest::collection::vec((0..256_u128, 0..40_u128), 0..5),
    ) {
        let net = ipnet::Ipv6Net::new((base | 1 << 125).into(), prefix).unwrap().trunc();
        let at = |offset: u128| Ipv6Addr::from(u128::from(net.network()) + offset);
        let ranges: Vec<AddressRange> = reserved.iter()
            .map(|(first, length)| AddressRange::new(at(*first).into(), at(first + length).into()).unwrap()).collect();
        let (mut after, mut given) = (None, Vec::new());
        while let Some(next) = subnet::next6(net, at(gateway), &ranges, after) {
            given.push(next);
            after = Some(next);
        }
        let expected: Vec<Ipv6Addr> = (1..1 << (128 - u32::from(prefix))).map(at)
            .filter(|address| *address != at(gateway) && range::holding(&ranges, (*address).into()).is_none()).collect();
        prop_assert_eq!(given, expected);
    }

    #[test]
    fn the_first_rule_that_holds_gives_the_status(holding in proptest::collection::vec(any::<bool>(), Fact::ALL.len())) {
        let facts = facts(&holding);
        let holds = |condition: &Condition| match *condition {
            Condition::Is(fact) => facts.holds(fact),
            Condition::Not(fact) => !facts.holds(fact),
        };
        let given = status(&facts);
        let position = RULES.iter().position(|(conditions, _)| conditions.iter().all(holds)).unwrap();
        prop_assert_eq!(RULES[position].1, given);
        // What people rely on, whatever else is so.
        if given == GuestStatus::Running {
            prop_assert!(facts.holds(Fact::SeenRunning) && facts.holds(Fact::WantedRunning));
            prop_assert!(!facts.holds(Fact::HostSilent) && !facts.holds(Fact::Cancelled));
        }
        if given == GuestStatus::Stopped {
            prop_assert!(!facts.holds(Fact::SeenRunning) && !facts.holds(Fact::WantedRunning));
        }
        if facts.holds(Fact::Deleted) {
            prop_assert_eq!(given, GuestStatus::Deleted);
        }
    }

    #[test]
    fn a_host_is_silent_by_time_alone(heard in any::<i32>(), later in 0..1_000_u64) {
        let heard = Timestamp(i64::from(heard));
        let now = heard.plus(Duration::from_secs(later));
        let expected = if Duration::from_secs(later) <= SILENT_AFTER { HostStatus::Up } else { HostStatus::Silent };
        prop_assert_eq!(HostStatus::of(true, false, Some(heard), now), expected);
        prop_assert_eq!(HostStatus::of(true, true, Some(heard), now), HostStatus::Frozen);
        prop_assert_eq!(HostStatus::of(false, false, None, now), HostStatus::Waiting);
        // A clock that was set back makes nobody silent.
        prop_assert_eq!(HostStatus::of(true, false, Some(now.plus(SILENT_AFTER * 9)), now), HostStatus::Up);
    }

    #[test]
    fn times_saturate(at in any::<i64>(), seconds in any::<u64>()) {
        let later = Timestamp(at).plus(Duration::from_secs(seconds));
        prop_assert!(later >= Timestamp(at));
        prop_assert_eq!(Timestamp(at).since(later), Duration::ZERO);
    }

    /// However wishes follow each other, the newest about whether it exists or runs is never ended by an older one, and
    /// what is left open can be fulfilled together.
    #[test]
    fn what_is_left_open_is_no_contradiction(wishes in proptest::collection::vec(0..OperationKind::ALL.len(), 1..12)) {
        let mut open: Vec<OperationKind> = Vec::new();
        for wish in wishes {
            let wish = OperationKind::ALL[wish];
            open.retain(|earlier| !wish.supersedes(*earlier));
            open.push(wish);
            prop_assert_eq!(open.last(), Some(&wish));
            let last_stop = open.iter().rposition(|kind| *kind == OperationKind::Stop);
            let last_start = open.iter().rposition(|kind| *kind == OperationKind::Start);
            prop_assert!(last_stop.is_none() || last_start.is_none(), "{:?}", open);
            // A cancelled guest's disk goes on to where it is to be.
            let goes_on = |kind: &OperationKind| wish == OperationKind::Cancel && *kind == OperationKind::Move;
            if matches!(wish, OperationKind::Cancel | OperationKind::Delete) {
                prop_assert_eq!(open.iter().filter(|kind| !goes_on(kind)).count(), 1, "{:?}", open);
            }
        }
    }
}

#[test]
fn every_word_is_its_own_and_reads_back() {
    let words: HashSet<_> = OperationKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(words.len(), OperationKind::ALL.len());
    for kind in OperationKind::ALL {
        assert_eq!(OperationKind::parse(kind.as_str()), Some(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    for status in GuestStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
    }
}
