//! What guests say that they have installed.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = "CREATE TABLE guest_packages (guest_id BIGINT NOT NULL PRIMARY KEY REFERENCES guests (id), \
                   packages TEXT NOT NULL, reported_at BIGINT NOT NULL)";
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
