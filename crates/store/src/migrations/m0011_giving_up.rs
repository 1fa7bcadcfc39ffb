//! Giving up on an operation: what is desired then, and what has to be seen for it.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // The operation that was given up, as long as that explains what is seen: ended by the next wish. 0 is one of an
    // earlier life of the brain, of which only the guest's host knew.
    "ALTER TABLE guests ADD COLUMN given_up_operation BIGINT",
    // Up to this number, boots that are missing are not made up for.
    "ALTER TABLE guests ADD COLUMN boots_waived BIGINT NOT NULL DEFAULT 0",
    // What a disk may still become whose growth was given up: it counts until the guest's host has said what it is.
    "ALTER TABLE volumes ADD COLUMN growing_to BIGINT",
    // NULL until the next report, which is asked for in full.
    "ALTER TABLE guest_observed ADD COLUMN volume_size BIGINT",
    "UPDATE host_observed SET digest = NULL",
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
