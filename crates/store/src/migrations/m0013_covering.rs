//! Indexes that hold all that a list of guests needs of its cards and volumes, so that those rows are not looked up besides.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    "DROP INDEX interfaces_guest",
    "CREATE INDEX interfaces_guest ON interfaces (guest_id, id, network_id)",
    "DROP INDEX volumes_guest",
    "CREATE INDEX volumes_guest ON volumes (guest_id, pool_id, size, existing)",
    "CREATE INDEX addresses_of_interface ON addresses (interface_id, address) WHERE interface_id IS NOT NULL",
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
