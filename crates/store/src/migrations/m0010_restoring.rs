//! What a brain remembers of having been restored from a backup, until an operator has accepted what its agents reported.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // When the backup was made that this life of the brain began with, and when that was.
    "ALTER TABLE brain ADD COLUMN backed_up_at BIGINT",
    "ALTER TABLE brain ADD COLUMN restored_at BIGINT",
    // When an operator accepted it; until then nothing that is desired may change.
    "ALTER TABLE brain ADD COLUMN accepted_at BIGINT",
    // Since when nothing at all may be changed on a host, because it is of an earlier life and not accepted yet.
    "ALTER TABLE hosts ADD COLUMN unaccepted_since BIGINT",
    // Its generation in the backup: whether its agent had been told what the backup says.
    "ALTER TABLE hosts ADD COLUMN restored_generation BIGINT",
    // Which life's manifest the agent acted on when it last reported in full, and the last one of the life before.
    "ALTER TABLE host_observed ADD COLUMN incarnation BIGINT",
    "ALTER TABLE host_observed ADD COLUMN former TEXT",
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
