//! Load over time: of each guest and host so many chunks of samples, of which none grows.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // Kind 0 is a guest, 1 a host; span 0 has a sample each minute, 1 every five, 2 each hour. A place is taken again once
    // what is in it is too old. Chunks of one time lie together, for they are written together.
    "CREATE TABLE load_chunks (kind BIGINT NOT NULL, span BIGINT NOT NULL, place BIGINT NOT NULL, subject_id BIGINT NOT NULL, \
     begins BIGINT NOT NULL, samples {bytes} NOT NULL, PRIMARY KEY (kind, span, place, subject_id)){room}",
    // Up to which sample of which run a host's are kept: one that is told again counts once.
    "CREATE TABLE load_told (host_id BIGINT NOT NULL PRIMARY KEY REFERENCES hosts (id), run_id TEXT NOT NULL, number BIGINT NOT NULL)",
    // Up to when samples of a span were made of finer ones.
    "CREATE TABLE load_rolled (span BIGINT NOT NULL PRIMARY KEY, until BIGINT NOT NULL)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == sea_orm::DbBackend::Postgres;
        // PostgreSQL writes a row anew where there is room on its page, and leaves the index alone then.
        let (bytes, room) = if postgres { ("BYTEA", " WITH (fillfactor = 50)") } else { ("BLOB", "") };
        for statement in STATEMENTS {
            let sql = statement.replace("{bytes}", bytes).replace("{room}", room);
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
