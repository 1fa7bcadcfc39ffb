//! Networks of every kind and both families; addresses that accounts hold, with and without a guest.
//!
//! An address is free while it has no account. `kept` is one that was allocated by itself, and so stays its account's when
//! the guest that has it goes.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    "ALTER TABLE networks ADD COLUMN vlan_id BIGINT",
    "ALTER TABLE networks ADD COLUMN vxlan_id BIGINT",
    "ALTER TABLE networks ADD COLUMN subnet6 TEXT",
    // NULL in a network from before is the first usable address.
    "ALTER TABLE networks ADD COLUMN gateway TEXT",
    "ALTER TABLE networks ADD COLUMN gateway6 TEXT",
    // Ranges with spaces between them.
    "ALTER TABLE networks ADD COLUMN reserved_ranges TEXT",
    // A network may be of IPv6 alone. SQLite takes no NOT NULL off a column, so another takes its place.
    "ALTER TABLE networks ADD COLUMN subnet4 TEXT",
    "UPDATE networks SET subnet4 = subnet",
    "ALTER TABLE networks DROP COLUMN subnet",
    "ALTER TABLE networks RENAME COLUMN subnet4 TO subnet",
    "CREATE UNIQUE INDEX networks_vlan ON networks (vlan_id) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX networks_vxlan ON networks (vxlan_id) WHERE deleted_at IS NULL",
    "ALTER TABLE addresses ADD COLUMN family BIGINT NOT NULL DEFAULT 4",
    "ALTER TABLE addresses ADD COLUMN account_id BIGINT REFERENCES accounts (id)",
    "ALTER TABLE addresses ADD COLUMN kept BOOLEAN NOT NULL DEFAULT FALSE",
    "ALTER TABLE addresses ADD COLUMN reserved BOOLEAN NOT NULL DEFAULT FALSE",
    "ALTER TABLE addresses ADD COLUMN allocated_at BIGINT",
    "ALTER TABLE addresses ADD COLUMN name TEXT",
    "ALTER TABLE addresses ADD COLUMN reverse_name TEXT",
    "ALTER TABLE addresses ADD COLUMN reference TEXT",
    "ALTER TABLE addresses ADD COLUMN lock_version BIGINT NOT NULL DEFAULT 1",
    "UPDATE addresses SET \
     account_id = (SELECT g.account_id FROM interfaces i JOIN guests g ON g.id = i.guest_id WHERE i.id = interface_id), \
     allocated_at = (SELECT g.created_at FROM interfaces i JOIN guests g ON g.id = i.guest_id WHERE i.id = interface_id) \
     WHERE interface_id IS NOT NULL",
    // A card has one address of each family.
    "DROP INDEX addresses_interface",
    "CREATE UNIQUE INDEX addresses_interface ON addresses (interface_id, family) WHERE interface_id IS NOT NULL",
    "CREATE UNIQUE INDEX addresses_reference ON addresses (account_id, reference) WHERE reference IS NOT NULL",
    // The next to be given out, without a look at those that are held.
    "DROP INDEX addresses_free",
    "CREATE INDEX addresses_free ON addresses (network_id, family, freed_at, address) \
     WHERE account_id IS NULL AND NOT reserved",
    "CREATE INDEX addresses_held ON addresses (network_id, family) WHERE account_id IS NOT NULL",
    "CREATE INDEX addresses_account ON addresses (account_id, id) WHERE account_id IS NOT NULL",
    // What the agent of a host says it can do, with spaces between; NULL until it has said so.
    "ALTER TABLE host_observed ADD COLUMN capabilities TEXT",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        // Where the search for an IPv6 address that never was used begins: behind this one.
        let mut last = ColumnDef::new("last6");
        last.binary_len(16);
        let mut table = Table::alter();
        table.table("networks").add_column(last);
        manager.alter_table(table).await
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
