//! An index of where an account's guests claim room: each order asks for it, and an account may have thousands.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = "CREATE INDEX guests_of_account ON guests (account_id, host_id) \
            WHERE cancelled_at IS NULL AND deleting_at IS NULL AND memory_claimed";
        manager.get_connection().execute_unprepared(sql).await.map(drop)
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations go forward only: restore a backup instead".to_owned()))
    }
}
