//! What placing looks at besides sizes: guests that belong together, hosts that are being emptied; and why each guest is
//! where it is.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // Words within an account: guests of the same cluster and role are kept apart.
    "ALTER TABLE guests ADD COLUMN cluster TEXT",
    "ALTER TABLE guests ADD COLUMN role TEXT",
    // Since when a host is being emptied.
    "ALTER TABLE hosts ADD COLUMN draining_since BIGINT",
    // The decision by which a guest came where it is, as the API shows it.
    "CREATE TABLE guest_placements (guest_id BIGINT NOT NULL PRIMARY KEY REFERENCES guests (id), decision TEXT NOT NULL)",
    // What is promised of every host and of every pool is added up for each order.
    "CREATE INDEX guests_claiming ON guests (host_id, memory, vcpus) \
     WHERE cancelled_at IS NULL AND deleting_at IS NULL AND memory_claimed",
    "DROP INDEX volumes_pool",
    "CREATE INDEX volumes_pool ON volumes (pool_id, size, growing_to)",
    "CREATE INDEX guests_apart ON guests (account_id, cluster, role, host_id) WHERE role IS NOT NULL",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
