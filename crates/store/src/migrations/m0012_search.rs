//! Indexes for the search: narrow ones to be read through for what stands anywhere in a text, and one by address of the
//! addresses that somebody holds.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const INDEXES: &[&str] = &[
    "CREATE INDEX guests_search ON guests (name, reference, account_id, deleted_at) WHERE deleted_at IS NULL",
    "CREATE INDEX addresses_search ON addresses (address) WHERE account_id IS NOT NULL",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in INDEXES {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
