//! What processors can, and which of it guests and images need.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const STATEMENTS: &[&str] = &[
    // Words with a space before and behind each, beside the rest of what a host says of itself: they are long, and read only
    // where a guest needs one of them.
    "ALTER TABLE host_observed ADD COLUMN cpu_features TEXT",
    "ALTER TABLE guests ADD COLUMN cpu_features TEXT",
    // Whose processors its programs are made for; nobody knows of images that are older.
    "ALTER TABLE images ADD COLUMN architecture TEXT",
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
