//! The machine room: sites, racks, what hosts are and where they stand, and SANs.

use super::schema::{id, index, references, table, unique};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string, string_null, uuid};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

fn tables() -> Vec<TableCreateStatement> {
    vec![
        table("sites")
            .col(id())
            .col(uuid("uuid"))
            .col(string("name"))
            .col(string_null("location"))
            .col(big_integer("created_at"))
            .col(big_integer_null("deleted_at"))
            .col(big_integer("lock_version"))
            .to_owned(),
        table("racks")
            .col(id())
            .col(uuid("uuid"))
            .col(big_integer("site_id"))
            .col(string("name"))
            .col(big_integer("height_units"))
            .col(big_integer("created_at"))
            .col(big_integer_null("deleted_at"))
            .col(big_integer("lock_version"))
            .foreign_key(&mut references("site_id", "sites"))
            .to_owned(),
        // One row for each side of each unit that a host fills: two hosts in one place cannot be written down.
        table("rack_units")
            .col(id())
            .col(big_integer("rack_id"))
            .col(big_integer("unit"))
            .col(string("side"))
            .col(big_integer("host_id"))
            .foreign_key(&mut references("rack_id", "racks"))
            .foreign_key(&mut references("host_id", "hosts"))
            .to_owned(),
        // Network cards of hosts, as long as the host lives.
        table("host_nics")
            .col(id())
            .col(big_integer("host_id"))
            .col(string("name"))
            .col(string("mac"))
            .foreign_key(&mut references("host_id", "hosts"))
            .to_owned(),
        // Storage that several hosts reach. No agent drives one yet, so none is in a manifest or chosen by placement;
        // hence a table beside `pools`, where every row is some host's.
        table("sans")
            .col(id())
            .col(uuid("uuid"))
            .col(string("name"))
            .col(string_null("vendor"))
            .col(string_null("model"))
            .col(string_null("serial"))
            .col(string("target"))
            .col(big_integer_null("size"))
            .col(big_integer("created_at"))
            .col(big_integer_null("deleted_at"))
            .col(big_integer("lock_version"))
            .to_owned(),
        table("san_hosts")
            .col(id())
            .col(big_integer("san_id"))
            .col(big_integer("host_id"))
            .foreign_key(&mut references("san_id", "sans"))
            .foreign_key(&mut references("host_id", "hosts"))
            .to_owned(),
    ]
}

const COLUMNS: &[&str] = &[
    "ALTER TABLE hosts ADD COLUMN site_id BIGINT REFERENCES sites (id)",
    "ALTER TABLE hosts ADD COLUMN rack_id BIGINT REFERENCES racks (id)",
    "ALTER TABLE hosts ADD COLUMN position BIGINT",
    "ALTER TABLE hosts ADD COLUMN height_units BIGINT NOT NULL DEFAULT 1",
    "ALTER TABLE hosts ADD COLUMN face TEXT",
    "ALTER TABLE hosts ADD COLUMN vendor TEXT",
    "ALTER TABLE hosts ADD COLUMN model TEXT",
    "ALTER TABLE hosts ADD COLUMN serial TEXT",
    "ALTER TABLE hosts ADD COLUMN cores BIGINT",
    "ALTER TABLE hosts ADD COLUMN memory_bought BIGINT",
    "ALTER TABLE hosts ADD COLUMN bmc_address TEXT",
    // Words with spaces between them. Every host there was ran guests.
    "ALTER TABLE hosts ADD COLUMN duties TEXT NOT NULL DEFAULT 'hypervisor'",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for column in COLUMNS {
            manager.get_connection().execute_unprepared(column).await?;
        }
        let living = Some("deleted_at");
        for index in [
            unique("sites_name", "sites", &["name"], living),
            unique("racks_name", "racks", &["site_id", "name"], living),
            unique("rack_units_place", "rack_units", &["rack_id", "unit", "side"], None),
            index("rack_units_host", "rack_units", &["host_id"]),
            unique("host_nics_mac", "host_nics", &["mac"], None),
            unique("host_nics_name", "host_nics", &["host_id", "name"], None),
            unique("sans_name", "sans", &["name"], living),
            unique("san_hosts_pair", "san_hosts", &["san_id", "host_id"], None),
            index("san_hosts_host", "san_hosts", &["host_id"]),
            index("hosts_rack", "hosts", &["rack_id"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
