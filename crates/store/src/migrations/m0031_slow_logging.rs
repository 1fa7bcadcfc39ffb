//! What a server says that it logs as slow, up to when its log is known, and since when what came waits to be looked through.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // In microseconds. All null, and with them when it was said (by the sender's clock), until it says so.
    "ALTER TABLE slow_servers ADD COLUMN long_query_time BIGINT",
    "ALTER TABLE slow_servers ADD COLUMN log_queries_not_using_indexes BOOLEAN",
    "ALTER TABLE slow_servers ADD COLUMN log_slow_rate_limit BIGINT",
    "ALTER TABLE slow_servers ADD COLUMN logging_told_at BIGINT",
    // The latest cutting of a mail that was counted, never later than it came.
    "ALTER TABLE slow_servers ADD COLUMN known_until BIGINT NOT NULL DEFAULT 0",
    "UPDATE slow_servers SET known_until = last_mail_at",
    // When the first mail came that was not looked through yet.
    "ALTER TABLE slow_servers ADD COLUMN unlooked_since BIGINT",
    "UPDATE slow_servers SET unlooked_since = last_mail_at WHERE looked_through_at < last_mail_at",
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
