//! What people say of slow queries, and indexes by which thousands of them are ranked without reading one sketch.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    "ALTER TABLE slow_classes ADD COLUMN state TEXT NOT NULL DEFAULT 'new'",
    "CREATE INDEX slow_classes_server ON slow_classes (slow_server_id, id, first_seen, state)",
    // Days alone: an hour is written far more often than it is ranked. The span is in it although it is always 1, for SQLite would ask the table.
    "CREATE INDEX slow_periods_days ON slow_periods (slow_class_id, span, begins, events, query_time) WHERE span = 1",
    // A line for each time that somebody said something of a query, with the state it was given then.
    "CREATE TABLE slow_notes (id {id}, slow_class_id BIGINT NOT NULL REFERENCES slow_classes (id), actor TEXT NOT NULL, \
     state TEXT, text TEXT NOT NULL, created_at BIGINT NOT NULL)",
    "CREATE INDEX slow_notes_class ON slow_notes (slow_class_id, id)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == sea_orm::DbBackend::Postgres;
        let id =
            if postgres { "BIGSERIAL PRIMARY KEY" } else { "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT" };
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(&statement.replace("{id}", id)).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
