//! Views of a list that somebody has named: its filters, for whoever saved them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    "CREATE TABLE saved_views (id {id}, person_id BIGINT NOT NULL REFERENCES people (id), name TEXT NOT NULL, query TEXT NOT NULL, \
     created_at BIGINT NOT NULL)",
    "CREATE UNIQUE INDEX saved_views_person_name ON saved_views (person_id, name)",
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
