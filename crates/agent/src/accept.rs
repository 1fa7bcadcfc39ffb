//! Whether a manifest may be acted on. One that is not fully understood is refused as a whole.

use honcho_model::{Generation, HostId, Incarnation};
use honcho_wire::{Manifest, NetworkKind, NetworkWanted, PROTOCOL};
use std::collections::BTreeSet;
use std::net::IpAddr;
use uuid::Uuid;

/// Who the agent is, and what it acts on.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The brain that it joined.
    pub brain: Uuid,
    /// The host that it is.
    pub host: HostId,
    /// What it acts on, if anything yet.
    pub acting_on: Option<(Incarnation, Generation)>,
}

/// The version in a manifest, read without understanding the rest: even of a refused one the agent must be able to
/// say that it has seen it, or it would be given it again and again.
pub fn version(raw: &serde_json::Value) -> Option<(Incarnation, Generation)> {
    let number = |field: &str| raw.get(field).and_then(serde_json::Value::as_i64);
    Some((Incarnation(number("incarnation")?), Generation(number("generation")?)))
}

/// Reads a manifest, or says why it cannot be acted on.
pub fn accept(raw: serde_json::Value, standing: &Standing) -> Result<Manifest, String> {
    let protocol = raw.get("protocol").and_then(serde_json::Value::as_u64);
    if protocol != Some(u64::from(PROTOCOL)) {
        let spoken = protocol.map_or_else(|| "none".to_owned(), |number| number.to_string());
        return Err(format!(
            "agent too old or too new: the manifest is of protocol {spoken}, and this agent ({}) speaks {PROTOCOL}: \
             install the honcho-agent that belongs to the brain",
            env!("CARGO_PKG_VERSION")
        ));
    }
    let manifest: Manifest = serde_json::from_value(raw).map_err(|error| {
        format!(
            "agent too old: the manifest holds what this agent ({}) does not understand ({error}): install the \
             honcho-agent that belongs to the brain",
            env!("CARGO_PKG_VERSION")
        )
    })?;
    if manifest.brain != standing.brain || manifest.host != standing.host {
        return Err(format!(
            "the manifest is of brain {} for host {}, and this is host {} of brain {}: `honcho-agent join` it anew, \
             or point it at its own brain",
            manifest.brain, manifest.host, standing.host, standing.brain
        ));
    }
    if let Some((incarnation, generation)) = standing.acting_on
        && (manifest.incarnation, manifest.generation) < (incarnation, generation)
    {
        return Err(format!(
            "the manifest is older (incarnation {}, generation {}) than what this host acts on ({incarnation}, \
             {generation}): was the brain restored from a backup without a new incarnation?",
            manifest.incarnation, manifest.generation
        ));
    }
    unambiguous(&manifest)?;
    manifest.networks.iter().try_for_each(meaningful)?;
    Ok(manifest)
}

/// A network has a subnet, and the prefixes of subnets are no longer than addresses.
fn meaningful(network: &NetworkWanted) -> Result<(), String> {
    let NetworkKind::Local { ipv4, ipv6 } = network.kind;
    let defect = |what: &str| {
        Err(format!(
            "network {} in the manifest {what}: this is a defect of the brain, report it",
            network.id
        ))
    };
    if ipv4.is_none() && ipv6.is_none() {
        return defect("has neither an IPv4 nor an IPv6 subnet");
    }
    if ipv4.is_some_and(|subnet| subnet.prefix > 32) || ipv6.is_some_and(|subnet| subnet.prefix > 128) {
        return defect("has a prefix that is longer than an address");
    }
    Ok(())
}

/// The host's own addresses in a network.
fn gateways(network: &NetworkWanted) -> impl Iterator<Item = IpAddr> {
    let NetworkKind::Local { ipv4, ipv6 } = network.kind;
    let ipv4 = ipv4.map(|subnet| IpAddr::from(subnet.gateway));
    ipv4.into_iter().chain(ipv6.map(|subnet| IpAddr::from(subnet.gateway)))
}

