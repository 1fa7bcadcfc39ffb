//! What several brains on one PostgreSQL need: the order in which events were committed, and whose certificates count.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The transaction that wrote an event. SQLite has one writer, so that ids alone are in the order of commits.
        let written_by = match manager.get_database_backend() {
            DbBackend::Postgres => "CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)",
            _ => "0",
        };
        for sql in [
            format!("ALTER TABLE events ADD COLUMN xid BIGINT NOT NULL DEFAULT {written_by}").as_str(),
            "CREATE INDEX events_order ON events (xid, id)",
            "ALTER TABLE brain ADD COLUMN ca_fingerprint TEXT",
        ] {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
