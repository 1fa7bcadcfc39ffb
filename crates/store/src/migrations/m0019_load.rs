//! How busy hosts are, as their agents last told.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    "ALTER TABLE host_observed ADD COLUMN busy_percent BIGINT",
    "ALTER TABLE host_observed ADD COLUMN io_wait_percent BIGINT",
    // For how long that was looked at, and when it was told.
    "ALTER TABLE host_observed ADD COLUMN load_seconds BIGINT",
    "ALTER TABLE host_observed ADD COLUMN load_at BIGINT",
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