/// Nothing may be wanted twice, and no address twice in one network.
fn unambiguous(manifest: &Manifest) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let pools = manifest.pools.iter().flat_map(|p| [format!("pool {}", p.id), format!("uuid {}", p.uuid)]);
    let networks =
        manifest.networks.iter().flat_map(|n| [format!("network {}", n.id), format!("uuid {}", n.uuid)]);
    let guests = manifest.guests.iter().flat_map(|g| {
        let own = [
            format!("guest {}", g.id),
            format!("uuid {}", g.uuid),
            format!("volume {}", g.root.id),
            format!("uuid {}", g.root.uuid),
        ];
        own.into_iter().chain(g.interfaces.iter().map(|i| format!("interface {}", i.id)))
    });
    let in_network = |address: IpAddr, network| format!("address {address} in network {network}");
    let of_hosts = manifest.networks.iter().flat_map(|n| gateways(n).map(|a| in_network(a, n.id)));
    let interfaces = manifest.guests.iter().flat_map(|g| &g.interfaces);
    let of_guests = interfaces.flat_map(|i| i.addresses.iter().map(|a| in_network(a.address, i.network)));
    let addresses = of_hosts.chain(of_guests);
    match pools.chain(networks).chain(guests).chain(addresses).find(|name| !seen.insert(name.clone())) {
        Some(twice) => {
            Err(format!("the manifest lists {twice} twice: this is a defect of the brain, report it"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::needless_pass_by_value, clippy::duration_suboptimal_units)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    fn manifest() -> Value {
        json!({
            "protocol": 1, "brain": Uuid::from_u128(1), "incarnation": 2, "generation": 7, "host": 3, "frozen": null,
            "pools": [], "networks": [], "guests": [], "arrivals": [], "absent": [],
        })
    }

    fn check(change: impl FnOnce(&mut Value), expected: Expect) {
        let mut raw = manifest();
        change(&mut raw);
        let acting_on = Some((Incarnation(2), Generation(6)));
        let standing = Standing { brain: Uuid::from_u128(1), host: HostId(3), acting_on };
        expected.assert_eq(&accept(raw, &standing).map_or_else(|refusal| refusal, |_| "accepted".to_owned()));
    }

    #[test]
    fn what_is_not_fully_understood_or_not_meant_for_us_is_refused() {
        check(|_| {}, expect!["accepted"]);
        check(|raw| raw["generation"] = json!(6), expect!["accepted"]);
        check(
            |raw| raw["generation"] = json!(5),
            expect![
                "the manifest is older (incarnation 2, generation 5) than what this host acts on (2, 6): was the brain restored from a backup without a new incarnation?"
            ],
        );
        check(
            |raw| raw["incarnation"] = json!(1),
            expect![
                "the manifest is older (incarnation 1, generation 7) than what this host acts on (2, 6): was the brain restored from a backup without a new incarnation?"
            ],
        );
        check(|raw| (raw["incarnation"], raw["generation"]) = (json!(3), json!(1)), expect!["accepted"]);
        check(
            |raw| raw["protocol"] = json!(2),
            expect![
                "agent too old or too new: the manifest is of protocol 2, and this agent (0.1.0) speaks 1: install the honcho-agent that belongs to the brain"
            ],
        );
        check(
            |raw| raw["protocol"] = json!("1"),
            expect![
                "agent too old or too new: the manifest is of protocol none, and this agent (0.1.0) speaks 1: install the honcho-agent that belongs to the brain"
            ],
        );
        check(
            |raw| raw["snapshots"] = json!([]),
            expect![
                "agent too old: the manifest holds what this agent (0.1.0) does not understand (unknown field `snapshots`, expected one of `protocol`, `brain`, `incarnation`, `generation`, `host`, `frozen`, `unaccepted`, `pools`, `networks`, `guests`, `arrivals`, `absent`): install the honcho-agent that belongs to the brain"
            ],
        );
        check(
            |raw| drop(raw.as_object_mut().unwrap().remove("absent")),
            expect![
                "agent too old: the manifest holds what this agent (0.1.0) does not understand (missing field `absent`): install the honcho-agent that belongs to the brain"
            ],
        );
        check(
            |raw| raw["host"] = json!(4),
            expect![
                "the manifest is of brain 00000000-0000-0000-0000-000000000001 for host 4, and this is host 3 of brain 00000000-0000-0000-0000-000000000001: `honcho-agent join` it anew, or point it at its own brain"
            ],
        );
        let pool = json!({"id": 1, "uuid": Uuid::from_u128(9), "generation": 1, "existence": "make",
            "kind": {"type": "directory", "path": "/p"}});
        check(
            |raw| raw["pools"] = json!([pool, pool]),
            expect!["the manifest lists pool 1 twice: this is a defect of the brain, report it"],
        );
        assert_eq!(version(&manifest()), Some((Incarnation(2), Generation(7))));
        assert_eq!(version(&json!({"generation": 7})), None);
    }

    #[test]
    fn networks_without_a_subnet_and_addresses_listed_twice_are_refused() {
        let network = |ipv4: Value, ipv6: Value| {
            json!([{"id": 5, "uuid": Uuid::from_u128(8), "generation": 1,
                "kind": {"type": "local", "ipv4": ipv4, "ipv6": ipv6}}])
        };
        let ipv4 = json!({"gateway": "10.77.0.1", "prefix": 24});
        check(
            |raw| raw["networks"] = network(ipv4.clone(), json!({"gateway": "fd77::1", "prefix": 64})),
            expect!["accepted"],
        );
        check(
            |raw| raw["networks"] = network(json!(null), json!(null)),
            expect![
                "network 5 in the manifest has neither an IPv4 nor an IPv6 subnet: this is a defect of the brain, report it"
            ],
        );
        check(
            |raw| raw["networks"] = network(json!(null), json!({"gateway": "fd77::1", "prefix": 129})),
            expect![
                "network 5 in the manifest has a prefix that is longer than an address: this is a defect of the brain, report it"
            ],
        );
        let guest = |address: &str| {
            let card = |id: i64, address: &str| {
                json!({"id": id, "network": 5, "mac": "02:00:00:00:00:01",
                    "addresses": [{"address": address, "prefix": 24, "gateway": null}]})
            };
            json!([{"id": 1, "uuid": Uuid::from_u128(11), "name": "web1", "account": 1, "epoch": 1, "generation": 1,
                "power": "running", "start_alone": false, "boots_wanted": 1, "boots_waived": 0, "boot_mode": "soft", "stop_mode": "soft",
                "memory": 1, "vcpus": 1, "interfaces": [card(1, "10.77.0.2"), card(2, address)], "ssh_keys": [],
                "root": {"id": 1, "uuid": Uuid::from_u128(12), "pool": 1, "size": 1, "existence": "make", "given_up": false, "image":
                    {"digest": "ab".repeat(32), "compressed": 1, "unpacked": 1}}}])
        };
        check(|raw| raw["guests"] = guest("10.77.0.3"), expect!["accepted"]);
        check(
            |raw| raw["guests"] = guest("10.77.0.2"),
            expect![
                "the manifest lists address 10.77.0.2 in network 5 twice: this is a defect of the brain, report it"
            ],
        );
        check(
            |raw| {
                raw["networks"] = network(ipv4, json!(null));
                raw["guests"] = guest("10.77.0.1");
            },
            expect![
                "the manifest lists address 10.77.0.1 in network 5 twice: this is a defect of the brain, report it"
            ],
        );
    }
}
