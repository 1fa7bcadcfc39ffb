//! Accounts, hosts, pools, networks, addresses, images, guests, operations, events.
//!
//! Desired facts are in the tables named by nouns, observed ones in `*_observed`, and derived ones nowhere. Times are
//! microseconds since 1970 in UTC. Uniqueness that an invariant rests on is an index here, not a check elsewhere.

use super::schema::{id, index, references, table, unique};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, pk_auto, string, string_null, text_null, uuid,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

fn owners() -> Vec<TableCreateStatement> {
    vec![
        // One row: who this brain is.
        table("brain").col(pk_auto("id")).col(uuid("uuid")).col(big_integer("incarnation")).to_owned(),
        table("accounts")
            .col(id())
            .col(uuid("uuid"))
            .col(string("name"))
            .col(string_null("reference"))
            .col(big_integer("grace_seconds"))
            .col(big_integer("created_at"))
            .col(big_integer_null("deleted_at"))
            .col(big_integer("lock_version"))
            .to_owned(),
        table("tokens")
            .col(id())
            .col(string("name"))
            .col(string("scope"))
            .col(big_integer_null("account_id"))
            .col(string("secret_hash"))
            .col(big_integer("created_at"))
            .col(big_integer_null("expires_at"))
            .col(big_integer_null("deleted_at"))
            .foreign_key(&mut references("account_id", "accounts"))
            .to_owned(),
    ]
}

fn machines() -> Vec<TableCreateStatement> {
    vec![
        table("hosts")
            .col(id())
            .col(uuid("uuid"))
            .col(string("name"))
            .col(big_integer("generation"))
            .col(string_null("join_hash"))
            .col(big_integer_null("join_expires_at"))
            .col(string_null("certificate"))
            .col(string_null("certificate_next"))
            .col(string_null("dmi_uuid"))
            .col(string_null("machine_id"))
            .col(big_integer_null("frozen_at"))
            .col(string_null("frozen_reason"))
            .col(big_integer("created_at"))
            .col(big_integer_null("joined_at"))
            .col(big_integer_null("deleted_at"))
            .col(big_integer("lock_version"))
            .to_owned(),
        table("host_observed")
            .col(ColumnDef::new("host_id").big_integer().not_null().primary_key())
            .col(big_integer("last_seen_at"))
            .col(boolean("silent_noted"))
            .col(string_null("boot_id"))
            .col(string_null("run_id"))
            .col(big_integer("sequence"))
            .col(big_integer("manifest_generation"))
            .col(string_null("digest"))
            .col(text_null("machine"))
            .col(text_null("orphans"))
            .col(text_null("refused"))
            .foreign_key(&mut references("host_id", "hosts"))
            .to_owned(),
        table("pools")
            .col(id())
            .col(uuid("uuid"))
            .col(big_integer("host_id"))
            .col(string("name"))
            .col(string("kind"))
            .col(string("path"))
            .col(big_integer("generation"))
            .col(boolean("existing"))
            .col(big_integer("created_at"))
            .col(big_integer_null("deleted_at"))
            .foreign_key(&mut references("host_id", "hosts"))
            .to_owned(),
        table("pool_observed")
            .col(ColumnDef::new("pool_id").big_integer().not_null().primary_key())
            .col(string("state"))
            .col(text_null("problem"))
            .col(big_integer("size"))
            .col(big_integer("free"))
            .col(boolean("reflink"))
            .foreign_key(&mut references("pool_id", "pools"))
            .to_owned(),
    ]
}

fn networks() -> Vec<TableCreateStatement> {
    vec![
        table("networks")
            .col(id())
            .col(uuid("uuid"))
            .col(big_integer_null("account_id"))
            .col(string("name"))
            .col(string_null("reference"))
            .col(string("kind"))
            .col(string("subnet"))
            .col(big_integer("generation"))
            .col(big_integer("created_at"))
            .col(big_integer_null("deleted_at"))
            .col(big_integer("lock_version"))
            .foreign_key(&mut references("account_id", "accounts"))
            .to_owned(),
        // Where a network stands: wanted while a guest there uses it, absent until the agent reported it gone.
        table("network_placements")
            .col(id())
            .col(big_integer("network_id"))
            .col(big_integer("host_id"))
            .col(big_integer("generation"))
            .col(boolean("absent"))
            .foreign_key(&mut references("network_id", "networks"))
            .foreign_key(&mut references("host_id", "hosts"))
            .to_owned(),
        // Every address a guest can have is a row from the start, so that it has one holder by construction.
        table("addresses")
            .col(id())
            .col(big_integer("network_id"))
            .col(ColumnDef::new("address").binary_len(16).not_null())
            .col(big_integer_null("interface_id"))
            .col(big_integer("freed_at"))
            .foreign_key(&mut references("network_id", "networks"))
            .to_owned(),
    ]
}

