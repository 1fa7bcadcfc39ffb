//! Who vouches for an image: the manifest that was signed, its signature, and the keys that operators trust.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    "CREATE TABLE image_keys (id {id}, uuid {uuid} NOT NULL, name TEXT NOT NULL, public_key TEXT NOT NULL, \
     fingerprint TEXT NOT NULL, created_at BIGINT NOT NULL, deleted_at BIGINT)",
    "CREATE UNIQUE INDEX image_keys_name ON image_keys (name) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX image_keys_fingerprint ON image_keys (fingerprint) WHERE deleted_at IS NULL",
    // Of what is older nobody knows; `signed_by` is the fingerprint of a key.
    "ALTER TABLE images ADD COLUMN manifest TEXT",
    "ALTER TABLE images ADD COLUMN signature TEXT",
    "ALTER TABLE images ADD COLUMN signed_by TEXT",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == sea_orm::DbBackend::Postgres;
        let (id, uuid) = if postgres {
            ("BIGSERIAL PRIMARY KEY", "UUID")
        } else {
            ("INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "uuid_text")
        };
        for statement in STATEMENTS {
            let sql = statement.replace("{id}", id).replace("{uuid}", uuid);
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
