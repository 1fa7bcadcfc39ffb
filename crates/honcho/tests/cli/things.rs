//! Things that a brain could hold, as the API gives them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// So many seconds ago, with some slack for a slow machine.
#[expect(clippy::disallowed_methods, reason = "the program counts from the real time")]
pub(crate) fn ago(seconds: i64) -> String {
    (Timestamp::now() - SignedDuration::from_secs(seconds)).to_string()
}

pub(crate) fn with(mut thing: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        thing[name] = value.clone();
    }
    thing
}

pub(crate) fn account() -> Value {
    json!({
        "id": 5, "uuid": "00000000-0000-4000-8000-000000000005", "name": "acme", "reference": null,
        "status": "active", "grace_seconds": 1_209_600, "limit_guests": null, "limit_vcpus": null,
        "limit_memory_bytes": null, "limit_disk_bytes": null, "limit_public_addresses": null, "limit_image_bytes": null, "sample_values": "redacted",
        "suspended_at": null, "suspended_reason": null, "created_at": ago(4 * 86400 + 60), "cancelled_at": null, "deletes_at": null,
        "deleted_at": null, "lock_version": 1,
    })
}

pub(crate) fn host() -> Value {
    json!({
        "id": 2, "uuid": "00000000-0000-4000-8000-000000000002", "name": "rack1-07", "status": "up",
        "status_reason": null, "cpus": 16, "memory_bytes": 68_719_476_736_i64, "memory_placed_bytes": 536_870_912,
        "guests_count": 1, "hypervisor": "libvirt 9.0.0, QEMU 10.0.2", "virtualization": "kvm", "agent_version": "0.1.0",
        "last_seen_at": ago(1), "generation": 12, "observed_generation": 12, "orphans": [],
        "site_id": null, "rack_id": null, "position": null, "height_units": 1, "face": null, "vendor": null,
        "model": null, "serial": null, "cores": null, "memory_bought_bytes": null, "bmc_address": null,
        "duties": ["hypervisor"], "nics": [], "draining_since": null,
        "created_at": ago(5 * 86400 + 60), "lock_version": 1, "join_token": null,
    })
}

pub(crate) fn image() -> Value {
    json!({
        "id": 3, "uuid": "00000000-0000-4000-8000-000000000003", "account_id": null, "name": "debian-12",
        "digest": "4f2c0d9be1aa4f2c0d9be1aa4f2c0d9be1aa4f2c0d9be1aa4f2c0d9be1aa4f2c",
        "compressed_bytes": 122_683_392, "unpacked_bytes": 378_535_936, "packages_count": 187,
        "created_at": ago(7260), "lock_version": 1,
    })
}

pub(crate) fn network() -> Value {
    json!({
        "id": 4, "uuid": "00000000-0000-4000-8000-000000000004", "account_id": null, "name": "office",
        "reference": null, "kind": "local", "subnet": "10.77.0.0/24", "gateway": "10.77.0.1",
        "addresses_count": 253, "addresses_free": 252, "created_at": ago(7260), "lock_version": 1,
    })
}

pub(crate) fn guest() -> Value {
    json!({
        "id": 7, "uuid": "00000000-0000-4000-8000-000000000007", "account_id": 5, "name": "web1", "reference": null,
        "status": "running", "status_reason": null, "power": "running", "start_alone": false, "host_id": 2,
        "moving_to_host_id": null, "image_id": 3, "cluster": null, "role": null, "cpu_features": [], "vcpus": 1, "memory_bytes": 536_870_912, "disk_bytes": 3_221_225_472_i64,
        "interfaces": [{"id": 1, "network_id": 4, "mac": "02:00:00:00:00:01", "address": "10.77.0.2", "address6": null}],
        "address": "10.77.0.2",
        "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEexampleexampleexampleexampleexampleexample1 ann@desk"],
        "ssh_host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHosthosthosthosthosthosthosthosthosthosthost",
        "epoch": 1, "generation": 2, "observed_generation": 2, "boots_wanted": 1, "unexpected_stops": 0,
        "operation_id": 12, "lock_version": 1, "created_at": ago(190), "cancelled_at": null, "deletes_at": null,
        "deleted_at": null,
    })
}

/// Operation 12: web1 is made.
pub(crate) fn operation(changes: &Value) -> Value {
    let operation = json!({
        "id": 12, "account_id": 5, "kind": "create", "state": "open", "guest_id": 7, "guest_name": "web1",
        "generation": 2, "step": null, "percent": null, "problem": null, "outcome": null, "superseded_by": null,
        "created_at": "2026-11-22T12:00:00Z", "ended_at": null,
    });
    with(operation, changes)
}

/// The same, done.
pub(crate) fn done() -> Value {
    done_as("create")
}

/// An operation of this kind, done.
pub(crate) fn done_as(kind: &str) -> Value {
    operation(&json!({"kind": kind, "state": "done", "ended_at": "2026-11-22T12:00:20Z"}))
}

pub(crate) fn event(id: i64, message: &str) -> Value {
    json!({
        "id": id, "cursor": format!("1.0.{id}"), "account_id": 5, "kind": "guest.create", "severity": "info", "resource": "guest", "resource_id": 7,
        "resource_name": "web1", "actor": "token:1 (operator)", "source": "127.0.0.1", "message": message,
        "before": null, "after": null, "created_at": ago(190),
    })
}