fn guests() -> Vec<TableCreateStatement> {
    vec![
        table("images")
            .col(id())
            .col(uuid("uuid"))
            .col(big_integer_null("account_id"))
            .col(string("name"))
            .col(string("digest"))
            .col(big_integer("compressed"))
            .col(big_integer("unpacked"))
            .col(text_null("packages"))
            .col(big_integer("packages_count"))
            .col(text_null("recipe"))
            .col(big_integer("created_at"))
            .col(big_integer_null("deleted_at"))
            .col(big_integer("lock_version"))
            .foreign_key(&mut references("account_id", "accounts"))
            .to_owned(),
        table("guests")
            .col(id())
            .col(uuid("uuid"))
            .col(big_integer("account_id"))
            .col(string("name"))
            .col(string_null("reference"))
            .col(big_integer("image_id"))
            .col(big_integer_null("host_id"))
            .col(string("power"))
            .col(boolean("start_alone"))
            .col(big_integer("boots_wanted"))
            .col(boolean("boot_hard"))
            .col(boolean("stop_hard"))
            .col(integer("vcpus"))
            .col(big_integer("memory"))
            .col(text_null("ssh_keys"))
            .col(big_integer("epoch"))
            .col(big_integer("generation"))
            .col(big_integer("lock_version"))
            .col(big_integer("created_at"))
            .col(big_integer_null("cancelled_at"))
            .col(big_integer_null("deletes_at"))
            .col(big_integer_null("deleting_at"))
            .col(big_integer_null("deleted_at"))
            .foreign_key(&mut references("account_id", "accounts"))
            .foreign_key(&mut references("image_id", "images"))
            .foreign_key(&mut references("host_id", "hosts"))
            .to_owned(),
        table("volumes")
            .col(id())
            .col(uuid("uuid"))
            .col(big_integer("guest_id"))
            .col(big_integer("pool_id"))
            .col(big_integer("size"))
            .col(boolean("existing"))
            .foreign_key(&mut references("guest_id", "guests"))
            .foreign_key(&mut references("pool_id", "pools"))
            .to_owned(),
        table("interfaces")
            .col(id())
            .col(big_integer("guest_id"))
            .col(big_integer("network_id"))
            .foreign_key(&mut references("guest_id", "guests"))
            .foreign_key(&mut references("network_id", "networks"))
            .to_owned(),
        table("guest_observed")
            .col(ColumnDef::new("guest_id").big_integer().not_null().primary_key())
            .col(big_integer("epoch"))
            .col(big_integer("generation"))
            .col(boolean("settled"))
            .col(string("power"))
            .col(big_integer_null("boots_done"))
            .col(string("volume_state"))
            .col(string_null("ssh_host_key"))
            .col(text_null("progress"))
            .col(text_null("failure"))
            .col(big_integer("unexpected_stops"))
            .foreign_key(&mut references("guest_id", "guests"))
            .to_owned(),
    ]
}

fn history() -> Vec<TableCreateStatement> {
    vec![
        table("operations")
            .col(id())
            .col(big_integer_null("account_id"))
            .col(string("kind"))
            .col(string("state"))
            .col(big_integer("guest_id"))
            .col(big_integer("generation"))
            .col(text_null("outcome"))
            .col(big_integer_null("superseded_by"))
            .col(big_integer("created_at"))
            .col(big_integer_null("ended_at"))
            .foreign_key(&mut references("guest_id", "guests"))
            .to_owned(),
        table("events")
            .col(id())
            .col(big_integer_null("account_id"))
            .col(string("kind"))
            .col(string("severity"))
            .col(string("resource"))
            .col(big_integer("resource_id"))
            .col(string("resource_name"))
            .col(string("actor"))
            .col(string_null("source"))
            .col(text_null("message"))
            .col(text_null("before"))
            .col(text_null("after"))
            .col(big_integer("created_at"))
            .to_owned(),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    let living = Some("deleted_at");
    vec![
        unique("accounts_name", "accounts", &["name"], living),
        unique("accounts_reference", "accounts", &["reference"], living),
        unique("tokens_secret_hash", "tokens", &["secret_hash"], None),
        unique("hosts_name", "hosts", &["name"], living),
        unique("hosts_certificate", "hosts", &["certificate"], None),
        unique("pools_host_name", "pools", &["host_id", "name"], living),
        unique("pools_host_path", "pools", &["host_id", "path"], living),
        unique("network_placements_pair", "network_placements", &["network_id", "host_id"], None),
        index("network_placements_host", "network_placements", &["host_id"]),
        unique("addresses_address", "addresses", &["network_id", "address"], None),
        unique("addresses_interface", "addresses", &["interface_id"], None),
        index("addresses_free", "addresses", &["network_id", "interface_id", "freed_at", "address"]),
        unique("guests_name", "guests", &["account_id", "name"], living),
        unique("guests_reference", "guests", &["account_id", "reference"], None),
        index("guests_host", "guests", &["host_id"]),
        index("volumes_guest", "volumes", &["guest_id"]),
        index("volumes_pool", "volumes", &["pool_id"]),
        index("interfaces_guest", "interfaces", &["guest_id"]),
        index("operations_guest", "operations", &["guest_id", "state"]),
        index("operations_state", "operations", &["state"]),
        index("events_resource", "events", &["resource", "resource_id"]),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [owners(), machines(), networks(), guests(), history()].concat() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        // Unique within their account, and among those that are everybody's: NULLs alone would all be distinct.
        for (table, column) in [("networks", "name"), ("networks", "reference"), ("images", "name")] {
            let sql = format!(
                "CREATE UNIQUE INDEX {table}_{column} ON {table} (COALESCE(account_id, 0), {column}) \
                 WHERE deleted_at IS NULL"
            );
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
